package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"rtpsidecar/relay/srtp"
)

const (
	payloadLen = 160 // 20 ms of PCMU, RFC 3551 section 4.5.14
	headerLen  = 12  // RFC 3550 section 5.1, no CSRC, no extension
	tagLen     = 10  // RFC 3711 section 5.2
	ptime      = 20 * time.Millisecond
)

// Endpoint is one end of a call's media: it sends PCMU packets that tell who sent them and which one it is, and checks
// those of the other end. Safe for concurrent use.
type Endpoint struct {
	conn  *net.UDPConn
	id    byte // own
	other byte // whose packets are due
	done  sync.WaitGroup

	// Pace is the time between two packets, 20 ms unless it is changed before they are sent.
	Pace time.Duration

	mu      sync.Mutex
	out, in *srtp.Context   // nil: plain RTP
	seen    map[uint32]bool // numbers of the other end's packets
	faults  []error
	arrived chan struct{} // has room for one: a packet came
}

// NewEndpoint binds an even port on loopback with its odd neighbour free, as SDP promises them, and starts to receive.
func NewEndpoint(id, other byte) (*Endpoint, error) {
	for range 50 {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		e := &Endpoint{conn: conn, id: id, other: other, Pace: ptime, seen: map[uint32]bool{}, arrived: make(chan struct{}, 1)}
		if e.Port()%2 == 1 {
			_ = conn.Close()
			continue
		}
		e.done.Go(e.receive)
		return e, nil
	}
	return nil, errors.New("no even port in 50 tries")
}

// Secure has what is sent protected and what comes verified and decrypted, both from now on.
func (e *Endpoint) Secure(out, in *srtp.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out, e.in = out, in
}

// Port is the local RTP port.
func (e *Endpoint) Port() int { return e.conn.LocalAddr().(*net.UDPAddr).Port }

// Close ends the receiver.
func (e *Endpoint) Close() error {
	err := e.conn.Close()
	e.done.Wait()
	return err
}

func (e *Endpoint) receive() {
	buf := make([]byte, 2048)
	for {
		n, err := e.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // ICMP errors of a port that is not open yet
		}
		e.take(buf[:n])
	}
}

func (e *Endpoint) take(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.in != nil {
		var err error
		if b, err = e.in.UnprotectRTP(b); err != nil {
			e.faults = append(e.faults, err)
			return
		}
	}
	if len(b) != headerLen+payloadLen {
		e.faults = append(e.faults, fmt.Errorf("packet of %d bytes", len(b)))
		return
	}
	number := binary.BigEndian.Uint32(b[headerLen+1:])
	switch {
	case b[0] != 0x80 || b[1]&0x7f != 0:
		e.faults = append(e.faults, fmt.Errorf("packet %d: header %x is not RTP with payload type 0", number, b[:2]))
	case !bytes.Equal(b[headerLen:], payload(e.other, number)):
		e.faults = append(e.faults, fmt.Errorf("packet %d: payload is not what was sent", number))
	case e.seen[number]:
		e.faults = append(e.faults, fmt.Errorf("packet %d: twice", number))
	default:
		e.seen[number] = true
		select {
		case e.arrived <- struct{}{}:
		default:
		}
	}
}

// payload is packet number of the endpoint id: who, which one, then bytes that depend on both.
func payload(id byte, number uint32) []byte {
	b := make([]byte, payloadLen)
	b[0] = id
	binary.BigEndian.PutUint32(b[1:], number)
	x := number*2654435761 + uint32(id)
	for i := 5; i < len(b); i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// Send sends packets first..first+count-1 to addr, each at its time: what a busy machine makes late is sent at once, as a
// device with a clock of its own would have sent it.
func (e *Endpoint) Send(ctx context.Context, addr netip.AddrPort, first, count uint32) error {
	e.mu.Lock()
	out := e.out
	e.mu.Unlock()
	begin := time.Now()
	for i := range count {
		n := first + i
		b := make([]byte, headerLen, headerLen+payloadLen+tagLen)
		b[0] = 0x80
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		binary.BigEndian.PutUint32(b[4:], n*payloadLen)
		binary.BigEndian.PutUint32(b[8:], 0x1ab0000|uint32(e.id))
		b = append(b, payload(e.id, n)...)
		if out != nil {
			var err error
			if b, err = out.ProtectRTP(b); err != nil {
				return err
			}
		}
		if _, err := e.conn.WriteToUDPAddrPort(b, addr); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(begin.Add(time.Duration(i+1) * e.Pace))):
		}
	}
	return nil
}

// Received tells how many of the packets first..first+count-1 have come. It waits for stragglers until all are there or
// none has come for a quarter of a second. Anything wrong with any packet so far is an error.
func (e *Endpoint) Received(first, count uint32) (int, error) {
	for {
		e.mu.Lock()
		got := 0
		for n := first; n < first+count; n++ {
			if e.seen[n] {
				got++
			}
		}
		err := errors.Join(e.faults[:min(len(e.faults), 5)]...)
		e.mu.Unlock()
		if got == int(count) || err != nil {
			return got, err
		}
		select {
		case <-e.arrived:
		case <-time.After(250 * time.Millisecond):
			return got, nil
		}
	}
}

// AwaitLines waits until the file has n lines that cut(line) accepts and returns what it made of them.
func AwaitLines(ctx context.Context, file string, n int, cut func(string) (string, bool)) ([]string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		var out []string
		for line := range bytes.Lines(b) {
			if text, ok := cut(string(bytes.TrimSpace(line))); ok {
				out = append(out, text)
			}
		}
		if len(out) >= n {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has %d of %d lines: %w", file, len(out), n, ctx.Err())
		case <-tick.C:
		}
	}
}
