package dtls

import "encoding/binary"

const recordHeaderLen = 13

// The content types of RFC 5246 section 6.2.1 and the shortest plain content of each.
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
)

// plausible tells whether b consists of whole DTLS records that may be part of an association. The library takes a
// malformed record of the first epoch for a failed handshake; since anyone can send one, it never sees them.
// Source: RFC 6347 sections 4.1 and 4.1.2.7.
func plausible(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) > 0 {
		if len(b) < recordHeaderLen || b[1] != 0xfe {
			return false
		}
		epoch, size := binary.BigEndian.Uint16(b[3:]), int(binary.BigEndian.Uint16(b[11:]))
		if len(b) < recordHeaderLen+size {
			return false
		}
		content := b[recordHeaderLen : recordHeaderLen+size]
		switch kind := b[0]; {
		case kind < typeChangeCipherSpec || kind > typeApplicationData:
			return false
		case epoch == 0 && !plausiblePlain(kind, content):
			return false
		}
		b = b[recordHeaderLen+size:]
	}
	return true
}

// plausiblePlain looks at the content of an unencrypted record.
func plausiblePlain(kind byte, content []byte) bool {
	switch kind {
	case typeChangeCipherSpec:
		return len(content) == 1 && content[0] == 1
	case typeAlert:
		return len(content) == 2
	case typeHandshake:
		return len(content) >= 12 // the handshake header, RFC 6347 section 4.2.2
	}
	return false // application data is never sent in the clear
}

// isClientHello tells whether b, which is plausible or empty, begins with a ClientHello or a fragment of one. Anything
// else that reaches a server first is of an association before this one.
func isClientHello(b []byte) bool {
	const clientHello = 1
	return len(b) > recordHeaderLen && b[0] == typeHandshake && b[3] == 0 && b[4] == 0 && b[recordHeaderLen] == clientHello
}
