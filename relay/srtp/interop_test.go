package srtp

import (
	"bytes"
	mrand "math/rand/v2"
	"testing"

	pion2 "github.com/pion/srtp/v2"
	pion3 "github.com/pion/srtp/v3"

	"rtpsidecar/relay/rtp"
)

// peer is what we need of a library's context.
type peer struct {
	protectRTP, unprotectRTP, protectRTCP, unprotectRTCP func([]byte) ([]byte, error)
}

func pionV3(t testing.TB, p Params, profile pion3.ProtectionProfile) peer {
	opts := []pion3.ContextOption{pion3.SRTPReplayProtection(windowLen), pion3.SRTCPReplayProtection(windowLen)}
	if len(p.MKI) > 0 {
		opts = append(opts, pion3.MasterKeyIndicator(p.MKI))
	}
	if p.UnencryptedRTP {
		opts = append(opts, pion3.SRTPNoEncryption())
	}
	if p.UnencryptedRTCP {
		opts = append(opts, pion3.SRTCPNoEncryption())
	}
	c, err := pion3.CreateContext(p.Key, p.Salt, profile, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return peer{
		protectRTP:    func(b []byte) ([]byte, error) { return c.EncryptRTP(nil, b, nil) },
		unprotectRTP:  func(b []byte) ([]byte, error) { return c.DecryptRTP(nil, b, nil) },
		protectRTCP:   func(b []byte) ([]byte, error) { return c.EncryptRTCP(nil, b, nil) },
		unprotectRTCP: func(b []byte) ([]byte, error) { return c.DecryptRTCP(nil, b, nil) },
	}
}

func pionV2(t testing.TB, p Params, profile pion2.ProtectionProfile) peer {
	c, err := pion2.CreateContext(p.Key, p.Salt, profile)
	if err != nil {
		t.Fatal(err)
	}
	return peer{
		protectRTP:    func(b []byte) ([]byte, error) { return c.EncryptRTP(nil, b, nil) },
		unprotectRTP:  func(b []byte) ([]byte, error) { return c.DecryptRTP(nil, b, nil) },
		protectRTCP:   func(b []byte) ([]byte, error) { return c.EncryptRTCP(nil, b, nil) },
		unprotectRTCP: func(b []byte) ([]byte, error) { return c.DecryptRTCP(nil, b, nil) },
	}
}

func TestPionV3(t *testing.T) {
	for name, profile := range map[string]pion3.ProtectionProfile{
		"AEAD_AES_256_GCM":        pion3.ProtectionProfileAeadAes256Gcm,
		"AEAD_AES_128_GCM":        pion3.ProtectionProfileAeadAes128Gcm,
		"AES_256_CM_HMAC_SHA1_80": pion3.ProtectionProfileAes256CmHmacSha1_80,
		"AES_256_CM_HMAC_SHA1_32": pion3.ProtectionProfileAes256CmHmacSha1_32,
		"AES_CM_128_HMAC_SHA1_80": pion3.ProtectionProfileAes128CmHmacSha1_80,
		"AES_CM_128_HMAC_SHA1_32": pion3.ProtectionProfileAes128CmHmacSha1_32,
		"NULL_HMAC_SHA1_80":       pion3.ProtectionProfileNullHmacSha1_80,
		"NULL_HMAC_SHA1_32":       pion3.ProtectionProfileNullHmacSha1_32,
	} {
		base := mustParams(t, name)
		for _, v := range []struct {
			name   string
			change func(*Params)
		}{
			{"plain", func(*Params) {}},
			{"MKI", func(p *Params) { p.MKI = []byte{1, 2, 3, 4} }},
			{"unencrypted RTP", func(p *Params) { p.UnencryptedRTP = true }},
			{"unencrypted RTCP", func(p *Params) { p.UnencryptedRTCP = true }},
		} {
			p := base
			v.change(&p)
			t.Run(name+"/"+v.name, func(t *testing.T) {
				exchange(t, p, pionV3(t, p, profile), pionV3(t, p, profile))
			})
		}
	}
}

func TestPionV2(t *testing.T) {
	for name, profile := range map[string]pion2.ProtectionProfile{
		"AEAD_AES_256_GCM":        pion2.ProtectionProfileAeadAes256Gcm,
		"AEAD_AES_128_GCM":        pion2.ProtectionProfileAeadAes128Gcm,
		"AES_CM_128_HMAC_SHA1_80": pion2.ProtectionProfileAes128CmHmacSha1_80,
		"AES_CM_128_HMAC_SHA1_32": pion2.ProtectionProfileAes128CmHmacSha1_32,
	} {
		t.Run(name, func(t *testing.T) {
			p := mustParams(t, name)
			exchange(t, p, pionV2(t, p, profile), pionV2(t, p, profile))
		})
	}
}

// exchange sends random packets of several SSRCs both ways across wraps, with gaps, and wants equal bytes.
func exchange(t *testing.T, p Params, out, in peer) {
	ours, theirs := pair(t, p)
	rnd := mrand.New(mrand.NewPCG(1, 2))
	index := map[uint32]uint64{1: 65000, 0xffffffff: 30000, 0xcafe: 65535}
	for i := range 1500 {
		for ssrc := range index {
			plain := randomPacket(rnd, ssrc, uint16(index[ssrc]))
			a, err := ours.ProtectRTP(roomy(plain))
			if err != nil {
				t.Fatal(err)
			}
			b, err := out.protectRTP(bytes.Clone(plain))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Fatalf("packet %d of %x:\nours  %x\npion  %x", index[ssrc], ssrc, a, b)
			}
			if got, err := in.unprotectRTP(bytes.Clone(a)); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("pion refuses packet %d: %v", index[ssrc], err)
			}
			if got, err := theirs.UnprotectRTP(b); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("we refuse packet %d: %v", index[ssrc], err)
			}
			// Gaps, and now and then a large one.
			index[ssrc] += uint64(1 + rnd.IntN(40))
			if rnd.IntN(100) == 0 {
				index[ssrc] += 20000
			}
		}
		if i%10 != 0 {
			continue
		}
		plain := rtp.AppendSDES(rtp.AppendSR(nil, 1, rtp.SenderInfo{NTP: rnd.Uint64()}, make([]rtp.ReportBlock, rnd.IntN(5))), 1, "me")
		a, err := ours.ProtectRTCP(roomy(plain))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := in.unprotectRTCP(bytes.Clone(a)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("pion refuses RTCP: %v", err)
		}
		b, err := out.protectRTCP(bytes.Clone(plain))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := theirs.UnprotectRTCP(b); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("we refuse RTCP: %v", err)
		}
	}
}

// randomPacket has CSRCs, an extension and padding at random.
func randomPacket(rnd *mrand.Rand, ssrc uint32, seq uint16) []byte {
	b := rtp.AppendHeader(nil, rtp.Header{Marker: rnd.IntN(2) == 0, PT: uint8(rnd.IntN(128)), Seq: seq, Timestamp: rnd.Uint32(), SSRC: ssrc})
	csrcs := rnd.IntN(16) * rnd.IntN(2)
	b[0] |= byte(csrcs)
	b = append(b, make([]byte, 4*csrcs)...)
	if rnd.IntN(2) == 0 {
		b[0] |= 0x10
		b = rtp.AppendExtensionHeader(b, rtp.ProfileOneByte, 8)
		b = append(b, 0x10, byte(rnd.Uint32()), 0x32, 1, 2, 3, 0, 0)
	}
	for range rnd.IntN(400) {
		b = append(b, byte(rnd.Uint32()))
	}
	return b
}

func BenchmarkPionProtect(b *testing.B) {
	for _, s := range []struct {
		name, suite string
		profile     pion3.ProtectionProfile
	}{
		{"cm80", "AES_CM_128_HMAC_SHA1_80", pion3.ProtectionProfileAes128CmHmacSha1_80},
		{"gcm", "AEAD_AES_128_GCM", pion3.ProtectionProfileAeadAes128Gcm},
	} {
		b.Run(s.name, func(b *testing.B) {
			p := mustParams(b, s.suite)
			c, err := pion3.CreateContext(p.Key, p.Salt, s.profile)
			if err != nil {
				b.Fatal(err)
			}
			pkt := rtpPacket(1, 0, 160)
			dst := make([]byte, 0, 512)
			seq := uint16(0)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				rtp.SetSeq(pkt, seq)
				if _, err := c.EncryptRTP(dst, pkt, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
