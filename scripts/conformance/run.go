package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// side is one daemon during one sequence.
type side struct {
	*daemon.Daemon
	symbols *symbols
}

// outcome is what a sequence showed.
type outcome struct {
	Seq     sequence
	Replies [][2]answer // per step: ours, the peer's
	Diffs   []difference
	Applied []string // rules that brought two forms to one
	Err     error    // a daemon that fell silent or died
}

// open differences are those that no rule explains.
func (o *outcome) open() int {
	n := 0
	for _, d := range o.Diffs {
		if d.Reason == "" {
			n++
		}
	}
	return n
}

// explained tells that the two sides differ, but not beyond the rules.
func (o *outcome) explained() bool {
	return o.Err == nil && o.open() == 0 && (len(o.Diffs) > 0 || len(o.Applied) > 0)
}

// run sends one sequence to both daemons and compares, step by step.
func run(seq sequence, ours, peer *daemon.Daemon, rules []*rule, ordered bool) outcome {
	out := outcome{Seq: seq}
	runs++
	sides := [2]side{}
	for i, d := range []*daemon.Daemon{ours, peer} {
		sides[i] = side{d, newSymbols(d.PortMin, d.PortMax)}
	}
	for i, s := range seq.Steps {
		var both [2]answer
		if s.Cookie != "" {
			s.Cookie = fmt.Sprintf("%s_%d", s.Cookie, runs)
		}
		for k := range sides {
			var err error
			if both[k], err = sides[k].send(s, seq.Name); err != nil {
				out.Err = errors.Join(out.Err, fmt.Errorf("step %d %s: %s: %w", i+1, s.command(), [2]string{"ours", "peer"}[k], err))
			}
		}
		for _, name := range equate(rules, &both, seq, i, ordered) {
			if !slices.Contains(out.Applied, name) {
				out.Applied = append(out.Applied, name)
			}
		}
		out.Replies = append(out.Replies, both)
		if out.Err != nil {
			break
		}
		out.Diffs = append(out.Diffs, compare(i, both[0], both[1], ordered)...)
	}
	for k := range sides {
		sides[k].forget(seq)
	}
	explain(rules, seq, out.Replies, out.Diffs)
	return out
}

// forget ends the calls of a sequence, so that none is seen by the next.
func (s side) forget(seq sequence) {
	ids := map[string]bool{}
	for _, st := range seq.Steps {
		if id, ok := st.value("call-id").(string); ok && !ids[id] {
			ids[id] = true
			msg := new(ng.Dict)
			msg.AddString("command", "delete")
			msg.AddString("call-id", id)
			msg.AddInt("delete-delay", 0)
			_, _ = s.Ask(msg) // a dead daemon has been reported by its step
		}
	}
}

func (s side) send(st step, seq string) (answer, error) {
	s.symbols.learn(st)
	msg := st.message(seq)
	// A second is ample on loopback; a silence that is due is known sooner.
	wait, tries := time.Second, 3
	if st.Silent {
		wait, tries = 150*time.Millisecond, 1
	}
	var reply []byte
	err := os.ErrDeadlineExceeded
	for ; tries > 0 && err != nil; tries-- {
		reply, err = s.Raw(msg, wait)
	}
	if st.Silent && errors.Is(err, os.ErrDeadlineExceeded) && s.Alive() {
		return answer{[]section{{"reply", []string{"silence"}}}}, nil
	}
	if err != nil {
		if !s.Alive() {
			err = errors.New("the daemon has ended")
		}
		return answer{}, err
	}
	d, err := daemon.Decode(reply)
	if err != nil {
		return answer{}, err
	}
	lines := s.symbols.reply("", ng.DictValue(d), st.command() == "statistics")
	if st.JSON != strings.Contains(string(reply), " {") {
		lines = append(lines, "encoding = not the request's")
	}
	out := answer{}
	if body := d.Value("sdp"); body.Kind() == ng.KindString {
		lines = append(lines, "sdp = <body>")
		out.Sections = s.symbols.sections(body.Str())
	}
	slices.Sort(lines)
	out.Sections = append([]section{{"reply", lines}}, out.Sections...)
	return out, nil
}

var cookies, runs int // of this process, for cookies that nobody has used before

// message is the datagram of a step.
func (st step) message(seq string) []byte {
	cookies++
	cookie := fmt.Sprintf("conformance_%d_%d", os.Getpid(), cookies)
	if st.Cookie != "" {
		cookie = st.Cookie + "_" + seq
	}
	if st.Raw != "" {
		return []byte(strings.ReplaceAll(st.Raw, `\(cookie)`, cookie))
	}
	d := new(ng.Dict)
	for _, e := range st.Keys {
		d.Add(e.Key, toValue(e.Value))
	}
	payload := ng.AppendBencode(nil, ng.DictValue(d))
	if st.JSON {
		payload = ng.AppendJSON(nil, ng.DictValue(d))
	}
	return ng.AppendFrame(nil, cookie, payload)
}

// toValue turns what YAML holds into what NG sends.
func toValue(v any) ng.Value {
	switch v := v.(type) {
	case string:
		return ng.String(v)
	case int:
		return ng.Int(int64(v))
	case []any:
		var list []ng.Value
		for _, e := range v {
			list = append(list, toValue(e))
		}
		return ng.List(list...)
	case map[string]any:
		d := new(ng.Dict)
		for _, k := range sortedKeys(v) {
			d.Add(k, toValue(v[k]))
		}
		return ng.DictValue(d)
	}
	return ng.String(fmt.Sprint(v))
}

// report writes an outcome: nothing for equal ones, a line for explained ones with all, a diff for the rest.
func (o *outcome) report(all bool) string {
	var b strings.Builder
	switch {
	case o.Err != nil:
		fmt.Fprintf(&b, "FAILED %s: %v\n", o.Seq.Name, o.Err)
	case o.open() > 0:
		fmt.Fprintf(&b, "DIFFERENT %s\n", o.Seq.Name)
	case all && o.explained():
		fmt.Fprintf(&b, "explained %s (%s)\n", o.Seq.Name, strings.Join(o.Applied, ", "))
	default:
		return ""
	}
	last := -1
	for _, d := range o.Diffs {
		if d.Reason != "" && !all {
			continue
		}
		if d.Step != last {
			last = d.Step
			fmt.Fprintf(&b, "  step %d %s\n", d.Step+1, strings.Join(messageLines(o.Seq.Steps[d.Step]), " "))
		}
		fmt.Fprintf(&b, "    %s\n", d)
	}
	return b.String()
}
