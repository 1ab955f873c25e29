package srtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// roomy is b with capacity for any trailer.
func roomy(b []byte) []byte {
	return append(make([]byte, 0, len(b)+MaxOverhead), b...)
}

func TestKeyDerivationVectors(t *testing.T) {
	tests := []struct{ name, suite, key, salt, wantKey, wantSalt, wantAuth string }{
		{"RFC 3711 B.3", "AES_CM_128_HMAC_SHA1_80",
			"e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6",
			"c61e7a93744f39ee10734afe3ff7a087", "30cbbc08863d8c85d49db34a9ae1",
			"cebe321f6ff7716b6fd4ab49af256a156d38baa4"},
		{"RFC 6188 7.2", "AES_256_CM_HMAC_SHA1_80",
			"f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2",
			"5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4", "fa31791685ca444a9e07c6c64e93",
			"fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"},
		{"RFC 6188 7.4", "AES_192_CM_HMAC_SHA1_32",
			"73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1", "c8522f3acd4ce86d5add78edbb11",
			"31874736a8f1143870c26e4857d8a5b2c4a354407faadabb", "2372b82d639b6d8503a47adc0a6c",
			"355b10973cd95b9eacf4061c7e1a7151e7cfbfcb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Params{Suite: SuiteByName(tt.suite), Key: unhex(t, tt.key), Salt: unhex(t, tt.salt)}
			k, err := p.SessionKeys()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []struct {
				name string
				got  []byte
				want string
			}{{"key", k.RTPKey, tt.wantKey}, {"salt", k.RTPSalt, tt.wantSalt}, {"auth", k.RTPAuth, tt.wantAuth}} {
				if hex.EncodeToString(f.got) != f.want {
					t.Errorf("%s %x, want %s", f.name, f.got, f.want)
				}
			}
		})
	}
}

// The vectors give the first three and last three blocks of the longest key stream.
func TestCounterModeVectors(t *testing.T) {
	const salt = "f0f1f2f3f4f5f6f7f8f9fafbfcfd"
	tests := []struct{ name, key, first, last string }{
		{"RFC 3711 B.2", "2b7e151628aed2a6abf7158809cf4f3c",
			"e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0",
			"ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44"},
		{"RFC 6188 7.1", "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
			"92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31",
			"cea518c90fd91ced9cbb18c078a547113dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f"},
		{"RFC 6188 7.3", "eab234764e517b2d3d160d587d8c86219740f65f99b6bcf7",
			"35096cba4610028dc1b57503804ce37c5de986291dcce161d5165ec4568f5c9a474a40c77894bc17180202272a4c264d",
			"d108d1a31a00bad6367ec23eb044b415c8f57129fdeb970b59f917b257662d4ca5dab625811034e8cebdfeb6dc158dd3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ks, err := newKeyStream(AESCM, unhex(t, tt.key), unhex(t, salt), new(fastCounters))
			if err != nil {
				t.Fatal(err)
			}
			pkt := make([]byte, 12+65282*16)
			ks.applyRTP(pkt, 12, 0)
			first, last := pkt[12:12+48], pkt[len(pkt)-48:]
			if hex.EncodeToString(first) != tt.first || hex.EncodeToString(last) != tt.last {
				t.Errorf("got %x … %x\nwant %s … %s", first, last, tt.first, tt.last)
			}
		})
	}
}

func TestF8Vector(t *testing.T) { // RFC 3711 B.1
	ks, err := newKeyStream(F8, unhex(t, "234829008467be186c3de14aae72d62c"), unhex(t, "32f2870d"), nil)
	if err != nil {
		t.Fatal(err)
	}
	pkt := unhex(t, "806e5cba50681de55c621599"+hex.EncodeToString([]byte("pseudorandomness is the next best thing")))
	ks.applyRTP(pkt, 12, 0xd462564a<<16|0x5cba)
	want := "019ce7a26e7854014a6366aa95d4eefd1ad4172a14f9faf455b7f1d4b62bd08f562c0eef7c4802"
	if got := hex.EncodeToString(pkt[12:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// RFC 7714 sections 16 and 17 give session keys, so the context is made and then given them.
func TestGCMVectors(t *testing.T) {
	const (
		salt     = "517569642070726f2071756f"
		rtpHead  = "8040f17b8041f8d35501a0b2"
		rtpPlain = rtpHead + "47616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573"
		rtcpHead = "81c8000d4d617273"
		rtcp     = rtcpHead + "4e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
	)
	tests := []struct {
		suite, key string
		plain      bool // not encrypted
		rtp, rtcp  string
	}{
		{"AEAD_AES_128_GCM", "000102030405060708090a0b0c0d0e0f", false,
			rtpHead + "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
			rtcpHead + "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"},
		{"AEAD_AES_128_GCM", "000102030405060708090a0b0c0d0e0f", true,
			rtpPlain + "22493f82d2bce397e9d79e3b19aa4216", rtcp + "841dd9683dd78ec92ae58790125f62b3000005d4"},
		{"AEAD_AES_256_GCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false,
			rtpHead + "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
			rtcpHead + "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4"},
		{"AEAD_AES_256_GCM", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", true,
			rtpPlain + "a866d5910f887463067ceefec45215d4", rtcp + "91db4afbfeee5a978fab4393ed2615fe000005d4"},
	}
	for _, tt := range tests {
		name := tt.suite
		if tt.plain {
			name += " unencrypted"
		}
		t.Run(name, func(t *testing.T) {
			newContext := func() *Context {
				s := SuiteByName(tt.suite)
				c, err := New(Params{Suite: s, Key: make([]byte, s.KeyLen), Salt: make([]byte, s.SaltLen),
					UnencryptedRTP: tt.plain, UnencryptedRTCP: tt.plain})
				if err != nil {
					t.Fatal(err)
				}
				key := unhex(t, tt.key)
				if c.rtp, err = newHalf(s, key, nil, unhex(t, salt), 16, nil); err != nil {
					t.Fatal(err)
				}
				c.rtcp = &c.rtp
				c.SetState(State{SSRC: 0x4d617273, RTCP: Progress{Started: true, Highest: 0x5d3}})
				return c
			}
			in, out := newContext(), newContext()
			got, err := out.ProtectRTP(roomy(unhex(t, rtpPlain)))
			if err != nil || !bytes.Equal(got, unhex(t, tt.rtp)) {
				t.Errorf("ProtectRTP %x, %v, want %s", got, err, tt.rtp)
			}
			if got, err = in.UnprotectRTP(got); err != nil || !bytes.Equal(got, unhex(t, rtpPlain)) {
				t.Errorf("UnprotectRTP %x, %v", got, err)
			}
			got, err = out.ProtectRTCP(roomy(unhex(t, rtcp)))
			if err != nil || !bytes.Equal(got, unhex(t, tt.rtcp)) {
				t.Errorf("ProtectRTCP %x, %v, want %s", got, err, tt.rtcp)
			}
			if got, err = in.UnprotectRTCP(got); err != nil || !bytes.Equal(got, unhex(t, rtcp)) {
				t.Errorf("UnprotectRTCP %x, %v", got, err)
			}
		})
	}
}

// The vector above has 4-byte salt; this one checks the RTCP vector's layout by hand.
func TestF8RTCPVector(t *testing.T) {
	ks := &f8Mode{block: nopBlock{}, masked: nopBlock{}}
	pkt := unhex(t, "80c90001 01020304 ffffffff")
	ks.applyRTCP(pkt, eFlag|7)
	var want [16]byte
	binary.BigEndian.PutUint32(want[4:], eFlag|7)
	copy(want[8:], pkt[:8])
	if ks.iv != want {
		t.Errorf("vector %x, want %x", ks.iv, want)
	}
}

// nopBlock encrypts to the same.
type nopBlock struct{}

func (nopBlock) BlockSize() int          { return 16 }
func (nopBlock) Encrypt(dst, src []byte) { copy(dst, src[:16]) }
func (nopBlock) Decrypt(dst, src []byte) { copy(dst, src[:16]) }
