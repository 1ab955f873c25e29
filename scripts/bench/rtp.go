package main

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
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"rtpsidecar/scripts/internal/daemon"
)

const (
	packetLen = 172 // RTP header and 20 ms of PCMU
	ptime     = 20 * time.Millisecond
	batch     = 64
)

// end is one side of all calls: a single socket, as the relay tells calls apart by its own ports. That keeps the bench
// cheap beside the daemon it measures.
type end struct {
	conn *net.UDPConn
	p    *ipv4.PacketConn
}

func newEnd() (*end, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	const room = 16 << 20 // a second of everything: what is lost is lost in the relay
	var opt error
	err = raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
			opt = errors.Join(opt, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, room))
		}
	})
	return &end{conn, ipv4.NewPacketConn(conn)}, errors.Join(err, opt)
}

func (e *end) port() int { return e.conn.LocalAddr().(*net.UDPAddr).Port }

// traffic is what one round of media showed.
type traffic struct {
	Sent, Received int
	CPUPerPacket   time.Duration // of the daemon
	P50, P99       time.Duration
	Late           time.Duration // how far the sender fell behind its clock at worst
}

// relayMedia sets calls up, warms them up and measures for a while. The sender spreads each 20 ms over all calls in
// bursts.
func relayMedia(ctx context.Context, d *daemon.Daemon, calls int, warm, measure, burst time.Duration) (traffic, error) {
	a, err := newEnd()
	if err != nil {
		return traffic{}, err
	}
	defer a.conn.Close()
	b, err := newEnd()
	if err != nil {
		return traffic{}, err
	}
	defer b.conn.Close()
	var toA, toB []netip.AddrPort
	for i := range calls {
		c, err := setUp(d, fmt.Sprintf("bench-rtp-%d", i), a.port(), b.port())
		if err != nil {
			return traffic{}, err
		}
		toB = append(toB, c.callee)
		toA = append(toA, c.toCaller)
	}
	defer func() {
		for i := range calls {
			_ = tearDown(d, fmt.Sprintf("bench-rtp-%d", i))
		}
	}()
	packets := int((warm + measure) / ptime)
	first := int(warm / ptime)
	var receivers sync.WaitGroup
	var latencies [2][]time.Duration
	var counts [2]int
	var failed [2]error
	for i, e := range []*end{a, b} {
		receivers.Go(func() { latencies[i], counts[i], failed[i] = e.receive(first, calls*(packets-first)) })
	}
	before := make(chan error, 1)
	var start, stop time.Duration
	go func() { // ends with the warm-up
		select {
		case <-time.After(warm):
			var err error
			start, err = cpuTime(d.PID())
			before <- err
		case <-ctx.Done():
			before <- ctx.Err()
		}
	}()
	late, err := send(ctx, a, b, toB, toA, packets, burst)
	if err != nil {
		return traffic{}, err
	}
	if stop, err = cpuTime(d.PID()); err != nil {
		return traffic{}, err
	}
	if err := <-before; err != nil {
		return traffic{}, err
	}
	// Stragglers have half a second.
	for _, e := range []*end{a, b} {
		if err := e.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return traffic{}, err
		}
	}
	receivers.Wait()
	all := slices.Concat(latencies[0], latencies[1])
	if err := errors.Join(failed[:]...); err != nil {
		return traffic{}, err
	}
	if len(all) == 0 {
		return traffic{}, errors.New("nothing came back")
	}
	slices.Sort(all)
	sent := 2 * calls * (packets - first)
	return traffic{
		Sent: sent, Received: counts[0] + counts[1],
		CPUPerPacket: (stop - start) / time.Duration(sent),
		P50:          all[len(all)/2], P99: all[len(all)*99/100], Late: late,
	}, nil
}

// send paces packets of every call in both directions: the calls are spread evenly over each 20 ms and go out in bursts.
// It locks its thread and sleeps to absolute times, so the load is the same whatever the daemon costs.
func send(ctx context.Context, a, b *end, toB, toA []netip.AddrPort, packets int, burst time.Duration) (late time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Wake up when asked, not within the usual 50 us after it.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	calls := len(toA)
	bursts := int(ptime / burst)
	var out [2][]ipv4.Message
	addrs := [2][]*net.UDPAddr{}
	for k, list := range [2][]netip.AddrPort{toB, toA} {
		for _, ap := range list {
			addrs[k] = append(addrs[k], net.UDPAddrFromAddrPort(ap))
			out[k] = append(out[k], ipv4.Message{Buffers: [][]byte{make([]byte, packetLen)}})
		}
	}
	begin := time.Now()
	for n := range packets {
		if ctx.Err() != nil {
			return late, ctx.Err()
		}
		for i := range bursts {
			due := begin.Add(time.Duration(n)*ptime + time.Duration(i)*burst)
			if wait := time.Until(due); wait > 0 {
				sleep(wait)
			} else {
				late = max(late, -wait)
			}
			from, to := calls*i/bursts, calls*(i+1)/bursts
			for k, e := range [2]*end{a, b} {
				if err := e.sendBurst(out[k][from:to], addrs[k][from:to], n, from, k); err != nil {
					return late, err
				}
			}
		}
	}
	return late, nil
}

func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // an interrupted sleep is a short one
}

func (e *end) sendBurst(msgs []ipv4.Message, addrs []*net.UDPAddr, n, firstCall, direction int) error {
	now := uint64(time.Now().UnixNano())
	for i := range msgs {
		p := msgs[i].Buffers[0]
		p[0] = 0x80
		binary.BigEndian.PutUint16(p[2:], uint16(n))
		binary.BigEndian.PutUint32(p[4:], uint32(n*160))
		binary.BigEndian.PutUint32(p[8:], uint32(direction+1)<<16|uint32(firstCall+i))
		binary.BigEndian.PutUint32(p[12:], uint32(n))
		binary.BigEndian.PutUint64(p[16:], now)
		msgs[i].Addr = addrs[i]
	}
	for len(msgs) > 0 {
		sent, err := e.p.WriteBatch(msgs, 0)
		if err != nil {
			return err
		}
		msgs = msgs[sent:]
	}
	return nil
}

// receive reads until the deadline that is set at the end of the round, or until all is there. Packets of the warm-up are
// not counted.
func (e *end) receive(first, want int) (latencies []time.Duration, count int, err error) {
	latencies = make([]time.Duration, 0, want)
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: make([]byte, 64)}
	}
	for count < want {
		n, err := e.p.ReadBatch(msgs, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return latencies, count, nil
		}
		if err != nil {
			return latencies, count, err
		}
		for i := range msgs[:n] {
			p := msgs[i].Buffers[0][:msgs[i].N]
			if len(p) != packetLen || int(binary.BigEndian.Uint32(p[12:])) < first {
				continue
			}
			count++
			if at, ok := received(msgs[i].OOB[:msgs[i].NN]); ok {
				latencies = append(latencies, time.Duration(at-int64(binary.BigEndian.Uint64(p[16:]))))
			}
		}
	}
	return latencies, count, nil
}

// received is the kernel's time stamp of a datagram, in nanoseconds since 1970.
func received(oob []byte) (int64, bool) {
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
