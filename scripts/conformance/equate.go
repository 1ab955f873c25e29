package main

import (
	"regexp"
	"slices"
	"strings"
)

// An equation is a change that a rule may ask for: it brings two forms of the same meaning to one. The first answer is
// ours, the second the peer's; sent is the body of the message. It may replace sections, not change them.
type equation func(both *[2]answer, sent string)

var equations = map[string]equation{
	"connection-per-section": onEach(connectionPerSection),
	"session-attribute-down": onEach(sessionAttributesDown),
	"fmtp-parameters-sorted": onEach(fmtpSorted),
	"fmtp-as-sent":           fmtpAsSent,
	"codec-number-mapped":    codecNumberMapped,
	"any-order":              onEach(anyOrder),
	"formats-sorted":         onEach(formatsSorted),

	"address-that-is-sent-from": addressSentFrom,
}

// equate applies the rules that ask for it to both answers and tells which changed something.
func equate(rules []*rule, both *[2]answer, seq sequence, step int, ordered bool) (applied []string) {
	for _, r := range rules {
		change := equations[r.Apply]
		if change == nil || !r.concerns(seq, step) {
			continue
		}
		before := compare(0, both[0], both[1], ordered)
		if len(before) == 0 {
			return applied
		}
		change(both, seq.Steps[step].Body)
		// A change in form that both sides need alike explains nothing.
		if len(compare(0, both[0], both[1], ordered)) != len(before) {
			r.used++
			applied = append(applied, r.Name)
		}
	}
	return applied
}

func onEach(change func([]section) []section) equation {
	return func(both *[2]answer, _ string) {
		for i := range both {
			both[i].Sections = change(both[i].Sections)
		}
	}
}

// anyOrder forgets the order of the lines within a section.
func anyOrder(in []section) []section {
	out := slices.Clone(in)
	for i := range out {
		out[i].Lines = slices.Sorted(slices.Values(out[i].Lines))
	}
	return out
}

// formatsSorted forgets the order of the formats of a media line.
func formatsSorted(in []section) []section {
	out := slices.Clone(in)
	for i := range out {
		if len(out[i].Lines) == 0 || !strings.HasPrefix(out[i].Lines[0], "m=") {
			continue
		}
		words := strings.Fields(out[i].Lines[0])
		slices.Sort(words[min(3, len(words)):])
		out[i].Lines = slices.Clone(out[i].Lines)
		out[i].Lines[0] = strings.Join(words, " ")
	}
	return out
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

// fmtpAsSent takes our format line for the peer's where ours is what the other party sent, letter for letter.
func fmtpAsSent(both *[2]answer, sent string) {
	for i, ours := range both[0].Sections {
		peer := at(both[1].Sections, i)
		lines := slices.Clone(peer.Lines)
		for _, l := range ours.Lines {
			head, params, ok := strings.Cut(l, " ")
			if !ok || !strings.HasPrefix(head, "a=fmtp:") || !strings.Contains(sent, " "+params) {
				continue
			}
			if k := slices.IndexFunc(lines, func(p string) bool { return strings.HasPrefix(p, head+" ") }); k >= 0 {
				lines[k] = l
			}
		}
		if i < len(both[1].Sections) {
			both[1].Sections = slices.Clone(both[1].Sections)
			both[1].Sections[i].Lines = lines
		}
	}
}

var (
	ownFamily  = regexp.MustCompile(`^(.*)\.streams\.0\.family = (.*)$`)
	ownAddress = regexp.MustCompile(`^(.*)\.streams\.\d+\.(?:family|local address|local port) = (?:"|<)`)
)

// addressSentFrom leaves the local addresses of a media out of both replies where the peer tells one that cannot send to
// the endpoint, as it is of another family.
func addressSentFrom(both *[2]answer, _ string) {
	peer := at(both[1].Sections, 0).Lines
	unfit := map[string]bool{}
	for _, l := range peer {
		if m := ownFamily.FindStringSubmatch(l); m != nil {
			far := m[1] + ".streams.0.endpoint.family = "
			i := slices.IndexFunc(peer, func(l string) bool { return strings.HasPrefix(l, far) })
			unfit[m[1]] = i >= 0 && peer[i] != far+m[2]
		}
	}
	if len(unfit) == 0 {
		return
	}
	for k := range both {
		both[k].Sections = slices.Clone(both[k].Sections)
		reply := &both[k].Sections[0]
		reply.Lines = slices.DeleteFunc(slices.Clone(reply.Lines), func(l string) bool {
			m := ownAddress.FindStringSubmatch(l)
			return m != nil && unfit[m[1]]
		})
	}
}

var rtpmap = regexp.MustCompile(`(?m)^a=rtpmap:(\d+) ([^\s]+)`)

// codecNumberMapped leaves out of ours the codecs that the peer has not, if the message names them under another payload
// number, and out of the peer's those numbers.
func codecNumberMapped(both *[2]answer, sent string) {
	for i, ours := range both[0].Sections {
		peer := at(both[1].Sections, i)
		if len(ours.Lines) == 0 || len(peer.Lines) == 0 || !strings.HasPrefix(ours.Lines[0], "m=") {
			continue
		}
		theirs := strings.Fields(peer.Lines[0])
		for _, m := range rtpmap.FindAllStringSubmatch(strings.Join(ours.Lines, "\n"), -1) {
			number, codec := m[1], m[2]
			was, ok := renumbered(sent, number, codec)
			if slices.Contains(theirs, number) || !ok {
				continue
			}
			for k, n := range [2]string{number, was} {
				both[k].Sections = slices.Clone(both[k].Sections)
				both[k].Sections[i].Lines = withoutCodec(both[k].Sections[i].Lines, n)
			}
		}
	}
}

// renumbered tells under which number a body names the codec, if not under this one.
func renumbered(body, number, codec string) (was string, ok bool) {
	for _, m := range rtpmap.FindAllStringSubmatch(body, -1) {
		if strings.EqualFold(m[2], codec) {
			if m[1] == number {
				return "", false
			}
			was, ok = m[1], true
		}
	}
	return was, ok
}

func withoutCodec(lines []string, number string) []string {
	var out []string
	for i, l := range lines {
		if i == 0 {
			words := strings.Fields(l)
			l = strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == number }), " ")
		}
		if attribute, _, _ := strings.Cut(l, " "); strings.HasSuffix(attribute, ":"+number) {
			continue // a=rtpmap, a=fmtp, a=rtcp-fb
		}
		out = append(out, l)
	}
	return out
}
