package ice

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// Input takes a STUN datagram that arrived at the socket of Locals[local]. pkt is not kept. What is malformed, not
// a Binding message, or not authenticated changes nothing but the counters of Stats; a request of the last kind is
// answered with an error.
func (a *Agent) Input(now time.Time, local int, from netip.AddrPort, pkt []byte) {
	if local < 0 || local >= len(a.cfg.Locals) {
		return
	}
	from = normal(from)
	switch err := a.decode(pkt); {
	case errors.Is(err, errFingerprint):
		a.stats.BadFingerprint++
	case err != nil:
		a.stats.Malformed++
	case a.msg.class == stun.ClassRequest:
		a.request(now, local, from)
	case a.msg.class == stun.ClassIndication:
		a.stats.Indications++
	default:
		a.response(now, local, from)
	}
	a.run(now)
}

// request handles a connectivity check, RFC 8445 section 7.3.
func (a *Agent) request(now time.Time, local int, from netip.AddrPort) {
	m := &a.msg
	a.stats.Requests++
	if !m.integrity || m.username == nil {
		a.stats.NoCredentials++
		a.sendError(codeBadRequest, nil, local, from)
		return
	}
	mine, theirs, _ := cutColon(m.username)
	g := a.generationFor(mine, theirs)
	if g == nil {
		a.stats.BadUsername++
		a.stats.LastBad, a.stats.LastBadFrom = now, from
		a.sendError(codeUnauthorized, nil, local, from)
		return
	}
	if g.localKey.Check(&a.in) != nil {
		a.stats.BadPassword++
		a.stats.LastBad, a.stats.LastBadFrom = now, from
		a.sendError(codeUnauthorized, nil, local, from)
		return
	}
	a.stats.LastGood = now
	if len(m.unknown) > 0 {
		a.stats.UnknownAttributes++
		a.sendError(codeUnknownAttribute, g.localKey, local, from)
		return
	}
	component := a.cfg.Locals[local].Component
	if g != a.gen {
		// The session before a restart: keep the consent of its selected pair alive, start nothing anew.
		a.sendSuccess(g, local, from)
		for c := range a.components {
			if s := a.components[c].selected; s != nil && s.gen == g && s.local == local && s.remote.Addr == from {
				s.lastRequest = now
			}
		}
		return
	}
	if a.conflict() {
		a.sendError(codeRoleConflict, g.localKey, local, from)
		return
	}
	a.sendSuccess(g, local, from)
	if component < 1 || component > 2 || !a.components[component].active {
		return
	}
	e := early{local: local, from: from, priority: m.priority, nomination: m.nomination, useCand: m.useCand, leads: m.controlling}
	if e.priority == 0 {
		e.priority = Priority(PeerReflexive, 0, component)
	}
	if !g.known || !bytes.Equal(theirs, []byte(g.remote.Ufrag)) {
		a.remember(&e, theirs)
		return
	}
	a.checked(now, &e)
}

// generationFor picks the session that a check belongs to by both halves of its user name. Only our half must be
// right (RFC 8445 section 7.3): the other may be one that signalling has yet to bring.
func (a *Agent) generationFor(mine, theirs []byte) *generation {
	if o := a.old; o != nil && string(mine) == o.local.Ufrag {
		if o.local != a.gen.local || string(theirs) == o.remote.Ufrag && o.remote.Ufrag != a.gen.remote.Ufrag {
			return o
		}
	}
	if string(mine) == a.gen.local.Ufrag {
		return a.gen
	}
	return nil
}

// remember keeps an early check, one per source, the newest ones.
func (a *Agent) remember(e *early, ufrag []byte) {
	a.stats.Early++
	for i := range a.early {
		k := &a.early[i]
		if k.local == e.local && k.from == e.from && k.ufrag == string(ufrag) {
			k.useCand, k.leads = k.useCand || e.useCand, e.leads
			k.priority, k.nomination = e.priority, max(k.nomination, e.nomination)
			return
		}
	}
	if len(a.early) >= maxEarly {
		a.early = slices.Delete(a.early, 0, 1)
	}
	e.ufrag = string(ufrag)
	a.early = append(a.early, *e)
}

// conflict detects and repairs role conflicts; true asks for a 487. Source: RFC 8445 section 7.3.1.1.
func (a *Agent) conflict() bool {
	m := &a.msg
	if !(a.controlling && m.controlling || !a.controlling && m.controlled) {
		return false
	}
	a.stats.RoleConflicts++
	switch {
	case a.cfg.Lite:
		return true // a lite agent cannot lead: whoever sends checks must
	case a.remoteLite:
		return false // we lead, whatever it says
	case a.controlling == (a.tieBreaker >= m.tieBreaker):
		return true
	}
	a.setControlling(!a.controlling)
	return false
}

// checked acts on an authenticated check of the peer: it learns the source, checks back, and notes a nomination.
// Source: RFC 8445 sections 7.3.1.3 to 7.3.1.5 and 7.3.2.
func (a *Agent) checked(now time.Time, e *early) {
	component := a.cfg.Locals[e.local].Component
	a.components[component].wanted = true
	r := a.remoteAt(component, e.from)
	if r == nil {
		if r = a.learnRemote(component, e.from, e.priority); r == nil {
			return
		}
	} else if r.Addr != e.from {
		r.Addr = e.from // with the zone it came from
	}
	p := a.find(e.local, r)
	if p == nil {
		if p = a.addPair(e.local, r, true); p == nil {
			return
		}
	}
	p.lastRequest = now
	nominate := e.useCand && !a.controlling
	a.selective = a.selective || e.leads && !e.useCand
	if nominate {
		p.nomination, p.lastNominated = max(p.nomination, e.nomination), now
	}
	if a.cfg.Lite {
		if nominate {
			p.state = Succeeded
			a.chooseNominated(now, p)
		}
		return
	}
	if p.fresh(now) {
		if nominate {
			a.chooseNominated(now, p)
		} else {
			a.prompt(now, p)
		}
		return
	}
	p.wanted = p.wanted || nominate
	if p.state != InProgress {
		p.state = Waiting
	}
	a.trigger(p, false)
}
