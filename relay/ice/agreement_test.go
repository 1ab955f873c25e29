package ice

import (
	"testing"
	"time"
)

// TestAgreement has two agents with three candidates each meet over networks that lose, double and hold back what they
// like, and asks that both end up with the same pair. The first seeds are those where they once did not.
func TestAgreement(t *testing.T) {
	seeds := []uint64{
		1458, 4624, 7276, 8263, 8674, 9914, 10405, 10699, 11131, 12166, 12507, 13919, 14074, 14569, 15643, 16074, 16835,
		19629, 21174, 21343, 21498, 23735, 25720, 26792, 27987, 28277,
	}
	for seed := range uint64(200) {
		seeds = append(seeds, seed)
	}
	sets := [][2][]string{
		{{a1, "192.0.2.2:30001", "192.0.2.3:30001"}, {b1, "198.51.100.8:40001", "198.51.100.9:40001"}},
		{{a1, a6, "192.0.2.3:30001"}, {b1, "198.51.100.8:40001", b6}},
		{{a1, a2, a6}, {b1, b2, b6}},
	}
	for _, seed := range seeds {
		n := newNetwork(t, seed)
		n.maxDelay = n.minDelay + 300*time.Millisecond
		n.loss = 0.15 * float64(n.rng.IntN(3))
		if n.rng.IntN(3) == 0 {
			n.verdict = func(int) int { return 1 + n.rng.IntN(2) }
		}
		set := sets[n.rng.IntN(len(sets))]
		a := n.node("a", Config{Controlling: n.rng.IntN(2) == 0, Lite: n.rng.IntN(8) == 0}, set[0]...)
		b := n.node("b", Config{Controlling: n.rng.IntN(2) == 0}, set[1]...)
		a.aggressive, b.aggressive = n.rng.IntN(4) == 0, n.rng.IntN(2) == 0
		ra, rb := a.remote(), b.remote()
		n.at(time.Duration(n.rng.IntN(100))*time.Millisecond, func() { a.setRemote(rb) })
		n.at(time.Duration(n.rng.IntN(100))*time.Millisecond, func() { b.setRemote(ra) })
		if !n.run(39*time.Second, completed(a, b)) {
			n.dump()
			t.Fatalf("seed %d: %v and %v", seed, a.State(), b.State())
		}
		n.run(20*time.Second, nil)
		n.loss = 0
		n.run(10*time.Second, nil)
		for c := 1; c <= 2 && a.components[c].active; c++ {
			agree(t, a, b, c)
		}
		if t.Failed() {
			n.dump()
			t.Fatalf("seed %d", seed)
		}
	}
}
