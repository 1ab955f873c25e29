package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

// TestAgainstInstalledPeer is the comparison as CI runs it: all sequences, fixed and generated, against the rtpengine in
// PATH.
func TestAgainstInstalledPeer(t *testing.T) {
	needPeer(t)
	o := options{peer: "rtpengine", ours: os.Getenv("CONFORMANCE_OURS"), random: ciGenerated, seed: ciSeed, basePort: 20000}
	var report strings.Builder
	sum, err := o.compareAll(context.WithoutCancel(t.Context()), &report)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(sum)
	if !sum.ok() {
		t.Error(report.String())
	}
}

// TestPeerEqualsItself guards the tool: what it calls different must not be chance.
func TestPeerEqualsItself(t *testing.T) {
	needPeer(t)
	o := options{peer: "rtpengine", self: true, random: 100, seed: 2, basePort: 20000}
	var report strings.Builder
	sum, err := o.compareAll(context.WithoutCancel(t.Context()), &report)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Different+sum.Explained > 0 {
		t.Error(report.String())
	}
}

func needPeer(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("rtpengine"); err != nil {
		t.Skip("SKIPPED: rtpengine is not installed, nothing to compare with")
	}
}

func TestCases(t *testing.T) {
	sdp, err := loadBodies()
	if err != nil {
		t.Fatal(err)
	}
	seqs, err := loadSequences(sdp)
	if err != nil {
		t.Fatal(err)
	}
	if len(seqs) < 150 {
		t.Errorf("%d sequences, want at least 150", len(seqs))
	}
	for _, major := range []string{"10", "26"} {
		if _, err := loadRules(major); err != nil {
			t.Error(err)
		}
	}
}

func TestGenerate(t *testing.T) {
	sdp, err := loadBodies()
	if err != nil {
		t.Fatal(err)
	}
	a, err := generate(3, 40, sdp)
	if err != nil {
		t.Fatal(err)
	}
	b, err := generate(3, 40, sdp)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed gave two results")
	}
	if c, err := generate(4, 40, sdp); err != nil || reflect.DeepEqual(a[0].Steps, c[0].Steps) {
		t.Errorf("two seeds gave one result (%v)", err)
	}
}

func TestSymbols(t *testing.T) {
	for _, c := range []struct{ name, sent, body, want string }{
		{"pair", "", "m=audio 20002 RTP/AVP 0\na=rtcp:20003", "m=audio <port1> RTP/AVP 0|a=rtcp:<port1>+1"},
		{"muxed", "", "m=audio 20003 RTP/AVP 0\na=rtcp:20003", "m=audio <port1> RTP/AVP 0|a=rtcp:<port1>"},
		{"odd pair", "", "m=audio 20003 RTP/AVP 0\na=rtcp:20004", "m=audio <port1> RTP/AVP 0|a=rtcp:<port1>+1, odd pair"},
		{"muxed, next to another's", "", "m=audio 20002 RTP/AVP 0\nm=video 20003 RTP/AVP 96\na=rtcp:20003",
			"m=audio <port1> RTP/AVP 0|m=video <port2> RTP/AVP 96|a=rtcp:<port2>"},
		{"other party's port", "", "m=audio 7000 RTP/AVP 0", "m=audio 7000 RTP/AVP 0"},
		{"own key", "", "m=audio 0 RTP/SAVP 0\na=crypto:1 S inline:abcd|2^31", "m=audio 0 RTP/SAVP 0|a=crypto:1 S inline:<key1>:4|2^31"},
		{"copied key", "a=crypto:1 S inline:abcd", "m=audio 0 RTP/SAVP 0\na=crypto:1 S inline:abcd", "m=audio 0 RTP/SAVP 0|a=crypto:1 S inline:abcd"},
		{"candidate", "", "m=audio 20004 RTP/AVP 0\nc=IN IP4 127.0.0.1\na=candidate:Fo 2 UDP 1 127.0.0.1 20005 typ host",
			"m=audio <port1> RTP/AVP 0|c=IN IP4 127.0.0.1|a=candidate:<foundation1>:2 2 UDP 1 127.0.0.1 <port1>+1 typ host"},
		{"advertised", "", "m=audio 20004 RTP/AVP 0\nc=IN IP4 203.0.113.3\na=candidate:Fo 1 UDP 1 127.0.0.3 20004 typ host",
			"m=audio <port1> RTP/AVP 0|c=IN IP4 203.0.113.3|a=candidate:<foundation1>:2 1 UDP 1 127.0.0.3 <port1> typ host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSymbols(20002, 20999)
			s.learn(step{Body: c.sent})
			var lines []string
			for _, part := range s.sections(c.body)[1:] {
				lines = append(lines, part.Lines...)
			}
			got := strings.Join(lines, "|")
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDiffLines(t *testing.T) {
	for _, c := range []struct{ name, a, b, onlyA, onlyB string }{
		{"equal", "x y", "x y", "", ""},
		{"missing", "x", "x y", "", "y"},
		{"moved", "y x z", "x y z", "y", "y"},
		{"all", "a", "b", "a", "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			onlyA, onlyB := diffLines(strings.Fields(c.a), strings.Fields(c.b))
			if a, b := strings.Join(onlyA, " "), strings.Join(onlyB, " "); a != c.onlyA || b != c.onlyB {
				t.Errorf("got %q and %q, want %q and %q", a, b, c.onlyA, c.onlyB)
			}
		})
	}
}

func TestEquations(t *testing.T) {
	in := func() []section {
		return []section{
			{"reply", []string{"result"}},
			{"session", []string{"v=0", "c=IN IP4 1.2.3.4", "a=extmap-allow-mixed"}},
			{"audio 1", []string{"m=", "a=fmtp:96 b=2; a=1"}},
			{"video 2", []string{"m=", "c=IN IP4 5.6.7.8"}},
		}
	}
	for _, c := range []struct{ name, want string }{
		{"connection-per-section", "v=0,a=extmap-allow-mixed|m=,a=fmtp:96 b=2; a=1,c=IN IP4 1.2.3.4|m=,c=IN IP4 5.6.7.8"},
		{"session-attribute-down", "v=0,c=IN IP4 1.2.3.4|m=,a=fmtp:96 b=2; a=1,a=extmap-allow-mixed|m=,c=IN IP4 5.6.7.8,a=extmap-allow-mixed"},
		{"fmtp-parameters-sorted", "v=0,c=IN IP4 1.2.3.4,a=extmap-allow-mixed|m=,a=fmtp:96 a=1;b=2|m=,c=IN IP4 5.6.7.8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both := [2]answer{{in()}, {in()}}
			equations[c.name](&both, "")
			var parts []string
			for _, s := range both[0].Sections[1:] {
				parts = append(parts, strings.Join(s.Lines, ","))
			}
			if got := strings.Join(parts, "|"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEquationsWithBody(t *testing.T) {
	section := func(lines ...string) answer { return answer{[]section{{"audio 1", lines}}} }
	for _, c := range []struct {
		name, sent string
		ours, peer answer
		equal      bool
	}{
		{"fmtp-as-sent", "a=fmtp:96 b;a", section("m=", "a=fmtp:111 b;a"), section("m=", "a=fmtp:111 a; b"), true},
		{"fmtp-as-sent", "a=fmtp:96 c", section("m=", "a=fmtp:111 b;a"), section("m=", "a=fmtp:111 a; b"), false},
		{"codec-number-mapped", "a=rtpmap:101 telephone-event/8000",
			section("m=audio 1 RTP/AVP 0 126", "a=rtpmap:126 telephone-event/8000", "a=fmtp:126 0-15"), section("m=audio 1 RTP/AVP 0"), true},
		{"codec-number-mapped", "a=rtpmap:126 telephone-event/8000",
			section("m=audio 1 RTP/AVP 0 126", "a=rtpmap:126 telephone-event/8000"), section("m=audio 1 RTP/AVP 0"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			both := [2]answer{c.ours, c.peer}
			equations[c.name](&both, c.sent)
			if got := len(compare(0, both[0], both[1], true)) == 0; got != c.equal {
				t.Errorf("equal: %v, want %v: %v", got, c.equal, both)
			}
		})
	}
}

func TestAddressSentFrom(t *testing.T) {
	const s = "tags.A.medias.0.streams."
	reply := func(own, far string) answer {
		return answer{[]section{{"reply", []string{s + `0.endpoint.family = "` + far + `"`, s + `0.family = "` + own + `"`,
			s + "0.local port = <port" + own + ">", s + "1.local port = 0"}}}}
	}
	for _, c := range []struct {
		name, peersOwn string
		equal          bool
	}{
		{"the peer's cannot send", "IPv4", true},
		{"the peer's can", "IPv6", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			both := [2]answer{reply("IPv6", "IPv6"), reply(c.peersOwn, "IPv6")}
			both[0].Sections[0].Lines[2] = s + "0.local port = <portOurs>"
			addressSentFrom(&both, "")
			if got := len(compare(0, both[0], both[1], true)) == 0; got != c.equal {
				t.Errorf("equal: %v, want %v: %v", got, c.equal, both)
			}
		})
	}
}

// TestPortsBehindOneAddress shows an offer with candidates of two own addresses, and an answer to the other side, all
// with one media-address: whichever numbers are equal by chance, the symbols are the same.
func TestPortsBehindOneAddress(t *testing.T) {
	const want = "m=audio <port1> RTP/AVP 0|c=IN IP4 192.0.2.5|a=candidate:<foundation1>:1 1 UDP 2130706431 192.0.2.5 <port1> typ host|" +
		"a=candidate:<foundation2>:1 1 UDP 2130706175 192.0.2.5 <port2> typ host|m=audio <port3> RTP/AVP 0|c=IN IP4 192.0.2.5"
	for _, c := range []struct {
		name                   string
		primary, other, caller int
	}{
		{"all differ", 20002, 20004, 20006},
		{"two addresses of one side", 20002, 20002, 20006},
		{"an address and the other side", 20002, 20004, 20004},
		{"the two sides, on two addresses", 20002, 20004, 20002},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSymbols(20002, 20999)
			var lines []string
			for _, m := range []struct{ command, body string }{
				{"offer", fmt.Sprintf("m=audio %d RTP/AVP 0\nc=IN IP4 192.0.2.5\na=candidate:P 1 UDP 2130706431 192.0.2.5 %[1]d typ host\n"+
					"a=candidate:O 1 UDP 2130706175 192.0.2.5 %d typ host", c.primary, c.other)},
				{"answer", fmt.Sprintf("m=audio %d RTP/AVP 0\nc=IN IP4 192.0.2.5", c.caller)},
			} {
				s.learn(step{Keys: []entry{{"command", m.command}, {"from-tag", "caller"}, {"media-address", "192.0.2.5"}}})
				for _, part := range s.sections(m.body)[1:] {
					lines = append(lines, part.Lines...)
				}
			}
			if got := strings.Join(lines, "|"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
