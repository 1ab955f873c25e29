package ng

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ListenUDP opens one more UDP socket and returns its address (of interest when addr has port 0). An unspecified IPv6
// address takes IPv6 only, so that 0.0.0.0 and [::] can share a port. Replies leave by the socket that received the
// request, from the address it was sent to.
func (s *Server) ListenUDP(addr netip.AddrPort) (netip.AddrPort, error) {
	conn, err := net.ListenUDP(udpNetwork(addr.Addr()), net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ng: %w", err)
	}
	if err := setTOS(conn, addr.Addr(), s.cfg.TOS); err != nil {
		_ = conn.Close()
		return netip.AddrPort{}, fmt.Errorf("ng: type of service on %v: %w", addr, err)
	}
	u := &udpSocket{conn: conn, wildcard: addr.Addr().IsUnspecified()}
	if u.wildcard {
		if err := reportDestination(conn, addr.Addr()); err != nil {
			_ = conn.Close()
			return netip.AddrPort{}, fmt.Errorf("ng: destination addresses on %v: %w", addr, err)
		}
	}
	if u.ready, err = newReadiness(conn); err != nil {
		_ = conn.Close()
		return netip.AddrPort{}, fmt.Errorf("ng: %w", err)
	}
	u.crowd.setUp(s.cfg.Workers - 1)
	workers := []func(){func() { s.serveUDP(u) }}
	for range s.cfg.Workers - 1 {
		workers = append(workers, func() { s.helpUDP(u) })
	}
	if !s.start(conn, workers...) {
		return netip.AddrPort{}, fmt.Errorf("ng: %w", net.ErrClosed)
	}
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

func udpNetwork(a netip.Addr) string {
	if a.Is4() {
		return "udp4"
	}
	return "udp6"
}

// udpSocket is one socket with the buffer that its workers take turns to fill.
type udpSocket struct {
	conn     *net.UDPConn
	wildcard bool // bound to all addresses of its family
	crowd    crowd

	mu    sync.Mutex
	ready *readiness
	buf   [maxDatagram]byte
	oob   [64]byte
}

// datagram is one message with what its answer needs.
type datagram struct {
	msg  string
	from netip.AddrPort
	to   net.IP // the address it was sent to; nil unless the socket is bound to all of them
}

// next is for the worker: it waits for a message.
func (u *udpSocket) next() (datagram, error) {
	u.crowd.wait()
	defer u.crowd.work()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read()
}

// more is for helpers: one of the messages that are there already; false: none.
func (u *udpSocket) more() (datagram, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.ready.now() {
		return datagram{}, false
	}
	d, err := u.read()
	return d, err == nil // the worker meets the error too
}

// read needs u.mu held.
func (u *udpSocket) read() (datagram, error) {
	if !u.wildcard {
		n, from, err := u.conn.ReadFromUDPAddrPort(u.buf[:])
		return datagram{msg: string(u.buf[:n]), from: from}, err
	}
	n, oobn, _, from, err := u.conn.ReadMsgUDPAddrPort(u.buf[:], u.oob[:])
	if err != nil {
		return datagram{}, err
	}
	return datagram{msg: string(u.buf[:n]), from: from, to: destination(u.oob[:oobn], from.Addr())}, nil
}

func (u *udpSocket) write(reply []byte, d datagram) error {
	if d.to == nil {
		_, err := u.conn.WriteToUDPAddrPort(reply, d.from)
		return err
	}
	_, _, err := u.conn.WriteMsgUDPAddrPort(reply, sourceControl(d.to), d.from)
	return err
}

// serveUDP is the worker: it reads, answers and reads again until the socket closes.
func (s *Server) serveUDP(u *udpSocket) {
	defer u.crowd.disband()
	var out []byte
	for {
		d, err := u.next()
		if err == nil {
			out = s.answerUDP(u, out, d)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// On Linux an unconnected socket reports no peer's errors; what is left is transient (ENOBUFS, ENOMEM).
		s.log.Warn("control socket read", "listen", u.conn.LocalAddr(), "error", err)
	}
}

// helpUDP is for helpers: they answer what is there when they are called.
func (s *Server) helpUDP(u *udpSocket) {
	var out []byte
	for range u.crowd.help {
		for d, ok := u.more(); ok; d, ok = u.more() {
			out = s.answerUDP(u, out, d)
		}
	}
}

// answerUDP returns out, or one that is larger, to be used again.
func (s *Server) answerUDP(u *udpSocket, out []byte, d datagram) []byte {
	reply := s.exchange(s.ctx, out[:0], d.msg, d.from)
	if reply == nil {
		return out
	}
	if err := u.write(reply, d); err != nil && s.ctx.Err() == nil {
		s.log.Warn("control socket write", "listen", u.conn.LocalAddr(), "to", d.from, "size", len(reply), "error", err)
	}
	return reply
}

// reportDestination makes the kernel tell with each datagram which of our addresses it was sent to.
func reportDestination(conn *net.UDPConn, a netip.Addr) error {
	if a.Is4() {
		return ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
	}
	return ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst, true)
}

func destination(oob []byte, from netip.Addr) net.IP {
	if from.Is4() {
		var cm ipv4.ControlMessage
		if cm.Parse(oob) == nil {
			return cm.Dst
		}
		return nil
	}
	var cm ipv6.ControlMessage
	if cm.Parse(oob) == nil {
		return cm.Dst
	}
	return nil
}

// sourceControl asks the kernel to send from the address src; nil leaves it the choice.
func sourceControl(src net.IP) []byte {
	switch {
	case src == nil:
		return nil
	case src.To4() != nil:
		return (&ipv4.ControlMessage{Src: src}).Marshal()
	}
	return (&ipv6.ControlMessage{Src: src}).Marshal()
}

// setTOS sets the type of service of all that conn sends; 0 leaves the system's choice. conn is a UDP or TCP
// connection of local's family.
func setTOS(conn net.Conn, local netip.Addr, tos int) error {
	switch {
	case tos == 0:
		return nil
	case local.Is4():
		return ipv4.NewConn(conn).SetTOS(tos)
	}
	return ipv6.NewConn(conn).SetTrafficClass(tos)
}
