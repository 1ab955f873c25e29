package srtp

import (
	"encoding/binary"
	"testing"
)

func fuzzSeeds(f *testing.F, protect func(*Context) ([]byte, error)) {
	for i := range Suites() {
		c := mustNew(f, fuzzParams(uint8(i)))
		b, err := protect(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Add(uint8(0), []byte{0x9f, 0, 0, 0})
}

func fuzzParams(i uint8) Params {
	s := Suites()[int(i)%len(suites)]
	p := Params{Suite: s, Key: make([]byte, s.KeyLen), Salt: make([]byte, s.SaltLen)}
	if i >= 128 {
		p.MKI = []byte{i}
	}
	p.UnauthenticatedRTP = i&64 != 0
	return p
}

func FuzzUnprotectRTP(f *testing.F) {
	fuzzSeeds(f, func(c *Context) ([]byte, error) { return c.ProtectRTP(rtpPacket(1, 1, 20)) })
	f.Fuzz(func(t *testing.T, suite uint8, b []byte) {
		in := mustNew(t, fuzzParams(suite))
		n := len(b)
		out, err := in.UnprotectRTP(b)
		if err != nil && len(in.AppendStates(nil)) != 0 {
			t.Fatal("state for a bad packet")
		}
		if err == nil && len(out)+in.RTPOverhead() != n {
			t.Fatalf("%d bytes became %d", n, len(out))
		}
	})
}

func FuzzUnprotectRTCP(f *testing.F) {
	fuzzSeeds(f, func(c *Context) ([]byte, error) { return c.ProtectRTCP(rtcpPacket(1)) })
	f.Fuzz(func(t *testing.T, suite uint8, b []byte) {
		in := mustNew(t, fuzzParams(suite))
		n := len(b)
		out, err := in.UnprotectRTCP(b)
		if err != nil && len(in.AppendStates(nil)) != 0 {
			t.Fatal("state for a bad packet")
		}
		if err == nil && len(out)+in.RTCPOverhead() != n {
			t.Fatalf("%d bytes became %d", n, len(out))
		}
	})
}

// benchSuites: 172-byte packets, 160 of payload.
var benchSuites = []struct{ name, suite string }{
	{"cm80", "AES_CM_128_HMAC_SHA1_80"}, {"cm256", "AES_256_CM_HMAC_SHA1_80"}, {"gcm", "AEAD_AES_128_GCM"}, {"f8", "F8_128_HMAC_SHA1_80"},
}

func BenchmarkProtect(b *testing.B) {
	for _, s := range benchSuites {
		b.Run(s.name, func(b *testing.B) {
			c := mustNew(b, mustParams(b, s.suite))
			pkt := rtpPacket(1, 0, 160)
			seq := uint16(0)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				binary.BigEndian.PutUint16(pkt[2:], seq)
				if _, err := c.ProtectRTP(pkt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnprotect(b *testing.B) {
	for _, s := range benchSuites {
		b.Run(s.name, func(b *testing.B) {
			// A full cycle of packets is protected beforehand and the state taken back before each round of it.
			out, in := pair(b, mustParams(b, s.suite))
			const n = 1024
			var pkts [n][]byte
			for i := range pkts {
				var err error
				if pkts[i], err = out.ProtectRTP(rtpPacket(1, uint16(i), 160)); err != nil {
					b.Fatal(err)
				}
			}
			buf := make([]byte, 0, 256)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i == n {
					i = 0
					in.SetState(State{SSRC: 1})
				}
				buf = append(buf[:0], pkts[i]...)
				if _, err := in.UnprotectRTP(buf); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
