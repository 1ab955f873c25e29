package ice

import "time"

const (
	// settleTime is how long the first proven pair waits for a better one that is still being checked: one
	// retransmission, so that a single lost datagram does not decide.
	settleTime = rto

	// renominateAfter is the silence after which a nomination of a worse pair replaces a better one. libwebrtc repeats
	// USE-CANDIDATE on the pair it uses at least every 2.5 s (its ping interval when stable), so by then it has left the
	// better pair. Who nominates with every check repeats those of the beginning for longer, all through its lifetime.
	renominateAfter = 3 * time.Second

	// consentInterval (0.8 to 1.2 times) and consentTimeout are those of RFC 7675 section 5.1.
	consentInterval = 5 * time.Second
	consentTimeout  = 30 * time.Second

	// provisionalInterval is the time between checks on a selected pair that nobody nominates. After role conflicts both
	// may wait for the other to do it, and only a check tells.
	provisionalInterval = time.Second

	// keepaliveInterval is Tr of RFC 8445 section 11, for an ICE-lite agent, which may not send checks.
	keepaliveInterval = 15 * time.Second
)

// nominated says whether a pair of the current session is nominated for a component.
func (a *Agent) nominated(c int) bool {
	s := a.components[c].selected
	return s != nil && s.nominated && s.gen == a.gen
}

// best is the proven pair of highest priority of a component, and whether a better one may yet be proven.
func (a *Agent) best(now time.Time, c int) (best *pair, better bool) {
	for _, p := range a.pairs {
		if p.component == c && p.fresh(now) && (best == nil || p.priority > best.priority) {
			best = p
		}
	}
	if best != nil {
		for _, p := range a.pairs {
			if p.component == c && p.priority > best.priority && p.state != Failed && p.state != Succeeded {
				return best, true
			}
		}
	}
	return best, false
}

// settling says whether nomination waits for the settle time.
func (a *Agent) settling(c int) bool {
	comp := &a.components[c]
	return a.controlling && comp.active && comp.nominating == nil && !comp.firstValid.IsZero() && !a.nominated(c)
}

// nominate sends the check with USE-CANDIDATE for each component that is ripe. Source: RFC 8445 section 8.1.1.
func (a *Agent) nominate(now time.Time) {
	if !a.checking() {
		return
	}
	for c := range a.components {
		if !a.settling(c) {
			continue
		}
		comp := &a.components[c]
		p, better := a.best(now, c)
		if p == nil {
			comp.firstValid = time.Time{}
			continue
		}
		if better && now.Before(comp.firstValid.Add(settleTime)) {
			continue
		}
		comp.nominating = p
		a.trigger(p, true)
	}
}

// accept selects what the peer nominated while we thought that we lead, or before our own check had shown the pair good.
func (a *Agent) accept(now time.Time) {
	if a.controlling {
		return
	}
	for _, p := range a.pairs {
		if p.wanted && p.fresh(now) {
			p.wanted = false
			a.chooseNominated(now, p)
			return // that may have removed others; what is left comes with the next call
		}
	}
}

// chooseNominated selects a proven pair that the peer nominates, unless a better one is nominated: of several, which
// aggressive nomination makes, the one of highest priority counts (RFC 5245 section 8.1.1.2). A peer that nominates
// anew says so by its counter or by leaving the better pair alone.
func (a *Agent) chooseNominated(now time.Time, p *pair) {
	if s := a.components[p.component].selected; a.nominated(p.component) && s != p {
		quiet := renominateAfter // of the better pair
		if !a.selective {
			quiet = lifetime
		}
		older := p.nomination < s.nomination
		worse := p.nomination == s.nomination && p.priority < s.priority
		if older || worse && now.Sub(s.lastNominated) < quiet {
			return
		}
	}
	a.choose(now, p, true)
}

// chooseProvisional lets media flow on the best proven pair before nomination, RFC 8445 section 12.1.1. It never
// replaces a nominated pair, that of a session before a restart included.
func (a *Agent) chooseProvisional(now time.Time, p *pair) {
	s := a.components[p.component].selected
	if s == nil || !s.nominated && (s.gen != a.gen || s.priority < p.priority) {
		a.choose(now, p, false)
	}
}

// prompt sends the peer that leads one more check, once, over a pair that is proven both ways, when our last one left before
// the peer's was answered. Some, pion among them, nominate at once when a check comes over a pair that is proven to
// them, but otherwise wait for their next round, up to 200 ms. The check is one for consent, which puts nothing at risk.
func (a *Agent) prompt(now time.Time, p *pair) {
	if !a.controlling && !p.prompted && !p.nominated && p == a.components[p.component].selected {
		p.prompted, p.nextConsent = true, now
	}
}

// choose makes p the selected pair of its component.
func (a *Agent) choose(now time.Time, p *pair, nominated bool) {
	comp := &a.components[p.component]
	if !comp.active {
		return
	}
	comp.lost = false
	changed := comp.selected != p
	if changed {
		if s := comp.selected; s != nil {
			s.nominated = false
		}
		comp.selected = p
		a.scheduleConsent(now, p)
	}
	if nominated && !p.nominated {
		p.nominated, changed = true, true
		comp.nominating = nil
		a.settle(p)
	}
	if changed {
		a.act(Action{Kind: SelectedPair, Component: p.component, Local: p.local, Remote: p.remote.Addr, Nominated: p.nominated})
	}
	a.forgetOld()
}

// settle ends the search for a component: what was not started never will be, and what is worse is not repeated.
// Source: RFC 8445 section 8.1.2.
func (a *Agent) settle(chosen *pair) {
	a.removePairs(func(p *pair) bool {
		return p.component == chosen.component && p != chosen && (p.state == Frozen || p.state == Waiting)
	})
	for i := range a.txs {
		t := &a.txs[i]
		if q := t.pair; q.component == chosen.component && q != chosen && q.priority < chosen.priority && !t.consent {
			t.supersede()
			if q.state == InProgress {
				q.state = Failed
			}
		}
	}
}

// scheduleConsent sets the time of a selected pair's next consent check or keepalive.
func (a *Agent) scheduleConsent(now time.Time, p *pair) {
	if a.cfg.Lite {
		p.nextConsent = now.Add(keepaliveInterval)
		return
	}
	if !p.nominated {
		p.nextConsent = now.Add(provisionalInterval)
		return
	}
	spread := time.Duration(a.random64() % uint64(consentInterval*4/10))
	p.nextConsent = now.Add(consentInterval*8/10 + spread)
}

// keepConsent sends consent checks on selected pairs and gives up those that stay silent. Each check is sent once,
// with a new transaction ID. Where a nomination before this one went unanswered the peer may hold on to that pair: there
// they go on nominating. Source: RFC 7675 section 5.1.
func (a *Agent) keepConsent(now time.Time) {
	for c := range a.components {
		comp := &a.components[c]
		p := comp.selected
		if p == nil {
			continue
		}
		if !a.cfg.Lite && now.Sub(p.lastResponse) >= consentTimeout {
			a.lose(now, comp, p)
			continue
		}
		if now.Before(p.nextConsent) {
			continue
		}
		if q := a.moved(now, p); q != nil {
			a.choose(now, q, p.nominated)
			if a.controlling {
				a.trigger(q, true)
			}
			p = q
		}
		a.scheduleConsent(now, p)
		if a.cfg.Lite {
			a.sendIndication(p)
			continue
		}
		a.stats.ConsentSent++
		t := a.newTransaction(now, p)
		t.consent = true
		t.useCand = a.controlling && comp.insisting && p.nominated && p.gen == a.gen
		t.next = now.Add(consentTimeout)
		a.sendRequest(t)
	}
}

// moved finds the pair over which the peer has come since the selected one fell silent: its NAT has bound it anew. A
// peer that does not notice will not nominate that pair, and media would be lost until consent is. What it repeats of
// its checks before the nomination does not count.
func (a *Agent) moved(now time.Time, s *pair) (to *pair) {
	if a.cfg.Lite || s.gen != a.gen || now.Sub(s.lastResponse) < 2*consentInterval {
		return nil
	}
	settled := s.lastNominated.Add(lifetime)
	for _, p := range a.pairs {
		if p != s && p.local == s.local && p.fresh(now) && p.lastRequest.After(s.lastRequest) && p.lastRequest.After(settled) &&
			p.lastResponse.After(s.lastResponse) && (to == nil || p.lastRequest.After(to.lastRequest)) {
			to = p
		}
	}
	return to
}

// lose takes a selected pair away after its consent has gone. Another one that is proven takes its place.
func (a *Agent) lose(now time.Time, comp *component, p *pair) {
	p.state, p.nominated, p.wanted = Failed, false, false
	comp.selected = nil
	if p.gen == a.gen {
		comp.lost, comp.nominating, comp.firstValid = true, nil, time.Time{}
	}
	a.dropTransactions(func(q *pair) bool { return q == p })
	a.act(Action{Kind: ConsentLost, Component: p.component, Local: p.local, Remote: p.remote.Addr})
	a.forgetOld()
	if next, _ := a.best(now, p.component); next != nil {
		if comp.firstValid.IsZero() {
			comp.firstValid = now
		}
		a.chooseProvisional(now, next)
	}
}

// updateState derives the state from the components and reports a change.
func (a *Agent) updateState(now time.Time) {
	s := a.newState(now)
	if s != a.state {
		a.state = s
		a.act(Action{Kind: StateChanged, State: s})
	}
}

func (a *Agent) newState(now time.Time) State {
	if !a.gen.known {
		return StateNew
	}
	chosen, done := true, true
	for c := range a.components {
		comp := &a.components[c]
		if !comp.active || c == 2 && !comp.wanted {
			continue
		}
		if comp.lost && !a.busy(c) {
			return StateFailed
		}
		chosen = chosen && comp.selected != nil && comp.selected.gen == a.gen
		done = done && a.nominated(c)
	}
	switch {
	case done:
		return StateCompleted
	case chosen:
		return StateConnected
	}
	if !a.trickle && now.Sub(a.started) >= patience {
		for c := range a.components {
			if comp := &a.components[c]; comp.active && (c == 1 || comp.wanted) && comp.selected == nil && !a.busy(c) {
				return StateFailed
			}
		}
	}
	return StateChecking
}

// busy says whether a component has checks to send or under way.
func (a *Agent) busy(c int) bool {
	for _, p := range a.pairs {
		if p.component == c && (p.queued || p.state == Frozen || p.state == Waiting || p.state == InProgress) {
			return a.checking()
		}
	}
	return false
}
