package relay

import (
	"encoding/binary"

	"rtpsidecar/relay/rtp"
)

// In a bundle one compound may speak of several media sections. Each section's sinks get what concerns it: reports by
// the source reported on, everything else by its sender, or by the source that feedback is about.

// whole reports whether all of b belongs to one route.
func (pl *Plan) whole(t *Transport, b []byte) bool {
	var only *Route
	for len(b) > 0 {
		p, rest, err := rtp.ParsePacket(b)
		if err != nil {
			return true
		}
		b = rest
		r := pl.ownerOf(t, p)
		if only == nil {
			only = r
		}
		if r != only {
			return false
		}
		for i := range p.NumReports() {
			if r := pl.reported(p.Report(i).SSRC); r != nil && r != only {
				return false
			}
		}
	}
	return true
}

// owner is the route of the first packet of b.
func (pl *Plan) owner(t *Transport, b []byte) *Route {
	p, _, err := rtp.ParsePacket(b)
	if err != nil || len(pl.Routes) == 0 {
		return nil
	}
	return pl.ownerOf(t, p)
}

// ownerOf is the route that a packet belongs to; the first one when nothing is known. The plan has routes.
func (pl *Plan) ownerOf(t *Transport, p rtp.Packet) *Route {
	if len(pl.Routes) == 1 {
		return &pl.Routes[0]
	}
	for i := 0; i < 4; i++ {
		media, ok := feedbackSSRC(p, i)
		if !ok {
			break
		}
		if r := pl.reported(media); r != nil {
			return r
		}
	}
	if ssrc, ok := p.SSRC(); ok {
		if src := t.sources.find(ssrc); src != nil {
			if r := pl.routeByID(src.route.Load()); r != nil {
				return r
			}
		}
	}
	for i := range p.NumReports() {
		if r := pl.reported(p.Report(i).SSRC); r != nil {
			return r
		}
	}
	return &pl.Routes[0]
}

// feedbackSSRC is the i-th source that a feedback packet is about: that of its header, then those of a full intra
// request (RFC 5104 section 4.3.1) or of a receiver's estimate, which have none there.
func feedbackSSRC(p rtp.Packet, i int) (uint32, bool) {
	media, ok := p.MediaSSRC()
	if !ok || i == 0 || p.Type != rtp.TypePSFB {
		return media, ok && i == 0
	}
	const remb = 15 // application layer feedback; "REMB", a count, a rate, sources
	at := 12 + 8*(i-1)
	if p.Count == remb {
		at = 20 + 4*(i-1)
	} else if p.Count != rtp.FormatFIR {
		return 0, false
	}
	if len(p.Bytes) < at+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.Bytes[at:]), true
}

// reported is the route whose sinks send the source ssrc to us: the one that reports on it belong to.
func (pl *Plan) reported(ssrc uint32) *Route {
	for i := range pl.Routes {
		r := &pl.Routes[i]
		for j := range r.Sinks {
			to := r.Sinks[j].To
			src := to.sources.find(ssrc)
			if src == nil {
				continue
			}
			// The sender may be a bundle too: then the section there must be the one that sends here.
			back := to.plan.Load().routeByID(src.route.Load())
			if back == nil || len(to.plan.Load().Routes) == 1 || back.matches(r) {
				return r
			}
		}
	}
	return nil
}

// matches reports whether two routes of bundles are the directions of one media section: engines give a section the same
// MID, or the same payload types, on both sides.
func (r *Route) matches(o *Route) bool {
	if r.MID != "" && o.MID != "" {
		return r.MID == o.MID
	}
	return r.PTs == o.PTs
}

// share appends the part of the compound b that concerns r.
func (pl *Plan) share(dst []byte, t *Transport, r *Route, b []byte) []byte {
	var speaker uint32 // whose report r got a part of: the description of that one goes along
	for len(b) > 0 {
		p, rest, err := rtp.ParsePacket(b)
		if err != nil {
			return nil
		}
		b = rest
		ssrc, _ := p.SSRC()
		mine := pl.ownerOf(t, p) == r
		if p.Type != rtp.TypeSR && p.Type != rtp.TypeRR {
			if mine || p.Type == rtp.TypeSDES && speaker != 0 && ssrc == speaker {
				dst = append(dst, p.Bytes...)
			}
			continue
		}
		before := len(dst)
		if dst = pl.shareReport(dst, r, p, mine); len(dst) > before {
			speaker = ssrc
		}
	}
	return dst
}

// shareReport appends the report p with those blocks that concern r; mine says that its sender does.
func (pl *Plan) shareReport(dst []byte, r *Route, p rtp.Packet, mine bool) []byte {
	var blocks [31]rtp.ReportBlock
	n := 0
	for i := range p.NumReports() {
		block := p.Report(i)
		owner := pl.reported(block.SSRC)
		if owner == r || owner == nil && mine {
			blocks[n] = block
			n++
		}
	}
	ssrc, _ := p.SSRC()
	if info, ok := p.SenderInfo(); ok && mine {
		return rtp.AppendSR(dst, ssrc, info, blocks[:n])
	}
	if n == 0 && !mine {
		return dst
	}
	return rtp.AppendRR(dst, ssrc, blocks[:n])
}
