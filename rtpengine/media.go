package rtpengine

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"rtpsidecar/relay"
)

// Media is one m= section of one participant: the leg negotiated with it and the local transport it sends to.
// Guarded by its call's mutex.
type Media struct {
	Index int // 1-based position in the participant's SDP
	Type  string

	party     *Participant
	roundTrip time.Duration // of this leg, from the last reception report
	id        uint64        // relay.Route.ID, unique in the call
	leg       leg

	local   *localPort   // in use; nil: none, or the bundle's
	spares  []*localPort // earlier ones, still forwarding: the far end may not know better yet
	echo    echo         // media-echo
	trace   trace        // packets and loss over the last minutes
	grouped bool         // in a BUNDLE group of its party
	bundle  *Media       // not nil: the section whose transport this one shares

	sources []*subscription // what it receives
	sinks   []*subscription // who receives it
}

// localPort is one transport and what it was opened for.
type localPort struct {
	t           *relay.Transport
	opened      time.Time
	place       place
	single      bool
	primaryOnly bool
	key         netip.AddrPort // the other side's endpoint at the time; a change of it asks for new ports
	counted     received       // of what has come in, this much is in the sums
	last        *lastLook      // nil: it may still be asked itself

	owner atomic.Pointer[portOwner] // for events; nil once it is closed
}

// echo is what media-echo makes of a section's packets.
type echo uint8

// The effects: they go to the subscribers; nowhere; back to who sent them.
const (
	echoNone echo = iota
	echoDiscard
	echoBack
)

// effects are the effects of a mode on the sender's section and on the receiver's.
func (mode EchoMode) effects() (from, to echo) {
	switch mode {
	case EchoBlackhole:
		return echoDiscard, echoDiscard
	case EchoForward:
		return echoDiscard, echoBack
	case EchoBackward:
		return echoBack, echoDiscard
	case EchoBoth:
		return echoBack, echoBack
	}
	return echoNone, echoNone
}

// portOwner is what an event needs to be told about; it never changes.
type portOwner struct {
	log   *slog.Logger
	index int
	call  *Call
	party *Participant
}

// subscription says that To receives what From sends.
type subscription struct {
	from, to    *Media
	offerAnswer bool // one half of a dialogue; else publish and subscribe
	blocked     bool // block media for this flow
	silenced    bool // silence media for this flow
	dtmf        dtmfGate
	framer      *relay.Framer // nil: none was needed yet
	mirrorRTCP  bool          // RTCP of the subscriber goes back to the source
}

// head is the media whose transport carries m.
func (m *Media) head() *Media {
	if m.bundle != nil {
		return m.bundle
	}
	return m
}

// transport is the one m's packets use; nil when it has none.
func (m *Media) transport() *relay.Transport {
	if l := m.head().local; l != nil {
		return l.t
	}
	return nil
}

// link subscribes to to from; an existing subscription is moved to the front.
func link(from, to *Media, offerAnswer bool) *subscription {
	s := find(to.sources, from)
	if s == nil {
		s = &subscription{from: from, to: to}
	} else {
		s.unlink()
	}
	s.offerAnswer = offerAnswer
	to.sources = append([]*subscription{s}, to.sources...)
	from.sinks = append([]*subscription{s}, from.sinks...)
	return s
}

// linkBoth makes a and b hear each other.
func linkBoth(a, b *Media) {
	link(a, b, true)
	link(b, a, true)
}

// unlink ends s.
func (s *subscription) unlink() {
	same := func(o *subscription) bool { return o == s }
	s.to.sources = slices.DeleteFunc(s.to.sources, same)
	s.from.sinks = slices.DeleteFunc(s.from.sinks, same)
}

// unlinkAll ends all subscriptions of m.
func (m *Media) unlinkAll() {
	for _, s := range slices.Concat(m.sources, m.sinks) {
		s.unlink()
	}
}

// unlinkOthers ends the dialogues of m with all parties but keep's.
func (m *Media) unlinkOthers(keep *Participant) {
	for _, s := range slices.Concat(m.sources, m.sinks) {
		if s.offerAnswer && s.from.party != keep && s.to.party != keep {
			s.unlink()
		}
	}
}

// find is the subscription among ss whose source is from.
func find(ss []*subscription, from *Media) *subscription {
	for _, s := range ss {
		if s.from == from {
			return s
		}
	}
	return nil
}

// peerIn is the media of p that m is in a dialogue with, nil when there is none.
func (m *Media) peerIn(p *Participant) *Media {
	for _, s := range m.sources {
		if s.offerAnswer && s.from.party == p {
			return s.from
		}
	}
	for _, s := range m.sinks {
		if s.offerAnswer && s.to.party == p {
			return s.to
		}
	}
	return nil
}
