package relay

import (
	"net/netip"
	"time"

	"rtpsidecar/relay/rtp"
)

// passOn forwards the SRTP packet b, which failed authentication, as it came, and reports whether it did. Where all
// receivers have the sender's own keys they judge for themselves, and may know better: of the rollover counter of a stream
// that was under way before this relay was in its path, say. The reference forwards all such packets unread.
//
// Nothing is learnt from b but counts: it has to come from where media is sent to already.
func (p *port) passOn(lv *live, plan *Plan, b []byte, from netip.AddrPort, at time.Time) bool {
	c := p.comp
	to := c.target.Load()
	if to == nil || to.addr != from || to.port != p || lv.dropIn || !plan.unread() {
		return false
	}
	h, err := rtp.ParseHeader(b)
	if err != nil {
		return false
	}
	p.in.count(len(b))
	c.dropped().passed.Store(at.UnixNano())
	route := &plan.Routes[0]
	src := c.t.sources.get(h.SSRC, at)
	src.assign(route)
	src.received(h, len(b), route, at)
	if src != nil {
		src.octets.Add(uint64(len(b)))
	}
	for i := range route.Sinks {
		if s := &route.Sinks[i]; !s.MuteRTP {
			s.To.comps[RTP].send(b, asIs)
		}
	}
	return true
}

// unread reports whether nothing on the way of RTP has to understand it.
func (pl *Plan) unread() bool {
	if len(pl.Routes) != 1 {
		return false
	}
	r := &pl.Routes[0]
	if r.Discard || r.Silence != nil || r.Short != nil || r.LoopCheck {
		return false
	}
	some := false
	for i := range r.Sinks {
		if s := &r.Sinks[i]; !s.MuteRTP {
			if !s.Passthrough || s.Silence != nil {
				return false
			}
			some = true
		}
	}
	return some
}
