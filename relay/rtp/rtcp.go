package rtp

import "encoding/binary"

// The RTCP packet types. Sources: RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611 section 2.
const (
	TypeSR    = 200
	TypeRR    = 201
	TypeSDES  = 202
	TypeBYE   = 203
	TypeAPP   = 204
	TypeRTPFB = 205
	TypePSFB  = 206
	TypeXR    = 207
)

// Feedback formats ("FMT", the Count of a packet). Sources: RFC 4585 sections 6.2 and 6.3, RFC 5104 section 4.
const (
	FormatNACK = 1 // RTPFB
	FormatPLI  = 1 // PSFB
	FormatFIR  = 4 // PSFB
)

const (
	rtcpHeaderLen  = 4
	senderInfoLen  = 20
	reportBlockLen = 24
)

// Packet is one RTCP packet of a compound.
type Packet struct {
	Type    uint8
	Count   uint8 // reports, sources or feedback format: five bits of the first byte
	Padding bool
	Bytes   []byte // the whole packet with its header and padding; aliases the input
}

// ParsePacket reads the RTCP packet at the front of b and returns it with the rest of the compound, so that
//
//	for len(b) > 0 {
//		p, b, err = rtp.ParsePacket(b)
//	}
//
// walks all of it. Padding is accepted on any packet. Errors are ErrShort, ErrVersion and ErrSyntax (padding longer
// than the packet). Source: RFC 3550 section 6.4 and appendix A.2.
func ParsePacket(b []byte) (p Packet, rest []byte, err error) {
	if len(b) < rtcpHeaderLen {
		return Packet{}, nil, ErrShort
	}
	if b[0]>>6 != 2 {
		return Packet{}, nil, ErrVersion
	}
	n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
	if len(b) < n {
		return Packet{}, nil, ErrShort
	}
	if m := reportLen(b); n < m && m <= len(b) && b[n]>>6 != 2 {
		n = m // some devices leave report blocks out of the length; what stands there is no packet of its own
	}
	p = Packet{Type: b[1], Count: b[0] & 0x1f, Padding: b[0]&0x20 != 0, Bytes: b[:n:n]}
	if p.Padding {
		if pad := int(b[n-1]); pad == 0 || pad > n-rtcpHeaderLen {
			return Packet{}, nil, ErrSyntax
		}
	}
	return p, b[n:], nil
}

// reportLen is the length that a sender or receiver report with so many blocks has; 0 for other packets.
func reportLen(b []byte) int {
	blocks := int(b[0]&0x1f) * reportBlockLen
	switch b[1] {
	case TypeSR:
		return rtcpHeaderLen + 4 + senderInfoLen + blocks
	case TypeRR:
		return rtcpHeaderLen + 4 + blocks
	}
	return 0
}

// CheckCompound reports whether b is nothing but well-formed RTCP packets, at least one. Reduced-size RTCP
// (RFC 5506), which starts with any type, is accepted.
func CheckCompound(b []byte) error {
	if len(b) == 0 {
		return ErrShort
	}
	for len(b) > 0 {
		var err error
		if _, b, err = ParsePacket(b); err != nil {
			return err
		}
	}
	return nil
}

// WellFormed is the front of b that CheckCompound would accept, as long as it can be. Devices that count the length of a report
// wrong leave words behind it.
func WellFormed(b []byte) ([]byte, error) {
	rest := b
	for len(rest) > 0 {
		_, next, err := ParsePacket(rest)
		if err != nil && len(rest) == len(b) {
			return nil, err
		} else if err != nil {
			break
		}
		rest = next
	}
	if len(b) == 0 {
		return nil, ErrShort
	}
	return b[:len(b)-len(rest)], nil
}

// body is the packet after its header, without padding.
func (p Packet) body() []byte {
	end := len(p.Bytes)
	if p.Padding {
		end -= int(p.Bytes[end-1])
	}
	return p.Bytes[rtcpHeaderLen:end]
}

// SSRC is the first word after the header: the sender, and in BYE and SDES the first source. False: there is none.
func (p Packet) SSRC() (uint32, bool) { return p.word(0) }

// MediaSSRC is the source that a feedback packet speaks about. False: the packet is no feedback or too short.
func (p Packet) MediaSSRC() (uint32, bool) {
	if p.Type != TypeRTPFB && p.Type != TypePSFB {
		return 0, false
	}
	return p.word(1)
}

func (p Packet) word(i int) (uint32, bool) {
	b := p.body()
	if len(b) < 4*i+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[4*i:]), true
}

// SetSSRC replaces what SSRC returned; it does nothing where SSRC is false.
func (p Packet) SetSSRC(ssrc uint32) {
	if b := p.body(); len(b) >= 4 {
		binary.BigEndian.PutUint32(b, ssrc)
	}
}

// SetMediaSSRC replaces what MediaSSRC returned; it does nothing where MediaSSRC is false.
func (p Packet) SetMediaSSRC(ssrc uint32) {
	if _, ok := p.MediaSSRC(); ok {
		binary.BigEndian.PutUint32(p.body()[4:], ssrc)
	}
}

// SenderInfo is what a sender report tells of its sender. Source: RFC 3550 section 6.4.1.
type SenderInfo struct {
	NTP       uint64 // seconds since 1900 and their 2^32nd parts, see [NTP]
	Timestamp uint32 // the same moment as an RTP timestamp
	Packets   uint32
	Octets    uint32 // of payload
}

// SenderInfo reads a sender report. False: the packet is none or too short.
func (p Packet) SenderInfo() (SenderInfo, bool) {
	b := p.body()
	if p.Type != TypeSR || len(b) < 4+senderInfoLen {
		return SenderInfo{}, false
	}
	return SenderInfo{
		NTP:       binary.BigEndian.Uint64(b[4:]),
		Timestamp: binary.BigEndian.Uint32(b[12:]),
		Packets:   binary.BigEndian.Uint32(b[16:]),
		Octets:    binary.BigEndian.Uint32(b[20:]),
	}, true
}

// SetSenderInfo replaces what SenderInfo returned; it does nothing where SenderInfo is false.
func (p Packet) SetSenderInfo(s SenderInfo) {
	if b := p.body(); p.Type == TypeSR && len(b) >= 4+senderInfoLen {
		appendSenderInfo(b[:4], s)
	}
}

// ReportBlock is one reception report. Source: RFC 3550 section 6.4.1.
type ReportBlock struct {
	SSRC         uint32
	FractionLost uint8  // in 256ths, since the report before
	Lost         int32  // cumulative, 24 bits signed
	HighestSeq   uint32 // cycles times 65536 plus sequence number
	Jitter       uint32 // in timestamp units
	LastSR       uint32 // middle 32 bits of the last sender report's NTP; 0 none
	Delay        uint32 // since that report, in 1/65536 s
}

// reports are the report blocks that really are in the packet, which may be fewer than it says.
func (p Packet) reports() []byte {
	b := p.body()
	switch p.Type {
	case TypeSR:
		b = b[min(len(b), 4+senderInfoLen):]
	case TypeRR:
		b = b[min(len(b), 4):]
	default:
		return nil
	}
	return b[:min(len(b)/reportBlockLen, int(p.Count))*reportBlockLen]
}

// NumReports is the number of complete report blocks in a sender or receiver report.
func (p Packet) NumReports() int { return len(p.reports()) / reportBlockLen }

// Report reads the i-th report block; i is below NumReports.
func (p Packet) Report(i int) ReportBlock {
	b := p.reports()[i*reportBlockLen:]
	return ReportBlock{
		SSRC:         binary.BigEndian.Uint32(b),
		FractionLost: b[4],
		Lost:         int32(binary.BigEndian.Uint32(b[4:])<<8) >> 8,
		HighestSeq:   binary.BigEndian.Uint32(b[8:]),
		Jitter:       binary.BigEndian.Uint32(b[12:]),
		LastSR:       binary.BigEndian.Uint32(b[16:]),
		Delay:        binary.BigEndian.Uint32(b[20:]),
	}
}

// SetReport replaces the i-th report block; i is below NumReports.
func (p Packet) SetReport(i int, r ReportBlock) {
	appendReport(p.reports()[i*reportBlockLen:i*reportBlockLen], r)
}

// NumSources is the number of complete sources in a BYE.
func (p Packet) NumSources() int {
	if p.Type != TypeBYE {
		return 0
	}
	return min(len(p.body())/4, int(p.Count))
}

// Source is the i-th source of a BYE; i is below NumSources.
func (p Packet) Source(i int) uint32 { return binary.BigEndian.Uint32(p.body()[4*i:]) }

// FilterFeedback removes the transport and payload feedback packets (types 205 and 206) from the compound b in place
// and returns what is left as a prefix of b, possibly nothing. It is what an AVP peer may be sent of an AVPF peer's
// RTCP. On an error b may be changed and must not be used.
func FilterFeedback(b []byte) ([]byte, error) {
	kept, rest := 0, b
	for len(rest) > 0 {
		p, next, err := ParsePacket(rest)
		if err != nil {
			return nil, err
		}
		if p.Type != TypeRTPFB && p.Type != TypePSFB {
			kept += copy(b[kept:], p.Bytes)
		}
		rest = next
	}
	return b[:kept], nil
}
