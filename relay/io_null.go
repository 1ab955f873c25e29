package relay

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// NullIO is a PacketIO without sockets: every port is free, nothing comes in, and what is sent is lost. It serves those
// who want to know what a host would do, without touching the network. Use it as Config.IO.
func NullIO(int, func() time.Time) (PacketIO, error) { return nullIO{}, nil }

type nullIO struct{}

func (nullIO) Open(netip.AddrPort, uint64, Deliver) (Socket, error) { return new(nullSocket), nil }

func (nullIO) Close() error { return nil }

type nullSocket struct{ closed atomic.Bool }

func (s *nullSocket) Send([]byte, netip.AddrPort) error { return s.state() }

func (s *nullSocket) SetTOS(uint8) error { return s.state() }

func (s *nullSocket) Close() error {
	s.closed.Store(true)
	return nil
}

func (s *nullSocket) state() error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	return nil
}
