package rtpengine

import "slices"

// lockTwo are the calls with these ids, locked; one call twice when both ids are its own, nil when one is missing. Of
// two calls the older one is locked first, always: nothing else locks two.
func (e *Engine) lockTwo(id, otherID string) (c, other *Call) {
	for {
		c, other = e.find(id), e.find(otherID)
		if c == nil || other == nil {
			return nil, nil
		}
		older, newer := c, other
		if newer.affinity < older.affinity {
			older, newer = newer, older
		}
		older.mu.Lock()
		if newer != older {
			newer.mu.Lock()
		}
		if !older.dead && !newer.dead {
			c.via, other.via = id, otherID
			return c, other
		}
		e.unlock(older)
		if newer != older {
			e.unlock(newer)
		}
	}
}

// find is the call with this id, which may be dead by the time it is locked.
func (e *Engine) find(id string) *Call {
	s := e.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}

// merge makes other a part of c: its parties, its counters, and its ids, by which c is found from now on. Both are
// locked. The order of locks is kept in spirit: the table's are taken here with calls locked, but nobody who holds one
// of them waits for a call that is in the table.
func (e *Engine) merge(c, other *Call) error {
	if c == other {
		return nil
	}
	for tag := range other.byTag {
		if c.byTag[tag] != nil {
			return errTagCollision
		}
	}
	for _, p := range other.participants {
		p.call = c
		p.number, p.id = c.nextUntagged, c.nextUntagged
		c.nextUntagged++
		if p.Tag != "" {
			p.log = c.log.With("tag", p.Tag)
		}
		for _, m := range p.Medias {
			c.nextMediaID++
			m.id = c.nextMediaID
		}
	}
	c.participants = append(c.participants, other.participants...)
	for tag, p := range other.byTag {
		c.byTag[tag] = p
	}
	for v, q := range other.quality {
		c.quality[v] = q
	}
	add(&c.gone.RTP, other.gone.RTP)
	add(&c.gone.RTCP, other.gone.RTCP)
	c.lastSignal = later(c.lastSignal, other.lastSignal)
	c.aliveUntil = later(c.aliveUntil, other.aliveUntil)
	c.ids = append(c.ids, other.ids...)
	e.merged.Store(true)
	for _, id := range other.ids {
		s := e.shard(id)
		s.mu.Lock()
		s.calls[id] = c
		s.mu.Unlock()
	}
	c.joinTimeline(other)
	other.participants, other.byTag, other.ids = nil, nil, nil
	other.die()
	c.log.Info("calls merged", "other", other.ID)
	return nil
}

// forgetID takes one of c's ids out of the table: c, which is locked, is not found by it any more.
func (e *Engine) forgetID(c *Call, id string) {
	c.ids = slices.DeleteFunc(c.ids, func(x string) bool { return x == id })
	e.dropID(c, id)
}

func (e *Engine) dropID(c *Call, id string) {
	s := e.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[id] == c {
		delete(s.calls, id)
		e.calls.Add(-1)
	}
}
