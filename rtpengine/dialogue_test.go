package rtpengine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

const waitTime = 2 * time.Second

// port is our port in the first section of a reply.
func portOf(t *testing.T, s *sdp.Session, i int) uint16 {
	t.Helper()
	if i >= len(s.Media) {
		t.Fatalf("only %d sections", len(s.Media))
	}
	return s.Media[i].Port
}

// tags are the parties in query's order.
func tags(t *testing.T, e *Engine, id string) []string {
	t.Helper()
	var names []string
	for _, en := range must(t, e, "query", "call-id", id).Value("tags").Dict().Entries() {
		names = append(names, en.Key)
	}
	return names
}

func TestPortStability(t *testing.T) {
	e := loopback(t)
	offer := func(port int, flags ...any) uint16 {
		return portOf(t, mustSDP(t, e, "offer", append([]any{"call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, audio(port))}, flags...)...), 0)
	}
	answer := func(tag string, port int) uint16 {
		return portOf(t, mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", tag, "sdp", body(rtpFrom, audio(port))), 0)
	}
	first := offer(40000)
	a1 := answer("B", 50000)
	if again := offer(40000); again != first {
		t.Errorf("resent offer: port %d, was %d", again, first)
	}
	if again := answer("B", 50000); again != a1 {
		t.Errorf("same answer: port %d, was %d", again, a1)
	}
	changed := offer(40010)
	if changed == first {
		t.Error("another endpoint, same port")
	}
	if back := offer(40000); back != first {
		t.Errorf("the first endpoint again: port %d, was %d", back, first)
	}
	if latched := offer(40020, "flags", []string{"port-latching"}); latched != first {
		t.Errorf("port-latching: port %d, was %d", latched, first)
	}
	hold := body(rtpFrom, audio(40030)+"a=sendonly\n")
	if held := portOf(t, mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", hold), 0); held != first {
		t.Errorf("another endpoint that nothing is sent to: port %d, was %d", held, first)
	}
	if other := answer("C", 50010); other == a1 {
		t.Error("the second branch's answer shows the first one's port")
	}
}

// TestPortsOfTheOtherSide covers what makes a party's ports change although its own SDP did not.
func TestPortsOfTheOtherSide(t *testing.T) {
	t.Run("one port was all that was offered, and is not enough", func(t *testing.T) {
		e := loopback(t)
		mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "rtcp-mux", []string{"require"}, "sdp", body(rtpFrom, audio(40000)))
		mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, audio(50000)))
		mustSDP(t, e, "offer", "call-id", "c", "from-tag", "B", "to-tag", "A", "sdp", body(rtpFrom, audio(50000)))
		s := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "B", "to-tag", "A", "sdp", body(rtpFrom, audio(40000)))
		if r := s.Media[0].RTCP; r == nil || r.Port != s.Media[0].Port+1 {
			t.Errorf("RTCP at %+v, RTP at %d: a party without rtcp-mux needs a pair", r, s.Media[0].Port)
		}
	})
	t.Run("muxing was the only way, and the other side does without", func(t *testing.T) {
		e := loopback(t)
		muxed := browserAudio + "a=rtcp-mux\n"
		o := mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "rtcp-mux", []string{"require"}, "ICE", "force", "sdp", body(rtpFrom, audio(40000)))
		mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, muxed))
		mustSDP(t, e, "offer", "call-id", "c", "from-tag", "B", "to-tag", "A", "sdp", body(rtpFrom, muxed))
		s := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "B", "to-tag", "A", "sdp", body(rtpFrom, audio(40000)))
		if r := s.Media[0].RTCP; r == nil || r.Port != s.Media[0].Port+1 || s.Media[0].RTCPMux {
			t.Errorf("RTCP at %+v muxed %v, RTP at %d: want a pair", r, s.Media[0].RTCPMux, s.Media[0].Port)
		}
		if u := s.Media[0].ICE.Ufrag; u == "" || u == o.Media[0].ICE.Ufrag {
			t.Errorf("ufrag %q on new ports, was %q", u, o.Media[0].ICE.Ufrag)
		}
	})
	t.Run("a refused section says nothing about DTLS", func(t *testing.T) {
		e := loopback(t)
		offer := func() string {
			return must(t, e, "offer", "call-id", "c", "from-tag", "A", "transport-protocol", "UDP/TLS/RTP/SAVP", "DTLS", "passive",
				"SDES", "off", "sdp", body(rtpFrom, audio(40000))).Value("sdp").Str()
		}
		lines(t, "first", offer(), "a=fingerprint:")
		mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, "m=audio 0 UDP/TLS/RTP/SAVP 0"))
		lines(t, "second", offer(), "a=fingerprint:", "a=setup:actpass")
	})
	t.Run("a browser that moves shows its partner another port", func(t *testing.T) {
		e := loopback(t)
		offer := func(port string) uint16 {
			at := strings.NewReplacer("m=audio 9 ", "m=audio "+port+" ", "c=IN IP4 0.0.0.0", "c=IN IP4 198.51.100.9").Replace(browserAudio)
			return portOf(t, mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "ICE", "remove", "transport-protocol", "RTP/AVP",
				"sdp", body(rtpFrom, at)), 0)
		}
		first := offer("40100")
		mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, audio(50000)))
		if offer("40200") == first {
			t.Error("the port of a partner without ICE stayed")
		}
	})
}

func TestPeers(t *testing.T) {
	e := loopback(t, func(c *Config) {
		c.Route = func(a netip.Addr) (netip.Addr, error) {
			switch a.String() {
			case "192.0.2.7":
				return netip.MustParseAddr("127.0.0.2"), nil
			case "192.0.2.8":
				return netip.MustParseAddr("10.0.0.1"), nil // none of ours
			}
			return netip.Addr{}, errors.New("network is unreachable")
		}
	})
	const ext, def = "c=IN IP4 127.0.0.2", "c=IN IP4 127.0.0.1"
	for _, tt := range []struct {
		name             string
		keys             []any
		toCallee, caller string
	}{
		{"outbound", []any{"outbound-peer", "192.0.2.7"}, ext, def},
		{"inbound", []any{"inbound-peer", "192.0.2.7"}, def, ext},
		{"both", []any{"inbound-peer", "192.0.2.7", "outbound-peer", "192.0.2.7"}, ext, ext},
		{"a named interface wins", []any{"outbound-peer", "192.0.2.7", "to-interface", "default"}, def, def},
		{"not one of ours", []any{"outbound-peer", "192.0.2.8"}, def, def},
		{"no route", []any{"outbound-peer", "198.51.100.1"}, def, def},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dialogue(t, e, tt.name,
				step{command: "offer", from: "A", sdp: body(rtpFrom, audio(40000)), flags: tt.keys, want: []string{tt.toCallee}},
				step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, audio(50000)), want: []string{tt.caller}})
		})
	}
	lines(t, "publish", must(t, e, "publish", "sdp", body(rtpFrom, audio(40000)), "peer", "192.0.2.7").Value("sdp").Str(), ext)
}

// TestFamilyOfTheAnswer has one party answer from the other family than it was offered.
func TestFamilyOfTheAnswer(t *testing.T) {
	const four, six = "127.0.0.1", "::1"
	ice := func(s string) string { return s + "a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\n" }
	answer6 := func(section string) string { return strings.ReplaceAll(body("2001:db8::9", section), "IP4", "IP6") }
	source := []any{"flags", []string{"SIP-source-address"}, "received-from", []string{"IP4", "203.0.113.9"}}
	for _, tt := range []struct {
		name               string
		answer             string
		keys               []any
		toCallee, ofItsOwn string // c= of the re-offer to it, and of the answer to a re-offer of its own
	}{
		{"plain", answer6(audio(50000)), nil, six, six},
		{"a family was asked for", answer6(audio(50000)), []any{"address-family", "IP4"}, four, six},
		{"the message came from the first", answer6(audio(50000)), source, four, six},
		{"ICE", answer6(ice(audio(50000))), []any{"ICE", "force"}, four, four},
		{"ICE refused", answer6(audio(50000)), []any{"ICE", "force"}, six, six},
		{"ICE that nobody offered", answer6(ice(audio(50000))), []any{"ICE", "remove"}, six, six},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := loopback(t, func(c *Config) {
				second := c.Interfaces[0]
				second.Local, second.Advertised = netip.MustParseAddr(six), netip.MustParseAddr(six)
				c.Interfaces = append(c.Interfaces[:1], second)
			})
			ask := func(command, from, to, sdp string) string {
				keys := []any{"call-id", "c", "from-tag", from, "to-tag", to, "sdp", sdp}
				return mustSDP(t, e, command, append(keys, tt.keys...)...).Media[0].Connections[0].Address
			}
			offer := body(rtpFrom, audio(40000))
			if got := ask("offer", "A", "", offer); got != four {
				t.Fatalf("first offer from %s, want %s", got, four)
			}
			ask("answer", "A", "B", tt.answer)
			if got := ask("offer", "A", "B", offer); got != tt.toCallee {
				t.Errorf("re-offer from %s, want %s", got, tt.toCallee)
			}
			ask("answer", "A", "B", tt.answer)
			mustSDP(t, e, "offer", "call-id", "c", "from-tag", "B", "to-tag", "A", "sdp", tt.answer)
			s := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "B", "to-tag", "A", "sdp", offer)
			if got := s.Media[0].Connections[0].Address; got != tt.ofItsOwn {
				t.Errorf("answer to its own re-offer from %s, want %s", got, tt.ofItsOwn)
			}
		})
	}
}

func TestNewPortsNewICE(t *testing.T) {
	e := loopback(t)
	offer := func(port int) (uint16, string) {
		s := mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "ICE", "force", "flags", []string{"no-port-latching"},
			"sdp", body(rtpFrom, audio(port)))
		return s.Media[0].Port, s.Media[0].ICE.Ufrag
	}
	port, ufrag := offer(40000)
	if p, u := offer(40000); p != port || u != ufrag {
		t.Errorf("the same offer again: port %d ufrag %q, was %d %q", p, u, port, ufrag)
	}
	if p, u := offer(40010); p == port || u == ufrag {
		t.Errorf("another endpoint: port %d ufrag %q as before", p, u)
	}
}

func TestBranches(t *testing.T) {
	e := loopback(t)
	o := func(from, to, via string) step {
		s := step{command: "offer", from: from, to: to, sdp: body(rtpFrom, audio(40000))}
		if via != "" {
			s.flags = []any{"via-branch", via}
		}
		return s
	}
	a := func(from, to, via string, flags ...any) step {
		s := step{command: "answer", from: from, to: to, sdp: body(rtpFrom, audio(50000)), flags: flags}
		if via != "" {
			s.flags = append(s.flags, "via-branch", via)
		}
		return s
	}
	final := []any{"sip-message-type", "reply", "sip-code", 200}
	tests := []struct {
		name  string
		steps []step
		want  []string
	}{
		{"answer names the pending party", []step{o("A", "", ""), a("A", "B", "")}, []string{"A", "B"}},
		{"resent offer", []step{o("A", "", ""), o("A", "", ""), a("A", "B", "")}, []string{"A", "B"}},
		{"branches", []step{o("A", "", "1"), o("A", "", "2"), a("A", "X", "1")}, []string{"A", "X", "<untagged 2>"}},
		{"both branches", []step{o("A", "", "1"), o("A", "", "2"), a("A", "X", "1"), a("A", "Y", "2")}, []string{"A", "X", "Y"}},
		{"answer without branch takes the last", []step{o("A", "", "1"), o("A", "", "2"), a("A", "X", "")}, []string{"A", "<untagged 1>", "X"}},
		{"offer to an unknown tag", []step{o("A", "", ""), o("A", "Z", "")}, []string{"A", "<untagged 1>", "<untagged 2>"}},
		{"tag changes", []step{o("A", "", ""), a("A", "B", ""), a("A", "C", "")}, []string{"A", "C"}},
		{"tag changes after a final response", []step{o("A", "", ""), a("A", "B", "", final...), a("A", "C", "")}, []string{"A", "B", "C"}},
		{"new-branch", []step{o("A", "", ""), a("A", "B", ""), a("A", "C", "", "flags", []string{"new-branch"})}, []string{"A", "B", "C"}},
		{"late offer", []step{o("B", "A", ""), a("B", "A", "")}, []string{"B", "A"}},
		{"answer to nobody", []step{o("A", "", ""), a("Z", "B", "")}, []string{"A", "<untagged 1>", "Z", "B"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dialogue(t, e, tt.name, tt.steps...)
			if got := tags(t, e, tt.name); !slices.Equal(got, tt.want) {
				t.Errorf("tags %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("alias", func(t *testing.T) {
		dialogue(t, e, "alias", o("A", "", ""), a("A", "B", ""),
			step{command: "offer", from: "A2", to: "B", sdp: body(rtpFrom, audio(40000)), flags: []any{"alias-key", "SDP"}})
		d := must(t, e, "query", "call-id", "alias").Value("tags").Dict().Value("A").Dict()
		if l := d.Value("tag-aliases").List(); len(l) != 1 || l[0].Str() != "A2" {
			t.Errorf("aliases %v", l)
		}
		must(t, e, "offer", "call-id", "alias", "from-tag", "A3", "alias-key", "SDP", "sdp", body(rtpFrom, audio(40000)+"a=sendrecv\n"))
		if got := tags(t, e, "alias"); !slices.Contains(got, "A3") {
			t.Errorf("tags %q: a body written in another way is not the same", got)
		}
	})
	t.Run("self", func(t *testing.T) {
		dialogue(t, e, "self", o("A", "", ""), step{command: "answer", from: "A", to: "A", sdp: body(rtpFrom, audio(1)), err: string(errDialogue)})
	})
	t.Run("media follows the last answer", func(t *testing.T) {
		caller, x, y := newPhone(t), newPhone(t), newPhone(t)
		id := "media"
		var toX, toY *sdp.Session
		for via, to := range map[string]**sdp.Session{"1": &toX, "2": &toY} {
			*to = mustSDP(t, e, "offer", "call-id", id, "from-tag", "A", "via-branch", via, "sdp", body("127.0.0.1", audio(caller.port())))
		}
		toA := mustSDP(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "X", "via-branch", "1", "sdp", body("127.0.0.1", audio(x.port())))
		talk(t, caller, toA.Media[0], x, "to X")
		toA = mustSDP(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "Y", "via-branch", "2", "sdp", body("127.0.0.1", audio(y.port())))
		talk(t, caller, toA.Media[0], y, "to Y")
		talk(t, y, toY.Media[0], caller, "from Y")
	})
	t.Run("second phone behind one offer", func(t *testing.T) {
		caller, x, y := newPhone(t), newPhone(t), newPhone(t)
		id := "serial"
		to := mustSDP(t, e, "offer", "call-id", id, "from-tag", "A", "sdp", body("127.0.0.1", audio(caller.port())))
		mustSDP(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "X", "sip-message-type", "reply", "sip-code", 200, "sdp", body("127.0.0.1", audio(x.port())))
		toA := mustSDP(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "Y", "sdp", body("127.0.0.1", audio(y.port())))
		talk(t, caller, toA.Media[0], y, "to Y")
		talk(t, y, to.Media[0], caller, "from Y")
	})
}

func TestSections(t *testing.T) {
	e := loopback(t)
	both := body(rtpFrom, plainAudio, plainVideo)
	noVideo := body(rtpFrom, plainAudio, strings.Replace(plainVideo, "40002", "0", 1))
	one := body(rtpFrom, plainAudio)
	tests := []struct {
		name  string
		steps []step
	}{
		{"refused", []step{{command: "offer", from: "A", sdp: both, want: []string{"m=video P1"}}, {command: "answer", from: "A", to: "B", sdp: noVideo, want: []string{"m=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0"}}}},
		{"missing", []step{{command: "offer", from: "A", sdp: both}, {command: "answer", from: "A", to: "B", sdp: one, want: []string{"m=video 0 RTP/AVP 96"}}}},
		{"added and taken back", []step{
			{command: "offer", from: "A", sdp: one}, {command: "answer", from: "A", to: "B", sdp: one},
			{command: "offer", from: "A", to: "B", sdp: both, want: []string{"m=audio P0", "m=video P1"}}, {command: "answer", from: "A", to: "B", sdp: both, want: []string{"m=video P1"}},
			{command: "offer", from: "A", to: "B", sdp: noVideo, want: []string{"m=video 0"}}, {command: "answer", from: "A", to: "B", sdp: noVideo, want: []string{"m=video 0"}},
			{command: "offer", from: "B", to: "A", sdp: both, want: []string{"m=video P1"}}}},
		{"left out of a re-offer", []step{{command: "offer", from: "A", sdp: both}, {command: "answer", from: "A", to: "B", sdp: both},
			{command: "offer", from: "A", to: "B", sdp: one, want: []string{"m=audio P0", "m=video 0"}}}},
		{"removed", []step{{command: "offer", from: "A", sdp: body(rtpFrom, plainVideo, plainAudio), flags: []any{"sdp-media-remove", []string{"video"}}, want: []string{"!m=video", "m=audio P0"}},
			{command: "answer", from: "A", to: "B", sdp: one, want: []string{"m=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0\nm=audio P0"}}}},
		{"all refused", []step{{command: "offer", from: "A", sdp: body(rtpFrom, strings.Replace(plainAudio, "40000", "0", 1)), want: []string{"m=audio 0 RTP/AVP 0 8 101"}}}},
		{"T.38", []step{{command: "offer", from: "A", sdp: body(rtpFrom, "m=image 40010 udptl t38\na=T38FaxVersion:0\na=sendrecv"), want: []string{"m=image P0 udptl t38\nc=IN IP4 127.0.0.1\na=T38FaxVersion:0\na=sendrecv"}}}},
		{"MSRP", []step{{command: "offer", from: "A", sdp: body(rtpFrom, "m=message 7777 TCP/MSRP *\na=path:msrp://a/b"), want: []string{"m=message 7777 TCP/MSRP *\nc=IN IP4 198.51.100.1"}}}},
		{"unknown protocol", []step{{command: "offer", from: "A", sdp: body(rtpFrom, "m=audio 5000 FOO/BAR 0 8"), want: []string{"m=audio P0 FOO/BAR 0 8\nc=IN IP4 127.0.0.1", "!a=rtcp", "!a=rtpmap"}}}},
		{"data channel", []step{{command: "offer", from: "A", sdp: body(rtpFrom, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n"+browserICE+"a=mid:0\na=sctp-port:5000"), want: []string{"m=application P0 UDP/DTLS/SCTP", "a=ice-ufrag:UFRAG", "a=setup:actpass", "a=fingerprint", "a=sctp-port:5000", "a=mid:0"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { dialogue(t, e, tt.name, tt.steps...) })
	}
}

func TestHold(t *testing.T) {
	e := loopback(t)
	tests := []struct {
		attr, addr string
		flags      []any
		want       []string
	}{
		{attr: "sendonly", addr: rtpFrom, want: []string{"a=sendonly", "c=IN IP4 127.0.0.1"}},
		{attr: "inactive", addr: rtpFrom, want: []string{"a=inactive"}},
		{attr: "recvonly", addr: rtpFrom, want: []string{"a=recvonly"}},
		{attr: "sendrecv", addr: "0.0.0.0", want: []string{"a=sendonly", "c=IN IP4 0.0.0.0"}},
		{attr: "recvonly", addr: "0.0.0.0", want: []string{"a=inactive"}},
		{attr: "sendrecv", addr: "0.0.0.0", flags: []any{"flags", []string{"original-sendrecv"}}, want: []string{"a=sendrecv", "c=IN IP4 0.0.0.0"}},
		{attr: "sendrecv", addr: "0.0.0.0", flags: []any{"replace", []string{"origin"}}, want: []string{"a=sendonly", "c=IN IP4 0.0.0.0", "o=- 1 1 IN IP4 127.0.0.1"}},
		{attr: "sendrecv", addr: "0.0.0.0", flags: []any{"replace", []string{"zero-address"}}, want: []string{"a=sendonly", "c=IN IP4 127.0.0.1"}},
	}
	for i, tt := range tests {
		dialogue(t, e, fmt.Sprint("hold", i),
			step{command: "offer", from: "A", sdp: body(tt.addr, plainAudio+"a="+tt.attr), flags: tt.flags, want: tt.want},
			step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio), want: []string{"a=sendrecv"}})
	}
	t.Run("media", func(t *testing.T) {
		a, b := newPhone(t), newPhone(t)
		offer := func(dir string) *sdp.Session {
			return mustSDP(t, e, "offer", "call-id", "h", "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port())+"a="+dir))
		}
		toB := offer("sendrecv")
		toA := mustSDP(t, e, "answer", "call-id", "h", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())))
		talk(t, b, toB.Media[0], a, "before")
		offer("sendonly")
		mustSDP(t, e, "answer", "call-id", "h", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())+"a=recvonly"))
		b.send(toB.Media[0], 0, "unheard")
		talk(t, a, toA.Media[0], b, "music")
		if _, got, ok := a.wait(50 * time.Millisecond); ok {
			t.Errorf("held party got %q", got)
		}
		offer("sendrecv")
		mustSDP(t, e, "answer", "call-id", "h", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())))
		talk(t, b, toB.Media[0], a, "after")
	})
}

func TestSessionFields(t *testing.T) {
	e := loopback(t)
	sdpWith := func(origin, extra string) string {
		return strings.Replace(body(rtpFrom, plainAudio+extra), "- 1 1 IN IP4 "+rtpFrom, origin, 1)
	}
	replace := func(words ...string) []any { return []any{"replace", words} }
	tests := []struct {
		name  string
		words []string
		want  [3]string // o= of: first, with another body, the same again
	}{
		{"nothing", nil, [3]string{"- 1 1 IN IP4 198.51.100.1", "u 7 9 IN IP4 198.51.100.9", "u 7 9 IN IP4 198.51.100.9"}},
		{"origin", []string{"origin"}, [3]string{"- 1 1 IN IP4 127.0.0.1", "u 7 9 IN IP4 127.0.0.1", "u 7 9 IN IP4 127.0.0.1"}},
		{"version", []string{"SDP version"}, [3]string{"- 1 1 IN IP4 198.51.100.1", "u 7 2 IN IP4 198.51.100.9", "u 7 2 IN IP4 198.51.100.9"}},
		{"username", []string{"username"}, [3]string{"- 1 1 IN IP4 198.51.100.1", "- 7 9 IN IP4 198.51.100.9", "- 7 9 IN IP4 198.51.100.9"}},
		{"full", []string{"origin-full"}, [3]string{"- 1 1 IN IP4 127.0.0.1", "- 1 2 IN IP4 127.0.0.1", "- 1 2 IN IP4 127.0.0.1"}},
		{"forced", []string{"force-increment-sdp-ver"}, [3]string{"- 1 1 IN IP4 198.51.100.1", "u 7 2 IN IP4 198.51.100.9", "u 7 3 IN IP4 198.51.100.9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			second := sdpWith("u 7 9 IN IP4 198.51.100.9", "a=foo:2")
			dialogue(t, e, "o "+tt.name,
				step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), flags: replace(tt.words...), want: []string{"o=" + tt.want[0] + "\n"}},
				step{command: "offer", from: "A", sdp: second, flags: replace(tt.words...), want: []string{"o=" + tt.want[1] + "\n"}},
				step{command: "offer", from: "A", sdp: second, flags: replace(tt.words...), want: []string{"o=" + tt.want[2] + "\n"}})
		})
	}
	t.Run("name", func(t *testing.T) {
		dialogue(t, e, "name",
			step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), flags: replace("session name"), want: []string{"s=-"}},
			step{command: "offer", from: "A", sdp: strings.Replace(body(rtpFrom, plainAudio), "s=-", "s=new", 1), flags: replace("session name"), want: []string{"s=-"}})
	})
	t.Run("loop protection", func(t *testing.T) {
		o := must(t, e, "offer", "call-id", "loop", "from-tag", "A", "sdp", body(rtpFrom, plainAudio), "flags", []string{"loop-protect"}).Value("sdp").Str()
		lines(t, "marked", o, "a=rtpengine:MARK")
		again := must(t, e, "offer", "call-id", "loop", "from-tag", "B", "sdp", o, "flags", []string{"loop-protect"}).Value("sdp").Str()
		if again != o {
			t.Errorf("a body that went round came out changed:\n%s", again)
		}
	})
	t.Run("edits", func(t *testing.T) {
		dialogue(t, e, "edits", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio),
			flags: []any{"sdp-attr", kv{"audio", kv{"add", []string{"foo:1"}, "remove", []string{"ptime"}}}}, want: []string{"a=foo:1", "!a=ptime"}})
	})
}

func TestAddresses(t *testing.T) {
	e := loopback(t)
	offer := body(rtpFrom, plainAudio)
	tests := []struct {
		name   string
		flags  []any
		want   []string
		answer []string
	}{
		{"direction", []any{"direction", []string{"default", "ext"}}, []string{"c=IN IP4 127.0.0.2"}, []string{"c=IN IP4 127.0.0.1"}},
		{"reverse", []any{"direction", []string{"ext", "default"}}, []string{"c=IN IP4 127.0.0.1"}, []string{"c=IN IP4 127.0.0.2"}},
		{"unknown", []any{"direction", []string{"foo", "bar"}}, []string{"c=IN IP4 127.0.0.1"}, nil},
		{"no such family", []any{"address family", "IP6"}, []string{"c=IN IP4 127.0.0.1"}, nil},
		{"internal and external", []any{"direction", []string{"internal", "external"}}, []string{"c=IN IP4 127.0.0.1"}, nil},
		{"media address", []any{"media-address", "203.0.113.7"}, []string{"c=IN IP4 203.0.113.7"}, []string{"c=IN IP4 127.0.0.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dialogue(t, e, tt.name,
				step{command: "offer", from: "A", sdp: offer, flags: tt.flags, want: tt.want},
				step{command: "answer", from: "A", to: "B", sdp: offer, want: tt.answer})
		})
	}
	endpoint := func(t *testing.T, id, tag string) string {
		d := must(t, e, "query", "call-id", id).Value("tags").Dict().Value(tag).Dict()
		s := d.Value("medias").List()[0].Dict().Value("streams").List()[0].Dict().Value("endpoint").Dict()
		return s.Value("address").Str()
	}
	for name, tt := range map[string]struct {
		sdp   string
		flags []any
		want  string
	}{
		"trusted":      {offer, []any{"received-from", []string{"IP4", "203.0.113.9"}}, rtpFrom},
		"SIP source":   {offer, []any{"received-from", []string{"IP4", "203.0.113.9"}, "flags", []string{"SIP-source-address"}}, "203.0.113.9"},
		"host name":    {strings.ReplaceAll(offer, "c=IN IP4 "+rtpFrom, "c=IN IP4 phone.example"), []any{"received-from", []string{"IP4", "203.0.113.9"}}, "203.0.113.9"},
		"trust wanted": {offer, []any{"received-from", []string{"IP4", "203.0.113.9"}, "flags", []string{"trust-address"}}, rtpFrom},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, e, "offer", append([]any{"call-id", "src " + name, "from-tag", "A", "sdp", tt.sdp}, tt.flags...)...)
			if got := endpoint(t, "src "+name, "A"); got != tt.want {
				t.Errorf("endpoint %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("round robin", func(t *testing.T) {
		x := newInterfaces([]Interface{testInterface("pub:1", "pub", "127.0.0.1"), testInterface("pub:2", "pub", "127.0.0.2"), testInterface("six", "", "::1"), {Interface: named("alias"), Alias: "pub"}})
		var got []string
		for _, word := range []string{"pub", "pub", "alias", "pub:2", "six", wordRoundRobin, "external"} {
			name, fam, _ := x.resolve(word)
			got = append(got, name+string(fam))
		}
		if want := []string{"pub:1", "pub:2", "pub:1", "pub:2", "six", "pub:1", "pub:1IP6"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if x.with(sdp.IP6) != "six" || x.with("IP9") != "" {
			t.Error("interface by family")
		}
	})
}

func TestTransportProtocol(t *testing.T) {
	e := loopback(t)
	avpf := strings.Replace(plainAudio, "RTP/AVP", "RTP/AVPF", 1)
	dialogue(t, e, "kept", step{command: "offer", from: "A", sdp: body(rtpFrom, avpf), want: []string{"m=audio P0 RTP/AVPF"}},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio), want: []string{"m=audio P0 RTP/AVPF"}})
	dialogue(t, e, "accept", step{command: "offer", from: "A", sdp: body(rtpFrom, avpf)},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio), flags: []any{"transport-protocol", "accept"}, want: []string{"m=audio P0 RTP/AVP "}})
	dialogue(t, e, "sticky", step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), flags: []any{"transport-protocol", "RTP/AVPF"}, want: []string{"m=audio P0 RTP/AVPF"}},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, avpf), want: []string{"m=audio P0 RTP/AVP "}},
		step{command: "offer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio), want: []string{"m=audio P0 RTP/AVPF"}})
	dialogue(t, e, "words", step{command: "offer", from: "A", sdp: body(rtpFrom, browserAudio), flags: []any{"rtpp-flags", "RTP AVP"}, want: []string{"m=audio P0 RTP/AVP "}})
}

func TestPayloadNumbers(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	opus := func(port int, pt string) string {
		return strings.NewReplacer("PT", pt, "PORT", fmt.Sprint(port)).Replace("m=audio PORT RTP/AVP PT\na=rtpmap:PT opus/48000/2\n")
	}
	toB := mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body("127.0.0.1", opus(a.port(), "96")))
	toA := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", opus(b.port(), "111")))
	if got := toA.Media[0].Codecs[0].PT; got != 96 {
		t.Errorf("answered as %d, want the offer's 96", got)
	}
	a.send(toA.Media[0], 96, "x")
	if pt, _, ok := b.wait(waitTime); !ok || pt != 111 {
		t.Errorf("B got payload type %d, want its own 111", pt)
	}
	b.send(toB.Media[0], 111, "y")
	if pt, _, ok := a.wait(waitTime); !ok || pt != 96 {
		t.Errorf("A got payload type %d, want its own 96", pt)
	}
}

var _ ng.Handler = (*Engine)(nil)

// An SDP that points at a media port of ours means that calls may run in circles.
func TestLoopCheck(t *testing.T) {
	e := loopback(t)
	for _, row := range []struct {
		name, addr string
		port       int
		want       bool
	}{
		{"media port", "127.0.0.1", 20010, true},
		{"another interface's", "127.0.0.2", 20010, true},
		{"not in the range", "127.0.0.1", 19998, false},
		{"elsewhere", "192.0.2.1", 20010, false},
	} {
		must(t, e, "offer", "call-id", "loop", "from-tag", "A", "sdp", body(row.addr, audio(row.port)))
		d := must(t, e, "query", "call-id", "loop").Value("tags").Dict().Value("A").Dict()
		words := fmt.Sprint(d.Value("medias").List()[0].Dict().Value("flags").List())
		if got := strings.Contains(words, "loop check"); got != row.want {
			t.Errorf("%s: flags %s", row.name, words)
		}
	}
}

// A party that names feedback in its SDP gets it, though its protocol is RTP/AVP.
func TestTakesFeedback(t *testing.T) {
	for _, row := range []struct {
		name, media string
		want        bool
	}{
		{"AVPF", "m=audio 4000 RTP/AVPF 0\n", true},
		{"AVP", "m=audio 4000 RTP/AVP 0\n", false},
		{"of one codec", "m=audio 4000 RTP/AVP 0\na=rtcp-fb:0 nack\n", true},
		{"of all codecs", "m=audio 4000 RTP/AVP 0\na=rtcp-fb:* nack\n", true},
	} {
		s, err := sdp.Parse(body(rtpFrom, row.media))
		if err != nil {
			t.Fatal(err)
		}
		l := leg{Protocol: s.Media[0].Protocol, In: s.Media[0]}
		if got := l.takesFeedback(); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
