package relay

import (
	"fmt"
	"math"
	"testing"
)

func TestPack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		busy   []float64
		groups []int
		want   string // from>to share, in per cent
	}{
		{"idle", []float64{0, 0}, []int{0, 0}, ""},
		{"one worker", []float64{1}, []int{100}, ""},
		{"one suffices", []float64{0.85, 0}, []int{100, 0}, ""},
		{"too much for one", []float64{0.9, 0}, []int{100, 0}, "0>1 50"},
		{"the second has some", []float64{0.9, 0.4}, []int{100, 50}, "0>1 27"},
		{"the third has more room", []float64{0.9, 0.7, 0}, []int{100, 50, 0}, "0>2 50"},
		{"the first has room", []float64{0.4, 0.9}, []int{10, 100}, "1>0 27"},
		{"both are full", []float64{0.9, 0.82}, []int{100, 100}, ""},
		{"both are full, one more so", []float64{0.95, 0.7}, []int{100, 100}, "0>1 13"},
		{"a burden that cannot be divided", []float64{1, 0}, []int{1, 0}, ""},
		{"nearly so", []float64{0.9, 0}, []int{2, 0}, "0>1 50"},
		{"one is enough again", []float64{0.2, 0.3}, []int{50, 50}, "1>0 100"},
		{"silent groups", []float64{0.4, 0}, []int{50, 3}, "1>0 100"},
		{"not enough room", []float64{0.5, 0.2}, []int{50, 50}, ""},
		{"what was divided stays", []float64{0.45, 0.3}, []int{50, 50}, ""},
		{"the last is emptied first", []float64{0.2, 0.1, 0.1}, []int{30, 20, 20}, "2>0 100 1>0 100"},
		{"into the first that has room", []float64{0.6, 0.2, 0.2}, []int{30, 20, 20}, "2>1 100"},
		{"over many", []float64{0.9, 0.9, 0, 0}, []int{100, 100, 0, 0}, "0>2 50 1>0 25"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for i, s := range pack(tt.busy, tt.groups) {
				if i > 0 {
					got += " "
				}
				got += fmt.Sprintf("%d>%d %.0f", s.from, s.to, math.Floor(100*s.share+1e-9))
			}
			if got != tt.want {
				t.Errorf("pack(%v, %v) = %q, want %q", tt.busy, tt.groups, got, tt.want)
			}
		})
	}
}

// TestPackSettles has every load that is divided evenly among the groups come to rest, within what each worker can take.
func TestPackSettles(t *testing.T) {
	const all = 1000
	for load := 0.05; load < 2.2; load += 0.05 {
		groups := []int{all, 0, 0, 0}
		busy := make([]float64, len(groups))
		rounds := 0
		for ; rounds < 20; rounds++ {
			for i, n := range groups {
				busy[i] = min(load*float64(n)/all, 1)
			}
			shifts := pack(busy, groups)
			if len(shifts) == 0 {
				break
			}
			for _, s := range shifts {
				n := int(s.share * float64(groups[s.from]))
				groups[s.from] -= n
				groups[s.to] += n
			}
		}
		if rounds == 20 {
			t.Errorf("load %.2f: still moving, %v", load, groups)
		}
		for i, n := range groups {
			if b := load * float64(n) / all; b > full {
				t.Errorf("load %.2f: worker %d has %.2f to do, %v", load, i, b, groups)
			}
		}
	}
}

func TestRoomiest(t *testing.T) {
	for _, tt := range []struct {
		busy []float64
		want int
	}{
		{[]float64{0, 0}, 0}, {[]float64{0.69, 0}, 0}, {[]float64{0.7, 0}, 1}, {[]float64{0.9, 0.8, 0.95}, 1},
	} {
		if got := roomiest(tt.busy); got != tt.want {
			t.Errorf("roomiest(%v) = %d, want %d", tt.busy, got, tt.want)
		}
	}
}
