package ice

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestRemoteCandidates(t *testing.T) {
	host := netip.MustParseAddrPort
	rows := []struct {
		name  string
		c     Candidate
		pairs int
	}{
		{"UDP", Candidate{Component: 1, Transport: "udp", Addr: host("203.0.113.5:5000")}, 1},
		{"no transport", Candidate{Component: 1, Addr: host("203.0.113.5:5000")}, 1},
		{"IPv4-mapped", Candidate{Component: 1, Addr: host("[::ffff:203.0.113.5]:5000")}, 1},
		{"TCP", Candidate{Component: 1, Transport: "TCP", Addr: host("203.0.113.5:9")}, 0},
		{"host name", Candidate{Component: 1, Transport: "UDP"}, 0},
		{"port 0", Candidate{Component: 1, Addr: host("203.0.113.5:0")}, 0},
		{"unspecified", Candidate{Component: 1, Addr: host("0.0.0.0:5000")}, 0},
		{"multicast", Candidate{Component: 1, Addr: host("224.0.0.1:5000")}, 0},
		{"component 2", Candidate{Component: 2, Addr: host("203.0.113.5:5000")}, 0},
		{"component 0", Candidate{Component: 0, Addr: host("203.0.113.5:5000")}, 0},
		{"component 256", Candidate{Component: 256, Addr: host("203.0.113.5:5000")}, 0},
		{"IPv6", Candidate{Component: 1, Addr: host("[2001:db8::5]:5000")}, 1},
		{"link-local", Candidate{Component: 1, Addr: host("[fe80::5]:5000")}, 1},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			n := newNetwork(t, 1)
			a := n.node("a", Config{Controlling: true}, a1, a6, "[fe80::1%eth0]:30001")
			a.setRemote(Remote{Credentials: NewCredentials(nil), Candidates: []Candidate{r.c, r.c}})
			ps := a.AppendPairs(nil)
			if len(ps) != r.pairs {
				t.Fatalf("pairs %+v, want %d", ps, r.pairs)
			}
			if r.pairs == 1 && ps[0].Remote.Addr().IsLinkLocalUnicast() && ps[0].Remote.Addr().Zone() != "eth0" {
				t.Errorf("pair %+v has no zone", ps[0])
			}
			n.run(time.Minute, nil)
		})
	}
}

func TestTooManyCandidates(t *testing.T) {
	n := newNetwork(t, 1)
	a := n.node("a", Config{Controlling: true}, a1, "192.0.2.3:30001", "192.0.2.4:30001")
	b := n.node("b", Config{}, b1)
	r := b.remote()
	r.Candidates = nil
	for i := range 150 {
		r.Candidates = append(r.Candidates, Candidate{
			Foundation: fmt.Sprint(i % 7), Component: 1, Priority: uint32(1 << 30),
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 5000),
		})
	}
	a.setRemote(r)
	if got := a.Stats().CandidatesIgnored; got != 50 {
		t.Errorf("%d candidates ignored", got)
	}
	if len(a.pairs) > maxPairs {
		t.Errorf("%d pairs", len(a.pairs))
	}
	// More checks are under way than the table holds after a while; still the one good source gets through.
	n.run(9*time.Second, nil)
	b.setRemote(a.remote())
	if !n.run(10*time.Second, completed(a, b)) {
		n.dump()
		t.Errorf("%v and %v", a.State(), b.State())
	}
	if len(a.txs) > maxTransactions || len(a.pairs) > maxPairs {
		t.Errorf("%d transactions, %d pairs", len(a.txs), len(a.pairs))
	}
}

// An authenticated peer that checks from ever new ports cannot make the agent grow, nor dislodge the selected pair.
func TestTooManySources(t *testing.T) {
	n := newNetwork(t, 1)
	a, b := n.node("a", Config{Controlling: true}, a1), n.node("b", Config{}, b1)
	check := func(port int, ufrag string) {
		m := new(stun.Message)
		m.Type = stun.BindingRequest
		m.WriteHeader()
		m.Add(stun.AttrUsername, []byte(a.Local().Ufrag+":"+ufrag))
		_ = stun.NewShortTermIntegrity(a.Local().Pwd).AddTo(m)
		_ = stun.Fingerprint.AddTo(m)
		a.Input(n.now, 0, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.77"), uint16(port)), m.Raw)
		a.drain()
	}
	for i := range 200 {
		check(1000+i, "early")
	}
	if len(a.early) != maxEarly {
		t.Errorf("%d early checks kept", len(a.early))
	}
	call(t, n, a, b)
	for i := range 1000 {
		check(2000+i, b.Local().Ufrag)
		n.run(5*time.Millisecond, nil)
	}
	if len(a.remotes) > maxReflexive+1 || len(a.pairs) > maxReflexive+1 || len(a.txs) > maxTransactions {
		t.Errorf("%d candidates, %d pairs, %d transactions", len(a.remotes), len(a.pairs), len(a.txs))
	}
	n.run(time.Minute, nil)
	agree(t, a, b, 1)
}

// A candidate that was first learned and then signalled is what signalling says.
func TestLearnedThenSignalled(t *testing.T) {
	n := newNetwork(t, 1)
	a, b := n.node("a", Config{Controlling: true}, a1), n.node("b", Config{}, b1)
	rb := b.remote()
	a.setRemote(Remote{Credentials: rb.Credentials, Trickle: true})
	b.setRemote(a.remote())
	n.run(time.Second, nil)
	before := a.AppendPairs(nil)
	a.AddRemote(n.now, true, rb.Candidates...)
	a.drain()
	after := a.AppendPairs(nil)
	if len(before) != 1 || len(after) != 1 || before[0].RemoteType != PeerReflexive || after[0].RemoteType != Host ||
		before[0].Priority >= after[0].Priority {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if s, _ := a.Selected(1); s.RemoteType != Host {
		t.Errorf("selected %+v", s)
	}
}

func TestPriority(t *testing.T) {
	// The two values that the protocol's users know by heart.
	if a, b := Priority(Host, 0, 1), Priority(Host, 0, 2); a != 2130706431 || b != 2130706430 {
		t.Errorf("host: %d, %d", a, b)
	}
	if a, b := Priority(Relayed, 0, 1), Priority(Relayed, 0, 2); a != 16777215 || b != 16777214 {
		t.Errorf("relay: %d, %d", a, b)
	}
	if p := reflexive(Priority(Host, 3, 2)); p != Priority(PeerReflexive, 3, 2) {
		t.Errorf("reflexive: %d", p)
	}
	if a, b := pairPriority(2, 1), pairPriority(1, 2); a != 1<<32+5 || b != 1<<32+4 {
		t.Errorf("pairs: %d, %d", a, b)
	}
	for _, typ := range []CandidateType{Host, ServerReflexive, PeerReflexive, Relayed} {
		if got, ok := ParseCandidateType(typ.String()); got != typ || !ok {
			t.Errorf("%v: %v %v", typ, got, ok)
		}
	}
	if _, ok := ParseCandidateType("tcp"); ok {
		t.Error("tcp is no type")
	}
}

func TestStrings(t *testing.T) {
	got := fmt.Sprint(Send, SelectedPair, StateChanged, ConsentLost, RoleChanged, StateNew, StateFailed, Frozen, Failed)
	if want := "send selected-pair state consent-lost role new failed frozen failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChaos does at random what signalling and networks do, and asks that a final restart on a sound network works.
func TestChaos(t *testing.T) {
	for seed := range uint64(150) {
		n := newNetwork(t, seed)
		n.maxDelay = time.Duration(n.rng.Int64N(int64(300*time.Millisecond))) + n.minDelay
		lite := n.rng.IntN(5) == 0
		a := n.node("a", Config{Controlling: n.rng.IntN(2) == 0, Lite: lite}, a1, a2, a6)
		b := n.node("b", Config{Controlling: n.rng.IntN(2) == 0}, b1, b2, b6)
		b.aggressive = n.rng.IntN(2) == 0
		pick := func() (x, y *node) {
			if n.rng.IntN(2) == 0 {
				return a, b
			}
			return b, a
		}
		part := func(r Remote) Remote {
			r.Candidates = r.Candidates[n.rng.IntN(len(r.Candidates)+1):]
			r.Trickle = n.rng.IntN(2) == 0
			r.End = n.rng.IntN(2) == 0
			return r
		}
		for range 40 {
			x, y := pick()
			switch n.rng.IntN(9) {
			case 0:
				x.Restart(n.now, NewCredentials(rngReader{n.rng}), n.rng.IntN(2) == 0)
				x.drain()
			case 1, 2:
				x.setRemote(part(y.remote()))
			case 3:
				x.AddRemote(n.now, n.rng.IntN(2) == 0, part(y.remote()).Candidates...)
				x.drain()
			case 4:
				n.loss = n.rng.Float64()
			case 5:
				n.loss = 0
			case 6:
				n.verdict = func(int) int { return n.rng.IntN(3) }
			case 7:
				n.verdict = nil
			}
			n.run(time.Duration(n.rng.Int64N(int64(8*time.Second))), nil)
			for _, x := range n.nodes {
				for c := 1; c <= 2; c++ {
					if s, ok := x.Selected(c); ok != (x.selected[c].Kind == SelectedPair) || ok && s.Remote != x.selected[c].Remote {
						t.Fatalf("seed %d: %s has %+v %v, and said %+v", seed, x.name, s, ok, x.selected[c])
					}
				}
			}
		}
		n.loss, n.verdict, n.maxDelay = 0, nil, 30*time.Millisecond
		a.Restart(n.now, NewCredentials(nil), true)
		b.Restart(n.now, NewCredentials(nil), lite)
		a.setRemote(b.remote())
		b.setRemote(a.remote())
		n.run(40*time.Second, completed(a, b))
		n.run(10*time.Second, nil)
		agree(t, a, b, 1)
		agree(t, a, b, 2)
		if t.Failed() {
			n.dump()
			t.Fatalf("seed %d", seed)
		}
	}
}

// Nobody is let in by an empty password, on either side.
func TestEmptyCredentials(t *testing.T) {
	n := newNetwork(t, 1)
	a := New(Config{Locals: []Candidate{{Component: 1, Addr: netip.MustParseAddrPort(a1)}}})
	if c := a.Local(); len(c.Ufrag) != 8 || len(c.Pwd) != 26 {
		t.Errorf("credentials %+v", c)
	}
	a.SetRemote(n.now, Remote{Candidates: []Candidate{{Component: 1, Addr: netip.MustParseAddrPort(b1)}}})
	if _, known := a.Remote(); known || a.State() != StateNew || len(a.Actions()) != 0 {
		t.Errorf("started without credentials: %v", a.State())
	}
	a.SetRemote(n.now, Remote{Credentials: NewCredentials(nil)})
	if len(a.AppendPairs(nil)) != 1 || a.State() != StateChecking {
		t.Errorf("%v, pairs %+v", a.State(), a.AppendPairs(nil))
	}
	a.Restart(n.now, Credentials{}, true)
	if c := a.Local(); len(c.Pwd) != 26 {
		t.Errorf("credentials after a restart %+v", c)
	}
}

// RTP's unanswered check keeps RTCP waiting for one repetition, not until it has failed.
func TestUnansweredCheckFreezesBriefly(t *testing.T) {
	at := func(host string, component int) Candidate {
		return Candidate{Foundation: "1", Component: component, Priority: Priority(Host, 0, component), Type: Host,
			Addr: netip.AddrPortFrom(netip.MustParseAddr(host), uint16(4000+component))}
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := New(Config{Local: Credentials{Ufrag: "here", Pwd: "password-of-this-side"}, Controlling: true,
		Locals: []Candidate{at("192.0.2.1", 1), at("192.0.2.1", 2)}})
	a.SetRemote(now, Remote{Credentials: Credentials{Ufrag: "there", Pwd: "password-of-that-side"}, End: true,
		Candidates: []Candidate{at("198.51.100.7", 1), at("198.51.100.7", 2)}})
	begun := now
	for now.Sub(begun) < 2*rto {
		for _, x := range a.Actions() {
			if x.Kind == Send && x.Remote.Port() == 4002 {
				if now.Sub(begun) < rto {
					t.Errorf("RTCP checked after %v", now.Sub(begun))
				}
				return
			}
		}
		now = a.NextDeadline()
		a.Tick(now)
	}
	t.Error("RTCP never checked")
}
