package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
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

// series is one value of a relay under a load, by run.
func (d *labData) series(c labCase, subject string, value func(*labRun) float64) (v []float64) {
	for i := range d.Runs {
		if r := &d.Runs[i]; r.Subject == subject && c == (labCase{r.Rate, r.Burst, r.Media}) {
			v = append(v, value(r))
		}
	}
	return v
}

// pairs are the differences between relay and reflection, of the pairs of slices of all runs.
func (d *labData) pairs(c labCase, subject string, value func(*labCost) float64) (v []float64) {
	d.series(c, subject, func(r *labRun) float64 {
		for i := range r.Above {
			v = append(v, value(&r.Above[i]))
		}
		return 0
	})
	return v
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

// whole is a latency of a run with the relay, later is what that is above reflection.
func whole(value func(*labCost) float64) func(*labRun) float64 {
	return func(r *labRun) float64 { return value(&r.Relay) }
}

func later(value func(*labCost) float64) func(*labRun) float64 {
	return func(r *labRun) float64 { return value(&r.Relay) - value(&r.Reflect) }
}

// estimate is a value and what its sample leaves uncertain, one standard error.
type estimate struct{ value, err float64 }

// pooled is the median. Its error is that of a normal sample: 1.2533, the root of pi/2, times the mean's.
func pooled(v []float64) estimate {
	var square float64
	for _, x := range v {
		square += (x - mean(v)) * (x - mean(v))
	}
	n := float64(len(v))
	return estimate{median(v), math.Sqrt(math.Pi/2*square/(n-1)) / math.Sqrt(n)}
}

// over is a's share of b. Nothing is a share of nothing.
func (a estimate) over(b estimate) estimate {
	if b.value <= 0 {
		return estimate{math.NaN(), math.NaN()}
	}
	q := a.value / b.value
	return estimate{q, math.Hypot(a.err/b.value, q*b.err/b.value)}
}

func (a estimate) text(digits int) string {
	return fmt.Sprintf("%.*f +- %.*f", digits, a.value, digits, a.err)
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

// labels are the relays' names in the table.
var labels = map[string]string{subjectReflect: "reflect", subjectPeer: "reference", subjectUser: "userspace", subjectKernel: "kernel"}

// unlimited is no limit.
const unlimited = -1

// labTable is the table in the making: rows are figures, columns the loads of one kind of media.
type labTable struct {
	io.Writer
	data             *labData
	columns          []labCase // without media
	judged, exceeded bool
}

// table writes what was measured, all runs together, with the limits. It tells whether all hold of those that were measured.
func (d *labData) table(w io.Writer) bool {
	t := labTable{Writer: w, data: d}
	var media []string
	least, most := math.MaxInt, 0
	for _, c := range d.cases() {
		if !slices.Contains(media, c.Media) {
			media = append(media, c.Media)
		}
		for _, subject := range append([]string{subjectReflect}, subjects...) {
			if n := len(d.pairs(c, subject, machine)); n > 0 {
				least, most = min(least, n), max(most, n)
			}
		}
		if c.Media = ""; !slices.Contains(t.columns, c) {
			t.columns = append(t.columns, c)
		}
	}
	number := fmt.Sprint(most)
	if least < most {
		number = fmt.Sprintf("%d to %d", least, most)
	}
	fmt.Fprintf(w, "rtpengine %s, Linux %s, %s, %d CPUs; medians of %s pairs of slices of %s +- one standard error\n\n| |",
		d.Peer, d.Kernel, d.Go, d.CPUs, number, d.Slice)
	for _, c := range t.columns {
		count := strings.TrimRight(c.Burst, "nmus")
		fmt.Fprintf(w, " %dk/s, %s %s |", c.Rate/1000, count, c.Burst[len(count):])
	}
	fmt.Fprintf(w, " limit |\n|%s\n", strings.Repeat("---|", len(t.columns)+2))
	for _, m := range media {
		t.costs(m)
		t.ratios(m)
	}
	return t.judged && !t.exceeded
}

// row is a figure of the loads that cell has it of; value is what the limit is for.
func (t *labTable) row(media, name string, limit float64, cell func(labCase) (text string, value float64)) {
	line, any := "| "+name+" |", false
	for _, c := range t.columns {
		c.Media = media
		text, value := cell(c)
		switch {
		case text == "":
			text = "-"
		case limit != unlimited:
			t.judged = true
			if !(value <= limit) { // not a number holds no limit
				text += " EXCEEDED"
				t.exceeded = true
			}
			fallthrough
		default:
			any = true
		}
		line += " " + text + " |"
	}
	if any && limit != unlimited {
		line += fmt.Sprintf(" %.2g", limit)
	}
	if any {
		fmt.Fprintln(t, line+" |")
	}
}

// kind is media as the table has it.
func kind(media string) string {
	if media == "srtp" {
		return "SRTP"
	}
	return media
}

// costs are what each relay takes by itself.
func (t *labTable) costs(media string) {
	for _, subject := range []string{subjectReflect, subjectPeer, subjectUser, subjectKernel} {
		name := labels[subject] + ", " + kind(media) + ": "
		for _, f := range []struct {
			name string
			of   func(*labCost) float64
		}{{"machine", machine}, {"threads", threads}} {
			t.row(media, name+f.name+" above reflect, us", unlimited, func(c labCase) (string, float64) {
				v := t.data.pairs(c, subject, f.of)
				if len(v) == 0 {
					return "", 0
				}
				return pooled(v).text(2), 0
			})
		}
	}
}

// ratios are ours to the reference's, and what else has a limit.
func (t *labTable) ratios(media string) {
	cost := 1.0 / 15
	if media == "srtp" {
		cost = 1.0 / 5
	}
	kernel := "kernel, " + kind(media) + ": "
	both := func(f func(c labCase) (ours, peer []float64), cell func(ours, peer []float64) (string, float64)) func(labCase) (string, float64) {
		return func(c labCase) (string, float64) {
			ours, peer := f(c)
			if len(ours) == 0 || len(peer) == 0 {
				return "", 0
			}
			return cell(ours, peer)
		}
	}
	for _, f := range []struct {
		name string
		of   func(*labCost) float64
	}{{"machine", machine}, {"threads", threads}} {
		t.row(media, "**"+kernel+f.name+", ours / reference**", cost, both(func(c labCase) (ours, peer []float64) {
			return t.data.pairs(c, subjectKernel, f.of), t.data.pairs(c, subjectPeer, f.of)
		}, func(ours, peer []float64) (string, float64) {
			q := pooled(ours).over(pooled(peer))
			return q.text(3), q.value
		}))
	}
	for _, f := range []struct {
		name  string
		of    func(*labCost) float64
		limit float64
	}{{"p50", p50, 0.25}, {"p99", p99, 0.1}} {
		t.row(media, kernel+f.name+" above reflect, ours / reference", f.limit, both(func(c labCase) (ours, peer []float64) {
			return t.data.series(c, subjectKernel, later(f.of)), t.data.series(c, subjectPeer, later(f.of))
		}, func(ours, peer []float64) (string, float64) {
			q := estimate{value: mean(ours)}.over(estimate{value: mean(peer)}).value
			return fmt.Sprintf("%.3f", q), q
		}))
	}
	for _, f := range []struct {
		name  string
		of    func(*labRun) float64
		limit float64
	}{{"packets lost at worst", lost, 0}, {"forwarded in the kernel at worst, %, warm-up included", share, unlimited}} {
		t.row(media, kernel+f.name, f.limit, func(c labCase) (string, float64) {
			v := t.data.series(c, subjectKernel, f.of)
			if len(v) == 0 {
				return "", 0
			}
			worst := slices.Max(v)
			if f.limit == unlimited {
				worst = slices.Min(v)
			}
			return fmt.Sprintf("%.0f", worst), worst
		})
	}
	t.row(media, "userspace, "+kind(media)+": CPU time of the daemon, ours / reference", 0.6, both(func(c labCase) (ours, peer []float64) {
		return t.data.series(c, subjectUser, relay), t.data.series(c, subjectPeer, relay)
	}, func(ours, peer []float64) (string, float64) {
		var q []float64
		for i := range min(len(ours), len(peer)) {
			q = append(q, ours[i]/peer[i]) // of the same round
		}
		return fmt.Sprintf("%.2f [%.2f-%.2f]", mean(q), slices.Min(q), slices.Max(q)), mean(q)
	}))
}
