package relay

// Kind is the protocol of a UDP payload.
type Kind uint8

// The kinds.
const (
	KindUnknown Kind = iota
	KindSTUN
	KindZRTP
	KindDTLS
	KindRTP
	KindRTCP
)

// Classify names the protocol of one UDP payload from its first two bytes; an empty payload is KindUnknown.
// RTCP is payload types 192..223 in the second byte (RFC 5761 section 4). Source: RFC 7983 section 7, RFC 9443.
func Classify(b []byte) Kind {
	if len(b) < 2 {
		return KindUnknown
	}
	switch first := b[0]; {
	case first <= 3:
		return KindSTUN
	case first >= 16 && first <= 19:
		return KindZRTP
	case first >= 20 && first <= 63:
		return KindDTLS
	case first < 128 || first > 191:
		return KindUnknown
	case b[1] >= 192 && b[1] <= 223:
		return KindRTCP
	}
	return KindRTP
}
