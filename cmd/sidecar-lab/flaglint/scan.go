package flaglint

import "strings"

// scanner reads one configuration file: calls, assignments and definitions, past comments.
type scanner struct {
	file, text string
	pos, line  int
	program    *program
	calls      []call
}

func (s *scanner) run() {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '#' || strings.HasPrefix(s.text[s.pos:], "//"):
			s.comment()
		case strings.HasPrefix(s.text[s.pos:], "/*"):
			s.skipTo("*/")
		case c == '"' || c == '\'':
			s.quoted()
		case c == '$':
			s.assignment()
		case isNameStart(c):
			s.name()
		default:
			s.step(1)
		}
	}
}

// step moves on by n bytes and counts lines.
func (s *scanner) step(n int) {
	n = min(n, len(s.text)-s.pos)
	s.line += strings.Count(s.text[s.pos:s.pos+n], "\n")
	s.pos += n
}

func (s *scanner) skipTo(end string) {
	if i := strings.Index(s.text[s.pos+2:], end); i >= 0 {
		s.step(i + 2 + len(end))
		return
	}
	s.step(len(s.text))
}

// comment skips a line, unless it is one of Kamailio's definitions: #!define NAME value.
func (s *scanner) comment() {
	line := s.text[s.pos:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	fields := strings.Fields(line)
	if len(fields) >= 3 && (fields[0] == "#!define" || fields[0] == "!!define" || fields[0] == "#!trydef") {
		at := strings.Index(line, fields[1]) + len(fields[1])
		sub := scanner{file: s.file, text: s.text[:s.pos+len(line)], pos: s.pos + at, line: s.line, program: s.program}
		s.program.defines[fields[1]] = sub.expression("\n")
	}
	s.step(len(line) + 1)
}

// quoted reads a string literal; escapes stay as they are.
func (s *scanner) quoted() piece {
	quote := s.text[s.pos]
	p := piece{file: s.file, line: s.line, off: s.pos}
	end := s.pos + 1
	for end < len(s.text) && s.text[end] != quote {
		if s.text[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(s.text))
	p.text = s.text[s.pos+1 : end]
	s.step(end + 1 - s.pos)
	return p
}

// variableName reads $name(…), $name, or $(name(…){…}); the form is the name.
func (s *scanner) variableName() string {
	start := s.pos
	s.step(1)
	if s.pos < len(s.text) && s.text[s.pos] == '(' {
		s.parens()
		return s.text[start:s.pos]
	}
	for s.pos < len(s.text) && isName(s.text[s.pos]) {
		s.step(1)
	}
	if s.pos < len(s.text) && s.text[s.pos] == '(' {
		s.parens()
	}
	if s.pos < len(s.text) && s.text[s.pos] == '[' { // an index
		for s.pos < len(s.text) && s.text[s.pos] != ']' {
			s.step(1)
		}
		s.step(1)
	}
	return strings.ReplaceAll(s.text[start:s.pos], " ", "")
}

// parens skips a balanced pair.
func (s *scanner) parens() {
	depth := 0
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '(':
			depth++
		case ')':
			depth--
		}
		s.step(1)
		if depth == 0 {
			return
		}
	}
}

// assignment reads "$var(x) = expression;" and notes it; anything else that begins with a variable is passed over.
func (s *scanner) assignment() {
	name := s.variableName()
	s.blanks()
	rest := s.text[s.pos:]
	if !strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, ":=") || strings.HasPrefix(rest, "==") || strings.HasPrefix(rest, "=~") {
		return
	}
	s.step(strings.IndexByte(rest, '=') + 1)
	s.program.assigns[name] = append(s.program.assigns[name], s.expression(";\n}"))
}

// expression reads operands until one of the bytes in end stands outside brackets; the end itself is not read. A line end
// does not count where an operator goes on.
func (s *scanner) expression(end string) (pieces []piece) {
	depth := 0
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		if depth == 0 && strings.IndexByte(end, c) >= 0 && (c != '\n' || !s.goesOn()) {
			return pieces
		}
		switch {
		case c == '"' || c == '\'':
			pieces = append(pieces, s.quoted())
		case c == '$':
			p := piece{file: s.file, line: s.line, off: s.pos, kind: variable}
			p.text = s.variableName()
			pieces = append(pieces, p)
		case c == '(':
			depth++
			s.step(1)
		case c == ')':
			if depth == 0 {
				return pieces
			}
			depth--
			s.step(1)
		case isNameStart(c):
			p := piece{file: s.file, line: s.line, off: s.pos, kind: variable, text: s.word()}
			pieces = append(pieces, p)
		case c == '#' && end != "\n" || strings.HasPrefix(s.text[s.pos:], "//"):
			s.comment()
		default:
			s.step(1)
		}
	}
	return pieces
}

// goesOn tells whether the expression continues over the line end at the position.
func (s *scanner) goesOn() bool {
	before := strings.TrimRight(s.text[:s.pos], " \t\r")
	after := strings.TrimLeft(s.text[s.pos:], " \t\r\n")
	return strings.HasSuffix(before, "+") || strings.HasSuffix(before, "=") || strings.HasSuffix(before, "\\") || strings.HasPrefix(after, "+")
}

func (s *scanner) word() string {
	start := s.pos
	for s.pos < len(s.text) && isName(s.text[s.pos]) {
		s.step(1)
	}
	return s.text[start:s.pos]
}

func (s *scanner) blanks() {
	for s.pos < len(s.text) && strings.IndexByte(" \t\r", s.text[s.pos]) >= 0 {
		s.step(1)
	}
}

// name reads an identifier; followed by a bracket and known to the modules it is a call.
func (s *scanner) name() {
	line := s.line
	name := s.word()
	s.blanks()
	if s.pos >= len(s.text) || s.text[s.pos] != '(' || !functionLike(name) {
		return
	}
	s.step(1)
	c := call{file: s.file, name: name, line: line}
	for s.pos < len(s.text) {
		c.args = append(c.args, s.expression(","))
		if s.pos >= len(s.text) || s.text[s.pos] != ',' {
			break
		}
		s.step(1)
	}
	s.calls = append(s.calls, c)
}

func isNameStart(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isName(c byte) bool      { return isNameStart(c) || '0' <= c && c <= '9' }
