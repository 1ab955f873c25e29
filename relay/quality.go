package relay

import (
	"slices"
	"sync"
	"time"

	"rtpsidecar/relay/rtp"
)

const (
	// maxReports bounds the reports kept of a source: at one each five seconds, more than two minutes.
	maxReports = 32
	// maxSenderReports is how many sender reports may wait for an answer.
	maxSenderReports = 8
)

// quality is what RTCP tells of one source. Its lock is taken for RTCP, by the worker of the source and those of its
// receivers, and for Status.
type quality struct {
	mu                 sync.Mutex
	sent               [maxSenderReports]senderReport
	next               int
	heard              senderReport                // the source's own last one
	expected, received uint64                      // when a report of ours was made last
	list               [maxReports]ReceptionReport // a ring
	count              int
}

// senderReport is one that passed.
type senderReport struct {
	mark uint32 // middle of its NTP time, which the answer repeats
	at   time.Time
}

// quality is s's, made when RTCP first tells of it.
func (s *source) quality() *quality {
	q := s.told.Load()
	if q == nil {
		s.told.CompareAndSwap(nil, new(quality))
		q = s.told.Load()
	}
	return q
}

// passed remembers a sender report of the source.
func (q *quality) passed(ntp uint64, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent[q.next%maxSenderReports] = senderReport{mark: rtp.NTPMiddle(ntp), at: at}
	q.next++
}

// heardFrom remembers the source's own last sender report.
func (q *quality) heardFrom(ntp uint64, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heard = senderReport{mark: rtp.NTPMiddle(ntp), at: at}
}

// report adds what a receiver says of the source. The round trip is that between us and the receiver: our clock stands
// for the sender's, whose report was sent on as it came. Source: RFC 3550 section 6.4.1.
func (q *quality) report(b rtp.ReportBlock, reporter uint32, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := ReceptionReport{At: at, Reporter: reporter, FractionLost: b.FractionLost, Lost: b.Lost, JitterUnits: b.Jitter}
	for _, s := range q.sent {
		if b.LastSR != 0 && s.mark == b.LastSR && !s.at.IsZero() {
			r.RoundTrip = max(at.Sub(s.at)-time.Duration(b.Delay)*time.Second>>16, 0)
		}
	}
	q.add(r)
}

// measured adds what we say of the source ourselves.
func (q *quality) measured(b rtp.ReportBlock, reporter uint32, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(ReceptionReport{At: at, Reporter: reporter, Own: true, FractionLost: b.FractionLost, Lost: b.Lost, JitterUnits: b.Jitter})
}

// add keeps r. q.mu is held.
func (q *quality) add(r ReceptionReport) {
	q.list[q.count%maxReports] = r
	q.count++
}

// reports are the newest ones, oldest first. q may be nil.
func (q *quality) reports() []ReceptionReport {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count <= maxReports {
		return slices.Clone(q.list[:q.count])
	}
	at := q.count % maxReports
	return slices.Concat(q.list[at:], q.list[:at])
}

// heardRTCP notes what the compound b tells of the sources here and of those that are sent to its sender.
func (t *Transport) heardRTCP(b []byte, plan *Plan, at time.Time) {
	for len(b) > 0 {
		p, rest, err := rtp.ParsePacket(b)
		if err != nil {
			return
		}
		b = rest
		if info, ok := p.SenderInfo(); ok {
			if ssrc, ok := p.SSRC(); ok {
				if src := t.sources.find(ssrc); src != nil {
					src.quality().heardFrom(info.NTP, at)
					if !t.live.Load().consumes {
						src.quality().passed(info.NTP, at)
					}
				}
			}
		}
		reporter, _ := p.SSRC()
		for i := range p.NumReports() {
			block := p.Report(i)
			if src := plan.reportedSource(block.SSRC); src != nil {
				src.quality().report(block, reporter, at)
			}
		}
	}
}

// reportedSource is the source ssrc among those that the sinks' transports receive.
func (pl *Plan) reportedSource(ssrc uint32) *source {
	for i := range pl.Routes {
		for j := range pl.Routes[i].Sinks {
			if src := pl.Routes[i].Sinks[j].To.sources.find(ssrc); src != nil {
				return src
			}
		}
	}
	return nil
}
