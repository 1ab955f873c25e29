package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// rule names one thing that differs on purpose. It explains the differences it matches: all given conditions hold.
type rule struct {
	Name   string
	Reason string
	Peer   string // major version of the peer it is about: "10", "26"; empty: any
	Side   string // whose line: "ours", "peer"; empty: either

	Section pattern // "reply", "session", "audio 1"
	Line    pattern
	Without pattern  // the other side's section has no line like it
	With    pattern  // the other side's section has one
	Step    patterns // each has a line "key=value" of this step's message, for example "command=offer", or "sdp=m=audio 0 RTP/AVP 0"
	Earlier patterns // the same of one earlier step
	Body    pattern  // a line of this step's SDP
	Name_   pattern  `yaml:"sequence"` // the sequence's name

	// Apply names a change made to both answers before they are compared (equate.go), for forms that mean the same. Such a
	// rule has conditions on the messages only.
	Apply string

	Generated bool // is about generated sequences alone, and need explain nothing in a run without them
	Whole     bool // explains all differences of the step
	Rest      bool // and those of all later steps: the two calls are in different states from here on

	used int
}

// pattern is a regular expression in a file; the zero value is none and always holds.
type pattern struct{ *regexp.Regexp }

// UnmarshalYAML compiles the expression.
func (p *pattern) UnmarshalYAML(n *yaml.Node) (err error) {
	p.Regexp, err = regexp.Compile(n.Value)
	return err
}

func (p pattern) holds(lines ...string) bool {
	if p.Regexp == nil {
		return true
	}
	for _, l := range lines {
		if p.MatchString(l) {
			return true
		}
	}
	return false
}

// patterns are one or several expressions in a file.
type patterns []pattern

// UnmarshalYAML takes a string or a list of strings.
func (ps *patterns) UnmarshalYAML(n *yaml.Node) error {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	for _, n := range nodes {
		var p pattern
		if err := p.UnmarshalYAML(n); err != nil {
			return err
		}
		*ps = append(*ps, p)
	}
	return nil
}

func (ps patterns) hold(s step) bool {
	lines := messageLines(s)
	for line := range strings.SplitSeq(strings.ReplaceAll(s.Body, "\r", ""), "\n") {
		lines = append(lines, "sdp="+line)
	}
	for _, p := range ps {
		if !p.holds(lines...) {
			return false
		}
	}
	return true
}

// loadRules reads rules.yaml and keeps those for the peer's major version.
func loadRules(major string) ([]*rule, error) {
	b, err := data.ReadFile("rules.yaml")
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var all []*rule
	if err := dec.Decode(&all); err != nil {
		return nil, fmt.Errorf("rules.yaml: %w", err)
	}
	var kept []*rule
	var errs []error
	seen := map[string]bool{}
	for _, r := range all {
		if r.Name == "" || r.Reason == "" || seen[r.Name] {
			errs = append(errs, fmt.Errorf("rules.yaml: rule %q: a name of its own and a reason are needed", r.Name))
		}
		if (r.Line.Regexp == nil) == (r.Apply == "") {
			errs = append(errs, fmt.Errorf("rules.yaml: rule %s: either line or apply is needed", r.Name))
		}
		if r.Apply != "" && equations[r.Apply] == nil {
			errs = append(errs, fmt.Errorf("rules.yaml: rule %s: cannot apply %q", r.Name, r.Apply))
		}
		seen[r.Name] = true
		if r.Peer == "" || r.Peer == major {
			kept = append(kept, r)
		}
	}
	return kept, errors.Join(errs...)
}

// explain gives each difference of one sequence the reason of the first rule that matches it.
func explain(rules []*rule, seq sequence, replies [][2]answer, diffs []difference) {
	for i := range diffs {
		d := &diffs[i]
		for _, r := range rules {
			if d.Reason == "" && r.matches(seq, replies, *d) {
				r.used++
				d.Reason = r.Name
				if r.Whole || r.Rest {
					r.spread(diffs, d.Step)
				}
			}
		}
	}
}

func (r *rule) spread(diffs []difference, step int) {
	for i := range diffs {
		if diffs[i].Reason == "" && (diffs[i].Step == step || r.Rest && diffs[i].Step > step) {
			diffs[i].Reason = r.Name
		}
	}
}

func (r *rule) matches(seq sequence, replies [][2]answer, d difference) bool {
	if r.Apply != "" || r.Side == "ours" && !d.Ours || r.Side == "peer" && d.Ours {
		return false
	}
	if !r.Section.holds(d.Section) || !r.Line.holds(d.Line) || !r.concerns(seq, d.Step) {
		return false
	}
	if r.With.Regexp == nil && r.Without.Regexp == nil {
		return true
	}
	var lines [2][]string // ours, the peer's
	for i, a := range replies[d.Step] {
		for _, s := range a.Sections {
			if s.Name == d.Section {
				lines[i] = s.Lines
			}
		}
	}
	other := lines[0]
	if d.Ours {
		other = lines[1]
	}
	return r.With.holds(slices.Concat(lines[0], lines[1])...) && (r.Without.Regexp == nil || !r.Without.holds(other...))
}

// concerns tells whether the conditions on the messages hold for a step.
func (r *rule) concerns(seq sequence, step int) bool {
	s := seq.Steps[step]
	return (seq.Generated || !r.Generated) && r.Name_.holds(seq.Name) && r.Step.hold(s) &&
		r.Body.holds(strings.Split(strings.ReplaceAll(s.Body, "\r", ""), "\n")...) &&
		(r.Earlier == nil || slices.ContainsFunc(seq.Steps[:step], r.Earlier.hold))
}

// messageLines is a step's dictionary as "key=value", a line for each member of a list; without the SDP.
func messageLines(s step) []string {
	var out []string
	for _, e := range s.Keys {
		if e.Key == "sdp" {
			continue
		}
		list, ok := e.Value.([]any)
		if !ok {
			list = []any{e.Value}
		}
		for _, v := range list {
			out = append(out, e.Key+"="+text(v))
		}
	}
	return append(out, "raw="+s.Raw)
}

// unused names the rules that explained nothing; those for generated sequences only count where there were some.
func unused(rules []*rule, generated bool) []string {
	var out []string
	for _, r := range rules {
		if r.used == 0 && (generated || !r.Generated) {
			out = append(out, r.Name)
		}
	}
	return out
}
