package sdpdiff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"rtpsidecar/cmd/sidecar-lab/flaglint"
)

// DaemonDefault is the cause of a change that no flag asked for.
const DaemonDefault = "daemon default"

// Change is one difference between two bodies and why it is there.
type Change struct {
	Section string `json:"section"`
	What    string `json:"what"`  // "transport protocol", "ICE candidates"
	Op      string `json:"op"`    // added, removed, changed
	From    string `json:"from"`  // short form of what was, "" when added
	To      string `json:"to"`    // short form of what is
	Cause   string `json:"cause"` // the flag as it was written, or DaemonDefault
	Why     string `json:"why"`
	RFC     string `json:"rfc"` // where the standards say it
}

// Headline is what changed, without the reason.
func (c Change) Headline() string {
	switch {
	case c.From != "" && c.To != "":
		return fmt.Sprintf("%s %s -> %s", c.What, c.From, c.To)
	case c.From+c.To != "":
		return fmt.Sprintf("%s %s: %s", c.What, c.Op, c.From+c.To)
	}
	return c.What + " " + c.Op
}

// String is the change as one line.
func (c Change) String() string {
	s := fmt.Sprintf("%s: %s; %s: %s", c.Section, c.Headline(), c.Cause, c.Why)
	if c.RFC != "" {
		s += " (" + c.RFC + ")"
	}
	return s
}

// Explain lists what a daemon changed in a body, with the flag behind each change: the one of the request that has this
// effect by the rules of the protocol. The daemon is not asked; where no flag of the request has the effect, the change is
// said to be the daemon's own. command is offer or answer, flags the string as it was written.
func Explain(command, flags, before, after string) []Change {
	words, _ := flaglint.Split(flags)
	effects, _ := flaglint.Effects(words)
	x := explainer{command: command, effects: flaglint.Explicit(effects)}
	for _, p := range match(sections(before), sections(after)) {
		x.section(p[0], p[1])
	}
	return x.changes
}

// explainer is the state of one Explain.
type explainer struct {
	command string
	effects []flaglint.Effect
	changes []Change
	kind    string // of the section at work
	name    string
	now     []string // its lines after the change
}

func (x *explainer) section(before, after *section) {
	switch {
	case after == nil:
		x.kind, x.name, x.now = before.kind, before.name, nil
		x.add("section", "removed", before.lines[0], "")
		return
	case before == nil:
		x.kind, x.name, x.now = after.kind, after.name, after.lines
		x.add("section", "added", "", after.lines[0])
		return
	}
	x.kind, x.name, x.now = after.kind, after.name, after.lines
	gone, added := group(subtract(before.lines, after.lines)), group(subtract(after.lines, before.lines))
	for _, topic := range topics(before.lines, after.lines) {
		old, now := gone[topic], added[topic]
		switch {
		case len(old)+len(now) == 0:
		case topic == "m=":
			x.mediaLine(old, now)
		case topic == "o=":
			x.origin(old, now)
		case len(old) == 0:
			x.add(topic, "added", "", short(topic, now))
		case len(now) == 0:
			x.add(topic, "removed", short(topic, old), "")
		default:
			x.add(topic, "changed", short(topic, old), short(topic, now))
		}
	}
}

// topic is what one change is about: all lines of one kind, all lines of one payload type.
func topic(line string) string {
	k := key(line)
	name, pt, ok := strings.Cut(k, ":")
	if ok {
		return "codec " + pt
	}
	switch name {
	case "ice-ufrag", "ice-pwd":
		return "ICE credentials"
	case "ssrc", "ssrc-group":
		return "ssrc"
	case "extmap", "extmap-allow-mixed":
		return "extmap"
	}
	return name
}

func topics(lists ...[]string) (out []string) {
	for _, list := range lists {
		for _, line := range list {
			if t := topic(line); !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

func group(lines []string) map[string][]string {
	g := map[string][]string{}
	for _, line := range lines {
		g[topic(line)] = append(g[topic(line)], line)
	}
	return g
}

// short is a value for one line of text: the value itself, or how many there are. Keys and passwords are left out.
func short(topic string, lines []string) string {
	switch topic {
	case "crypto":
		var suites []string
		for _, l := range lines {
			if f := strings.Fields(l); len(f) > 1 {
				suites = append(suites, f[1])
			}
		}
		return clip(strings.Join(suites, " "))
	case "ICE credentials", "fingerprint", "tls-id":
		return ""
	}
	if strings.HasPrefix(topic, "codec ") {
		for _, l := range lines {
			if v, ok := strings.CutPrefix(l, "a=rtpmap:"); ok {
				_, name, _ := strings.Cut(v, " ")
				return name
			}
		}
	}
	if len(lines) > 1 {
		return fmt.Sprintf("%d lines", len(lines))
	}
	_, value, _ := strings.Cut(lines[0], ":")
	if !strings.HasPrefix(lines[0], "a=") {
		value = lines[0][min(2, len(lines[0])):]
	}
	if topic == "direction" {
		value = lines[0][2:]
	}
	return clip(value)
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// mediaLine tells the changes inside an m= line apart.
func (x *explainer) mediaLine(old, now []string) {
	if len(old) != 1 || len(now) != 1 {
		return
	}
	a, b := strings.Fields(old[0]), strings.Fields(now[0])
	if len(a) < 4 || len(b) < 4 {
		return
	}
	if a[1] != b[1] {
		topic := "port"
		if b[1] == "0" {
			topic = "port 0"
		}
		x.add(topic, "changed", a[1], b[1])
	}
	if a[2] != b[2] {
		x.add("protocol", "changed", a[2], b[2])
	}
	if fa, fb := strings.Join(a[3:], " "), strings.Join(b[3:], " "); fa != fb {
		x.add("formats", "changed", fa, fb)
	}
}

// origin tells the changes inside an o= line apart.
func (x *explainer) origin(old, now []string) {
	if len(old) != 1 || len(now) != 1 {
		return
	}
	a, b := strings.Fields(old[0][2:]), strings.Fields(now[0][2:])
	if len(a) != 6 || len(b) != 6 {
		x.add("o= address", "changed", old[0][2:], now[0][2:])
		return
	}
	for i, topic := range []string{"o= user", "o= session", "o= version"} {
		if a[i] != b[i] {
			x.add(topic, "changed", a[i], b[i])
		}
	}
	if fa, fb := strings.Join(a[4:], " "), strings.Join(b[4:], " "); fa != fb {
		x.add("o= address", "changed", fa, fb)
	}
}

// add finds the rule of a change and notes it.
func (x *explainer) add(topic, op, from, to string) {
	c := Change{Section: x.name, What: topic, Op: op, From: from, To: to, Cause: DaemonDefault}
	for _, e := range x.effects {
		if x.edited(e, topic, op, from+to) {
			c.Cause, c.Why, c.RFC = e.Word.Text, "the attribute is edited as text, after everything else", "RFC 8866 section 5.13"
			c.What = cmp.Or(titles[topic], "a="+topic)
			x.changes = append(x.changes, c)
			return
		}
	}
	for _, r := range rules {
		if r.topic != topic && !(strings.HasSuffix(r.topic, " *") && strings.HasPrefix(topic, r.topic[:len(r.topic)-1])) {
			continue
		}
		if r.op != "" && r.op != op || r.in != "" && r.in != x.command || r.when != nil && !r.when(x, from, to) {
			continue
		}
		e, found := x.cause(r.causes)
		if !found && len(r.causes) > 0 {
			continue
		}
		if found {
			c.Cause = e.Word.Text
		}
		c.Why, c.RFC = r.why, r.rfc
		if r.rfcOf != nil {
			c.RFC = r.rfcOf(to)
		}
		break
	}
	c.What = titles[topic]
	if c.What == "" {
		c.What = topic
		if !strings.HasPrefix(topic, "codec") && !strings.Contains(topic, "=") {
			c.What = "a=" + topic
		}
	}
	if c.Why == "" {
		c.Why, c.RFC = "attributes that it does not know are copied; this one is not", "RFC 8866 section 5.13"
		if op == "added" {
			c.Why = "put in by the daemon"
		}
	}
	x.changes = append(x.changes, c)
}

// edited tells whether an sdp-attr edit is behind a change of an attribute.
func (x *explainer) edited(e flaglint.Effect, topic, op, value string) bool {
	command, ok := strings.CutPrefix(e.Name, "sdp-attr=")
	if !ok || command == "add" && op == "removed" || command == "remove" && op == "added" {
		return false
	}
	section, args := e.Rest, ""
	if i := strings.IndexAny(e.Rest, " -"); i >= 0 {
		section, args = e.Rest[:i], e.Rest[i+1:]
	}
	if kind := cmp.Or(x.kind, "none"); section != kind && !(kind == "none" && section == "global") {
		return false
	}
	name, _, _ := strings.Cut(topic, " ")
	if strings.HasPrefix(topic, "codec ") {
		return strings.Contains(args, "rtpmap:") || strings.Contains(args, "fmtp:")
	}
	if topic == "direction" {
		name = value
	}
	return strings.Contains(args, name)
}

// cause is the first effect of the request that is named.
func (x *explainer) cause(names []string) (flaglint.Effect, bool) {
	for _, name := range names {
		for _, e := range x.effects {
			prefix, open := strings.CutSuffix(name, "*")
			if e.Name == name || open && strings.HasPrefix(e.Name, prefix) {
				return e, true
			}
		}
	}
	return flaglint.Effect{}, false
}

// lacks tells whether no line of the section begins so, after the change.
func (x *explainer) lacks(prefix string) bool {
	return !slices.ContainsFunc(x.now, func(l string) bool { return strings.HasPrefix(l, prefix) })
}
