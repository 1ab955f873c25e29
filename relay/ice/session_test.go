package ice

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// call joins two agents and waits for completion.
func call(t *testing.T, n *network, a, b *node) {
	t.Helper()
	ra, rb := a.remote(), b.remote()
	a.setRemote(rb)
	b.setRemote(ra)
	if !n.run(10*time.Second, completed(a, b)) {
		n.dump()
		t.Fatalf("%v and %v", a.State(), b.State())
	}
	n.run(100*time.Millisecond, nil)
}

func TestRestart(t *testing.T) {
	rows := []struct {
		name     string
		lite     bool
		keep     bool          // the peer keeps its credentials' owner: only our side is renewed
		wait     time.Duration // of signalling
		loss     float64
		rolesSet bool
	}{
		{name: "plain"},
		{name: "slow signalling", wait: 50 * time.Second},
		{name: "roles change", rolesSet: true},
		{name: "lite", lite: true},
		{name: "loss", loss: 0.2},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			n := newNetwork(t, 3)
			n.loss = r.loss
			a := n.node("a", Config{Controlling: !r.lite, Lite: r.lite}, a1, a2)
			b := n.node("b", Config{Controlling: r.lite}, b1, b2)
			call(t, n, a, b)
			picks := len(a.picks)

			a.Restart(n.now, NewCredentials(nil), !r.lite && !r.rolesSet)
			a.drain()
			if a.State() != StateNew {
				t.Errorf("state after a restart: %v", a.State())
			}
			if s, ok := a.Selected(1); !ok || !s.Old || !s.Nominated {
				t.Errorf("pair during the restart: %+v %v", s, ok)
			}
			n.run(r.wait, nil)
			b.Restart(n.now, NewCredentials(nil), r.lite || r.rolesSet)
			b.setRemote(a.remote())
			n.run(r.wait, nil)
			if s, ok := a.Selected(1); !ok || !s.Old || len(a.lost)+len(b.lost) > 0 {
				t.Errorf("pair before the answer: %+v %v, consent lost at %v and %v", s, ok, a.lost, b.lost)
			}
			if len(a.picks) != picks {
				t.Errorf("the old pair was given up for %+v", a.picks[picks:])
			}
			a.setRemote(b.remote())
			if !n.run(10*time.Second, completed(a, b)) {
				n.dump()
				t.Fatalf("%v and %v", a.State(), b.State())
			}
			n.run(time.Second, nil)
			agree(t, a, b, 1)
			agree(t, a, b, 2)
			if s, ok := a.Selected(2); !ok || s.Old || !s.Nominated {
				t.Errorf("pair after the restart: %+v %v", s, ok)
			}
			if len(a.picks) == picks || slices.ContainsFunc(a.picks[picks:], func(p Action) bool { return !p.Nominated }) {
				t.Errorf("picks of the new session: %+v", a.picks[picks:])
			}
			if a.old != nil || b.old != nil {
				t.Error("an old session is kept")
			}
			if n.run(time.Minute, nil); len(a.lost)+len(b.lost) > 0 {
				t.Errorf("consent lost at %v and %v", a.lost, b.lost)
			}
		})
	}
}

// A peer may come back with new credentials of its own while ours stay.
func TestRemoteRestartOnly(t *testing.T) {
	n := newNetwork(t, 4)
	a, b := n.node("a", Config{Controlling: true}, a1), n.node("b", Config{}, b1)
	call(t, n, a, b)
	b.Restart(n.now, NewCredentials(nil), false)
	b.setRemote(a.remote()) // b checks with its new ufrag before a hears of it
	n.run(5*time.Second, nil)
	if s, _ := a.Selected(1); !s.Nominated || s.Old {
		t.Errorf("a before signalling: %+v", s)
	}
	a.setRemote(b.remote())
	if s, _ := a.Selected(1); !s.Old {
		t.Errorf("a after signalling: %+v", s)
	}
	if !n.run(time.Second, completed(a, b)) {
		n.dump()
		t.Fatalf("%v and %v", a.State(), b.State())
	}
	agree(t, a, b, 1)
	a.setRemote(b.remote())
	if a.State() != StateCompleted {
		t.Error("the same credentials again restarted the session")
	}
}

func TestConsent(t *testing.T) {
	for _, lite := range []bool{false, true} {
		n := newNetwork(t, 5)
		a := n.node("a", Config{Controlling: !lite, Lite: lite}, a1)
		b := n.node("b", Config{Controlling: lite}, b1)
		call(t, n, a, b)
		n.run(10*time.Minute, nil)
		if len(a.lost)+len(b.lost) > 0 {
			t.Fatalf("consent lost at %v and %v", a.lost, b.lost)
		}
		if got := b.Stats().ConsentSent; got < 100 || got > 150 {
			t.Errorf("%d consent checks in 600 s", got)
		}
		if s, _ := a.Selected(1); n.now.Sub(s.LastConsent) > 7*time.Second {
			t.Errorf("last consent %v ago", n.now.Sub(s.LastConsent))
		}
		if lite {
			if got := b.Stats().Indications; got < 39 || got > 41 {
				t.Errorf("%d keepalives of the lite agent in 600 s", got)
			}
		}

		// Nothing reaches b, so no answer reaches either.
		silent := n.now
		n.cut = func(_, dst netip.AddrPort) bool { return dst == b.addrs[0] }
		n.run(40*time.Second, nil)
		if len(b.lost) != 1 {
			t.Fatalf("consent lost at %v", b.lost)
		}
		if d := b.lost[0].Sub(silent); d < 23*time.Second || d > 30100*time.Millisecond {
			t.Errorf("consent lost after %v", d)
		}
		if _, ok := b.Selected(1); ok || b.State() != StateFailed {
			t.Errorf("after the loss: %v, selected %v", b.State(), ok)
		}
		if n.run(5*time.Second, func() bool { return !b.NextDeadline().IsZero() }) {
			t.Errorf("a failed agent waits for %v", b.NextDeadline())
		}
	}
}

// After an outage the side that lost consent is revived by the other's checks.
func TestConsentRevival(t *testing.T) {
	for _, controlling := range []bool{true, false} {
		n := newNetwork(t, 6)
		a, b := n.node("a", Config{Controlling: controlling}, a1, a2), n.node("b", Config{Controlling: !controlling}, b1, b2)
		call(t, n, a, b)
		n.cut = func(_, dst netip.AddrPort) bool { return dst == a.addrs[0] }
		n.run(40*time.Second, nil)
		if a.State() != StateFailed || b.State() != StateFailed || a.components[2].selected == nil {
			t.Fatalf("%v, %v", a.State(), b.State())
		}
		n.cut = nil
		b.trigger(b.pairs[slices.IndexFunc(b.pairs, func(p *pair) bool { return p.component == 1 })], false)
		b.Tick(n.now)
		b.drain()
		if !n.run(5*time.Second, completed(a, b)) {
			n.dump()
			t.Errorf("controlling %v: %v and %v", controlling, a.State(), b.State())
		}
	}
}

func TestTrickle(t *testing.T) {
	n := newNetwork(t, 8)
	a := n.node("a", Config{Controlling: true}, a1, a2)
	b := n.node("b", Config{}, b1, b2)
	cands := b.remote().Candidates
	a.setRemote(Remote{Credentials: b.Local(), Trickle: true})
	n.run(2*time.Minute, nil)
	if a.State() != StateChecking {
		t.Errorf("without candidates: %v", a.State())
	}
	b.setRemote(Remote{Credentials: a.Local(), Trickle: true})
	a.AddRemote(n.now, false, cands[0])
	a.drain()
	n.run(time.Second, nil)
	if a.selected[1].Kind == 0 || a.State() == StateFailed {
		t.Errorf("with one candidate: %v, %+v", a.State(), a.selected)
	}
	a.AddRemote(n.now, true, cands[1])
	a.drain()
	if !n.run(time.Second, completed(a, b)) {
		n.dump()
		t.Fatalf("%v and %v", a.State(), b.State())
	}
	agree(t, a, b, 1)
	agree(t, a, b, 2)
}

// Candidates, and checks, may come before the credentials.
func TestEarly(t *testing.T) {
	n := newNetwork(t, 9)
	a, b := n.node("a", Config{}, a1), n.node("b", Config{Controlling: true}, b1)
	a.AddRemote(n.now, true, b.remote().Candidates...)
	a.drain()
	b.aggressive = true
	b.setRemote(a.remote())
	n.run(2*time.Second, nil)
	if a.State() != StateNew || a.Stats().Early == 0 || len(a.picks) > 0 {
		t.Errorf("before the answer: %v, %+v, %v", a.State(), a.Stats(), a.picks)
	}
	if b.Stats().Responses == 0 {
		t.Error("early checks were not answered")
	}
	a.setRemote(Remote{Credentials: b.Local()})
	if !n.run(100*time.Millisecond, completed(a)) {
		n.dump()
		t.Fatalf("after the answer: %v", a.State())
	}
	if !a.picks[0].Nominated {
		t.Errorf("the early nomination was forgotten: %+v", a.picks)
	}
}

func TestFailure(t *testing.T) {
	n := newNetwork(t, 10)
	a := n.node("a", Config{Controlling: true}, a1, a2)
	a.setRemote(Remote{Credentials: NewCredentials(nil), Candidates: []Candidate{
		{Component: 1, Addr: netip.MustParseAddrPort(b1), Priority: 5, Foundation: "x"},
	}})
	n.run(39*time.Second, nil)
	if a.State() != StateChecking {
		t.Errorf("before patience ends: %v", a.State())
	}
	if s := a.Stats(); s.ChecksSent != 1 || s.Retransmits != 6 || s.ChecksFailed != 1 {
		t.Errorf("%+v", s)
	}
	n.run(time.Second, nil)
	if a.State() != StateFailed || !a.NextDeadline().IsZero() {
		t.Errorf("after: %v, deadline %v", a.State(), a.NextDeadline())
	}
	// A late peer still gets through.
	r, _ := a.Remote()
	b := n.node("b", Config{}, b1)
	b.Restart(n.now, r, false)
	b.setRemote(a.remote())
	if !n.run(5*time.Second, completed(a, b)) {
		n.dump()
		t.Errorf("late peer: %v and %v", a.State(), b.State())
	}
}

func TestDropComponent(t *testing.T) {
	n := newNetwork(t, 11)
	a, b := n.node("a", Config{Controlling: true}, a1, a2), n.node("b", Config{}, b1)
	ra, rb := a.remote(), b.remote()
	rb.Candidates = append(rb.Candidates, Candidate{Component: 2, Addr: netip.MustParseAddrPort(b2), Priority: 9, Foundation: "y"})
	a.setRemote(rb)
	b.setRemote(ra)
	n.run(time.Second, nil)
	if a.State() == StateCompleted {
		t.Error("completed without component 2")
	}
	a.DropComponent(n.now, 2)
	a.drain()
	if a.State() != StateCompleted {
		t.Errorf("after component 2 was dropped: %v", a.State())
	}
	for _, p := range a.AppendPairs(nil) {
		if p.Component == 2 {
			t.Errorf("pair left: %+v", p)
		}
	}
	a.DropComponent(n.now, 3)
	a.DropComponent(n.now, 1)
	if _, ok := a.Selected(1); ok {
		t.Error("a dropped component has a selected pair")
	}
}

// A controlling peer that moves to a worse pair is followed, but aggressive repeats do not make the choice waver.
func TestRenomination(t *testing.T) {
	setup := func() (*network, *node, *node, *pair) {
		n := newNetwork(t, 12)
		a, b := n.node("a", Config{}, a6, a1), n.node("b", Config{Controlling: true}, b6, b1)
		b.aggressive = true
		call(t, n, a, b)
		n.run(time.Second, nil)
		if !a.selected[1].Remote.Addr().Is6() {
			t.Fatalf("selected %s", a.pairOf(1))
		}
		for _, r := range b.remotes {
			b.pairRemote(r)
		}
		for _, p := range b.pairs {
			if p.remote.Addr.Addr().Is4() {
				return n, a, b, p
			}
		}
		t.Fatal("no second pair")
		return nil, nil, nil, nil
	}
	nominate := func(n *network, b *node, p *pair) {
		b.trigger(p, true)
		b.Tick(n.now)
		b.drain()
		n.run(50*time.Millisecond, nil)
	}
	n, a, b, worse := setup()
	nominate(n, b, worse)
	if !a.selected[1].Remote.Addr().Is6() {
		t.Errorf("soon after: selected %s", a.pairOf(1))
	}
	n, a, b, worse = setup()
	b.aggressive = false // or its consent checks would nominate the better pair again
	n.run(4*time.Second, nil)
	nominate(n, b, worse)
	if !a.selected[1].Remote.Addr().Is4() {
		t.Errorf("4 s after: selected %s", a.pairOf(1))
	}
}

// A selected pair whose nomination fails is not the end while another is proven.
func TestFallback(t *testing.T) {
	n := newNetwork(t, 13)
	a, b := n.node("a", Config{Controlling: true}, a6, a1), n.node("b", Config{}, b6, b1)
	n.cut = func(_, dst netip.AddrPort) bool { return dst.Addr().Is6() && n.now.Sub(start) > 12*time.Millisecond }
	ra, rb := a.remote(), b.remote()
	a.setRemote(rb)
	b.setRemote(ra)
	if !n.run(20*time.Second, completed(a, b)) {
		n.dump()
		t.Fatalf("%v and %v", a.State(), b.State())
	}
	if !a.selected[1].Remote.Addr().Is4() {
		t.Errorf("selected %s", a.pairOf(1))
	}
	agree(t, a, b, 1)
}

// A peer whose NAT binds it anew is followed before consent is lost, in either role, and so is one that nominates.
func TestRebinding(t *testing.T) {
	for _, r := range []struct {
		name                    string
		controlling, aggressive bool
		within                  time.Duration
	}{
		{"controlling", true, false, 22 * time.Second},
		{"controlled", false, false, 22 * time.Second},
		{"aggressive peer", false, true, 10 * time.Second},
	} {
		t.Run(r.name, func(t *testing.T) {
			n := newNetwork(t, 14)
			a, b := n.node("a", Config{Controlling: r.controlling}, a1), n.node("b", Config{Controlling: !r.controlling}, b1)
			b.nat = newNAT(portRestricted, "203.0.113.2")
			b.aggressive = r.aggressive
			call(t, n, a, b)
			n.run(20*time.Second, nil)
			b.nat = newNAT(portRestricted, "203.0.113.3")
			if !n.run(r.within, func() bool { return a.selected[1].Remote.Addr() == b.nat.ext }) {
				n.dump()
				t.Fatalf("selected %s", a.pairOf(1))
			}
			n.run(time.Minute, nil)
			agree(t, a, b, 1)
			if len(a.lost)+len(b.lost) > 0 || a.State() != StateCompleted {
				t.Errorf("consent lost at %v and %v; %v", a.lost, b.lost, a.State())
			}
		})
	}
}

// The counter of a peer that renominates decides at once, whatever the priorities.
func TestNominationCounter(t *testing.T) {
	n := newNetwork(t, 15)
	a := n.node("a", Config{Lite: true}, a6, a1)
	b := n.node("b", Config{Controlling: true}, b6, b1)
	call(t, n, a, b)
	for _, r := range []struct {
		counter     uint32
		local, want int
	}{{0, 0, 0}, {7, 1, 1}, {3, 0, 1}, {8, 0, 0}} {
		a.checked(n.now, &early{local: r.local, from: b.addrs[r.local], priority: 9, nomination: r.counter, useCand: true})
		a.drain()
		if got := a.selected[1].Local; got != r.want {
			t.Errorf("counter %d on local %d: selected local %d, want %d", r.counter, r.local, got, r.want)
		}
	}
}
