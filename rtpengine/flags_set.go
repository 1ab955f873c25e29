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

// keepSwitch is for keys that say on or off.
func keepSwitch(key string, field func(*Flags) *OnOff) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		if s := parseOnOff(flagText(v)); s != Unset {
			*field(p.f) = s
			return
		}
		p.unknown(key + ": " + flagText(v))
	}
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

// codecs is the dictionary codec.
func codecs(p *flagParser, _ string, v ng.Value) {
	for _, e := range v.Dict().Entries() {
		row := lookupFlag(flagTables.values["codec"].exact, e.Key)
		if row == nil {
			p.unknown("codec: " + e.Key)
			continue
		}
		for s := range flagPieces(e.Value) {
			row.set(p, s, ng.Value{})
		}
	}
	if v.Dict() == nil {
		p.unknown("codec")
	}
}

// extmaps is the dictionary extmap.
func extmaps(p *flagParser, _ string, v ng.Value) {
	for _, e := range v.Dict().Entries() {
		row := lookupFlag(flagTables.values["extmap"].exact, e.Key)
		if row == nil {
			p.unknown("extmap: " + e.Key)
			continue
		}
		for s := range flagPieces(e.Value) {
			row.set(p, s, ng.Value{})
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

// sdpAttr is the dictionary sdp-attr: section, command, list of attributes.
func sdpAttr(p *flagParser, _ string, v ng.Value) {
	if v.Dict() == nil {
		p.fail("wrong type used")
		return
	}
	for _, section := range v.Dict().Entries() {
		if section.Value.Dict() == nil {
			p.fail("wrong type used")
			continue
		}
		name, ok := sdpSection(section.Key)
		if !ok {
			p.fail("unsupported sdp section")
			continue
		}
		for _, command := range section.Value.Dict().Entries() {
			op, ok := sdpOp(command.Key)
			if !ok {
				p.fail("unknown manipulation command")
				continue
			}
			p.edits(name, op, command.Value)
		}
	}
}

// edits reads the arguments of one command.
func (p *flagParser) edits(section string, op sdp.EditOp, v ng.Value) {
	if op != sdp.EditSubstitute {
		if v.Kind() != ng.KindList && v.Kind() != ng.KindString {
			p.fail("wrong content given")
			return
		}
		args := v.List()
		if v.Kind() == ng.KindString {
			args = []ng.Value{v}
		}
		for _, a := range args {
			if s := flagText(a); s != "" {
				p.f.Edits = append(p.f.Edits, sdp.Edit{Section: section, Op: op, Arg: unescapeFlag(s)})
			}
		}
		return
	}
	pair := func(from, to string) {
		p.f.Edits = append(p.f.Edits, sdp.Edit{Section: section, Op: op, Arg: unescapeFlag(from), With: unescapeFlag(to)})
	}
	switch v.Kind() {
	case ng.KindDict:
		for _, e := range v.Dict().Entries() {
			pair(e.Key, flagText(e.Value))
		}
	case ng.KindString:
		from, to, ok := strings.Cut(v.Str(), ">")
		if !ok {
			p.fail("wrong content given")
			return
		}
		pair(from, to)
	case ng.KindList:
		list := v.List()
		if len(list) > 0 && list[0].Kind() == ng.KindString && !strings.Contains(list[0].Str(), ">") {
			if len(list) < 2 {
				p.fail("wrong content given")
				return
			}
			for i := 0; i+1 < len(list); i += 2 {
				pair(flagText(list[i]), flagText(list[i+1]))
			}
			return
		}
		for _, item := range list {
			if two := item.List(); len(two) >= 2 {
				pair(flagText(two[0]), flagText(two[1]))
				continue
			}
			p.edits(section, op, item)
		}
	default:
		p.fail("wrong content given")
	}
}

// sdpAttrWord is a flag sdp-attr-<command>-<section>-<attribute>.
func sdpAttrWord(op sdp.EditOp) setter {
	return func(p *flagParser, s string, _ ng.Value) {
		section, arg, ok := strings.Cut(s, "-")
		if !ok || arg == "" {
			p.fail("invalid token given")
			return
		}
		name, ok := sdpSection(section)
		if !ok {
			p.fail("unsupported sdp section")
			return
		}
		e := sdp.Edit{Section: name, Op: op, Arg: arg}
		if op == sdp.EditSubstitute {
			if e.Arg, e.With, ok = strings.Cut(arg, ">"); !ok {
				p.fail("invalid token given")
				return
			}
		}
		p.f.Edits = append(p.f.Edits, e)
	}
}

// sdpSection names the section of an edit: a media type, or "" for the session.
func sdpSection(s string) (string, bool) {
	switch s = strings.ToLower(s); s {
	case "none", "global", "session":
		return "", true
	case "audio", "video", "image", "message", "text", "application", "other":
		return s, true
	}
	return "", false
}

func sdpOp(s string) (sdp.EditOp, bool) {
	switch strings.ToLower(s) {
	case "add":
		return sdp.EditAdd, true
	case "remove":
		return sdp.EditRemove, true
	case "substitute":
		return sdp.EditSubstitute, true
	}
	return 0, false
}

// protocolBit is for the words that change one property of the transport protocol.
func protocolBit(field func(*flagParser) *OnOff, to OnOff) setter {
	return func(p *flagParser, _ string, _ ng.Value) { *field(p) = to }
}

// upper is for crypto suite names.
func upper(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

// keepAddr is for keys that hold an IP address.
func keepAddr(key string, field func(*Flags) *netip.Addr) setter {
	return func(p *flagParser, _ string, v ng.Value) {
		a, ok := flagAddr(flagText(v))
		if !ok {
			p.unknown(key + ": " + flagText(v))
			return
		}
		*field(p.f) = a
	}
}

// keepDrop is the key drop-traffic; stop wins over start within one request.
func keepDrop(p *flagParser, _ string, v ng.Value) {
	for s := range flagPieces(v) {
		switch parseOnOff(s) {
		case Off:
			p.f.DropTraffic = Off
		case On:
			if p.f.DropTraffic != Off {
				p.f.DropTraffic = On
			}
		default:
			p.unknown("drop-traffic: " + s)
		}
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
