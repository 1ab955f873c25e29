package relay

import (
	"encoding/binary"

	"rtpsidecar/relay/rtp"
)

// insertMID writes the MID element into the plain RTP packet b, which has Tailroom, and returns the packet. An element
// of that id gives way. Where the extension cannot take it (another profile, or an id or length that its form has no
// room for) the packet stays as it is: the receiver then goes by payload type. Source: RFC 9143 section 14, RFC 8285.
func insertMID(b []byte, id uint8, mid string) []byte {
	h, err := rtp.ParseHeader(b)
	if err != nil || len(mid) == 0 || len(mid) > 255 {
		return b
	}
	short := id <= 14 && len(mid) <= 16
	if !h.Extension {
		profile := uint16(rtp.ProfileOneByte)
		if !short {
			profile = rtp.ProfileTwoByte
		}
		b = grow(b, h.Len, 4)
		b[0] |= 0x10
		binary.BigEndian.PutUint16(b[h.Len:], profile)
		binary.BigEndian.PutUint16(b[h.Len+2:], 0)
		if h, err = rtp.ParseHeader(b); err != nil {
			return b
		}
	}
	oneByte := h.ExtProfile == rtp.ProfileOneByte
	if oneByte && !short || !oneByte && h.ExtProfile&0xfff0 != rtp.ProfileTwoByte {
		return b
	}
	for it := h.Extensions(b); it.Next(); {
		if it.ID == id && len(it.Value) == len(mid) {
			copy(it.Value, mid)
			return b
		}
	}
	var element [2 + 255 + 3]byte
	n := 1
	element[0] = id<<4 | uint8(len(mid)-1)
	if !oneByte {
		element[0], element[1] = id, uint8(len(mid))
		n = 2
	}
	n += copy(element[n:], mid)
	n = (n + 3) &^ 3 // the rest is padding
	// In front, since what follows the last element need not be padding.
	b = grow(b, h.ExtOffset, n)
	copy(b[h.ExtOffset:], element[:n])
	binary.BigEndian.PutUint16(b[h.ExtOffset-2:], uint16((h.ExtLen+n)/4))
	return b
}

// grow opens a gap of n bytes, within the capacity of b.
func grow(b []byte, at, n int) []byte {
	size := len(b)
	b = b[:size+n]
	copy(b[at+n:], b[at:size])
	return b
}
