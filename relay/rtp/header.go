package rtp

import "encoding/binary"

// MinHeaderLen is the length in bytes of an RTP header without CSRCs and extension.
const MinHeaderLen = 12

// Header is one RTP header and where its parts lie in the packet. Source: RFC 3550 section 5.1.
type Header struct {
	Padding    bool
	Marker     bool
	PT         uint8
	Seq        uint16
	Timestamp  uint32
	SSRC       uint32
	CSRCCount  int    // CSRCs start at byte 12
	Extension  bool   // the X bit; without it the three fields below are 0
	ExtProfile uint16 // "defined by profile": 0xBEDE, 0x100?, or anything
	ExtOffset  int    // first byte of the extension's data
	ExtLen     int    // length of that data in bytes, a multiple of 4
	Len        int    // length of the whole header in bytes: the payload starts here
}

// ParseHeader reads the header at the front of b. It looks at no byte of the payload, so that b may be an SRTP packet;
// see [Header.Payload] for padding. Errors are ErrShort and ErrVersion.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < MinHeaderLen {
		return Header{}, ErrShort
	}
	if b[0]>>6 != 2 {
		return Header{}, ErrVersion
	}
	h := Header{
		Padding:   b[0]&0x20 != 0,
		Extension: b[0]&0x10 != 0,
		CSRCCount: int(b[0] & 0x0f),
		Marker:    b[1]&0x80 != 0,
		PT:        b[1] & 0x7f,
		Seq:       binary.BigEndian.Uint16(b[2:]),
		Timestamp: binary.BigEndian.Uint32(b[4:]),
		SSRC:      binary.BigEndian.Uint32(b[8:]),
	}
	h.Len = MinHeaderLen + 4*h.CSRCCount
	if h.Extension {
		if len(b) < h.Len+4 {
			return Header{}, ErrShort
		}
		h.ExtProfile = binary.BigEndian.Uint16(b[h.Len:])
		h.ExtLen = 4 * int(binary.BigEndian.Uint16(b[h.Len+2:]))
		h.ExtOffset = h.Len + 4
		h.Len = h.ExtOffset + h.ExtLen
	}
	if len(b) < h.Len {
		return Header{}, ErrShort
	}
	return h, nil
}

// CSRC is the i-th contributing source of the packet b that h was read from; i is below h.CSRCCount.
func (h Header) CSRC(b []byte, i int) uint32 {
	return binary.BigEndian.Uint32(b[MinHeaderLen+4*i:])
}

// Payload is the payload of the plain packet b that h was read from, without padding.
// ErrSyntax: the padding is longer than the payload, or says to be empty.
func (h Header) Payload(b []byte) ([]byte, error) {
	p := b[h.Len:]
	if !h.Padding {
		return p, nil
	}
	if len(p) == 0 {
		return nil, ErrSyntax
	}
	n := int(p[len(p)-1])
	if n == 0 || n > len(p) {
		return nil, ErrSyntax
	}
	return p[:len(p)-n], nil
}

// AppendHeader appends a header with the marker, payload type, sequence number, timestamp and SSRC of h, without
// padding, CSRCs and extension.
func AppendHeader(dst []byte, h Header) []byte {
	pt := h.PT & 0x7f
	if h.Marker {
		pt |= 0x80
	}
	dst = append(dst, 2<<6, pt)
	dst = binary.BigEndian.AppendUint16(dst, h.Seq)
	dst = binary.BigEndian.AppendUint32(dst, h.Timestamp)
	return binary.BigEndian.AppendUint32(dst, h.SSRC)
}

// The setters change one field of the packet b, which ParseHeader has accepted.

// SetPT sets the payload type and keeps the marker.
func SetPT(b []byte, pt uint8) { b[1] = b[1]&0x80 | pt&0x7f }

// SetMarker sets the marker bit.
func SetMarker(b []byte, on bool) {
	b[1] &^= 0x80
	if on {
		b[1] |= 0x80
	}
}

// SetSeq sets the sequence number.
func SetSeq(b []byte, seq uint16) { binary.BigEndian.PutUint16(b[2:], seq) }

// SetTimestamp sets the timestamp.
func SetTimestamp(b []byte, ts uint32) { binary.BigEndian.PutUint32(b[4:], ts) }

// SetSSRC sets the synchronisation source.
func SetSSRC(b []byte, ssrc uint32) { binary.BigEndian.PutUint32(b[8:], ssrc) }
