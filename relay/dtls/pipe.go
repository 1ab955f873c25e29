package dtls

import (
	"bytes"
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// queueLen is how many datagrams wait for the handshake. The largest flight is a handful; a client that starts before
// we know our role repeats its ClientHello a few times.
const queueLen = 32

// pipe is the net.PacketConn of one association: reads come from a queue, writes go to a function.
type pipe struct {
	queue  chan []byte
	closed chan struct{}
	head   []byte // read ahead by wait

	mu       sync.Mutex    // serialises writes and Close
	send     func([]byte)  // nil: silent, or closed
	giveUp   chan struct{} // closed: reads return at once
	isClosed bool
}

func newPipe(send func([]byte)) *pipe {
	return &pipe{
		queue: make(chan []byte, queueLen), closed: make(chan struct{}), send: send, giveUp: make(chan struct{}),
	}
}

// push queues a copy of b; false: the queue is full or closed.
func (p *pipe) push(b []byte) bool {
	select {
	case <-p.closed:
		return false
	default:
	}
	if len(p.queue) == cap(p.queue) { // before the copy: a flood costs no memory
		return false
	}
	select {
	case p.queue <- bytes.Clone(b):
		return true
	default:
		return false
	}
}

// wait blocks until there is something to read. It must not run beside ReadFrom.
func (p *pipe) wait(ctx context.Context) error {
	select {
	case p.head = <-p.queue:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
	case d := <-p.queue:
		return copy(b, d), p.LocalAddr(), nil
	case <-giveUp:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
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
