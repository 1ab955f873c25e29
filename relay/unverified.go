package relay

import (
	"iter"
	"net/netip"
	"sync/atomic"
	"time"

	"rtpsidecar/relay/rtp"
)

// passOn forwards the SRTP packet b, which failed authentication, as it came, and reports whether it did. Where all
// receivers have the sender's own keys they judge for themselves, and may know better: of the rollover counter of a stream
// that was under way before this relay was in its path, say. The reference forwards all such packets unread.
//
// Nothing is learnt from b but counts of the stream: it has to come from where media is sent to already.
func (p *port) passOn(lv *live, plan *Plan, b []byte, from netip.AddrPort, m *Meta) bool {
	c := p.comp
	to := c.target.Load()
	if to == nil || to.addr != from || to.port != p || lv.dropIn || !plan.unread() {
		return false
	}
	h, err := rtp.ParseHeader(b)
	if err != nil {
		return false
	}
	p.received(len(b), m)
	c.dropped().passed.Store(m.At.UnixNano())
	route := &plan.Routes[0]
	c.t.sources.pass(h, len(b), route, m.At)
	for i := range route.Sinks {
		if s := &route.Sinks[i]; !s.MuteRTP {
			s.To.comps[RTP].send(b, asIs, m)
		}
	}
	return true
}

// unverified counts what is passed on unverified as one stream, for reports: the newest packets in a row that claim one
// SSRC. No state is kept for an SSRC that nobody vouches for, however many are claimed.
type unverified struct {
	source
	name atomic.Uint32 // the SSRC
}

// pass counts a packet that is passed on unverified. Only for the worker.
func (s *sources) pass(h rtp.Header, size int, r *Route, at time.Time) {
	u := s.unverified.Load()
	if u == nil {
		u = new(unverified)
		s.unverified.Store(u)
	}
	if u.name.Load() != h.SSRC {
		u.name.Store(h.SSRC)
		u.packets.Store(0)
		u.octets.Store(0)
		u.duplicates.Store(0)
	}
	u.assign(r)
	u.received(h, size, r, at)
	u.octets.Add(uint64(size))
}

// reported is what reports tell of: all sources by SSRC, and what is passed on unverified unless it claims one of theirs.
func (s *sources) reported() iter.Seq2[uint32, *source] {
	return func(yield func(uint32, *source) bool) {
		for _, src := range s.all() {
			if !yield(src.ssrc, src) {
				return
			}
		}
		if u := s.unverified.Load(); u != nil {
			if name := u.name.Load(); s.find(name) == nil {
				yield(name, &u.source)
			}
		}
	}
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
