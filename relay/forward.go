package relay

import (
	"errors"
	"net/netip"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// receive takes one datagram of the port's socket, in its worker.
func (p *port) receive(b []byte, from netip.AddrPort, m *Meta) {
	c := p.comp
	lv := c.t.live.Load()
	kind := Classify(b)
	switch {
	case kind == KindSTUN && (!lv.opaque || c.pair.Load() != nil):
		p.stun(b, from, m.At)
	case lv.opaque:
		p.opaque(lv, b, from, m)
	case kind == KindRTP && c.id == RTP:
		p.rtp(lv, b, from, m)
	case kind == KindRTCP:
		p.rtcp(lv, b, from, m)
	case kind == KindDTLS:
		p.dtls(b, from)
	case kind == KindZRTP && c.id == RTP && c.recv.Load() == nil:
		p.opaque(lv, b, from, m)
	default:
		p.refused()
		c.dropped().malformed.Add(1)
	}
}

// opaque forwards a datagram unread: what is no RTP, and ZRTP between phones that encrypt by themselves.
func (p *port) opaque(lv *live, b []byte, from netip.AddrPort, m *Meta) {
	c := p.comp
	if !c.admit(lv, p, from, lv.opaque, m.At) {
		p.refused()
		return
	}
	p.received(len(b), m)
	if lv.dropIn {
		return
	}
	plan := c.t.plan.Load()
	for i := range plan.Routes {
		r := &plan.Routes[i]
		for j := range r.Sinks {
			if s := &r.Sinks[j]; !r.Discard && !s.MuteRTP && s.To.comps[c.id].sendKeys.Load() == nil {
				s.To.comps[c.id].send(b, asIs, m)
			}
		}
	}
}

// rtp handles one RTP or SRTP packet.
func (p *port) rtp(lv *live, b []byte, from netip.AddrPort, m *Meta) {
	c := p.comp
	t := c.t
	size := len(b)
	plan := t.plan.Load()
	scratch, original := m.Scratch, b
	ok := true
	if k := c.recv.Load(); k != nil {
		if plan.passes() {
			original, scratch = keep(b, scratch)
		}
		var err error
		if b, err = k.unprotect(b, false); err != nil {
			c.dropped().unauthentic(k, from, c.lastPacket.Load(), m.At)
			if errors.Is(err, srtp.ErrAuth) && p.passOn(lv, plan, original, from, m) {
				return
			}
		}
		ok = err == nil
	}
	var h rtp.Header
	if ok {
		var err error
		if h, err = rtp.ParseHeader(b); err != nil {
			c.dropped().malformed.Add(1)
		}
		ok = err == nil && c.admit(lv, p, from, true, m.At)
	}
	if !ok {
		p.refused()
		return
	}
	if t.fast != nil {
		t.fast.admitted(p, from, h, m.At)
	}
	p.received(size, m)
	if c.lastSSRC.Load() != h.SSRC {
		c.lastSSRC.Store(h.SSRC)
	}
	src := t.sources.get(h.SSRC, m.At)
	route := plan.route(h, b, src)
	src.received(h, size, route, m.At)
	if n := p.in.packets.Load(); m.footprint != nil && (n%footprintEvery == 0 || n&(n-1) == 0) {
		record(m.footprint, p, route, src)
	}
	if src != nil {
		src.octets.Add(uint64(len(b)))
	}
	if route == nil {
		if len(plan.Routes) > 0 {
			p.refused()
			c.dropped().unrouted.Add(1)
		}
		return
	}
	if route.Digits.Has(h.PT) {
		c.digit(route, b, h, from, m.At)
	}
	if lv.dropIn || route.Discard {
		return
	}
	if route.LoopCheck && c.loops(b, m.At) {
		p.refused()
		return
	}
	if route.Short != nil && c.short(route.Short, b, h) {
		c.dropped().short.Add(1)
		return
	}
	silenced := route.Silence != nil && route.Silence.PTs.Has(h.PT)
	if silenced {
		silence(b, h, route.Silence.Byte[h.PT&0x7f])
	}
	last := len(route.Sinks) - 1
	for i := range route.Sinks {
		s := &route.Sinks[i]
		switch {
		case s.MuteRTP:
		case s.Silence != nil && s.Silence.PTs.Has(h.PT):
			pkt, _ := keep(b, scratch)
			silence(pkt, h, s.Silence.Byte[h.PT&0x7f])
			s.sendRTP(pkt, h, m)
		case s.Passthrough && !silenced:
			s.To.comps[RTP].send(original, asIs, m)
		case i == last:
			s.sendRTP(b, h, m)
		default:
			pkt, _ := keep(b, scratch)
			s.sendRTP(pkt, h, m)
		}
	}
}

// keep copies b to the front of scratch, with Tailroom, and returns the copy and what is left.
func keep(b, scratch []byte) (copied, rest []byte) {
	end := len(b) + Tailroom
	return append(scratch[:0:end], b...), scratch[end:]
}

// passes reports whether a sink wants packets as they came.
func (pl *Plan) passes() bool {
	for i := range pl.Routes {
		for j := range pl.Routes[i].Sinks {
			if pl.Routes[i].Sinks[j].Passthrough {
				return true
			}
		}
	}
	return false
}

// route finds the media section of a packet: by MID, by a source known from before, by payload type. In the first and
// the last case it is remembered for the source. Nil: none. Source: RFC 9143 section 9.2.
func (pl *Plan) route(h rtp.Header, b []byte, src *source) *Route {
	if len(pl.Routes) == 1 {
		return src.assign(&pl.Routes[0])
	}
	for it := h.Extensions(b); it.Next(); {
		for i := range pl.Routes {
			r := &pl.Routes[i]
			if r.MIDExt != 0 && it.ID == r.MIDExt && string(it.Value) == r.MID {
				return src.assign(r)
			}
		}
	}
	if src != nil {
		if r := pl.routeByID(src.route.Load()); r != nil {
			return r
		}
	}
	for i := range pl.Routes {
		if r := &pl.Routes[i]; r.PTs.Empty() || r.PTs.Has(h.PT) {
			return src.assign(r)
		}
	}
	return nil
}

func (pl *Plan) routeByID(id uint64) *Route {
	for i := range pl.Routes {
		if pl.Routes[i].ID == id {
			return &pl.Routes[i]
		}
	}
	return nil
}

// silence fills the payload of the plain packet b.
func silence(b []byte, h rtp.Header, with byte) {
	payload, err := h.Payload(b)
	if err != nil {
		return
	}
	for i := range payload {
		payload[i] = with
	}
}

// recode replaces each byte of the payload of the plain packet b.
func recode(b []byte, h rtp.Header, table *[256]byte) {
	payload, err := h.Payload(b)
	if err != nil {
		return
	}
	for i, c := range payload {
		payload[i] = table[c]
	}
}

// sendRTP makes of the plain packet b, in place, what s is to get, and sends it.
func (s *Sink) sendRTP(b []byte, h rtp.Header, m *Meta) {
	if s.Framer != nil {
		s.sendFramed(b, h, m)
		return
	}
	s.deliver(b, h, m)
}

// deliver is the same for a packet that is as long as it is to be.
func (s *Sink) deliver(b []byte, h rtp.Header, m *Meta) {
	if s.Digits != nil && s.Digits.PTs.Has(h.PT) {
		s.Digits.edit(b, h)
	}
	if s.Recode != nil {
		if table := s.Recode[h.PT&0x7f]; table != nil {
			recode(b, h, table)
		}
	}
	if s.PTMap != nil {
		pt := s.PTMap[h.PT]
		if pt == 0xff {
			return
		}
		rtp.SetPT(b, pt)
	}
	if s.ExtMap != nil {
		b = rtp.MapExtensions(b, h, (*rtp.ExtensionMap)(s.ExtMap), s.ExtForms)
	}
	if s.MIDExt != 0 {
		b = insertMID(b, s.MIDExt, s.MID)
	}
	s.To.comps[RTP].send(b, asRTP, m)
}
