// Package flaglint reads the flag strings with which proxies' scripts ask for a media relay, tells what each word means,
// and finds mistakes in them: in one string, or in every rtpengine call of an OpenSIPS or Kamailio configuration.
package flaglint

import (
	"strings"

	"rtpsidecar/rtpengine"
	"rtpsidecar/sdp"
)

// Word is one blank-separated word of a flag string. Blanks inside brackets do not end it.
type Word struct {
	Text string // as written
	Pos  int    // byte offset in the flag string
}

// opaque tells a word that only the running proxy knows: it holds a script variable.
func (w Word) opaque() bool { return strings.Contains(w.Text, "$") || strings.Contains(w.Text, "{{") }

// Split cuts a flag string into words. open is the offset of a bracket that nothing closes, -1 when all is well.
func Split(flags string) (words []Word, open int) {
	depth, start := 0, -1
	open = -1
	for i := range len(flags) {
		switch c := flags[i]; {
		case c == '[':
			if depth == 0 {
				open = i
			}
			depth++
		case c == ']' && depth > 0:
			depth--
			if depth == 0 {
				open = -1
			}
		case strings.IndexByte(" \t\r\n", c) >= 0 && depth == 0:
			if start >= 0 {
				words = append(words, Word{flags[start:i], start})
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		words = append(words, Word{flags[start:], start})
	}
	return words, open
}

// Effect is one thing that a flag string asks for.
type Effect struct {
	Name string // canonical: "ICE=remove", "rtcp-mux=demux", "codec=strip", "trust-address", "TOS"
	Rest string // what a key, prefix or list carries: a codec, a suite, a number
	Word Word   // what was written
	Row  *rtpengine.FlagRow
	// Implied marks what a shorthand such as WebRTC brings along; anything written out wins over it.
	Implied bool
}

// Problem is a word or a part of one that means nothing.
type Problem struct {
	Word Word
	Text string // the part: "ICE=forec", "codec=[stripp"
	Hint string // what was probably meant, "" if nothing is near
}

// aliases are rows that are another way to write an effect.
var aliases = map[string]string{
	"ICE=trickle": "trickle-ICE", "pad-crypto": "SDES=pad", "generate-RTCP": "generate-RTCP=on", "passthrough": "passthrough=on",
	"no-passthrough": "passthrough=off", "record-call": "record-call=yes", "audio-player": "audio-player=always",
	"no-player": "audio-player=off", "strip-extmap": "extmap=strip", "from-tags-": "from-tags", "ICE=lite": "ICE-lite=forward",
	"ICE=lite-backward": "ICE-lite=backward", "ICE=lite-both": "ICE-lite=both", "ICE=no-lite": "ICE-lite=off", "transcode-": "codec=transcode",
}

// webRTC is what the word WebRTC stands for.
var webRTC = []string{"transport-protocol=UDP/TLS/RTP/SAVPF", "ICE=force", "trickle-ICE", "rtcp-mux=offer", "rtcp-mux=require",
	"no-rtcp-attribute", "SDES=off", "generate-mid", "bundle=offer", "bundle=require"}

// moduleWords are keys that a proxy's module takes for itself; the daemon never sees them.
var moduleWords = map[string]bool{"force-answer": true, "via-branch-param": true, "auto-bridge": true, "repacketize": true, "to-tag": true}

// Effects lists what words ask for, in their order, and what in them means nothing. Words that hold script variables are
// left out.
func Effects(words []Word) (effects []Effect, problems []Problem) {
	for _, w := range words {
		if w.opaque() {
			continue
		}
		r := reader{word: w}
		r.read()
		effects, problems = append(effects, r.effects...), append(problems, r.problems...)
	}
	return effects, problems
}

// Explicit lists what words ask for, without what a written word makes void.
func Explicit(effects []Effect) []Effect {
	said := map[string]bool{}
	for _, e := range effects {
		if key, _, ok := strings.Cut(e.Name, "="); ok && !e.Implied {
			said[key] = true
		}
	}
	var out []Effect
	for _, e := range effects {
		key, _, _ := strings.Cut(e.Name, "=")
		if e.Implied && said[key] && key != "rtcp-mux" && key != "bundle" {
			continue
		}
		out = append(out, e)
	}
	return out
}

// reader reads one word.
type reader struct {
	word     Word
	effects  []Effect
	problems []Problem
}

func (r *reader) read() {
	text := r.word.Text
	key, value, hasValue := strings.Cut(text, "=")
	if !hasValue || strings.ContainsRune(key, '[') {
		r.plain(text)
		return
	}
	if moduleWords[strings.ToLower(key)] {
		r.add(strings.ToLower(key), value, nil)
		return
	}
	if isProtocolKey(key) {
		r.protocols(value)
		return
	}
	if inner, ok := cutBrackets(value); ok {
		r.bracket(key, inner)
		return
	}
	r.pair(key, value)
}

func (r *reader) add(name, rest string, row *rtpengine.FlagRow) {
	if alias := aliases[name]; alias != "" {
		name = alias
	}
	r.effects = append(r.effects, Effect{Name: name, Rest: rest, Word: r.word, Row: row})
	if name != "WebRTC" {
		return
	}
	for _, implied := range webRTC {
		r.effects = append(r.effects, Effect{Name: implied, Word: r.word, Row: rtpengine.LookupFlag(implied), Implied: true})
	}
}

func (r *reader) unknown(text string) {
	r.problems = append(r.problems, Problem{Word: r.word, Text: text, Hint: rtpengine.SuggestFlag(text)})
}

// plain is a word without a value.
func (r *reader) plain(text string) {
	row := rtpengine.LookupFlag(text)
	switch {
	case sdp.ParseProtocol(text) != sdp.ProtocolUnknown:
		r.add("transport-protocol="+sdp.ParseProtocol(text).String(), "", row)
	case moduleWords[strings.ToLower(text)]:
		r.add(strings.ToLower(text), "", row)
	case row == nil || row.Kind == rtpengine.FlagKey && !alsoWord(row):
		r.unknown(text)
	default:
		r.row(row, text)
	}
}

// alsoWord tells a key that scripts write alone: the module knows what to put there.
func alsoWord(row *rtpengine.FlagRow) bool { return row.Name == "to-tag" || row.Name == "from-tag" }

// row adds the effect of a row found by text, which may carry a rest behind the row's name.
func (r *reader) row(row *rtpengine.FlagRow, text string) {
	name := row.Name
	switch row.Kind {
	case rtpengine.FlagValue:
		name = row.Of + "=" + row.Name
		if !endsOpen(row.Name) {
			r.add(name, "", row)
			return
		}
		r.add(name, restBehind(text, row.Name), row)
	case rtpengine.FlagPrefix:
		rest := restOf(text, append([]string{row.Name}, row.Also...))
		if list, ok := strings.CutPrefix(strings.TrimSuffix(name, "-"), "codec-"); ok {
			name = "codec=" + list
		}
		if op, ok := strings.CutPrefix(strings.TrimSuffix(name, "-"), "sdp-attr-"); ok {
			name = "sdp-attr=" + op
		}
		r.add(name, rest, row)
	default:
		r.add(name, "", row)
	}
}

func endsOpen(name string) bool { return strings.HasSuffix(name, "-") || strings.HasSuffix(name, ":") }

// restOf is what follows the first of names that text begins with, however it is spelled.
func restOf(text string, names []string) string {
	for _, name := range names {
		if len(text) > len(name) && fold(text[:len(name)]) == fold(name) {
			return text[len(name):]
		}
	}
	return ""
}

// restBehind is what follows name somewhere in text.
func restBehind(text, name string) string {
	if i := strings.Index(fold(text), fold(name)); i >= 0 {
		return text[i+len(name):]
	}
	return ""
}

// fold is the form in which names compare: without case, hyphens for blanks and underscores.
func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(s))
}

// pair is key=value.
func (r *reader) pair(key, value string) {
	row := keyRow(key)
	if row == nil {
		if p := rtpengine.LookupFlag(key + "-" + value); p != nil && p.Kind != rtpengine.FlagKey { // codec-strip=opus
			r.row(p, key+"-"+value)
			return
		}
		r.unknown(r.word.Text)
		return
	}
	if value == "" {
		r.problems = append(r.problems, Problem{Word: r.word, Text: r.word.Text, Hint: row.Example})
		return
	}
	if !hasValues(row.Name) {
		r.add(row.Name, value, row)
		return
	}
	for piece := range strings.SplitSeq(value, ",") {
		r.value(row.Name, piece)
	}
}

// value is one value of a key that has a fixed set of them.
func (r *reader) value(key, value string) {
	row := rtpengine.LookupFlag(key + "=" + value)
	if row == nil || row.Kind != rtpengine.FlagValue {
		r.unknown(key + "=" + value)
		return
	}
	r.row(row, key+"="+value)
}

// bracket is key=[…].
func (r *reader) bracket(key, inner string) {
	row := keyRow(key)
	if row == nil {
		if p := rtpengine.LookupFlag(key + "-x"); p != nil && p.Kind == rtpengine.FlagPrefix { // codec-strip=[a b]
			words, _ := Split(inner)
			for _, w := range words {
				r.row(p, key+"-"+w.Text)
			}
			return
		}
		r.unknown(key)
		return
	}
	words, _ := Split(inner)
	for _, w := range words {
		name, value, ok := strings.Cut(w.Text, "=")
		switch {
		case row.Name == "codec" || row.Name == "extmap":
			r.lists(row.Name, name, value)
		case row.Name == "sdp-attr":
			r.attributes(name, value)
		case row.Name == "flags":
			one := reader{word: Word{w.Text, r.word.Pos}}
			one.read()
			r.effects, r.problems = append(r.effects, one.effects...), append(r.problems, one.problems...)
		case ok && !hasValues(row.Name):
			r.add(row.Name, w.Text, row)
		case hasValues(row.Name):
			r.value(row.Name, w.Text)
		default:
			r.add(row.Name, w.Text, row)
		}
	}
	if len(words) == 0 {
		r.problems = append(r.problems, Problem{Word: r.word, Text: r.word.Text, Hint: row.Example})
	}
}

// lists is one entry of a dictionary of lists: strip=[opus PCMU].
func (r *reader) lists(key, name, value string) {
	row := rtpengine.LookupFlag(key + "=" + name)
	if row == nil || row.Kind != rtpengine.FlagValue {
		r.unknown(key + "=" + name)
		return
	}
	inner, ok := cutBrackets(value)
	if !ok {
		inner = strings.ReplaceAll(value, ",", " ")
	}
	items, _ := Split(inner)
	for _, item := range items {
		r.add(key+"="+row.Name, item.Text, row)
	}
	if len(items) == 0 {
		r.problems = append(r.problems, Problem{Word: r.word, Text: name + "=" + value, Hint: row.Example})
	}
}

var attrCommands = map[string]bool{"add": true, "remove": true, "substitute": true}

// attributes is one section of sdp-attr: audio=[add=[…]].
func (r *reader) attributes(section, value string) {
	inner, ok := cutBrackets(value)
	known := sdp.IsMediaType(strings.ToLower(section)) || strings.EqualFold(section, "none") || strings.EqualFold(section, "global")
	if !ok || !known {
		r.problems = append(r.problems, Problem{Word: r.word, Text: section + "=" + value, Hint: "audio=[add=[…]]"})
		return
	}
	commands, _ := Split(inner)
	for _, c := range commands {
		name, args, _ := strings.Cut(c.Text, "=")
		if !attrCommands[strings.ToLower(name)] {
			r.problems = append(r.problems, Problem{Word: r.word, Text: c.Text, Hint: "add=[…], remove=[…] or substitute=[…]"})
			continue
		}
		r.add("sdp-attr="+strings.ToLower(name), section+" "+args, rtpengine.LookupFlag("sdp-attr"))
	}
}

func isProtocolKey(key string) bool { return fold(key) == "transport-protocol" }

func (r *reader) protocols(value string) {
	row := rtpengine.LookupFlag("transport-protocol")
	inner, ok := cutBrackets(value)
	if !ok {
		inner = value
	}
	pieces := strings.FieldsFunc(inner, func(c rune) bool { return c == ',' || c == ' ' })
	for _, p := range pieces {
		switch {
		case sdp.ParseProtocol(p) != sdp.ProtocolUnknown:
			r.add("transport-protocol="+sdp.ParseProtocol(p).String(), "", row)
		case strings.EqualFold(p, "accept"):
			r.add("transport-protocol=accept", "", row)
		default:
			r.problems = append(r.problems, Problem{Word: r.word, Text: p, Hint: rtpengine.SuggestFlag(p)})
		}
	}
	if len(pieces) == 0 {
		r.problems = append(r.problems, Problem{Word: r.word, Text: r.word.Text, Hint: row.Example})
	}
}

// keyRow is the row of a key; also where a flag of the same name hides it.
func keyRow(key string) *rtpengine.FlagRow {
	for row := range rtpengine.FlagTable() {
		if row.Kind != rtpengine.FlagKey {
			continue
		}
		for _, name := range append([]string{row.Name}, row.Also...) {
			if fold(name) == fold(key) {
				return row
			}
		}
	}
	return nil
}

// hasValues tells whether a key has a fixed set of values.
func hasValues(key string) bool {
	for row := range rtpengine.FlagTable() {
		if row.Kind == rtpengine.FlagValue && row.Of == key {
			return true
		}
	}
	return false
}

func cutBrackets(s string) (inner string, ok bool) {
	if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") {
		return "", false
	}
	return s[1 : len(s)-1], true
}
