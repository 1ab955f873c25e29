package rtpengine

import (
	"slices"
	"strings"

	"rtpsidecar/sdp"
)

// create makes an offer out of nothing, or one that describes to a known party what it is to hear.
func (e *Engine) create(x *exchange) error {
	f := &x.flags
	id := first(f.CallID, e.newTag())
	c, created, err := e.openCall(id, x.req.Source, false)
	if err != nil {
		return err
	}
	defer e.unlock(c)
	if created {
		c.log.Info("call created", "client", x.req.Source)
	}
	c.signal(f)
	p := c.participant(f.FromTag)
	if p == nil {
		p = c.addParticipant(first(f.FromTag, e.newTag()), c.lastSignal)
	}
	p.revive()
	p.Label = first(f.SetLabel, f.Label, p.Label)
	p.placeOn(f.interfaceWord(), f.AddressFamily, "")
	n := negotiation{call: c, f: f, from: p, to: p}
	if p.hears() {
		f.Codec.Transcode = slices.Concat(f.Codec.Transcode, f.Codec.Offer) // beside what it hears, as the reference takes it
		n.pairHeard()
	} else {
		n.pairCreated()
	}
	if err := n.offerReceiver(); err != nil {
		e.destroy(c, closedError)
		return err
	}
	body := n.print(true)
	c.apply()
	x.reply.AddString("call-id", id)
	x.reply.AddString("from-tag", p.Tag)
	x.reply.AddString("sdp", string(body))
	return nil
}

// interfaceWord is the logical interface of a party that a request is about alone.
func (f *Flags) interfaceWord() string { return first(f.Interface, f.Direction[1], f.Direction[0]) }

// hears tells whether p has sources.
func (p *Participant) hears() bool {
	for _, m := range p.Medias {
		if src := m.heard(); src != nil && src.leg.In != nil {
			return true
		}
	}
	return false
}

// heard is the first of m's sources: its partner in a dialogue, if it is in one.
func (m *Media) heard() *Media {
	if src := m.dialogueSource(); src != nil || len(m.sources) == 0 {
		return src
	}
	return m.sources[0].from
}

// pairHeard pairs each section of the receiver with the one it hears, with the codecs and the protocol that were agreed
// with it.
func (n *negotiation) pairHeard() {
	for _, m := range n.to.Medias {
		src := m.heard()
		if src == nil || src.leg.In == nil {
			continue
		}
		if n.s == nil {
			n.s, n.from = src.party.in, src.party
		}
		p := &pair{am: src, bm: m, a: src.leg, b: m.leg, sec: src.leg.In.Clone()}
		p.sec.Codecs = m.leg.agreed()
		p.sec.Protocol, p.sec.ProtoText = m.leg.Protocol, m.leg.ProtoText
		p.a.In, p.a.Codecs, p.a.OSRTP = p.sec, p.sec.Codecs, m.leg.OSRTP
		n.pairs = append(n.pairs, p)
	}
}

// pairCreated makes the sections that the request asks for: one of audio when it says nothing.
func (n *negotiation) pairCreated() {
	n.s = n.call.engine.ownSession(n.to)
	wanted := n.f.Medias
	if len(wanted) == 0 {
		wanted = []MediaWish{{Type: "audio", Codecs: n.f.Codec.Offer}}
	}
	for i, w := range wanted {
		sec := &sdp.Media{Type: first(w.Type, "audio"), Port: 9, Protocol: sdp.RTPAVP, Codecs: codecsNamed(w), Direction: sdp.SendRecv}
		m := n.to.media(i, sec.Type)
		p := &pair{bm: m, b: m.leg, sec: sec}
		p.a = leg{In: sec, Protocol: sec.Protocol, Codecs: sec.Codecs, Dir: sec.Direction}
		n.pairs = append(n.pairs, p)
	}
}

// firstDynamic is the first payload type that is free for any codec, RFC 3551 section 3.
const firstDynamic = 96

// codecsNamed are the codecs that a section is wished with; PCMU and PCMA for audio without a wish.
func codecsNamed(w MediaWish) []sdp.Codec {
	names := w.Codecs
	if len(names) == 0 && strings.EqualFold(first(w.Type, "audio"), "audio") {
		names = []string{"PCMU", "PCMA"}
	}
	next := uint8(firstDynamic)
	var list []sdp.Codec
	for _, name := range names {
		spec, err := sdp.ParseCodecSpec(name)
		if err != nil || next > 127 {
			continue
		}
		c, static := staticNamed(&spec)
		if !static {
			c = dynamicNamed(&spec, w.Type)
			c.PT = next
			next++
		}
		if spec.Fmtp != "" {
			c.Fmtp = []string{spec.Fmtp}
		}
		list = append(list, c)
	}
	return list
}

func staticNamed(spec *sdp.CodecSpec) (sdp.Codec, bool) {
	for pt := range uint8(firstDynamic) {
		if c, ok := sdp.StaticCodec(pt); ok && spec.Match(&c) {
			return c, true
		}
	}
	return sdp.Codec{}, false
}

// usualForms are the clock rates and channels that codecs without a number of their own nearly always have.
var usualForms = map[string]sdp.Codec{
	"opus": {ClockHz: 48000, Channels: 2, Fmtp: []string{"useinbandfec=1"}}, "amr": {ClockHz: 8000},
	"amr-wb": {ClockHz: 16000}, "evs": {ClockHz: 16000}, "speex": {ClockHz: 16000}, "ilbc": {ClockHz: 8000},
	"telephone-event": {ClockHz: 8000, Fmtp: []string{"0-15"}},
}

func dynamicNamed(spec *sdp.CodecSpec, kind string) sdp.Codec {
	c := usualForms[strings.ToLower(spec.Name)]
	c.Name = spec.Name
	if spec.ClockHz != 0 {
		c.ClockHz = spec.ClockHz
	}
	if spec.Channels > 1 {
		c.Channels = spec.Channels
	}
	switch {
	case c.ClockHz != 0:
	case strings.EqualFold(kind, "video"):
		c.ClockHz = 90000
	default:
		c.ClockHz = 8000
	}
	c.Channels = max(c.Channels, 1)
	return c
}

// createAnswer takes the answer to such an offer.
func (e *Engine) createAnswer(x *exchange) error {
	f := &x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errCreateCall
	}
	defer e.unlock(c)
	p := c.living(f.FromTag)
	if p == nil {
		return errCreateTag
	}
	s, err := e.parseBody(f)
	if err != nil {
		return err
	}
	c.signal(f)
	return c.hearAnswer(p, s, f, errCreateAnswer)
}
