package sdp

import (
	"net/netip"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, row := range []struct {
		name, media string
		rtp, rtcp   string
		zero        bool
	}{
		{"session connection", "m=audio 4000 RTP/AVP 0\n", "192.0.2.1:4000", "192.0.2.1:4001", false},
		{"own connection", "m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::1\nc=IN IP4 192.0.2.9\n", "[2001:db8::1]:4000", "[2001:db8::1]:4001", false},
		{"rtcp port", "m=audio 4000 RTP/AVP 0\na=rtcp:4444\n", "192.0.2.1:4000", "192.0.2.1:4444", false},
		{"rtcp address", "m=audio 4000 RTP/AVP 0\na=rtcp:4444 IN IP4 192.0.2.5\n", "192.0.2.1:4000", "192.0.2.5:4444", false},
		{"last port", "m=audio 65535 RTP/AVP 0\n", "192.0.2.1:65535", "192.0.2.1:0", false},
		{"rejected", "m=audio 0 RTP/AVP 0\n", "192.0.2.1:0", "192.0.2.1:0", false},
		{"zero", "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n", "0.0.0.0:4000", "0.0.0.0:4001", true},
		{"zero IPv6", "m=audio 4000 RTP/AVP 0\nc=IN IP6 ::\n", "[::]:4000", "[::]:4001", true},
		{"host name", "m=audio 4000 RTP/AVP 0\nc=IN IP4 host.example\n", "invalid AddrPort", "invalid AddrPort", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := mustParse(t, head+row.media).Media[0]
			c, ok := m.Conn()
			if m.RTPAddr().String() != row.rtp || m.RTCPAddr().String() != row.rtcp || c.IsZero() != row.zero || !ok {
				t.Errorf("got %v, %v, %v", m.RTPAddr(), m.RTCPAddr(), c)
			}
		})
	}
	if _, ok := new(Media).Conn(); ok {
		t.Error("connection out of nothing")
	}
	if c := ConnectionTo(netip.MustParseAddr("::1")); c.Family != IP6 || c.Address != "::1" {
		t.Error(c)
	}
}

func TestLookups(t *testing.T) {
	s := mustParse(t, head+"a=group:LS a b\na=group:BUNDLE a c\na=ice-options:Trickle\na=ice-ufrag:x\n"+
		"m=audio 1 RTP/AVP 0\na=mid:a\na=ice-pwd:y\nm=video 0 RTP/AVP 34\na=mid:b\na=bundle-only\na=ice-ufrag:x\na=ice-pwd:y\nm=text 0 RTP/AVP 98\n")
	a, b, c := s.Media[0], s.Media[1], s.Media[2]
	if s.ByMID("b") != b || s.ByMID("") != nil || s.ByMID("z") != nil {
		t.Error("ByMID")
	}
	if g := s.Bundle("a"); g == nil || g.MIDs[1] != "c" || s.Bundle("b") != nil || s.Bundle("") != nil {
		t.Error("Bundle")
	}
	if a.Rejected() || b.Rejected() || !c.Rejected() {
		t.Error("Rejected")
	}
	if a.ICE.InUse() || !b.ICE.InUse() || !a.ICE.HasOption("trickle") || a.ICE.HasOption("ice2") {
		t.Error("ICE")
	}
	if a.Codec(0) != &a.Codecs[0] || a.Codec(8) != nil {
		t.Error("Codec")
	}
}

func TestEqualButOrigin(t *testing.T) {
	const a = "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\n"
	for b, want := range map[string]bool{
		a: true, "v=0\r\no=- 1 2 IN IP4 x\r\ns=-\r\n": true, "v=0\r\no=y": false, "v=0\r\ns=-\r\n": false,
		"v=0\r\no=- 1 1 IN IP4 x\r\ns=+\r\n": false, "v=1\r\no=- 1 1 IN IP4 x\r\ns=-\r\n": false, "": false,
	} {
		if EqualButOrigin(a, b) != want || EqualButOrigin(b, a) != want {
			t.Errorf("%q: want %v", b, want)
		}
	}
	if !EqualButOrigin("o=1\nx", "o=2\nx") || !EqualButOrigin("x", "x") || EqualButOrigin("x", "y") {
		t.Error("bodies that start with o= or have none")
	}
}
