package sdp

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// equate compares the model's values; netip types have unexported fields.
var equate = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

const head = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"

func mustParse(tb testing.TB, body string) *Session {
	tb.Helper()
	s, err := Parse(body)
	if err != nil {
		tb.Fatalf("%v in\n%s", err, body)
	}
	return s
}

func TestParseErrors(t *testing.T) {
	const v = "v=0\n"
	for _, row := range []struct {
		name, in string
		line     int
	}{
		{"no version", "o=- 1 1 IN IP4 1.1.1.1\n", 1},
		{"version 1", "v=1\n", 1},
		{"version second", "o=- 1 1 IN IP4 1.1.1.1\nv=0\n", 1},
		{"two versions", v + v, 2},
		{"two origins", v + "o=- 1 1 IN IP4 1.1.1.1\no=- 1 1 IN IP4 1.1.1.1\n", 3},
		{"two names", v + "s=a\ns=b\n", 3},
		{"short origin", v + "o=- 1\n", 2},
		{"no equals sign", v + "s=-\nhello world\n", 3},
		{"one letter", v + "m\n", 2},
		{"short media", v + "m=audio 4000\n", 2},
		{"port no number", v + "m=audio x RTP/AVP 0\n", 2},
		{"port too high", v + "m=audio 65536 RTP/AVP 0\n", 2},
		{"port count", v + "m=audio 4000/x RTP/AVP 0\n", 2},
		{"payload type no number", v + "m=audio 4000 RTP/AVP 0 x\n", 2},
		{"payload type too high", v + "m=audio 4000 RTP/AVP 128\n", 2},
		{"short connection", v + "c=IN IP4\n", 2},
		{"connection without address", v + "c=IN IP4 /127\n", 2},
		{"connection family", v + "c=IN IP9 1.1.1.1\n", 2},
		{"connection network", v + "c=ATM NSAP 47\n", 2},
		{"media connection", v + "m=audio 1 RTP/AVP 0\nc=x\n", 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := Parse(row.in)
			var at *LineError
			if !errors.As(err, &at) || at.Line != row.line || s != nil {
				t.Fatalf("got %v, %v; want an error in line %d", s, err, row.line)
			}
			if at.Unwrap() == nil || !strings.Contains(err.Error(), at.Text) {
				t.Errorf("error %q does not show the line", err)
			}
		})
	}
	_, err := Parse(v + strings.Repeat("x", 5000))
	if len(err.Error()) > 200 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestParseTolerates(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"empty", "", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=|t=0 0|"},
		{"blank first line", "\r\nv=9\r\n", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=|t=0 0|"},
		{"stops at a blank line", "v=0\ns=a\n \t\ns=b\n", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=a|t=0 0|"},
		{"no line end", "v=0\ns=a", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=a|t=0 0|"},
		{"several CR", "v=0\r\r\ns=a\r\r\n", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=a|t=0 0|"},
		{"CR before a colon", "v=0\na=\r:\na=x\r\r:\n", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=|t=0 0|a=|a=x|"},
		{"user name with blanks", "v=0\no=a b 1 2 IN IP4 x\n", "v=0|o=a b 1 2 IN IP4 x|s=|t=0 0|"},
		{"session lines in a media", "v=0\nm=a 1 x y\no=- 1 2 IN IP6 ::1\ns=b\nt=1 2\nu=w\n",
			"v=0|o=- 1 2 IN IP6 ::1|s=b|u=w|t=1 2|m=a 1 x y|c=IN IP4 0.0.0.0|"},
		{"rejected with any format", "v=0\nm=audio 0 RTP/AVP 0 *\n",
			"v=0|o=- 0 0 IN IP4 0.0.0.0|s=|t=0 0|m=audio 0 RTP/AVP 0 *|c=IN IP4 0.0.0.0|"},
		{"no format", "v=0\nm=audio 0 x\n", "v=0|o=- 0 0 IN IP4 0.0.0.0|s=|t=0 0|m=audio 0 x |c=IN IP4 0.0.0.0|"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := strings.ReplaceAll(mustParse(t, row.in).String(), "\r\n", "|")
			if got != row.want {
				t.Errorf("\n got %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestParseMedia(t *testing.T) {
	in := head + strings.ReplaceAll(`a=sendonly
a=ice-ufrag:sess
a=ice-pwd:0123456789012345678901
a=ice-options:trickle ice2
a=ice-lite
a=setup:actpass
a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13
a=tls-id:abc
a=extmap-allow-mixed
a=extmap:1 urn:sess
a=group:BUNDLE 0 1
a=rtpengine:mark
a=tool:x
m=audio 4000/2 rtp/savpf 0 96 77
i=title
b=AS:64
a=mid:0
a=label:9
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=ptime:20
a=maxptime:60.5
a=rtcp:4009 IN IP6 ::2
a=rtcp-mux
a=rtcp-mux-only
a=ssrc:1 cname:x
a=end-of-candidates
a=ice-mismatch
a=recvonly
m=video 4002 RTP/AVP 34
c=IN IP4 192.0.2.2
c=IN IP4 192.0.2.3/127/2
a=ice-ufrag:own
a=ice-pwd:1123456789012345678901
a=ice-options:x
a=extmap:7/sendonly urn:own a b
a=setup:passive
a=fingerprint:x-hash AB
a=tls-id:own
a=rtcp:4005
a=remote-candidates:1 192.0.2.9 5 2 192.0.2.9 6
`, "\n", "\r\n")
	s := mustParse(t, in)
	if len(s.Skipped) > 0 {
		t.Fatalf("skipped %v", s.Skipped)
	}
	digest := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	c := ConnectionTo(netip.MustParseAddr("192.0.2.1"))
	rtcp := ConnectionTo(netip.MustParseAddr("::2"))
	want := &Session{
		Origin: Origin{"-", "1", "2", IP4, "192.0.2.1"}, Name: "-", Connection: &c, Timing: []string{"0 0"},
		LoopMarks: []string{"mark"}, ICELite: true, Groups: []Group{{"BUNDLE", []string{"0", "1"}}},
		Rest: []Attribute{{Key: "tool", Value: "x"}},
		Media: []*Media{{
			Type: "audio", Port: 4000, PortCount: 2, Protocol: RTPSAVPF, ProtoText: "rtp/savpf",
			Formats: []string{"0", "96", "77"}, Title: "title", Connections: []Connection{c},
			Bandwidth: []Bandwidth{{"AS", "64"}}, MID: "0", Label: "9",
			Codecs: []Codec{
				{PT: 0, Name: "PCMU", ClockHz: 8000, Channels: 1, Static: true},
				{PT: 96, Name: "opus", ClockHz: 48000, Channels: 2, Fmtp: []string{"useinbandfec=1"}, Feedback: []string{"nack", "nack pli"}},
				{PT: 77, Channels: 1},
			},
			ExtmapAllowMixed: true, Extmaps: []Extmap{{ID: 1, URI: "urn:sess"}},
			Rest:      []Attribute{{Key: "rtcp-mux-only"}, {Key: "ssrc", Value: "1 cname:x"}},
			Direction: RecvOnly, RTCP: &RTCPAttr{4009, &rtcp}, RTCPMux: true, RTCPMuxOnly: true,
			Setup: SetupActPass, Fingerprints: []Fingerprint{{"sha-1", digest}}, TLSID: "abc",
			PTime: 20 * time.Millisecond, MaxPTime: 60500 * time.Microsecond,
			ICE: ICE{Ufrag: "sess", Pwd: "0123456789012345678901", Options: []string{"trickle", "ice2"},
				EndOfCandidates: true, Mismatch: true, Lite: true},
		}, {
			Type: "video", Port: 4002, Protocol: RTPAVP, ProtoText: "RTP/AVP", Formats: []string{"34"},
			Connections: []Connection{ConnectionTo(netip.MustParseAddr("192.0.2.2")), ConnectionTo(netip.MustParseAddr("192.0.2.3"))},
			Codecs:      []Codec{{PT: 34, Name: "H263", ClockHz: 90000, Channels: 1, Static: true}},
			Direction:   SendOnly, ExtmapAllowMixed: true,
			Extmaps: []Extmap{{7, "sendonly", "urn:own", "a b"}}, RTCP: &RTCPAttr{Port: 4005},
			Setup: SetupPassive, Fingerprints: []Fingerprint{{"x-hash", []byte{0xab}}}, TLSID: "own",
			ICE: ICE{Ufrag: "own", Pwd: "1123456789012345678901", Options: []string{"x"}, Lite: true,
				RemoteCandidates: []RemoteCandidate{{1, netip.MustParseAddrPort("192.0.2.9:5")}, {2, netip.MustParseAddrPort("192.0.2.9:6")}}},
		}},
	}
	if diff := cmp.Diff(want, s, equate); diff != "" {
		t.Error(diff)
	}
}

// What the session says lands in a section that is not RTP only where it means something.
func TestParseOtherProtocols(t *testing.T) {
	s := mustParse(t, head+"a=setup:active\r\na=fingerprint:x AB\r\na=extmap:1 urn:x\r\na=inactive\r\n"+
		"m=image 4000 UDPTL t38\r\na=T38FaxVersion:0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\na=sctp-port:5000\r\n")
	fax, data := s.Media[0], s.Media[1]
	if fax.Protocol != UDPTL || fax.Setup != SetupNone || fax.Fingerprints != nil || fax.Extmaps != nil || fax.Direction != Inactive {
		t.Errorf("fax: %+v", fax)
	}
	if data.Protocol != ProtocolUnknown || data.Setup != SetupActive || len(data.Fingerprints) != 1 || data.MID != "d" || data.Codecs != nil {
		t.Errorf("data: %+v", data)
	}
	want := []Attribute{{Key: "mid", Value: "d"}, {Key: "sctp-port", Value: "5000"}}
	if diff := cmp.Diff(want, data.Rest); diff != "" {
		t.Error(diff)
	}
}

func TestParseSkips(t *testing.T) {
	for _, row := range []struct{ name, session, media string }{
		{"candidate", "", "candidate:x"},
		{"misplaced", "candidate:1 1 UDP 1 192.0.2.1 1 typ host", ""},
		{"crypto at session level", "crypto:1 x inline:AAAA", ""},
		{"rtpmap of an absent type", "", "rtpmap:99 x/8000"},
		{"rtpmap without a type", "", "rtpmap:x x/8000"},
		{"rtpmap without an encoding", "", "rtpmap:0 "},
		{"fmtp", "", "fmtp:0"},
		{"fmtp of an absent type", "", "fmtp:9 x"},
		{"rtcp-fb", "", "rtcp-fb:0 "},
		{"rtcp-fb of an absent type", "", "rtcp-fb:9 nack"},
		{"rtcp", "", "rtcp:70000"},
		{"rtcp address", "", "rtcp:1 IN IP4"},
		{"ptime", "", "ptime:0"},
		{"ptime too small", "", "ptime:0.0001"},
		{"ptime too long", "", "maxptime:1e9"},
		{"setup", "setup:both", "setup:none"},
		{"fingerprint", "fingerprint:sha-1", "fingerprint:sha-1 AB"},
		{"extmap", "extmap:0 urn:x", "extmap:1"},
		{"crypto", "", "crypto:1"},
		{"remote-candidates", "", "remote-candidates:1"},
		{"group in a media", "", "group:BUNDLE 1"},
		{"loop mark in a media", "", "rtpengine:x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			body, want := head, 0
			if row.session != "" {
				body, want = body+"a="+row.session+"\r\n", want+1
			}
			body += "m=audio 4000 RTP/AVP 0\r\n"
			if row.media != "" {
				body, want = body+"a="+row.media+"\r\n", want+1
			}
			s := mustParse(t, body)
			if len(s.Skipped) != want {
				t.Fatalf("skipped %v, want %d lines", s.Skipped, want)
			}
			if got, plain := s.String(), mustParse(t, head+"m=audio 4000 RTP/AVP 0\r\n").String(); got != plain {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// A body of a size that a datagram can carry must not take a multiple of it in memory.
func TestParseBounds(t *testing.T) {
	many := strings.Repeat("m=a 1 a\n", 4000)
	for name, lines := range map[string]string{
		"extmap":      strings.Repeat("a=extmap:1 urn:x\n", 1500),
		"fingerprint": strings.Repeat("a=fingerprint:x AB\n", 1500),
		"ufrag":       "a=ice-ufrag:" + strings.Repeat("x", 30000) + "\n",
		"options":     "a=ice-options:" + strings.Repeat("x ", 15000) + "\n",
		"connection":  "c=IN IP4 " + strings.Repeat("x", 30000) + "\n",
		"tls-id":      "a=tls-id:" + strings.Repeat("x", 30000) + "\n",
	} {
		if _, err := Parse("v=0\n" + lines + many); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Parse("v=0\n" + lines + "m=audio 1 RTP/AVP 0\nm=audio 1 RTP/AVP 0\n"); err != nil {
			t.Errorf("%s with two media: %v", name, err)
		}
	}
	alternate := "v=0\nm=audio 1 RTP/AVP 0 8\n" + strings.Repeat("a=fmtp:0 x\na=fmtp:8 x\n", 2500)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mustParse(t, alternate)
	runtime.ReadMemStats(&after)
	used := after.TotalAlloc - before.TotalAlloc
	if limit := uint64(16 * len(alternate)); used > limit {
		t.Errorf("%d bytes allocated for a body of %d", used, len(alternate))
	}
}
