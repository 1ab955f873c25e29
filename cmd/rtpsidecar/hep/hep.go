// Package hep sends what happens to a Homer collector, in HEP version 3 (EEP).
//
// A packet is "HEP3", its length in 16 bits, and chunks: vendor, type, length (with these six bytes), value, all in
// network order. Source: the HEP/EEP Network Protocol specification, revision 32, by the SIPCAPTURE project.
package hep

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Protocol types of payloads.
const (
	RTCP = 5  // reports as JSON
	NG   = 61 // a message of the control protocol as it went over the wire; the reference's choice
)

// Packet is one message of which the collector is told.
type Packet struct {
	From, To    netip.AddrPort
	At          time.Time
	Protocol    byte
	Agent       uint32 // who captured it
	Correlation string // the call-id
	Payload     []byte // of RTCP: for Append its JSON, for Export the compound as it passed
}

// maxPacket bounds a packet: its length has 16 bits, and it has to fit a datagram.
const maxPacket = 65000

// chunk types, vendor 0.
const (
	chunkFamily      = 1
	chunkTransport   = 2
	chunkFrom4       = 3
	chunkTo4         = 4
	chunkFrom6       = 5
	chunkTo6         = 6
	chunkFromPort    = 7
	chunkToPort      = 8
	chunkSeconds     = 9
	chunkMicros      = 10
	chunkProtocol    = 11
	chunkAgent       = 12
	chunkPayload     = 15
	chunkCorrelation = 17
)

// Values of the first two chunks: AF_INET, AF_INET6 and UDP by their numbers.
const (
	familyIPv4 = 2
	familyIPv6 = 10
	protoUDP   = 17
)

// Append writes p behind dst. A payload that is too long is cut. Addresses that are not valid become 0.0.0.0.
func Append(dst []byte, p *Packet) []byte {
	start := len(dst)
	dst = append(dst, "HEP3\x00\x00"...)
	from, to := p.From.Addr().Unmap(), p.To.Addr().Unmap()
	if from.Is6() || to.Is6() {
		dst = append(header(dst, chunkFamily, 1), familyIPv6)
		dst = append(header(dst, chunkTransport, 1), protoUDP)
		a, b := as16(from), as16(to)
		dst = append(header(dst, chunkFrom6, 16), a[:]...)
		dst = append(header(dst, chunkTo6, 16), b[:]...)
	} else {
		dst = append(header(dst, chunkFamily, 1), familyIPv4)
		dst = append(header(dst, chunkTransport, 1), protoUDP)
		a, b := as4(from), as4(to)
		dst = append(header(dst, chunkFrom4, 4), a[:]...)
		dst = append(header(dst, chunkTo4, 4), b[:]...)
	}
	dst = binary.BigEndian.AppendUint16(header(dst, chunkFromPort, 2), p.From.Port())
	dst = binary.BigEndian.AppendUint16(header(dst, chunkToPort, 2), p.To.Port())
	dst = binary.BigEndian.AppendUint32(header(dst, chunkSeconds, 4), uint32(p.At.Unix()))
	dst = binary.BigEndian.AppendUint32(header(dst, chunkMicros, 4), uint32(p.At.Nanosecond()/1000))
	dst = append(header(dst, chunkProtocol, 1), p.Protocol)
	dst = binary.BigEndian.AppendUint32(header(dst, chunkAgent, 4), p.Agent)
	if id := p.Correlation[:min(len(p.Correlation), 1024)]; id != "" {
		dst = append(header(dst, chunkCorrelation, len(id)), id...)
	}
	payload := p.Payload[:min(len(p.Payload), maxPacket-(len(dst)-start))]
	dst = append(header(dst, chunkPayload, len(payload)), payload...)
	binary.BigEndian.PutUint16(dst[start+4:], uint16(len(dst)-start))
	return dst
}

// header begins a chunk.
func header(dst []byte, kind uint16, lenBytes int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, kind)
	return binary.BigEndian.AppendUint16(dst, uint16(6+lenBytes))
}

func as4(a netip.Addr) [4]byte {
	if !a.Is4() {
		return [4]byte{}
	}
	return a.As4()
}

func as16(a netip.Addr) [16]byte {
	if !a.IsValid() {
		return [16]byte{}
	}
	return a.As16()
}
