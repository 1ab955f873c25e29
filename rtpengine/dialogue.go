package rtpengine

import (
	"net/netip"
	"sync"

	"rtpsidecar/relay/ice"
	"rtpsidecar/sdp"
)

// negotiation is one offer or answer on its way through: from has sent the SDP s, the reply is for to. It works on
// copies of the legs; commit makes them count.
type negotiation struct {
	call     *Call
	f        *Flags
	s        *sdp.Session
	from, to *Participant
	offering bool     // to gets an offer, and may be asked for a new session of ICE
	pairs    []*pair  // one for each section of from, in order
	missing  []string // codecs asked for that would need transcoding
}

// pair is a media section on both sides. bm is nil where the receiver does not get to see the section.
type pair struct {
	am, bm *Media
	a, b   leg        // from's and to's
	sec    *sdp.Media // nil: the SDP lacks the section

	unanswered bool // sec is what the answer would have said, see leg.named

	aHead, bHead *pair // whose transport the side's section uses; nil or the pair itself: its own
	inGroup      bool  // the receiver sees it in a BUNDLE group

	out sdp.Media // what is printed to it
}

// pairs are for use again: a request needs some for as long as it runs, and they are large.
var pairs = sync.Pool{New: func() any { return new(pair) }}

// release gives back what n used. Nothing may refer to its pairs any more.
func (n *negotiation) release() {
	for _, p := range n.pairs {
		*p = pair{}
		pairs.Put(p)
	}
	n.pairs = nil
}

// pairOffer pairs each section of an offer with the receiver's, making what is missing.
func (n *negotiation) pairOffer() {
	for i := range max(len(n.s.Media), len(n.from.Medias)) {
		p := pairs.Get().(*pair)
		if i < len(n.s.Media) {
			p.sec = n.s.Media[i]
			p.am = n.from.media(i, p.sec.Type)
		} else {
			p.am = n.from.Medias[i]
		}
		p.bm = p.am.peerIn(n.to)
		if removed := p.sec != nil && removedMedia(n.f, p.sec.Type); p.bm == nil && p.sec != nil && !removed {
			p.bm = n.unpaired(p.sec.Type)
		} else if removed && p.bm != nil {
			p.sec = nil // it had the section before: it becomes port 0
		}
		n.add(p)
	}
}

// unpaired is the receiver's first section that has no partner on the sender's side, or a new one.
func (n *negotiation) unpaired(kind string) *Media {
	for i := 0; ; i++ {
		m := n.to.media(i, kind)
		if m.peerIn(n.from) == nil && !n.taken(m) {
			return m
		}
	}
}

func (n *negotiation) taken(m *Media) bool {
	for _, p := range n.pairs {
		if p.bm == m {
			return true
		}
	}
	return false
}

// pairAnswer pairs each section of the answerer with that of the offerer. Sections that the answer lacks are rejected;
// those that the offer lacked are ignored.
func (n *negotiation) pairAnswer() {
	for i := range max(len(n.s.Media), len(n.from.Medias)) {
		p := pairs.Get().(*pair)
		if i < len(n.s.Media) {
			p.sec = n.s.Media[i]
		}
		if i < len(n.from.Medias) {
			p.am = n.from.Medias[i]
		} else if n.from.offered() && len(n.to.Medias) > 0 {
			continue
		} else {
			p.am = n.from.media(i, p.sec.Type)
		}
		if p.bm = p.am.peerIn(n.to); p.bm == nil {
			p.bm = n.counterpart(i, p.am.Type)
		}
		if p.sec == nil && p.bm != nil && p.bm.leg.named() {
			p.sec, p.unanswered = p.am.held(), true
		}
		n.add(p)
	}
}

// named tells an offered section with a mid and plain RTP to a fixed address. Its offerer can tell what an answer is about,
// and where that leaves such a section out it is held rather than refused, as observed of the reference.
func (l *leg) named() bool {
	return l.In != nil && l.In.MID != "" && l.rtp() && !l.Rejected && !l.ICE.On && !l.secure()
}

// held is the answer that somebody who was shown m would give to hold it.
func (m *Media) held() *sdp.Media {
	l := &m.leg
	return &sdp.Media{
		Type: m.Type, Port: discard, Protocol: l.Protocol, Codecs: l.Shown, MID: l.MID,
		Connections: []sdp.Connection{{Family: sdp.IP4, Address: "0.0.0.0", Addr: netip.IPv4Unspecified()}},
	}
}

// discard is the port to name where none is meant, RFC 863.
const discard = 9

// counterpart is the offerer's section for a party that no offer was made to: the one in the same place.
func (n *negotiation) counterpart(i int, kind string) *Media {
	m := n.to.media(i, kind)
	if n.taken(m) {
		return nil
	}
	return m
}

func (n *negotiation) add(p *pair) {
	p.a = p.am.leg
	if p.bm != nil {
		p.b = p.bm.leg
	}
	n.pairs = append(n.pairs, p)
}

// hear takes the SDP into the sender's legs.
func (n *negotiation) hear(offer bool) {
	r := n.call.engine.rules()
	for _, p := range n.pairs {
		if p.sec == nil {
			p.a.Rejected = true
			continue
		}
		hear(&p.a, n.s, p.sec, n.f, r, offer, p.aHead != nil && p.aHead != p)
		p.a.Seen = !p.unanswered
	}
}

// commit makes the new legs count and connects the two sides.
func (n *negotiation) commit() {
	n.from.in = n.s
	for _, p := range n.pairs {
		if p.sec != nil {
			p.am.Type = p.sec.Type
		}
		p.am.leg = p.a
		if p.bm == nil {
			continue
		}
		if p.sec != nil {
			p.bm.Type = p.sec.Type
		}
		p.b.Told = true
		p.bm.leg = p.b
		linkBoth(p.am, p.bm)
	}
}

// unfork ends the offerer's dialogues with other branches: it hears the one that answered last.
func (n *negotiation) unfork() {
	for _, m := range n.to.Medias {
		m.unlinkOthers(n.from)
	}
}

// openPorts sees to it that both sides of each section have the ports they need. Rejected ones open none.
// On an error the call is beyond repair.
func (n *negotiation) openPorts() error {
	n.commitBundle()
	for _, p := range n.pairs {
		if p.a.Rejected || p.bm == nil || p.b.Rejected {
			p.am.idle()
			if p.bm != nil {
				p.bm.idle()
			}
			continue
		}
		if p.bm.bundle == nil {
			p.bm.leg.Rejected = false
			if err := n.ensure(p.bm, &p.b, &p.a); err != nil {
				return err
			}
		}
		if p.am.bundle == nil {
			if err := n.ensure(p.am, &p.a, &p.b); err != nil {
				return err
			}
		}
	}
	return nil
}

// ensure gives m, whose leg is l and whose partner's is o, the transport that it needs. Other ports than before mean
// another DTLS association, and that another tls-id, RFC 8842 section 5.3; and another session of ICE.
func (n *negotiation) ensure(m *Media, l, o *leg) error {
	before := m.local
	w := n.wish(l, o)
	if before != nil && !o.receives() && !n.f.NoPortLatch {
		w.key = netip.AddrPort{} // nothing is sent there: it may be anywhere (observed)
	}
	if err := m.ensure(w); err != nil {
		return err
	}
	if before != nil && m.local != before && l.DTLS.LocalID != "" {
		l.DTLS.LocalID = ""
		l.DTLS.localID(n.f, n.call.engine.rand)
	}
	if before != nil && m.local != before && l.ICE.On && (n.offering || m.party == n.to) {
		l.ICE.Local = newCredentials(n.call.engine.rand)
		if n.offering && m.party == n.to {
			l.ICE.Remote = ice.Credentials{}
		}
	}
	return nil
}

// portWish is what a section's transport has to be like.
type portWish struct {
	single      bool           // one port will do
	primaryOnly bool           // no other address will be offered
	keep        bool           // keep the ports though the other side's endpoint changed
	key         netip.AddrPort // the other side's endpoint; zero or unspecified: says nothing
}

// wish describes the transport towards the party of l, whose partner is o. The partner's endpoint is the key to the
// ports, as in the reference: a change on one side shows the other side new ports, so that late packets of the old
// flow are not mixed with the new one.
func (n *negotiation) wish(l, o *leg) portWish {
	w := portWish{
		single:      !l.rtp() || l.Mux.Require,
		primaryOnly: !l.ICE.On,
		keep:        n.f.PortLatch || l.ICE.On && !n.f.NoPortLatch,
	}
	if a := o.Remote[0]; a.IsValid() && !a.Addr().IsUnspecified() {
		w.key = a
	}
	return w
}

// forget drops what was learnt from a party's SDP: another device speaks for it now. What we offered stays.
func (l *leg) forget() {
	l.Seen, l.In = false, nil
	l.Remote = [2]netip.AddrPort{}
	l.ICE.Remote.Ufrag, l.ICE.Remote.Pwd = "", ""
	l.ICE.On = l.ICE.On || l.ICE.Refused && l.ICE.Local.Ufrag != ""
	l.DTLS.On = l.DTLS.Offered
	l.DTLS.Decided, l.DTLS.Refused, l.DTLS.Remote, l.DTLS.RemoteID = false, false, nil, ""
	l.SDES.Chosen = false
}

// imagine stands in for an offer that was never seen: the party is taken to have offered what was answered.
func (l *leg) imagine(m *sdp.Media) {
	if m == nil {
		return
	}
	o := *m
	o.Cryptos, o.Fingerprints, o.Setup, o.ICE = nil, nil, sdp.SetupNone, sdp.ICE{}
	l.In = &o
	l.Protocol, l.ProtoText, l.Codecs, l.Dir = m.Protocol, m.ProtoText, m.Codecs, sdp.SendRecv
	l.Rejected = m.Port == 0
}
