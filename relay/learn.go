package relay

import (
	"net/netip"
	"time"
)

// learnWindow is how long after an offer or answer the endpoint stays provisional, as observed of the reference. A
// phone that takes its first packets from another socket, or a transfer still under way, then does no lasting harm.
const learnWindow = 3 * time.Second

// rules are what one component may learn from; part of an immutable snapshot.
type rules struct {
	mode       Learning
	seen       bool // learning may begin
	hold       bool // the far side wants nothing
	asymmetric bool
	strict     bool
	handover   bool
	advertised netip.AddrPort // from SDP; zero: unknown
	until      time.Time      // the window's end
}

// rank orders sources for LearnHeuristic; less is better.
type rank uint8

const (
	rankExact   rank = iota // the address and port of the SDP
	rankAddress             // another port of that address: a phone behind a NAT that keeps addresses
	rankPort                // the port alone: a NAT that keeps ports
	rankOther
)

func rankOf(from, advertised netip.AddrPort) rank {
	switch {
	case from == advertised:
		return rankExact
	case from.Addr() == advertised.Addr():
		return rankAddress
	case from.Port() == advertised.Port():
		return rankPort
	}
	return rankOther
}

// verdict is what learning says about a packet.
type verdict uint8

const (
	pass      verdict = iota // forward it
	learnt                   // forward it; learner.source has changed
	confirmed                // forward it; learner.source is final from now on
	drop                     // wrong source
)

// learner is what one component knows of its far side's source. It belongs to the component's worker.
type learner struct {
	gen       uint64 // of the settings that it was started under
	confirmed bool
	rank      rank           // of source, while not confirmed
	source    netip.AddrPort // final, or best so far; zero: none yet
}

// judge takes one authenticated packet.
func (l *learner) judge(r *rules, from netip.AddrPort, now time.Time) verdict {
	if !r.seen || r.hold {
		return pass
	}
	if l.confirmed {
		return l.known(r, from)
	}
	v := learnt
	if !now.Before(r.until) {
		v = confirmed
	}
	switch r.mode {
	case LearnOff:
		if !r.advertised.IsValid() {
			return pass
		}
		l.source, l.confirmed = r.advertised, true
		if v := l.known(r, from); v != pass {
			return v
		}
		return confirmed
	case LearnImmediate:
		v = confirmed
	case LearnHeuristic:
		got := rankOf(from, r.advertised)
		if l.source.IsValid() && got > l.rank {
			// A worse source than the one that we have. At the end of the window the better one is final, with strict
			// only once it is heard again.
			if r.strict {
				return drop
			}
			if l.confirmed = v == confirmed; l.confirmed {
				return confirmed
			}
			return pass
		}
		if l.rank = got; got == rankExact {
			v = confirmed
		}
	}
	l.confirmed = v == confirmed
	if v == learnt && l.source == from {
		return pass
	}
	l.source = from
	return v
}

// known judges a packet once the source is final.
func (l *learner) known(r *rules, from netip.AddrPort) verdict {
	switch {
	case from == l.source:
		return pass
	case r.handover && r.mode != LearnOff:
		l.source = from
		return learnt
	case r.strict && (from != r.advertised || r.asymmetric):
		return drop // with asymmetric the SDP says where to send, not who sends
	}
	return pass
}
