package rtpengine

import (
	"math"
	"time"

	"rtpsidecar/relay"
)

// quality is what reception reports say about one source over the life of a call.
type quality struct {
	seen    time.Time // reports up to this moment have been taken
	first   time.Time
	sum     sample // sums of n samples
	n       int
	lowest  sample
	highest sample
	lost    int64

	progress []sample // one per interval, averaged
	interval time.Duration
	part     sample // the interval under way
	partN    int
}

// sample is one measurement.
type sample struct {
	at        time.Time
	mos       float64 // 1..5
	roundTrip time.Duration
	leg       time.Duration
	jitter    time.Duration
	loss      float64 // percent
}

func (s *sample) add(x sample) {
	s.mos += x.mos
	s.roundTrip += x.roundTrip
	s.leg += x.leg
	s.jitter += x.jitter
	s.loss += x.loss
}

func (s sample) over(n int) sample {
	if n <= 1 {
		return s
	}
	return sample{at: s.at, mos: s.mos / float64(n), roundTrip: s.roundTrip / time.Duration(n),
		leg: s.leg / time.Duration(n), jitter: s.jitter / time.Duration(n), loss: s.loss / float64(n)}
}

// The progression keeps at most this many entries; when it is full neighbours are joined and the interval doubles, so
// that a call of any length has a bounded history.
const (
	maxProgress   = 60
	firstInterval = 5 * time.Second
)

// take counts one sample.
func (q *quality) take(s sample) {
	if q.n == 0 {
		q.lowest, q.highest, q.first, q.interval = s, s, s.at, firstInterval
	}
	q.n++
	q.sum.add(s)
	if s.mos < q.lowest.mos {
		q.lowest = s
	}
	if s.mos > q.highest.mos {
		q.highest = s
	}
	if q.partN > 0 && s.at.Sub(q.part.at) >= q.interval {
		q.flush()
	}
	if q.partN == 0 {
		q.part = sample{at: s.at}
	}
	q.part.add(s)
	q.partN++
}

// flush ends the interval under way.
func (q *quality) flush() {
	if q.partN == 0 {
		return
	}
	q.progress = append(q.progress, q.part.over(q.partN))
	q.partN = 0
	if len(q.progress) < maxProgress {
		return
	}
	half := q.progress[:0]
	for i := 0; i+1 < len(q.progress); i += 2 {
		x := q.progress[i]
		x.add(q.progress[i+1])
		half = append(half, x.over(2))
	}
	q.progress = half
	q.interval *= 2
}

// sampleQuality takes the new reception reports of all transports. The round trip of the whole path is that of both
// legs, of which each is told by the reports of its own side.
func (c *Call) sampleQuality(now time.Time) {
	c.sampled = now
	c.medias(func(m *Media) {
		if m.local == nil {
			return
		}
		st := m.local.t.Status()
		key := ifaceKey{m.local.place.iface, st.Streams[relay.RTP].Local.Addr()}
		for _, src := range st.SSRCs {
			c.sampleSource(m, &src, key)
		}
		c.engine.stats.measured(m, &st, key)
		m.trace.take(now, &st)
	})
}

func (c *Call) sampleSource(m *Media, src *relay.SSRCStatus, key ifaceKey) {
	if len(src.Reports) == 0 {
		return
	}
	q := c.quality[src.SSRC]
	if q == nil {
		if len(c.quality) >= maxSources {
			return
		}
		q = &quality{}
		c.quality[src.SSRC] = q
	}
	rate := clockRate(m, src.LastPT)
	for _, r := range src.Reports {
		if !r.At.After(q.seen) {
			continue
		}
		q.seen = r.At
		q.lost = int64(r.Lost)
		s := sample{at: r.At, leg: r.RoundTrip, roundTrip: r.RoundTrip + m.otherRoundTrip(), loss: float64(r.FractionLost) * 100 / 256}
		if rate > 0 {
			s.jitter = time.Duration(float64(r.JitterUnits) / rate * float64(time.Second))
		}
		m.roundTrip = r.RoundTrip
		s.mos = mos(s.roundTrip, s.jitter, s.loss)
		q.take(s)
		c.engine.stats.sampled(s, key)
	}
}

// maxSources bounds the sources of a call that are measured.
const maxSources = 64

// otherRoundTrip is the last round trip known on the other side of m's dialogue.
func (m *Media) otherRoundTrip() time.Duration {
	for _, s := range m.sources {
		if s.offerAnswer {
			return s.from.roundTrip
		}
	}
	return 0
}

func clockRate(m *Media, pt uint8) float64 {
	for i := range m.leg.Codecs {
		if m.leg.Codecs[i].PT == pt {
			return float64(m.leg.Codecs[i].ClockHz)
		}
	}
	return 8000
}

// mos estimates the mean opinion score of a conversation, 1 to 4.5, from round trip, jitter and loss in percent.
// Source: the E-model of ITU-T G.107 with default values, narrowband, for G.711 with loss concealment: R = 93.2 - Id -
// Ie,eff, Ie = 0 and Bpl = 25.1 from G.113 appendix I; delay impairment in the simplified form of Cole and
// Rosenbluth. The delay is half the round trip and a jitter buffer of twice the jitter.
func mos(roundTrip, jitter time.Duration, loss float64) float64 {
	const r0, bpl = 93.2, 25.1
	delay := roundTrip.Seconds()*1000/2 + 2*jitter.Seconds()*1000
	id := 0.024 * delay
	if delay > 177.3 {
		id += 0.11 * (delay - 177.3)
	}
	ie := 95 * loss / (loss + bpl)
	r := r0 - id - ie
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return math.Max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}
