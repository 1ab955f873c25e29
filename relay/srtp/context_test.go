package srtp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"rtpsidecar/relay/rtp"
)

func mustParams(t testing.TB, name string) Params {
	t.Helper()
	p, err := NewParams(SuiteByName(name), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustNew(t testing.TB, p Params) *Context {
	t.Helper()
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pair is a sender and a receiver under one key.
func pair(t testing.TB, p Params) (out, in *Context) { return mustNew(t, p), mustNew(t, p) }

func rtpPacket(ssrc uint32, seq uint16, payloadLen int) []byte {
	b := rtp.AppendHeader(make([]byte, 0, 12+payloadLen+MaxOverhead), rtp.Header{PT: 8, Seq: seq, Timestamp: uint32(seq) * 160, SSRC: ssrc})
	for i := range payloadLen {
		b = append(b, byte(i))
	}
	return b
}

func rtcpPacket(ssrc uint32) []byte {
	return roomy(rtp.AppendSDES(rtp.AppendSR(nil, ssrc, rtp.SenderInfo{Packets: 5}, []rtp.ReportBlock{{SSRC: 9}}), ssrc, "me"))
}

func TestSuites(t *testing.T) {
	all := Suites()
	if len(all) != 12 {
		t.Fatalf("%d suites, want 12", len(all))
	}
	for _, s := range all {
		if SuiteByName(s.Name) != s {
			t.Errorf("%s not found by name", s)
		}
		if s.Profile != 0 && SuiteByProfile(s.Profile) != s {
			t.Errorf("%s not found by profile", s)
		}
	}
	if SuiteByName("aes_cm_128_hmac_sha1_80") != nil || SuiteByProfile(0) != nil || SuiteByProfile(5) != nil {
		t.Error("found what is not there")
	}
	if (*Suite)(nil).String() != "none" {
		t.Error("nil suite")
	}
}

func TestParams(t *testing.T) {
	good := mustParams(t, "AES_CM_128_HMAC_SHA1_80")
	tests := []struct {
		name   string
		change func(*Params)
		bad    bool
	}{
		{"good", func(*Params) {}, false},
		{"no suite", func(p *Params) { p.Suite = nil }, true},
		{"short key", func(p *Params) { p.Key = p.Key[1:] }, true},
		{"no salt", func(p *Params) { p.Salt = nil }, true},
		{"long MKI", func(p *Params) { p.MKI = make([]byte, 256) }, true},
		{"longest MKI", func(p *Params) { p.MKI = make([]byte, 255) }, false},
	}
	for _, tt := range tests {
		p := good
		tt.change(&p)
		if _, err := New(p); (err != nil) != tt.bad {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := NewParams(good.Suite, bytes.NewReader(make([]byte, 29))); err == nil {
		t.Error("key from too little randomness")
	}
	other := mustParams(t, "AES_CM_128_HMAC_SHA1_80")
	if !good.Equal(good) || good.Equal(other) {
		t.Error("Equal")
	}
}

func TestParamsHideKeys(t *testing.T) {
	p := mustParams(t, "AES_CM_128_HMAC_SHA1_80")
	wrapped := struct{ P Params }{p}
	var text, js strings.Builder
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "params", p)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("x", "params", p)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", p, p, p, p), fmt.Sprintf("%v %+v %#v", wrapped, &wrapped, wrapped),
		text.String(), js.String()} {
		for _, secret := range []string{fmt.Sprint(p.Key), fmt.Sprintf("%#v", p.Key), hex.EncodeToString(p.Key), fmt.Sprintf("%d, ", p.Key[0])} {
			if strings.Contains(s, strings.Trim(secret, "[]")) {
				t.Errorf("key visible in %s", s)
			}
		}
	}
}

// variants are all suites with each session parameter.
func variants(t testing.TB, f func(name string, p Params)) {
	for _, s := range Suites() {
		base := mustParams(t, s.Name)
		for _, v := range []struct {
			name   string
			change func(*Params)
		}{
			{"plain", func(*Params) {}},
			{"MKI", func(p *Params) { p.MKI = []byte{1, 2, 3, 4} }},
			{"MKI of 255", func(p *Params) { p.MKI = bytes.Repeat([]byte{7}, 255) }},
			{"UNENCRYPTED_SRTP", func(p *Params) { p.UnencryptedRTP = true }},
			{"UNENCRYPTED_SRTCP", func(p *Params) { p.UnencryptedRTCP = true }},
			{"UNAUTHENTICATED_SRTP", func(p *Params) { p.UnauthenticatedRTP = true }},
			{"all", func(p *Params) {
				p.MKI, p.UnencryptedRTP, p.UnencryptedRTCP, p.UnauthenticatedRTP = []byte{1}, true, true, true
			}},
		} {
			p := base
			v.change(&p)
			f(s.Name+"/"+v.name, p)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	variants(t, func(name string, p Params) {
		t.Run(name, func(t *testing.T) {
			out, in := pair(t, p)
			for i, size := range []int{0, 1, 15, 16, 17, 160, 255, 256, 257, 1200} {
				plain := rtpPacket(1, uint16(i), size)
				got, err := out.ProtectRTP(roomy(plain))
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(plain)+out.RTPOverhead() {
					t.Errorf("%d bytes became %d, overhead %d", len(plain), len(got), out.RTPOverhead())
				}
				encrypted := !p.UnencryptedRTP && p.Suite.Cipher != Null
				if size > 4 && encrypted == bytes.Equal(got[12:12+size], plain[12:]) {
					t.Errorf("encrypted %v, want %v", !encrypted, encrypted)
				}
				if got, err = in.UnprotectRTP(got); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("payload of %d: %x, %v, want %x", size, got, err, plain)
				}
			}
			for range 3 {
				plain := rtcpPacket(1)
				got, err := out.ProtectRTCP(roomy(plain))
				if err != nil {
					t.Fatal(err)
				}
				encrypted := !p.UnencryptedRTCP && p.Suite.Cipher != Null
				if encrypted == bytes.Equal(got[8:len(plain)], plain[8:]) || !bytes.Equal(got[:8], plain[:8]) {
					t.Errorf("encrypted %v, want %v", !encrypted, encrypted)
				}
				if got, err = in.UnprotectRTCP(got); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("RTCP %x, %v, want %x", got, err, plain)
				}
			}
		})
	})
}

// Each byte of a packet matters, and a forged packet leaves nothing behind.
func TestTampering(t *testing.T) {
	variants(t, func(name string, p Params) {
		t.Run(name, func(t *testing.T) {
			out, in := pair(t, p)
			good, err := out.ProtectRTP(rtpPacket(1, 1, 20))
			if err != nil {
				t.Fatal(err)
			}
			if !p.UnauthenticatedRTP || p.Suite.Cipher == AEAD {
				for i := range good {
					bad := bytes.Clone(good)
					bad[i] ^= 0x40
					if _, err := in.UnprotectRTP(bad); err == nil {
						t.Errorf("RTP byte %d changed unnoticed", i)
					}
				}
			}
			good, err = out.ProtectRTCP(rtcpPacket(1))
			if err != nil {
				t.Fatal(err)
			}
			for i := range good {
				bad := bytes.Clone(good)
				bad[i] ^= 0x40
				if _, err := in.UnprotectRTCP(bad); err == nil {
					t.Errorf("RTCP byte %d changed unnoticed", i)
				}
			}
			if n := len(in.AppendStates(nil)); n != 0 {
				t.Errorf("%d states for forged packets", n)
			}
		})
	})
}

func TestErrors(t *testing.T) {
	p := mustParams(t, "AES_CM_128_HMAC_SHA1_80")
	p.MKI = []byte{1, 2}
	out, in := pair(t, p)
	good, err := out.ProtectRTP(rtpPacket(1, 1, 20))
	if err != nil {
		t.Fatal(err)
	}
	goodRTCP, err := out.ProtectRTCP(rtcpPacket(1))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	tests := []struct {
		name string
		f    func([]byte) ([]byte, error)
		in   []byte
		want error
	}{
		{"protect nothing", out.ProtectRTP, nil, rtp.ErrShort},
		{"protect without room", out.ProtectRTP, slices.Clip(rtpPacket(1, 2, 20)), ErrBuffer},
		{"protect twice", out.ProtectRTP, rtpPacket(1, 1, 20), ErrReplay},
		{"protect RTCP of 7 bytes", out.ProtectRTCP, make([]byte, 7, 100), ErrShort},
		{"protect RTCP without room", out.ProtectRTCP, slices.Clip(rtcpPacket(1)), ErrBuffer},
		{"unprotect nothing", in.UnprotectRTP, nil, rtp.ErrShort},
		{"unprotect plain", in.UnprotectRTP, rtpPacket(1, 1, 11), ErrShort},
		{"another MKI", in.UnprotectRTP, changed(good, len(good)-12), ErrMKI},
		{"another tag", in.UnprotectRTP, changed(good, len(good)-1), ErrAuth},
		{"good", in.UnprotectRTP, bytes.Clone(good), nil},
		{"replayed", in.UnprotectRTP, bytes.Clone(good), ErrReplay},
		{"RTCP nothing", in.UnprotectRTCP, nil, ErrShort},
		{"RTCP without trailer", in.UnprotectRTCP, make([]byte, 23), ErrShort},
		{"RTCP another MKI", in.UnprotectRTCP, changed(goodRTCP, len(goodRTCP)-12), ErrMKI},
		{"RTCP another tag", in.UnprotectRTCP, changed(goodRTCP, len(goodRTCP)-1), ErrAuth},
		{"RTCP good", in.UnprotectRTCP, bytes.Clone(goodRTCP), nil},
		{"RTCP replayed", in.UnprotectRTCP, bytes.Clone(goodRTCP), ErrReplay},
	}
	for _, tt := range tests {
		if _, err := tt.f(tt.in); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestLifetime(t *testing.T) {
	out, in := pair(t, mustParams(t, "AEAD_AES_128_GCM"))
	last := State{SSRC: 1, RTP: Progress{Started: true, Highest: maxRTPIndex - 1}, RTCP: Progress{Started: true, Highest: maxRTCPIndex - 1}}
	out.SetState(last)
	in.SetState(last)
	for i, want := range []error{nil, ErrLifetime} {
		b, err := out.ProtectRTP(rtpPacket(1, uint16(0xffff+i), 20))
		if !errors.Is(err, want) {
			t.Errorf("ProtectRTP %d: %v, want %v", i, err, want)
		}
		if err == nil {
			if _, err = in.UnprotectRTP(b); err != nil {
				t.Error(err)
			}
		}
		b, err = out.ProtectRTCP(rtcpPacket(1))
		if !errors.Is(err, want) {
			t.Errorf("ProtectRTCP %d: %v, want %v", i, err, want)
		}
		if err == nil {
			if _, err = in.UnprotectRTCP(b); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := in.UnprotectRTP(rtpPacket(1, 0, 40)); !errors.Is(err, ErrLifetime) {
		t.Errorf("UnprotectRTP: %v", err)
	}
}

// Indices are those of RFC 3711 section 3.4: zero before the first packet, one more after each.
func TestRTCPIndex(t *testing.T) {
	out, in := pair(t, mustParams(t, "AES_CM_128_HMAC_SHA1_80"))
	for want := range uint32(3) {
		for _, ssrc := range []uint32{1, 2} {
			b, err := out.ProtectRTCP(rtcpPacket(ssrc))
			if err != nil {
				t.Fatal(err)
			}
			if got := binary.BigEndian.Uint32(b[len(b)-14:]) &^ eFlag; got != want {
				t.Errorf("index %d of SSRC %d, want %d", got, ssrc, want)
			}
			if _, err = in.UnprotectRTCP(b); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReorderingAcrossWrap(t *testing.T) {
	for _, name := range []string{"AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM", "F8_128_HMAC_SHA1_80"} {
		out, in := pair(t, mustParams(t, name))
		var sent [][]byte
		for i := range 200 {
			b, err := out.ProtectRTP(rtpPacket(1, uint16(65436+i), 20))
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, b)
		}
		slices.Reverse(sent[:100]) // within the window
		slices.Reverse(sent[100:])
		for i, b := range sent {
			if _, err := in.UnprotectRTP(b); err != nil {
				t.Errorf("%s: packet %d: %v", name, i, err)
			}
		}
		if st, _ := in.State(1); st.RTP.ROC() != 1 || st.RTP.Seq() != 99 {
			t.Errorf("%s: ROC %d, highest %d, want 1, 99", name, st.RTP.ROC(), st.RTP.Seq())
		}
	}
}

// A stream that began just before a wrap, of which only the second cycle arrives.
func TestFirstPacketOfSecondCycle(t *testing.T) {
	out, in := pair(t, mustParams(t, "AES_CM_128_HMAC_SHA1_80"))
	if _, err := out.ProtectRTP(rtpPacket(1, 65535, 20)); err != nil {
		t.Fatal(err)
	}
	for seq := range uint16(3) {
		b, err := out.ProtectRTP(rtpPacket(1, seq, 20))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = in.UnprotectRTP(b); err != nil || !bytes.Equal(b, rtpPacket(1, seq, 20)) {
			t.Fatalf("packet %d: %x, %v", seq, b, err)
		}
	}
}

func TestProgress(t *testing.T) {
	// The reference is a set of everything used.
	var p Progress
	used := map[uint64]bool{}
	highest := uint64(0)
	for i := range 20000 {
		index := uint64(1000 + i/4 + (i*7919)%150)
		if i%1000 == 999 {
			index += uint64(i) // a jump over the window now and then
		}
		want := len(used) == 0 || index > highest || highest-index < windowLen && !used[index]
		if got := p.fresh(index); got != want {
			t.Fatalf("step %d: fresh(%d) = %v, want %v (highest %d)", i, index, got, want, highest)
		}
		if want {
			p.use(index)
			used[index] = true
			highest = max(highest, index)
		}
	}
	for _, jump := range []uint64{1, 63, 64, 65, 127, 128, 129, 1 << 40} {
		p = Progress{}
		p.use(5)
		p.use(5 + jump)
		if p.fresh(5) || p.fresh(5+jump) || jump > 1 && jump <= windowLen && !p.fresh(6) {
			t.Errorf("after a jump of %d: %+v", jump, p)
		}
	}
}

func TestSSRCLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []uint32 // the SSRCs before the one that stays in use
	}{{"the first stays", nil}, {"the second stays", []uint32{7777}}} {
		t.Run(tt.name, func(t *testing.T) { testSSRCLimit(t, tt.before) })
	}
}

func testSSRCLimit(t *testing.T, before []uint32) {
	out, in := pair(t, mustParams(t, "AES_CM_128_HMAC_SHA1_80"))
	for _, ssrc := range before {
		b, err := out.ProtectRTP(rtpPacket(ssrc, 1, 20))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.UnprotectRTP(b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint32(maxSSRCs + 10) {
		// SSRC 0 stays in use, so others must go. That of forged packets is not in use.
		for _, forged := range [][]byte{rtpPacket(1, uint16(i), 40), rtcpPacket(1)} {
			if _, err := in.UnprotectRTP(forged); err == nil {
				t.Fatal("forged RTP is good")
			}
			if _, err := in.UnprotectRTCP(append(forged, make([]byte, 40)...)); err == nil {
				t.Fatal("forged RTCP is good")
			}
		}
		for _, ssrc := range []uint32{0, i + 1} {
			b, err := out.ProtectRTP(rtpPacket(ssrc, uint16(i), 20))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.UnprotectRTP(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(in.AppendStates(nil)); n != maxSSRCs {
		t.Errorf("%d states, want %d", n, maxSSRCs)
	}
	if _, ok := in.State(0); !ok {
		t.Error("the SSRC in use was dropped")
	}
	for _, ssrc := range append(before, 1) {
		if _, ok := in.State(ssrc); ok {
			t.Errorf("SSRC %d, of the oldest, was kept", ssrc)
		}
	}
}

// A flow moves to another context and back, in both directions, around a wrap.
func TestStateMoves(t *testing.T) {
	for _, s := range Suites() {
		p := mustParams(t, s.Name)
		outs := [2]*Context{mustNew(t, p), mustNew(t, p)}
		ins := [2]*Context{mustNew(t, p), mustNew(t, p)}
		for i := range 100 {
			from, to := i%2, (i+1)%2
			b, err := outs[from].ProtectRTP(rtpPacket(1, uint16(65500+i), 20))
			if err != nil {
				t.Fatal(err)
			}
			again := bytes.Clone(b)
			if _, err := ins[from].UnprotectRTP(b); err != nil {
				t.Fatalf("%s: packet %d: %v", s, i, err)
			}
			if b, err = outs[from].ProtectRTCP(rtcpPacket(1)); err != nil {
				t.Fatal(err)
			}
			if _, err := ins[from].UnprotectRTCP(b); err != nil {
				t.Fatalf("%s: RTCP %d: %v", s, i, err)
			}
			for _, c := range [][2]*Context{{outs[from], outs[to]}, {ins[from], ins[to]}} {
				for _, st := range c[0].AppendStates(nil) {
					c[1].SetState(st)
				}
			}
			if _, err := ins[to].UnprotectRTP(again); !errors.Is(err, ErrReplay) {
				t.Fatalf("%s: replay after the move: %v", s, err)
			}
		}
	}
	if _, ok := mustNew(t, mustParams(t, "NULL_HMAC_SHA1_80")).State(1); ok {
		t.Error("state of an SSRC never seen")
	}
}

func TestParamsAreCopied(t *testing.T) {
	p := mustParams(t, "AEAD_AES_128_GCM")
	p.MKI = []byte{1}
	c := mustNew(t, p)
	p.MKI[0] = 2
	if c.Params().MKI[0] != 1 {
		t.Error("the context shares the caller's MKI")
	}
}

func TestNoAllocations(t *testing.T) {
	variants(t, func(name string, p Params) {
		out, in := pair(t, p)
		const ssrcs = 8
		bufs := [ssrcs][]byte{}
		for i := range bufs {
			bufs[i] = make([]byte, 0, 2048)
		}
		rtcp := rtcpPacket(1)
		seq := uint16(0)
		f := func() {
			seq++
			for ssrc := range uint32(ssrcs) {
				b := rtp.AppendHeader(bufs[ssrc][:0], rtp.Header{Seq: seq, SSRC: ssrc})
				b = append(b, rtcp...)
				b, err := out.ProtectRTP(b)
				if err == nil {
					_, err = in.UnprotectRTP(b)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			b, err := out.ProtectRTCP(append(bufs[0][:0], rtcp...))
			if err == nil {
				_, err = in.UnprotectRTCP(b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		f()
		if n := testing.AllocsPerRun(50, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		forged := rtpPacket(77, 1, 200)
		if n := testing.AllocsPerRun(50, func() { in.UnprotectRTP(forged) }); n != 0 && !p.UnauthenticatedRTP {
			t.Errorf("%s: %v allocations for a forged packet", name, n)
		}
	})
}
