package rtpengine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
)

// party is one end of twoCalls.
type party struct {
	*phone
	name string
	up   relayEnds // where it sends, and its partner
}

// twoCalls are the calls "x" between A and B and "y" between C and D.
func twoCalls(t *testing.T, e *Engine) [4]*party {
	t.Helper()
	var all [4]*party
	for i, id := range []string{"x", "y"} {
		p, q := &party{phone: newPhone(t), name: string(rune('A' + 2*i))}, &party{phone: newPhone(t), name: string(rune('B' + 2*i))}
		offer := mustSDP(t, e, "offer", "call-id", id, "from-tag", p.name, "sdp", body("127.0.0.1", audio(p.port())))
		answer := mustSDP(t, e, "answer", "call-id", id, "from-tag", p.name, "to-tag", q.name, "sdp", body("127.0.0.1", audio(q.port())))
		p.up, q.up = relayEnds{answer.Media[0], p.phone, q.phone}, relayEnds{offer.Media[0], q.phone, p.phone}
		all[2*i], all[2*i+1] = p, q
	}
	return all
}

// flowsOf lists who hears whom, "A>B", from the query replies of the calls.
func flowsOf(t *testing.T, e *Engine, ids ...string) string {
	t.Helper()
	var list []string
	for _, id := range ids {
		for _, entry := range must(t, e, "query", "call-id", id).Value("tags").Dict().Entries() {
			for _, s := range entry.Value.Dict().Value("subscribers").List() {
				list = append(list, entry.Key+">"+s.Dict().Value("tag").Str())
			}
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func TestConnect(t *testing.T) {
	tests := []struct {
		name string
		args []any
		want string
	}{
		{"a dialogue of two", []any{"from-tag", "C"}, "B>C C>B"},
		{"directional", []any{"from-tag", "C", "flags", []string{"directional"}}, "A>B B>A C>B C>D D>C"},
		{"both ways", []any{"from-tag", "C", "flags", []string{"directional", "bidirectional"}}, "A>B B>A B>C C>B C>D D>C"},
		{"several", []any{"from-tags", []string{"C", "D"}, "flags", []string{"directional"}}, "A>B B>A C>B C>D D>B D>C"},
		{"all", []any{"flags", []string{"directional", "all", "bidirectional"}}, "A>B B>A B>C B>D C>B C>D D>B D>C"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := loopback(t)
			twoCalls(t, e)
			must(t, e, "connect", append([]any{"call-id", "y", "to-call-id", "x", "to-tag", "B"}, tt.args...)...)
			if got := flowsOf(t, e, "x"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if got := flowsOf(t, e, "y"); got != tt.want {
				t.Errorf("by the other id: %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMergedCalls(t *testing.T) {
	e := loopback(t)
	all := twoCalls(t, e)
	must(t, e, "connect", "call-id", "y", "to-call-id", "x", "to-tag", "B", "from-tag", "C", "flags", []string{"directional"})
	c, b := all[2], all[1]
	c.up.talk(t, "to the partner")
	for {
		_, got, ok := b.wait(waitTime)
		if !ok {
			t.Fatal("the party connected hears nothing")
		}
		if got == "to the partner" {
			break
		}
	}
	all[0].up.talk(t, "the old dialogue goes on")
	must(t, e, "unsubscribe", "call-id", "x", "from-tag", "C", "to-tag", "B", "flags", []string{"directional"})
	if got := flowsOf(t, e, "x"); got != "A>B B>A C>D D>C" {
		t.Errorf("after unsubscribe: %s", got)
	}
	must(t, e, "delete", "call-id", "y", "delete-delay", 0)
	if r := ask(e, "query", "call-id", "y"); r.Error != "Unknown call-id" {
		t.Errorf("deleted id: %+v", r)
	}
	if got := flowsOf(t, e, "x"); got != "A>B B>A" {
		t.Errorf("what is left: %s", got)
	}
	all[0].up.talk(t, "still there")
	must(t, e, "delete", "call-id", "x", "delete-delay", 0)
	if n := e.NumSessions(); n != 0 {
		t.Errorf("%d calls left", n)
	}
}

func TestConnectErrors(t *testing.T) {
	e := loopback(t)
	twoCalls(t, e)
	must(t, e, "publish", "call-id", "z", "from-tag", "A", "sdp", body(rtpFrom, plainAudio))
	for _, tt := range []struct {
		command string
		args    []any
		want    string
	}{
		{"connect", []any{"from-tag", "C", "to-tag", "B"}, "No call-id in message"},
		{"connect", []any{"call-id", "q", "from-tag", "C", "to-tag", "B"}, "Unknown call-ID"},
		{"connect", []any{"call-id", "y", "from-tag", "C", "to-tag", "B"}, "Given to-tag not found"},
		{"connect", []any{"call-id", "y", "from-tag", "Q", "to-tag", "B", "to-call-id", "x"}, "Given from-tag not found"},
		{"connect", []any{"call-id", "z", "from-tag", "A", "to-tag", "B", "to-call-id", "x"}, "Failed to merge two calls into one (tag collision)"},
		{"mesh", []any{"calls", []string{"x", "q"}}, "Unknown call ID(s)"},
		{"mesh", []any{}, "Unknown call ID(s)"},
		{"mesh", []any{"calls", []string{"x", "z"}}, "Failed to merge calls (tag collision)"},
		{"unsubscribe", []any{"call-id", "x", "from-tag", "Q", "to-tag", "B", "flags", []string{"directional"}}, "Failed to unsubscribe"},
	} {
		if r := ask(e, tt.command, tt.args...); r.Error != tt.want {
			t.Errorf("%s %v: error %q, want %q", tt.command, tt.args, r.Error, tt.want)
		}
	}
	if got := flowsOf(t, e, "x", "y"); got != "A>B B>A C>D D>C" {
		t.Errorf("a refused command changed the flows: %s", got)
	}
}

// meshEntry is one entry of the key tags.
func meshEntry(from string, to ...string) ng.Value {
	d := &ng.Dict{}
	d.AddString("from", from)
	d.Add("to", ng.Strings(to))
	return ng.DictValue(d)
}

func TestMesh(t *testing.T) {
	e := loopback(t)
	twoCalls(t, e)
	for _, step := range []struct {
		flags []string
		tags  []ng.Value
		want  string
	}{
		{nil, []ng.Value{meshEntry("A", "C"), meshEntry("B", "D"), meshEntry("C")}, "A>B A>C B>A B>D C>D D>C"},
		{[]string{"unsubscribe"}, []ng.Value{meshEntry("A", "C"), meshEntry("B")}, "A>C C>D D>C"},
		{[]string{"bidirectional"}, []ng.Value{meshEntry("B", "A", "D")}, "A>B A>C B>A B>D C>D D>B D>C"},
		{[]string{"unsubscribe", "bidirectional"}, []ng.Value{meshEntry("A", "B"), meshEntry("B"), meshEntry("C", "D"), meshEntry("D")}, "A>B B>A C>D D>C"},
	} {
		d := kv{"calls", []string{"y", "x"}, "flags", step.flags, "command", "mesh"}.dict()
		d.Add("tags", ng.List(step.tags...))
		if r := e.HandleNG(t.Context(), &ng.Request{Command: "mesh", Dict: d}); r.Error != "" {
			t.Fatal(r.Error)
		}
		if got := flowsOf(t, e, "x"); got != step.want {
			t.Errorf("%v: %s, want %s", step.flags, got, step.want)
		}
	}
}

func TestCreate(t *testing.T) {
	e := loopback(t)
	wish := func(kind string, codecs ...string) ng.Value {
		d := &ng.Dict{}
		d.AddString("type", kind)
		d.Add("codecs", ng.Strings(codecs))
		return ng.DictValue(d)
	}
	for _, tt := range []struct {
		name   string
		args   []any
		medias []ng.Value
		want   []string
	}{
		{name: "nothing said", want: []string{"m=audio P0 RTP/AVP 0 8", "a=sendrecv", "s=rtpsidecar"}},
		{name: "codecs", args: []any{"codec", kv{"offer", []string{"G722", "opus"}}}, want: []string{"m=audio P0 RTP/AVP 9 96", "a=rtpmap:96 opus/48000/2"}},
		{name: "sections", medias: []ng.Value{wish("audio", "PCMA"), wish("video", "VP8")},
			want: []string{"m=audio P0 RTP/AVP 8", "m=video P1 RTP/AVP 96", "a=rtpmap:96 VP8/90000"}},
		{name: "types alone", medias: []ng.Value{ng.String("audio")}, want: []string{"m=audio P0 RTP/AVP 0 8"}},
		{name: "SRTP", args: []any{"transport-protocol", "RTP/SAVP", "DTLS", "off"}, want: []string{"m=audio P0 RTP/SAVP 0 8", "a=crypto:1 "}},
		{name: "interface", args: []any{"interface", "ext"}, want: []string{"c=IN IP4 127.0.0.2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := kv(append(tt.args, "command", "create")).dict()
			if tt.medias != nil {
				d.Add("medias", ng.List(tt.medias...))
			}
			r := e.HandleNG(t.Context(), &ng.Request{Command: "create", Dict: d})
			if r.Error != "" {
				t.Fatal(r.Error)
			}
			lines(t, "offer", r.Dict.Value("sdp").Str(), tt.want...)
			if r.Dict.Value("call-id").Str() == "" || r.Dict.Value("from-tag").Str() == "" {
				t.Error("names are missing")
			}
		})
	}
}

// Two parties that were invited by offers made here are connected and talk.
func TestCreateAnswer(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	toA := mustSDP(t, e, "create", "call-id", "c", "from-tag", "A")
	toB := mustSDP(t, e, "create", "call-id", "c", "from-tag", "B")
	section := "m=audio %d RTP/AVP 0 8"
	must(t, e, "create answer", "call-id", "c", "from-tag", "A", "sdp", body("127.0.0.1", fmt.Sprintf(section, a.port())))
	must(t, e, "create answer", "call-id", "c", "from-tag", "B", "sdp", body("127.0.0.1", fmt.Sprintf(section, b.port())))
	must(t, e, "connect", "call-id", "c", "from-tag", "A", "to-tag", "B")
	relayEnds{toA.Media[0], a, b}.talk(t, "hello")
	relayEnds{toB.Media[0], b, a}.talk(t, "hello yourself")
	again := must(t, e, "create", "call-id", "c", "from-tag", "A").Value("sdp").Str()
	lines(t, "again", again, "m=audio P0 RTP/AVP 0 8")
	if s := parse(t, must(t, e, "create", "call-id", "c", "from-tag", "A")); s.Media[0].Port != toA.Media[0].Port {
		t.Errorf("port %d, was %d", s.Media[0].Port, toA.Media[0].Port)
	}
	for _, tt := range []struct{ id, tag, want string }{
		{"", "A", "No call-id in message"}, {"q", "A", "unknown call-ID"}, {"c", "Q", "from-tag not found"}, {"c", "A", "No SDP body in message"},
	} {
		if r := ask(e, "create answer", "call-id", tt.id, "from-tag", tt.tag); r.Error != tt.want {
			t.Errorf("%q %q: %q, want %q", tt.id, tt.tag, r.Error, tt.want)
		}
	}
}

// A subscription that is repeated keeps its sections where they are, and what was agreed in the call is what is offered.
func TestSubscribeAgain(t *testing.T) {
	e := loopback(t)
	video := "m=video 6000 RTP/AVP 99\na=rtpmap:99 VP8/90000\n"
	invite := func(sections ...string) {
		mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, append([]string{"m=audio 4000 RTP/AVP 0 8 9"}, sections...)...))
		mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, append([]string{"m=audio 5000 RTP/AVP 8"}, sections...)...))
	}
	invite()
	first := must(t, e, "subscribe request", "call-id", "c", "to-tag", "R", "from-tags", []string{"A", "B"}, "flags", []string{"SIPREC"})
	lines(t, "first", first.Value("sdp").Str(), "m=audio P0 RTP/AVP 8", "m=audio P1 RTP/AVP 8", "a=label:0", "a=label:1")
	invite(video)
	second := must(t, e, "subscribe request", "call-id", "c", "to-tag", "R", "from-tags", []string{"B", "A"}, "flags", []string{"SIPREC"})
	was, is := parse(t, first), parse(t, second)
	var labels []string
	for i, m := range is.Media {
		labels = append(labels, m.Label)
		if i < len(was.Media) && (m.Port != was.Media[i].Port || m.Label != was.Media[i].Label) {
			t.Errorf("section %d moved: port %d, was %d", i, m.Port, was.Media[i].Port)
		}
	}
	if len(is.Media) != 4 || is.Media[2].Type != "video" || len(slices.Compact(slices.Sorted(slices.Values(labels)))) != 4 {
		t.Errorf("%d sections with the labels %q", len(is.Media), labels)
	}
	third := parse(t, must(t, e, "subscribe request", "call-id", "c", "to-tag", "R", "from-tag", "B"))
	if len(third.Media) != 4 || third.Media[0].Port != 0 || third.Media[1].Port != was.Media[1].Port {
		t.Errorf("only B: %d sections, ports %d and %d", len(third.Media), third.Media[0].Port, third.Media[1].Port)
	}
}

func TestForwarding(t *testing.T) {
	e := loopback(t)
	twoCalls(t, e)
	d := must(t, e, "start forwarding", "call-id", "x", "metadata", "who:me")
	if !strings.Contains(d.Value("warning").Str(), "no recording daemon") {
		t.Errorf("warning %q", d.Value("warning").Str())
	}
	if got := must(t, e, "query", "call-id", "x").Value("metadata").Str(); got != "who:me" {
		t.Errorf("metadata %q", got)
	}
	must(t, e, "stop forwarding", "call-id", "x", "from-tag", "A", "flags", []string{"directional"})
	if r := ask(e, "start forwarding", "call-id", "q"); r.Error != "Unknown call-ID" {
		t.Errorf("%+v", r)
	}
}

func TestCLI(t *testing.T) {
	e := loopback(t, func(c *Config) { c.Console = func(line string) string { return "<" + line + ">" } })
	if got := must(t, e, "cli", "body", "list numsessions").Value("response").Str(); got != "<list numsessions>" {
		t.Errorf("%q", got)
	}
	if r := ask(e, "cli"); r.Error != "No 'body' in message" {
		t.Errorf("%+v", r)
	}
	if r := ask(loopback(t), "CLI", "body", "x"); r.Error != "unsupported" {
		t.Errorf("%+v", r)
	}
}

// generate-RTCP keeps reports from passing; the relay makes its own.
func TestGenerateRTCP(t *testing.T) {
	e := loopback(t, func(c *Config) { c.RTCPInterval = 1 })
	a, b := newPhone(t), newPhone(t)
	toA, _ := pairUp(t, e, "c", a, b, "generate-RTCP", "on")
	toA.talk(t, "something to report")
	buf := make([]byte, 200)
	b.rtcp.SetReadDeadline(deadline())
	n, err := b.rtcp.Read(buf)
	if err != nil || n < 52 || buf[1] != 200 {
		t.Fatalf("%x, %v: want a sender report", buf[:n], err)
	}
	q := must(t, e, "query", "call-id", "c").Value("tags").Dict().Value("A").Dict().Value("medias").List()[0].Dict()
	if !slices.ContainsFunc(q.Value("flags").List(), func(v ng.Value) bool { return v.Str() == "RTCP generator" }) {
		t.Errorf("flags %v", q.Value("flags"))
	}
}

func deadline() time.Time { return time.Now().Add(waitTime) }

// A recorder is told of a hold: what the party on hold does not send is offered inactive.
func TestSubscribeToHeld(t *testing.T) {
	e := loopback(t)
	mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, "m=audio 4000 RTP/AVP 0\na=sendonly"))
	mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, "m=audio 5000 RTP/AVP 0\na=recvonly"))
	r := must(t, e, "subscribe request", "call-id", "c", "flags", []string{"all", "SIPREC"})
	s := parse(t, r)
	labels := r.Value("media-labels").Dict()
	for i, want := range []struct{ direction, mode string }{{"sendonly", "recvonly"}, {"inactive", "sendonly"}} {
		mode := labels.Value(s.Media[i].Label).Dict().Value("mode").Str()
		if got := s.Media[i].Direction.String(); got != want.direction || mode != want.mode {
			t.Errorf("section %d: %s, mode %s, want %s, %s", i, got, mode, want.direction, want.mode)
		}
	}
}
