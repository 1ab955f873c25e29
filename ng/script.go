package ng

import (
	"slices"
	"strings"
)

// scriptProtocols are the words of a proxy script that name a whole transport protocol.
var scriptProtocols = []string{"RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"}

// scriptReplace are the replace-X words that become entries of the list "replace".
var scriptReplace = map[string]string{
	"replace-origin": "origin", "replace-session-connection": "session-connection", "replace-SDP-version": "SDP version",
	"replace-username": "username", "replace-session-name": "session name", "replace-zero-address": "zero address",
}

// AddScriptFlags adds to d what a proxy's rtpengine module sends for a flag string as it is written in a script, such
// as "RTP/AVP replace-origin ICE=remove codec=[strip=[opus]]". Words that set a protocol, key=value, key=[a b] and
// key=[k=[a b]] become keys; rtcp-mux-X, replace-X and internal/external become list items; every other word goes into
// the list "flags". Source: observed behaviour of the OpenSIPS module.
func (d *Dict) AddScriptFlags(script string) {
	lists := map[string][]string{}
	var order []string
	item := func(key, s string) {
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		lists[key] = append(lists[key], s)
	}
	for script = strings.TrimSpace(script); script != ""; script = strings.TrimSpace(script) {
		var word string
		word, script = cutScriptWord(script)
		key, value, hasValue := strings.Cut(word, "=")
		mux, isMux := strings.CutPrefix(word, "rtcp-mux-")
		switch {
		case slices.Contains(scriptProtocols, word):
			d.AddString("transport-protocol", word)
		case word == "internal" || word == "external":
			item("direction", word)
		case isMux:
			item("rtcp-mux", mux)
		case scriptReplace[word] != "":
			item("replace", scriptReplace[word])
		case hasValue && strings.HasPrefix(value, "["):
			d.Add(key, scriptBracket(value))
		case hasValue:
			d.AddString(key, value)
		default:
			item("flags", word)
		}
	}
	for _, key := range order {
		d.Add(key, Strings(lists[key]))
	}
}

// cutScriptWord takes the first word off s; blanks inside brackets do not end it.
func cutScriptWord(s string) (word, rest string) {
	depth := 0
	for i, c := range s {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ' ' && depth <= 0:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// scriptBracket reads "[a b]" as a list and "[k=v k2=[…]]" as a dictionary.
func scriptBracket(s string) Value {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	var list []Value
	var dict Dict
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		var word string
		word, s = cutScriptWord(s)
		key, value, ok := strings.Cut(word, "=")
		switch {
		case ok && strings.HasPrefix(value, "["):
			dict.Add(key, scriptBracket(value))
		case ok:
			dict.AddString(key, value)
		default:
			list = append(list, String(word))
		}
	}
	if len(dict.Entries()) > 0 {
		return DictValue(&dict)
	}
	return List(list...)
}
