package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// again draws or tells what runs of the lab have recorded, and writes it as one where that is asked for. Each load and relay
// has its rounds in the order of the files.
func (o options) again(w io.Writer) error {
	var all labData
	rounds := map[string]int{}
	for from := range strings.SplitSeq(o.from, ",") {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		var d labData
		if err := json.Unmarshal(b, &d); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		d.BusyBefore = max(d.BusyBefore, all.BusyBefore)
		runs := all.Runs
		for _, r := range d.Runs {
			key := fmt.Sprint(r.Rate, r.Burst, r.Media, r.Subject)
			rounds[key]++
			r.Round = rounds[key]
			runs = append(runs, r)
		}
		all, all.Runs = d, runs
	}
	if o.json != "" {
		if err := all.write(o.json); err != nil {
			return err
		}
	}
	if o.picture == "" {
		all.table(w)
		return nil
	}
	return draw(&all, o.picture)
}

// bars are the relays shown, and their colours.
var bars = []struct{ subject, label, colour string }{
	{subjectPeer, "rtpengine, userspace", "#9aa5b1"},
	{subjectUser, "rtpsidecar, userspace", "#7cb5ec"},
	{subjectKernel, "rtpsidecar, kernel", "#1565c0"},
}

const (
	pictureWidth = 860
	left, bar    = 150, 13 // where bars begin; their height with the gap
	panel        = 560     // length of the longest bar
)

// draw makes the SVG: what a packet costs above reflection, then latency, by load and relay.
func draw(d *labData, file string) error {
	var b strings.Builder
	y := 30
	text := func(x, y int, size int, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="%d" text-anchor="%s">%s</text>`+"\n", x, y, size, anchor, s)
	}
	for i, k := range bars {
		x := left + i*220
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="10" fill="%s"/>`+"\n", x, y-9, k.colour)
		text(x+18, y, 12, "start", k.label)
	}
	y += 30
	text(left, y, 14, "start", "CPU time for a packet, in all threads that see it, above what reflecting it costs, in µs")
	longest := 0.0
	for _, c := range d.cases() {
		for _, k := range bars {
			longest = max(longest, middle(d.above(c, k.subject, threads)))
		}
	}
	y += 12
	for _, c := range d.cases() {
		text(left-8, y+2*bar-2, 11, "end", c.String())
		for _, k := range bars {
			v := middle(d.above(c, k.subject, threads))
			if len(d.series(c, k.subject, lost)) == 0 { // not measured
				y += bar
				continue
			}
			width := int(panel * v / max(longest, 1e-9))
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left, y, max(width, 1), bar-2, k.colour)
			text(left+max(width, 1)+5, y+bar-3, 10, "start", fmt.Sprintf("%.2f", v))
			y += bar
		}
		y += 8
	}
	y += 24
	text(left, y, 14, "start", "Latency through the relay, p50 (full) and p99 (pale), in µs, logarithmic")
	y += 12
	lowest, highest := math.Inf(1), 1.0
	for _, c := range d.cases() {
		for _, k := range bars {
			if len(d.series(c, k.subject, lost)) == 0 {
				continue
			}
			lowest, highest = min(lowest, middle(d.series(c, k.subject, whole(p50)))), max(highest, middle(d.series(c, k.subject, whole(p99))))
		}
	}
	lowest = max(lowest/2, 0.1)
	scale := func(v float64) int {
		return max(int(panel*math.Log(max(v, lowest)/lowest)/math.Log(highest/lowest)), 1)
	}
	for _, c := range d.cases() {
		text(left-8, y+2*bar-2, 11, "end", c.String())
		for _, k := range bars {
			if len(d.series(c, k.subject, lost)) == 0 {
				y += bar
				continue
			}
			half, most := middle(d.series(c, k.subject, whole(p50))), middle(d.series(c, k.subject, whole(p99)))
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s" opacity="0.35"/>`+"\n", left, y, scale(most), bar-2, k.colour)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left, y, scale(half), bar-2, k.colour)
			text(left+scale(most)+5, y+bar-3, 10, "start", fmt.Sprintf("%.0f, %.0f", half, most))
			y += bar
		}
		y += 8
	}
	y += 18
	text(left, y, 10, "start", fmt.Sprintf("rtpengine %s, Linux %s, %d CPUs, %s; medians of %d rounds", d.Peer, d.Kernel, d.CPUs, d.Time, d.rounds()))
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" fill="#222">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n%s</svg>\n", pictureWidth, y+16, b.String())
	return os.WriteFile(file, []byte(svg), 0o644)
}

// middle is the median; 0 of none.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return median(v)
}

func (d *labData) rounds() (n int) {
	for _, r := range d.Runs {
		n = max(n, r.Round)
	}
	return n
}
