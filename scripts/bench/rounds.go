package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
)

// roundData is what is recorded of all loads but the lab's.
type roundData struct {
	Peer     string    `json:"peer"`
	Go       string    `json:"go"`
	CPUs     int       `json:"cpus"`
	Time     string    `json:"time"`
	Rounds   int       `json:"rounds"`
	Calls    int       `json:"calls"`
	Setups   int       `json:"setups"`
	Parallel int       `json:"parallel"`
	Burst    string    `json:"burst"`
	Figures  []*figure `json:"figures"`
}

// again tells what is recorded, of the lab or of the other loads.
func (o options) again(w io.Writer, files []string) (ok bool, err error) {
	all := new(roundData)
	for _, file := range files {
		d := new(roundData)
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, d)
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
		if err := all.join(d); err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
	}
	if len(all.Figures) > 0 {
		return o.tell(w, all)
	}
	d, err := recorded(files)
	if err != nil {
		return false, err
	}
	return o.report(w, d)
}

// join adds the rounds of another run to those of the same figures.
func (d *roundData) join(other *roundData) error {
	if len(d.Figures) == 0 {
		*d = *other
		return nil
	}
	if d.Peer != other.Peer || d.CPUs != other.CPUs || d.Calls != other.Calls || d.Setups != other.Setups || d.Parallel != other.Parallel || d.Burst != other.Burst {
		return fmt.Errorf("another reference, machine or load than before")
	}
	for _, f := range other.Figures {
		known := false
		for _, g := range d.Figures {
			if known = g.Name == f.Name; known {
				g.Ours, g.Peer = append(g.Ours, f.Ours...), append(g.Peer, f.Peer...)
				d.Rounds = max(d.Rounds, len(g.Ours))
				break
			}
		}
		if !known {
			d.Figures = append(d.Figures, f)
		}
	}
	return nil
}

// tell writes and records the rounds.
func (o options) tell(w io.Writer, d *roundData) (ok bool, err error) {
	ok = d.table(w)
	if o.json == "" {
		return ok, nil
	}
	return ok, record(o.json, d)
}

// record writes data as JSON.
func record(file string, data any) error {
	b, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// table writes the figures and tells whether all limits hold.
func (d *roundData) table(w io.Writer) bool {
	fmt.Fprintf(w, "peer rtpengine %s, %s, %d CPUs, %d rounds; medians [smallest-largest]\n\n", d.Peer, d.Go, d.CPUs, d.Rounds)
	fmt.Fprintf(w, "| %-36s | %-22s | %-22s | %-18s | limit |\n|---|---|---|---|---|\n", "figure", "ours", "peer", "ours / peer")
	ok := true
	for _, f := range d.Figures {
		if len(f.Ours) == 0 {
			continue
		}
		var ratios []float64
		for i := range f.Ours {
			if f.Peer[i] > 0 {
				ratios = append(ratios, f.Ours[i]/f.Peer[i])
			}
		}
		limit, held := "", true
		switch {
		case f.RatioLimit > 0:
			limit = fmt.Sprintf("ratio %g", f.RatioLimit)
			held = len(ratios) > 0 && median(ratios) <= f.RatioLimit
		case f.Limit == math.SmallestNonzeroFloat64:
			limit, held = "0", median(f.Ours) == 0
		case f.Limit > 0:
			limit, held = fmt.Sprintf("%g %s", f.Limit, f.Unit), median(f.Ours) <= f.Limit
		}
		if !held {
			limit += " EXCEEDED"
			ok = false
		}
		digits := max(f.Digits, 1)
		fmt.Fprintf(w, "| %-36s | %-22s | %-22s | %-18s | %s |\n", f.Name, spread(f.Ours, digits)+" "+f.Unit, spread(f.Peer, digits)+" "+f.Unit, spread(ratios, 2), limit)
	}
	return ok
}
