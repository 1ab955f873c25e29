// Package sdpdiff compares an SDP body with what a media relay made of it: line by line within each section, and as a list
// of changes with the flag and the rule of the standards behind each.
package sdpdiff

import (
	"fmt"
	"slices"
	"strings"
)

// Line is one line of a comparison.
type Line struct {
	Op      string `json:"op"` // "=" kept, "-" only before, "+" only after
	Text    string `json:"text"`
	Section string `json:"section"` // "session", "audio 1"
}

// section is one part of a body.
type section struct {
	name  string // "session", or media type and position
	kind  string // media type, "" for the session
	lines []string
}

// sections splits a body; line ends may be LF or CRLF, empty lines are dropped.
func sections(body string) []section {
	out := []section{{name: "session"}}
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if m, ok := strings.CutPrefix(line, "m="); ok {
			kind, _, _ := strings.Cut(m, " ")
			out = append(out, section{name: fmt.Sprintf("%s %d", kind, len(out)), kind: kind})
		}
		cur := &out[len(out)-1]
		cur.lines = append(cur.lines, line)
	}
	return out
}

// match pairs the sections of two bodies: by position where the types agree, else the next of the type. A section that has
// no partner stands alone.
func match(before, after []section) (pairs [][2]*section) {
	next := 0
	for i := range after {
		a := &after[i]
		var b *section
		for j := next; j < len(before); j++ {
			if before[j].kind == a.kind {
				for k := next; k < j; k++ {
					pairs = append(pairs, [2]*section{&before[k], nil})
				}
				b, next = &before[j], j+1
				break
			}
		}
		pairs = append(pairs, [2]*section{b, a})
	}
	for j := next; j < len(before); j++ {
		pairs = append(pairs, [2]*section{&before[j], nil})
	}
	return pairs
}

// Diff compares two bodies section by section. A line that only moved inside its section counts as kept. A line that took
// the place of another follows it.
func Diff(before, after string) []Line {
	var out []Line
	for _, p := range match(sections(before), sections(after)) {
		out = append(out, diffSection(p[0], p[1])...)
	}
	return out
}

func diffSection(before, after *section) (out []Line) {
	var old, now []string
	name := ""
	if before != nil {
		old, name = before.lines, before.name
	}
	if after != nil {
		now, name = after.lines, after.name
	}
	gone := subtract(old, now)
	added := subtract(now, old)
	put := func(op, text string) { out = append(out, Line{op, text, name}) }
	drop := func(ready func(string) bool) {
		for i := 0; i < len(gone); {
			if !ready(gone[i]) {
				i++
				continue
			}
			put("-", gone[i])
			gone = slices.Delete(gone, i, i+1)
		}
	}
	for _, line := range now {
		drop(func(g string) bool { return key(g) == key(line) })
		if i := slices.Index(added, line); i >= 0 {
			added = slices.Delete(added, i, i+1)
			put("+", line)
			continue
		}
		put("=", line)
	}
	drop(func(string) bool { return true })
	return out
}

// subtract lists the lines of a that b has not, each as often as it is missing.
func subtract(a, b []string) (out []string) {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	for _, s := range a {
		if left[s] > 0 {
			left[s]--
			continue
		}
		out = append(out, s)
	}
	return out
}

// key tells which lines are about the same thing: the letter, and of attributes the name; of codec lines the payload type
// too.
func key(line string) string {
	attr, ok := strings.CutPrefix(line, "a=")
	if !ok {
		return line[:min(2, len(line))]
	}
	name, value, _ := strings.Cut(attr, ":")
	switch name {
	case "rtpmap", "fmtp", "rtcp-fb":
		pt, _, _ := strings.Cut(value, " ")
		return name + ":" + pt
	case "sendrecv", "sendonly", "recvonly", "inactive":
		return "direction"
	}
	return name
}

// Text is the comparison as plain text: a sign and a blank before each line.
func Text(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		op := l.Op
		if op == "=" {
			op = " "
		}
		b.WriteString(op + " " + l.Text + "\n")
	}
	return b.String()
}
