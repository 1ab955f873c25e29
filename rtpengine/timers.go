package rtpengine

import (
	"time"
	"unsafe"

	"rtpsidecar/relay/prefetch"
	"rtpsidecar/sdp"
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
	e.sweeping.Lock()
	defer e.sweeping.Unlock()
	list := e.looks.due(now, e.due[:0])
	fetchRows(list[:min(fetchCalls, len(list))])
	for i := 0; i < len(list); i += fetchCalls {
		next := min(i+fetchCalls, len(list))
		for _, c := range list[i:next] {
			c.footprint.Lines()
		}
		fetchRows(list[next:min(next+fetchCalls, len(list))])
		for _, c := range list[i:next] {
			e.attend(c, now)
		}
	}
	clear(list) // ended calls go
	e.due = list
}

// fetchCalls is how many calls have their memory brought in together: as much as the first cache holds.
const fetchCalls = 8

// fetchRows asks for the footprints of calls.
func fetchRows(calls []*Call) {
	for _, c := range calls {
		prefetch.Row(unsafe.Pointer(&c.footprint), unsafe.Sizeof(c.footprint))
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
		return
	}
	if c.look.at.Load() == atOnce { // a command has been at it
		c.looked = 0
	}
	if c.looked++; c.looked&(c.looked-1) == 0 { // ever more seldom
		c.record()
	}
	c.look.at.Store(c.nextLook().UnixNano())
}

// record has c's footprint be what attend needs.
func (c *Call) record() {
	f := &c.footprint
	f.Reset()
	prefetch.Cover(f, c, unsafe.Offsetof(c.footprint))
	prefetch.Cover(f, unsafe.SliceData(c.participants), uintptr(len(c.participants))*unsafe.Sizeof(c))
	for _, p := range c.participants {
		prefetch.Cover(f, p, unsafe.Offsetof(p.deleteAt)+unsafe.Sizeof(p.deleteAt))
		prefetch.Cover(f, unsafe.SliceData(p.Medias), uintptr(len(p.Medias))*unsafe.Sizeof(p))
		for _, m := range p.Medias {
			prefetch.Cover(f, &m.local, unsafe.Offsetof(m.grouped)-unsafe.Offsetof(m.local))
			if n := len(m.trace.list); n > 0 {
				prefetch.Cover(f, &m.trace.list[(m.trace.next+n-1)%n], 16*unsafe.Sizeof(interval{}))
			}
			prefetch.Cover(f, &m.leg.Codecs, unsafe.Sizeof(m.leg.Codecs))
			prefetch.Cover(f, unsafe.SliceData(m.leg.Codecs), unsafe.Sizeof(sdp.Codec{}))
			if l := m.local; l != nil {
				prefetch.Cover(f, l, unsafe.Offsetof(l.owner))
				l.t.Footprint(f)
			}
		}
	}
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
