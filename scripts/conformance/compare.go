package main

import (
	"slices"
	"strings"
)

// answer is one daemon's reply, normalised.
type answer struct {
	Sections []section // "reply" first, then the SDP's
}

// verdict is what the reply says about success.
func (a answer) verdict() []string {
	if len(a.Sections) == 0 {
		return nil
	}
	var out []string
	for _, l := range a.Sections[0].Lines {
		if strings.HasPrefix(l, "result = ") || strings.HasPrefix(l, "error-reason = ") || l == "silence" {
			out = append(out, l)
		}
	}
	return out
}

// difference is a line that one side has and the other lacks, or has elsewhere.
type difference struct {
	Step    int // index in the sequence
	Section string
	Ours    bool // our line; else the peer's
	Line    string
	Reason  string // the rule that explains it, empty if none does
}

// compare tells how two answers differ. With ordered, order counts inside a section. Where one side refuses and the other
// does not, only that is told.
func compare(step int, ours, peer answer, ordered bool) []difference {
	var out []difference
	if a, b := ours.verdict(), peer.verdict(); !slices.Equal(a, b) {
		ours, peer = answer{[]section{{"reply", a}}}, answer{[]section{{"reply", b}}}
	}
	for i := range max(len(ours.Sections), len(peer.Sections)) {
		a, b := at(ours.Sections, i), at(peer.Sections, i)
		name := a.Name
		if name == "" {
			name = b.Name
		}
		linesA, linesB := a.Lines, b.Lines
		if !ordered || name == "reply" {
			linesA, linesB = slices.Sorted(slices.Values(linesA)), slices.Sorted(slices.Values(linesB))
		}
		onlyA, onlyB := diffLines(linesA, linesB)
		for _, l := range onlyB {
			out = append(out, difference{Step: step, Section: name, Line: l})
		}
		for _, l := range onlyA {
			out = append(out, difference{Step: step, Section: name, Ours: true, Line: l})
		}
	}
	return out
}

func at(s []section, i int) section {
	if i < len(s) {
		return s[i]
	}
	return section{}
}

// diffLines is what is left of a and of b beside their longest common subsequence.
func diffLines(a, b []string) (onlyA, onlyB []string) {
	longest := make([][]int, len(a)+1) // [i][j]: of a[i:] and b[j:]
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			onlyA = append(onlyA, a[i])
			i++
		default:
			onlyB = append(onlyB, b[j])
			j++
		}
	}
	return append(onlyA, a[i:]...), append(onlyB, b[j:]...)
}

// String is the difference as a line of a diff: "-" the peer's, "+" ours.
func (d difference) String() string {
	sign := "-"
	if d.Ours {
		sign = "+"
	}
	text := sign + " [" + d.Section + "] " + d.Line
	if d.Reason != "" {
		text += "   (" + d.Reason + ")"
	}
	return strings.TrimRight(text, " ")
}
