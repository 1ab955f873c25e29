package rtpengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
)

// pairUp makes a call between two phones and returns what each was shown.
func pairUp(t testing.TB, e *Engine, id string, a, b *phone, flags ...any) (toA, toB relayEnds) {
	t.Helper()
	o := mustSDP(t, e, "offer", append([]any{"call-id", id, "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port()))}, flags...)...)
	n := mustSDP(t, e, "answer", append([]any{"call-id", id, "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port()))}, flags...)...)
	return relayEnds{n.Media[0], a, b}, relayEnds{o.Media[0], b, a}
}

func TestErrors(t *testing.T) {
	e := loopback(t)
	ok := body(rtpFrom, plainAudio)
	dialogue(t, e, "known", step{command: "offer", from: "A", sdp: ok}, step{command: "answer", from: "A", to: "B", sdp: ok})
	tests := []struct {
		command string
		args    []any
		want    string
	}{
		{"offer", []any{"call-id", "c", "from-tag", "A"}, "No SDP body in message"},
		{"offer", []any{"sdp", ok, "from-tag", "A"}, "No call-id in message"},
		{"offer", []any{"sdp", ok, "call-id", "c"}, "No from-tag in message"},
		{"offer", []any{"sdp", "garbage", "call-id", "c", "from-tag", "A"}, "Failed to parse SDP"},
		{"offer", []any{"sdp", strings.Replace(ok, "c=IN IP4 198.51.100.1\r\n", "", 1), "call-id", "c", "from-tag", "A"}, "Incomplete SDP specification"},
		{"offer", []any{"sdp", strings.Replace(ok, "c=IN IP4 198.51.100.1", "c=IN IP4 a.example", 1), "call-id", "c", "from-tag", "A"}, "Failed to parse SDP"},
		{"answer", []any{"sdp", ok, "call-id", "c", "from-tag", "A"}, "No to-tag in message"},
		{"answer", []any{"sdp", ok, "call-id", "c", "from-tag", "A", "to-tag", "B"}, "Unknown call-id"},
		{"query", []any{}, "No call-id in message"},
		{"query", []any{"call-id", "c"}, "Unknown call-id"},
		{"delete", []any{}, "No call-id in message"},
		{"delete", []any{"call-id", "c", "flags", []string{"fatal"}}, "Call-ID not found or tags didn't match"},
		{"list", []any{"limit", -1}, "invalid limit, must be >= 0"},
		{"frobnicate", nil, "Unrecognized command"},
		{"play media", []any{"call-id", "known"}, "Command not supported: play media"},
		{"block media", []any{}, "No call-id in message"},
		{"block media", []any{"call-id", "c"}, "Unknown call-ID"},
		{"block media", []any{"call-id", "known", "label", "x"}, "No monologue matching the given label"},
		{"block media", []any{"call-id", "known", "address", "foo"}, "Failed to parse network address"},
		{"block media", []any{"call-id", "known", "address", "203.0.113.1"}, "Failed to match address to any tag"},
		{"block media", []any{"call-id", "known", "from-tag", "X", "flags", []string{"directional"}}, "From-tag given, but no such tag exists"},
		{"block media", []any{"call-id", "known", "from-tag", "A", "to-tag", "X", "flags", []string{"directional"}}, "Media flow not found (to-tag not found)"},
		{"block media", []any{"call-id", "known", "from-tag", "A", "to-label", "X", "flags", []string{"directional"}}, "Media flow not found (to-label not found)"},
		{"block media", []any{"call-id", "known", "from-tag", "A", "to-tag", "A", "flags", []string{"directional"}}, "Media flow not found (to-tag not subscribed)"},
		{"subscribe request", []any{"from-tag", "A"}, "No call-id in message"},
		{"subscribe request", []any{"call-id", "c", "from-tag", "A"}, "Unknown call-ID"},
		{"subscribe request", []any{"call-id", "known"}, "No medias found (no monologues matched)"},
		{"subscribe request", []any{"call-id", "known", "from-tags", []string{"X"}}, "From-tag given, but no such tag exists"},
		{"subscribe answer", []any{"call-id", "known", "to-tag", "X"}, "No SDP body in message"},
		{"subscribe answer", []any{"call-id", "known", "to-tag", "X", "sdp", ok}, "To-tag not found"},
		{"subscribe answer", []any{"call-id", "c", "to-tag", "X", "sdp", ok}, "Unknown call-ID"},
		{"unsubscribe", []any{"call-id", "known", "to-tag", "X"}, "To-tag not found"},
		{"unsubscribe", []any{"call-id", "c", "to-tag", "X"}, "Unknown call-ID"},
		{"publish", []any{"call-id", "p"}, "No SDP body in message"},
		{"offer", []any{"call-id", "c", "flags", []string{"fragment"}, "from-tag", "A", "sdp", "nonsense"}, "Failed to parse SDP"},
	}
	for _, tt := range tests {
		if r := ask(e, tt.command, tt.args...); r.Error != tt.want {
			t.Errorf("%s %v: error %q, want %q", tt.command, tt.args, r.Error, tt.want)
		}
	}
	if n := e.NumSessions(); n != 1 {
		t.Errorf("%d calls: a refused request left something behind", n)
	}
	if r := ask(e, "ping"); r.Result != "pong" {
		t.Errorf("ping: %+v", r)
	}
	if got := ngReason(fmt.Errorf("x: %w", errors.Join(errNoPorts, errors.New("y")))); got != "Ran out of ports" {
		t.Errorf("reason %q", got)
	}
	if got := ngReason(errors.New("secret")); got != "Internal error" {
		t.Errorf("reason %q of an unforeseen error", got)
	}
}

// A request that crashes is answered, and its call stays usable.
func TestCrash(t *testing.T) {
	e := loopback(t, func(c *Config) { c.Log = nil })
	was := commands[commandIndex["list"]]
	defer func() { commands[commandIndex["list"]] = was }()
	commands[commandIndex["list"]].run = func(*Engine, *exchange) error { panic("bang") }
	if r := ask(e, "list"); r.Error != "Internal error" {
		t.Errorf("%+v", r)
	}
}

func TestLimits(t *testing.T) {
	offer := []any{"call-id", "c2", "from-tag", "A", "sdp", body(rtpFrom, plainAudio)}
	t.Run("sessions", func(t *testing.T) {
		e := loopback(t, func(c *Config) { c.MaxSessions = 1 })
		dialogue(t, e, "c1", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio)})
		if r := ask(e, "offer", offer...); r.Error != "Parallel session limit reached" || r.Result != "" {
			t.Errorf("%+v", r)
		}
		r := ask(e, "offer", append(offer, "supports", []string{"load limit"})...)
		if r.Result != "load limit" || r.Dict.Value("message").Str() != "Parallel session limit reached" {
			t.Errorf("%+v", r)
		}
		dialogue(t, e, "c1", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio)})
	})
	t.Run("load", func(t *testing.T) {
		e := loopback(t, func(c *Config) { c.MaxCPU, c.MaxLoad, c.MaxBandwidth = 50, 5, 1000 })
		for _, tt := range []struct {
			cpu, load float64
			rate      uint64
			want      string
		}{{49, 4, 999, ""}, {50, 4, 0, "CPU usage limit exceeded"}, {0, 5, 0, "Load limit exceeded"}, {0, 0, 1000, "Bandwidth limit exceeded"}} {
			e.load.mu.Lock()
			e.load.cpu, e.load.load, e.load.rate = tt.cpu, tt.load, tt.rate
			e.load.mu.Unlock()
			got := ""
			if err := e.admit(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%+v: %q", tt, got)
			}
		}
		e.load.sample(true, true, 7)
		e.load.sample(true, true, 8)
		if cpu, _, rate := e.load.now(); cpu < 0 || cpu > 100 || rate != 8 {
			t.Errorf("cpu %v, rate %v", cpu, rate)
		}
	})
	t.Run("proc", func(t *testing.T) {
		busy, idle, ok := parseCPU([]byte("cpu  10 20 30 400 50 6 7 8 9 10\ncpu0 1\n"))
		if !ok || busy != 10+20+30+6+7+8 || idle != 450 {
			t.Errorf("busy %d, idle %d, %v", busy, idle, ok)
		}
		for _, bad := range []string{"", "cpu 1", "cpu a b c d e f", "intr 1 2 3 4 5 6"} {
			if _, _, ok := parseCPU([]byte(bad)); ok {
				t.Errorf("%q accepted", bad)
			}
		}
		if v, ok := parseLoad([]byte("0.52 0.58 0.59 1/900 1")); !ok || v != 0.52 {
			t.Errorf("load %v, %v", v, ok)
		}
	})
	t.Run("ports", func(t *testing.T) {
		e := loopback(t, func(c *Config) {
			pid := os.Getpid()
			own := netip.AddrFrom4([4]byte{127, 7, byte(pid >> 8), byte(pid)}) // nobody else takes its ports
			for i := range c.Interfaces {
				c.Interfaces[i].PortMin, c.Interfaces[i].PortMax = 29000, 29005
				c.Interfaces[i].Local, c.Interfaces[i].Advertised = own, own
			}
		})
		dialogue(t, e, "c1", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio)})
		dialogue(t, e, "c2", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), err: "Ran out of ports"})
		if n := e.NumSessions(); n != 1 {
			t.Errorf("%d calls, want only the first", n)
		}
	})
}

func TestDelete(t *testing.T) {
	e := loopback(t, func(c *Config) { c.DeleteDelay = 0 })
	ok := body(rtpFrom, plainAudio)
	fork := func(id string) {
		dialogue(t, e, id,
			step{command: "offer", from: "A", sdp: ok, flags: []any{"via-branch", "1"}},
			step{command: "offer", from: "A", sdp: ok, flags: []any{"via-branch", "2"}},
			step{command: "answer", from: "A", to: "X", sdp: ok, flags: []any{"via-branch", "1"}},
			step{command: "answer", from: "A", to: "Y", sdp: ok, flags: []any{"via-branch", "2"}})
	}
	tests := []struct {
		name    string
		args    []any
		warning bool
		lives   bool
	}{
		{"whole call", nil, false, false},
		{"caller", []any{"from-tag", "A"}, false, false},
		{"callee", []any{"from-tag", "X"}, false, true},
		{"branch", []any{"from-tag", "A", "via-branch", "1"}, false, true},
		{"to-tag alone counts for nothing", []any{"from-tag", "A", "to-tag", "Y"}, false, false},
		{"to-tag with its flag", []any{"from-tag", "A", "to-tag", "Y", "flags", []string{"to-tag"}}, false, true},
		{"unknown tag", []any{"from-tag", "Z"}, true, true},
		{"unknown branch", []any{"from-tag", "A", "via-branch", "9"}, true, true},
		{"unknown to-tag", []any{"from-tag", "A", "to-tag", "Q", "flags", []string{"to-tag"}}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fork(tt.name)
			d := must(t, e, "delete", append([]any{"call-id", tt.name}, tt.args...)...)
			if got := d.Value("warning").Str() != ""; got != tt.warning {
				t.Errorf("warning: %v", got)
			}
			if !tt.warning && d.Value("tags").Dict() == nil {
				t.Error("no statistics")
			}
			if got := ask(e, "query", "call-id", tt.name).Error == ""; got != tt.lives {
				t.Errorf("call lives: %v", got)
			}
		})
	}
	t.Run("delay", func(t *testing.T) {
		dialogue(t, e, "later", step{command: "offer", from: "A", sdp: ok})
		must(t, e, "delete", "call-id", "later", "delete-delay", 30)
		must(t, e, "query", "call-id", "later")
		e.sweep(time.Now().Add(29 * time.Second))
		must(t, e, "query", "call-id", "later")
		dialogue(t, e, "later", step{command: "offer", from: "A", sdp: ok})
		e.sweep(time.Now().Add(31 * time.Second))
		must(t, e, "query", "call-id", "later") // the offer revived it
		must(t, e, "delete", "call-id", "later", "delete-delay", 30)
		e.sweep(time.Now().Add(31 * time.Second))
		if r := ask(e, "query", "call-id", "later"); r.Error == "" {
			t.Error("lives on after the delay")
		}
	})
	t.Run("delay shorter than the period of the samples", func(t *testing.T) {
		fork("soon")
		fork("branch soon")
		must(t, e, "delete", "call-id", "soon", "delete-delay", 2)
		must(t, e, "delete", "call-id", "branch soon", "from-tag", "X", "delete-delay", 2)
		now := time.Now()
		for _, passed := range []time.Duration{0, time.Second, 3 * time.Second} { // a sweep passes over what has nothing to do
			e.sweep(now.Add(passed))
			over := passed > 2*time.Second
			c := e.lockCall("branch soon")
			x := c.participant("X")
			e.release(c) // as a sweep does: no command
			if dropped := x == nil || x.deleted; dropped != over {
				t.Errorf("after %v: X dropped %v", passed, dropped)
			}
			if gone := e.find("soon") == nil; gone != over {
				t.Errorf("after %v: call gone %v", passed, gone)
			}
		}
	})
	t.Run("operator", func(t *testing.T) {
		fork("op1")
		fork("op2")
		if list := e.Sessions(); len(list) < 2 || list[0].Proxy != "192.0.2.9:5000" {
			t.Errorf("%+v", list)
		}
		if !e.Terminate("op1") || e.Terminate("op1") {
			t.Error("terminate")
		}
		if n := e.TerminateAll(); n == 0 || e.NumSessions() != 0 {
			t.Errorf("%d ended, %d left", n, e.NumSessions())
		}
	})
}

func TestTimeouts(t *testing.T) {
	ok := body(rtpFrom, plainAudio)
	held := body(rtpFrom, plainAudio+"a=inactive")
	answered := []step{{command: "offer", from: "A", sdp: ok}, {command: "answer", from: "A", to: "B", sdp: ok}}
	onHold := []step{{command: "offer", from: "A", sdp: held}, {command: "answer", from: "A", to: "B", sdp: held}}
	tests := []struct {
		name   string
		steps  []step
		change func(*Config)
		lives  time.Duration
		ends   time.Duration
		why    closeReason
	}{
		{"silent call", answered, nil, 59 * time.Second, 61 * time.Second, closedTimeout},
		{"on hold", onHold, nil, 3599 * time.Second, 3601 * time.Second, closedSilent},
		{"ringing", answered[:1], nil, 3599 * time.Second, 3601 * time.Second, closedTimeout},
		{"final", answered, func(c *Config) { c.FinalTimeout = 10 * time.Second }, 9 * time.Second, 11 * time.Second, closedFinal},
		{"off", answered, func(c *Config) { c.Timeout = 0 }, 5000 * time.Second, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := loopback(t, func(c *Config) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			dialogue(t, e, "c", tt.steps...)
			now := time.Now()
			e.sweep(now.Add(tt.lives))
			if e.NumSessions() != 1 {
				t.Fatalf("ended before %v", tt.lives)
			}
			if tt.ends == 0 {
				return
			}
			e.sweep(now.Add(tt.ends))
			if e.NumSessions() != 0 {
				t.Fatalf("lives after %v", tt.ends)
			}
			if n := e.stats.reasons[tt.why].Load(); n != 1 {
				t.Errorf("reason %s counted %d times", tt.why, n)
			}
		})
	}
}

// TestTimeoutsAdjusted: what a sweep goes by counts at once for calls of today.
func TestTimeoutsAdjusted(t *testing.T) {
	ok := body(rtpFrom, plainAudio)
	for why, shorten := range map[closeReason]func(*Adjustable){
		closedTimeout: func(a *Adjustable) { a.Timeout = 2 * time.Second },
		closedFinal:   func(a *Adjustable) { a.FinalTimeout = 2 * time.Second },
	} {
		t.Run(why.String(), func(t *testing.T) {
			e := loopback(t)
			dialogue(t, e, "c", step{command: "offer", from: "A", sdp: ok}, step{command: "answer", from: "A", to: "B", sdp: ok})
			now := time.Now()
			e.sweep(now)
			e.Adjust(shorten)
			e.sweep(now.Add(time.Second))
			if e.NumSessions() != 1 {
				t.Error("ended too early")
			}
			e.sweep(now.Add(3 * time.Second))
			if n := e.stats.reasons[why].Load(); n != 1 {
				t.Errorf("%d calls ended for it, want 1", n)
			}
		})
	}
}

func TestStatisticsAndMetrics(t *testing.T) {
	e := loopback(t, func(c *Config) { c.DeleteDelay = 0 })
	a, b := newPhone(t), newPhone(t)
	toA, _ := pairUp(t, e, "c", a, b)
	toA.talk(t, "hello")
	e.sweep(time.Now())
	e.sweep(time.Now().Add(time.Second))
	if d := must(t, e, "list", "limit", 5); len(d.Value("calls").List()) != 1 {
		t.Errorf("list: %v", d.Entries())
	}
	must(t, e, "delete", "call-id", "c")
	s := must(t, e, "statistics").Value("statistics").Dict()
	for _, key := range []string{"currentstatistics", "totalstatistics", "mos", "voip_metrics", "controlstatistics"} {
		if s.Value(key).Dict() == nil {
			t.Errorf("no %s", key)
		}
	}
	for key, want := range map[string]int64{"managedsessions": 1, "regularterminatedsessions": 1, "onewaystreams": 1, "rejectedsessions": 0} {
		if n, _ := s.Value("totalstatistics").Dict().Value(key).Int(); n != want {
			t.Errorf("%s = %d, want %d", key, n, want)
		}
	}
	if n, _ := s.Value("controlstatistics").Dict().Value("totaloffercount").Int(); n != 1 {
		t.Errorf("totaloffercount = %d", n)
	}
	if l := s.Value("interfaces").List(); len(l) != 2 || l[0].Dict().Value("name").Str() != "default" {
		t.Errorf("interfaces: %v", l)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(e.Metrics()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
	}
	for _, name := range []string{"rtpengine_sessions", "rtpengine_closed_sessions_total", "rtpengine_requests_total",
		"rtpengine_packets_total", "rtpengine_ports_used", "rtpengine_mos_total", "rtpengine_call_duration2_total", "rtpengine_interface_packets"} {
		if !got[name] {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestQuality(t *testing.T) {
	// As observed of rtpengine 26.3, but for the last of each formula.
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	lq, legacy := MOSFormula{Listening: true}, MOSFormula{Legacy: true}
	for _, tt := range []struct {
		f           MOSFormula
		rtt, jitter int // ms
		loss        float64
		want        int64
	}{
		{rtt: 49, want: 43}, {rtt: 110, want: 42}, {rtt: 309, want: 42}, {rtt: 409, want: 40}, {rtt: 509, want: 38}, {rtt: 609, want: 35},
		{rtt: 213, loss: 10, want: 25}, {rtt: 209, jitter: 50, want: 42}, {rtt: 600, loss: 100, want: 10},
		{f: lq, want: 43}, {f: lq, loss: 1, want: 41}, {f: lq, loss: 3, want: 37}, {f: lq, loss: 7, want: 30},
		{f: lq, loss: 10, want: 26}, {f: lq, loss: 12, want: 24}, {f: lq, jitter: 40, want: 43}, {f: lq, jitter: 60, want: 42},
		{f: lq, jitter: 200, want: 41}, {f: lq, jitter: 300, want: 35}, {f: lq, jitter: 400, want: 28}, {f: lq, jitter: 200, loss: 10, want: 22},
		{f: lq, rtt: 900, want: 43},
		{f: legacy, rtt: 49, want: 43}, {f: legacy, rtt: 209, want: 41}, {f: legacy, rtt: 428, want: 31}, {f: legacy, rtt: 609, want: 22},
		{f: legacy, loss: 5, want: 40}, {f: legacy, loss: 25, want: 16}, {f: legacy, loss: 50, want: 10}, {f: legacy, jitter: 300, want: 22},
		{f: legacy, jitter: 100, loss: 10, want: 30}, {f: legacy, loss: 100, want: 10},
	} {
		d := sampleDict(sample{mos: tt.f.score(sample{roundTrip: ms(tt.rtt), jitter: ms(tt.jitter), loss: tt.loss})})
		if got, _ := d.Value("MOS").Int(); got != tt.want {
			t.Errorf("%+v = %d", tt, got)
		}
	}
	var q quality
	start := time.Unix(1700000000, 0)
	for i := range 1000 {
		q.take(sample{at: start.Add(time.Duration(i) * 5 * time.Second), mos: 4, jitter: time.Millisecond})
	}
	q.take(sample{at: start.Add(6000 * time.Second), mos: 2, loss: 30})
	if q.n != 1001 || len(q.progress) >= maxProgress || q.lowest.mos != 2 || q.highest.mos != 4 {
		t.Errorf("%d samples, %d entries, lowest %v, highest %v", q.n, len(q.progress), q.lowest.mos, q.highest.mos)
	}

	// Reception reports make their way into query, where proxies read them.
	e := loopback(t)
	dialogue(t, e, "c", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio)}, step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio)})
	c := e.lockCall("c")
	m := c.participants[0].Medias[0]
	early := relay.SSRCStatus{SSRC: 4711, Reports: []relay.ReceptionReport{{At: time.Now().Add(-time.Second), Reporter: 815, RoundTrip: time.Millisecond}}}
	c.sampleSource(m, &early, ifaceKey{}) // the other side's round trip is not known yet
	c.participants[1].Medias[0].roundTrip = 30 * time.Millisecond
	src := relay.SSRCStatus{SSRC: 4711, Packets: 5, Lost: 3, Reports: []relay.ReceptionReport{{At: time.Now(), Reporter: 815, FractionLost: 25, Lost: 4, JitterUnits: 80, RoundTrip: 20 * time.Millisecond}}}
	c.sampleSource(m, &src, ifaceKey{})
	c.sampleSource(m, &src, ifaceKey{}) // the same report counts once
	d := &ng.Dict{}
	(&reporter{call: c}).ssrc(d, &relay.SSRCStatus{SSRC: 815, Lost: 3}) // what it says stands with the reporter's own source
	e.unlock(c)
	avg := d.Value("average MOS").Dict()
	for key, want := range map[string]int64{"samples": 1, "jitter": 10, "round-trip time leg": 20000, "round-trip time": 50000, "packet loss": 9} {
		if n, _ := avg.Value(key).Int(); n != want {
			t.Errorf("%s = %d, want %d", key, n, want)
		}
	}
	if n, _ := d.Value("cumulative loss").Int(); n != 3 || d.Value("MOS progression").Dict() == nil {
		t.Errorf("loss %d, entries %v", n, d.Entries())
	}
}

func TestWholeCallWishes(t *testing.T) {
	e := loopback(t, func(c *Config) { c.TOS = 184 })
	offer := func(flags ...any) {
		must(t, e, "offer", append([]any{"call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, plainAudio)}, flags...)...)
	}
	check := func(want relay.Settings) {
		t.Helper()
		c := e.lockCall("c")
		defer e.unlock(c)
		if got := c.participants[0].Medias[0].settings(); got.TOS != want.TOS || got.DropIn != want.DropIn || got.Learning != want.Learning {
			t.Errorf("TOS %d, drop %v, learning %v; want %d, %v, %v", got.TOS, got.DropIn, got.Learning, want.TOS, want.DropIn, want.Learning)
		}
	}
	offer()
	check(relay.Settings{TOS: 184})
	offer("TOS", 46, "drop-traffic", "start", "endpoint-learning", "immediate")
	check(relay.Settings{TOS: 46, DropIn: true, Learning: relay.LearnImmediate})
	offer("TOS", -1, "drop-traffic", "stop", "metadata", "x=y", "xmlrpc-callback", "192.0.2.1")
	check(relay.Settings{TOS: -1, Learning: relay.LearnImmediate})
	offer("TOS", 300)
	check(relay.Settings{TOS: 184, Learning: relay.LearnImmediate})
	if got := must(t, e, "query", "call-id", "c").Value("metadata").Str(); got != "x=y" {
		t.Errorf("metadata %q", got)
	}
}

func TestUnknownWords(t *testing.T) {
	var log bytes.Buffer
	e := loopback(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		dialogue(t, e, "c", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), flags: []any{"flags", []string{"frobnicate"}}})
	}
	if n := strings.Count(log.String(), "frobnicate"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "callid=c") {
		t.Errorf("no call-id in\n%s", log.String())
	}
	if n := e.unknown.total.Load(); n != 3 {
		t.Errorf("counted %d", n)
	}
}

func TestEvents(t *testing.T) {
	var log bytes.Buffer
	e := loopback(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	e.Close() // its goroutines must not write to the log meanwhile
	var open, closed localPort
	open.owner.Store(&portOwner{log: e.log.With("callid", "x"), index: 1, call: newCall(e, "x", time.Now())})
	for kind := relay.EventFirstPacket; kind <= relay.EventDTLSFailed; kind++ {
		e.event(relay.Event{Kind: kind, Owner: &open})
		e.event(relay.Event{Kind: kind, Owner: &closed})
	}
	if n := strings.Count(log.String(), "callid=x"); n != int(relay.EventDTLSFailed)+1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	if e.stats.dtlsFailed.Load() != 1 || e.stats.iceFailed.Load() != 1 || e.stats.consentLost.Load() != 1 {
		t.Error("failures not counted")
	}
}

func TestControlTable(t *testing.T) {
	var c control
	for i := range maxProxies + 10 {
		c.count(fmt.Sprint(i), 0, time.Millisecond, i == 3)
	}
	list := c.snapshot()
	if len(list) != maxProxies+1 {
		t.Fatalf("%d clients", len(list))
	}
	i := slices.IndexFunc(list, func(p proxyStats) bool { return p.proxy == otherProxies })
	if i < 0 || list[i].counts[0] != 10 {
		t.Errorf("others: %d", i)
	}
	if proxyName(&ng.Request{}) != "local" {
		t.Error("a request without a source")
	}
}

func TestHandlerContext(t *testing.T) {
	e := loopback(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := e.HandleNG(ctx, &ng.Request{Command: "ping", Dict: &ng.Dict{}}); r.Result != "pong" {
		t.Errorf("%+v", r)
	}
}

// recorder is a Store that remembers what it was told.
type recorder struct{ saved, deleted []string }

func (r *recorder) Save(c *Call)     { r.saved = append(r.saved, c.ID) }
func (r *recorder) Delete(id string) { r.deleted = append(r.deleted, id) }
func (r *recorder) Close() error     { return nil }

func TestStore(t *testing.T) {
	r := &recorder{}
	e := loopback(t, func(c *Config) { c.Store, c.DeleteDelay = r, 0 })
	ok := body(rtpFrom, plainAudio)
	dialogue(t, e, "c", step{command: "offer", from: "A", sdp: ok}, step{command: "answer", from: "A", to: "B", sdp: ok, flags: []any{"flags", []string{"no-redis-update"}}})
	must(t, e, "delete", "call-id", "c")
	if !slices.Equal(r.saved, []string{"c"}) || !slices.Equal(r.deleted, []string{"c"}) {
		t.Errorf("saved %q, deleted %q", r.saved, r.deleted)
	}
}
