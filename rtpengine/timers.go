package rtpengine

import (
	"slices"
	"time"

	"rtpsidecar/relay"
)

// Periods of the engine's one timer.
const (
	sweepPeriod   = time.Second // timeouts are checked once a second, as the protocol has it
	qualityPeriod = 5 * time.Second
)

// runTimers sweeps until the engine is closed.
func (e *Engine) runTimers() {
	defer e.done.Done()
	t := time.NewTicker(sweepPeriod)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
			e.sweep(e.now())
		}
	}
}

// sweep ends the calls whose time is over and takes the samples that are due.
func (e *Engine) sweep(now time.Time) {
	total := e.host.Totals()
	sum := total.User
	add(&sum, total.Kernel)
	e.stats.mu.Lock()
	e.stats.rates.sample(now, sum)
	e.stats.kernel.sample(now, total.Kernel)
	rate := e.stats.rates.bytes
	e.stats.mu.Unlock()
	limits := e.adjustable.Load()
	e.load.sample(limits.MaxCPU > 0, limits.MaxLoad > 0, rate)
	e.fragment.expire(now)
	e.ended.settle()
	list := e.snapshot()
	// Most calls are passed over here, without their lock.
	list = slices.DeleteFunc(list, func(c *Call) bool { return c.look.Load() > now.UnixNano() })
	for due := range slices.Chunk(list, fetchCalls) {
		e.ahead.fetch(due)
		for _, c := range due {
			e.attend(c, now)
		}
	}
}

// attend does for one call what is due.
func (e *Engine) attend(c *Call, now time.Time) {
	c.mu.Lock()
	defer e.release(c)
	if c.dead {
		return
	}
	if now.Sub(c.sampled) >= qualityPeriod {
		c.sampleQuality(now)
	}
	c.dropDoomed(now)
	if why, over := c.expired(now); over {
		e.destroy(c, why)
	}
	c.look.Store(c.nextLook().UnixNano())
}

// fetching brings in the memory of calls that the timer is about to look at. One after the other each would wait for one line
// of memory after the other, as each says where the next one is. Here many calls go one step of that way, then the next, and lines of
// different calls come at the same time.
type fetching struct {
	calls      []*Call
	parties    []*Participant
	medias     []*Media
	ports      []*localPort
	transports []*relay.Transport
	seen       uint64 // says nothing; without it nothing would have to be read
}

// fetchCalls is how many calls go together.
const fetchCalls = 16

// fetch reads a word of each line that attend is likely to need. Calls that are in use are left out, and no lock is waited for.
func (f *fetching) fetch(calls []*Call) {
	for _, c := range calls {
		if c.mu.TryLock() {
			f.calls = append(f.calls, c)
		}
	}
	for _, c := range f.calls {
		f.parties = append(f.parties, c.participants...)
	}
	for _, p := range f.parties {
		f.medias = append(f.medias, p.Medias...)
	}
	for _, m := range f.medias {
		f.seen += uint64(m.trace.at) + uint64(len(m.leg.Codecs))
		if m.local != nil {
			f.ports = append(f.ports, m.local)
		}
	}
	for _, m := range f.medias {
		if len(m.leg.Codecs) > 0 {
			f.seen += uint64(m.leg.Codecs[0].PT)
		}
	}
	for _, l := range f.ports {
		f.seen += l.counted.packets
		f.transports = append(f.transports, l.t)
	}
	for step := range relay.FetchSteps {
		for _, t := range f.transports {
			f.seen += t.Fetch(step)
		}
	}
	for _, c := range f.calls {
		c.mu.Unlock()
	}
	clear(f.calls)
	clear(f.parties)
	clear(f.medias)
	clear(f.ports)
	clear(f.transports)
	f.calls, f.parties, f.medias, f.ports, f.transports = f.calls[:0], f.parties[:0], f.medias[:0], f.ports[:0], f.transports[:0]
}

// nextLook is when a sweep has something to do for c, as long as no command changes it.
func (c *Call) nextLook() time.Time {
	at := c.sampled.Add(qualityPeriod)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	sooner(c.deleteAt)
	sooner(c.aliveUntil)
	if final := c.engine.adjustable.Load().FinalTimeout; final > 0 {
		sooner(c.created.Add(final))
	}
	for _, p := range c.participants {
		if !p.deleted {
			sooner(p.deleteAt)
		}
	}
	return at
}

// expired tells whether c's time is over, and why.
func (c *Call) expired(now time.Time) (why closeReason, over bool) {
	cfg := c.engine.adjustable.Load()
	switch {
	case !c.deleteAt.IsZero() && !now.Before(c.deleteAt):
		return closedDeleted, true
	case cfg.FinalTimeout > 0 && now.Sub(c.created) >= cfg.FinalTimeout:
		return closedFinal, true
	case now.Before(c.aliveUntil):
		return 0, false
	}
	return c.silence(now)
}

// silence looks at each stream of the call. One live stream keeps it, but a held one only while there is none that
// should be heard. The next look comes when the first of those alive may have died.
func (c *Call) silence(now time.Time) (why closeReason, over bool) {
	cfg := c.engine.adjustable.Load()
	classes := [...]struct {
		limit time.Duration
		why   closeReason
		alive time.Time // until when the last one lives
		any   bool
	}{
		{limit: cfg.Timeout, why: closedTimeout},
		{limit: cfg.SilentTimeout, why: closedSilent},
		{limit: cfg.OfferTimeout, why: closedOffer},
	}
	const talking, held, waiting = 0, 1, 2
	c.medias(func(m *Media) {
		if m.party.deleted || m.leg.Rejected || len(m.sources)+len(m.sinks) == 0 {
			return
		}
		class := talking
		switch {
		case !m.leg.Seen:
			class = waiting
		case !m.leg.sends() || m.transport() == nil:
			class = held
		}
		k := &classes[class]
		k.any = true
		last := later(m.lastPacket(), c.lastSignal)
		if k.limit <= 0 {
			last, k.limit = now, 24*time.Hour // off
		}
		k.alive = later(k.alive, last.Add(k.limit))
	})
	until := later(classes[talking].alive, classes[waiting].alive)
	if !classes[talking].any {
		until = later(until, classes[held].alive)
	}
	if until.IsZero() && !classes[held].any {
		return 0, false // no streams at all: never timed out
	}
	if now.Before(until) {
		// Streams live on with every packet, so this is no later than the call can end.
		c.aliveUntil = until
		return 0, false
	}
	for _, k := range classes {
		if k.any {
			return k.why, true
		}
	}
	return 0, false
}

// lastPacket is when m's party was heard last, by media or by ICE; its transport's opening at first.
func (m *Media) lastPacket() time.Time {
	h := m.head()
	if h.local == nil {
		return m.party.created
	}
	return later(h.local.opened, h.local.t.Heard())
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
