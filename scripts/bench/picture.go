package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

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
			longest = max(longest, d.drawn(c, k.subject))
		}
	}
	y += 12
	for _, c := range d.cases() {
		text(left-8, y+2*bar-2, 11, "end", c.String())
		for _, k := range bars {
			v := d.drawn(c, k.subject)
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
			lowest, highest = min(lowest, mean(d.series(c, k.subject, whole(p50)))), max(highest, mean(d.series(c, k.subject, whole(p99))))
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
			half, most := mean(d.series(c, k.subject, whole(p50))), mean(d.series(c, k.subject, whole(p99)))
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

// drawn is the CPU time that is drawn; less than nothing is noise.
func (d *labData) drawn(c labCase, subject string) float64 {
	if v := d.pairs(c, subject, threads); len(v) > 0 {
		return max(median(v), 0)
	}
	return 0
}

// rounds is how often each load was measured.
func (d *labData) rounds() (n int) {
	for _, c := range d.cases() {
		for _, k := range bars {
			n = max(n, len(d.series(c, k.subject, lost)))
		}
	}
	return n
}
