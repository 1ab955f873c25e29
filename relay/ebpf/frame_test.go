package ebpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// datagram is a UDP packet in an Ethernet frame.
type datagram struct {
	dmac, smac   [6]byte
	from, to     netip.AddrPort
	tos          uint8
	hops         uint8
	payload      []byte
	noChecksum   bool   // checksum 0
	fragment     uint16 // fragment field of IPv4
	options      bool   // an IPv4 option, or a destination options header
	udpLenBias   int
	ipLenBias    int
	trailer      int // bytes behind the IP packet
	wrongUDPSum  bool
	wrongIPv4Sum bool
}

func sum16(b []byte, start uint32) uint16 {
	for len(b) > 1 {
		start += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	for start>>16 != 0 {
		start = start&0xffff + start>>16
	}
	return uint16(start)
}

// pseudo is the pseudo header of UDP for both families.
func pseudo(from, to netip.Addr, length int) []byte {
	b := append(from.AsSlice(), to.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, 17)
}

func (d datagram) bytes() []byte {
	udp := binary.BigEndian.AppendUint16(nil, d.from.Port())
	udp = binary.BigEndian.AppendUint16(udp, d.to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(d.payload)+d.udpLenBias))
	udp = append(udp, 0, 0)
	udp = append(udp, d.payload...)
	if !d.noChecksum {
		s := ^sum16(append(pseudo(d.from.Addr(), d.to.Addr(), len(udp)), udp...), 0)
		if s == 0 {
			s = 0xffff
		}
		if d.wrongUDPSum {
			s ^= 0x1111
		}
		binary.BigEndian.PutUint16(udp[6:], s)
	}
	b := append(d.dmac[:], d.smac[:]...)
	if d.from.Addr().Is4() {
		head := 20
		if d.options {
			head = 24
		}
		ip := make([]byte, head, head+len(udp))
		ip[0], ip[1], ip[8], ip[9] = 0x40|byte(head/4), d.tos, d.hops, 17
		if ip[8] == 0 {
			ip[8] = 17
		}
		binary.BigEndian.PutUint16(ip[2:], uint16(head+len(udp)+d.ipLenBias))
		binary.BigEndian.PutUint16(ip[4:], 0x1234)
		binary.BigEndian.PutUint16(ip[6:], d.fragment)
		copy(ip[12:], d.from.Addr().AsSlice())
		copy(ip[16:], d.to.Addr().AsSlice())
		s := ^sum16(ip, 0)
		if d.wrongIPv4Sum {
			s ^= 0x1111
		}
		binary.BigEndian.PutUint16(ip[10:], s)
		b = append(append(append(b, 0x08, 0x00), ip...), udp...)
	} else {
		ip := make([]byte, 40)
		binary.BigEndian.PutUint32(ip, 6<<28|uint32(d.tos)<<20|0x54321)
		next := byte(17)
		if d.options {
			udp = append([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp...)
			next = 60
		}
		binary.BigEndian.PutUint16(ip[4:], uint16(len(udp)+d.ipLenBias))
		ip[6], ip[7] = next, 17
		copy(ip[8:], d.from.Addr().AsSlice())
		copy(ip[24:], d.to.Addr().AsSlice())
		b = append(append(append(b, 0x86, 0xdd), ip...), udp...)
	}
	return append(b, make([]byte, d.trailer)...)
}

// readFrame is the inverse of bytes; it checks lengths and checksums.
func readFrame(b []byte) (d datagram, err error) {
	if len(b) < 42 {
		return d, fmt.Errorf("frame of %d bytes", len(b))
	}
	copy(d.dmac[:], b)
	copy(d.smac[:], b[6:])
	ip := b[14:]
	var from, to netip.Addr
	var udp []byte
	switch proto := binary.BigEndian.Uint16(b[12:]); {
	case proto == 0x0800 && ip[0] == 0x45 && ip[9] == 17:
		if n := int(binary.BigEndian.Uint16(ip[2:])); n != len(ip) {
			return d, fmt.Errorf("IP length %d of %d", n, len(ip))
		}
		if s := sum16(ip[:20], 0); s != 0xffff {
			return d, fmt.Errorf("wrong IPv4 checksum: %#x", s)
		}
		d.tos, d.hops = ip[1], ip[8]
		d.fragment = binary.BigEndian.Uint16(ip[6:])
		from, to = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		udp = ip[20:]
	case proto == 0x86dd && ip[0]>>4 == 6 && ip[6] == 17 && len(ip) >= 48:
		if n := int(binary.BigEndian.Uint16(ip[4:])); n != len(ip)-40 {
			return d, fmt.Errorf("IPv6 length %d of %d", n, len(ip)-40)
		}
		d.tos, d.hops = uint8(binary.BigEndian.Uint32(ip)>>20), ip[7]
		from, to = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		udp = ip[40:]
	default:
		return d, fmt.Errorf("not UDP: %x", b[:min(len(b), 64)])
	}
	if n := int(binary.BigEndian.Uint16(udp[4:])); n != len(udp) {
		return d, fmt.Errorf("UDP length %d of %d", n, len(udp))
	}
	d.noChecksum = udp[6] == 0 && udp[7] == 0
	if s := sum16(append(pseudo(from, to, len(udp)), udp...), 0); !d.noChecksum && s != 0xffff {
		return d, fmt.Errorf("wrong UDP checksum: %#x", s)
	}
	d.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(udp))
	d.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
	d.payload = udp[8:]
	return d, nil
}
