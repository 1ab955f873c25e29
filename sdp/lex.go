package sdp

import (
	"fmt"
	"strings"
)

// LineError says which line of a body could not be used, and why.
type LineError struct {
	Line int    // counted from 1
	Text string // the line without its end
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d %q: %v", e.Line, clip(e.Text), e.Err) }

// Unwrap is the reason alone.
func (e *LineError) Unwrap() error { return e.Err }

// clip keeps hostile lines out of logs.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most]
	}
	return s
}

// lexer cuts a body into lines. It stops at the first blank one, where a SIP message part may go on with other text.
type lexer struct {
	rest string
	line int
	text string // the current line without its end and without leading blanks
}

// next moves to the next line; false at the end of the body. Lines end in LF; the CRs before it belong to the end.
func (l *lexer) next() bool {
	if l.rest == "" {
		return false
	}
	l.line++
	text := l.rest
	if i := strings.IndexByte(l.rest, '\n'); i >= 0 {
		text, l.rest = l.rest[:i], l.rest[i+1:]
	} else {
		l.rest = ""
	}
	for len(text) > 0 && text[len(text)-1] == '\r' {
		text = text[:len(text)-1]
	}
	l.text = trimLeft(text)
	return l.text != ""
}

// split is the line's type letter and value; false when it has not the form "letter=value".
func (l *lexer) split() (kind byte, value string, ok bool) {
	if len(l.text) < 2 || l.text[1] != '=' {
		return 0, "", false
	}
	return l.text[0], l.text[2:], true
}

func (l *lexer) errorf(format string, args ...any) *LineError {
	return &LineError{Line: l.line, Text: l.text, Err: fmt.Errorf(format, args...)}
}

// isBlank counts a lone CR too: a word that ended in one would lose it as the last of its line.
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func trimLeft(s string) string {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

func trim(s string) string {
	s = trimLeft(s)
	for len(s) > 0 && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// field cuts the first word off s; rest starts at the next word. Words stand apart by any run of blanks.
func field(s string) (word, rest string) {
	s = trimLeft(s)
	for i := range len(s) {
		if isBlank(s[i]) {
			return s[:i], trimLeft(s[i:])
		}
	}
	return s, ""
}

// countFields is how many words s has.
func countFields(s string) (n int) {
	in := false
	for i := range len(s) {
		if blank := isBlank(s[i]); blank == in {
			in = !blank
			if in {
				n++
			}
		}
	}
	return n
}

// parseUint reads a plain decimal number of at most limit: digits only, no sign.
func parseUint(s string, limit uint64) (uint64, bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, n <= limit
}

// tail appends v to list, which shares the backing array of slab with its neighbours: lists that grow one after the
// other, as the lines of a body do, cost one allocation for all. The result has no spare capacity there, so that
// whoever appends to it later gets a copy; so does a list that grows again after another one did.
func tail[T any](slab *[]T, list []T, v T) []T {
	s, n := *slab, len(list)
	if n > 0 && (len(s) == 0 || &s[len(s)-1] != &list[n-1]) {
		return append(list, v)
	}
	s = append(s, v)
	*slab = s
	return s[len(s)-n-1 : len(s) : len(s)]
}
