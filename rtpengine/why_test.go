package rtpengine

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ice"
	"rtpsidecar/sdp"
)

// chain is a call from a phone over the engine under test to another engine, which plays a browser or SRTP gateway, to
// a second phone: offers go near, far; answers far, near. Faults are seeded by changing the bodies between them, or by
// what the phones do.
type chain struct {
	t         *testing.T
	near, far *Engine
	a, b      *phone

	after     func() // once the call is made
	bSilent   bool   // the second phone is not heard
	farSilent bool   // the far engine ends before it can answer

	id          string
	nearFlags   []any               // towards the far engine
	answerFlags []any               // of the near engine's answer
	farFlags    []any               // of the far engine, plain by default
	onOffer     func(string) string // between near and far
	onAnswer    func(string) string
	aBody       string
	bBody       string
	toA, toB    *sdp.Session // what the phones got
}

var chains int

func newChain(t *testing.T, near, far *Engine) *chain {
	chains++
	c := &chain{t: t, near: near, far: far, a: newPhone(t), b: newPhone(t), id: "chain" + strconv.Itoa(chains)}
	c.aBody, c.bBody = body("127.0.0.1", audio(c.a.port())), body("127.0.0.1", audio(c.b.port()))
	c.farFlags = []any{"ICE", "remove", "transport-protocol", "RTP/AVP"}
	same := func(s string) string { return s }
	c.onOffer, c.onAnswer = same, same
	return c
}

func (c *chain) ask(e *Engine, command, sdp string, flags ...any) string {
	c.t.Helper()
	args := []any{"call-id", c.id, "from-tag", "A", "sdp", sdp}
	if command == "answer" {
		args = append(args, "to-tag", "B")
	}
	return must(c.t, e, command, append(args, flags...)...).Value("sdp").Str()
}

// call makes the call.
func (c *chain) call() {
	c.t.Helper()
	if c.onAnswer == nil { // nobody does
		c.ask(c.near, "offer", c.aBody, c.nearFlags...)
		return
	}
	offer := c.onOffer(c.ask(c.near, "offer", c.aBody, c.nearFlags...))
	toB := c.ask(c.far, "offer", offer, c.farFlags...)
	answer := c.onAnswer(c.ask(c.far, "answer", c.bBody))
	if c.farSilent {
		c.far.Terminate(c.id)
	}
	toA := c.ask(c.near, "answer", answer, c.answerFlags...)
	c.toB, c.toA = parsed(c.t, toB), parsed(c.t, toA)
	if c.after != nil {
		c.after()
	}
}

func parsed(t *testing.T, text string) *sdp.Session {
	t.Helper()
	s, err := sdp.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// talkFor sends in both directions until done says enough, or the time is over.
func (c *chain) talkFor(d time.Duration, pt byte, done func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, x := range []struct {
			p *phone
			s *sdp.Session
		}{{c.a, c.toA}, {c.b, c.toB}} {
			if x.s != nil && x.s.Media[0].Port != 0 && !(c.bSilent && x.p == c.b) {
				x.p.send(x.s.Media[0], pt, strings.Repeat("x", 160))
			}
		}
		if done() {
			return true
		}
	}
	return false
}

// why is the diagnosis as it would be some time later.
func (c *chain) why(later time.Duration) Diagnosis {
	c.t.Helper()
	call := c.near.lockCall(c.id)
	if call == nil {
		c.t.Fatal("no call")
	}
	defer c.near.unlock(call)
	return call.diagnose(time.Now().Add(later))
}

func codes(d Diagnosis) (list []string) {
	for _, f := range d.Flows {
		for _, x := range f.Causes {
			list = append(list, f.From+">"+f.To+" "+x.Party+" "+x.Code)
		}
	}
	return list
}

// replace changes all that matches in a body.
func replace(expr, with string) func(string) string {
	re := regexp.MustCompile(expr)
	return func(s string) string { return re.ReplaceAllString(s, with) }
}

var (
	webrtcFlags = []any{"ICE", "force", "transport-protocol", "UDP/TLS/RTP/SAVPF"}
	dtlsFlags   = []any{"transport-protocol", "UDP/TLS/RTP/SAVPF"}
	sdesFlags   = []any{"transport-protocol", "RTP/SAVP", "DTLS", "off"}
)

// TestWhyFaults seeds one fault a row; want is what the diagnosis must say, as "FROM>TO PARTY code". Nothing else may
// be said beyond. says is what the text must tell besides, as an expression: the words that an operator acts on.
func TestWhyFaults(t *testing.T) {
	near, far := loopback(t), loopback(t)
	later := 6 * time.Second
	never := func(c *chain) {}
	tests := []struct {
		name string
		seed func(c *chain)
		play func(c *chain) // nil: both talk for a moment
		pt   byte
		at   time.Duration
		want []string
		says string
	}{
		{name: "nobody sends", play: never, want: []string{"A>B A no-packets", "B>A B no-packets"}, says: `No packet ever arrived on port \d+ from anyone; A was told to send to 127\.0\.0\.1:\d+`},
		{name: "the caller does not send", play: func(c *chain) {
			for range 5 {
				c.b.send(c.toB.Media[0], 0, "x")
			}
			c.settle(ok("B", "A"))
		}, want: []string{"A>B A no-packets"}},
		{name: "RTCP alone", play: func(c *chain) {
			m := c.toA.Media[0]
			c.a.rtcp.WriteToUDPAddrPort(senderReport, netip.AddrPortFrom(m.RTPAddr().Addr(), m.RTPAddr().Port()+1))
			c.sendFrom(c.b, c.toB, 5)
			c.settle(func(d Diagnosis) bool { return slices.Contains(codes(d), "A>B A rtcp-only") })
		}, want: []string{"A>B A rtcp-only"}},
		{name: "not answered", seed: func(c *chain) { c.onAnswer = nil }, play: never,
			want: []string{"A><untagged 1> <untagged 1> no-answer", "<untagged 1>>A <untagged 1> no-answer"}},
		{name: "refused", seed: func(c *chain) { c.onAnswer = replace(`m=audio \d+`, "m=audio 0") }, play: never,
			want: []string{"A>B B rejected", "B>A B rejected"}, says: `B refused this audio section: its SDP has port 0`},
		{name: "sendonly", seed: func(c *chain) { c.bBody += "a=sendonly\r\n" },
			want: []string{"A>B B direction"}, says: `The SDP of B says a=sendonly`},
		{name: "hold by zero address", seed: func(c *chain) { c.onAnswer = replace(`c=IN IP4 [\d.]+`, "c=IN IP4 0.0.0.0") },
			want: []string{"A>B B hold"}},
		{name: "blocked", seed: func(c *chain) {
			c.after = func() {
				must(c.t, near, "block media", "call-id", c.id, "from-tag", "A", "flags", []string{"directional"})
			}
		}, want: []string{"A>B A blocked"}},
		{name: "drop-traffic", seed: func(c *chain) { c.answerFlags = []any{"drop-traffic", "start"} },
			want: []string{"A>B A blocked", "B>A B blocked"}},
		{name: "address family", seed: func(c *chain) { c.onAnswer = replace(`c=IN IP4 [\d.]+`, "c=IN IP6 2001:db8::1") },
			want: []string{"A>B B family"}, says: `wants its media at .*2001:db8::1.* \(IPv6\), but it is served on 127\.0\.0\.1.* \(IPv4\)`},
		{name: "strict-source", seed: func(c *chain) {
			c.onAnswer = replace(`c=IN IP4 127.0.0.1`, "c=IN IP4 127.0.0.9")
			c.answerFlags = []any{"endpoint-learning", "off", "flags", []string{"strict-source"}}
		}, want: []string{"B>A B source-refused"}, says: `packets came from 127\.0\.0\.1:\d+ and were refused.*; the SDP of B says 127\.0\.0\.9:\d+`},
		{name: "not learnt", seed: func(c *chain) {
			c.onAnswer = replace(`m=audio \d+`, "m=audio 9")
			c.answerFlags = []any{"flags", []string{"asymmetric"}}
		}, want: []string{"A>B B not-learnt"}, says: `Packets of B come from 127\.0\.0\.1:\d+, but media goes to .* as its SDP says \(asymmetric\)`},
		{name: "advertised address", seed: func(c *chain) { c.aBody = strings.ReplaceAll(c.aBody, "127.0.0.1", "198.51.100.7") },
			play: func(c *chain) { c.sendFrom(c.b, c.toB, 5); c.settle(ok("B", "A")) },
			want: []string{"A>B A unroutable"}, says: `was told to send to 127\.0\.0\.1, an address that it can hardly reach`},
		{name: "unknown payload type", pt: 96, want: []string{"A>B A unknown-pt", "B>A B unknown-pt"}, says: `A sends payload type 96, which was not negotiated`},
		{name: "not RTP", play: func(c *chain) {
			for range 5 {
				c.a.rtp.WriteToUDPAddrPort([]byte("hello, world: no RTP"), c.toA.Media[0].RTPAddr())
			}
			c.sendFrom(c.b, c.toB, 5)
			c.settle(func(d Diagnosis) bool { return slices.Contains(codes(d), "A>B A not-rtp") })
		}, want: []string{"A>B A not-rtp"}},
		{name: "silence after a while", at: 20 * time.Second, want: []string{"A>B A silence", "B>A B silence"}, says: `Packets from A came until \d+s into the call, then nothing for 20s, as when a firewall or NAT closes its hole`},
		{name: "wrong SDES key", seed: func(c *chain) {
			c.nearFlags = sdesFlags
			c.onAnswer = replace(`inline:[A-Za-z0-9+/]{8}`, "inline:AAAAAAAA")
		}, want: []string{"B>A B srtp-auth"}, says: `packets from 127\.0\.0\.1:\d+ fail SRTP authentication since \d\d:\d\d:\d\d`},
		{name: "no fingerprint", seed: func(c *chain) {
			c.nearFlags = dtlsFlags
			c.onAnswer = replace(`a=fingerprint:.*\r\n`, "")
		}, want: []string{"A>B B no-keys", "B>A B no-keys"}},
		{name: "wrong fingerprint", seed: func(c *chain) {
			c.nearFlags = dtlsFlags
			c.onAnswer = replace(`a=fingerprint:sha-256 ..:..:..`, "a=fingerprint:sha-256 00:11:22")
		}, want: []string{"A>B B dtls-fingerprint", "B>A B dtls-fingerprint"}, says: `The certificate of B does not match the a=fingerprint of its SDP`},
		{name: "our fingerprint was replaced", seed: func(c *chain) {
			c.nearFlags = dtlsFlags
			c.onOffer = replace(`a=fingerprint:sha-256 ..:..:..`, "a=fingerprint:sha-256 00:11:22")
		}, want: []string{"A>B B dtls-alert", "B>A B dtls-alert"}, says: `alert`},
		{name: "both passive", seed: func(c *chain) {
			c.nearFlags = dtlsFlags
			c.onOffer = replace(`a=setup:actpass`, "a=setup:active")
			c.onAnswer = replace(`a=setup:passive`, "a=setup:active")
		}, want: []string{"A>B B dtls-no-hello", "B>A B dtls-no-hello"}, says: `The DTLS ClientHello of B, which is to be active, never came`},
		{name: "DTLS filtered", seed: func(c *chain) {
			c.nearFlags = dtlsFlags
			c.onOffer = replace(`a=setup:actpass`, "a=setup:active")
			c.onAnswer = replace(`a=setup:.*`, "a=setup:passive")
			c.farSilent = true
		}, want: []string{"A>B B dtls-no-answer", "B>A B dtls-no-answer"}},
		{name: "DTLS where plain was agreed", seed: func(c *chain) {
			c.nearFlags = dtlsFlags
			c.onAnswer = func(s string) string {
				return replace(`UDP/TLS/RTP/SAVPF`, "RTP/AVP")(replace(`a=(fingerprint|setup|tls-id):.*\r\n`, "")(s))
			}
			c.answerFlags = []any{"transport-protocol", "accept"}
		}, want: []string{"B>A B dtls-not-agreed"}},
		{name: "wrong ice-pwd", seed: func(c *chain) {
			c.nearFlags = webrtcFlags
			c.onOffer = replace(`a=ice-pwd:.*`, "a=ice-pwd:0123456789012345678901234567")
		}, want: []string{"A>B B ice-credentials", "B>A B ice-credentials"}, says: `ICE checks came from 127\.0\.0\.1:\d+ without valid credentials: wrong ice-pwd`},
		{name: "wrong ice-ufrag", seed: func(c *chain) {
			c.nearFlags = webrtcFlags
			c.onOffer = replace(`a=ice-ufrag:.*`, "a=ice-ufrag:wrong123")
		}, want: []string{"A>B B ice-credentials", "B>A B ice-credentials"}},
		{name: "dead candidates", seed: func(c *chain) {
			c.nearFlags = webrtcFlags
			c.onOffer = replace(`a=candidate:(\S+ \d \S+ \d+) [\d.]+ \d+`, "a=candidate:$1 127.0.0.77 9")
			c.onAnswer = replace(`a=candidate:(\S+ \d \S+ \d+) [\d.]+ \d+`, "a=candidate:$1 127.0.0.78 9")
		}, want: []string{"A>B B ice-no-answer", "B>A B ice-no-answer"}, says: `No candidate pair of B answered: 127\.0\.0\.1:\d+ .*\d+`},
		{name: "candidates are names", seed: func(c *chain) {
			c.nearFlags = webrtcFlags
			c.onOffer = replace(`a=candidate:.*\r\n`, "")
			c.onAnswer = replace(`a=candidate:(\S+ \d \S+ \d+) [\d.]+ \d+`, "a=candidate:$1 b4b0a5fe.local 5000")
		}, want: []string{"A>B B ice-no-candidates", "B>A B ice-no-candidates"}},
		{name: "ICE was removed", seed: func(c *chain) {
			c.nearFlags = []any{"ICE", "force"}
			c.onAnswer = replace(`a=(ice-|candidate).*\r\n`, "")
			c.bSilent = true
		}, want: []string{"B>A B stun-without-ice"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t, near, far)
			if tt.seed != nil {
				tt.seed(c)
			}
			c.call()
			at := tt.at
			if at == 0 {
				at = later
			}
			var got []string
			same := func() bool { got = codes(c.why(at)); return slices.Equal(got, tt.want) }
			if tt.play != nil {
				tt.play(c)
				for end := time.Now().Add(2 * time.Second); !same() && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				}
			} else {
				c.talkFor(3*time.Second, tt.pt, same)
			}
			if !same() {
				d := c.why(at)
				t.Errorf("got %q, want %q\n%s", got, tt.want, d.Text())
			}
			d := c.why(at)
			words := strings.Join(strings.Fields(d.Text()), " ")
			if !regexp.MustCompile(tt.says).MatchString(words) {
				t.Errorf("%q does not say %q", words, tt.says)
			}
		})
	}
}

// ok tells of one direction that it works.
func ok(from, to string) func(Diagnosis) bool {
	return func(d Diagnosis) bool {
		return slices.ContainsFunc(d.Flows, func(f Flow) bool { return f.From == from && f.To == to && f.State == FlowOK })
	}
}

// settle waits until the diagnosis is as wanted; what is sent takes a moment to arrive.
func (c *chain) settle(done func(Diagnosis) bool) {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && !done(c.why(6*time.Second)); time.Sleep(5 * time.Millisecond) {
	}
}

func (c *chain) sendFrom(p *phone, s *sdp.Session, n int) {
	for range n {
		p.send(s.Media[0], 0, "voice")
	}
}

// senderReport is a sender report without blocks of SSRC 1.
var senderReport = append([]byte{0x80, 200, 0, 6, 0, 0, 0, 1}, make([]byte, 20)...)

// natNoted is how a healthy flow tells that an address was learnt.
var natNoted = regexp.MustCompile(`Packets of [AB] come from 127\.0\.0\.1:\d+, but its SDP says \S+: it is behind a NAT; media goes to 127\.0\.0\.1:\d+`)

// TestWhyHealthy: no false alarm on calls of all kinds that work.
func TestWhyHealthy(t *testing.T) {
	near, far := loopback(t), loopback(t)
	kinds := []struct {
		name string
		seed func(c *chain)
	}{
		{"plain", nil},
		{"SDES", func(c *chain) { c.nearFlags = sdesFlags }},
		{"DTLS", func(c *chain) { c.nearFlags = dtlsFlags }},
		{"WebRTC", func(c *chain) { c.nearFlags = webrtcFlags }},
		{"ICE alone", func(c *chain) { c.nearFlags = []any{"ICE", "force"} }},
		{"muxed WebRTC", func(c *chain) { c.nearFlags = append(slices.Clone(webrtcFlags), "rtcp-mux", []string{"offer"}) }},
		{"NAT", func(c *chain) {
			c.aBody = strings.ReplaceAll(c.aBody, "m=audio "+strconv.Itoa(c.a.port()), "m=audio "+strconv.Itoa(c.a.port()+1000))
		}},
		{"strict source", func(c *chain) { c.nearFlags = []any{"flags", []string{"strict-source"}} }},
		{"DTLS passive", func(c *chain) { c.nearFlags = append(slices.Clone(dtlsFlags), "DTLS", "passive") }},
		{"private address learnt", func(c *chain) { c.bBody = strings.ReplaceAll(c.bBody, "IP4 127.0.0.1", "IP4 10.1.2.3") }},
	}
	for i := range 50 {
		k := kinds[i%len(kinds)]
		t.Run(fmt.Sprintf("%s %d", k.name, i/len(kinds)+1), func(t *testing.T) {
			c := newChain(t, near, far)
			if k.seed != nil {
				k.seed(c)
			}
			c.call()
			healthy := func() bool {
				d := c.why(6 * time.Second)
				return ok("A", "B")(d) && ok("B", "A")(d)
			}
			for range 3 { // at all times, not only in the end: no fault before there is one
				if d := c.why(0); slices.ContainsFunc(d.Flows, func(f Flow) bool { return f.State == FlowFault }) {
					t.Errorf("false alarm at the beginning\n%s", d.Text())
				}
			}
			if !c.talkFor(5*time.Second, 0, healthy) {
				d := c.why(6 * time.Second)
				t.Errorf("false alarm\n%s", d.Text())
			}
			d := c.why(6 * time.Second)
			words := strings.Join(strings.Fields(d.Text()), " ")
			if k.name == "NAT" && !natNoted.MatchString(words) {
				t.Errorf("%q does not tell of the NAT", words)
			}
		})
	}
}

func TestWhyOfEndedCalls(t *testing.T) {
	e := loopback(t)
	dialogue(t, e, "gone", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio)},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio)})
	must(t, e, "delete", "call-id", "gone", "delete-delay", 0)
	d, ok := e.Why("gone")
	if !ok || d.Ended != "terminated" || len(d.Flows) != 2 {
		t.Errorf("diagnosis %+v, %t", d, ok)
	}
	if _, ok := e.Why("never was"); ok {
		t.Error("an unknown call is known")
	}
	v, _ := e.View("gone")
	var kinds []string
	for _, m := range v.Timeline {
		kinds = append(kinds, m.Kind)
	}
	if got := strings.Join(kinds, " "); got != "offer answer end" {
		t.Errorf("timeline %q", got)
	}
	for _, p := range v.Parties {
		if m := p.Medias[0]; len(v.Parties) != 2 || m.Local == "" || m.Endpoint == "" {
			t.Errorf("ended call's %s is seen without what was before its end: %+v", p.Tag, m)
		}
	}
	must(t, e, "offer", "call-id", "later", "from-tag", "A", "sdp", body(rtpFrom, plainAudio))
	must(t, e, "delete", "call-id", "later", "delete-delay", 0)
	e.sweep(e.now())
	if c := e.ended.all()[0]; c.call != nil || c.view.CallID != "later" {
		t.Errorf("a sweep has left call %q as it was", c.id)
	}
	for i := range endedKept {
		e.ended.keep(&endedCall{id: strconv.Itoa(i), call: newCall(e, strconv.Itoa(i), e.now())})
	}
	if _, ok := e.Why("gone"); ok || len(e.ended.all()) != endedKept {
		t.Error("ended calls are not bounded")
	}
}

func TestTimelineIsBounded(t *testing.T) {
	var tl timeline
	for i := range 10 * timelineLen {
		tl.add(moment{Moment: Moment{Text: strconv.Itoa(i)}})
	}
	got := tl.moments()
	if len(got) != timelineLen+1 || got[0].Text != "0" || got[timelineLen].Text != strconv.Itoa(10*timelineLen-1) ||
		got[timelineLen/4].Kind != "gap" {
		t.Errorf("%d entries, %+v", len(got), got[timelineLen/4])
	}
}

// TestWhyOneLeg judges legs in states that would take minutes to bring about.
func TestWhyOneLeg(t *testing.T) {
	e := loopback(t)
	dialogue(t, e, "c", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio)},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio)})
	c := e.lockCall("c")
	defer e.unlock(c)
	now := c.created.Add(10 * time.Minute)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	stranger := netip.MustParseAddrPort("203.0.113.5:4000")
	x := examiner{call: c, now: now}
	tests := []struct {
		name string
		leg  func(*legState)
		want string
	}{
		{"heard", func(l *legState) { l.st.Streams[0].LastPacket = ago(time.Second) }, ""},
		{"silence", func(l *legState) {}, "silence"},
		{"RTCP goes on", func(l *legState) { l.st.Streams[1].LastPacket = ago(time.Second) }, "silence-rtcp"},
		{"another source", func(l *legState) { l.st.Streams[0].Drops = relay.Drops{Source: 9, From: stranger} }, "source-changed"},
		{"wrong key since", func(l *legState) {
			l.st.Streams[0].Drops = relay.Drops{Auth: 9, AuthFrom: stranger, AuthSince: ago(50 * time.Second)}
		}, "srtp-auth"},
		{"wrong key, passed on", func(l *legState) {
			l.st.Streams[0].LastPacket, l.st.Streams[0].Drops = now, relay.Drops{Auth: 9, AuthFrom: stranger, AuthSince: ago(50 * time.Second), Passed: true}
		}, "srtp-auth"},
		{"short packets", func(l *legState) { l.st.Streams[0].LastPacket, l.st.Streams[0].Drops.Short = now, 60 }, "short"},
		{"a few short packets", func(l *legState) { l.st.Streams[0].LastPacket, l.st.Streams[0].Drops.Short = now, 40 }, ""},
		{"consent lost", func(l *legState) {
			l.hasICE, l.ice.State = true, ice.StateFailed
			l.ice.Stats.LastGood = ago(40 * time.Second)
		}, "ice-consent-lost"},
		{"never, wrong section", func(l *legState) { l.received, l.st.Streams[0].Drops.Unrouted = 0, 3 }, "unknown-section"},
		{"never, no keys yet", func(l *legState) { l.received, l.st.Streams[0].Drops.Early = 0, 3 }, "srtp-no-keys"},
		{"never, ICE lost", func(l *legState) {
			l.received, l.hasICE, l.ice.State = 0, true, ice.StateFailed
			l.ice.Stats = ice.Stats{Requests: 4, Responses: 4, ConsentSent: 3, LastGood: ago(time.Minute)}
		}, "ice-consent-lost"},
		{"never, one-way ICE", func(l *legState) {
			l.received, l.hasICE, l.ice.State = 0, true, ice.StateChecking
			l.ice.Stats, l.ice.Pairs = ice.Stats{Requests: 4}, []ice.PairStatus{{Remote: stranger}}
		}, "ice-one-way"},
		{"never, handshake unfinished", func(l *legState) {
			l.received, l.leg.DTLS.On, l.st.DTLSHeard = 0, true, true
			l.leg.DTLS.Remote = []sdp.Fingerprint{{}}
		}, "dtls-unfinished"},
		{"never, handshake failed", func(l *legState) { l.received, l.leg.DTLS.On, l.st.DTLSError = 0, true, "timeout" }, "dtls-failed"},
		{"never, no fingerprint", func(l *legState) { l.received, l.leg.DTLS.On = 0, true }, "dtls-no-fingerprint"},
		{"sends nothing to be learnt", func(l *legState) { l.received, l.leg.Flags.NATWait = 0, true }, "unroutable nat-wait"},
		{"behind a NAT", func(l *legState) {
			l.received, l.st.Streams[0].Endpoint = 0, netip.MustParseAddrPort("10.1.1.1:4000")
			l.st.Streams[0].Local = netip.MustParseAddrPort("198.51.100.1:30000")
		}, "unroutable behind-nat"},
		{"the system refuses", func(l *legState) {
			l.st.Streams[0].LastPacket = now
			l.st.Streams[0].Out = relay.Counters{Packets: 10, Errors: 20}
		}, "send-errors"},
	}
	a, b := c.participants[0].Medias[0], c.participants[1].Medias[0]
	for _, tt := range tests {
		copied := *b
		leg := &legState{Media: &copied, received: 100}
		leg.st.Streams[0].LastPacket = ago(time.Minute)
		leg.st.Streams[0].Filled, leg.st.Streams[0].Endpoint = true, stranger
		leg.st.Streams[0].Out.Packets = 1
		leg.locals = b.transport().Locals()
		tt.leg(leg)
		x.legs = map[*Media]*legState{b: leg}
		var got []string
		for _, cause := range slices.Concat(x.incoming(leg), x.outgoing(find(b.sources, a), x.leg(a), leg)) {
			got = append(got, cause.Code)
		}
		if strings.Join(slices.Compact(got), " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
