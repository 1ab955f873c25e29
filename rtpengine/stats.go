package rtpengine

import (
	"sync"
	"sync/atomic"
	"time"

	"rtpsidecar/relay"
)

// closeReason says why a call ended.
type closeReason uint8

// The reasons, in the order of the metrics.
const (
	closedTimeout closeReason = iota
	closedSilent
	closedFinal
	closedOffer
	closedDeleted
	closedForced
	closedError    // an offer or answer could not be served
	closedShutdown // the daemon ends
	closeReasons
)

var closeNames = [closeReasons]string{
	"timeout", "silent_timeout", "final_timeout", "offer_timeout", "terminated", "force_terminated", "error", "shutdown",
}

// String is the reason as metrics and logs have it.
func (r closeReason) String() string { return closeNames[r] }

// counters are the daemon's sums.
type counters struct {
	managed  atomic.Uint64 // calls that ended, whatever the reason
	rejected atomic.Uint64 // calls refused for a limit
	reasons  [closeReasons]atomic.Uint64

	iceFailed, consentLost, dtlsFailed atomic.Uint64

	mu        sync.Mutex
	durations sum // of calls, s
	zeroWay   uint64
	oneWay    uint64
	voip      voipSums
	ifaces    map[ifaceKey]*voipSums
	rates     rates
	kernel    rates // the fast path's share of rates
}

// sum is a running sum with what its deviation needs.
type sum struct {
	n          uint64
	sum, sumSq float64
}

func (s *sum) add(x float64) {
	s.n++
	s.sum += x
	s.sumSq += x * x
}

func (s *sum) average() float64 {
	if s.n == 0 {
		return 0
	}
	return s.sum / float64(s.n)
}

// voipSums are the samples of call quality.
type voipSums struct {
	mos, jitter, rttE2E, rttLeg, loss, measured sum

	lost, duplicates, reordered, skips, resets uint64
}

// rates are differences over the last second.
type rates struct {
	at             time.Time
	last           relay.Counters
	packets, bytes uint64 // per second
	errors         uint64
}

// sample takes the relay's totals once a second.
func (r *rates) sample(now time.Time, total relay.Counters) {
	if d := now.Sub(r.at).Seconds(); !r.at.IsZero() && d > 0 {
		per := func(new, old uint64) uint64 {
			if new < old {
				return 0
			}
			return uint64(float64(new-old) / d)
		}
		r.packets, r.bytes, r.errors = per(total.Packets, r.last.Packets), per(total.Bytes, r.last.Bytes), per(total.Errors, r.last.Errors)
	}
	r.at, r.last = now, total
}

// closed takes an ending call in. The call is locked and still has its transports.
func (s *counters) closed(c *Call, why closeReason, now time.Time) {
	if why == closedShutdown {
		return
	}
	s.managed.Add(1)
	s.reasons[why].Add(1)
	c.sampleQuality(now)
	received, silent := 0, 0
	c.medias(func(m *Media) {
		if m.local == nil || m.leg.Rejected {
			return
		}
		if m.local.status().Streams[relay.RTP].In.Packets > 0 {
			received++
		} else {
			silent++
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durations.add(now.Sub(c.created).Seconds())
	switch {
	case received == 0:
		s.zeroWay++
	case silent > 0:
		s.oneWay++
	}
}

// keepCounters adds a closing transport's counters to the call.
func (c *Call) keepCounters(l *localPort) {
	st := l.status()
	add(&c.gone.RTP, st.Streams[relay.RTP].In)
	add(&c.gone.RTCP, st.Streams[relay.RTCP].In)
}

func add(to *relay.Counters, x relay.Counters) {
	to.Packets += x.Packets
	to.Bytes += x.Bytes
	to.Errors += x.Errors
}
