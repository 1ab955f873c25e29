package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"

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
type Context struct {
	params  Params
	rtp     half
	rtcp    half
	streams map[uint32]*stream
	last    *stream // the one used last: nearly always the one needed next
	clock   uint64  // counts packets, to find the stream unused longest
	trailer [4]byte // ROC, or E flag and index
	sum     [sha1.Size]byte
	nonce   [12]byte
	aad     []byte
}

// half is what RTP and RTCP have each of their own.
type half struct {
	crypt  keyStream   // nil: GCM, or not encrypted
	mac    hash.Hash   // nil: GCM, or not authenticated
	aead   cipher.AEAD // nil: not GCM
	salt   [12]byte    // GCM only
	tagLen int
}

// stream is the state of one SSRC.
type stream struct {
	ssrc uint32
	used uint64 // Context.clock when it was last used
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
	c := &Context{params: p, streams: make(map[uint32]*stream)}
	c.rtp, err = newHalf(p.Suite, keys.RTPKey, keys.RTPAuth, keys.RTPSalt, p.Suite.RTPTagLen)
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	c.rtcp, err = newHalf(p.Suite, keys.RTCPKey, keys.RTCPAuth, keys.RTCPSalt, p.Suite.RTCPTagLen)
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	if p.UnencryptedRTP {
		c.rtp.crypt = nil
	}
	if p.UnauthenticatedRTP && p.Suite.Cipher != AEAD {
		c.rtp.mac, c.rtp.tagLen = nil, 0
	}
	return c, nil
}

func newHalf(s *Suite, key, auth, salt []byte, tagLen int) (half, error) {
	h := half{tagLen: tagLen}
	if s.Cipher == AEAD {
		block, err := aes.NewCipher(key)
		if err != nil {
			return half{}, err
		}
		copy(h.salt[:], salt)
		h.aead, err = cipher.NewGCM(block)
		return h, err
	}
	// From its first Reset after a Sum on, an HMAC starts from the saved states after its key blocks.
	h.mac = hmac.New(sha1.New, auth)
	h.mac.Sum(nil)
	h.mac.Reset()
	var err error
	h.crypt, err = newKeyStream(s.Cipher, key, salt)
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

	if c.rtp.aead != nil {
		c.rtpNonce(h.SSRC, index)
		if c.params.UnencryptedRTP {
			pkt = c.rtp.aead.Seal(pkt, c.nonce[:], nil, pkt)
		} else {
			pkt = c.rtp.aead.Seal(pkt[:h.Len], c.nonce[:], pkt[h.Len:], pkt[:h.Len])
		}
		return append(pkt, c.params.MKI...), nil
	}
	if c.rtp.crypt != nil {
		c.rtp.crypt.applyRTP(pkt, h.Len, index)
	}
	pkt = append(pkt, c.params.MKI...)
	if c.rtp.mac != nil {
		pkt = append(pkt, c.tagRTP(pkt[:n], index)...)
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

	if c.rtp.aead != nil {
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
	c.rtpNonce(h.SSRC, index)
	var err error
	if c.params.UnencryptedRTP {
		n -= c.rtp.tagLen
		_, err = c.rtp.aead.Open(nil, c.nonce[:], pkt[n:n+c.rtp.tagLen], pkt[:n])
		pkt = pkt[:n]
	} else {
		pkt, err = c.rtp.aead.Open(pkt[:h.Len], c.nonce[:], pkt[h.Len:n], pkt[:h.Len])
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
	if c.rtp.mac == nil || subtle.ConstantTimeCompare(tag, c.tagRTP(pkt, index)) == 1 {
		return pkt, index, nil
	}
	if !started && h.Seq < 1<<15 {
		index |= 1 << 16
		if subtle.ConstantTimeCompare(tag, c.tagRTP(pkt, index)) == 1 {
			return pkt, index, nil
		}
	}
	return nil, 0, ErrAuth
}

// tagRTP is the tag over pkt and the rollover counter, valid until the next call.
func (c *Context) tagRTP(pkt []byte, index uint64) []byte {
	binary.BigEndian.PutUint32(c.trailer[:], uint32(index>>16))
	return c.tag(&c.rtp, pkt)
}

// tag is the tag over b and the trailer.
func (c *Context) tag(h *half, b []byte) []byte {
	h.mac.Reset()
	h.mac.Write(b)
	h.mac.Write(c.trailer[:])
	return h.mac.Sum(c.sum[:0])[:h.tagLen]
}

// rtpNonce sets the nonce of RFC 7714 section 8.1: two zero bytes, SSRC, ROC and sequence number, XOR salt.
func (c *Context) rtpNonce(ssrc uint32, index uint64) {
	clear(c.nonce[:2])
	binary.BigEndian.PutUint32(c.nonce[2:], ssrc)
	binary.BigEndian.PutUint32(c.nonce[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(c.nonce[10:], uint16(index))
	subtle.XORBytes(c.nonce[:], c.nonce[:], c.rtp.salt[:])
}

// find is the state of an SSRC, nil when there is none.
func (c *Context) find(ssrc uint32) *stream {
	s := c.last
	if s == nil || s.ssrc != ssrc {
		if s = c.streams[ssrc]; s == nil {
			return nil
		}
		c.last = s
	}
	return s
}

// touch notes that a packet of s is genuine: of others not even its place among the streams may depend.
func (c *Context) touch(s *stream) {
	c.clock++
	s.used = c.clock
}

// add makes room and state for an SSRC that has none.
func (c *Context) add(ssrc uint32) *stream {
	if len(c.streams) >= maxSSRCs {
		var oldest *stream
		for _, s := range c.streams {
			if oldest == nil || s.used < oldest.used {
				oldest = s
			}
		}
		delete(c.streams, oldest.ssrc)
	}
	s := &stream{ssrc: ssrc}
	c.touch(s)
	c.streams[ssrc], c.last = s, s
	return s
}
