package rtpengine

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"testing"

	"rtpsidecar/sdp"
)

func TestOfferProtocol(t *testing.T) {
	tests := []struct {
		name      string
		in        sdp.Protocol
		osrtp     bool
		receiver  sdp.Protocol // what it spoke so far; unknown: nothing
		same      bool         // the sender has kept its own
		flags     Flags
		want      sdp.Protocol
		wantOSRTP bool
	}{
		{name: "as it came", in: sdp.RTPSAVPF, want: sdp.RTPSAVPF},
		{name: "asked for", in: sdp.DTLSSAVPF, flags: Flags{Transport: sdp.RTPAVP}, want: sdp.RTPAVP},
		{name: "not RTP", in: sdp.UDPTL, flags: Flags{Transport: sdp.RTPAVP}, want: sdp.UDPTL},
		{name: "OSRTP passed on", in: sdp.RTPAVP, osrtp: true, want: sdp.RTPAVP, wantOSRTP: true},
		{name: "OSRTP undone", in: sdp.RTPAVP, osrtp: true, flags: Flags{Transport: sdp.RTPAVP}, want: sdp.RTPAVP},
		{name: "OSRTP offered", in: sdp.RTPAVP, flags: Flags{OSRTP: OSRTPFlags{Offer: true}}, want: sdp.RTPAVP, wantOSRTP: true},
		{name: "receiver's own", in: sdp.RTPAVP, receiver: sdp.RTPSAVPF, same: true, want: sdp.RTPSAVPF},
		{name: "sender changed", in: sdp.RTPAVP, receiver: sdp.RTPSAVPF, want: sdp.RTPAVP},
	}
	for _, tt := range tests {
		a := leg{In: &sdp.Media{Protocol: tt.in}, OSRTP: tt.osrtp, SameProtocol: tt.same}
		b := leg{Seen: tt.receiver != sdp.ProtocolUnknown, Protocol: tt.receiver}
		got, _, osrtp := offerProtocol(&a, &b, &tt.flags)
		if got != tt.want || osrtp != tt.wantOSRTP {
			t.Errorf("%s: %v, OSRTP %v; want %v, %v", tt.name, got, osrtp, tt.want, tt.wantOSRTP)
		}
	}
}

func TestEndpoint(t *testing.T) {
	addr := func(s string) sdp.Connection { return sdp.ConnectionTo(netip.MustParseAddr(s)) }
	source := netip.MustParseAddr("203.0.113.9")
	media := func(change func(*sdp.Media)) *sdp.Media {
		m := &sdp.Media{Port: 4000, Protocol: sdp.RTPAVP, Connections: []sdp.Connection{addr("198.51.100.1")}}
		if change != nil {
			change(m)
		}
		return m
	}
	rtcpAt := addr("198.51.100.7")
	tests := []struct {
		name      string
		m         *sdp.Media
		flags     Flags
		sipSource bool
		rtp, rtcp string
		hold      bool
	}{
		{name: "plain", m: media(nil), rtp: "198.51.100.1:4000", rtcp: "198.51.100.1:4001"},
		{name: "a=rtcp", m: media(func(m *sdp.Media) { m.RTCP = &sdp.RTCPAttr{Port: 9} }), rtp: "198.51.100.1:4000", rtcp: "198.51.100.1:9"},
		{name: "a=rtcp elsewhere", m: media(func(m *sdp.Media) { m.RTCP = &sdp.RTCPAttr{Port: 9, Conn: &rtcpAt} }), rtp: "198.51.100.1:4000", rtcp: "198.51.100.7:9"},
		{name: "not RTP", m: media(func(m *sdp.Media) { m.Protocol = sdp.UDPTL }), rtp: "198.51.100.1:4000", rtcp: "invalid AddrPort"},
		{name: "SIP source", m: media(nil), flags: Flags{ReceivedFrom: source, TrustAddress: Off}, rtp: "203.0.113.9:4000", rtcp: "203.0.113.9:4001"},
		{name: "SIP source by option", m: media(nil), flags: Flags{ReceivedFrom: source}, sipSource: true, rtp: "203.0.113.9:4000", rtcp: "203.0.113.9:4001"},
		{name: "trusted all the same", m: media(nil), flags: Flags{ReceivedFrom: source, TrustAddress: On}, sipSource: true, rtp: "198.51.100.1:4000", rtcp: "198.51.100.1:4001"},
		{name: "hold", m: media(func(m *sdp.Media) { m.Connections[0] = addr("0.0.0.0") }), flags: Flags{ReceivedFrom: source, TrustAddress: Off}, rtp: "0.0.0.0:4000", rtcp: "0.0.0.0:4001", hold: true},
		{name: "zero address with ICE", m: media(func(m *sdp.Media) {
			m.Connections[0] = addr("0.0.0.0")
			m.ICE = sdp.ICE{Ufrag: "u", Pwd: "p"}
		}), rtp: "0.0.0.0:4000", rtcp: "0.0.0.0:4001"},
		{name: "rejected", m: media(func(m *sdp.Media) { m.Port = 0 }), rtp: "invalid AddrPort", rtcp: "invalid AddrPort"},
	}
	for _, tt := range tests {
		var l leg
		hear(&l, &sdp.Session{}, tt.m, &tt.flags, rules{sipSource: tt.sipSource, rand: rand.Reader}, true, false)
		if l.Remote[0].String() != tt.rtp || l.Remote[1].String() != tt.rtcp || l.Hold != tt.hold {
			t.Errorf("%s: %v, hold %v; want %s %s, %v", tt.name, l.Remote, l.Hold, tt.rtp, tt.rtcp, tt.hold)
		}
	}
}

func TestDirection(t *testing.T) {
	for _, tt := range []struct {
		in   sdp.Direction
		hold bool
		want sdp.Direction
	}{
		{sdp.DirectionDefault, false, sdp.SendRecv}, {sdp.SendOnly, false, sdp.SendOnly},
		{sdp.DirectionDefault, true, sdp.SendOnly}, {sdp.RecvOnly, true, sdp.Inactive}, {sdp.SendOnly, true, sdp.SendOnly},
	} {
		if got := direction(tt.in, tt.hold); got != tt.want {
			t.Errorf("direction(%v, %v) = %v, want %v", tt.in, tt.hold, got, tt.want)
		}
	}
}

func TestCryptoParams(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 30)
	tests := []struct {
		name string
		line sdp.Crypto
		ok   bool
	}{
		{"usable", sdp.Crypto{Suite: "AES_CM_128_HMAC_SHA1_80", KeySalt: key}, true},
		{"unknown suite", sdp.Crypto{Suite: "ROT13", KeySalt: key}, false},
		{"short key", sdp.Crypto{Suite: "AES_CM_128_HMAC_SHA1_80", KeySalt: key[:29]}, false},
		{"key derivation rate", sdp.Crypto{Suite: "AES_CM_128_HMAC_SHA1_80", KeySalt: key, Params: []string{"KDR=3"}}, false},
		{"no key derivation rate", sdp.Crypto{Suite: "AES_CM_128_HMAC_SHA1_80", KeySalt: key, Params: []string{"KDR=0", "WSH=64"}}, true},
	}
	for _, tt := range tests {
		if _, ok := cryptoParams(tt.line); ok != tt.ok {
			t.Errorf("%s: %v, want %v", tt.name, ok, tt.ok)
		}
	}
	p, _ := cryptoParams(sdp.Crypto{Suite: "AES_CM_128_HMAC_SHA1_80", KeySalt: key, MKI: []byte{1}, Params: []string{paramPlainRTCP}})
	if !p.UnencryptedRTCP || p.UnencryptedRTP || len(p.Key) != 16 || len(p.Salt) != 14 || len(p.MKI) != 1 {
		t.Errorf("%+v", p)
	}
}

func TestSeparable(t *testing.T) {
	section := func(mid bool, pts ...uint8) *pair {
		m := &sdp.Media{}
		for _, pt := range pts {
			m.Codecs = append(m.Codecs, sdp.Codec{PT: pt})
		}
		if mid {
			m.Extmaps = []sdp.Extmap{{ID: 1, URI: uriMID}}
		}
		return &pair{sec: m}
	}
	for _, tt := range []struct {
		name string
		list []*pair
		want bool
	}{
		{"different payload types", []*pair{section(false, 0, 8), section(false, 96)}, true},
		{"the same, with mids", []*pair{section(true, 96), section(true, 96)}, true},
		{"the same, one without", []*pair{section(true, 96), section(false, 96)}, false},
	} {
		if got := separable(tt.list); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	c, d := newCredentials(rand.Reader), newCredentials(rand.Reader)
	if len(c.Ufrag) != 8 || len(c.Pwd) != 26 || c == d {
		t.Errorf("%+v %+v", c, d)
	}
	for _, r := range c.Ufrag + c.Pwd {
		if !bytes.ContainsRune([]byte(alphanumerics), r) {
			t.Errorf("%q in %+v", r, c)
		}
	}
}

func TestReofferKeepsChoices(t *testing.T) {
	line := func(tag int, suite string, fill byte, n int) sdp.Crypto {
		return sdp.Crypto{Tag: tag, Suite: suite, KeySalt: bytes.Repeat([]byte{fill}, n)}
	}
	const cm80, gcm = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"
	tests := []struct {
		name   string
		answer bool // ours was the answer, else the offer
		sent   []sdp.Crypto
		chosen sdp.Crypto // the far side's
		tag    int        // of the first line offered next
	}{
		{"it took our seventh line", false, []sdp.Crypto{line(2, gcm, 3, 28), line(7, cm80, 1, 30)}, line(7, cm80, 2, 30), 7},
		{"we answered", true, []sdp.Crypto{line(1, cm80, 1, 30)}, line(1, cm80, 2, 30), 1},
	}
	for _, tt := range tests {
		a := leg{In: &sdp.Media{Protocol: sdp.RTPAVP}, Protocol: sdp.RTPAVP}
		b := leg{Seen: true, In: &sdp.Media{Protocol: sdp.RTPSAVP}, Protocol: sdp.RTPSAVP,
			SDES: legSDES{Sent: tt.sent, Answer: tt.answer, Chosen: true, sdesAgreed: &sdesAgreed{Line: tt.chosen}}}
		proposeSDES(&a, &b, &Flags{}, rules{rand: rand.Reader})
		got := b.SDES.Sent
		if c := got[0]; c.Tag != tt.tag || c.Suite != cm80 || c.KeySalt[0] != 1 {
			t.Errorf("%s: first line %+v", tt.name, c)
		}
		tags := map[int]bool{}
		for _, c := range got {
			if tags[c.Tag] {
				t.Errorf("%s: tag %d twice", tt.name, c.Tag)
			}
			tags[c.Tag] = true
			if c.Suite == gcm && !tt.answer && c.KeySalt[0] != 3 {
				t.Errorf("%s: another key for a suite offered before", tt.name)
			}
		}
	}

	b := leg{Protocol: sdp.RTPSAVP, DTLS: legDTLS{On: true, Hash: "sha-256", Remote: []sdp.Fingerprint{{Hash: "sha-1"}}}}
	if proposeDTLS(&leg{}, &b, &Flags{}, rules{rand: rand.Reader}); b.DTLS.Hash != "sha-256" {
		t.Errorf("re-offer with %s after an answer with another digest", b.DTLS.Hash)
	}
}

func TestProposeICE(t *testing.T) {
	heard := &sdp.Media{Protocol: sdp.RTPAVP, ICE: sdp.ICE{Ufrag: "u", Pwd: "p", Options: []string{"trickle", "ice2"}}}
	plain := &sdp.Media{Protocol: sdp.RTPAVP}
	tests := []struct {
		name  string
		in    *sdp.Media
		b     leg
		flags Flags
		want  bool
	}{
		{"as it came", heard, leg{}, Flags{}, true},
		{"nothing came", plain, leg{}, Flags{}, false},
		{"it has answered without", heard, leg{Seen: true}, Flags{}, false},
		{"it uses ICE", plain, leg{Seen: true, ICE: legICE{On: true}}, Flags{}, true},
		{"it begins anew", heard, leg{Seen: true}, Flags{Reset: true}, true},
		{"forced", plain, leg{Seen: true}, Flags{ICE: ICEForce}, true},
		{"removed", heard, leg{Seen: true, ICE: legICE{On: true}}, Flags{ICE: ICERemove}, false},
	}
	for _, tt := range tests {
		a := leg{In: tt.in}
		tt.b.Protocol = sdp.RTPAVP
		if proposeICE(&a, &tt.b, &tt.flags, rules{rand: rand.Reader}); tt.b.ICE.On != tt.want {
			t.Errorf("%s: %v", tt.name, tt.b.ICE.On)
		}
	}
	var l leg
	if hearICEOffer(&l, &sdp.Session{}, heard, &Flags{}, rules{rand: rand.Reader}); !l.ICE.ICE2 || !l.ICE.Trickle {
		t.Errorf("options not heard: %+v", l.ICE)
	}
}
