package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// netBuffer bounds what the portable form receives: jumbo frames and then some. Larger datagrams are dropped, since
// each socket has a buffer of its own here.
const netBuffer = 16 << 10

// netIO is the portable PacketIO: one goroutine for each socket, on the poller of the Go runtime. A worker is a mutex
// that serialises the deliveries of its groups, for good.
type netIO struct {
	now     func() time.Time
	workers []netWorker
	wg      sync.WaitGroup // the readers; Close ends them by closing their sockets

	mu      sync.Mutex
	sockets map[*netSocket]struct{} // nil once closed
}

type netWorker struct {
	mu   sync.Mutex
	meta Meta
}

func newNetIO(workers int, now func() time.Time) *netIO {
	n := &netIO{now: now, workers: make([]netWorker, workers), sockets: map[*netSocket]struct{}{}}
	for i := range n.workers {
		n.workers[i].meta.Scratch = make([]byte, ScratchLen)
	}
	return n
}

func (n *netIO) Open(local netip.AddrPort, group uint64, deliver Deliver) (Socket, error) {
	network := "udp4"
	if local.Addr().Is6() {
		network = "udp6"
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), network, local.String())
	if err != nil {
		return nil, err
	}
	s := &netSocket{io: n, conn: pc.(*net.UDPConn), v6: local.Addr().Is6()}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets == nil {
		s.conn.Close()
		return nil, net.ErrClosed
	}
	n.sockets[s] = struct{}{}
	n.wg.Go(func() { s.read(&n.workers[group%uint64(len(n.workers))], deliver) })
	return s, nil
}

func (n *netIO) Close() error {
	n.mu.Lock()
	open := n.sockets
	n.sockets = nil
	n.mu.Unlock()
	for s := range open {
		s.conn.Close()
	}
	n.wg.Wait()
	return nil
}

type netSocket struct {
	io     *netIO
	conn   *net.UDPConn
	v6     bool
	closed atomic.Bool
}

// read runs until the socket is closed.
func (s *netSocket) read(w *netWorker, deliver Deliver) {
	buf := make([]byte, netBuffer+Tailroom)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf[:netBuffer+1])
		if err != nil {
			if s.closed.Load() || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error, say
		}
		if n > netBuffer {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		w.mu.Lock()
		if !s.closed.Load() {
			w.meta.At = s.io.now()
			deliver(buf[:n], from, &w.meta)
		}
		w.mu.Unlock()
	}
}

func (s *netSocket) Send(b []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	return err
}

func (s *netSocket) SetTOS(tos uint8) error {
	if s.v6 {
		return ipv6.NewConn(s.conn).SetTrafficClass(int(tos))
	}
	return ipv4.NewConn(s.conn).SetTOS(int(tos))
}

func (s *netSocket) Close() error {
	s.closed.Store(true)
	s.io.mu.Lock()
	delete(s.io.sockets, s)
	s.io.mu.Unlock()
	return s.conn.Close()
}
