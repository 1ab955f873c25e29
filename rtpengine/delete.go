package rtpengine

import (
	"slices"
	"time"
)

// delete ends a call, or one party or branch of it.
func (e *Engine) delete(x *exchange) error {
	f := &x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return x.notFound()
	}
	defer e.unlock(c)
	doomed, whole := c.doomed(f)
	if whole && len(c.ids) > 1 {
		// Only what came under this id ends; the rest is found by the others.
		doomed, whole = c.fromHome(f.CallID), false
		defer e.forgetID(c, f.CallID)
	}
	if !whole && len(doomed) == 0 {
		return x.notFound()
	}
	delay := e.adjustable.Load().DeleteDelay
	if f.DeleteDelay != nil {
		delay = *f.DeleteDelay
	}
	if whole && delay <= 0 {
		c.freeze()
	}
	if !f.Fast {
		c.report(&x.reply, f.FromTag)
	}
	if f.Metadata != "" {
		c.metadata = f.Metadata
	}
	if !whole {
		if doomed = c.orphaned(doomed); len(doomed) < len(c.alive()) {
			c.log.Info("branch deleted", "parties", len(doomed), "delay", delay.Round(time.Second))
			c.note("command", doomed[0], 0, "branch deleted")
			for _, p := range doomed {
				p.deleteAt = e.now().Add(delay)
			}
			c.dropDoomed(e.now())
			return nil
		}
	}
	if delay <= 0 {
		e.destroy(c, closedDeleted)
		return nil
	}
	c.deleteAt = e.now().Add(delay)
	c.log.Info("call deleted", "delay", delay.Round(time.Second))
	c.note("command", nil, 0, "deleted, kept for "+delay.Round(time.Second).String())
	return nil
}

// notFound is an error only for those who want it to be.
func (x *exchange) notFound() error {
	if x.flags.Fatal {
		return errNotFound
	}
	x.warn(string(errNotFound))
	return nil
}

// warn adds a warning to the reply; "" adds none.
func (x *exchange) warn(text string) {
	if text != "" {
		x.reply.AddString("warning", text)
	}
}

// doomed are the parties that a delete is about; whole means the whole call. The to-tag counts only with the flag of
// that name; a Via branch selects a branch of the from-tag's party.
func (c *Call) doomed(f *Flags) (list []*Participant, whole bool) {
	if f.FromTag == "" {
		return nil, true
	}
	from := c.participant(f.FromTag)
	if from == nil {
		return nil, false
	}
	if f.ForceToTag && f.ToTag != "" {
		to := c.participant(f.ToTag)
		if to == nil || to == from {
			return nil, false
		}
		return []*Participant{to}, false
	}
	if f.ViaBranch != "" {
		if from.ViaBranch == f.ViaBranch {
			return []*Participant{from}, false
		}
		if o := from.latest(func(o *Participant) bool { return o.ViaBranch == f.ViaBranch }); o != nil {
			return []*Participant{o}, false
		}
		if from.hasBranches() {
			return nil, false
		}
	}
	return []*Participant{from}, false
}

// dropDoomed drops the parties whose delay is over.
func (c *Call) dropDoomed(now time.Time) {
	dropped := false
	for _, p := range c.participants {
		if !p.deleted && !p.deleteAt.IsZero() && !now.Before(p.deleteAt) {
			c.dropParticipant(p)
			dropped = true
		}
	}
	if dropped {
		c.apply()
	}
}

// fromHome are the parties that came under one of the call's ids.
func (c *Call) fromHome(id string) []*Participant {
	return slices.DeleteFunc(c.alive(), func(p *Participant) bool { return p.home != id })
}

// orphaned are the doomed and those who are in a dialogue with nobody else.
func (c *Call) orphaned(doomed []*Participant) []*Participant {
	gone := slices.Clone(doomed)
	in := func(p *Participant) bool { return slices.Contains(gone, p) }
	for _, p := range c.alive() {
		if !p.deleteAt.IsZero() && !in(p) {
			gone = append(gone, p)
		}
		if in(p) || len(p.assoc) == 0 && p.subscribed(gone) {
			continue
		}
		if !slices.ContainsFunc(p.assoc, func(o *Participant) bool { return !in(o) }) {
			gone = append(gone, p)
		}
	}
	return gone
}

// subscribed tells whether p listens to someone who is not among gone.
func (p *Participant) subscribed(gone []*Participant) bool {
	for _, m := range p.Medias {
		if slices.ContainsFunc(m.sources, func(s *subscription) bool { return !slices.Contains(gone, s.from.party) }) {
			return true
		}
	}
	return false
}
