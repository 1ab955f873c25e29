package rtpengine

import (
	"fmt"
	"slices"
	"strconv"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// subscribeRequest makes an offer of what parties send, for a third one that listens.
func (e *Engine) subscribeRequest(x *exchange) error {
	f := &x.flags
	return e.withCall(f, func(c *Call) error {
		sources, err := c.subscriptionSources(f)
		if err != nil {
			return err
		}
		p := c.living(f.ToTag)
		if p == nil {
			p = c.addParticipant(first(f.ToTag, e.newTag()), e.now())
		}
		p.Label = first(f.SetLabel, p.Label)
		p.placeOn(f.interfaceWord(), f.AddressFamily, sdpFamily(sources[0].party.in))
		n := negotiation{call: c, f: f, s: subscriptionSession(sources), from: sources[0].party, to: p}
		n.pairSubscription(sources)
		if err := n.offerReceiver(); err != nil {
			return err
		}
		n.subscribe()
		body := n.print(true)
		c.apply()
		x.reply.AddString("sdp", string(body))
		n.describeSources(&x.reply)
		x.warn(n.warning())
		return nil
	})
}

// subscriptionSession is the session level of the offer: that of the first source, of which only the lines that every
// body has are kept when there are several parties.
func subscriptionSession(sources []*Media) *sdp.Session {
	s := *sources[0].party.in
	if slices.ContainsFunc(sources, func(m *Media) bool { return m.party != sources[0].party }) {
		s.Rest = nil
	}
	return &s
}

// subscriptionSources are the sections that a request subscribes to. Those of parties that are named come party by
// party; where it says all, section by section.
func (c *Call) subscriptionSources(f *Flags) ([]*Media, error) {
	var parties []*Participant
	all := f.All != AllNone
	switch {
	case all:
		parties = c.publishers(f.All)
	case len(f.FromTags) > 0:
		for _, tag := range f.FromTags {
			p := c.living(tag)
			if p == nil {
				return nil, errNoSuchFromTag
			}
			parties = append(parties, p)
		}
	case f.Label == "" && !f.HasAddress && f.FromTag == "":
		return nil, errNoMedias
	default:
		var err error
		if parties, err = c.selection(f, false); err != nil {
			return nil, err
		}
	}
	var list []*Media
	for _, p := range parties {
		for _, m := range p.Medias {
			if m.leg.In != nil && m.party.in != nil && !m.leg.Rejected && !slices.Contains(list, m) {
				list = append(list, m)
			}
		}
	}
	if len(list) == 0 {
		return nil, errNoSources
	}
	if all {
		slices.SortStableFunc(list, func(a, b *Media) int { return a.Index - b.Index })
	}
	return list, nil
}

// publishers are the parties whose media can be subscribed to.
func (c *Call) publishers(mode AllMode) []*Participant {
	return slices.DeleteFunc(c.alive(), func(p *Participant) bool {
		switch {
		case p.in == nil || p.listener:
			return true
		case mode == AllOfferAnswer:
			return len(p.assoc) == 0
		case mode == AllExceptOfferAnswer:
			return len(p.assoc) > 0
		}
		return false
	})
}

// dialogueSource is what m's party hears in its dialogue, nil when it is in none.
func (m *Media) dialogueSource() *Media {
	for _, s := range m.sources {
		if s.offerAnswer {
			return s.from
		}
	}
	return nil
}

// pairSubscription pairs each source with a section of the subscriber: the one that has it already, else a new one. The
// subscriber's order stays, since its SDP is a re-offer then.
func (n *negotiation) pairSubscription(sources []*Media) {
	kept := map[*Media]*Media{} // by the subscriber's section
	var fresh []*Media
	for _, src := range sources {
		i := slices.IndexFunc(n.to.Medias, func(m *Media) bool { return kept[m] == nil && find(m.sources, src) != nil })
		if i < 0 {
			fresh = append(fresh, src)
			continue
		}
		kept[n.to.Medias[i]] = src
	}
	for _, m := range n.to.Medias {
		if src := kept[m]; src != nil {
			n.pairs = append(n.pairs, n.subscriptionPair(src, m))
		}
	}
	for _, src := range fresh {
		n.pairs = append(n.pairs, n.subscriptionPair(src, n.to.media(len(n.to.Medias), src.Type)))
	}
}

// subscriptionPair makes of the source's section the one to offer: its codecs as agreed, nothing that is of its own
// connection.
func (n *negotiation) subscriptionPair(src, m *Media) *pair {
	p := &pair{am: src, bm: m, a: src.leg, b: m.leg, sec: src.leg.In.Clone()}
	p.sec.MID, p.sec.BundleOnly, p.sec.Label = "", false, ""
	if n.f.SIPREC {
		p.sec.Label = src.subscriptionLabel()
	}
	p.sec.Codecs = src.leg.agreed()
	p.sec.Direction = sdp.SendOnly
	switch {
	case n.f.Inactive || !src.leg.sends():
		p.sec.Direction = sdp.Inactive
	case n.f.Bidirectional:
		p.sec.Direction = sdp.SendRecv
	}
	p.a.In, p.a.Codecs, p.a.Dir, p.a.Hold = p.sec, p.sec.Codecs, p.sec.Direction, false
	return p
}

// subscriptionLabel tells a section from all others of the call.
func (m *Media) subscriptionLabel() string { return strconv.FormatUint(m.id-1, 10) }

// agreed are the codecs that the party's dialogue has settled on, or those of its SDP.
func (l *leg) agreed() []sdp.Codec {
	if l.Agreed != nil {
		return l.Agreed
	}
	return l.Codecs
}

// offerReceiver decides the offer to n.to and opens its ports. The senders' side stays as it is.
func (n *negotiation) offerReceiver() error {
	for _, p := range n.pairs {
		propose(&p.a, &p.b, n.f, n.call.engine.rules())
		p.a.Pass, p.b.Pass = false, false
		n.proposeCodecs(p)
	}
	n.proposeBundle()
	return n.openReceiver(true)
}

// openReceiver opens the ports of n.to and makes its new legs count. told says that a body with the ports goes out.
func (n *negotiation) openReceiver(told bool) error {
	for _, p := range n.pairs {
		p.bm.join(p.bHead, func(h *pair) *Media { return h.bm })
		p.bm.grouped = p.bm.grouped || p.bHead != nil
		if p.b.Rejected {
			p.bm.release()
		} else if p.bm.bundle == nil {
			w := n.wish(&p.b, &p.a)
			w.keep = true // the sources may come and go
			if err := p.bm.ensure(w); err != nil {
				return err
			}
		}
		if p.sec != nil {
			p.bm.Type = p.sec.Type
		}
		p.b.Told = p.b.Told || told
		p.bm.leg = p.b
	}
	return nil
}

// subscribe makes the receiver hear the sources of the pairs, and nothing else.
func (n *negotiation) subscribe() {
	n.to.listener = true
	for _, m := range n.to.Medias {
		p := n.pairOf(m)
		for _, s := range slices.Concat(m.sources, m.sinks) {
			if p == nil || s.from != p.am && s.to != p.am {
				s.unlink()
			}
		}
		if p == nil {
			m.leg.Rejected = true
			m.release()
			continue
		}
		link(p.am, m, false).mirrorRTCP = n.f.MirrorRTCP
		if back := find(p.am.sources, m); back == nil && n.f.Bidirectional {
			link(m, p.am, false)
		} else if back != nil && !n.f.Bidirectional {
			back.unlink()
		}
	}
}

// describeSources says in the reply whose media the sections are.
func (n *negotiation) describeSources(reply *ng.Dict) {
	var tags, sections []ng.Value
	labels := &ng.Dict{}
	for _, m := range n.to.Medias {
		p := n.pairOf(m)
		if p == nil {
			continue
		}
		src, source := p.am, p.am.party
		tags = append(tags, ng.String(source.Tag))
		mode := opposite(src.leg.Dir).String()
		entry := &ng.Dict{}
		entry.AddInt("index", int64(src.Index))
		entry.AddString("type", src.Type)
		entry.AddString("label", src.subscriptionLabel())
		entry.AddString("mode", mode)
		section := &ng.Dict{}
		section.AddString("tag", source.Tag)
		byLabel := &ng.Dict{}
		byLabel.AddString("tag", source.Tag)
		byLabel.AddInt("index", int64(src.Index))
		byLabel.AddString("type", src.Type)
		if source.Label != "" {
			section.AddString("label", source.Label)
			byLabel.AddString("label", source.Label)
		}
		byLabel.AddString("mode", mode)
		section.Add("medias", ng.List(ng.DictValue(entry)))
		sections = append(sections, ng.DictValue(section))
		labels.AddDict(src.subscriptionLabel(), byLabel)
	}
	if len(tags) == 1 {
		reply.Add("from-tag", tags[0])
	}
	if n.f.SIPREC {
		reply.Add("tag-medias", ng.List(sections...))
		reply.AddDict("media-labels", labels)
	}
	reply.Add("from-tags", ng.List(tags...))
	reply.AddString("to-tag", n.to.Tag)
}

// opposite is the direction as it looks from the other end: ours, which is what the reply tells.
func opposite(d sdp.Direction) sdp.Direction {
	switch d {
	case sdp.SendOnly:
		return sdp.RecvOnly
	case sdp.RecvOnly:
		return sdp.SendOnly
	}
	return d
}

// subscribeAnswer takes the subscriber's answer.
func (e *Engine) subscribeAnswer(x *exchange) error {
	f := &x.flags
	return e.withCall(f, func(c *Call) error {
		s, err := e.parseBody(f)
		if err != nil {
			return err
		}
		p := c.living(f.ToTag)
		if p == nil {
			return errToTagNotFound
		}
		return c.hearAnswer(p, s, f, errSubscription)
	})
}

// parseBody parses the request's SDP.
func (e *Engine) parseBody(f *Flags) (*sdp.Session, error) {
	if f.SDP == "" {
		return nil, errNoSDP
	}
	s, err := sdp.Parse(f.SDP)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errParseSDP, err)
	}
	return s, nil
}

// hearAnswer takes p's answer to an offer that was made here rather than passed on. It must take all codecs of the source
// that were offered, as the reference demands, unless the request allows less. Further sections than were offered are ignored.
func (c *Call) hearAnswer(p *Participant, s *sdp.Session, f *Flags, refusal error) error {
	n := negotiation{call: c, f: f, s: s, from: p, to: p}
	for i, m := range p.Medias {
		if m.leg.Rejected && m.local == nil && m.bundle == nil {
			continue // was not offered
		}
		q := &pair{am: m, a: m.leg}
		if i < len(s.Media) {
			q.sec = s.Media[i]
		}
		n.pairs = append(n.pairs, q)
	}
	if p.listener && !f.Codec.AllowTranscoding && !n.takesAll() {
		return refusal
	}
	if p.bundle.offered {
		n.groupSender()
	}
	n.hear(false)
	for _, q := range n.pairs {
		if q.aHead != nil && q.aHead != q {
			q.a.share(&q.aHead.a)
		}
		if q.a.Agreed = q.a.Codecs; q.a.Rejected {
			q.am.release()
		} else {
			q.am.join(q.aHead, func(h *pair) *Media { return h.am })
		}
		q.am.leg = q.a
	}
	p.in = s
	c.apply()
	return nil
}

// takesAll tells whether each section of an answer has every codec of the source that was offered. Those that were added
// to them may be left out.
func (n *negotiation) takesAll() bool {
	for _, p := range n.pairs {
		if p.sec == nil || p.sec.Port == 0 || !p.sec.Protocol.IsRTP() {
			continue
		}
		for i := range p.a.Shown {
			c := &p.a.Shown[i]
			same := func(o sdp.Codec) bool { return sdp.SameEncoding(c, &o) }
			sent := slices.ContainsFunc(p.am.sources, func(s *subscription) bool { return slices.ContainsFunc(s.from.leg.Codecs, same) })
			if sent && !isSupplement(c) && !isRetransmission(c) && !slices.ContainsFunc(p.sec.Codecs, same) {
				return false
			}
		}
	}
	return true
}

// unsubscribe ends what the party of to-tag hears: from the party of from-tag where the request is directional, else it
// ends the party itself.
func (e *Engine) unsubscribe(x *exchange) error {
	f := &x.flags
	return e.withCall(f, func(c *Call) error {
		to := c.living(f.ToTag)
		if to == nil {
			return errToTagNotFound
		}
		if f.Directional && f.FromTag != "" {
			from := c.living(f.FromTag)
			if from == nil {
				return errUnsubscribe
			}
			unsubscribe(from, to)
			if f.Bidirectional {
				unsubscribe(to, from)
			}
		} else {
			c.dropParticipant(to)
		}
		c.apply()
		return nil
	})
}

// unsubscribe ends all flows from one party to another. What is left of their dialogue is none.
func unsubscribe(from, to *Participant) {
	for _, s := range from.flowsTo(to) {
		s.unlink()
	}
	if len(to.flowsTo(from)) == 0 {
		from.dissociate(to)
		to.dissociate(from)
	}
}
