// Package load sends RTP of many calls through a relay from two sockets and measures loss and latency. The relay tells the
// calls apart by its own ports, so that a handful of system calls carries thousands of packets and the generator costs
// little beside what it loads.
package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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

	"rtpsidecar/relay/srtp"
)

const (
	packetLen = 172 // RTP header and 20 ms of PCMU, RFC 3551 section 4.5.14
	ptime     = 20 * time.Millisecond
	batch     = 64
	// room in the socket for a second of everything: what is lost is lost in the relay.
	room = 16 << 20
)

// End is one side of all calls.
type End struct {
	conn *net.UDPConn
	p    *ipv4.PacketConn
}

// Open opens an end at an IPv4 address, in the network namespace of the calling thread.
func Open(addr netip.Addr) (*End, error) {
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
	return &End{conn, ipv4.NewPacketConn(conn)}, nil
}

// Addr is the address for the SDP.
func (e *End) Addr() netip.AddrPort { return e.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Call is where the two ends of one call send.
type Call struct {
	ToCallee, ToCaller netip.AddrPort
	Protect            func(rtp []byte) ([]byte, error) // what the callee sends, as srtp.Context does; nil: plain
}

// Traffic is packets of every call both ways, for a while, and what came of them. It runs once.
type Traffic struct {
	Callers, Callees *End
	Calls            []Call
	Warm, Measure    time.Duration // packets of the warm-up are not counted
	Burst            time.Duration // the calls are spread over bursts this far apart in each 20 ms
	Clock            func() error  // called when the warm-up is over, beside the sending, and when all is sent; may be nil

	Sent, Received atomic.Uint64 // may be read meanwhile
	Warmup         uint64        // packets sent before those
	Late           time.Duration // how far the sender fell behind its clock at worst
	P50, P99       time.Duration // from just before the send call to the kernel's receive time stamp

	first, packets int            // those before first are warm-up
	sentAt         []atomic.Int64 // by slot, in ns since 1970: a protected payload could not carry it
}

// New opens both ends at an IPv4 address.
func New(addr netip.Addr) (*Traffic, error) {
	callers, err := Open(addr)
	if err != nil {
		return nil, err
	}
	callees, err := Open(addr)
	if err != nil {
		return nil, errors.Join(err, callers.conn.Close())
	}
	return &Traffic{Callers: callers, Callees: callees}, nil
}

// Close frees the sockets.
func (t *Traffic) Close() error { return errors.Join(t.Callers.conn.Close(), t.Callees.conn.Close()) }

// Lost is how many packets have not come.
func (t *Traffic) Lost() uint64 {
	if sent, got := t.Sent.Load(), t.Received.Load(); sent > got {
		return sent - got
	}
	return 0
}

func (t *Traffic) slot(direction, n, call int) int {
	return (direction*t.packets+n)*len(t.Calls) + call
}

// Run sends and receives until all is there or has had half a second. When ctx ends the sending ends, without an error.
func (t *Traffic) Run(ctx context.Context) error {
	if t.Burst <= 0 || t.Burst > ptime {
		return fmt.Errorf("bursts of %v: not within %v", t.Burst, ptime)
	}
	t.first, t.packets = int(t.Warm/ptime), int((t.Warm+t.Measure)/ptime)
	t.sentAt = make([]atomic.Int64, t.slot(2, 0, 0))
	ends := [2]*End{t.Callers, t.Callees}
	var latencies [2][]time.Duration
	var failed [2]error
	var receivers sync.WaitGroup
	for k, e := range ends {
		receivers.Go(func() { latencies[k], failed[k] = t.receive(e) })
	}
	err := t.send(ctx, ends)
	for _, e := range ends {
		err = errors.Join(err, e.conn.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	}
	receivers.Wait()
	if all := slices.Concat(latencies[:]...); len(all) > 0 {
		slices.Sort(all)
		t.P50, t.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return errors.Join(err, failed[0], failed[1])
}

// send paces the packets. It locks its thread and sleeps to absolute times, so that the load is the same whatever the relay
// costs.
func (t *Traffic) send(ctx context.Context, ends [2]*End) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Wake up when asked, not within the usual 50 us after it.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return err
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // 0: the usual
	var msgs [2][]ipv4.Message
	for _, c := range t.Calls {
		for k, to := range [2]netip.AddrPort{c.ToCallee, c.ToCaller} {
			msgs[k] = append(msgs[k], ipv4.Message{Addr: net.UDPAddrFromAddrPort(to), Buffers: [][]byte{make([]byte, packetLen+srtp.MaxOverhead)}})
		}
	}
	var clocks sync.WaitGroup
	defer clocks.Wait()
	var clock error
	look := func() {
		if t.Clock != nil {
			clock = errors.Join(clock, t.Clock())
		}
	}
	bursts := int(ptime / t.Burst)
	begin := time.Now()
	for n := 0; n < t.packets && ctx.Err() == nil; n++ {
		if n == t.first {
			clocks.Go(look)
		}
		for i := range bursts {
			due := begin.Add(time.Duration(n)*ptime + time.Duration(i)*t.Burst)
			if wait := time.Until(due); wait > 0 {
				ts := unix.NsecToTimespec(int64(wait))
				_ = unix.Nanosleep(&ts, nil) // an interrupted sleep is a short one
			} else {
				t.Late = max(t.Late, -wait)
			}
			from, to := len(t.Calls)*i/bursts, len(t.Calls)*(i+1)/bursts
			for k, e := range ends {
				if err := t.burst(e, msgs[k][from:to], k, n, from); err != nil {
					return err
				}
			}
		}
	}
	clocks.Wait()
	look()
	return clock
}

func (t *Traffic) burst(e *End, msgs []ipv4.Message, direction, n, firstCall int) error {
	for i := range msgs {
		p := msgs[i].Buffers[0][:packetLen]
		clear(p)
		p[0] = 0x80
		binary.BigEndian.PutUint16(p[2:], uint16(n))
		binary.BigEndian.PutUint32(p[4:], uint32(n*160))
		binary.BigEndian.PutUint32(p[8:], uint32(direction+1)<<24|uint32(firstCall+i))
		binary.BigEndian.PutUint32(p[12:], uint32(n))
		if protect := t.Calls[firstCall+i].Protect; protect != nil && direction == 1 {
			var err error
			if p, err = protect(p); err != nil {
				return err
			}
		}
		msgs[i].Buffers[0] = p
	}
	now := time.Now().UnixNano()
	for i := range msgs {
		t.sentAt[t.slot(direction, n, firstCall+i)].Store(now)
	}
	for len(msgs) > 0 {
		sent, err := e.p.WriteBatch(msgs, 0)
		if err != nil {
			return err
		}
		if n >= t.first {
			t.Sent.Add(uint64(sent))
		} else {
			t.Warmup += uint64(sent)
		}
		msgs = msgs[sent:]
	}
	return nil
}

// receive counts until all is there or the deadline that follows the last packet. What stands in the header is enough to
// tell a packet, so that it need not be decrypted.
func (t *Traffic) receive(e *End) (latencies []time.Duration, err error) {
	want := len(t.Calls) * (t.packets - t.first)
	latencies = make([]time.Duration, 0, want)
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: make([]byte, 64)}
	}
	for want > 0 {
		read, err := e.p.ReadBatch(msgs, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return latencies, nil
		}
		if err != nil {
			return latencies, err
		}
		count := 0
		for i := range msgs[:read] {
			p := msgs[i].Buffers[0][:msgs[i].N]
			if len(p) < packetLen || p[0] != 0x80 {
				continue
			}
			n, ssrc := int(binary.BigEndian.Uint32(p[4:])/160), binary.BigEndian.Uint32(p[8:])
			direction, call := int(ssrc>>24)-1, int(ssrc&0xffffff)
			if direction < 0 || direction > 1 || call >= len(t.Calls) || n < t.first || n >= t.packets {
				continue
			}
			count++
			if at, ok := stamp(msgs[i].OOB[:msgs[i].NN]); ok {
				latencies = append(latencies, time.Duration(at-t.sentAt[t.slot(direction, n, call)].Load()))
			}
		}
		t.Received.Add(uint64(count))
		want -= count
	}
	return latencies, nil
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
