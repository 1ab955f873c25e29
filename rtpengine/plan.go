package rtpengine

import (
	"slices"

	"rtpsidecar/relay"
	"rtpsidecar/relay/rtp"
	"rtpsidecar/sdp"
)

// plan says where the packets that arrive at m's transport go: one route for each section that it carries.
func (m *Media) plan() *relay.Plan {
	p := &relay.Plan{}
	if m.idles() {
		return p
	}
	bundled := m.bundledWith()
	for _, x := range bundled {
		r := x.route()
		if len(bundled) > 1 {
			r.MID = x.leg.MID
			r.MIDExt = uint8(x.leg.MIDExt)
			for _, c := range x.leg.Codecs {
				r.PTs.Add(c.PT)
			}
		}
		p.Routes = append(p.Routes, r)
	}
	return p
}

// bundledWith are the sections on m's transport, m first.
func (m *Media) bundledWith() []*Media {
	list := []*Media{m}
	for _, o := range m.party.Medias {
		if o.bundle == m && !o.leg.Rejected {
			list = append(list, o)
		}
	}
	return list
}

// route is the way of one section's packets to those subscribed to it.
func (m *Media) route() relay.Route {
	r := relay.Route{
		ID:         m.id,
		Discard:    m.leg.rtp() && !m.leg.sends() || m.party.blocked || m.echo == echoDiscard,
		ClockRates: clockRates(m.leg.Codecs),
		LoopCheck:  m.leg.LoopCheck,
	}
	if m.party.call.tellsDigits() {
		r.Digits = eventTypes(m.leg.Codecs)
	}
	if m.party.silenced {
		r.Silence = silenceSet(m.leg.Codecs)
	}
	for _, s := range m.sinks {
		if sink, ok := s.sink(); ok {
			if s.silenced && !m.party.silenced {
				sink.Silence = silenceSet(m.leg.Codecs)
			}
			r.Sinks = append(r.Sinks, sink)
		}
	}
	if m.party.noShort {
		r.Short = m.shortSet(r.Sinks)
	}
	if m.echo == echoBack {
		r.Sinks = []relay.Sink{{To: m.transport(), Feedback: m.leg.takesFeedback()}}
		return r
	}
	for _, s := range m.sources {
		if t := s.from.transport(); s.mirrorRTCP && t != nil {
			r.Sinks = append(r.Sinks, relay.Sink{To: t, MuteRTP: true, Feedback: s.from.leg.takesFeedback()})
		}
	}
	return r
}

// sink is the receiving end of a subscription; ok is false while there is none.
func (s *subscription) sink() (relay.Sink, bool) {
	from, to := &s.from.leg, &s.to.leg
	t := s.to.transport()
	if t == nil || to.Rejected || from.Rejected {
		return relay.Sink{}, false
	}
	k := relay.Sink{
		To:       t,
		Feedback: to.takesFeedback() || !to.rtp(),
		MuteRTP:  to.rtp() && !to.receives() || s.blocked,
		PTMap:    payloadMap(to.Codecs, from.Codecs, from.Shown),
	}
	k.PTMap, k.Recode = recode(k.PTMap, to.agreed(), from.Codecs, from.Shown)
	k.Framer = s.framing()
	s.from.party.dtmf.apply(&k, from.Codecs)
	s.dtmf.apply(&k, from.Codecs)
	if k.ExtMap = to.extensions(from); k.ExtMap != nil {
		k.ExtForms = to.extensionForms()
	}
	var masked []int
	if from.MIDExt > 0 && extmapID(to.heardExtmaps(), uriMID) == 0 {
		masked = append(slices.Clone(masked), from.MIDExt) // it names a section of the sender's, and nobody asked
	}
	k.ExtMap = withoutExtensions(k.ExtMap, masked)
	if to.MID != "" && to.MIDExt > 0 && (s.to.bundled() || extmapID(to.heardExtmaps(), uriMID) > 0) {
		k.MID, k.MIDExt = to.MID, uint8(to.MIDExt)
	}
	k.Passthrough = from.SDES.Chosen && to.SDES.Chosen && from.SDES.Recv.Equal(to.SDES.Send) &&
		!from.Flags.Recrypt && !to.Flags.Recrypt && k.PTMap == nil && k.Framer == nil && k.Digits == nil && k.ExtMap == nil && k.MID == "" &&
		s.from.party.noPayloadEdits()
	return k, true
}

// noPayloadEdits tells whether the party's packets may go on as they are.
func (p *Participant) noPayloadEdits() bool { return !p.silenced }

// bundled tells whether m shares its transport.
func (m *Media) bundled() bool { return len(m.head().bundledWith()) > 1 }

// ptDrop in a payload type map drops the packet.
const ptDrop = 0xff

func identityMap() *[128]uint8 {
	m := new([128]uint8)
	for i := range m {
		m[i] = uint8(i)
	}
	return m
}

// extensions translates the header extensions of packets from a party to l's: those that both have keep their meaning,
// the others go. Nil where nobody asked for that.
func (l *leg) extensions(from *leg) *[256]uint8 {
	if !l.ExtOnly || from.In == nil {
		return nil
	}
	has := l.Exts
	if l.In != nil {
		has = l.In.Extmaps
	}
	m := new([256]uint8)
	for _, x := range from.In.Extmaps {
		shown := !from.Told || extmapID(from.Exts, x.URI) > 0
		if id := extmapID(has, x.URI); id > 0 && shown && extmapID(l.Exts, x.URI) > 0 && x.ID < len(m) {
			m[x.ID] = uint8(id)
		}
	}
	return m
}

// extensionForms is how the party takes header extensions, RFC 8285 section 4.1.2: both forms beside each other only if it
// says so, and else the one-byte form, unless its own numbers need the other.
func (l *leg) extensionForms() rtp.ExtensionForms {
	exts := l.heardExtmaps()
	switch {
	case l.In != nil && l.In.ExtmapAllowMixed:
		return rtp.FormShort
	case slices.ContainsFunc(exts, func(x sdp.Extmap) bool { return x.ID > 14 }):
		return rtp.FormAsIs
	}
	return rtp.FormOneByte
}

// withoutExtensions removes the extensions with these ids from m, which may be nil; so is the result where none are named.
func withoutExtensions(m *[256]uint8, ids []int) *[256]uint8 {
	if m == nil && len(ids) > 0 {
		m = new([256]uint8)
		for i := range m {
			m[i] = uint8(i)
		}
	}
	for _, id := range ids {
		m[id&0xff] = 0
	}
	return m
}

// withoutDTMF drops the events of RFC 4733 from m.
func withoutDTMF(m *[128]uint8, from []sdp.Codec) *[128]uint8 {
	for i := range from {
		if !isDTMF(&from[i]) {
			continue
		}
		if m == nil {
			m = identityMap()
		}
		m[from[i].PT&0x7f] = ptDrop
	}
	return m
}

// clockRates are the rates of the payload types that are not static, for the jitter.
func clockRates(codecs []sdp.Codec) []relay.ClockRate {
	n := 0
	for i := range codecs {
		if !codecs[i].Static && codecs[i].ClockHz > 0 {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	rates := make([]relay.ClockRate, 0, n)
	for i := range codecs {
		if c := &codecs[i]; !c.Static && c.ClockHz > 0 {
			rates = append(rates, relay.ClockRate{PT: c.PT & 0x7f, Hz: uint32(c.ClockHz)})
		}
	}
	return rates
}

// shortSet lists the payload types of codecs that make packets of one size, by the reference's reckoning (observed). Those
// that are turned into others pass, as with the reference.
func (m *Media) shortSet(sinks []relay.Sink) *relay.ShortSet {
	s := &relay.ShortSet{Epoch: m.party.call.answers}
	for i := range m.leg.Codecs {
		c := &m.leg.Codecs[i]
		recoded := slices.ContainsFunc(sinks, func(k relay.Sink) bool { return k.Recode != nil && k.Recode[c.PT&0x7f] != nil })
		switch upperName(c) {
		case "PCMU", "PCMA", "G722", "G723", "G726-16", "G726-24", "G726-32", "G726-40", "G729", "G729A":
			if !recoded {
				s.PTs.Add(c.PT)
			}
		}
	}
	return s
}

// Silence of the encodings that can be silenced without decoding: G.711 zero levels, and the G.722 code of a zero
// sample in both bands.
const (
	silencePCMU = 0xff
	silencePCMA = 0xd5
	silenceG722 = 0xfa
)

// silenceSet lists the payload types that silence media can silence.
func silenceSet(codecs []sdp.Codec) *relay.SilenceSet {
	s := &relay.SilenceSet{}
	for i := range codecs {
		b := byte(0)
		switch name := upperName(&codecs[i]); name {
		case "PCMU":
			b = silencePCMU
		case "PCMA":
			b = silencePCMA
		case "G722":
			b = silenceG722
		default:
			continue
		}
		s.PTs.Add(codecs[i].PT)
		s.Byte[codecs[i].PT&0x7f] = b
	}
	return s
}
