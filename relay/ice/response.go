package ice

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// response handles the answer to a check, RFC 8445 section 7.2.5.
func (a *Agent) response(now time.Time, local int, from netip.AddrPort) {
	m := &a.msg
	i := slices.IndexFunc(a.txs, func(t transaction) bool { return t.id == m.id })
	if i < 0 {
		a.stats.Unmatched++
		return
	}
	t := a.txs[i]
	p := t.pair
	if !m.integrity || p.gen.remoteKey.Check(&a.in) != nil {
		// As if it had never come: an error without proof must not stop a check either.
		a.stats.BadResponses++
		return
	}
	a.txs = slices.Delete(a.txs, i, i+1)
	switch {
	case local != p.local || from != p.remote.Addr:
		a.stats.Asymmetric++
		if !t.consent && !t.superseded {
			a.fail(now, p)
		}
	case m.class == stun.ClassErrorResponse:
		a.refused(now, &t)
	case len(m.unknown) > 0 || !m.mapped.IsValid():
		a.stats.BadResponses++
		if !t.consent && !t.superseded {
			a.fail(now, p)
		}
	default:
		a.stats.Responses++
		a.answered(now, &t)
	}
}

// refused handles an authenticated error response.
func (a *Agent) refused(now time.Time, t *transaction) {
	if a.msg.code != codeRoleConflict {
		if !t.consent && !t.superseded {
			a.fail(now, t.pair)
		}
		return
	}
	// We yield, unless we did already or lead in any case, and check again. A new tie-breaker keeps two agents that
	// drew the same from changing places for ever. Source: RFC 8445 section 7.2.5.1.
	a.stats.RoleConflicts++
	if t.controlling == a.controlling && !a.remoteLite {
		a.setControlling(!a.controlling)
		a.tieBreaker = a.random64()
	}
	if p := t.pair; p.gen == a.gen && !t.superseded && !t.consent && p.state != Succeeded {
		p.state = Waiting
		a.trigger(p, false)
	}
}

// answered handles a success response.
func (a *Agent) answered(now time.Time, t *transaction) {
	p := t.pair
	p.lastResponse, a.stats.LastGood = now, now
	if t.sent == 1 {
		p.rtt = now.Sub(t.first)
	}
	if t.consent {
		return
	}
	if p.gen != a.gen {
		return
	}
	a.noteMapped(p)
	comp := &a.components[p.component]
	if p.state != Succeeded {
		a.stats.ChecksSucceeded++
		p.state = Succeeded
		a.unfreeze(p)
	}
	if comp.firstValid.IsZero() {
		comp.firstValid = now
	}
	// Older requests for this pair need no answer any more, except one that nominates.
	for i := range a.txs {
		if q := &a.txs[i]; q.pair == p && !q.consent && !q.useCand {
			q.supersede()
		}
	}
	if p.queued && !p.queuedUse {
		a.unqueue(p)
	}
	switch {
	case a.controlling && t.useCand:
		comp.nominating = nil
		p.lastNominated = now
		for _, q := range a.pairs {
			q.wanted = q.wanted && q.component != p.component
		}
		a.choose(now, p, true)
	case !a.controlling && p.wanted:
		p.wanted = false
		a.chooseNominated(now, p)
	default:
		a.chooseProvisional(now, p)
		if t.first.Before(p.lastRequest) {
			a.prompt(now, p)
		}
	}
}

// noteMapped learns at which address the peer sees us. If it is not a candidate of ours, the valid pair has the
// priority that the peer took from our request's PRIORITY. Source: RFC 8445 section 7.2.5.3.1.
func (a *Agent) noteMapped(p *pair) {
	p.mapped, p.reflexive = a.msg.mapped, true
	p.localPrio = reflexive(a.cfg.Locals[p.local].Priority)
	for i := range a.cfg.Locals {
		if l := &a.cfg.Locals[i]; l.Component == p.component && normal(l.Addr) == p.mapped {
			p.localPrio, p.reflexive = l.Priority, false
			break
		}
	}
	a.setPriority(p)
}

func (a *Agent) unqueue(p *pair) {
	if i := slices.Index(a.triggered, p); i >= 0 {
		a.triggered = slices.Delete(a.triggered, i, i+1)
	}
	p.queued, p.queuedUse = false, false
}
