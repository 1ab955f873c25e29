package srtp

import (
	"bytes"
	"crypto/aes"
	"math/rand/v2"
	"testing"
)

// TestFastCounterMode compares the processor's AES with the library's.
func TestFastCounterMode(t *testing.T) {
	if !hasFastCounters {
		t.Skip("SKIPPED: this processor has no AES that we use")
	}
	random := rand.NewChaCha8([32]byte{1})
	salt := make([]byte, 14)
	for _, size := range []int{16, 24, 32} {
		key := make([]byte, size)
		for n := range 600 {
			random.Read(key)
			random.Read(salt)
			fast := new(fastCounters)
			fast.expand(key, salt)
			block, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			slow := newCounterMode(block, salt)
			in := make([]byte, 12+n)
			random.Read(in)
			index := random.Uint64() & maxRTPIndex
			got, want := bytes.Clone(in), bytes.Clone(in)
			fast.applyRTP(got, 12, index)
			slow.applyRTP(want, 12, index)
			if !bytes.Equal(got, want) {
				t.Fatalf("key of %d, RTP payload of %d bytes: got %x, want %x", size, n, got, want)
			}
			fast.applyRTCP(got, uint32(index))
			slow.applyRTCP(want, uint32(index))
			if !bytes.Equal(got, want) {
				t.Fatalf("key of %d, RTCP of %d bytes: got %x, want %x", size, n, got, want)
			}
		}
	}
}

// TestKeyStream compares key stream made ahead with what packets are encrypted with.
func TestKeyStream(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32"} {
		params := mustParams(t, suite)
		c, err := New(params)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := params.KeyStream(7)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 300 {
			zeros := append(rtpPacket(7, uint16(n), 0)[:12], make([]byte, n)...)
			got, err := c.ProtectRTP(append(make([]byte, 0, len(zeros)+MaxOverhead), zeros...))
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte{1}, n)
			stream.Make(want, uint64(n))
			if !bytes.Equal(got[12:12+n], want) {
				t.Fatalf("%s, packet %d: %x is encrypted with %x", suite, n, got[12:12+n], want)
			}
		}
	}
	for _, suite := range []string{"AEAD_AES_128_GCM", "F8_128_HMAC_SHA1_80", "NULL_HMAC_SHA1_80"} {
		if _, err := mustParams(t, suite).KeyStream(7); err == nil {
			t.Errorf("%s has key stream", suite)
		}
	}
}
