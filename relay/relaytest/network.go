// Package relaytest is a network in memory: a [relay.PacketIO] and far ends on one wire that loses, delays, doubles and
// reorders as told. It starts timers of package time only, so that it runs in a synctest bubble.
package relaytest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
)

// Link decides about one datagram: it arrives once for each delay returned, so that nil loses it, {0} is a perfect wire
// and {0, 0} doubles it. It is called under the network's lock, in the order of sending.
type Link func(from, to netip.AddrPort, b []byte) []time.Duration

// Perfect delivers at once and in order.
func Perfect(_, _ netip.AddrPort, _ []byte) []time.Duration { return []time.Duration{0} }

// Lossy loses the given share of the datagrams and delays the others by up to jitter, which reorders them. Equal seeds
// give equal decisions.
func Lossy(seed uint64, loss float64, jitter time.Duration) Link {
	random := rand.New(rand.NewPCG(seed, 0))
	return func(_, _ netip.AddrPort, _ []byte) []time.Duration {
		if random.Float64() < loss {
			return nil
		}
		return []time.Duration{time.Duration(random.Float64() * float64(jitter))}
	}
}

// Network is one wire with all its sockets. Link and Table may be set before use.
type Network struct {
	Link  Link
	Table *ebpf.Fake // takes what arrives before the sockets do; nil: none

	mu      sync.Mutex
	sockets map[netip.AddrPort]func(b []byte, from netip.AddrPort)
	lost    int
}

// New makes a network; a nil link is Perfect.
func New(link Link) *Network {
	if link == nil {
		link = Perfect
	}
	return &Network{Link: link, sockets: map[netip.AddrPort]func([]byte, netip.AddrPort){}}
}

// Lost is how many datagrams the link lost or nobody received.
func (n *Network) Lost() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost
}

func (n *Network) bind(at netip.AddrPort, receive func([]byte, netip.AddrPort)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[at] != nil {
		return fmt.Errorf("bind %s: %w", at, syscall.EADDRINUSE)
	}
	n.sockets[at] = receive
	return nil
}

func (n *Network) unbind(at netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sockets, at)
}

func (n *Network) send(b []byte, from, to netip.AddrPort) {
	b = slices.Clone(b)
	n.mu.Lock()
	delays := n.Link(from, to, b)
	if len(delays) == 0 {
		n.lost++
	}
	n.mu.Unlock()
	for _, d := range delays {
		if d <= 0 {
			n.deliver(b, from, to)
		} else {
			time.AfterFunc(d, func() { n.deliver(b, from, to) })
		}
	}
}

func (n *Network) deliver(b []byte, from, to netip.AddrPort) {
	if n.Table != nil {
		verdict, sent := n.Table.Receive(to, from, b)
		for _, p := range sent {
			n.send(p.Payload, p.From, p.To)
		}
		if verdict != ebpf.Up {
			return
		}
	}
	n.mu.Lock()
	receive := n.sockets[to]
	if receive == nil {
		n.lost++
	}
	n.mu.Unlock()
	if receive != nil {
		receive(b, from)
	}
}

// IO is a machine on the network, for relay.Config.IO.
func (n *Network) IO(workers int, now func() time.Time) (relay.PacketIO, error) {
	m := &machine{network: n, queues: make([]chan arrival, workers), done: make(chan struct{}), open: map[*socket]struct{}{}}
	for i := range m.queues {
		m.queues[i] = make(chan arrival, 4096)
		m.wg.Go(func() { m.work(m.queues[i], now) })
	}
	return m, nil
}

// machine is the sockets of one relay.Host.
type machine struct {
	network *Network
	queues  []chan arrival
	done    chan struct{}
	wg      sync.WaitGroup // the workers, until Close

	mu   sync.Mutex
	open map[*socket]struct{} // nil: closed
}

type arrival struct {
	to   *socket
	b    []byte
	from netip.AddrPort
}

func (m *machine) work(queue chan arrival, now func() time.Time) {
	buf := make([]byte, 1<<16+relay.Tailroom)
	meta := &relay.Meta{Scratch: make([]byte, relay.ScratchLen)}
	for {
		select {
		case <-m.done:
			return
		case a := <-queue:
			meta.At = now()
			a.to.receive(buf[:copy(buf, a.b)], a.from, meta)
		}
	}
}

func (m *machine) Open(local netip.AddrPort, group uint64, deliver relay.Deliver) (relay.Socket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		return nil, net.ErrClosed
	}
	s := &socket{m: m, local: local, deliver: deliver}
	worker := group % uint64(len(m.queues))
	err := m.network.bind(local, func(b []byte, from netip.AddrPort) {
		select {
		case m.queues[worker] <- arrival{s, b, from}:
		default: // a receive buffer that is full
		}
	})
	if err != nil {
		return nil, err
	}
	m.open[s] = struct{}{}
	return s, nil
}

func (m *machine) Close() error {
	m.mu.Lock()
	open := m.open
	m.open = nil
	m.mu.Unlock()
	if open == nil {
		return nil
	}
	for s := range open {
		s.Close()
	}
	close(m.done)
	m.wg.Wait()
	return nil
}

type socket struct {
	m       *machine
	local   netip.AddrPort
	deliver relay.Deliver

	mu     sync.Mutex
	closed bool
	tos    uint8
}

func (s *socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *socket) receive(b []byte, from netip.AddrPort, meta *relay.Meta) {
	if !s.isClosed() {
		s.deliver(b, from, meta)
	}
}

func (s *socket) Send(b []byte, to netip.AddrPort) error {
	if s.isClosed() {
		return net.ErrClosed
	}
	s.m.network.send(b, s.local, to)
	return nil
}

func (s *socket) SetTOS(tos uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.tos = tos
	return nil
}

func (s *socket) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return net.ErrClosed
	}
	s.m.network.unbind(s.local)
	s.m.mu.Lock()
	delete(s.m.open, s)
	s.m.mu.Unlock()
	return nil
}

// Peer is a far end: a bare socket that keeps what it receives.
type Peer struct {
	network *Network
	addr    netip.AddrPort
	inbox   chan Datagram
}

// Datagram is one that a Peer received.
type Datagram struct {
	From  netip.AddrPort
	Bytes []byte
}

// Listen makes a far end. It panics when the address is taken.
func (n *Network) Listen(addr netip.AddrPort) *Peer {
	p := &Peer{network: n, addr: addr, inbox: make(chan Datagram, 4096)}
	err := n.bind(addr, func(b []byte, from netip.AddrPort) {
		select {
		case p.inbox <- Datagram{from, b}:
		default:
		}
	})
	if err != nil {
		panic(err)
	}
	return p
}

// Addr is the peer's address.
func (p *Peer) Addr() netip.AddrPort { return p.addr }

// Send sends one datagram.
func (p *Peer) Send(b []byte, to netip.AddrPort) { p.network.send(b, p.addr, to) }

// Receive waits for a datagram until the time has passed; false: none came.
func (p *Peer) Receive(within time.Duration) (Datagram, bool) {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case d := <-p.inbox:
		return d, true
	case <-t.C:
		return Datagram{}, false
	}
}

// Close takes the peer off the network.
func (p *Peer) Close() { p.network.unbind(p.addr) }
