package rtpengine

import (
	"net/netip"
	"strings"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// The constructors of setters. Each names the field it fills, so that a row reads as a sentence.

// turnOn is for words that turn one field on.
func turnOn(field func(*Flags) *bool) setter {
	return func(p *flagParser, _ string, _ ng.Value) { *field(p.f) = true }
}

// turnTo is for words and values that mean one value of a field.
func turnTo[T any](field func(*Flags) *T, x T) setter {
	return func(p *flagParser, _ string, _ ng.Value) { *field(p.f) = x }
}

// keepText is for keys that hold a string, copied verbatim. Anything else is reported as unknown.
func keepText(key string, field func(*Flags) *string) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		if v.Kind() != ng.KindString && v.Kind() != ng.KindInt {
			p.unknown(key)
			return
		}
		*field(p.f) = flagText(v)
	}
}

// keepTexts is for keys that hold names, added in order.
func keepTexts(field func(*Flags) *[]string) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		for s := range flagPieces(v) {
			*field(p.f) = append(*field(p.f), s)
		}
	}
}

// addText is for prefixes and prefixed values: what follows is added to a list, after change, which may be nil.
func addText(field func(*Flags) *[]string, change func(string) string) setter {
	return func(p *flagParser, s string, _ ng.Value) {
		if change != nil {
			s = change(s)
		}
		*field(p.f) = append(*field(p.f), s)
	}
}

// addTexts is addText for a list within one value, separated by semicolons or commas.
func addTexts(field func(*Flags) *[]string, change func(string) string) setter {
	one := addText(field, change)
	return func(p *flagParser, s string, v ng.Value) {
		for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' || r == ',' }) {
			one(p, part, v)
		}
	}
}

// keepInt is for keys that hold an integer.
func keepInt(key string, store func(f *Flags, n int64)) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		n, ok := v.Int()
		if !ok {
			p.unknown(key)
			return
		}
		store(p.f, n)
	}
}

// longest is the greatest time a key can ask for; more would be a slip of units.
const longest = 365 * 24 * time.Hour

// units is n units of time as a duration between zero and longest.
func units(n int64, unit time.Duration) time.Duration {
	return unit * time.Duration(min(max(n, 0), int64(longest/unit)))
}

// pick is for keys whose values are rows of their own: one value, a list, or several in one string.
func pick(key string) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		for s := range flagPieces(v) {
			p.value(key, s)
		}
	}
}

// pickRest is for prefixes whose rest is a value of a key.
func pickRest(key string) setter {
	return func(p *flagParser, s string, _ ng.Value) { p.value(key, s) }
}

// words is the key "flags".
func words(p *flagParser, _ string, v ng.Value) {
	for s := range flagPieces(v) {
		p.word(s)
	}
}

// side is the next direction of this level: the first is the sender's side, the second the receiver's.
func side(p *flagParser, name string) {
	if p.sides < len(p.f.Direction) {
		p.f.Direction[p.sides] = name
		p.sides++
	}
}

func directions(p *flagParser, _ string, v ng.Value) {
	for s := range flagPieces(v) {
		side(p, s)
	}
}

// transport is the key transport-protocol.
func transport(p *flagParser, _ string, v ng.Value) {
	for s := range flagPieces(v) {
		switch t := sdp.ParseProtocol(s); {
		case t != sdp.ProtocolUnknown:
			p.f.Transport = t
		case strings.EqualFold(s, "accept"):
			p.f.TransportAccept = true
		default:
			p.unknown("transport-protocol: " + s)
		}
	}
}

// receivedFrom is the key received-from: a family and an address, or the address alone. An empty list is usual.
func receivedFrom(p *flagParser, _ string, v ng.Value) {
	for s := range flagPieces(v) {
		for part := range strings.FieldsSeq(s) {
			if a, ok := flagAddr(part); ok {
				p.f.ReceivedFrom = a
			}
		}
	}
}

// pickDict is for keys that hold a dictionary of lists, whose names are rows of their own.
func pickDict(key string) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		if v.Dict() == nil {
			p.unknown(key)
			return
		}
		for _, e := range v.Dict().Entries() {
			row := lookupFlag(flagTables.values[key].exact, e.Key)
			if row == nil {
				p.unknown(key + ": " + e.Key)
				continue
			}
			for s := range flagPieces(e.Value) {
				row.set(p, s, ng.Value{})
			}
		}
	}
}

// meshTags is the list tags of mesh: dictionaries with one "from" and a list "to".
func meshTags(p *flagParser, _ string, v ng.Value) {
	for _, item := range v.List() {
		t := MeshTag{From: item.Dict().Value("from").Str()}
		for s := range flagPieces(item.Dict().Value("to")) {
			t.To = append(t.To, s)
		}
		p.f.MeshTags = append(p.f.MeshTags, t)
	}
}

// mediaWishes is the list medias of create: types, or dictionaries with a "type" and a list "codecs".
func mediaWishes(p *flagParser, _ string, v ng.Value) {
	list := v.List()
	if v.Kind() != ng.KindList {
		list = nil
		for s := range flagPieces(v) {
			list = append(list, ng.String(s))
		}
	}
	for _, item := range list {
		w := MediaWish{Type: item.Str()}
		if d := item.Dict(); d != nil {
			w.Type = d.Value("type").Str()
			for _, key := range []string{"codecs", "codec"} {
				for s := range flagPieces(d.Value(key)) {
					w.Codecs = append(w.Codecs, s)
				}
			}
		}
		p.f.Medias = append(p.f.Medias, w)
	}
}

// sdpAttr is the dictionary sdp-attr: section, command, list of attributes. The errors' texts are the reference's; what
// is wrong below the commands is reported and left out.
func sdpAttr(p *flagParser, _ string, v ng.Value) {
	if v.Dict() == nil {
		p.fail("wrong type used")
		return
	}
	for _, section := range v.Dict().Entries() {
		name, ok := sdpSection(section.Key)
		switch {
		case !ok:
			p.fail("unsupported sdp section")
		case section.Value.Dict() == nil:
			p.fail("wrong content given")
		}
		for _, command := range section.Value.Dict().Entries() {
			op, ok := sdpOps[strings.ToLower(command.Key)]
			if !ok {
				p.fail("unknown manipulation command")
				continue
			}
			p.edits(name, op, command.Value)
		}
	}
}

var sdpOps = map[string]sdp.EditOp{"add": sdp.EditAdd, "remove": sdp.EditRemove, "substitute": sdp.EditSubstitute}

// edits reads the arguments of one command. Substitute takes pairs: lists of two, one flat list of two, "from>to", or a
// dictionary.
func (p *flagParser) edits(section string, op sdp.EditOp, v ng.Value) {
	if list := v.List(); op == sdp.EditSubstitute && len(list) == 2 && isPlain(list[0]) && isPlain(list[1]) {
		p.edit(section, op, list[0].Str(), list[1].Str())
		return
	}
	for _, e := range v.Dict().Entries() {
		p.edit(section, op, e.Key, flagText(e.Value))
	}
	for s := range flagPieces(v) {
		if op != sdp.EditSubstitute {
			p.edit(section, op, s, "")
			continue
		}
		from, to, _ := strings.Cut(s, ">")
		p.edit(section, op, from, to)
	}
	for _, item := range v.List() {
		if two := item.List(); len(two) >= 2 {
			p.edit(section, op, flagText(two[0]), flagText(two[1]))
		} else if item.Kind() == ng.KindList || item.Kind() == ng.KindDict {
			p.unknown("sdp-attr: invalid token")
		}
	}
}

// isPlain tells a string that is no "from>to" pair.
func isPlain(v ng.Value) bool { return v.Kind() == ng.KindString && !strings.Contains(v.Str(), ">") }

// edit adds one edit if it is whole.
func (p *flagParser) edit(section string, op sdp.EditOp, arg, with string) {
	if arg == "" || (with == "") == (op == sdp.EditSubstitute) {
		p.unknown("sdp-attr: " + arg)
		return
	}
	p.f.Edits = append(p.f.Edits, sdp.Edit{Section: section, Op: op, Arg: unescapeFlag(arg), With: unescapeFlag(with)})
}

// sdpAttrWord is a flag sdp-attr-<command>-<section>-<attribute>. Unlike in the dictionary a mistake is no error.
func sdpAttrWord(op sdp.EditOp) setter {
	return func(p *flagParser, s string, _ ng.Value) {
		section, arg, _ := strings.Cut(s, "-")
		name, ok := sdpSection(section)
		if !ok {
			p.unknown("sdp-attr: " + s)
			return
		}
		var with string
		if op == sdp.EditSubstitute {
			arg, with, _ = strings.Cut(arg, ">")
		}
		p.edit(name, op, arg, with)
	}
}

// sdpSection names the section of an edit: a media type, or "" for the session.
func sdpSection(s string) (string, bool) {
	s = strings.ToLower(s)
	if s == "none" || s == "global" {
		return "", true
	}
	return s, sdp.IsMediaType(s)
}

// protocolBit is for the words that change one property of the transport protocol.
func protocolBit(field func(*flagParser) *OnOff, to OnOff) setter {
	return func(p *flagParser, _ string, _ ng.Value) { *field(p) = to }
}

// upper is for crypto suite names.
func upper(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

// keepAddr is for keys that hold an IP address; an empty one says nothing.
func keepAddr(key string, field func(*Flags) *netip.Addr) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		if flagText(v) == "" {
			return
		}
		a, ok := flagAddr(flagText(v))
		if !ok {
			p.unknown(key + ": " + flagText(v))
			return
		}
		*field(p.f) = a
	}
}

// startDropping is drop-traffic=start; stop wins over it, whatever their order.
func startDropping(p *flagParser, _ string, _ ng.Value) {
	if p.f.DropTraffic != Off {
		p.f.DropTraffic = On
	}
}

// delayBuffer is the key delay-buffer: a delay would need packets to be held back.
func delayBuffer(p *flagParser, _ string, v ng.Value) {
	switch n, ok := v.Int(); {
	case !ok:
		p.unknown("delay-buffer: " + flagText(v))
	case n == 0:
		d := time.Duration(0)
		p.f.DelayBuffer = &d
	default:
		p.refuse(flagTables.keys["delay-buffer"], "delay-buffer="+flagText(v))
	}
}

func dotless(s string) string { return strings.ReplaceAll(s, ".", "") }

// Fields that several rows fill.
func sipMessage(f *Flags) *SIPMessage     { return &f.SIPMessage }
func allMode(f *Flags) *AllMode           { return &f.All }
func aliasKey(f *Flags) *AliasKey         { return &f.AliasKey }
func family(f *Flags) *sdp.Family         { return &f.AddressFamily }
func iceMode(f *Flags) *ICEMode           { return &f.ICE }
func iceLite(f *Flags) *LiteMode          { return &f.ICELite }
func learnMode(f *Flags) **relay.Learning { return &f.Learning }
func echoMode(f *Flags) *EchoMode         { return &f.MediaEcho }
func inboundPeer(f *Flags) *netip.Addr    { return &f.InboundPeer }
func outboundPeer(f *Flags) *netip.Addr   { return &f.OutboundPeer }
func onePeer(f *Flags) *netip.Addr        { return &f.Peer }
func srtpBit(p *flagParser) *OnOff        { return &p.srtp }
func avpfBit(p *flagParser) *OnOff        { return &p.avpf }
func dtlsBit(p *flagParser) *OnOff        { return &p.tls }

func sideWord(name string) setter {
	return func(p *flagParser, _ string, _ ng.Value) { side(p, name) }
}

func dtmfSecurity(f *Flags) *DTMFSecurity { return &f.DTMFSecurity }

// digit is the key digit.
func digit(p *flagParser, _ string, v ng.Value) {
	n, ok := digitNumber(flagText(v))
	if !ok {
		p.unknown("digit: " + flagText(v))
		return
	}
	p.f.Digit = n
}

// dtmfLog is the key DTMF-log-dest; a host is named by its address, as nothing may wait for DNS here.
func dtmfLog(p *flagParser, _ string, v ng.Value) {
	if flagText(v) == "" {
		return
	}
	a, err := netip.ParseAddrPort(flagText(v))
	if err != nil || a.Port() == 0 {
		p.unknown("DTMF-log-dest: " + flagText(v))
		return
	}
	p.f.DTMFLog = a
}
