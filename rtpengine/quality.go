package rtpengine

import (
	"math"
	"time"

	"rtpsidecar/relay"
)

// verdict is who reports about which source.
type verdict struct{ source, reporter uint32 }

// quality is what reception reports of one source about another say over the life of a call.
type quality struct {
	seen    time.Time // reports up to this moment have been taken
	first   time.Time
	sum     sample // sums of n samples
	n       int
	lowest  sample
	highest sample

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
	loss      float64 // percent, each sample's cut to a whole one as in the reference
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
		var room [2]relay.SSRCStatus
		at, sources := m.local.received(room[:0])
		key := ifaceKey{m.local.place.iface, at}
		for i := range sources {
			c.sampleSource(m, &sources[i], key)
		}
		sum := receivedBy(sources)
		c.engine.stats.measured(m, sum, sources, key)
		m.trace.take(now, sum)
	})
}

func (c *Call) sampleSource(m *Media, src *relay.SSRCStatus, key ifaceKey) {
	if len(src.Reports) == 0 {
		return
	}
	rate := clockRate(m, src.LastPT)
	for _, r := range src.Reports {
		q := c.verdict(src.SSRC, r.Reporter)
		if q == nil || !r.At.After(q.seen) {
			continue
		}
		q.seen = r.At
		if !r.Own {
			m.roundTrip = r.RoundTrip
		}
		other := m.otherRoundTrip()
		s := sample{at: r.At, leg: m.roundTrip, roundTrip: m.roundTrip + other, loss: float64(int(r.FractionLost) * 100 / 256)}
		if rate > 0 {
			s.jitter = time.Duration(float64(r.JitterUnits) / rate * float64(time.Second))
		}
		s.mos = c.engine.cfg.MOS.score(s)
		// A conversation's score needs the delay of the whole way, as in the reference.
		if r.Own || c.engine.cfg.MOS.Listening || m.roundTrip > 0 && other > 0 {
			q.take(s)
			c.engine.stats.sampled(s, key)
		}
	}
}

// verdict is what reporter has said of source so far; nil: there is no room for more.
func (c *Call) verdict(source, reporter uint32) *quality {
	v := verdict{source, reporter}
	q := c.quality[v]
	if q == nil && len(c.quality) < maxSources {
		q = &quality{}
		c.quality[v] = q
	}
	return q
}

// qualityWhere is the verdict with the most samples among those that match; nil: there is none.
func (c *Call) qualityWhere(match func(verdict) bool) *quality {
	var best *quality
	var of verdict
	for v, q := range c.quality {
		if q.n == 0 || !match(v) {
			continue
		}
		// Of equals the lower source: a map has no order.
		if best == nil || q.n > best.n || q.n == best.n && v.source < of.source {
			best, of = q, v
		}
	}
	return best
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

// MOSFormula is how a mean opinion score is estimated. The zero value is the default: conversational, G.107.
type MOSFormula struct {
	Listening bool // LQ: the delay of the network does not count
	Legacy    bool // the simpler formula that was rtpengine's only one
}

// score estimates the mean opinion score of a sample, 1 to 4.5.
func (f MOSFormula) score(s sample) float64 {
	if f.Listening {
		s.roundTrip = 0
	}
	if f.Legacy {
		return f.legacy(s)
	}
	return f.g107(s)
}

// g107 is the E-model of ITU-T G.107 for narrowband: R = R0 - Id - Ie,eff with the delay impairment in the simplified form
// of Cole and Rosenbluth, the delay being half the round trip and a buffer as long as the jitter. R0 and Bpl are such
// that the scores are those of the reference for what calls live through, up to 12 % loss (observed: of 36 combinations
// one is off, by a tenth). Beyond that the reference's rise again; ours fall.
func (MOSFormula) g107(s sample) float64 {
	const r0, bpl = 89.45, 15
	delay := s.roundTrip.Seconds()*1000/2 + s.jitter.Seconds()*1000
	id := 0.024 * delay
	if delay > 177.3 {
		id += 0.11 * (delay - 177.3)
	}
	return opinion(r0 - id - 95*s.loss/(s.loss+bpl))
}

// legacy is the rule of thumb that network monitors use: a delay of twice the jitter and 10 ms is added, the first 160 ms
// cost a fortieth of R each, what is above 120 ms a tenth, and a percent of loss 2.5. As observed of the reference it takes
// the whole round trip for the delay.
func (MOSFormula) legacy(s sample) float64 {
	delay := s.roundTrip.Seconds()*1000 + 2*s.jitter.Seconds()*1000 + 10
	r := 93.2 - delay/40
	if delay >= 160 {
		r = 93.2 - (delay-120)/10
	}
	return opinion(r - 2.5*s.loss)
}

// opinion turns the rating R into a score, ITU-T G.107 annex B.
func opinion(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return math.Max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}
