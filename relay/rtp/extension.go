package rtp

import "encoding/binary"

// The profiles of RFC 8285 section 4. A two-byte profile has any value in its low four bits.
const (
	ProfileOneByte = 0xBEDE
	ProfileTwoByte = 0x1000
)

// form tells how elements are laid out in an extension.
type form uint8

const (
	formOther   form = iota // RFC 3550 only: opaque
	formOneByte             // 4 bits id, 4 bits length-1
	formTwoByte             // 8 bits id, 8 bits length
)

func formOf(profile uint16) form {
	switch {
	case profile == ProfileOneByte:
		return formOneByte
	case profile&0xfff0 == ProfileTwoByte:
		return formTwoByte
	}
	return formOther
}

// Extensions walks the elements of a header extension:
//
//	it := h.Extensions(b)
//	for it.Next() {
//		use(it.ID, it.Value)
//	}
//
// Malformed elements end the walk; what stood before them counts. Source: RFC 8285 sections 4.2 and 4.3.
type Extensions struct {
	ID    uint8
	Value []byte // aliases the packet; may be empty in the two-byte form

	data []byte // the extension's data
	at   int    // first byte of the current element
	next int    // first byte after it
	form form
}

// Extensions is a walk over the extension of the packet b that h was read from; it is empty when the profile is not one
// of RFC 8285.
func (h Header) Extensions(b []byte) Extensions {
	if !h.Extension {
		return Extensions{}
	}
	it := Extensions{form: formOf(h.ExtProfile)}
	if it.form != formOther {
		it.data = b[h.ExtOffset : h.ExtOffset+h.ExtLen]
	}
	return it
}

// Next steps to the next element and tells whether there is one.
func (it *Extensions) Next() bool {
	for it.next < len(it.data) && it.data[it.next] == 0 { // padding
		it.next++
	}
	d := it.data[it.next:]
	if len(d) == 0 {
		return false
	}
	id, size, head := d[0], 0, 2
	switch {
	case it.form == formOneByte:
		// The id 15 is reserved and stops processing. The id 0 with a length is invalid and does the same.
		id, size, head = d[0]>>4, int(d[0]&0x0f)+1, 1
		if id == 0 || id == 15 {
			return it.stop()
		}
	case len(d) < 2:
		return it.stop()
	default:
		size = int(d[1])
	}
	if len(d) < head+size {
		return it.stop()
	}
	it.ID, it.Value = id, d[head:head+size]
	it.at, it.next = it.next, it.next+head+size
	return true
}

func (it *Extensions) stop() bool {
	it.data, it.next = nil, 0
	return false
}

// rename gives the current element another id. It reports false when the id does not fit the form.
func (it *Extensions) rename(id uint8) bool {
	if it.form == formTwoByte {
		it.data[it.at] = id
		return id != 0
	}
	if id == 0 || id > 14 {
		return false
	}
	it.data[it.at] = id<<4 | it.data[it.at]&0x0f
	return true
}

// ExtensionMap says what becomes of an extension element: index is the id received, value the id to send, 0 removes it.
type ExtensionMap [256]uint8

// ExtensionForms says in which form of RFC 8285 a receiver takes header extensions.
type ExtensionForms uint8

// The choices for extensions that come in the two-byte form; those in the one-byte form stay in it.
const (
	FormAsIs    ExtensionForms = iota // stay in it
	FormShort                         // go into the one-byte form if all of a packet fit: the receiver has extmap-allow-mixed
	FormOneByte                       // go into the one-byte form, and those that do not fit are removed
)

// MapExtensions applies m to the extension of the plain packet b, read into h, and returns the packet, which is a
// suffix of b; h does not describe the result. The elements kept move together, and what stands before the payload moves
// up to it. When no element is left the extension goes too. Elements that the one-byte form cannot name (new id over 14)
// are removed, as is what follows a stop mark. An extension outside RFC 8285 stays as it is.
func MapExtensions(b []byte, h Header, m *ExtensionMap, forms ExtensionForms) []byte {
	it := h.Extensions(b)
	if it.form == formOther {
		return b
	}
	shorten := it.form == formTwoByte && (forms == FormOneByte || forms == FormShort && allShort(it, m))
	data := b[h.ExtOffset : h.ExtOffset+h.ExtLen]
	used := 0
	for it.Next() {
		id := m[it.ID]
		switch {
		case id == 0:
		case shorten:
			if fitsOneByte(id, it.Value) { // shorter than what was read, so nothing unread is overwritten
				data[used] = id<<4 | uint8(len(it.Value)-1)
				used += 1 + copy(data[used+1:], it.Value)
			}
		case it.rename(id):
			used += copy(data[used:], it.data[it.at:it.next])
		}
	}
	if shorten && used > 0 {
		binary.BigEndian.PutUint16(b[h.ExtOffset-4:], ProfileOneByte)
	}
	if used == 0 {
		fixed := MinHeaderLen + 4*h.CSRCCount
		out := b[h.Len-fixed:]
		copy(out, b[:fixed])
		out[0] &^= 0x10
		return out
	}
	size := (used + 3) &^ 3
	clear(data[used:size])
	out := b[h.ExtLen-size:]
	copy(out, b[:h.ExtOffset+size])
	binary.BigEndian.PutUint16(out[h.ExtOffset-2:], uint16(size/4))
	return out
}

// fitsOneByte: ids 1 to 14, values of 1 to 16 bytes, RFC 8285 section 4.2.
func fitsOneByte(id uint8, value []byte) bool { return id <= 14 && len(value) >= 1 && len(value) <= 16 }

// allShort tells whether every element that m keeps fits the one-byte form.
func allShort(it Extensions, m *ExtensionMap) bool {
	for it.Next() {
		if id := m[it.ID]; id != 0 && !fitsOneByte(id, it.Value) {
			return false
		}
	}
	return true
}

// AppendExtensionHeader appends the four bytes that stand before an extension's data of lenBytes bytes, a multiple of 4.
func AppendExtensionHeader(dst []byte, profile uint16, lenBytes int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, profile)
	return binary.BigEndian.AppendUint16(dst, uint16(lenBytes/4))
}
