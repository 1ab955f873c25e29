package ice

import (
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// maxPairs bounds the check list; RFC 8445 section 6.1.2.5 suggests 100, here two components may have as many.
const maxPairs = 200

// PairState is the state of a candidate pair, RFC 8445 section 6.1.2.6.
type PairState uint8

// The pair states.
const (
	Frozen PairState = iota
	Waiting
	InProgress
	Succeeded
	Failed
)

// String is for queries and tests.
func (s PairState) String() string {
	return [...]string{"frozen", "waiting", "in-progress", "succeeded", "failed"}[s]
}

// remoteCandidate is a candidate of the peer, signalled or learned.
type remoteCandidate struct {
	Candidate
	learned bool // from the source of a check
}

// pair is a local socket with a remote candidate. When the peer sees us at an address that is no candidate of ours
// (a NAT), that local peer-reflexive address is noted here: it has the same socket as its base, so both pairs of
// RFC 8445 section 7.2.5.3.2 are this one.
type pair struct {
	gen       *generation
	component int
	local     int
	remote    *remoteCandidate
	state     PairState
	priority  uint64
	localPrio uint32
	mapped    netip.AddrPort // where the peer saw us; zero before the first answer
	reflexive bool           // mapped is no candidate of ours

	repeated  bool // its check was not answered at once
	queued    bool // in Agent.triggered
	queuedUse bool // to be sent with USE-CANDIDATE
	wanted    bool // controlled: the peer nominated it, our own check is not answered yet
	nominated bool
	prompted  bool // controlled: another check has followed our answer, for the peer to nominate

	nomination    uint32 // highest renomination counter seen
	lastNominated time.Time
	lastRequest   time.Time // last authenticated check from the peer
	lastResponse  time.Time // last authenticated answer of the peer
	nextConsent   time.Time
	rtt           time.Duration
	checks        int
}

// fresh says whether the peer's last answer still counts as consent.
func (p *pair) fresh(now time.Time) bool {
	return p.state == Succeeded && now.Sub(p.lastResponse) < consentTimeout
}

func (a *Agent) setPriority(p *pair) {
	if a.controlling {
		p.priority = pairPriority(p.localPrio, p.remote.Priority)
	} else {
		p.priority = pairPriority(p.remote.Priority, p.localPrio)
	}
}

func (a *Agent) foundationOf(p *pair) (local, remote string) {
	return a.cfg.Locals[p.local].Foundation, p.remote.Foundation
}

// pairRemote pairs a remote candidate with every socket that can reach it. An ICE-lite agent forms no check list.
func (a *Agent) pairRemote(r *remoteCandidate) {
	if a.cfg.Lite {
		return
	}
	for i := range a.cfg.Locals {
		l := &a.cfg.Locals[i]
		if l.Component == r.Component && pairable(l.Addr.Addr().Unmap(), r.Addr.Addr()) && a.find(i, r) == nil {
			a.addPair(i, r, false)
		}
	}
}

func (a *Agent) find(local int, r *remoteCandidate) *pair {
	for _, p := range a.pairs {
		if p.local == local && p.remote == r {
			return p
		}
	}
	return nil
}

// addPair appends a frozen pair. In a full list it takes the place of the least promising pair that is not better; one
// that is alive, for a check came over it, is better than any that is not under way. Otherwise nil is returned.
func (a *Agent) addPair(local int, r *remoteCandidate, alive bool) *pair {
	l := &a.cfg.Locals[local]
	if zone := l.Addr.Addr().Zone(); zone != "" && r.Addr.Addr().IsLinkLocalUnicast() && r.Addr.Addr().Zone() == "" {
		r.Addr = netip.AddrPortFrom(r.Addr.Addr().WithZone(zone), r.Addr.Port())
	}
	p := &pair{gen: a.gen, component: l.Component, local: local, remote: r, localPrio: l.Priority}
	a.setPriority(p)
	if len(a.pairs) >= maxPairs {
		var victim *pair
		for _, q := range a.pairs {
			if q.state != InProgress && q.state != Succeeded && !q.queued && (victim == nil || q.priority < victim.priority) {
				victim = q
			}
		}
		if victim == nil || !alive && victim.priority >= p.priority {
			return nil
		}
		a.removePairs(func(q *pair) bool { return q == victim })
	}
	a.pairs = append(a.pairs, p)
	a.mayThaw = true
	return p
}

// removePairs takes pairs out of the check list with all that refers to them, except as a selected pair.
func (a *Agent) removePairs(match func(*pair) bool) {
	a.dropTransactions(match)
	for _, p := range a.pairs {
		if p.queued && match(p) {
			a.unqueue(p)
		}
	}
	a.pairs = slices.DeleteFunc(a.pairs, match)
	a.mayThaw = true
}

// thaw makes the best frozen pair of each foundation that has no check under way a waiting one: lowest component,
// then highest priority. Source: RFC 8445 sections 6.1.2.6 and 6.1.4.2. A check that had to be repeated holds nothing
// back, though: RTCP would wait until RTP's has failed, while RTP may long have found another path.
func (a *Agent) thaw() {
	a.mayThaw = false
	for _, p := range a.pairs {
		if p.state != Frozen {
			continue
		}
		lf, rf := a.foundationOf(p)
		best, busy := p, false
		for _, q := range a.pairs {
			l, r := a.foundationOf(q)
			if l != lf || r != rf {
				continue
			}
			switch q.state {
			case Waiting:
				busy = true
			case InProgress:
				busy = busy || !q.repeated
			case Frozen:
				if q.component < best.component || q.component == best.component && q.priority > best.priority {
					best = q
				}
			}
		}
		if !busy {
			best.state = Waiting
		}
	}
}

// unfreeze lets all pairs go whose foundation has just proved good.
func (a *Agent) unfreeze(good *pair) {
	lf, rf := a.foundationOf(good)
	for _, p := range a.pairs {
		if l, r := a.foundationOf(p); p.state == Frozen && l == lf && r == rf {
			p.state = Waiting
		}
	}
}

// learnRemote adds the source of a check as a peer-reflexive candidate; nil when too many are in use.
func (a *Agent) learnRemote(component int, addr netip.AddrPort, priority uint32) *remoteCandidate {
	if a.count(func(r *remoteCandidate) bool { return r.learned }) >= maxReflexive && !a.evict() {
		return nil
	}
	a.reflexives++
	r := &remoteCandidate{learned: true, Candidate: Candidate{
		Foundation: "prflx" + strconv.Itoa(a.reflexives), Component: component, Type: PeerReflexive, Priority: priority, Addr: addr,
	}}
	a.remotes = append(a.remotes, r)
	return r
}

// evict forgets the learned candidate that was silent for longest and is not in use.
func (a *Agent) evict() bool {
	victim, at := -1, time.Time{}
next:
	for i, r := range a.remotes {
		if !r.learned {
			continue
		}
		last := time.Time{}
		for _, p := range a.pairs {
			if p.remote != r {
				continue
			}
			if p == a.components[p.component].selected || p == a.components[p.component].nominating {
				continue next
			}
			if p.lastRequest.After(last) {
				last = p.lastRequest
			}
		}
		if victim < 0 || last.Before(at) {
			victim, at = i, last
		}
	}
	if victim < 0 {
		return false
	}
	r := a.remotes[victim]
	a.removePairs(func(p *pair) bool { return p.remote == r })
	a.remotes = slices.Delete(a.remotes, victim, victim+1)
	return true
}
