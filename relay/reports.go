package relay

import (
	"math/rand/v2"
	"time"

	"rtpsidecar/relay/rtp"
)

// reportJitter is the most that is added at random to the time between two reports of ours, so that those of many calls
// do not fall together (RFC 3550 section 6.3.1 asks for a spread; its width is the reference's, as observed).
const reportJitter = time.Second

// maxBlocks is how many sources one report tells of: what its header can count, RFC 3550 section 6.4.1.
const maxBlocks = 31

// configureReports starts or ends the reports of ours. t.mu is held.
func (t *Transport) configureReports(every, before time.Duration, now time.Time) {
	switch {
	case every == before:
	case every <= 0:
		t.host.timers.arm(&t.reports, time.Time{})
	default:
		t.host.timers.arm(&t.reports, now.Add(nextReport(every)))
	}
}

func nextReport(every time.Duration) time.Duration { return every + rand.N(reportJitter) }

// report is the timer: it tells each receiver of this transport's sources about them, in the sources' names, and what
// has come from the receiver.
func (t *Transport) report(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	every := t.applied.Reports
	if t.closed || every <= 0 {
		return
	}
	t.host.timers.arm(&t.reports, now.Add(nextReport(every)))
	t.fast.update()
	plan := t.plan.Load()
	for i := range plan.Routes {
		r := &plan.Routes[i]
		for j := range r.Sinks {
			if s := &r.Sinks[j]; !s.MuteRTCP {
				t.reportTo(s.To, r, now, 2*(every+reportJitter))
			}
		}
	}
}

// reportTo reports to one receiver: for each source that has sent lately a sender report, or a receiver report when none
// has. The report blocks go with the first.
func (t *Transport) reportTo(to *Transport, r *Route, now time.Time, lately time.Duration) {
	to.fast.update()
	blocks := to.reportBlocks(now)
	sent := false
	for ssrc, src := range t.sources.reported() {
		if src.route.Load() != r.ID || now.Sub(time.Unix(0, src.last.Load())) > lately {
			continue
		}
		// The timestamp is that of the last packet: while the source sends it is late by less than a packet. The octets
		// are those of whole packets, headers included. Both as the reference has it (observed).
		info := rtp.SenderInfo{NTP: rtp.NTP(now), Timestamp: src.timestamp.Load(), Packets: uint32(src.packets.Load()), Octets: uint32(src.octets.Load())}
		b := rtp.AppendSR(make([]byte, 0, maxDatagram), ssrc, info, blocks)
		to.sendReport(rtp.AppendSDES(b, ssrc, t.host.cfg.CNAME), now)
		src.quality().passed(info.NTP, now)
		to.measured(blocks, ssrc, now)
		blocks, sent = nil, true
	}
	if !sent && len(blocks) > 0 {
		own := uint32(t.cfg.ID)*2654435761 | 1 // a name for who only listens; Knuth's multiplier spreads the numbers
		to.measured(blocks, own, now)
		b := rtp.AppendRR(make([]byte, 0, maxDatagram), own, blocks)
		to.sendReport(rtp.AppendSDES(b, own, t.host.cfg.CNAME), now)
	}
}

// sendReport sends a compound of our own.
func (t *Transport) sendReport(b []byte, now time.Time) {
	if tap := t.cfg.Tap; tap != nil {
		if to := t.rtcpComponent().target.Load(); to != nil {
			tap(b, to.port.local, to.addr, now)
		}
	}
	t.sendRTCP(b, asRTCP)
}

// measured keeps the blocks of a report of ours with the sources that they are about.
func (t *Transport) measured(blocks []rtp.ReportBlock, reporter uint32, now time.Time) {
	for _, b := range blocks {
		if src := t.sources.find(b.SSRC); src != nil {
			src.quality().measured(b, reporter, now)
		}
	}
}

// jitterFades is how long a source may be silent before its jitter counts as none where quality is measured here. The
// reference's fades to nothing within 1.4 to 2.5 s (observed).
const jitterFades = 2 * time.Second

// reportBlocks say what was received from the far side. Source: RFC 3550 section 6.4.1 and appendix A.3.
func (t *Transport) reportBlocks(now time.Time) []rtp.ReportBlock {
	var blocks []rtp.ReportBlock
	fades := t.live.Load().measured
	for ssrc, src := range t.sources.reported() {
		if len(blocks) == maxBlocks {
			break
		}
		if src.packets.Load() == 0 {
			continue
		}
		expected := src.highest.Load() - src.first.Load() + 1
		received := src.packets.Load() - src.duplicates.Load()
		b := rtp.ReportBlock{
			SSRC: ssrc, Lost: int32(src.lost()), HighestSeq: uint32(src.highest.Load() - firstCycle),
			Jitter: uint32(src.jitter.Load() >> 4),
		}
		if fades && now.Sub(time.Unix(0, src.last.Load())) > jitterFades {
			b.Jitter = 0
		}
		b.LastSR, b.Delay = src.told.Load().lastHeard(now)
		b.FractionLost = src.quality().fraction(expected, received)
		blocks = append(blocks, b)
	}
	return blocks
}

// lastHeard is what a report block says about the source's own last sender report. q may be nil.
func (q *quality) lastHeard(now time.Time) (mark, delay uint32) {
	if q == nil {
		return 0, 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.heard.at.IsZero() {
		return 0, 0
	}
	return q.heard.mark, uint32(now.Sub(q.heard.at) * (1 << 16) / time.Second)
}

// fraction is the share of packets lost since it was asked last, in 256ths.
func (q *quality) fraction(expected, received uint64) uint8 {
	q.mu.Lock()
	defer q.mu.Unlock()
	e, r := expected-q.expected, received-q.received
	q.expected, q.received = expected, received
	if e == 0 || r >= e || e > 1<<32 {
		return 0
	}
	return uint8(min((e-r)<<8/e, 255))
}
