package ice

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

const (
	a1, a2 = "192.0.2.1:30001", "192.0.2.1:30002"
	b1, b2 = "198.51.100.7:40001", "198.51.100.7:40002"
	a6, b6 = "[2001:db8::1]:30001", "[2001:db8::7]:40001"
)

func TestConnect(t *testing.T) {
	type side struct {
		addrs      []string
		ctrl, lite bool
		aggressive bool
		nat        natKind
		blind      bool // is not told the other's candidates
	}
	one := []string{a1}
	other := []string{b1}
	rows := []struct {
		name   string
		a, b   side
		loss   float64
		spread time.Duration
		limit  time.Duration
	}{
		{name: "controlling", a: side{addrs: one, ctrl: true}, b: side{addrs: other}},
		{name: "controlled", a: side{addrs: one}, b: side{addrs: other, ctrl: true}},
		{name: "two components", a: side{addrs: []string{a1, a2}, ctrl: true}, b: side{addrs: []string{b1, b2}}},
		{name: "IPv6", a: side{addrs: []string{a6}, ctrl: true}, b: side{addrs: []string{b6}}},
		{name: "both families", a: side{addrs: []string{a6, a1}, ctrl: true}, b: side{addrs: []string{b1, b6}}},
		{name: "aggressive peer", a: side{addrs: []string{a6, a1}}, b: side{addrs: []string{b1, b6}, ctrl: true, aggressive: true}},
		{name: "lite", a: side{addrs: one, lite: true}, b: side{addrs: other, ctrl: true}},
		{name: "lite, aggressive peer", a: side{addrs: []string{a1, a6}, lite: true}, b: side{addrs: []string{b1, b6}, ctrl: true, aggressive: true}},
		{name: "lite peer that thinks it leads", a: side{addrs: one}, b: side{addrs: other, lite: true, ctrl: true}},
		{name: "lite, two components", a: side{addrs: []string{a1, a2}, lite: true}, b: side{addrs: []string{b1, b2}}},
		{name: "both controlling", a: side{addrs: one, ctrl: true}, b: side{addrs: other, ctrl: true}},
		{name: "both controlled", a: side{addrs: one}, b: side{addrs: other}},
		{name: "both controlling, two components", a: side{addrs: []string{a1, a2}, ctrl: true}, b: side{addrs: []string{b1, b2}, ctrl: true}},
		{name: "peer behind a full cone", a: side{addrs: one, ctrl: true}, b: side{addrs: other, nat: fullCone}},
		{name: "peer behind a restricted cone", a: side{addrs: one}, b: side{addrs: other, ctrl: true, nat: restricted}},
		{name: "peer behind a port-restricted cone", a: side{addrs: one}, b: side{addrs: other, ctrl: true, nat: portRestricted}},
		{name: "peer behind a symmetric NAT", a: side{addrs: []string{a1, a2}, ctrl: true}, b: side{addrs: []string{b1, b2}, nat: symmetric}},
		{name: "symmetric NAT, aggressive", a: side{addrs: []string{a1, a2}}, b: side{addrs: []string{b1, b2}, ctrl: true, nat: symmetric, aggressive: true}},
		{name: "symmetric NAT, lite", a: side{addrs: one, lite: true}, b: side{addrs: other, ctrl: true, nat: symmetric}},
		{name: "behind a NAT ourselves", a: side{addrs: one, ctrl: true, nat: portRestricted}, b: side{addrs: other}},
		{name: "no candidates from the peer", a: side{addrs: one, ctrl: true, blind: true}, b: side{addrs: other}},
		{name: "no candidates from the peer, controlled", a: side{addrs: one, blind: true}, b: side{addrs: other, ctrl: true}},
		{name: "30% loss", a: side{addrs: []string{a1, a2}, ctrl: true}, b: side{addrs: []string{b1, b2}}, loss: 0.3},
		{name: "30% loss, aggressive", a: side{addrs: []string{a1, a6}}, b: side{addrs: []string{b1, b6}, ctrl: true, aggressive: true}, loss: 0.3},
		{name: "30% loss, lite", a: side{addrs: one, lite: true}, b: side{addrs: other}, loss: 0.3},
		{name: "30% loss, both controlling", a: side{addrs: one, ctrl: true}, b: side{addrs: other, ctrl: true}, loss: 0.3},
		{name: "30% loss, both controlled", a: side{addrs: one}, b: side{addrs: other}, loss: 0.3},
		{name: "reordering", a: side{addrs: []string{a1, a2}, ctrl: true}, b: side{addrs: []string{b1, b2}}, spread: 400 * time.Millisecond},
		{name: "reordering, aggressive", a: side{addrs: []string{a1, a6}}, b: side{addrs: []string{b1, b6}, ctrl: true, aggressive: true}, spread: 400 * time.Millisecond},
		{name: "reordering, both controlling", a: side{addrs: one, ctrl: true}, b: side{addrs: other, ctrl: true}, spread: 400 * time.Millisecond},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for seed := range uint64(20) {
				n := newNetwork(t, seed)
				n.loss, n.maxDelay = r.loss, n.minDelay+r.spread
				a := n.node("a", Config{Controlling: r.a.ctrl, Lite: r.a.lite}, r.a.addrs...)
				b := n.node("b", Config{Controlling: r.b.ctrl, Lite: r.b.lite}, r.b.addrs...)
				a.aggressive, b.aggressive = r.a.aggressive, r.b.aggressive
				if r.a.nat != 0 {
					a.nat = newNAT(r.a.nat, "203.0.113.1")
				}
				if r.b.nat != 0 {
					b.nat = newNAT(r.b.nat, "203.0.113.2")
				}
				ra, rb := a.remote(), b.remote()
				if r.a.blind {
					rb.Candidates = nil
				}
				a.setRemote(rb)
				n.at(30*time.Millisecond, func() { b.setRemote(ra) })
				if !n.run(39*time.Second, completed(a, b)) {
					n.dump()
					t.Fatalf("seed %d: %v and %v", seed, a.State(), b.State())
				}
				n.run(5*time.Second, nil)
				for c := 1; c <= len(r.a.addrs) && a.components[c].active; c++ {
					agree(t, a, b, c)
				}
				if !r.a.lite && !r.b.lite && a.Controlling() == b.Controlling() {
					t.Errorf("seed %d: both are controlling: %v", seed, a.Controlling())
				}
				if t.Failed() {
					n.dump()
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// TestSingleFaults drops, doubles and delays each datagram of a session in turn.
func TestSingleFaults(t *testing.T) {
	rows := []struct {
		name string
		a, b Config
	}{
		{"controlling", Config{Controlling: true}, Config{}},
		{"controlled", Config{}, Config{Controlling: true}},
		{"lite", Config{Lite: true}, Config{Controlling: true}},
		{"role conflict", Config{Controlling: true, TieBreaker: 5}, Config{Controlling: true, TieBreaker: 5}},
		{"role conflict, controlled", Config{TieBreaker: 5}, Config{TieBreaker: 5}},
	}
	for _, r := range rows {
		for _, copies := range []int{0, 1, 2} { // 1: late
			for _, aggressive := range []bool{false, true} {
				t.Run(r.name, func(t *testing.T) {
					total := 1
					for k := -1; k < total; k++ {
						n := newNetwork(t, 7)
						n.verdict = func(i int) int {
							if i == k {
								return copies
							}
							return 1
						}
						n.late = func(i int) time.Duration {
							if i == k && copies == 1 {
								return 250 * time.Millisecond
							}
							return 0
						}
						a, b := n.node("a", r.a, a1, a2), n.node("b", r.b, b1, b2)
						a.aggressive, b.aggressive = aggressive, aggressive
						ra, rb := a.remote(), b.remote()
						b.setRemote(ra)
						n.at(20*time.Millisecond, func() { a.setRemote(rb) })
						ok := n.run(3*time.Second, completed(a, b))
						if k < 0 {
							total = n.sent
						}
						n.run(time.Second, nil)
						agree(t, a, b, 1)
						agree(t, a, b, 2)
						if !ok || t.Failed() {
							n.dump()
							t.Fatalf("datagram %d delivered %d times: %v and %v", k, copies, a.State(), b.State())
						}
					}
					if total < 6 {
						t.Errorf("%d datagrams only", total)
					}
				})
			}
		}
	}
}

// TestEqualTieBreakers lets both sides begin in the same role with the same number, over paths that change the order of
// datagrams, and loses each datagram in turn: however often they change places, both must end with the same nominations.
func TestEqualTieBreakers(t *testing.T) {
	for _, controlling := range []bool{true, false} {
		for _, spread := range []time.Duration{30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
			for seed := range uint64(8) {
				total := 1
				for k := -1; k < total; k++ {
					n := newNetwork(t, seed)
					n.maxDelay = n.minDelay + spread
					n.verdict = func(i int) int {
						if i == k {
							return 0
						}
						return 1
					}
					cfg := Config{Controlling: controlling, TieBreaker: 5}
					a, b := n.node("a", cfg, a1, a2), n.node("b", cfg, b1, b2)
					ra, rb := a.remote(), b.remote()
					b.setRemote(ra)
					n.at(20*time.Millisecond, func() { a.setRemote(rb) })
					ok := n.run(5*time.Second, completed(a, b))
					if k < 0 {
						total = n.sent
					}
					n.run(2*time.Second, nil)
					agree(t, a, b, 1)
					agree(t, a, b, 2)
					if !ok || t.Failed() || a.Controlling() == b.Controlling() {
						n.dump()
						t.Fatalf("controlling %v, spread %v, seed %d, datagram %d lost: %v and %v", controlling, spread, seed, k, a.State(), b.State())
					}
				}
			}
		}
	}
}

// TestAnswerToCheck looks at what leaves when a check comes: the answer and our own check over the same pair, which does
// not wait for the pace of ordinary checks, only for the smallest one that is allowed.
func TestAnswerToCheck(t *testing.T) {
	const elsewhere = "198.51.100.8:40001"
	rows := []struct {
		name  string
		other time.Duration // how long before we started a check of another pair; 0: none
		wait  time.Duration // until our own check
	}{
		{"nothing else to check", 0, 0},
		{"another check just now", time.Millisecond, 4 * time.Millisecond},
		{"another check before", 6 * time.Millisecond, 0},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			a := New(Config{Locals: []Candidate{{Component: 1, Addr: netip.MustParseAddrPort(a1)}}})
			b := New(Config{Controlling: true, Locals: []Candidate{{Component: 1, Addr: netip.MustParseAddrPort(b1)}}})
			b.SetRemote(start, Remote{Credentials: a.gen.local, Candidates: a.cfg.Locals, End: true})
			check := slices.Clone(b.Actions()[0].Packet)
			remote := Remote{Credentials: b.gen.local, End: true}
			if r.other > 0 {
				remote.Candidates = []Candidate{{Component: 1, Addr: netip.MustParseAddrPort(elsewhere)}}
			}
			a.SetRemote(start, remote)
			a.Actions()
			now := start.Add(r.other)
			a.Input(now, 0, netip.MustParseAddrPort(b1), check)
			got := sentTypes(t, a)
			want := []stun.MessageType{stun.BindingSuccess, stun.BindingRequest}
			if r.wait > 0 {
				want = want[:1]
			}
			if !slices.Equal(got, want) {
				t.Errorf("sent %v, want %v", got, want)
			}
			if r.wait == 0 {
				return
			}
			if at := a.NextDeadline(); !at.Equal(now.Add(r.wait)) {
				t.Errorf("next deadline after %v, want %v", at.Sub(now), r.wait)
			}
			a.Tick(now.Add(r.wait))
			if got := sentTypes(t, a); !slices.Equal(got, []stun.MessageType{stun.BindingRequest}) {
				t.Errorf("sent %v after the wait", got)
			}
		})
	}
}

// TestPrompt looks at what a controlled agent sends once a pair is proven both ways, where its own check left before the
// peer's was answered: another one, after the answer and only once.
func TestPrompt(t *testing.T) {
	success, request := stun.BindingSuccess, stun.BindingRequest
	rows := []struct {
		name                   string
		controlling, nominates bool
		crossing               bool // the peer's check comes before its answer to ours
		want                   []stun.MessageType
	}{
		{name: "controlled", want: []stun.MessageType{success, request}},
		{name: "crossing", crossing: true, want: []stun.MessageType{success, request}},
		{name: "nominated at once", nominates: true, want: []stun.MessageType{success}},
		{name: "nominated at once, crossing", nominates: true, crossing: true, want: []stun.MessageType{success}},
		{name: "controlling", controlling: true, want: []stun.MessageType{success}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			n := newNetwork(t, 16)
			a, b := n.node("a", Config{Controlling: r.controlling}, a1), n.node("b", Config{Controlling: !r.controlling}, b1)
			a.SetRemote(n.now, b.remote())
			b.Input(n.now, 0, a.addrs[0], slices.Clone(a.Actions()[0].Packet))
			answer := slices.Clone(b.Actions()[0].Packet)
			b.SetRemote(n.now, a.remote())
			check := slices.Clone(b.Actions()[0].Packet)
			if r.nominates {
				check = n.addUseCandidate(b, check)
			}
			now := n.now
			var got []stun.MessageType
			input := func(pkt []byte) {
				now = now.Add(time.Millisecond)
				a.Input(now, 0, b.addrs[0], pkt)
				got = append(got, sentTypes(t, a.Agent)...)
			}
			if r.crossing {
				input(check)
				input(answer)
			} else {
				input(answer)
				got = nil // of who leads, the nomination
				input(check)
			}
			if !slices.Equal(got, r.want) {
				t.Errorf("sent %v, want %v", got, r.want)
			}
			got = nil
			if input(check); !slices.Equal(got, []stun.MessageType{success}) {
				t.Errorf("to the next check sent %v", got)
			}
			if s, ok := a.Selected(1); !ok || s.Nominated != r.nominates || a.pairs[0].state != Succeeded {
				t.Errorf("selected %+v %v, the pair is %v", s, ok, a.pairs[0].state)
			}
		})
	}
}

// sentTypes tells what the agent sends, in order.
func sentTypes(t *testing.T, a *Agent) (types []stun.MessageType) {
	t.Helper()
	for _, x := range a.Actions() {
		if x.Kind != Send {
			continue
		}
		m := &stun.Message{Raw: slices.Clone(x.Packet)}
		if err := m.Decode(); err != nil {
			t.Fatal(err)
		}
		types = append(types, m.Type)
	}
	return types
}
