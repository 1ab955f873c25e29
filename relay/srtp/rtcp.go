package srtp

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
)

// ProtectRTCP encrypts the RTCP compound pkt in place and appends index, MKI and tag to it, into the capacity of pkt:
// whatever lay there is overwritten. It never allocates; a lack of RTCPOverhead bytes is ErrBuffer. The SSRC whose index
// is counted is the first sender's; the first index is 0. Other errors are ErrShort and ErrLifetime. On an error pkt and
// the state are unchanged. Source: RFC 3711 section 3.4, RFC 7714 section 9.
func (c *Context) ProtectRTCP(pkt []byte) ([]byte, error) {
	if len(pkt) < rtcpClearLen {
		return nil, ErrShort
	}
	if cap(pkt)-len(pkt) < c.RTCPOverhead() {
		return nil, ErrBuffer
	}
	ssrc := binary.BigEndian.Uint32(pkt[4:])
	s := c.find(ssrc)
	if s == nil {
		s = c.add(ssrc)
	}
	next := uint64(0)
	if s.rtcp.Started {
		next = s.rtcp.Highest + 1
	}
	if next > maxRTCPIndex {
		return nil, ErrLifetime
	}
	c.touch(s)
	s.rtcp.use(next)

	index := uint32(next)
	if !c.params.UnencryptedRTCP && c.params.Suite.Cipher != Null {
		index |= eFlag
	}
	binary.BigEndian.PutUint32(c.trailer[:], index)

	if c.rtcp.aead != nil {
		c.rtcpNonce(ssrc, index)
		pkt = c.sealRTCP(pkt, index)
		pkt = append(pkt, c.trailer[:]...)
		return append(pkt, c.params.MKI...), nil
	}
	if index&eFlag != 0 {
		c.rtcp.crypt.applyRTCP(pkt, index)
	}
	tag := c.tag(&c.rtcp, pkt)
	pkt = append(pkt, c.trailer[:]...)
	pkt = append(pkt, c.params.MKI...)
	return append(pkt, tag...), nil
}

// UnprotectRTCP decrypts the SRTCP packet pkt in place and returns the RTCP compound as a prefix of it, whose inner
// lengths it does not check. State for an SSRC is created only after a tag verifies. A packet whose E flag is off is
// taken as unencrypted, whatever the parameters say: the tag covers the flag.
//
// Errors are ErrAuth, ErrReplay, ErrMKI and ErrShort; then pkt is undefined and the state unchanged.
// Source: RFC 3711 section 3.4, RFC 7714 section 9.
func (c *Context) UnprotectRTCP(pkt []byte) ([]byte, error) {
	n := len(pkt) - c.RTCPOverhead() // without the trailer
	if n < rtcpClearLen {
		return nil, ErrShort
	}
	// HMAC: ciphertext, index, MKI, tag. GCM: ciphertext, tag, index, MKI.
	at := n
	if c.rtcp.aead != nil {
		at += c.rtcp.tagLen
	}
	copy(c.trailer[:], pkt[at:])
	if mki := pkt[at+4:]; !bytes.Equal(mki[:len(c.params.MKI)], c.params.MKI) {
		return nil, ErrMKI
	}
	index := binary.BigEndian.Uint32(c.trailer[:])

	ssrc := binary.BigEndian.Uint32(pkt[4:])
	s := c.find(ssrc)
	if s != nil && !s.rtcp.fresh(uint64(index&^eFlag)) {
		return nil, ErrReplay
	}

	if c.rtcp.aead != nil {
		c.rtcpNonce(ssrc, index)
		if !c.openRTCP(pkt[:at], index) {
			return nil, ErrAuth
		}
	} else {
		tag := pkt[len(pkt)-c.rtcp.tagLen:]
		if subtle.ConstantTimeCompare(tag, c.tag(&c.rtcp, pkt[:n])) != 1 {
			return nil, ErrAuth
		}
		if index&eFlag != 0 && c.rtcp.crypt != nil {
			c.rtcp.crypt.applyRTCP(pkt[:n], index)
		}
	}
	if s == nil {
		s = c.add(ssrc)
	}
	c.touch(s)
	s.rtcp.use(uint64(index &^ eFlag))
	return pkt[:n], nil
}

// sealRTCP encrypts or only authenticates pkt with GCM and appends the tag.
func (c *Context) sealRTCP(pkt []byte, index uint32) []byte {
	if index&eFlag == 0 {
		c.aad = append(append(c.aad[:0], pkt...), c.trailer[:]...)
		return c.rtcp.aead.Seal(pkt, c.nonce[:], nil, c.aad)
	}
	c.aad = append(append(c.aad[:0], pkt[:rtcpClearLen]...), c.trailer[:]...)
	return c.rtcp.aead.Seal(pkt[:rtcpClearLen], c.nonce[:], pkt[rtcpClearLen:], c.aad)
}

// openRTCP undoes sealRTCP on pkt, which ends with the tag.
func (c *Context) openRTCP(pkt []byte, index uint32) bool {
	clearLen := rtcpClearLen
	if index&eFlag == 0 {
		clearLen = len(pkt) - c.rtcp.tagLen
	}
	c.aad = append(append(c.aad[:0], pkt[:clearLen]...), c.trailer[:]...)
	_, err := c.rtcp.aead.Open(pkt[:clearLen], c.nonce[:], pkt[clearLen:], c.aad)
	return err == nil
}

// rtcpNonce sets the nonce of RFC 7714 section 9.1: two zero bytes, SSRC, two zero bytes, index, XOR salt.
func (c *Context) rtcpNonce(ssrc, index uint32) {
	clear(c.nonce[:])
	binary.BigEndian.PutUint32(c.nonce[2:], ssrc)
	binary.BigEndian.PutUint32(c.nonce[8:], index&^eFlag)
	subtle.XORBytes(c.nonce[:], c.nonce[:], c.rtcp.salt[:])
}
