package rtp

import (
	"encoding/binary"
	"time"
)

// ntpEpoch is how many seconds 1970 lies after 1900 (RFC 5905 figure 4).
const ntpEpoch = 2208988800

// NTP is t in the 64-bit format of RFC 5905 section 6: seconds since 1900 in the upper half, their fraction below.
func NTP(t time.Time) uint64 {
	frac := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return uint64(t.Unix()+ntpEpoch)<<32 | frac
}

// NTPTime is the inverse of NTP, in the era that began in 1900.
func NTPTime(ntp uint64) time.Time {
	ns := (ntp & 0xffffffff) * uint64(time.Second) >> 32
	return time.Unix(int64(ntp>>32)-ntpEpoch, int64(ns))
}

// NTPMiddle is the middle 32 bits, in units of 1/65536 s, as a report block's LastSR has them.
func NTPMiddle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// RoundTrip is the time from a sender report to the report block r that answers it, without the time that the answerer
// took; now is the arrival of r. False: r answers none, or its numbers give a negative time.
// Source: RFC 3550 section 6.4.1, "delay since last SR".
func RoundTrip(r ReportBlock, now time.Time) (time.Duration, bool) {
	d := int32(NTPMiddle(NTP(now)) - r.LastSR - r.Delay)
	if r.LastSR == 0 || d < 0 {
		return 0, false
	}
	return time.Duration(d) * time.Second >> 16, true
}

// AppendSR appends a sender report with at most 31 report blocks.
func AppendSR(dst []byte, ssrc uint32, s SenderInfo, reports []ReportBlock) []byte {
	dst = appendRTCPHeader(dst, TypeSR, len(reports), 4+senderInfoLen+len(reports)*reportBlockLen)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = appendSenderInfo(dst, s)
	for _, r := range reports {
		dst = appendReport(dst, r)
	}
	return dst
}

// AppendRR appends a receiver report with at most 31 report blocks.
func AppendRR(dst []byte, ssrc uint32, reports []ReportBlock) []byte {
	dst = appendRTCPHeader(dst, TypeRR, len(reports), 4+len(reports)*reportBlockLen)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	for _, r := range reports {
		dst = appendReport(dst, r)
	}
	return dst
}

// AppendSDES appends a source description with one CNAME, of which at most 255 bytes are taken. A compound needs it
// after its report (RFC 3550 section 6.1).
func AppendSDES(dst []byte, ssrc uint32, cname string) []byte {
	cname = cname[:min(len(cname), 255)]
	size := (4 + 2 + len(cname) + 1 + 3) &^ 3 // the item list ends with one to four zero bytes
	dst = appendRTCPHeader(dst, TypeSDES, 1, size)
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = append(dst, 1, byte(len(cname)))
	dst = append(dst, cname...)
	for len(dst) < start+size {
		dst = append(dst, 0)
	}
	return dst
}

// AppendBYE appends a BYE for one source, without a reason.
func AppendBYE(dst []byte, ssrc uint32) []byte {
	return binary.BigEndian.AppendUint32(appendRTCPHeader(dst, TypeBYE, 1, 4), ssrc)
}

// AppendPLI appends a picture loss indication: the sender ssrc asks media for a key frame.
// Source: RFC 4585 section 6.3.1.
func AppendPLI(dst []byte, ssrc, media uint32) []byte {
	dst = appendRTCPHeader(dst, TypePSFB, FormatPLI, 8)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	return binary.BigEndian.AppendUint32(dst, media)
}

func appendRTCPHeader(dst []byte, kind uint8, count, bodyLen int) []byte {
	dst = append(dst, 2<<6|byte(count&0x1f), kind)
	return binary.BigEndian.AppendUint16(dst, uint16(bodyLen/4))
}

func appendSenderInfo(dst []byte, s SenderInfo) []byte {
	dst = binary.BigEndian.AppendUint64(dst, s.NTP)
	dst = binary.BigEndian.AppendUint32(dst, s.Timestamp)
	dst = binary.BigEndian.AppendUint32(dst, s.Packets)
	return binary.BigEndian.AppendUint32(dst, s.Octets)
}

func appendReport(dst []byte, r ReportBlock) []byte {
	lost := min(max(r.Lost, -1<<23), 1<<23-1)
	dst = binary.BigEndian.AppendUint32(dst, r.SSRC)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.FractionLost)<<24|uint32(lost)&0xffffff)
	dst = binary.BigEndian.AppendUint32(dst, r.HighestSeq)
	dst = binary.BigEndian.AppendUint32(dst, r.Jitter)
	dst = binary.BigEndian.AppendUint32(dst, r.LastSR)
	return binary.BigEndian.AppendUint32(dst, r.Delay)
}
