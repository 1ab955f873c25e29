package relay

import (
	"net"
	"net/netip"
)

// SourceTowards is the local address from which packets to addr would leave, by the system's routing table. Nothing is sent.
func SourceTowards(addr netip.Addr) (netip.Addr, error) {
	const discard = 9 // RFC 863; no route depends on the port
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, discard)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}
