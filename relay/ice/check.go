package ice

import (
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// pacing is Ta: the time between two new checks. The reference uses 20 ms; RFC 8445 section 14.2 allows 5.
	pacing = 20 * time.Millisecond

	// triggeredPacing is Ta before a check that answers one of the peer's: there is a path, and a call waits for it.
	triggeredPacing = 5 * time.Millisecond

	// Requests go out rto, 2*rto, 4*rto … apart, tries in all, and the last is given lastWait. As the reference does;
	// lastWait is Rm*RTO of RFC 8489 section 6.2.1, which also gives 7 tries.
	rto      = 100 * time.Millisecond
	tries    = 7
	lastWait = 16 * rto
	lifetime = rto*(1<<(tries-1)-1) + lastWait

	// maxTransactions bounds the table: each pair has one check under way and may have a few superseded ones.
	maxTransactions = 256
)

// transaction is one request that waits for its answer.
type transaction struct {
	id          [stun.TransactionIDSize]byte
	pair        *pair
	tieBreaker  uint64
	controlling bool // the role it was sent in
	useCand     bool
	consent     bool // sent once, its answer only renews consent
	superseded  bool // not sent again; its answer still counts, its silence does not
	sent        int
	first, next time.Time
}

// supersede stops the retransmission of a request and keeps it for as long as its answer may come.
func (t *transaction) supersede() {
	t.superseded, t.next = true, t.first.Add(lifetime)
}

// trigger queues a check for a pair ahead of the ordinary ones.
func (a *Agent) trigger(p *pair, useCand bool) {
	p.queuedUse = p.queuedUse || useCand
	if !p.queued {
		p.queued = true
		a.triggered = append(a.triggered, p)
	}
}

// run does all that is due; every entry point ends here.
func (a *Agent) run(now time.Time) {
	a.now = now
	a.retransmit(now)
	a.keepConsent(now)
	a.nominate(now)
	a.accept(now)
	a.pace(now)
	a.updateState(now)
}

// pace starts at most one check, if the last was started long enough ago.
func (a *Agent) pace(now time.Time) {
	if !a.checking() {
		return
	}
	p := a.nextPair()
	if p == nil || now.Before(a.due(p)) {
		return
	}
	useCand := p.queuedUse
	a.unqueue(p)
	a.lastCheck = now
	a.start(now, p, useCand)
}

// due is when the next check may start, if it is one of p.
func (a *Agent) due(p *pair) time.Time {
	switch {
	case a.lastCheck.IsZero():
		return a.started
	case p.queued:
		return a.lastCheck.Add(triggeredPacing)
	}
	return a.lastCheck.Add(pacing)
}

// checking says whether this agent sends checks at all.
func (a *Agent) checking() bool { return !a.cfg.Lite && a.gen.known }

// nextPair returns the pair to check next: triggered ones in order, then the waiting one of highest priority.
func (a *Agent) nextPair() *pair {
	if len(a.triggered) > 0 {
		return a.triggered[0]
	}
	if a.mayThaw {
		a.thaw()
	}
	var best *pair
	for _, p := range a.pairs {
		if p.state == Waiting && (best == nil || p.priority > best.priority) {
			best = p
		}
	}
	return best
}

// start sends the first request of a check.
func (a *Agent) start(now time.Time, p *pair, useCand bool) {
	for i := range a.txs {
		if t := &a.txs[i]; t.pair == p && !t.consent {
			t.supersede()
		}
	}
	if p.state != Succeeded || !useCand {
		p.state = InProgress
	}
	p.checks++
	a.stats.ChecksSent++
	t := a.newTransaction(now, p)
	t.useCand = useCand
	t.next = now.Add(rto)
	a.sendRequest(t)
}

// newTransaction adds to the table; when it is full the oldest entry makes room. The pointer is good until the table
// next changes.
func (a *Agent) newTransaction(now time.Time, p *pair) *transaction {
	if len(a.txs) >= maxTransactions {
		a.txs = slices.Delete(a.txs, 0, 1)
	}
	a.txs = append(a.txs, transaction{
		id: a.newID(), pair: p, tieBreaker: a.tieBreaker, controlling: a.controlling, sent: 1, first: now,
	})
	return &a.txs[len(a.txs)-1]
}

func (a *Agent) dropTransactions(match func(*pair) bool) {
	a.txs = slices.DeleteFunc(a.txs, func(t transaction) bool { return match(t.pair) })
}

// retransmit repeats requests that are due and gives up those that were repeated often enough.
func (a *Agent) retransmit(now time.Time) {
	for i := 0; i < len(a.txs); i++ {
		t := &a.txs[i]
		if now.Before(t.next) {
			continue
		}
		if t.consent || t.superseded || t.sent >= tries {
			gone := *t
			a.txs = slices.Delete(a.txs, i, i+1)
			a.expire(now, &gone)
			i = -1 // that may have removed others
			continue
		}
		t.sent++
		if t.sent == tries {
			t.next = now.Add(lastWait)
		} else {
			t.next = now.Add(rto << (t.sent - 1))
			if !t.pair.repeated {
				t.pair.repeated, a.mayThaw = true, true
			}
		}
		a.stats.Retransmits++
		a.sendRequest(t)
	}
}

// expire handles a request that was never answered.
func (a *Agent) expire(now time.Time, t *transaction) {
	if t.consent || t.superseded {
		return
	}
	a.fail(now, t.pair)
}

// fail gives a pair up.
func (a *Agent) fail(now time.Time, p *pair) {
	comp := &a.components[p.component]
	if comp.nominating == p {
		comp.nominating, comp.insisting = nil, true
	}
	if p == comp.selected && p.nominated {
		return // carries media: consent alone decides
	}
	a.stats.ChecksFailed++
	p.state, p.wanted, a.mayThaw = Failed, false, true
	if p == comp.selected {
		a.lose(now, comp, p)
	}
}

// NextDeadline is when Tick must next be called, the zero time if nothing is pending. It may change with every call
// of another method.
func (a *Agent) NextDeadline() time.Time {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if a.checking() {
		if p := a.nextPair(); p != nil {
			at = a.due(p)
		}
	}
	for i := range a.txs {
		earlier(a.txs[i].next)
	}
	for c := range a.components {
		comp := &a.components[c]
		if p := comp.selected; p != nil {
			earlier(p.nextConsent)
			if !a.cfg.Lite {
				earlier(p.lastResponse.Add(consentTimeout))
			}
		}
		if a.settling(c) {
			earlier(comp.firstValid.Add(settleTime))
		}
	}
	if t := a.started.Add(patience); a.state == StateChecking && !a.trickle && t.After(a.now) {
		earlier(t)
	}
	return at
}
