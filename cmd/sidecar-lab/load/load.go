// Package load sends plain RTP of many calls through a relay from two sockets and measures loss and latency. The relay tells
// the calls apart by its own ports, so that a handful of system calls carries thousands of packets and the generator costs
// little beside what it loads.
package load

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	packetLen = 172 // RTP header and 20 ms of PCMU, RFC 3551 section 4.5.14
	ptime     = 20 * time.Millisecond
	batch     = 64
	// room in the socket for a second of everything: what is lost is lost in the relay.
	room = 16 << 20
)

// Pair are the two ends of all calls: callers send from one, callees from the other.
type Pair struct{ callers, callees *end }

type end struct {
	conn *net.UDPConn
	p    *ipv4.PacketConn
}

// NewPair opens both ends at an IPv4 address.
func NewPair(addr netip.Addr) (*Pair, error) {
	a, err := newEnd(addr)
	if err != nil {
		return nil, err
	}
	b, err := newEnd(addr)
	if err != nil {
		return nil, errors.Join(err, a.conn.Close())
	}
	return &Pair{a, b}, nil
}

func newEnd(addr netip.Addr) (*end, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
			opt = errors.Join(opt, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, room))
		}
	})
	if err := errors.Join(err, opt); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &end{conn, ipv4.NewPacketConn(conn)}, nil
}

// Addrs are the addresses for the SDP of callers and callees.
func (p *Pair) Addrs() (callers, callees netip.AddrPort) {
	return p.callers.conn.LocalAddr().(*net.UDPAddr).AddrPort(), p.callees.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close frees the sockets.
func (p *Pair) Close() error { return errors.Join(p.callers.conn.Close(), p.callees.conn.Close()) }

// Call is where the two ends of one call send.
type Call struct{ ToCallee, ToCaller netip.AddrPort }

// Traffic is what came of it.
type Traffic struct {
	Sent, Received atomic.Uint64
	Late           time.Duration // how far the sender fell behind its clock at worst
	P50, P99       time.Duration // from just before the send call to the kernel's receive time stamp
}

// Lost is how many packets have not come.
func (t *Traffic) Lost() uint64 {
	if sent, got := t.Sent.Load(), t.Received.Load(); sent > got {
		return sent - got
	}
	return 0
}

// Run sends packets of every call both ways for a while, the calls spread evenly over each 20 ms. t may be read meanwhile.
func (p *Pair) Run(ctx context.Context, calls []Call, duration time.Duration, t *Traffic) error {
	latencies := [2][]time.Duration{}
	failed := [2]error{}
	var receivers sync.WaitGroup
	for _, e := range []*end{p.callers, p.callees} {
		if err := e.conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
	for i, e := range []*end{p.callers, p.callees} {
		receivers.Go(func() { latencies[i], failed[i] = e.receive(t) })
	}
	err := p.send(ctx, calls, int(duration/ptime), t)
	for _, e := range []*end{p.callers, p.callees} { // stragglers have half a second
		err = errors.Join(err, e.conn.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	}
	receivers.Wait()
	if all := slices.Concat(latencies[0], latencies[1]); len(all) > 0 {
		slices.Sort(all)
		t.P50, t.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return errors.Join(err, failed[0], failed[1])
}

// send paces the packets. It locks its thread and sleeps to absolute times, so that the load is the same whatever the relay
// costs.
func (p *Pair) send(ctx context.Context, calls []Call, packets int, t *Traffic) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// 1 ms of bursts: enough calls in one system call, and still spread.
	const burst = time.Millisecond
	const bursts = int(ptime / burst)
	ends := [2]*end{p.callers, p.callees}
	var msgs [2][]ipv4.Message
	for _, c := range calls {
		for k, to := range [2]netip.AddrPort{c.ToCallee, c.ToCaller} {
			msgs[k] = append(msgs[k], ipv4.Message{Buffers: [][]byte{make([]byte, packetLen)}, Addr: net.UDPAddrFromAddrPort(to)})
		}
	}
	begin := time.Now()
	for n := range packets {
		for i := range bursts {
			if ctx.Err() != nil {
				return nil
			}
			due := begin.Add(time.Duration(n)*ptime + time.Duration(i)*burst)
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
			} else {
				t.Late = max(t.Late, -wait)
			}
			from, to := len(calls)*i/bursts, len(calls)*(i+1)/bursts
			for k, e := range ends {
				if err := e.burst(msgs[k][from:to], n, from, k, t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (e *end) burst(msgs []ipv4.Message, n, first, direction int, t *Traffic) error {
	now := uint64(time.Now().UnixNano())
	for i := range msgs {
		b := msgs[i].Buffers[0]
		b[0] = 0x80
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		binary.BigEndian.PutUint32(b[4:], uint32(n*160))
		binary.BigEndian.PutUint32(b[8:], uint32(direction+1)<<24|uint32(first+i))
		binary.BigEndian.PutUint64(b[16:], now)
	}
	for len(msgs) > 0 {
		sent, err := e.p.WriteBatch(msgs, 0)
		if err != nil {
			return err
		}
		t.Sent.Add(uint64(sent))
		msgs = msgs[sent:]
	}
	return nil
}

// receive counts until the deadline that follows the last packet.
func (e *end) receive(t *Traffic) (latencies []time.Duration, err error) {
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: make([]byte, 64)}
	}
	for {
		n, err := e.p.ReadBatch(msgs, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return latencies, nil
		}
		if err != nil {
			return latencies, err
		}
		for i := range msgs[:n] {
			if msgs[i].N != packetLen {
				continue
			}
			t.Received.Add(1)
			if at, ok := stamp(msgs[i].OOB[:msgs[i].NN]); ok {
				latencies = append(latencies, time.Duration(at-int64(binary.BigEndian.Uint64(msgs[i].Buffers[0][16:]))))
			}
		}
	}
}

// stamp is the kernel's time stamp of a datagram, in nanoseconds since 1970.
func stamp(oob []byte) (int64, bool) {
	control, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, c := range control {
		if c.Header.Level == unix.SOL_SOCKET && c.Header.Type == unix.SCM_TIMESTAMPNS && len(c.Data) >= 16 {
			return int64(binary.NativeEndian.Uint64(c.Data))*1e9 + int64(binary.NativeEndian.Uint64(c.Data[8:])), true
		}
	}
	return 0, false
}
