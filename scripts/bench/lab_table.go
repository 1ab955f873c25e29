package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// labCase is one load.
type labCase struct {
	Rate         int
	Burst, Media string
}

func (c labCase) String() string { return fmt.Sprintf("%s, %dk/s, %s", c.Media, c.Rate/1000, c.Burst) }

// cases are the loads of the data, in their order.
func (d *labData) cases() (list []labCase) {
	for _, r := range d.Runs {
		if c := (labCase{r.Rate, r.Burst, r.Media}); !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

// series is one value of a relay under a load, by round.
func (d *labData) series(c labCase, subject string, value func(*labRun) float64) (v []float64) {
	for i := range d.Runs {
		if r := &d.Runs[i]; r.Subject == subject && c == (labCase{r.Rate, r.Burst, r.Media}) {
			v = append(v, value(r))
		}
	}
	return v
}

// above is how much more a relay takes than reflection in the same run; less than nothing is noise.
func (d *labData) above(c labCase, subject string, value func(*labCost) float64) []float64 {
	return d.series(c, subject, func(r *labRun) float64 { return max(value(r.above()), 0) })
}

// above is what the relay takes above reflection: of costs the median of the pairs.
func (r *labRun) above() *labCost {
	a := labCost{P50: r.Relay.P50 - r.Reflect.P50, P99: r.Relay.P99 - r.Reflect.P99}
	var m, t []float64
	for _, p := range r.Above {
		m, t = append(m, p.Machine), append(t, p.Threads)
	}
	if len(m) > 0 {
		a.Machine, a.Threads = median(m), median(t)
	}
	return &a
}

var (
	machine = func(c *labCost) float64 { return c.Machine }
	threads = func(c *labCost) float64 { return c.Threads }
	p50     = func(c *labCost) float64 { return c.P50 }
	p99     = func(c *labCost) float64 { return c.P99 }
	relay   = func(r *labRun) float64 { return r.Daemon }
	lost    = func(r *labRun) float64 { return float64(r.Sent - r.Received) }
	share   = func(r *labRun) float64 { return 100 * float64(r.InKernel) / float64(cmp.Or(r.All, 1)) }
)

// whole is a cost of a run with the relay.
func whole(value func(*labCost) float64) func(*labRun) float64 {
	return func(r *labRun) float64 { return value(&r.Relay) }
}

// ratios are ours to the peer's of the same round. A peer that costs nothing gives none.
func ratios(ours, peer []float64) (v []float64) {
	for i := range ours {
		if i < len(peer) && peer[i] > 0 {
			v = append(v, ours[i]/peer[i])
		}
	}
	return v
}

// table writes what was measured, in us, and then the ratios with their limits. It tells whether all hold.
func (d *labData) table(w io.Writer) bool {
	fmt.Fprintf(w, "peer rtpengine %s, Linux %s, %s, %d CPUs; medians [smallest-largest], times in us\n\n", d.Peer, d.Kernel, d.Go, d.CPUs)
	if d.BusyBefore > 0.05 {
		fmt.Fprintf(w, "NOT ALONE: others used %.0f %% of the machine before the first round; the columns of the machine tell nothing.\n\n", 100*d.BusyBefore)
	}
	fmt.Fprintf(w, "| load | relay | machine per packet | above reflect | threads | above reflect | daemon | p50 | above | p99 | above | lost |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range d.cases() {
		for _, s := range append([]string{subjectReflect}, subjects...) {
			if len(d.series(c, s, lost)) == 0 {
				continue
			}
			fmt.Fprintf(w, "| %s | %s |", c, s)
			for i, f := range []func(*labCost) float64{machine, threads, p50, p99} {
				fmt.Fprintf(w, " %s | %s |", spread(d.series(c, s, whole(f)), 1), spread(d.series(c, s, func(r *labRun) float64 { return f(r.above()) }), 2))
				if i == 1 {
					fmt.Fprintf(w, " %s |", spread(d.series(c, s, relay), 2))
				}
			}
			fmt.Fprintf(w, " %s |\n", spread(d.series(c, s, lost), 0))
		}
	}
	fmt.Fprintf(w, "\n| load | figure | ours / peer | limit |\n|---|---|---|---|\n")
	ok := true
	for _, c := range d.cases() {
		cost := 1.0 / 15
		if c.Media == "srtp" {
			cost = 1.0 / 5
		}
		for _, f := range []struct {
			name  string
			of    []float64
			at    int // digits
			limit float64
		}{
			{"userspace: daemon's threads", ratios(d.series(c, subjectUser, relay), d.series(c, subjectPeer, relay)), 2, 0.6},
			{"kernel: machine above reflect", ratios(d.above(c, subjectKernel, machine), d.above(c, subjectPeer, machine)), 3, cost},
			{"kernel: threads above reflect", ratios(d.above(c, subjectKernel, threads), d.above(c, subjectPeer, threads)), 3, cost},
			{"kernel: p50 above reflect", ratios(d.above(c, subjectKernel, p50), d.above(c, subjectPeer, p50)), 3, 0.25},
			{"kernel: p99 above reflect", ratios(d.above(c, subjectKernel, p99), d.above(c, subjectPeer, p99)), 3, 0.1},
			{"kernel: lost packets", d.series(c, subjectKernel, lost), 0, 0},
		} {
			limit := fmt.Sprintf("%.*f", max(f.at, 1), f.limit)
			if len(f.of) == 0 || median(f.of) > f.limit {
				limit += " EXCEEDED"
				ok = false
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", c, f.name, spread(f.of, f.at), limit)
		}
		if v := d.series(c, subjectKernel, share); len(v) > 0 {
			fmt.Fprintf(w, "| %s | kernel: share of all packets, warm-up included, in percent | %s | |\n", c, spread(v, 0))
		}
	}
	return ok
}
