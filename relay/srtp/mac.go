package srtp

import (
	"crypto/sha1"
	"encoding"
	"encoding/binary"
)

// mac is HMAC-SHA1 under one key, as what SHA-1 has come to behind the key's two blocks. The rest of a hash belongs to who
// makes a tag: in crypto/hmac a key has five objects with ten lines of a cache.
type mac struct {
	inner, outer [sha1.Size]byte
}

// afterBlock is a SHA-1 in encoding, one block in. Bytes 4 to 23 are what it has come to.
var afterBlock = func() (state [96]byte) {
	h := sha1.New()
	h.Write(make([]byte, sha1.BlockSize))
	b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil || len(b) != len(state) {
		panic("srtp: the state of SHA-1 has another form")
	}
	copy(state[:], b)
	return state
}()

// newMAC takes a key of at most one block.
func newMAC(key []byte) mac {
	return mac{afterPad(key, 0x36), afterPad(key, 0x5c)}
}

// HMACStates are what SHA-1 has come to behind the two blocks that HMAC (RFC 2104) makes of an authentication key, for one who
// goes on from there elsewhere.
func HMACStates(key []byte) (inner, outer [sha1.Size]byte) {
	m := newMAC(key)
	return m.inner, m.outer
}

func afterPad(key []byte, pad byte) (state [sha1.Size]byte) {
	var block [sha1.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	h := sha1.New()
	h.Write(block[:])
	b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // never
	}
	copy(state[:], b[4:])
	return state
}

// sum authenticates b and the trailer. The hash is on the stack: the allocation gate holds the compiler to that.
func (m *mac) sum(dst *[sha1.Size]byte, b []byte, trailer uint32) {
	state := afterBlock
	var end [4]byte
	binary.BigEndian.PutUint32(end[:], trailer)
	h := sha1.New()
	copy(state[4:], m.inner[:])
	h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state[:])
	h.Write(b)
	h.Write(end[:])
	h.Sum(dst[:0])
	copy(state[4:], m.outer[:])
	h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state[:])
	h.Write(dst[:])
	h.Sum(dst[:0])
}
