package rtpengine

import (
	"slices"
	"strings"

	"rtpsidecar/ng"
)

// commandTemplates applies the templates that a request brings with it unnamed: "default", then that of its command.
func (p *flagParser) commandTemplates(command string) {
	for _, name := range []string{"default", command} {
		if text := p.templates[name]; text != "" {
			p.level(ParseRTPPFlags(text))
		}
	}
}

// namedTemplate applies a template that a request or another template names. One that names itself, directly or by
// way of others, is a slip in the configuration: it is reported and read once.
func (p *flagParser) namedTemplate(name string) {
	text, ok := p.templates[name]
	if !ok || slices.Contains(p.inside, name) {
		p.unknown("template: " + name)
		return
	}
	p.inside = append(p.inside, name)
	p.level(ParseRTPPFlags(text))
	p.inside = p.inside[:len(p.inside)-1]
}

// rtppString is the key rtpp-flags. Its text is read after everything else; within itself it means nothing.
func rtppString(p *flagParser, _ string, v ng.Value) {
	if p.inRTPP {
		p.unknown("rtpp-flags")
		return
	}
	p.rtpp += " " + flagText(v)
}

// rtppFlags applies the flag string of the key rtpp-flags. A from-tag in it names the party that is meant, and a to-tag
// is to be honoured. The words with which a proxy's script asks its module for a Via branch mean nothing here when the
// module has put the branch into the dictionary.
func (p *flagParser) rtppFlags(text string) {
	branch := p.f.ViaBranch
	d := ParseRTPPFlags(text)
	p.level(d)
	for _, e := range d.Entries() {
		switch {
		case foldedEqual(e.Key, "from-tag"):
			p.f.Directional = true
		case foldedEqual(e.Key, "to-tag"):
			p.f.ForceToTag = true
		case foldedEqual(e.Key, "via-branch") && branch != "" && slices.Contains(branchWords, e.Value.Str()):
			p.f.ViaBranch = branch
		}
	}
}

var branchWords = []string{"1", "2", "auto", "extra", "next", "auto-next", "auto-extra"}

// maxBrackets is how deep brackets may nest in a flag string; the proxies' modules stop at 8.
const maxBrackets = 8

// ParseRTPPFlags reads a flag string, as a proxy's script has it, into the dictionary of an NG request.
//
//	word, word=    item of the list "flags"
//	key=value      key with a string
//	key=[a b]      key with a list
//	key=[k=v l=w]  key with a dictionary, and so on inside; words in it are keys with an empty string
//
// Blanks separate. Nothing is an error: a bracket that is not closed ends with the text.
func ParseRTPPFlags(text string) *ng.Dict {
	d := new(ng.Dict)
	var words []ng.Value
	s := bracketScanner{rest: text}
	for s.next() {
		if s.key == "" {
			words = append(words, s.value)
			continue
		}
		d.Add(s.key, s.value)
	}
	if words != nil {
		d.Add("flags", ng.List(words...))
	}
	return d
}

// bracketScanner reads one token after the other.
type bracketScanner struct {
	rest  string
	depth int
	key   string // "" for a word
	value ng.Value
}

const blanks = " \t\r\n"

// next reads a token; false at the end of the text or of the bracket.
func (s *bracketScanner) next() bool {
	s.rest = strings.TrimLeft(s.rest, blanks)
	if s.rest == "" {
		return false
	}
	if s.depth > 0 && s.rest[0] == ']' {
		s.rest = s.rest[1:]
		return false
	}
	s.key = ""
	if s.rest[0] == '[' && s.depth < maxBrackets {
		s.value = s.bracket()
		return true
	}
	end := s.tokenEnd()
	eq := strings.IndexByte(s.rest[:end], '=')
	if eq > 0 && eq+1 < len(s.rest) && s.rest[eq+1] == '[' && s.depth < maxBrackets {
		key := s.rest[:eq]
		s.rest = s.rest[eq+1:]
		s.value = s.bracket()
		s.key = key
		return true
	}
	token := s.rest[:end]
	s.rest = s.rest[end:]
	if eq > 0 && eq+1 < len(token) {
		s.key, s.value = token[:eq], ng.String(token[eq+1:])
		return true
	}
	s.value = ng.String(strings.TrimRight(token, "="))
	return true
}

// tokenEnd is where the token at the front ends: at a blank, or inside brackets at the closing one.
func (s *bracketScanner) tokenEnd() int {
	stop := blanks
	if s.depth > 0 {
		stop += "]"
	}
	if i := strings.IndexAny(s.rest, stop); i >= 0 {
		return max(i, 1)
	}
	return len(s.rest)
}

// bracket reads "[ … ]" at the front: a dictionary when any token has a key, else a list.
func (s *bracketScanner) bracket() ng.Value {
	in := bracketScanner{rest: s.rest[1:], depth: s.depth + 1}
	d := new(ng.Dict)
	var list []ng.Value
	for in.next() {
		if in.key != "" {
			d.Add(in.key, in.value)
			continue
		}
		list = append(list, in.value)
	}
	s.rest = in.rest
	if len(d.Entries()) == 0 {
		return ng.List(list...)
	}
	for _, word := range list {
		d.Add(word.Str(), ng.String(""))
	}
	return ng.DictValue(d)
}
