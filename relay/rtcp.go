package relay

import (
	"net/netip"

	"rtpsidecar/relay/rtp"
)

// rtcp handles one compound RTCP or SRTCP packet.
func (p *port) rtcp(lv *live, b []byte, from netip.AddrPort, m *Meta) {
	c := p.comp
	size := len(b)
	plan := c.t.plan.Load()
	scratch, original := m.Scratch, b
	keys := c.recv.Load()
	// Passed through without keys of ours it may be encrypted: only its first words can be read.
	blind := keys == nil && plan.passes()
	var err error
	if keys != nil {
		if plan.passes() {
			original, scratch = keep(b, scratch)
		}
		if b, err = keys.unprotect(b, true); err != nil {
			c.dropped().unauthentic(keys, from, c.lastPacket.Load(), m.At)
		}
	}
	if err == nil && !blind {
		b, err = rtp.WellFormed(b)
	}
	// RTCP on the RTP socket comes from a peer that muxes, or from one that should not: it never teaches there.
	if err != nil || !c.admit(lv, p, from, c.id == RTCP, m.At) {
		p.refused()
		return
	}
	p.received(size, m)
	if blind {
		if !lv.consumes {
			plan.passRTCP(original)
		}
		return
	}
	if tap := c.t.cfg.Tap; tap != nil {
		tap(b, from, p.local, m.At)
	}
	c.t.heardRTCP(b, plan, m.At)
	if lv.consumes {
		return
	}
	plan.passRTCP(original)
	if len(plan.Routes) < 2 || plan.whole(c.t, b) {
		if r := plan.owner(c.t, b); r != nil {
			r.forwardRTCP(b, scratch)
		}
		return
	}
	for i := range plan.Routes {
		r := &plan.Routes[i]
		if part := plan.share(scratch[:0:maxDatagram], c.t, r, b); len(part) > 0 {
			r.forwardRTCP(part, scratch[maxDatagram:])
		}
	}
}

// passRTCP sends a compound as it came to the sinks that want that.
func (pl *Plan) passRTCP(b []byte) {
	for i := range pl.Routes {
		for j := range pl.Routes[i].Sinks {
			if s := &pl.Routes[i].Sinks[j]; s.Passthrough && !s.MuteRTCP {
				s.To.sendRTCP(b, asIs)
			}
		}
	}
}

// forwardRTCP sends a plain compound to the sinks of one route.
func (r *Route) forwardRTCP(b, scratch []byte) {
	for i := range r.Sinks {
		s := &r.Sinks[i]
		if s.MuteRTCP || s.Passthrough {
			continue
		}
		pkt, _ := keep(b, scratch)
		if !s.Feedback {
			var err error
			if pkt, err = rtp.FilterFeedback(pkt); err != nil || len(pkt) == 0 {
				continue
			}
		}
		s.To.sendRTCP(pkt, asRTCP)
	}
}

// sendRTCP sends a compound on the component that the far side expects it on.
func (t *Transport) sendRTCP(b []byte, f form) { t.rtcpComponent().send(b, f, nil) }

func (t *Transport) rtcpComponent() *component {
	if t.live.Load().muxed {
		return &t.comps[RTP]
	}
	return &t.comps[RTCP]
}
