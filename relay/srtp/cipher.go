package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// chunk is how much key stream is made before it is applied: a voice packet at once, a video packet in five steps.
const chunk = 256

// keyStream encrypts and decrypts with a session key and salt; the two are the same operation. One value serves RTP or
// RTCP, which have different keys.
type keyStream interface {
	// applyRTP transforms pkt from byte head on. The header at the front is in the clear.
	applyRTP(pkt []byte, head int, index uint64)
	// applyRTCP transforms pkt from byte 8 on. index has the E flag in its highest bit.
	applyRTCP(pkt []byte, index uint32)
}

// newKeyStream is nil for suites that are not encrypted, or not with a key stream. AES-CM is in room unless that is nil.
func newKeyStream(c Cipher, key, salt []byte, room *fastCounters) (keyStream, error) {
	switch c {
	case AESCM:
		return newCounters(key, salt, room)
	case F8:
		return newF8Mode(key, salt)
	}
	return nil, nil
}

// counters is AES-CM.
type counters interface {
	keyStream
	// apply transforms b, which begins with block 0 of the packet with that SSRC and index.
	apply(b []byte, ssrc uint32, index uint64)
}

// newCounters uses the room if the processor can.
func newCounters(key, salt []byte, room *fastCounters) (counters, error) {
	if hasFastCounters && room != nil {
		room.expand(key, salt)
		return room, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return newCounterMode(block, salt), nil
}

// withRoom is a T that has its counters right behind it, where s wants any: few lines of a cache, which the processor
// fetches together.
func withRoom[T any](s *Suite) (*T, *fastCounters) {
	if s.Cipher != AESCM || !hasFastCounters {
		return new(T), nil
	}
	both := new(struct {
		front T
		room  fastCounters
	})
	return &both.front, &both.room
}

// KeyStream is what AES-CM encrypts and decrypts the RTP packets of one SSRC with. It depends on nothing else of a packet than
// its index, so it can be made ahead.
type KeyStream struct {
	counters counters
	ssrc     uint32
}

// KeyStream is that of an SSRC under p, whose suite has to be AES-CM.
func (p Params) KeyStream(ssrc uint32) (*KeyStream, error) {
	if p.Suite == nil || p.Suite.Cipher != AESCM {
		return nil, errors.New("srtp: key stream is for AES-CM")
	}
	keys, err := p.SessionKeys()
	if err != nil {
		return nil, err
	}
	c, err := newCounters(keys.RTPKey, keys.RTPSalt, new(fastCounters))
	if err != nil {
		return nil, err
	}
	return &KeyStream{c, ssrc}, nil
}

// Make fills dst with the beginning of the key stream of a packet. Not for several goroutines at once.
func (k *KeyStream) Make(dst []byte, index uint64) {
	clear(dst)
	k.counters.apply(dst, k.ssrc, index)
}

// counterMode is AES-CM. It does without cipher.NewCTR, which allocates 512 bytes for each packet and is slower for
// packets of this size.
type counterMode struct {
	block  cipher.Block
	saltHi uint64 // bytes 0 to 7 of the salt
	saltLo uint64 // bytes 8 to 13, and room for the block counter
	stream [chunk]byte
}

func newCounterMode(block cipher.Block, salt []byte) *counterMode {
	var s [aes.BlockSize]byte
	copy(s[:14], salt)
	return &counterMode{block: block, saltHi: binary.BigEndian.Uint64(s[:]), saltLo: binary.BigEndian.Uint64(s[8:])}
}

func (c *counterMode) applyRTP(pkt []byte, head int, index uint64) {
	c.apply(pkt[head:], binary.BigEndian.Uint32(pkt[8:]), index)
}

func (c *counterMode) applyRTCP(pkt []byte, index uint32) {
	c.apply(pkt[8:], binary.BigEndian.Uint32(pkt[4:]), uint64(index&^eFlag))
}

// apply uses the initial counter of RFC 3711 section 4.1.1: salt*2^16 XOR SSRC*2^64 XOR index*2^16.
func (c *counterMode) apply(b []byte, ssrc uint32, index uint64) {
	hi := c.saltHi ^ uint64(ssrc)
	lo := c.saltLo ^ index<<16
	for len(b) > 0 {
		n := min(len(b), chunk)
		for i := 0; i < n; i += aes.BlockSize {
			k := c.stream[i : i+aes.BlockSize]
			binary.BigEndian.PutUint64(k, hi)
			binary.BigEndian.PutUint64(k[8:], lo)
			c.block.Encrypt(k, k)
			lo++
		}
		subtle.XORBytes(b, b[:n], c.stream[:n])
		b = b[n:]
	}
}

// f8Mode is AES in f8 mode, RFC 3711 section 4.1.2.
type f8Mode struct {
	block  cipher.Block // under the session key
	masked cipher.Block // under the session key XOR m
	iv     [aes.BlockSize]byte
	state  [aes.BlockSize]byte
}

func newF8Mode(key, salt []byte) (*f8Mode, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	m := make([]byte, len(key)) // salt, then 0x55 up to the key's length
	for i := copy(m, salt); i < len(m); i++ {
		m[i] = 0x55
	}
	subtle.XORBytes(m, m, key)
	masked, err := aes.NewCipher(m)
	if err != nil {
		return nil, err
	}
	return &f8Mode{block: block, masked: masked}, nil
}

// applyRTP uses the vector of section 4.1.2.2: zero, marker and payload type, sequence number, timestamp, SSRC, ROC.
func (c *f8Mode) applyRTP(pkt []byte, head int, index uint64) {
	copy(c.iv[:], pkt[:12])
	c.iv[0] = 0
	binary.BigEndian.PutUint32(c.iv[12:], uint32(index>>16))
	c.apply(pkt[head:])
}

// applyRTCP uses the vector of section 4.1.2.3: four zero bytes, E flag and index, the eight clear bytes.
func (c *f8Mode) applyRTCP(pkt []byte, index uint32) {
	clear(c.iv[:4])
	binary.BigEndian.PutUint32(c.iv[4:], index)
	copy(c.iv[8:], pkt[:8])
	c.apply(pkt[8:])
}

func (c *f8Mode) apply(b []byte) {
	c.masked.Encrypt(c.iv[:], c.iv[:])
	clear(c.state[:])
	for j := uint64(0); len(b) > 0; j++ {
		subtle.XORBytes(c.state[:], c.state[:], c.iv[:])
		low := c.state[8:]
		binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^j)
		c.block.Encrypt(c.state[:], c.state[:])
		b = b[subtle.XORBytes(b, b, c.state[:]):]
	}
}
