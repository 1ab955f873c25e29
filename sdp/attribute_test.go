package sdp

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCandidate(t *testing.T) {
	for _, row := range []struct {
		name, in string
		want     Candidate
		out      string // "" as in
	}{
		{"host", "1 1 UDP 2130706431 192.0.2.1 5000 typ host",
			Candidate{Foundation: "1", Component: 1, Transport: "UDP", Priority: 2130706431, Address: "192.0.2.1",
				Addr: netip.MustParseAddr("192.0.2.1"), Port: 5000, Type: "host"}, ""},
		{"reflexive, IPv6", "a 2 udp 5 2001:db8::1 5000 typ srflx raddr ::1 rport 6 generation 0 ufrag x",
			Candidate{Foundation: "a", Component: 2, Transport: "udp", Priority: 5, Address: "2001:db8::1",
				Addr: netip.MustParseAddr("2001:db8::1"), Port: 5000, Type: "srflx", RelAddr: "::1", RelPort: 6,
				Extra: []Attribute{{Key: "generation", Value: "0"}, {Key: "ufrag", Value: "x"}}}, ""},
		{"mDNS", "1 1 udp 5 6b1c2d3e.local 5000 typ host",
			Candidate{Foundation: "1", Component: 1, Transport: "udp", Priority: 5, Address: "6b1c2d3e.local", Port: 5000, Type: "host"}, ""},
		{"zone", "1 1 udp 5 fe80::1%eth0 5000 typ host",
			Candidate{Foundation: "1", Component: 1, Transport: "udp", Priority: 5, Address: "fe80::1%eth0",
				Addr: netip.MustParseAddr("fe80::1"), Port: 5000, Type: "host"}, ""},
		{"name that ends in a digit", "1 1 udp 5 host7 5000 typ host",
			Candidate{Foundation: "1", Component: 1, Transport: "udp", Priority: 5, Address: "host7", Port: 5000, Type: "host"}, ""},
		{"blanks, order, odd end", "1  1\tudp 5 h 9 TYP relay  x y  rport 5 raddr z odd",
			Candidate{Foundation: "1", Component: 1, Transport: "udp", Priority: 5, Address: "h", Port: 9, Type: "relay",
				RelAddr: "z", RelPort: 5, Extra: []Attribute{{Key: "x", Value: "y"}, {Key: "odd"}}},
			"1 1 udp 5 h 9 typ relay raddr z rport 5 x y odd"},
		{"no component", "1", Candidate{}, "-"},
		{"component 0", "1 0 udp 5 h 9 typ host", Candidate{}, "-"},
		{"component 257", "1 257 udp 5 h 9 typ host", Candidate{}, "-"},
		{"priority", "1 1 udp 4294967296 h 9 typ host", Candidate{}, "-"},
		{"signed priority", "1 1 udp +5 h 9 typ host", Candidate{}, "-"},
		{"port", "1 1 udp 5 h 65536 typ host", Candidate{}, "-"},
		{"typ", "1 1 udp 5 h 9 type host", Candidate{}, "-"},
		{"no type", "1 1 udp 5 h 9 typ", Candidate{}, "-"},
		{"rport", "1 1 udp 5 h 9 typ host raddr x rport y", Candidate{}, "-"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseCandidate(row.in)
			if (err != nil) != (row.out == "-") {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got, equate); diff != "" {
				t.Error(diff)
			}
			if err != nil {
				return
			}
			if out := string(AppendCandidate(nil, got)); out != or(row.out, row.in) {
				t.Errorf("printed %q", out)
			}
			if got.IsUDP() != strings.EqualFold(got.Transport, "UDP") {
				t.Error("IsUDP")
			}
		})
	}
}

func TestCrypto(t *testing.T) {
	key := bytes.Repeat([]byte{0x5a}, 30)
	b64 := base64.StdEncoding.EncodeToString(key)
	gcm := bytes.Repeat([]byte{1}, 28)
	pad := base64.StdEncoding.EncodeToString(gcm)
	for _, row := range []struct {
		name, in string
		want     Crypto
		out      string // "" as in, "-" error
	}{
		{"plain", "1 AES_CM_128_HMAC_SHA1_80 inline:" + b64, Crypto{Tag: 1, Suite: "AES_CM_128_HMAC_SHA1_80", KeySalt: key}, ""},
		{"all", "12 x inline:" + b64 + "|2^31|300:2 KDR=1 UNENCRYPTED_SRTP",
			Crypto{Tag: 12, Suite: "x", KeySalt: key, Lifetime: "2^31", MKI: []byte{1, 44}, Params: []string{"KDR=1", "UNENCRYPTED_SRTP"}}, ""},
		{"MKI alone", "1 x inline:" + b64 + "|1:4", Crypto{Tag: 1, Suite: "x", KeySalt: key, MKI: []byte{0, 0, 0, 1}}, ""},
		{"longest MKI", "1 x inline:" + b64 + "|1:128", Crypto{Tag: 1, Suite: "x", KeySalt: key, MKI: append(make([]byte, 127), 1)}, ""},
		{"padding", "1 x inline:" + pad, Crypto{Tag: 1, Suite: "x", KeySalt: gcm, Pad: true}, ""},
		{"padding left out", "1 x inline:" + strings.TrimRight(pad, "="), Crypto{Tag: 1, Suite: "x", KeySalt: gcm}, ""},
		{"two keys", "1 x inline:" + b64 + "|1:1;inline:AAAA|2:1", Crypto{Tag: 1, Suite: "x", KeySalt: key, MKI: []byte{1}},
			"1 x inline:" + b64 + "|1:1"},
		{"blanks, case", " 01  x\tINLINE:AAAA  P ", Crypto{Tag: 1, Suite: "x", KeySalt: []byte{0, 0, 0}, Params: []string{"P"}}, "1 x inline:AAAA P"},
		{"tag", "x x inline:AAAA", Crypto{}, "-"},
		{"no key", "1 x", Crypto{}, "-"},
		{"method", "1 x uri:AAAA", Crypto{}, "-"},
		{"base64", "1 x inline:*", Crypto{}, "-"},
		{"empty", "1 x inline:", Crypto{}, "-"},
		{"MKI length 0", "1 x inline:AAAA|1:0", Crypto{}, "-"},
		{"MKI length 129", "1 x inline:AAAA|1:129", Crypto{}, "-"},
		{"MKI too big", "1 x inline:AAAA|256:1", Crypto{}, "-"},
		{"MKI no number", "1 x inline:AAAA|-1:1", Crypto{}, "-"},
		{"MKI of many digits", "1 x inline:AAAA|" + strings.Repeat("1", 400) + ":128", Crypto{}, "-"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseCrypto(row.in)
			if (err != nil) != (row.out == "-") {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got, equate); diff != "" {
				t.Error(diff)
			}
			if err != nil {
				if strings.Contains(err.Error(), b64) {
					t.Errorf("%q shows the key", err)
				}
				return
			}
			if out := string(AppendCrypto(nil, got)); out != or(row.out, row.in) {
				t.Errorf("printed %q", out)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	digest := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0xfe, 0xff}
	text := "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:FE:FF"
	for _, in := range []string{"sha-1 " + text, " SHA-1\t" + strings.ToLower(text) + " "} {
		got, err := ParseFingerprint(in)
		if err != nil || got.Hash != "sha-1" || !bytes.Equal(got.Digest, digest) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
		if out := string(AppendFingerprint(nil, got)); out != "sha-1 "+text {
			t.Errorf("printed %q", out)
		}
	}
	for _, in := range []string{"", "sha-1", "sha-1 " + text[3:], "x A", "x AB:", "x AB-CD", "x GG", " AB", "x A:B"} {
		if got, err := ParseFingerprint(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestExtmap(t *testing.T) {
	for _, row := range []struct {
		in   string
		want Extmap
	}{
		{"1 urn:x", Extmap{1, "", "urn:x", ""}},
		{"14/sendonly urn:x a b=c", Extmap{14, "sendonly", "urn:x", "a b=c"}},
		{"4351 urn:x", Extmap{ID: 4351, URI: "urn:x"}},
		{"4352 urn:x", Extmap{}},
		{"0 urn:x", Extmap{}},
		{"1", Extmap{}},
	} {
		got, err := ParseExtmap(row.in)
		if (err != nil) != (row.want == Extmap{}) || got != row.want {
			t.Errorf("%q: %+v, %v", row.in, got, err)
		}
		if out := string(AppendExtmap(nil, got)); err == nil && out != row.in {
			t.Errorf("printed %q, want %q", out, row.in)
		}
	}
}

func TestNames(t *testing.T) {
	for _, d := range []Direction{SendRecv, SendOnly, RecvOnly, Inactive} {
		if parseDirection(d.String()) != d {
			t.Error(d)
		}
	}
	if parseDirection("x") != DirectionDefault || DirectionDefault.String() != "sendrecv" {
		t.Error("default direction")
	}
	if !DirectionDefault.Sends() || !SendOnly.Sends() || RecvOnly.Sends() || Inactive.Sends() ||
		!SendRecv.Receives() || SendOnly.Receives() || !RecvOnly.Receives() || Inactive.Receives() {
		t.Error("Sends, Receives")
	}
	for s := SetupNone; s <= SetupHoldConn; s++ {
		if parseSetup(strings.ToUpper(s.String())) != s {
			t.Error(s)
		}
	}
	for p := RTPAVP; p <= UDPTL; p++ {
		if ParseProtocol(strings.ToLower(p.String())) != p {
			t.Error(p)
		}
		if p.IsRTP() && With(p.IsSRTP(), p.IsAVPF(), p.IsDTLS()) != p {
			t.Error("With", p)
		}
	}
	if ParseProtocol("") != ProtocolUnknown || With(false, true, true) != DTLSSAVPF {
		t.Error("protocols")
	}
}
