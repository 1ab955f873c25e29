package srtp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestMAC compares with the library's HMAC, for all lengths around the ends of a block.
func TestMAC(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, authKeyLen, sha1.BlockSize} {
		key := make([]byte, size)
		random.Read(key)
		m := newMAC(key)
		for n := range 300 {
			b := make([]byte, n)
			random.Read(b)
			trailer := uint32(random.Uint64())
			want := hmac.New(sha1.New, key)
			want.Write(binary.BigEndian.AppendUint32(bytes.Clone(b), trailer))
			var got [sha1.Size]byte
			if m.sum(&got, b, trailer); !bytes.Equal(got[:], want.Sum(nil)) {
				t.Fatalf("key of %d, %d bytes: %x, want %x", size, n, got, want.Sum(nil))
			}
		}
	}
}
