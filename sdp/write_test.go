package sdp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The order of lines, all of them in use.
func TestAppendOrder(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	c := ConnectionTo(addr)
	m := &Media{
		Type: "audio", Port: 4000, PortCount: 2, Protocol: DTLSSAVPF, Title: "title", Connections: []Connection{c, c},
		Bandwidth: []Bandwidth{{"X-A", "1"}, {"TIAS", "2"}, {"RS", "3"}, {"AS", "4"}, {"CT", "5"}, {"RR", "6"}},
		Unknown:   []string{"x=y"}, MID: "m", Label: "l", BundleOnly: true,
		Codecs: append(codecs("96 opus/48000/2|useinbandfec=1", "77 "),
			Codec{PT: 0, Name: "PCMU", ClockHz: 8000, Static: true, Feedback: []string{"nack", "nack pli"}}),
		ExtmapAllowMixed: true, Extmaps: []Extmap{{ID: 1, URI: "urn:x"}},
		Rest:      []Attribute{{Key: "ssrc", Value: "1 cname:x"}, {Key: "rtcp-fb", Value: "* nack"}},
		Direction: RecvOnly, RTCP: &RTCPAttr{4001, &c}, RTCPMux: true,
		Cryptos: []Crypto{{Tag: 2, Suite: "A", KeySalt: []byte{0, 0, 0}}, {Tag: 1, Suite: "B", KeySalt: []byte{0}, Pad: true}},
		Setup:   SetupActPass, Fingerprints: []Fingerprint{{"x", []byte{0xab, 1}}}, TLSID: "t",
		PTime: 20 * time.Millisecond, MaxPTime: 2500 * time.Microsecond,
		ICE: ICE{Ufrag: "u", Pwd: "p", Options: []string{"trickle", "ice2"}, EndOfCandidates: true, Mismatch: true,
			Candidates:       []Candidate{{Foundation: "1", Component: 1, Transport: "UDP", Priority: 9, Address: "h", Port: 1, Type: "host"}},
			RemoteCandidates: []RemoteCandidate{{1, netip.AddrPortFrom(addr, 5)}, {2, netip.AddrPortFrom(addr, 6)}}},
	}
	s := &Session{
		Origin: Origin{"u", "1", "2", IP6, "::1"}, Name: "n", Connection: &c,
		Info:      []string{"p=1", "e=2", "u=3", "i=4", "e=5"},
		Bandwidth: []Bandwidth{{"AS", "9"}}, Timing: []string{"1 2", "3 4"}, Unknown: []string{"q=r"},
		LoopMarks: []string{"a", "b"}, ICELite: true, Groups: []Group{{"BUNDLE", []string{"m", "n"}}},
		Rest: []Attribute{{Key: "tool", Value: "x"}}, Media: []*Media{m},
	}
	want := `v=0
o=u 1 2 IN IP6 ::1
s=n
i=4
u=3
e=2
e=5
p=1
b=AS:9
t=1 2
t=3 4
q=r
a=rtpengine:a
a=rtpengine:b
a=ice-lite
a=group:BUNDLE m n
a=tool:x
m=audio 4000 UDP/TLS/RTP/SAVPF 96 77 0
i=title
c=IN IP4 192.0.2.1
b=AS:4
b=RR:6
b=RS:3
b=CT:5
b=TIAS:2
b=X-A:1
x=y
a=mid:m
a=label:l
a=bundle-only
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtcp-fb:0 nack
a=rtcp-fb:0 nack pli
a=extmap-allow-mixed
a=extmap:1 urn:x
a=ssrc:1 cname:x
a=rtcp-fb:* nack
a=recvonly
a=rtcp:4001 IN IP4 192.0.2.1
a=rtcp-mux
a=crypto:2 A inline:AAAA
a=crypto:1 B inline:AA==
a=setup:actpass
a=fingerprint:x AB:01
a=tls-id:t
a=ptime:20
a=maxptime:2.5
a=ice-mismatch
a=ice-ufrag:u
a=ice-pwd:p
a=ice-options:trickle ice2
a=candidate:1 1 UDP 9 h 1 typ host
a=remote-candidates:1 192.0.2.1 5 2 192.0.2.1 6
a=end-of-candidates
`
	if got := strings.ReplaceAll(s.String(), "\r\n", "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
	// Port 0 and bundle-only: everything is there, address included.
	m.Port = 0
	if got := strings.ReplaceAll(s.String(), "\r\n", "\n"); got != strings.Replace(want, "audio 4000", "audio 0", 1) {
		t.Errorf("bundle-only: got\n%s", got)
	}
	m.BundleOnly = false
	rejected := want[:strings.Index(want, "a=bundle-only")]
	rejected = strings.NewReplacer("audio 4000", "audio 0", "c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0").Replace(rejected)
	if got := strings.ReplaceAll(s.String(), "\r\n", "\n"); got != rejected {
		t.Errorf("rejected: got\n%s", got)
	}
}

// In a section that is not RTP the fields print where their line stood, or in the usual place.
func TestAppendOther(t *testing.T) {
	body := head + strings.ReplaceAll(`m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=setup:actpass
a=sctp-port:5000
a=fingerprint:x AB
a=mid:0
a=mid:1
a=label:l
a=sendrecv
a=bundle-only
a=tls-id:t
a=fingerprint:y CD
a=last
`, "\n", "\r\n")
	s := mustParse(t, body)
	m := s.Media[0]
	m.MID, m.Label, m.Setup, m.Direction, m.TLSID = "new", "new", SetupActive, Inactive, "new"
	m.Fingerprints = m.Fingerprints[1:]
	check := func(name, want string) {
		t.Helper()
		got := strings.ReplaceAll(s.String(), "\r\n", "|")
		if _, got, _ = strings.Cut(got, "|t=0 0|"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	const top = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel|c=IN IP4 192.0.2.1|"
	check("changed", top+"a=setup:active|a=sctp-port:5000|a=fingerprint:y CD|a=mid:new|a=label:new|a=inactive|a=bundle-only|a=tls-id:new|a=last|")
	m.MID, m.Label, m.Setup, m.Direction, m.TLSID, m.BundleOnly, m.Fingerprints = "", "", SetupNone, DirectionDefault, "", false, nil
	check("cleared", top+"a=sctp-port:5000|a=last|")
	m.Rest = []Attribute{{Key: "x"}}
	m.MID, m.Label, m.Setup, m.Direction, m.TLSID, m.BundleOnly = "m", "l", SetupPassive, SendOnly, "t", true
	m.Fingerprints = []Fingerprint{{"z", []byte{1}}}
	check("no places", top+"a=mid:m|a=label:l|a=bundle-only|a=x|a=sendonly|a=setup:passive|a=fingerprint:z 01|a=tls-id:t|")
}

func TestClone(t *testing.T) {
	golden(t, func(name string, in []byte) {
		s := mustParse(t, string(in))
		before := s.String()
		c := s.Clone()
		c.Origin.Version = "changed"
		for _, list := range [][]string{c.Info, c.Timing, c.Unknown, c.LoopMarks} {
			for i := range list {
				list[i] = "changed"
			}
		}
		if c.Connection != nil {
			c.Connection.Address = "changed"
		}
		for i := range c.Groups {
			c.Groups[i].Semantics = "changed"
			c.Groups[i].MIDs[0] = "changed"
		}
		for i := range c.Rest {
			c.Rest[i].Value = "changed"
		}
		for _, m := range c.Media {
			m.Port++
			clear(m.Formats)
			clear(m.Connections)
			clear(m.Bandwidth)
			clear(m.Unknown)
			clear(m.Extmaps)
			clear(m.Rest)
			clear(m.ICE.Options)
			clear(m.ICE.RemoteCandidates)
			if m.RTCP != nil {
				m.RTCP.Port = 9
				if m.RTCP.Conn != nil {
					m.RTCP.Conn.Address = "changed"
				}
			}
			for i := range m.Codecs {
				clear(m.Codecs[i].Fmtp)
				clear(m.Codecs[i].Feedback)
				m.Codecs[i].PT = 127
			}
			for i := range m.Cryptos {
				clear(m.Cryptos[i].KeySalt)
				clear(m.Cryptos[i].MKI)
				clear(m.Cryptos[i].Params)
				m.Cryptos[i].Tag = 99
			}
			for i := range m.Fingerprints {
				clear(m.Fingerprints[i].Digest)
			}
			for i := range m.ICE.Candidates {
				clear(m.ICE.Candidates[i].Extra)
				m.ICE.Candidates[i].Port = 1
			}
		}
		if after := s.String(); after != before {
			t.Errorf("%s: a change of the clone shows:\n%s", name, after)
		}
	})
}

// Lists of one body share arrays; growing one must not show in its neighbour.
func TestListsStandApart(t *testing.T) {
	golden(t, func(name string, in []byte) {
		s := mustParse(t, string(in))
		before := s.String()
		grow := func(m *Media) {
			_ = append(m.Formats, "x")
			_ = append(m.Connections, Connection{})
			_ = append(m.Bandwidth, Bandwidth{})
			_ = append(m.Rest, Attribute{})
			_ = append(m.Extmaps, Extmap{})
			_ = append(m.ICE.Candidates, Candidate{})
			_ = append(m.ICE.Options, "x")
			for _, c := range m.Codecs {
				_ = append(c.Fmtp, "x")
				_ = append(c.Feedback, "x")
			}
			for _, c := range m.ICE.Candidates {
				_ = append(c.Extra, Attribute{})
			}
		}
		_ = append(s.Rest, Attribute{})
		for _, m := range s.Media {
			grow(m)
		}
		if after := s.String(); after != before {
			t.Errorf("%s: growing a list shows elsewhere:\n%s", name, after)
		}
	})
}

// A call is set up with a handful of bodies: neither direction may cost an allocation per line.
func TestAllocations(t *testing.T) {
	golden(t, func(name string, in []byte) {
		if name != "webrtc-four-media" {
			return
		}
		s := mustParse(t, string(in))
		dst := Append(nil, s)
		if n := testing.AllocsPerRun(100, func() { dst = Append(dst[:0], s) }); n > 0 {
			t.Errorf("Append: %v allocations", n)
		}
		if n := testing.AllocsPerRun(100, func() { mustParse(t, string(in)) }); n > 60 {
			t.Errorf("Parse: %v allocations for %d lines", n, strings.Count(string(in), "\n"))
		}
	})
}

// Lines of a section that is not RTP keep their spelling while their fields say the same.
func TestAppendOwnSpelling(t *testing.T) {
	const lines = "a=fingerprint:SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB|a=tls-id: abc|"
	s := mustParse(t, head+strings.ReplaceAll("m=application 9 UDP/DTLS/SCTP x|"+lines, "|", "\r\n"))
	if got := strings.ReplaceAll(s.String(), "\r\n", "|"); !strings.HasSuffix(got, lines) {
		t.Errorf("got %s", got)
	}
	s.Media[0].Fingerprints[0].Digest[0] = 0xff
	if got := s.String(); !strings.Contains(got, "a=fingerprint:sha-1 FF:AD") {
		t.Errorf("changed: got %s", got)
	}
}

func TestAppendAsWritten(t *testing.T) {
	const received = "m=audio 4000 RTP/AVP 96|a=sendonly|a=mid:1|a=x|a=rtcp-fb:96 nack|a=rtpmap:96 a/8000|a=x|"
	body := strings.ReplaceAll(head+received, "|", "\r\n")
	for _, row := range []struct {
		name   string
		change func(*Media)
		want   string
	}{
		{"unchanged", func(*Media) {}, "a=sendonly|a=mid:1|a=x|a=rtcp-fb:96 nack|a=rtpmap:96 a/8000|a=x|"},
		{"others come last", func(m *Media) { m.Direction, m.RTCPMux = SendRecv, true }, "a=mid:1|a=x|a=rtcp-fb:96 nack|a=rtpmap:96 a/8000|a=x|a=sendrecv|a=rtcp-mux|"},
		{"usual order", func(m *Media) { m.Order = nil }, "a=mid:1|a=rtpmap:96 a/8000|a=rtcp-fb:96 nack|a=x|a=x|a=sendonly|"},
	} {
		s := mustParse(t, body)
		s.Media[0].Order = AttributeLines(body)[0]
		row.change(s.Media[0])
		if got := strings.ReplaceAll(s.String(), "\r\n", "|"); !strings.HasSuffix(got, "|c=IN IP4 192.0.2.1|"+row.want) {
			t.Errorf("%s: got %s", row.name, got)
		}
	}
}
