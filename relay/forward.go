package relay

import (
	"net/netip"

	"rtpsidecar/relay/rtp"
)

// receive takes one datagram of the port's socket, in its worker.
func (p *port) receive(b []byte, from netip.AddrPort, m *Meta) {
	t := p.comp.t
	lv := t.live.Load()
	kind := Classify(b)
	switch {
	case lv.opaque:
		p.opaque(lv, b, from, m)
	case kind == KindRTP && p.comp.id == RTP:
		p.rtp(lv, b, from, m)
	case kind == KindRTCP:
		p.rtcp(lv, b, from, m)
	case kind == KindSTUN || kind == KindDTLS:
		// Never media. Without an agent or an association nobody here speaks them.
	default:
		p.in.errors.Add(1)
	}
}

// opaque forwards a datagram unread.
func (p *port) opaque(lv *live, b []byte, from netip.AddrPort, m *Meta) {
	if !p.comp.admit(lv, p, from, true, m.At) {
		p.in.errors.Add(1)
		return
	}
	p.in.count(len(b))
	if lv.dropIn {
		return
	}
	plan := p.comp.t.plan.Load()
	for i := range plan.Routes {
		r := &plan.Routes[i]
		for j := range r.Sinks {
			if s := &r.Sinks[j]; !r.Discard && !s.MuteRTP {
				s.To.comps[RTP].send(b)
			}
		}
	}
}

func (p *port) rtp(lv *live, b []byte, from netip.AddrPort, m *Meta) {
	c := p.comp
	t := c.t
	h, err := rtp.ParseHeader(b)
	if err != nil || !c.admit(lv, p, from, true, m.At) {
		p.in.errors.Add(1)
		return
	}
	p.in.count(len(b))
	c.lastSSRC.Store(h.SSRC)
	plan := t.plan.Load()
	src := t.sources.get(h.SSRC, m.At)
	route := plan.route(h, b, src)
	src.received(h, len(b), route, m.At)
	if route == nil {
		if len(plan.Routes) > 0 {
			p.in.errors.Add(1)
		}
		return
	}
	if lv.dropIn || route.Discard {
		return
	}
	if route.Silence.PTs.Has(h.PT) {
		silence(b, h, route.Silence.Byte[h.PT])
	}
	for i := range route.Sinks {
		s := &route.Sinks[i]
		if s.MuteRTP {
			continue
		}
		pkt := b
		if s.rewrites() && i < len(route.Sinks)-1 {
			pkt = append(m.Scratch[:0], b...)
		}
		if pkt = s.rewrite(pkt, h); pkt != nil {
			s.To.comps[RTP].send(pkt)
		}
	}
}

// route finds the media section of a packet: by MID, by a source known from before, by payload type. In the first and
// the last case it is remembered for the source. Nil: none. Source: RFC 9143 section 9.2.
func (pl *Plan) route(h rtp.Header, b []byte, src *source) *Route {
	if len(pl.Routes) == 1 {
		return &pl.Routes[0]
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

// rewrites reports whether packets are changed on their way to s.
func (s *Sink) rewrites() bool { return s.PTMap != nil || s.ExtMap != nil || s.MIDExt != 0 }

// rewrite makes of the plain RTP packet b, in place, what s is to get; nil: nothing.
func (s *Sink) rewrite(b []byte, h rtp.Header) []byte {
	if s.PTMap != nil {
		pt := s.PTMap[h.PT]
		if pt == 0xff {
			return nil
		}
		rtp.SetPT(b, pt)
	}
	if s.ExtMap != nil {
		b = rtp.MapExtensions(b, h, (*rtp.ExtensionMap)(s.ExtMap))
	}
	if s.MIDExt != 0 {
		b = insertMID(b, s.MIDExt, s.MID)
	}
	return b
}
