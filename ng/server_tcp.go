package ng

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// tcpWriteTimeout ends a connection whose client does not read its replies.
const tcpWriteTimeout = 10 * time.Second

// ListenTCP opens one more TCP listener and returns its address. Messages follow each other on a connection without
// separators; they are run one after the other and answered in that order. Other connections go on meanwhile.
func (s *Server) ListenTCP(addr netip.AddrPort) (netip.AddrPort, error) {
	network := "tcp6"
	if addr.Addr().Is4() {
		network = "tcp4"
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ng: %w", err)
	}
	if !s.start(l, func() { s.acceptTCP(l) }) {
		return netip.AddrPort{}, fmt.Errorf("ng: %w", net.ErrClosed)
	}
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// notifyTimeout is how long a client may leave a notification unread.
const notifyTimeout = 100 * time.Millisecond

// Notify sends every client on TCP a message of our own, in bencode under a cookie that nobody has used. They do not
// answer. A connection that takes none is closed.
func (s *Server) Notify(notice *Dict) {
	var cookie [8]byte
	_, _ = rand.Read(cookie[:]) // never fails
	message := AppendFrame(nil, hex.EncodeToString(cookie[:]), AppendBencode(nil, DictValue(notice)))
	var clients []*net.TCPConn
	s.mu.Lock()
	for c := range s.closers {
		if conn, ok := c.(*net.TCPConn); ok {
			clients = append(clients, conn)
		}
	}
	s.mu.Unlock()
	for _, conn := range clients {
		_ = conn.SetWriteDeadline(time.Now().Add(notifyTimeout)) // fails only on a closed connection, as Write then does
		if _, err := conn.Write(message); err != nil {
			s.log.Warn("notification of a control connection", "source", conn.RemoteAddr(), "error", err)
			_ = conn.Close() // half a message may have gone out
		}
	}
}

func (s *Server) acceptTCP(l *net.TCPListener) {
	for {
		conn, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, or the client has gone: wait rather than spin
			s.log.Warn("control connection", "listen", l.Addr(), "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
				return
			}
			continue
		}
		s.start(conn, func() { s.serveTCP(conn) })
	}
}

func (s *Server) serveTCP(conn *net.TCPConn) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	if err := setTOS(conn, from.Addr(), s.cfg.TOS); err != nil {
		s.log.Warn("control connection type of service", "source", from, "error", err)
	}
	messages := bufio.NewScanner(conn)
	messages.Buffer(nil, maxMessage)
	messages.Split(new(splitter).Split)
	for messages.Scan() {
		reply := s.exchange(s.ctx, nil, messages.Text(), from)
		if reply == nil {
			continue
		}
		_ = conn.SetWriteDeadline(time.Now().Add(tcpWriteTimeout)) // fails only on a closed connection, as Write then does
		if _, err := conn.Write(reply); err != nil {
			s.log.Warn("control connection write", "source", from, "error", err)
			return
		}
	}
	if err := messages.Err(); err != nil && s.ctx.Err() == nil {
		s.log.Warn("control connection read", "source", from, "error", err)
	}
}
