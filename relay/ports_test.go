package relay

import (
	"testing"
	"time"
)

func testRange(min, max int, exclude ...int) *portRange {
	r := &portRange{min: min, max: max, excluded: new(portSet)}
	for _, p := range exclude {
		r.excluded.add(p)
	}
	return r
}

func TestPortPool(t *testing.T) {
	for _, tt := range []struct {
		name  string
		r     *portRange
		n     int
		pairs bool
		want  int // allocations until there is nothing left
	}{
		{"pairs", testRange(100, 109), 2, true, 5},
		{"pairs in an odd range", testRange(101, 110), 2, true, 4},
		{"pairs around an exclusion", testRange(100, 109, 103), 2, true, 4},
		{"singles use odd ports last", testRange(100, 109), 1, false, 10},
		{"one port", testRange(101, 101), 1, false, 1},
		{"no pair in one port", testRange(100, 100), 2, true, 0},
		{"the end of all ports", testRange(65534, 65535), 2, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			p := newPortPool(time.Minute, func() time.Time { return now })
			seen := map[int]bool{}
			even := 0
			for got := 0; ; got++ {
				port, ok := p.take(tt.r, tt.n)
				if !ok {
					if got != tt.want {
						t.Fatalf("%d allocations, want %d", got, tt.want)
					}
					break
				}
				if tt.pairs && port%2 != 0 || seen[port] || !tt.r.has(port) || !tt.r.has(port+tt.n-1) {
					t.Fatalf("port %d, before it %v", port, seen)
				}
				if seen[port] = true; port%2 == 0 {
					even++
				} else if !tt.pairs && even < (tt.want)/2 {
					t.Fatalf("odd port %d while even ones were free", port)
				}
			}
			total, used, _ := p.count(tt.r)
			if used != tt.want*tt.n || total < used {
				t.Errorf("total %d, used %d", total, used)
			}
		})
	}
}

func TestPortRest(t *testing.T) {
	now := time.Unix(0, 0)
	p := newPortPool(30*time.Second, func() time.Time { return now })
	r := testRange(100, 105)
	take := func() int {
		t.Helper()
		port, ok := p.take(r, 2)
		if !ok {
			t.Fatal("no port")
		}
		return port
	}
	a, b := take(), take()
	p.release(a, a+1)
	now = now.Add(time.Second)
	p.release(b, b+1)
	c := take()
	if c == a || c == b {
		t.Errorf("%d taken out of its rest while another was free", c)
	}
	if got := take(); got != a {
		t.Errorf("under pressure got %d, want %d, which has rested longest", got, a)
	}
	if got := take(); got != b {
		t.Errorf("under pressure got %d, want %d", got, b)
	}
	if got, ok := p.take(r, 2); ok {
		t.Errorf("got %d of a full range", got)
	}
	p.release(c, c+1)
	now = now.Add(30 * time.Second)
	if got := take(); got != c || p.resting != (portSet{}) || p.queue[0].next != 0 || p.queue[0].prev != 0 {
		t.Errorf("got %d, want the rested %d; the ring is %v", got, c, p.queue[0])
	}
}
