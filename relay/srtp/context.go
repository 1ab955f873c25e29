package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"iter"
	"unsafe"

	"rtpsidecar/relay/rtp"
)

const (
	// maxSSRCs bounds the state of one context. Calls have a handful of SSRCs in a direction; a conference bundled into
	// one transport, with simulcast and repair streams, stays below this.
	maxSSRCs = 256

	maxRTPIndex  = 1<<48 - 1 // RFC 3711 section 9.2
	maxRTCPIndex = 1<<31 - 1
	eFlag        = 1 << 31 // says that an SRTCP packet is encrypted

	rtcpClearLen = 8 // header and sender of an RTCP packet are never encrypted
)

// Context protects or unprotects the packets of one direction under one master key; use it for one of the two only.
// Not safe for concurrent use: inbound it belongs to the port's worker, outbound to the sink's mutex.
//
// What an RTP packet needs lies together, from the end of params on and up to the keys behind the context: with thousands of
// calls each line of a cache has to be fetched.
type Context struct {
	params Params
	last   *stream // the one used last: nearly always the one needed next
	clock  uint64  // counts packets, to find the stream unused longest
	rtp    half
	first  stream // nearly always the only one
	more   map[uint32]*stream
	rtcp   *half
}

// half is what RTP and RTCP have each of their own.
type half struct {
	crypt  keyStream // nil: GCM, or not encrypted
	gcm    *gcm      // nil: not GCM
	tagLen int       // 0: not authenticated
	mac    mac       // not for GCM
}

// gcm is what a half has with GCM.
type gcm struct {
	cipher.AEAD
	salt  [12]byte
	nonce [12]byte // of the packet at hand
	aad   []byte
}

// stream is the state of one SSRC.
type stream struct {
	ssrc uint32
	used uint64 // Context.clock when it was last used; 0: none has this place
	rtp  Progress
	rtcp Progress
}

// New derives the session keys of p. The slices of p are copied.
func New(p Params) (*Context, error) {
	keys, err := p.SessionKeys()
	if err != nil {
		return nil, err
	}
	p.Key, p.Salt, p.MKI = bytes.Clone(p.Key), bytes.Clone(p.Salt), bytes.Clone(p.MKI)
	c, room := withRoom[Context](p.Suite)
	c.params = p
	c.rtp, err = newHalf(p.Suite, keys.RTPKey, keys.RTPAuth, keys.RTPSalt, p.Suite.RTPTagLen, room)
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	c.rtcp, room = withRoom[half](p.Suite)
	*c.rtcp, err = newHalf(p.Suite, keys.RTCPKey, keys.RTCPAuth, keys.RTCPSalt, p.Suite.RTCPTagLen, room)
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	if p.UnencryptedRTP {
		c.rtp.crypt = nil
	}
	if p.UnauthenticatedRTP && p.Suite.Cipher != AEAD {
		c.rtp.tagLen = 0
	}
	return c, nil
}

func newHalf(s *Suite, key, auth, salt []byte, tagLen int, room *fastCounters) (half, error) {
	h := half{tagLen: tagLen}
	if s.Cipher == AEAD {
		block, err := aes.NewCipher(key)
		if err != nil {
			return half{}, err
		}
		h.gcm = new(gcm)
		copy(h.gcm.salt[:], salt)
		h.gcm.AEAD, err = cipher.NewGCM(block)
		return h, err
	}
	h.mac = newMAC(auth)
	var err error
	h.crypt, err = newKeyStream(s.Cipher, key, salt, room)
	return h, err
}

// Params are the parameters that the context was made from. They share memory with it.
func (c *Context) Params() Params { return c.params }

// RTPOverhead is by how many bytes ProtectRTP makes a packet longer.
func (c *Context) RTPOverhead() int { return c.rtp.tagLen + len(c.params.MKI) }

// RTCPOverhead is by how many bytes ProtectRTCP makes a packet longer.
func (c *Context) RTCPOverhead() int { return c.rtcp.tagLen + len(c.params.MKI) + 4 }

// ProtectRTP encrypts the RTP packet pkt in place and appends MKI and tag to it, into the capacity of pkt: whatever lay
// there is overwritten. It never allocates; a lack of RTPOverhead bytes is ErrBuffer.
//
// The rollover counter follows the sequence numbers, so packets may come late by up to 127. An index that was used is
// ErrReplay: the same key stream for two payloads would reveal both, and receivers drop the second anyway. Other errors
// are ErrLifetime and those of rtp.ParseHeader. On an error pkt and the state are unchanged.
// Source: RFC 3711 section 3.3, RFC 7714 section 8.
func (c *Context) ProtectRTP(pkt []byte) ([]byte, error) {
	h, err := rtp.ParseHeader(pkt)
	if err != nil {
		return nil, err
	}
	n := len(pkt)
	if cap(pkt)-n < c.RTPOverhead() {
		return nil, ErrBuffer
	}
	s := c.find(h.SSRC)
	if s == nil {
		s = c.add(h.SSRC)
	}
	index := s.rtp.guess(h.Seq)
	if index > maxRTPIndex {
		return nil, ErrLifetime
	}
	if !s.rtp.fresh(index) {
		return nil, ErrReplay
	}
	c.touch(s)
	s.rtp.use(index)

	if g := c.rtp.gcm; g != nil {
		g.rtpNonce(h.SSRC, index)
		if c.params.UnencryptedRTP {
			pkt = g.Seal(pkt, g.nonce[:], nil, pkt)
		} else {
			pkt = g.Seal(pkt[:h.Len], g.nonce[:], pkt[h.Len:], pkt[:h.Len])
		}
		return append(pkt, c.params.MKI...), nil
	}
	if c.rtp.crypt != nil {
		c.rtp.crypt.applyRTP(pkt, h.Len, index)
	}
	pkt = append(pkt, c.params.MKI...)
	if c.rtp.tagLen > 0 {
		var sum [sha1.Size]byte
		c.rtp.mac.sum(&sum, pkt[:n], uint32(index>>16))
		pkt = append(pkt, sum[:c.rtp.tagLen]...)
	}
	return pkt, nil
}

// UnprotectRTP decrypts the SRTP packet pkt in place and returns the RTP packet as a prefix of it. State for an SSRC is
// created only after a tag verifies; the SSRC unused longest gives way when there are 256.
//
// Errors are ErrAuth, ErrReplay, ErrMKI, ErrShort, ErrLifetime and those of rtp.ParseHeader; then pkt is undefined and
// the state unchanged. Source: RFC 3711 section 3.3, RFC 7714 section 8.
func (c *Context) UnprotectRTP(pkt []byte) ([]byte, error) {
	h, err := rtp.ParseHeader(pkt)
	if err != nil {
		return nil, err
	}
	if len(pkt) < h.Len+c.RTPOverhead() {
		return nil, ErrShort
	}
	s := c.find(h.SSRC)
	var progress Progress
	if s != nil {
		progress = s.rtp
	}
	index := progress.guess(h.Seq)
	if index > maxRTPIndex {
		return nil, ErrLifetime
	}
	authenticated := c.rtp.tagLen > 0
	if authenticated && !progress.fresh(index) {
		return nil, ErrReplay
	}

	if c.rtp.gcm != nil {
		pkt, err = c.openRTP(pkt, h, index)
	} else {
		pkt, index, err = c.verifyRTP(pkt, h, index, progress.Started)
		if err == nil && c.rtp.crypt != nil {
			c.rtp.crypt.applyRTP(pkt, h.Len, index)
		}
	}
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = c.add(h.SSRC)
	}
	c.touch(s)
	s.rtp.use(index)
	return pkt, nil
}

// openRTP verifies and decrypts with GCM: ciphertext, tag, MKI.
func (c *Context) openRTP(pkt []byte, h rtp.Header, index uint64) ([]byte, error) {
	n := len(pkt) - len(c.params.MKI)
	if !bytes.Equal(pkt[n:], c.params.MKI) {
		return nil, ErrMKI
	}
	g := c.rtp.gcm
	g.rtpNonce(h.SSRC, index)
	var err error
	if c.params.UnencryptedRTP {
		n -= c.rtp.tagLen
		_, err = g.Open(nil, g.nonce[:], pkt[n:n+c.rtp.tagLen], pkt[:n])
		pkt = pkt[:n]
	} else {
		pkt, err = g.Open(pkt[:h.Len], g.nonce[:], pkt[h.Len:n], pkt[:h.Len])
	}
	if err != nil {
		return nil, ErrAuth
	}
	return pkt, nil
}

// verifyRTP takes MKI and tag off pkt and returns the index under which the tag is right.
//
// The first packet seen of an SSRC may be one of its second cycle, when the stream began shortly before a wrap and its
// first packets were lost or came before the keys. So a low sequence number may also mean a rollover counter of 1. GCM has
// no second try, since a failed one destroys the packet; its users begin in the lower half, as RFC 3711 section 3.3.1 asks.
func (c *Context) verifyRTP(pkt []byte, h rtp.Header, index uint64, started bool) ([]byte, uint64, error) {
	n := len(pkt) - c.rtp.tagLen
	tag := pkt[n:]
	n -= len(c.params.MKI)
	if !bytes.Equal(pkt[n:n+len(c.params.MKI)], c.params.MKI) {
		return nil, 0, ErrMKI
	}
	pkt = pkt[:n]
	if c.rtp.tagLen == 0 || c.rtp.verifies(tag, pkt, uint32(index>>16)) {
		return pkt, index, nil
	}
	if !started && h.Seq < 1<<15 {
		index |= 1 << 16
		if c.rtp.verifies(tag, pkt, uint32(index>>16)) {
			return pkt, index, nil
		}
	}
	return nil, 0, ErrAuth
}

// verifies tells whether tag is that of b and the trailer.
func (h *half) verifies(tag, b []byte, trailer uint32) bool {
	var sum [sha1.Size]byte
	h.mac.sum(&sum, b, trailer)
	return subtle.ConstantTimeCompare(tag, sum[:h.tagLen]) == 1
}

// rtpNonce sets the nonce of RFC 7714 section 8.1: two zero bytes, SSRC, ROC and sequence number, XOR salt.
func (g *gcm) rtpNonce(ssrc uint32, index uint64) {
	clear(g.nonce[:2])
	binary.BigEndian.PutUint32(g.nonce[2:], ssrc)
	binary.BigEndian.PutUint32(g.nonce[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(g.nonce[10:], uint16(index))
	subtle.XORBytes(g.nonce[:], g.nonce[:], g.salt[:])
}

// Span is the memory that an RTP packet needs, for those who have it fetched. Only AES-CM has all of it there.
func (c *Context) Span() (at unsafe.Pointer, size uintptr) {
	size = unsafe.Sizeof(*c) - unsafe.Offsetof(c.last)
	if k, ok := c.rtp.crypt.(*fastCounters); ok { // right behind
		size += k.size()
	}
	return unsafe.Pointer(&c.last), size
}

// find is the state of an SSRC, nil when there is none.
func (c *Context) find(ssrc uint32) *stream {
	s := c.last
	if s == nil || s.ssrc != ssrc {
		if s = c.lookUp(ssrc); s == nil {
			return nil
		}
		c.last = s
	}
	return s
}

// lookUp is find that changes nothing.
func (c *Context) lookUp(ssrc uint32) *stream {
	if c.first.used != 0 && c.first.ssrc == ssrc {
		return &c.first
	}
	return c.more[ssrc]
}

// all are the states of all SSRCs, in no certain order.
func (c *Context) all() iter.Seq[*stream] {
	return func(yield func(*stream) bool) {
		if c.first.used != 0 && !yield(&c.first) {
			return
		}
		for _, s := range c.more {
			if !yield(s) {
				return
			}
		}
	}
}

// touch notes that a packet of s is genuine: of others not even its place among the streams may depend.
func (c *Context) touch(s *stream) {
	c.clock++
	s.used = c.clock
}

// add makes room and state for an SSRC that has none.
func (c *Context) add(ssrc uint32) *stream {
	if len(c.more) == maxSSRCs-1 {
		c.forgetOldest()
	}
	s := &c.first
	if s.used != 0 {
		s = new(stream)
		if c.more == nil {
			c.more = make(map[uint32]*stream)
		}
		c.more[ssrc] = s
	}
	*s = stream{ssrc: ssrc}
	c.touch(s)
	c.last = s
	return s
}

// forgetOldest frees the place of the stream unused longest, if none is free.
func (c *Context) forgetOldest() {
	oldest := &c.first
	for _, s := range c.more {
		if s.used < oldest.used {
			oldest = s
		}
	}
	if oldest == &c.first {
		oldest.used = 0
	} else {
		delete(c.more, oldest.ssrc)
	}
}
