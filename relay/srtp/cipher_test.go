package srtp

import (
	"bytes"
	"crypto/aes"
	"math/rand/v2"
	"testing"
)

// TestFastCounterMode compares the processor's AES with the library's.
func TestFastCounterMode(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	salt := make([]byte, 14)
	for _, size := range []int{16, 24, 32} {
		key := make([]byte, size)
		for n := range 600 {
			random.Read(key)
			random.Read(salt)
			fast := fastCounterMode(key, salt)
			if fast == nil {
				t.Skip("SKIPPED: this processor has no AES that we use")
			}
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
