// Conformance starts the reference and our daemon side by side on loopback, sends both the same sequences of NG
// messages and compares the replies: their keys, and the rewritten SDP bodies section by section.
//
//	go run ./scripts/conformance [--peer PATH] [--ours PATH] [--only REGEXP] [--random N --seed S] [--self] [--show]
//
// A sequence comes from cases/*.yaml (case.go), its SDP bodies from sdp/*.sdp, or both from the generator (generate.go).
// What is random is replaced before comparing (normalise.go). What may differ is written in rules.yaml with its reason
// (rules.go). Against a peer of version 10 a section is a set of lines, against a newer one a list (compare.go).
package main
