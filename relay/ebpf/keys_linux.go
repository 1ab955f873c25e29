//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"encoding/binary"
	"math/bits"

	"rtpsidecar/relay/srtp"
)

// The S-box and the tables of AES, computed once. Sources: FIPS 197 section 5.1.1; the Rijndael proposal, section 5.2.1.
var (
	sbox   = makeSbox()
	tables = makeTables()
)

func makeSbox() (box [256]byte) {
	// 3 generates the multiplicative group, 0xf6 is its inverse: p and q stay inverse to each other.
	p, q := byte(1), byte(1)
	for {
		p ^= double(p)
		q ^= q << 1
		q ^= q << 2
		q ^= q << 4
		if q&0x80 != 0 {
			q ^= 0x09
		}
		box[p] = q ^ bits.RotateLeft8(q, 1) ^ bits.RotateLeft8(q, 2) ^ bits.RotateLeft8(q, 3) ^ bits.RotateLeft8(q, 4) ^ 0x63
		if p == 1 {
			break
		}
	}
	box[0] = 0x63
	return box
}

// double multiplies by x in GF(2^8).
func double(b byte) byte {
	d := b << 1
	if b&0x80 != 0 {
		d ^= 0x1b
	}
	return d
}

func makeTables() (t [4][256]uint32) {
	for i, s := range sbox {
		d := double(s)
		word := uint32(d)<<24 | uint32(s)<<16 | uint32(s)<<8 | uint32(d^s)
		for n := range t {
			t[n][i] = bits.RotateLeft32(word, -8*n)
		}
	}
	return t
}

// expandKey writes the round keys of AES to the end of dst and returns the number of rounds. Source: FIPS 197 section 5.2.
func expandKey(dst *[60]uint32, key []byte) uint32 {
	nk := len(key) / 4
	rounds := nk + 6
	w := dst[len(dst)-4*(rounds+1):]
	for i := range nk {
		w[i] = binary.BigEndian.Uint32(key[4*i:])
	}
	constant := byte(1)
	for i := nk; i < len(w); i++ {
		t := w[i-1]
		if i%nk == 0 {
			t = substitute(bits.RotateLeft32(t, 8)) ^ uint32(constant)<<24
			constant = double(constant)
		} else if nk > 6 && i%nk == 4 {
			t = substitute(t)
		}
		w[i] = w[i-nk] ^ t
	}
	return uint32(rounds)
}

func substitute(w uint32) uint32 {
	return uint32(sbox[w>>24])<<24 | uint32(sbox[w>>16&0xff])<<16 | uint32(sbox[w>>8&0xff])<<8 | uint32(sbox[w&0xff])
}

// newTransform expands the session keys of p, which is supported.
func newTransform(p srtp.Params) (rtpTransform, error) {
	keys, err := p.SessionKeys()
	if err != nil {
		return rtpTransform{}, err
	}
	var t rtpTransform
	if encrypts(p) {
		t.Rounds = expandKey(&t.Rk, keys.RTPKey)
	}
	var salt [16]byte
	copy(salt[:14], keys.RTPSalt)
	for i := range t.Salt {
		t.Salt[i] = binary.BigEndian.Uint32(salt[4*i:])
	}
	inner, outer := srtp.HMACStates(keys.RTPAuth)
	for i := range t.Inner {
		t.Inner[i], t.Outer[i] = binary.BigEndian.Uint32(inner[4*i:]), binary.BigEndian.Uint32(outer[4*i:])
	}
	return t, nil
}
