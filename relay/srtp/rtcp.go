package srtp

import (
	"bytes"
	"crypto/sha1"
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

	if g := c.rtcp.gcm; g != nil {
		g.rtcpNonce(ssrc, index)
		pkt = g.sealRTCP(pkt, index)
		pkt = binary.BigEndian.AppendUint32(pkt, index)
		return append(pkt, c.params.MKI...), nil
	}
	if index&eFlag != 0 {
		c.rtcp.crypt.applyRTCP(pkt, index)
	}
	var sum [sha1.Size]byte
	c.rtcp.mac.sum(&sum, pkt, index)
	pkt = binary.BigEndian.AppendUint32(pkt, index)
	pkt = append(pkt, c.params.MKI...)
	return append(pkt, sum[:c.rtcp.tagLen]...), nil
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
	g := c.rtcp.gcm
	if g != nil {
		at += c.rtcp.tagLen
	}
	index := binary.BigEndian.Uint32(pkt[at:])
	if mki := pkt[at+4:]; !bytes.Equal(mki[:len(c.params.MKI)], c.params.MKI) {
		return nil, ErrMKI
	}

	ssrc := binary.BigEndian.Uint32(pkt[4:])
	s := c.find(ssrc)
	if s != nil && !s.rtcp.fresh(uint64(index&^eFlag)) {
		return nil, ErrReplay
	}

	if g != nil {
		g.rtcpNonce(ssrc, index)
		if !g.openRTCP(pkt[:at], index) {
			return nil, ErrAuth
		}
	} else {
		tag := pkt[len(pkt)-c.rtcp.tagLen:]
		if !c.rtcp.verifies(tag, pkt[:n], index) {
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

// sealRTCP encrypts or only authenticates pkt and appends the tag.
func (g *gcm) sealRTCP(pkt []byte, index uint32) []byte {
	if index&eFlag == 0 {
		return g.Seal(pkt, g.nonce[:], nil, g.rtcpAAD(pkt, index))
	}
	return g.Seal(pkt[:rtcpClearLen], g.nonce[:], pkt[rtcpClearLen:], g.rtcpAAD(pkt[:rtcpClearLen], index))
}

// openRTCP undoes sealRTCP on pkt, which ends with the tag.
func (g *gcm) openRTCP(pkt []byte, index uint32) bool {
	clearLen := rtcpClearLen
	if index&eFlag == 0 {
		clearLen = len(pkt) - g.Overhead()
	}
	_, err := g.Open(pkt[:clearLen], g.nonce[:], pkt[clearLen:], g.rtcpAAD(pkt[:clearLen], index))
	return err == nil
}

// rtcpAAD is what is in the clear, and the index.
func (g *gcm) rtcpAAD(clear []byte, index uint32) []byte {
	g.aad = binary.BigEndian.AppendUint32(append(g.aad[:0], clear...), index)
	return g.aad
}

// rtcpNonce sets the nonce of RFC 7714 section 9.1: two zero bytes, SSRC, two zero bytes, index, XOR salt.
func (g *gcm) rtcpNonce(ssrc, index uint32) {
	clear(g.nonce[:])
	binary.BigEndian.PutUint32(g.nonce[2:], ssrc)
	binary.BigEndian.PutUint32(g.nonce[8:], index&^eFlag)
	subtle.XORBytes(g.nonce[:], g.nonce[:], g.salt[:])
}
