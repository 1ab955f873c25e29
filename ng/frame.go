package ng

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
)

// maxMessage is the longest message taken from a stream, an HTTP body or a WebSocket. A datagram ends at 64 KiB by
// itself; the larger bound leaves room for media in a "play media" blob: a minute of 16-bit mono at 8 kHz.
const maxMessage = 1 << 20

// maxDatagram is the longest datagram read or written (IPv4 and IPv6 total length field, 16 bits).
const maxDatagram = 65535

// SplitCookie cuts msg at its first space. ok is false where there is none or nothing before it: such a message has
// no cookie and gets no answer.
func SplitCookie(msg string) (cookie, payload string, ok bool) {
	cookie, payload, ok = strings.Cut(msg, " ")
	return cookie, payload, ok && cookie != ""
}

// AppendFrame appends cookie, a space and payload to dst.
func AppendFrame(dst []byte, cookie string, payload []byte) []byte {
	dst = append(dst, cookie...)
	dst = append(dst, ' ')
	return append(dst, payload...)
}

// splitter finds the messages in a byte stream. Its Split is a [bufio.SplitFunc]: a token is one message, cookie
// included, without the white space before it. The dictionary's own end delimits it: the "e" of a bencode dictionary,
// the closing brace of a JSON object.
//
// It remembers where it stopped, so each byte of a message that comes in small pieces is looked at once. What cannot
// be delimited any more (a payload of neither form, bad bencode) and what is left at the end of the stream is passed
// on whole as the last token: its cookie deserves an answer.
type splitter struct {
	phase phase
	form  byte // the payload's first byte
	pos   int  // bytes looked at so far
	depth int
	quote bool // JSON: inside a string
}

type phase uint8

const (
	beforeCookie phase = iota
	inCookie
	inPayload
)

func (s *splitter) Split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	done, err := s.scan(data)
	start := skipSpace(data)
	switch {
	case done:
		advance, token = s.pos, data[start:s.pos]
		*s = splitter{}
		return advance, token, nil
	case (err != nil || atEOF) && start < len(data):
		return len(data), data[start:], bufio.ErrFinalToken
	}
	return 0, nil, nil
}

func skipSpace(b []byte) int {
	return len(b) - len(bytes.TrimLeft(b, " \t\r\n"))
}

// scan goes on at s.pos and reports whether a message ends there now.
func (s *splitter) scan(b []byte) (done bool, err error) {
	if s.phase == beforeCookie {
		if s.pos = skipSpace(b); s.pos == len(b) {
			return false, nil
		}
		s.phase = inCookie
	}
	if s.phase == inCookie {
		space := bytes.IndexByte(b[s.pos:], ' ')
		if space < 0 || s.pos+space+1 == len(b) {
			s.pos = max(s.pos, len(b)-1) // the last byte may be the space
			return false, nil
		}
		s.pos += space + 1
		s.phase, s.form = inPayload, b[s.pos]
	}
	switch s.form {
	case 'd':
		return s.scanBencode(b)
	case '{':
		return s.scanJSON(b), nil
	}
	return false, ErrSyntax
}

func (s *splitter) scanBencode(b []byte) (done bool, err error) {
	for s.pos < len(b) {
		n := 1
		switch c := b[s.pos]; {
		case c == 'd' || c == 'l':
			s.depth++
		case c == 'e':
			s.depth--
		case c == 'i' || c >= '0' && c <= '9':
			if n, err = scalarLen(b[s.pos:]); n == 0 || err != nil {
				return false, err
			}
		default:
			return false, ErrSyntax
		}
		s.pos += n
		if s.depth == 0 {
			return true, nil
		}
	}
	return false, nil
}

// scalarLen is the length of the bencode integer or string at the front of b, 0 while b does not hold all of it.
func scalarLen(b []byte) (int, error) {
	const maxPrefix = 22 // "i", a signed 64-bit integer, "e"
	end := byte(':')
	if b[0] == 'i' {
		end = 'e'
	}
	i := bytes.IndexByte(b[:min(len(b), maxPrefix)], end)
	switch {
	case i < 0 && len(b) >= maxPrefix:
		return 0, ErrSyntax
	case i < 0:
		return 0, nil
	case b[0] == 'i':
		return i + 1, nil
	}
	n, err := strconv.Atoi(string(b[:i]))
	if err != nil || n > maxMessage {
		return 0, ErrSyntax
	}
	if n += i + 1; n > len(b) {
		return 0, nil
	}
	return n, nil
}

func (s *splitter) scanJSON(b []byte) (done bool) {
	for ; s.pos < len(b); s.pos++ {
		switch c := b[s.pos]; {
		case s.quote && c == '\\':
			if s.pos+1 == len(b) {
				return false // come back when the escaped byte is here
			}
			s.pos++
		case c == '"':
			s.quote = !s.quote
		case s.quote:
		case c == '{':
			s.depth++
		case c == '}':
			if s.depth--; s.depth == 0 {
				s.pos++
				return true
			}
		}
	}
	return false
}
