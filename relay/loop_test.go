package relay

import (
	"testing"
	"time"
)

func TestLoop(t *testing.T) {
	start := time.Unix(1000, 0)
	packet := func(n int) []byte { return []byte{0x80, 0, 0, byte(n), 0, 0, 0, 0, 0, 0, 0, 1, 7, 7} }
	var l loop
	repeat := func(b []byte, n int, at time.Time) (dropped int) {
		for range n {
			if l.repeats(b, at) {
				dropped++
			}
		}
		return dropped
	}
	for _, row := range []struct {
		name  string
		b     []byte
		n     int
		after time.Duration
		want  int
	}{
		{"as often as may be", packet(1), loopLimit - 1, 0, 0},
		{"once more, and again", packet(1), 2, 0, 2},
		{"another", packet(2), 1, 0, 0},
		{"back", packet(1), loopLimit, 0, 1},
		{"after a while", packet(1), 1, loopPause, 0},
		{"same start, longer", append(packet(1), 9), 1, loopPause, 0},
	} {
		if got := repeat(row.b, row.n, start.Add(row.after)); got != row.want {
			t.Errorf("%s: %d dropped, want %d", row.name, got, row.want)
		}
	}
	b := packet(3)
	if n := testing.AllocsPerRun(100, func() { l.repeats(b, start) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
