package relay

import (
	"net/netip"

	"rtpsidecar/relay/rtp"
)

func (p *port) rtcp(lv *live, b []byte, from netip.AddrPort, m *Meta) {
	c := p.comp
	t := c.t
	// RTCP on the RTP socket comes from a peer that muxes, or from one that should not: it never teaches there.
	if rtp.CheckCompound(b) != nil || !c.admit(lv, p, from, c.id == RTCP, m.At) {
		p.in.errors.Add(1)
		return
	}
	p.in.count(len(b))
	plan := t.plan.Load()
	for i := range plan.Routes {
		plan.Routes[i].forwardRTCP(b, m)
	}
}

// forwardRTCP sends a compound to the sinks of one route.
func (r *Route) forwardRTCP(b []byte, m *Meta) {
	for i := range r.Sinks {
		s := &r.Sinks[i]
		if s.MuteRTCP {
			continue
		}
		pkt := b
		if !s.Feedback {
			var err error
			if pkt, err = rtp.FilterFeedback(append(m.Scratch[:0], b...)); err != nil || len(pkt) == 0 {
				continue
			}
		}
		c := RTCP
		if s.To.live.Load().muxed {
			c = RTP
		}
		s.To.comps[c].send(pkt)
	}
}
