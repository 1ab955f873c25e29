package rtpengine

import "slices"

// connect makes the party of to-tag, which may be in another call, hear others, and be heard where the request is
// bidirectional. Without the flag directional it is a dialogue of two, and ends those that they were in.
func (e *Engine) connect(x *exchange) error {
	f := &x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c, other := e.lockTwo(f.CallID, first(f.ToCallID, f.CallID))
	if c == nil {
		return errUnknownCall
	}
	defer e.unlock(c)
	if other != c {
		defer e.unlock(other)
	}
	to := other.living(f.ToTag)
	if to == nil {
		return errConnectTo
	}
	parties, err := c.connected(f)
	if err != nil {
		return err
	}
	if err := e.merge(c, other); err != nil {
		return err
	}
	for _, p := range parties {
		switch {
		case p == to:
		case !f.Directional:
			p.endDialogues()
			to.endDialogues()
			p.hear(to, true)
			to.hear(p, true)
			p.associate(to)
		default:
			to.hear(p, false)
			if f.Bidirectional {
				p.hear(to, false)
			}
		}
	}
	c.apply()
	return nil
}

// connected are the parties that a connect is about, besides the one of to-tag.
func (c *Call) connected(f *Flags) ([]*Participant, error) {
	if f.All != AllNone {
		return c.publishers(f.All), nil
	}
	tags := f.FromTags
	if len(tags) == 0 {
		tags = []string{f.FromTag}
	}
	var list []*Participant
	for _, tag := range tags {
		p := c.living(tag)
		if p == nil {
			return nil, errConnectFrom
		}
		list = append(list, p)
	}
	return list, nil
}

// hear makes p's sections receive those of o: the first of a type the first of that type, and so on. What p hears of o
// already stays as it is.
func (p *Participant) hear(o *Participant, dialogue bool) {
	seen := map[string]int{}
	for _, m := range p.Medias {
		src := o.nth(m.Type, seen[m.Type])
		seen[m.Type]++
		if src != nil && find(m.sources, src) == nil {
			link(src, m, dialogue)
		}
	}
}

// nth is p's section number n, from 0, of a type; nil when there is none.
func (p *Participant) nth(kind string, n int) *Media {
	for _, m := range p.Medias {
		if m.Type != kind {
			continue
		}
		if n == 0 {
			return m
		}
		n--
	}
	return nil
}

// endDialogues ends p's dialogues; what it hears besides stays.
func (p *Participant) endDialogues() {
	for _, m := range p.Medias {
		for _, s := range slices.Concat(m.sources, m.sinks) {
			if s.offerAnswer {
				s.unlink()
			}
		}
	}
	for _, o := range slices.Clone(p.assoc) {
		p.dissociate(o)
		o.dissociate(p)
	}
}

// mesh makes one call of several and connects parties: each from is heard by its to. With the flag unsubscribe that is
// all that hears it afterwards.
func (e *Engine) mesh(x *exchange) error {
	f := &x.flags
	if len(f.Calls) == 0 {
		return errMeshCalls
	}
	for _, id := range f.Calls[1:] {
		c, other := e.lockTwo(f.Calls[0], id)
		if c == nil {
			return errMeshCalls
		}
		err := e.merge(c, other)
		if other != c {
			e.unlock(other)
		}
		e.unlock(c)
		if err != nil {
			return errMeshCollision
		}
	}
	c := e.lockCall(f.Calls[0])
	if c == nil {
		return errMeshCalls
	}
	defer e.unlock(c)
	wanted := c.wantedFlows(f)
	if f.Unsubscribe {
		for _, t := range f.MeshTags {
			if p := c.living(t.From); p != nil {
				p.keepListeners(wanted[p])
			}
		}
	}
	for p, listeners := range wanted {
		for _, o := range listeners {
			o.hear(p, false)
		}
	}
	c.apply()
	return nil
}

// wantedFlows are the listeners of each party by the request's list.
func (c *Call) wantedFlows(f *Flags) map[*Participant][]*Participant {
	wanted := map[*Participant][]*Participant{}
	for _, t := range f.MeshTags {
		from := c.living(t.From)
		for _, tag := range t.To {
			to := c.living(tag)
			if from == nil || to == nil || from == to {
				continue
			}
			wanted[from] = append(wanted[from], to)
			if f.Bidirectional {
				wanted[to] = append(wanted[to], from)
			}
		}
	}
	return wanted
}

// keepListeners ends the flows from p to all others than these.
func (p *Participant) keepListeners(listeners []*Participant) {
	for _, s := range p.flowsTo(nil) {
		if o := s.to.party; !slices.Contains(listeners, o) {
			unsubscribe(p, o)
		}
	}
}
