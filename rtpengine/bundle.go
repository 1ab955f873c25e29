package rtpengine

import (
	"slices"
	"strconv"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// bundleState is what was agreed with one party about sharing a transport among its sections, RFC 9143.
type bundleState struct {
	accepts bool // a group in its offers is followed
	offered bool // we put its sections into a group
	shared  bool // the sections of our group use one port
}

// semanticsBundle names the group.
const semanticsBundle = "BUNDLE"

// followGroups decides about the offerer's group before its sections are heard: those in it live although their own
// port may be 0.
func (n *negotiation) followGroups() {
	w := n.f.Bundle
	switch {
	case w.Reject:
		n.from.bundle.accepts = false
	case w.Accept:
		n.from.bundle.accepts = true
	}
	if n.from.bundle.accepts {
		n.groupSender()
	}
}

// groupSender puts the sender's sections under the first one of their group that has a port.
func (n *negotiation) groupSender() {
	for _, g := range n.s.Groups {
		if g.Semantics != semanticsBundle {
			continue
		}
		members := n.members(g.MIDs)
		if !separable(members) {
			continue
		}
		var head *pair
		for _, p := range members {
			if head == nil {
				if p.sec.Port == 0 {
					continue
				}
				head = p
			}
			p.aHead = head
		}
	}
}

// members are the sections of a group that can share a transport.
func (n *negotiation) members(mids []string) []*pair {
	var list []*pair
	for _, mid := range mids {
		p := n.bySenderMID(mid)
		if p != nil && p.sec.Protocol.IsRTP() && (p.sec.Port != 0 || p.sec.BundleOnly) {
			list = append(list, p)
		}
	}
	return list
}

// separable tells whether packets can be told apart: by a mid in each, or by payload types that are used once.
func separable(members []*pair) bool {
	var pts relay.PTSet
	unique, mids := true, true
	for _, p := range members {
		mids = mids && extmapID(p.sec.Extmaps, uriMID) > 0
		for _, c := range p.sec.Codecs {
			unique = unique && !pts.Has(c.PT)
		}
		for _, c := range p.sec.Codecs {
			pts.Add(c.PT)
		}
	}
	return unique || mids
}

func (n *negotiation) bySenderMID(mid string) *pair {
	for _, p := range n.pairs {
		if p.sec != nil && p.sec.MID == mid {
			return p
		}
	}
	return nil
}

// proposeBundle decides about the group in the offer.
func (n *negotiation) proposeBundle() {
	b := &n.to.bundle
	w := n.f.Bundle
	switch {
	case w.Reject:
		*b = bundleState{accepts: b.accepts}
	case w.Offer || w.Require || w.Strict:
		b.offered = true
		b.shared = b.shared || w.Require || w.Strict
	}
	var head *pair
	for _, p := range n.pairs {
		if p.bm == nil || p.sec == nil {
			continue
		}
		if p.b.MID == "" {
			p.b.MID = n.newMID(p)
		}
		grouped := b.offered || b.accepts && p.bm.grouped && !w.Reject
		if !grouped || p.b.Rejected || !p.b.rtp() {
			continue
		}
		if head == nil {
			head = p
		}
		p.inGroup = true
		if b.shared || b.accepts && p.bm.grouped && !w.Reject {
			p.bHead = head
			p.b.share(&head.b)
		}
	}
	for _, p := range n.pairs {
		if p.aHead != nil && p.aHead != p {
			p.a.share(&p.aHead.a)
		}
	}
}

// newMID is the sender's word for a section that the receiver has no word for, or a number where one is needed.
func (n *negotiation) newMID(p *pair) string {
	if p.sec.MID != "" {
		return p.sec.MID
	}
	if !n.f.GenerateMID && !n.to.bundle.offered {
		return ""
	}
	for i := p.bm.Index; ; i++ {
		mid := strconv.Itoa(i)
		if !slices.ContainsFunc(n.pairs, func(o *pair) bool { return o.b.MID == mid || o.sec != nil && o.sec.MID == mid }) {
			return mid
		}
	}
}

// concludeBundle decides about both sides once the answer is there.
func (n *negotiation) concludeBundle() {
	if n.from.bundle.offered || n.from.bundle.accepts {
		n.groupSender()
	}
	if n.from.bundle.offered {
		n.from.bundle.shared = slices.ContainsFunc(n.pairs, func(p *pair) bool { return p.aHead != nil && p.aHead != p })
		n.from.bundle.accepts = n.from.bundle.accepts || n.from.bundle.shared // from now on it may offer the group itself
	}
	// The offerer's own group was decided when it was heard; sections that were refused leave it.
	heads := map[*Media]*pair{}
	for _, p := range n.pairs {
		if p.bm == nil || p.b.Rejected || !n.to.bundle.accepts || !p.bm.grouped {
			continue
		}
		was := p.bm.head()
		if heads[was] == nil {
			heads[was] = p
		}
		p.bHead, p.inGroup = heads[was], true
		p.b.share(&p.bHead.b)
	}
	for _, p := range n.pairs {
		if p.aHead != nil && p.aHead != p {
			p.a.share(&p.aHead.a)
		}
	}
}

// share makes l use the transport of the group's head: one set of credentials, one association.
func (l *leg) share(head *leg) {
	if l == head {
		return
	}
	mid, trickle := l.MID, l.ICE.Trickle
	on := l.ICE.On
	l.ICE = head.ICE
	l.ICE.On = on && head.ICE.On
	l.ICE.Trickle = trickle || head.ICE.Trickle
	if l.DTLS.On && head.DTLS.On {
		l.DTLS = head.DTLS
	}
	l.Mux.Require = head.Mux.Require
	l.Remote, l.Hold = head.Remote, head.Hold
	l.MID = mid
}

// commitBundle makes the decisions count: transports of sections that joined another are released, and a section that
// leaves its head takes the transport along when the head itself is gone.
func (n *negotiation) commitBundle() {
	for _, p := range n.pairs {
		p.am.join(p.aHead, func(h *pair) *Media { return h.am })
		if p.sec != nil {
			p.am.grouped = p.aHead != nil
		}
		if p.bm != nil {
			p.bm.join(p.bHead, func(h *pair) *Media { return h.bm })
			p.bm.grouped = p.bm.grouped || p.bHead != nil
		}
	}
}

// join puts m on the transport of head's media, or on its own.
func (m *Media) join(head *pair, media func(*pair) *Media) {
	if head == nil || media(head) == m {
		if old := m.bundle; old != nil && head != nil && old.leg.Rejected && m.local == nil {
			m.local, old.local = old.local, nil // the head was refused: its ports were told for all
		}
		m.bundle = nil
		return
	}
	h := media(head)
	if m.local != nil && !h.leg.ICE.On && len(h.spares) < maxSpares {
		h.spares, m.local = append(h.spares, m.local), nil // without ICE some go on sending to the port that they were shown
	}
	m.release()
	m.bundle = h
}

// groups prints the group of the receiver's sections.
func (n *negotiation) groups(out *sdp.Session) {
	var mids []string
	for _, m := range n.to.Medias {
		if p := n.pairOf(m); p != nil && p.inGroup && !p.a.Rejected && !p.b.Rejected && p.b.MID != "" {
			mids = append(mids, p.b.MID)
		}
	}
	if n.f.ICE == ICEForceRelay || slices.ContainsFunc(n.pairs, func(p *pair) bool { return p.a.Blind || p.a.Pass && p.b.ICE.Mode == ICEForceRelay }) {
		out.Groups = n.s.Groups // what passes as it came may be bundled
	}
	if len(mids) > 0 {
		out.Groups = []sdp.Group{{Semantics: semanticsBundle, MIDs: mids}}
	}
}

// midExtension adds the header extension that carries the mid to a section of our group.
func (n *negotiation) midExtension(list []sdp.Extmap) []sdp.Extmap {
	if extmapID(list, uriMID) > 0 {
		return list
	}
	used := map[int]bool{}
	for _, p := range n.pairs {
		if p.sec != nil {
			for _, e := range p.sec.Extmaps {
				used[e.ID] = true
				if e.URI == uriMID {
					return append(slices.Clone(list), sdp.Extmap{ID: e.ID, URI: uriMID})
				}
			}
		}
	}
	id := 1
	for used[id] {
		id++
	}
	return append(slices.Clone(list), sdp.Extmap{ID: id, URI: uriMID})
}

// withoutMID is list without the header extension that carries the mid.
func withoutMID(list []sdp.Extmap) []sdp.Extmap {
	return slices.DeleteFunc(slices.Clone(list), func(x sdp.Extmap) bool { return x.URI == uriMID })
}
