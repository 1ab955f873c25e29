package rtpengine

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// ParseFlags decodes the keys of one request. templates are the daemon's signalling templates, flag strings by name: the
// one named default applies to each request, then the one named like its command, then the one the request names. The
// dictionary's keys are stronger than templates, and the rtpp-flags string is stronger than these. Within one level the
// order of keys and words does not matter, except that the later of two contradicting words wins; WebRTC gives way to
// whatever else is said.
//
// The error is a [*FlagError], or nil. Flags are filled as far as possible even then, so that the call can be named.
func ParseFlags(command string, d *ng.Dict, templates map[string]string) (*Flags, error) {
	f := new(Flags)
	return f, f.parse(command, d, templates)
}

// parse fills f, which must be zero, as ParseFlags says.
func (f *Flags) parse(command string, d *ng.Dict, templates map[string]string) error {
	p := flagParser{f: f, templates: templates}
	if commandsDone[command] {
		p.in = commandBits[command]
	}
	if len(templates) > 0 {
		p.commandTemplates(command)
	}
	p.level(d)
	if p.rtpp != "" {
		p.inRTPP = true
		p.rtppFlags(p.rtpp)
	}
	p.finish()
	if p.err == nil && len(f.Unsupported) > 0 {
		p.err = &FlagError{Reason: "not supported: " + strings.Join(f.Unsupported, ", ")}
	}
	if p.err != nil {
		return p.err
	}
	return nil
}

// FlagError is a request refused for what its flags say. Reason is the text for the proxy.
type FlagError struct{ Reason string }

func (e *FlagError) Error() string { return "flags: " + e.Reason }

// NGReason is the reply's error-reason.
func (e *FlagError) NGReason() string { return e.Reason }

// flagParser is the state of one ParseFlags.
type flagParser struct {
	f         *Flags
	in        Commands // the command, zero when it is refused anyway
	templates map[string]string
	inside    []string // templates being applied
	rtpp      string   // the rtpp-flags string, read last
	inRTPP    bool     // it is being read
	err       *FlagError

	sides           int // directions given on this level
	srtp, avpf, tls OnOff
}

// level applies one dictionary: a template's, the request's own, or that of an rtpp-flags string.
func (p *flagParser) level(d *ng.Dict) {
	for _, e := range d.Entries() {
		if foldedEqual(e.Key, "template") {
			p.namedTemplate(flagText(e.Value))
		}
	}
	for _, e := range d.Entries() {
		if foldedEqual(e.Key, "flags") {
			for piece := range flagPieces(e.Value) {
				if foldedEqual(piece, "webrtc") {
					p.webRTC()
				}
			}
		}
	}
	p.sides = 0
	for _, e := range d.Entries() {
		p.key(e.Key, e.Value)
	}
}

// key applies one entry of a dictionary.
func (p *flagParser) key(key string, v ng.Value) {
	row := lookupFlag(flagTables.keys, key)
	if row == nil {
		p.prefixKey(key, v)
		return
	}
	if row.Status == FlagRefused {
		if saysNothing(v) {
			return
		}
		p.refuse(row, row.Name)
	}
	if row.set != nil {
		row.set(p, "", v)
	}
}

// saysNothing tells a value that turns a key off, or is empty.
func saysNothing(v ng.Value) bool {
	if s := flagText(v); s != "" {
		return slices.Contains(offWords, foldName(s))
	}
	return len(v.List()) == 0 && len(v.Dict().Entries()) == 0
}

// prefixKey is a prefix with its value behind an equals sign: codec-strip=X is codec-strip-X.
func (p *flagParser) prefixKey(key string, v ng.Value) {
	known := false
	for s := range flagPieces(v) {
		if row, rest := lookupFlagPrefix(flagTables.prefixes, key+"-"+s); row != nil && rest == s {
			row.set(p, rest, ng.Value{})
			known = true
		}
	}
	if !known {
		p.unknown(key)
	}
}

// word applies one item of the list "flags".
func (p *flagParser) word(w string) {
	w = unescapeFlag(w)
	if row := lookupFlag(flagTables.words, w); row != nil {
		p.apply(row, row.Name, "")
		return
	}
	if row, rest := lookupFlagPrefix(flagTables.prefixes, w); row != nil {
		row.set(p, rest, ng.Value{})
		return
	}
	if key, value, ok := strings.Cut(w, "="); ok {
		// Scripts and old modules put key=value pairs among the words.
		if row := lookupFlag(flagTables.keys, key); row != nil && row.set != nil {
			p.key(key, ng.String(value))
			return
		}
	}
	p.unknown("flags: " + w)
}

// value applies one value of an enumerated or list key.
func (p *flagParser) value(of, s string) {
	vi := flagTables.values[foldName(of)]
	if row := lookupFlag(vi.exact, s); row != nil {
		p.apply(row, vi.of+"="+row.Name, "")
		return
	}
	if row, rest := lookupFlagPrefix(vi.prefixes, s); row != nil {
		p.apply(row, vi.of+"="+s, rest)
		return
	}
	if s != "" {
		p.unknown(vi.of + ": " + s)
	}
}

// apply runs a row that is not a key; text names it in an error.
func (p *flagParser) apply(row *FlagRow, text, rest string) {
	if row.Status == FlagRefused {
		p.refuse(row, text)
	}
	if row.set != nil {
		row.set(p, rest, ng.Value{})
	}
}

// refuse notes a word that would be done by half. A command that does not read it anyway is let through.
func (p *flagParser) refuse(row *FlagRow, text string) {
	if p.in&row.In == 0 {
		return
	}
	for _, u := range p.f.Unsupported {
		if u == text {
			return
		}
	}
	p.f.Unsupported = append(p.f.Unsupported, text)
}

func (p *flagParser) unknown(text string) { p.f.Unknown = append(p.f.Unknown, text) }

// fail keeps the first error.
func (p *flagParser) fail(reason string) {
	if p.err == nil {
		p.err = &FlagError{Reason: reason}
	}
}

// finish settles what several words say together.
func (p *flagParser) finish() {
	if p.srtp|p.avpf|p.tls == 0 {
		return
	}
	// The words start from plain RTP/AVP, whatever was offered: that is how the proxies' modules read them.
	base := p.f.Transport
	bit := func(was bool, now OnOff) bool { return now == On || now == Unset && was }
	tls := bit(base.IsDTLS(), p.tls)
	p.f.Transport = sdp.With(bit(base.IsSRTP(), p.srtp) || p.tls == On, bit(base.IsAVPF(), p.avpf), tls && p.srtp != Off)
}

// webRTC is the word WebRTC. It is applied before anything else of its level, so that the rest may differ from it.
func (p *flagParser) webRTC() {
	f := p.f
	f.Transport = sdp.DTLSSAVPF
	f.ICE = ICEForce
	f.TrickleICE = true
	f.RTCPMux.Offer, f.RTCPMux.Require = true, true
	f.NoRTCPAttr = true
	f.SDES.Off = true
	f.GenerateMID = true
	f.Bundle.Offer, f.Bundle.Require = true, true
}

// lookupFlag finds a row by any spelling of its name.
func lookupFlag(m map[string]*FlagRow, name string) *FlagRow {
	if isFolded(name) {
		return m[name]
	}
	var buf [64]byte
	return m[string(appendFold(buf[:0], name))]
}

// lookupFlagPrefix finds the row with the longest prefix of s and returns what follows it, verbatim. A prefix alone is no
// match.
func lookupFlagPrefix(rows []prefixRow, s string) (*FlagRow, string) {
	var buf [64]byte
	head := s[:min(len(s), len(buf))]
	folded := appendFold(buf[:0], head)
	for _, r := range rows {
		if len(s) > len(r.folded) && string(folded[:min(len(folded), len(r.folded))]) == r.folded {
			return r.row, s[len(r.folded):]
		}
	}
	return nil, ""
}

func foldedEqual(s, folded string) bool {
	if len(s) != len(folded) {
		return false
	}
	var buf [64]byte
	return len(s) <= len(buf) && string(appendFold(buf[:0], s)) == folded
}

// flagPieces iterates over a list value: the strings of a list, or the comma-separated parts of a string, unescaped.
func flagPieces(v ng.Value) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		switch v.Kind() {
		case ng.KindString:
			for s := range strings.SplitSeq(v.Str(), ",") {
				if s = strings.TrimSpace(s); s != "" && !yield(unescapeFlag(s)) {
					return
				}
			}
		case ng.KindList:
			for _, item := range v.List() {
				if s := flagText(item); s != "" && !yield(unescapeFlag(s)) {
					return
				}
			}
		case ng.KindInt:
			yield(flagText(v))
		}
	}
}

// unescapeFlag undoes what a flag string cannot carry: "--" stands for "=", ".." for a space.
func unescapeFlag(s string) string {
	if strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "=")
	}
	if strings.Contains(s, "..") {
		s = strings.ReplaceAll(s, "..", " ")
	}
	return s
}

// flagText is a string or an integer as text, "" for anything else.
func flagText(v ng.Value) string {
	if v.Kind() == ng.KindInt {
		n, _ := v.Int()
		return strconv.FormatInt(n, 10)
	}
	return v.Str()
}

// flagAddr reads an address, also in brackets as SIP writes IPv6.
func flagAddr(s string) (netip.Addr, bool) {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil
}
