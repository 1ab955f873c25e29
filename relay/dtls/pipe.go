package dtls

import (
	"bytes"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// queueLen is how many datagrams wait for the handshake. The largest flight is a handful; a client that starts before
// we know our role repeats its ClientHello a few times.
const queueLen = 32

// inbox is a bounded queue of datagrams.
type inbox struct {
	queue  chan []byte
	closed atomic.Bool
}

func newInbox() *inbox { return &inbox{queue: make(chan []byte, queueLen)} }

// push queues a copy of b; false: the queue is full or closed.
func (q *inbox) push(b []byte) bool {
	if q.closed.Load() || len(q.queue) == cap(q.queue) { // before the copy: a flood costs no memory
		return false
	}
	select {
	case q.queue <- bytes.Clone(b):
		return true
	default:
		return false
	}
}

// drain forgets what is queued.
func (q *inbox) drain() {
	for {
		select {
		case <-q.queue:
		default:
			return
		}
	}
}

// pipe is the net.PacketConn of one library connection: reads come from an inbox, writes go to a function.
type pipe struct {
	inbox  *inbox
	head   []byte // read before anything in the inbox; taken off it earlier
	gate   *gate  // nil: none
	closed chan struct{}

	mu       sync.Mutex    // serialises writes and Close
	send     func([]byte)  // nil: silent, or closed
	giveUp   chan struct{} // closed: reads return at once
	isClosed bool
}

func newPipe(in *inbox, head []byte, send func([]byte)) *pipe {
	return &pipe{inbox: in, head: head, closed: make(chan struct{}), send: send, giveUp: make(chan struct{})}
}

// gate keeps a client's first datagram until it is opened.
type gate struct {
	opened chan struct{}

	mu      sync.Mutex
	waiting []func() // nil once it is open
}

func newGate() *gate { return &gate{opened: make(chan struct{}), waiting: []func(){}} }

// open does what waits, in this goroutine: nobody has to be woken first.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == nil {
		return
	}
	for _, f := range g.waiting {
		f()
	}
	g.waiting = nil
	close(g.opened)
}

// hold leaves f to open; false: that was before.
func (g *gate) hold(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == nil {
		return false
	}
	g.waiting = append(g.waiting, f)
	return true
}

// silence lets no further datagram out.
func (p *pipe) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send = nil
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	if p.head != nil {
		n := copy(b, p.head)
		p.head = nil
		return n, p.LocalAddr(), nil
	}
	p.mu.Lock()
	giveUp := p.giveUp
	p.mu.Unlock()
	select {
	case d := <-p.inbox.queue:
		return copy(b, d), p.LocalAddr(), nil
	case <-giveUp:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo waits for the gate: to the library nothing is sent before, and the time to repeat it has not begun.
func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if p.gate == nil || !p.gate.hold(func() { p.write(b) }) {
		return p.write(b)
	}
	select {
	case <-p.gate.opened:
		return len(b), nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		return 0, net.ErrClosed
	}
	if p.send != nil {
		p.send(b)
	}
	return len(b), nil
}

// Close ends reads; after it returns nothing is sent.
func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isClosed {
		p.isClosed, p.send = true, nil
		close(p.closed)
	}
	return nil
}

// SetReadDeadline knows what the library uses: the zero time, no deadline, and a time long past, give up now.
func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	isUp := false
	select {
	case <-p.giveUp:
		isUp = true
	default:
	}
	switch {
	case t.IsZero() && isUp:
		p.giveUp = make(chan struct{})
	case !t.IsZero() && !isUp:
		close(p.giveUp)
	}
	return nil
}

// SetDeadline and SetWriteDeadline: writes do not block.
func (p *pipe) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) LocalAddr() net.Addr              { return pipeAddr{} }

// pipeAddr stands for either end: where datagrams really go is the caller's business.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "dtls" }
func (pipeAddr) String() string  { return "far end" }
