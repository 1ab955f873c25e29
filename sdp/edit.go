package sdp

import (
	"bytes"
	"slices"
	"strings"
)

// EditOp is a command of the sdp-attr key.
type EditOp uint8

// The commands.
const (
	EditAdd EditOp = iota
	EditRemove
	EditSubstitute
)

// Edit is one sdp-attr instruction: for sections of media type Section ("" is the session level), add the line a=Arg,
// remove what Arg names, or substitute a=With for what Arg names. An "a=" in front of Arg or With is not doubled.
//
// Arg names an attribute by its key ("fmtp"), by its whole text ("fmtp:96 annexb=no") or, where the first word of the
// value is a tag ("fmtp:96", "crypto:1", "group:BUNDLE"), by key and tag. Case does not count.
type Edit struct {
	Section string
	Op      EditOp
	Arg     string
	With    string
}

// AppendEdited appends a printed body after edits. They are textual, come last, and see only the body's own lines:
// neither removal nor substitution touches what an edit adds. Removal goes before substitution, of several
// substitutions the last counts, and additions stand at the end of their section, whether or not the same line is
// there already. An edit with a line end in it does nothing. Observed: rtpengine 26.
func AppendEdited(dst, body []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return append(dst, body...)
	}
	section := ""
	for len(body) > 0 {
		end := bytes.IndexByte(body, '\n') + 1
		if end == 0 {
			end = len(body)
		}
		text := body[:end]
		body = body[end:]
		if media, ok := bytes.CutPrefix(text, []byte("m=")); ok {
			dst = appendAdditions(dst, section, edits)
			section, _ = field(string(media))
		}
		attr, ok := bytes.CutPrefix(text, []byte("a="))
		if !ok {
			dst = append(dst, text...)
			continue
		}
		switch with, found := substitute(string(bytes.TrimRight(attr, "\r\n")), section, edits); {
		case !found:
			dst = append(dst, text...)
		case with != "":
			dst = appendEdit(dst, with)
		}
	}
	return appendAdditions(dst, section, edits)
}

func appendAdditions(dst []byte, section string, edits []Edit) []byte {
	for i := range edits {
		if e := &edits[i]; e.Op == EditAdd && e.in(section) {
			dst = appendEdit(dst, e.Arg)
		}
	}
	return dst
}

func appendEdit(dst []byte, text string) []byte {
	return line(dst, "a=", strings.TrimPrefix(text, "a="))
}

// substitute is what edits put in place of an attribute: "" removes it. found is false when none concerns it.
func substitute(attr, section string, edits []Edit) (with string, found bool) {
	for i := range edits {
		e := &edits[i]
		if e.Op == EditAdd || !e.in(section) || !e.names(attr) {
			continue
		}
		if e.Op == EditRemove {
			return "", true
		}
		with, found = e.With, true
	}
	return with, found
}

// in tells whether the edit is whole and meant for a section of this media type.
func (e *Edit) in(section string) bool {
	if e.Arg == "" || e.Op == EditSubstitute && e.With == "" || strings.ContainsAny(e.Arg+e.With, "\r\n") {
		return false
	}
	return strings.EqualFold(e.Section, section)
}

// tagged are the attributes that an edit can name by the first word of their value.
var tagged = []string{"rtpmap", "fmtp", "rtcp-fb", "crypto", "mid", "label", "setup", "fingerprint", "group"}

func (e *Edit) names(attr string) bool {
	n := len(e.Arg)
	if n > len(attr) || !strings.EqualFold(attr[:n], e.Arg) {
		return false
	}
	if n == len(attr) {
		return true
	}
	key, tag, hasTag := strings.Cut(e.Arg, ":")
	if !hasTag {
		return attr[n] == ':'
	}
	return attr[n] == ' ' && !strings.Contains(tag, " ") && slices.Contains(tagged, strings.ToLower(key))
}

// mediaTypes are the media types with a name of their own in sdp-attr and sdp-media-remove.
var mediaTypes = []string{"audio", "video", "image", "message", "application", "text"}

// IsMediaType tells whether an sdp-attr or sdp-media-remove key can name this media type.
func IsMediaType(s string) bool { return slices.Contains(mediaTypes, s) }

// HasType tells whether the media is of one of these types, as sdp-media-remove names them: "other" stands for every
// type that has no name there.
func (m *Media) HasType(types []string) bool {
	known := false
	for _, t := range mediaTypes {
		known = known || strings.EqualFold(t, m.Type)
	}
	return slices.ContainsFunc(types, func(t string) bool {
		return strings.EqualFold(t, m.Type) || t == "other" && !known
	})
}
