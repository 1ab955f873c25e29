package rtpengine

import (
	"slices"
	"strconv"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// subscribeRequest makes an offer of what one or several parties send, for a third: a recorder, a supervisor.
func (e *Engine) subscribeRequest(x *exchange) error {
	f := x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCall
	}
	defer e.unlock(c)
	sources, err := c.sourcesFor(f)
	if err != nil {
		return err
	}
	c.signal(f)
	if f.ToTag == "" {
		f.ToTag = e.newTag()
	}
	to := c.participant(f.ToTag)
	if to == nil {
		to = c.addParticipant(f.ToTag, c.lastSignal)
	}
	to.revive()
	if f.SetLabel != "" {
		to.Label = f.SetLabel
	}
	for _, m := range to.Medias {
		m.unlinkAll()
	}
	src := sources[0].party.in
	to.placeOn(first(f.Interface, f.Direction[1]), f.AddressFamily, sdpFamily(src))
	body, err := c.offerSources(to, src, sources, f)
	if err != nil {
		c.dropParticipant(to)
		c.apply()
		return err
	}
	x.reply.AddString("sdp", string(body))
	if f.SIPREC {
		describeSources(&x.reply, sources)
	}
	if len(sources) == 1 {
		x.reply.AddString("from-tag", sources[0].party.Tag)
	}
	tags := make([]string, len(sources))
	for i, m := range sources {
		tags[i] = m.party.Tag
	}
	x.reply.Add("from-tags", ng.Strings(tags))
	x.reply.AddString("to-tag", f.ToTag)
	return nil
}

// sourcesFor are the media to subscribe to: of parties named one by one in their order, else section by section over
// all parties that send.
func (c *Call) sourcesFor(f *Flags) ([]*Media, error) {
	var parties []*Participant
	named := len(f.FromTags) > 0
	if named {
		for _, tag := range f.FromTags {
			p := c.participant(tag)
			if p == nil || p.deleted {
				return nil, errNoSuchFromTag
			}
			parties = append(parties, p)
		}
	} else {
		if f.FromTag == "" && f.Label == "" && !f.Address.IsValid() && f.All == AllNone {
			return nil, errNoMedias
		}
		list, err := c.selection(f, false)
		if err != nil {
			return nil, err
		}
		parties = list
	}
	var list []*Media
	for _, p := range parties {
		for _, m := range p.Medias {
			if p.in == nil || !m.leg.Seen || m.leg.Rejected || m.transport() == nil || p.onlyListens() {
				continue
			}
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return nil, errNoSources
	}
	if !named {
		slices.SortStableFunc(list, func(a, b *Media) int { return a.Index - b.Index })
	}
	return list, nil
}

// onlyListens tells subscribers apart: nothing of theirs is passed on.
func (p *Participant) onlyListens() bool {
	return len(p.assoc) == 0 && slices.ContainsFunc(p.Medias, func(m *Media) bool {
		return len(m.sources) > 0 && !slices.ContainsFunc(m.sources, func(s *subscription) bool { return s.offerAnswer })
	})
}

// offerSources is the offer to a subscriber: one section for each source.
func (c *Call) offerSources(to *Participant, src *sdp.Session, sources []*Media, f *Flags) ([]byte, error) {
	n := negotiation{call: c, f: f, s: src, to: to}
	dir := sdp.SendOnly
	switch {
	case f.Inactive:
		dir = sdp.Inactive
	case f.Bidirectional:
		dir = sdp.SendRecv
	}
	for i, m := range sources {
		p := &pair{am: m, bm: to.media(i, m.Type), sec: m.leg.In, a: m.leg}
		sec := *m.leg.In
		sec.Direction = dir
		sec.MID = ""
		if f.SIPREC {
			if m.label == "" {
				m.label = strconv.Itoa(c.nextLabel)
				c.nextLabel++
			}
			sec.Label = m.label
		}
		p.sec = &sec
		p.b = p.bm.leg
		p.a.Dir = dir
		p.a.Hold = false
		propose(&p.a, &p.b, f, c.engine.rules())
		p.a.Dir = dir
		n.proposeCodecs(p)
		n.pairs = append(n.pairs, p)
	}
	n.proposeBundle()
	for _, p := range n.pairs {
		p.bm.join(p.bHead, func(h *pair) *Media { return h.bm })
		p.b.Told = true
		p.bm.leg = p.b
		p.bm.Type = p.sec.Type
		if p.bm.bundle == nil {
			if err := p.bm.ensure(n.wish(&p.b, &leg{})); err != nil {
				return nil, err
			}
		}
		from := []*Media{p.am}
		if f.Egress {
			from = p.am.heard()
		}
		for _, m := range from {
			link(m, p.bm, false).mirrorRTCP = f.MirrorRTCP
			if f.Bidirectional {
				link(p.bm, m, false)
			}
		}
	}
	body := n.print(true)
	c.apply()
	return body, nil
}

// heard are the media that m's party is sent.
func (m *Media) heard() []*Media {
	var list []*Media
	for _, s := range m.sources {
		list = append(list, s.from)
	}
	return list
}

// describeSources adds what a session recording client needs to know about the sections.
func describeSources(d *ng.Dict, sources []*Media) {
	describe := func(m *Media, withTag bool) *ng.Dict {
		s := &ng.Dict{}
		if withTag {
			s.AddString("tag", m.party.Tag)
		}
		s.AddInt("index", int64(m.Index))
		s.AddString("type", m.Type)
		if withTag {
			if m.party.Label != "" {
				s.AddString("label", m.party.Label)
			}
		} else {
			s.AddString("label", m.label)
		}
		s.AddString("mode", m.leg.Dir.String())
		return s
	}
	var medias []ng.Value
	labels := &ng.Dict{}
	for _, m := range sources {
		e := &ng.Dict{}
		e.AddString("tag", m.party.Tag)
		if m.party.Label != "" {
			e.AddString("label", m.party.Label)
		}
		e.Add("medias", ng.List(ng.DictValue(describe(m, false))))
		medias = append(medias, ng.DictValue(e))
		labels.AddDict(m.label, describe(m, true))
	}
	d.Add("tag-medias", ng.List(medias...))
	d.AddDict("media-labels", labels)
}

// subscribeAnswer completes a subscription.
func (e *Engine) subscribeAnswer(x *exchange) error {
	f := x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	if f.SDP == "" {
		return errNoSDP
	}
	if f.FromTag == "" {
		f.FromTag = f.ToTag // readSDP wants one; it has no meaning here
	}
	s, err := e.readSDP(f)
	if err != nil {
		return err
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCall
	}
	defer e.unlock(c)
	p := c.participant(f.ToTag)
	if p == nil || p.deleted {
		return errToTagNotFound
	}
	n := negotiation{call: c, f: f, s: s, from: p}
	for i, m := range p.Medias {
		pr := &pair{am: m, a: m.leg}
		if i < len(s.Media) {
			pr.sec = s.Media[i]
		}
		n.pairs = append(n.pairs, pr)
	}
	if p.bundle.offered {
		n.groupSender()
	}
	n.hear(false)
	for _, pr := range n.pairs {
		if !pr.a.Rejected && !f.Codec.AllowTranscoding && !acceptsAll(pr.a.Shown, pr.sec.Codecs) {
			return errSubscription
		}
	}
	c.signal(f)
	p.in = s
	for _, pr := range n.pairs {
		pr.am.join(pr.aHead, func(h *pair) *Media { return h.am })
		pr.am.leg = pr.a
		if pr.a.Rejected {
			pr.am.release()
		}
	}
	c.apply()
	return nil
}

// acceptsAll tells whether an answer has every codec of the offer.
func acceptsAll(offered, answered []sdp.Codec) bool {
	for i := range offered {
		if !slices.ContainsFunc(answered, func(c sdp.Codec) bool { return c.PT == offered[i].PT || sdp.Matches(&c, &offered[i]) }) {
			return false
		}
	}
	return true
}

// unsubscribe ends a subscriber.
func (e *Engine) unsubscribe(x *exchange) error {
	f := x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCall
	}
	defer e.unlock(c)
	p := c.participant(f.ToTag)
	if p == nil || p.deleted {
		return errToTagNotFound
	}
	c.dropParticipant(p)
	c.apply()
	return nil
}
