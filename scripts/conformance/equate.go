package main

import (
	"regexp"
	"slices"
	"strings"
)

// equations are the changes a rule may ask for: each brings two forms of the same meaning to one.
var equations = map[string]func([]section) []section{
	"connection-per-section": connectionPerSection,
	"session-attribute-down": sessionAttributesDown,
	"fmtp-parameters-sorted": fmtpSorted,
}

// equate applies the rules that ask for it to both answers and tells which changed something.
func equate(rules []*rule, both *[2]answer) (applied []string) {
	for _, r := range rules {
		change := equations[r.Apply]
		if change == nil {
			continue
		}
		different := [2][]section{change(both[0].Sections), change(both[1].Sections)}
		// Only where the two sides differ in the form there is something to explain.
		if before, after := compare(0, both[0], both[1], false), compare(0, answer{different[0]}, answer{different[1]}, false); len(before) != len(after) {
			r.used++
			applied = append(applied, r.Name)
		}
		both[0].Sections, both[1].Sections = different[0], different[1]
	}
	return applied
}

// connectionPerSection gives every section the session's c= line where it has none of its own, and takes the session's
// away: RFC 8866 section 5.7 makes the two the same.
func connectionPerSection(in []section) []section {
	return downInto(in, func(l string) bool { return strings.HasPrefix(l, "c=") }, true)
}

// sessionAttributesDown does the same with attributes that hold for every section.
func sessionAttributesDown(in []section) []section {
	return downInto(in, func(l string) bool { return l == "a=extmap-allow-mixed" }, false)
}

func downInto(in []section, moves func(string) bool, unlessOwn bool) []section {
	out := slices.Clone(in)
	session := slices.IndexFunc(in, func(s section) bool { return s.Name == "session" })
	if session < 0 || session == len(in)-1 {
		return out
	}
	var moved, kept []string
	for _, l := range in[session].Lines {
		if moves(l) {
			moved = append(moved, l)
		} else {
			kept = append(kept, l)
		}
	}
	out[session].Lines = kept
	for i := session + 1; i < len(out); i++ {
		if unlessOwn && slices.ContainsFunc(out[i].Lines, moves) {
			continue
		}
		lines := slices.Clone(out[i].Lines)
		for _, l := range moved {
			if !slices.Contains(lines, l) {
				lines = append(lines, l)
			}
		}
		out[i].Lines = lines
	}
	return out
}

var separators = regexp.MustCompile(`\s*;\s*`)

// fmtpSorted orders the parameters of format lines, RFC 4855 section 3: a set of name=value, separated by semicolons.
func fmtpSorted(in []section) []section {
	out := slices.Clone(in)
	for i := range out {
		out[i].Lines = slices.Clone(out[i].Lines)
		for k, l := range out[i].Lines {
			if head, params, ok := strings.Cut(l, " "); ok && strings.HasPrefix(head, "a=fmtp:") {
				words := separators.Split(strings.Trim(params, "; "), -1)
				slices.Sort(words)
				out[i].Lines[k] = head + " " + strings.Join(words, ";")
			}
		}
	}
	return out
}
