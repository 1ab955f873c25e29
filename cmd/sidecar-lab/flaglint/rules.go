package flaglint

import (
	"slices"
	"strings"
)

// choices are the keys of which only one value can hold.
var choices = []string{"ICE", "ICE-lite", "DTLS", "DTLS-reverse", "address-family", "transport-protocol", "endpoint-learning",
	"drop-traffic", "media-echo", "record-call", "generate-RTCP", "passthrough", "audio-player", "DTMF-security",
	"sip-message-type", "all", "alias-key", "DTLS-fingerprint"}

// besides are values of those keys that go together with another.
var besides = map[string]bool{"ICE=ice2": true, "ICE=default": true, "transport-protocol=accept": true}

// choices finds keys that are told two things.
func (c *check) choices() {
	first := map[string]Effect{}
	for _, e := range c.effects {
		key, value, ok := strings.Cut(e.Name, "=")
		if !ok && e.Row != nil && e.Rest != "" && (slices.Contains(numberKeys, e.Name) || slices.Contains(addressKeys, e.Name)) {
			key, value, ok = e.Name, e.Rest, true
		}
		if !ok || e.Implied || besides[e.Name] || !slices.Contains(choices, key) && !slices.Contains(numberKeys, key) && !slices.Contains(addressKeys, key) {
			continue
		}
		if key == "received-from" {
			continue // family and address
		}
		was, seen := first[key]
		if !seen {
			first[key] = e
			continue
		}
		if _, v, _ := strings.Cut(was.Name, "="); v != value && was.Rest != value {
			c.find(Error, "contradiction", e.Word, "%s contradicts %s: one of them is lost", e.Word.Text, was.Word.Text)
		}
	}
}

// pair is two effects that cannot both hold.
type pair struct{ a, b, why string }

var pairTable = []pair{
	{"rtcp-mux=demux", "rtcp-mux=offer", "demux keeps rtcp-mux from the receiver, offer offers it"},
	{"rtcp-mux=demux", "rtcp-mux=require", "demux keeps rtcp-mux from the receiver, require asks for it"},
	{"rtcp-mux=demux", "rtcp-mux=reject", "demux accepts rtcp-mux from the sender, reject refuses it"},
	{"rtcp-mux=accept", "rtcp-mux=reject", "rtcp-mux is accepted or refused"},
	{"rtcp-mux=require", "rtcp-mux=reject", "rtcp-mux is required and refused"},
	{"trust-address", "SIP-source-address", "the address of the SDP or that of the SIP message"},
	{"symmetric", "asymmetric", "the source is learnt or it is not"},
	{"asymmetric", "media-handover", "a source that is not learnt cannot be followed"},
	{"strict-source", "media-handover", "other sources are dropped or followed"},
	{"port-latching", "no-port-latching", "local ports are kept or renewed"},
	{"no-rtcp-attribute", "full-rtcp-attribute", "a=rtcp is left out or written in full"},
	{"bundle=reject", "bundle=offer", "bundling is undone and offered"},
	{"bundle=reject", "bundle=require", "bundling is undone and required"},
	{"bundle=reject", "bundle=accept", "bundling is undone and accepted"},
	{"bundle=reject", "bundle=strict", "bundling is undone and required"},
	{"ICE=remove", "trickle-ICE", "candidates cannot trickle when ICE is removed"},
	{"ICE=remove", "ICE=ice2", "no a=ice-options when ICE is removed"},
	{"ICE=remove", "ICE-lite=forward", "no ICE, not even a light one"},
	{"ICE=remove", "ICE-lite=both", "no ICE, not even a light one"},
	{"RTP", "SRTP", "SRTP or not"},
	{"AVP", "AVPF", "feedback profile or not"},
	{"OSRTP=offer", "SDES=off", "OSRTP offers keys, SDES-off leaves them out"},
	{"early-media", "audio-player=off", "early-media starts the player"},
	{"recrypt", "passthrough=on", "new keys on both sides, or packets as they are"},
}

// protocolWords against words that change one property.
var protocolBits = map[string]func(string) bool{
	"RTP":  func(p string) bool { return strings.Contains(p, "SAVP") },
	"SRTP": func(p string) bool { return !strings.Contains(p, "SAVP") },
	"AVP":  func(p string) bool { return strings.HasSuffix(p, "F") },
	"AVPF": func(p string) bool { return !strings.HasSuffix(p, "F") },
	"DTLS": func(p string) bool { return !strings.HasPrefix(p, "UDP/TLS") },
}

func (c *check) pairs() {
	for _, p := range pairTable {
		a, oka := c.first(p.a)
		b, okb := c.first(p.b)
		if !oka || !okb || a.Implied && b.Implied {
			continue
		}
		later, other := b, a
		if a.Word.Pos > b.Word.Pos {
			later, other = a, b
		}
		c.find(Error, "contradiction", later.Word, "%s contradicts %s: %s", later.Word.Text, other.Word.Text, p.why)
	}
	proto, hasProto := c.protocol()
	if w, ok := c.first("WebRTC"); ok {
		if hasProto && !proto.Implied && c.name(proto) != "UDP/TLS/RTP/SAVPF" {
			c.find(Error, "contradiction", w.Word, "%s contradicts WebRTC, which gives way", proto.Word.Text)
		}
		if e, ok := c.first("ICE=remove"); ok {
			c.find(Error, "contradiction", e.Word, "%s contradicts WebRTC, which gives way", e.Word.Text)
		}
	}
	if hasProto && !proto.Implied {
		for bit, against := range protocolBits {
			if e, ok := c.first(bit); ok && against(c.name(proto)) {
				c.find(Error, "contradiction", e.Word, "%s contradicts %s", e.Word.Text, proto.Word.Text)
			}
		}
	}
	c.keys(proto, hasProto)
	c.sides()
}

// protocol is the transport protocol asked for.
func (c *check) protocol() (Effect, bool) {
	var last Effect
	found := false
	for _, e := range c.effects {
		if strings.HasPrefix(e.Name, "transport-protocol=") && e.Name != "transport-protocol=accept" && (!found || !e.Implied) {
			last, found = e, true
		}
	}
	return last, found
}

func (c *check) name(e Effect) string { return strings.TrimPrefix(e.Name, "transport-protocol=") }

// keys finds protocols that are left without any keying, and keying words that nothing reads.
func (c *check) keys(proto Effect, hasProto bool) {
	off, sdesOff := c.first("SDES=off")
	if sdesOff && !off.Implied {
		for _, e := range c.effects {
			if strings.HasPrefix(e.Name, "SDES=") && e.Name != "SDES=off" {
				c.find(Error, "contradiction", e.Word, "%s has no effect beside %s", e.Word.Text, off.Word.Text)
			}
		}
	}
	if !hasProto {
		return
	}
	name := c.name(proto)
	if dtls, ok := c.first("DTLS=off"); ok {
		switch {
		case strings.HasPrefix(name, "UDP/TLS"):
			c.find(Error, "contradiction", dtls.Word, "%s leaves %s without keys: that protocol has no others", dtls.Word.Text, name)
		case strings.Contains(name, "SAVP") && sdesOff:
			c.find(Error, "contradiction", dtls.Word, "%s and %s leave %s without keys", dtls.Word.Text, off.Word.Text, name)
		}
	}
	if strings.Contains(name, "SAVP") {
		if e, ok := c.first("OSRTP=offer"); ok {
			c.find(Error, "contradiction", e.Word, "%s is SRTP under the name RTP/AVP (RFC 8643 section 3.1); with %s there is nothing opportunistic", e.Word.Text, proto.Word.Text)
		}
		return
	}
	for _, e := range c.effects {
		if strings.HasPrefix(e.Name, "DTLS-fingerprint=") && c.only("offer") && !c.has("OSRTP=offer") {
			c.find(Warning, "no-effect", e.Word, "%s has no effect: %s carries no fingerprint", e.Word.Text, name)
		}
	}
}

// sides finds a direction with one half missing.
func (c *check) sides() {
	if c.o.Part {
		return
	}
	var sides []Effect
	for _, e := range c.effects {
		if e.Name == "internal" || e.Name == "external" || e.Name == "direction" {
			sides = append(sides, e)
		}
	}
	in, hasIn := c.first("from-interface")
	out, hasOut := c.first("to-interface")
	switch {
	case len(sides) == 1:
		c.find(Error, "direction", sides[0].Word, "%s names one side only; the receiver's is missing", sides[0].Word.Text)
	case len(sides) > 2:
		c.find(Error, "direction", sides[2].Word, "a third direction; there are two sides")
	case hasIn && !hasOut && fold(in.Word.Text[:2]) == "in":
		c.find(Error, "direction", in.Word, "in-iface without out-iface: the module sends neither")
	case hasOut && !hasIn && fold(out.Word.Text[:3]) == "out":
		c.find(Error, "direction", out.Word, "out-iface without in-iface: the module sends neither")
	}
}

// codecs finds codec lists that undo one another.
func (c *check) codecs() {
	lists := map[string][]Effect{}
	for _, e := range c.effects {
		if list, ok := strings.CutPrefix(e.Name, "codec="); ok {
			lists[list] = append(lists[list], e)
		}
	}
	named := func(list, codec string) (Effect, bool) {
		for _, e := range lists[list] {
			if strings.EqualFold(base(e.Rest), base(codec)) {
				return e, true
			}
		}
		return Effect{}, false
	}
	stripped := func(list string) bool {
		_, all := named(list, "all")
		_, full := named(list, "full")
		return all || full
	}
	everything := stripped("strip") || stripped("mask") || stripped("consume")
	for _, gone := range []string{"strip", "mask"} {
		for _, e := range lists[gone] {
			for _, kept := range []string{"offer", "except", "accept"} {
				if k, ok := named(kept, e.Rest); ok {
					c.find(Error, "contradiction", later(e, k).Word, "%s is both in %s and in %s", base(e.Rest), gone, kept)
				}
			}
		}
	}
	for _, kept := range []string{"offer", "except"} {
		for _, e := range lists[kept] {
			if !everything && !c.o.Part {
				c.find(Warning, "no-effect", e.Word, "codec %s does nothing unless strip or mask takes all away", kept)
				break
			}
		}
	}
	if everything && len(lists["offer"])+len(lists["except"])+len(lists["transcode"]) == 0 && !c.o.Part && !c.has("allow-no-codec-media") {
		e := lists["strip"]
		if len(e) == 0 {
			e = append(lists["mask"], lists["consume"]...)
		}
		c.find(Error, "contradiction", e[0].Word, "every codec is taken away and none is named to stay; the relay then restores all of them")
	}
}

func later(a, b Effect) Effect {
	if a.Word.Pos > b.Word.Pos {
		return a
	}
	return b
}

// base is the name of a codec specification.
func base(spec string) string {
	name, _, _ := strings.Cut(spec, "/")
	return name
}

// browserCodecs are what Chrome, Firefox and Safari have in common, and what goes with them.
var browserCodecs = []string{"opus", "PCMU", "PCMA", "G722", "VP8", "VP9", "H264", "AV1", "telephone-event", "CN", "red", "rtx", "ulpfec", "flexfec-03", "all", "full"}

// browser finds what the browser that receives the SDP cannot work with.
func (c *check) browser() {
	proto, hasProto := c.protocol()
	to := c.o.To == Browser || hasProto && strings.HasPrefix(c.name(proto), "UDP/TLS/RTP/") && c.o.To != Phone
	if c.o.From == Browser && (c.only("offer")) && c.o.To == Phone && !c.o.Part {
		c.fromBrowser(proto, hasProto)
	}
	if !to {
		return
	}
	w := proto.Word
	if !hasProto {
		w = Word{Text: c.flags}
		if words, _ := Split(c.flags); len(words) > 0 {
			w = words[0]
		}
	}
	if e, ok := c.first("ICE=remove"); ok && !c.has("WebRTC") {
		c.find(Error, "browser", e.Word, "a browser sends no media without ICE (RFC 8827 section 6.3)")
	}
	if e, ok := c.first("rtcp-mux=reject"); ok {
		c.find(Error, "browser", e.Word, "browsers refuse media without rtcp-mux (RFC 8829 section 4.1.1, policy \"require\")")
	}
	if e, ok := c.first("rtcp-mux=demux"); ok && c.only("offer") {
		c.find(Error, "browser", e.Word, "the browser that receives this offer requires rtcp-mux, and demux keeps it away (RFC 8829 section 4.1.1)")
	}
	if e, ok := c.first("DTLS=off"); ok && (!hasProto || !strings.HasPrefix(c.name(proto), "UDP/TLS")) {
		c.find(Error, "browser", e.Word, "browsers take keys from DTLS alone (RFC 8827 section 6.5)")
	}
	if hasProto && !strings.Contains(c.name(proto), "SAVP") {
		c.find(Error, "browser", w, "%s is unencrypted; browsers speak SRTP only (RFC 8827 section 6.5)", c.name(proto))
	}
	if hasProto && strings.HasPrefix(c.name(proto), "RTP/SAVP") {
		if !c.has("DTLS=off") && !c.has("SDES=off") {
			c.find(Warning, "browser", w, "%s offers SDES keys, which browsers must not use (RFC 8827 section 6.5); UDP/TLS/RTP/SAVPF is meant", c.name(proto))
		}
	}
	for _, e := range c.effects {
		if e.Name == "DTLS-fingerprint=sha-1" {
			c.find(Warning, "browser", e.Word, "browsers may refuse a sha-1 fingerprint (RFC 8122 section 5 asks for sha-256)")
		}
	}
	c.browserCodecs()
	if c.o.Part || !c.only("offer") {
		return
	}
	if !c.has("rtcp-mux=offer") && !c.has("rtcp-mux=require") && !c.has("rtcp-mux=demux") && !c.has("rtcp-mux=reject") && hasProto && c.o.From != Browser {
		f := c.find(Error, "browser", w, "browsers require rtcp-mux, which an offer from a phone does not have (RFC 8829 section 4.1.1)")
		f.Suggest = "rtcp-mux-offer beside it"
	}
	if !c.hasPrefix("ICE=") && hasProto && c.o.From != Browser {
		f := c.find(Error, "browser", w, "browsers require ICE, which an offer from a phone does not have (RFC 8827 section 6.3)")
		f.Suggest = "ICE=force beside it"
	}
}

// fromBrowser looks at an offer of a browser to a phone: the browser's own side has needs too.
func (c *check) fromBrowser(proto Effect, hasProto bool) {
	words, _ := Split(c.flags)
	if len(words) == 0 {
		return
	}
	if hasProto && !c.has("rtcp-mux=demux") && !c.has("rtcp-mux=accept") && !strings.HasPrefix(c.name(proto), "UDP/TLS") {
		c.find(Error, "browser", proto.Word, "the browser that sent this offer requires rtcp-mux in the answer, which a phone will not accept").Suggest = "rtcp-mux-demux beside it"
	}
	if e, ok := c.first("reject-ICE"); ok {
		c.find(Error, "browser", e.Word, "the browser that sent this offer is answered without ICE and sends nothing")
	}
}

func (c *check) hasPrefix(prefix string) bool {
	return slices.ContainsFunc(c.effects, func(e Effect) bool { return strings.HasPrefix(e.Name, prefix) })
}

// browserCodecs finds codec lists that leave a browser nothing it knows.
func (c *check) browserCodecs() {
	all := false
	var kept []Effect
	for _, e := range c.effects {
		switch e.Name {
		case "codec=strip", "codec=mask":
			all = all || strings.EqualFold(e.Rest, "all") || strings.EqualFold(e.Rest, "full")
		case "codec=offer", "codec=except", "codec=transcode":
			kept = append(kept, e)
		}
	}
	if !all || len(kept) == 0 || slices.ContainsFunc(kept, func(e Effect) bool {
		return slices.ContainsFunc(browserCodecs, func(b string) bool {
			return strings.EqualFold(b, base(e.Rest)) && !strings.EqualFold(b, "telephone-event")
		})
	}) {
		return
	}
	c.find(Error, "browser", kept[0].Word, "no browser decodes %s; opus, PCMU, PCMA and G722 are what they have (RFC 7874 section 3)", base(kept[0].Rest))
}
