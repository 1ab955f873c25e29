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
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
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
	srtp []*srtp.Context // of what it sends, by call; nil: plain
}

func newEnd(addr netip.Addr) (*end, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
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
	return &end{conn: conn, p: ipv4.NewPacketConn(conn)}, errors.Join(err, opt)
}

func (e *end) addr() netip.AddrPort { return e.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// traffic is what one round of media showed.
type traffic struct {
	Sent, Received int
	All            int           // sent, warm-up included
	CPUPerPacket   time.Duration // of the daemon
	Busy           time.Duration // of the whole machine, whoever used it, per packet
	Threads        time.Duration // of the daemon, of this process and of the kernel's packet threads, per packet
	P50, P99       time.Duration
	Late           time.Duration // how far the sender fell behind its clock at worst
}

// media is a load: packets of every call in both directions, for a while.
type media struct {
	a, b                 *end
	toA, toB             []netip.AddrPort // by call: where b sends, where a sends
	pid                  int              // of the daemon; 0: there is none
	warm, measure, burst time.Duration

	first, packets int               // those before first are warm-up
	sentAt         [2][]atomic.Int64 // by direction, packet and call, in ns since 1970
}

func (m *media) slot(n, call int) int { return n*len(m.toA) + call }

// relayMedia sets calls up on loopback, warms them up and measures for a while.
func relayMedia(ctx context.Context, d *daemon.Daemon, calls int, warm, measure, burst time.Duration) (traffic, error) {
	lo := netip.MustParseAddr("127.0.0.1")
	a, err := newEnd(lo)
	if err != nil {
		return traffic{}, err
	}
	defer a.conn.Close()
	b, err := newEnd(lo)
	if err != nil {
		return traffic{}, err
	}
	defer b.conn.Close()
	m := &media{a: a, b: b, pid: d.PID(), warm: warm, measure: measure, burst: burst}
	for i := range calls {
		c, err := setUp(d, fmt.Sprintf("bench-rtp-%d", i), a.addr(), b.addr(), "")
		if err != nil {
			return traffic{}, err
		}
		m.toB = append(m.toB, c.callee)
		m.toA = append(m.toA, c.toCaller)
	}
	defer func() {
		for i := range calls {
			_ = tearDown(d, fmt.Sprintf("bench-rtp-%d", i))
		}
	}()
	return m.run(ctx)
}

// clocks are what has been used of the processors so far.
type clocks struct {
	daemon, threads, idle time.Duration
	at                    time.Time
}

func (m *media) clocks() (c clocks, err error) {
	if m.pid != 0 {
		if c.daemon, err = cpuTime(m.pid); err != nil {
			return c, err
		}
	}
	c.threads = c.daemon
	pids, err := softirqThreads()
	if err != nil {
		return c, err
	}
	for _, pid := range append(pids, os.Getpid()) {
		t, err := cpuTime(pid)
		if err != nil {
			return c, err
		}
		c.threads += t
	}
	c.idle, err = idleTime()
	c.at = time.Now()
	return c, err
}

func (m *media) run(ctx context.Context) (traffic, error) {
	calls := len(m.toA)
	m.packets, m.first = int((m.warm+m.measure)/ptime), int(m.warm/ptime)
	for k := range m.sentAt {
		m.sentAt[k] = make([]atomic.Int64, m.packets*calls)
	}
	var receivers sync.WaitGroup
	var latencies [2][]time.Duration
	var counts [2]int
	var failed [2]error
	for i, e := range []*end{m.a, m.b} {
		receivers.Go(func() { latencies[i], counts[i], failed[i] = m.receive(e) })
	}
	type look struct {
		clocks
		err error
	}
	warmed := make(chan look, 1)
	go func() { // ends with the warm-up
		select {
		case <-time.After(m.warm):
			c, err := m.clocks()
			warmed <- look{c, err}
		case <-ctx.Done():
			warmed <- look{err: ctx.Err()}
		}
	}()
	late, err := m.send(ctx)
	if err != nil {
		return traffic{}, err
	}
	stop, err := m.clocks()
	if err != nil {
		return traffic{}, err
	}
	start := <-warmed
	if start.err != nil {
		return traffic{}, start.err
	}
	// Stragglers have half a second.
	for _, e := range []*end{m.a, m.b} {
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
	sent := 2 * calls * (m.packets - m.first)
	busy := stop.at.Sub(start.at)*time.Duration(runtime.NumCPU()) - (stop.idle - start.idle)
	return traffic{
		Sent: sent, Received: counts[0] + counts[1], All: 2 * calls * m.packets,
		CPUPerPacket: (stop.daemon - start.daemon) / time.Duration(sent), Busy: busy / time.Duration(sent),
		Threads: (stop.threads - start.threads) / time.Duration(sent),
		P50:     all[len(all)/2], P99: all[len(all)*99/100], Late: late,
	}, nil
}

// send paces packets of every call in both directions: the calls are spread evenly over each 20 ms and go out in bursts.
// It locks its thread and sleeps to absolute times, so the load is the same whatever the daemon costs.
func (m *media) send(ctx context.Context) (late time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Wake up when asked, not within the usual 50 us after it.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	calls := len(m.toA)
	bursts := int(ptime / m.burst)
	var out [2][]ipv4.Message
	for k, list := range [2][]netip.AddrPort{m.toB, m.toA} {
		for _, ap := range list {
			out[k] = append(out[k], ipv4.Message{Addr: net.UDPAddrFromAddrPort(ap), Buffers: [][]byte{make([]byte, packetLen+srtp.MaxOverhead)}})
		}
	}
	begin := time.Now()
	for n := range m.packets {
		if ctx.Err() != nil {
			return late, ctx.Err()
		}
		for i := range bursts {
			due := begin.Add(time.Duration(n)*ptime + time.Duration(i)*m.burst)
			if wait := time.Until(due); wait > 0 {
				sleep(wait)
			} else {
				late = max(late, -wait)
			}
			from, to := calls*i/bursts, calls*(i+1)/bursts
			for k := range out {
				if err := m.sendBurst(out[k][from:to], n, from, k); err != nil {
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

func (m *media) sendBurst(msgs []ipv4.Message, n, firstCall, direction int) error {
	e := [2]*end{m.a, m.b}[direction]
	for i := range msgs {
		p := msgs[i].Buffers[0][:packetLen]
		clear(p)
		p[0] = 0x80
		binary.BigEndian.PutUint16(p[2:], uint16(n))
		binary.BigEndian.PutUint32(p[4:], uint32(n*160))
		binary.BigEndian.PutUint32(p[8:], uint32(direction+1)<<16|uint32(firstCall+i))
		binary.BigEndian.PutUint32(p[12:], uint32(n))
		if e.srtp != nil {
			var err error
			if p, err = e.srtp[firstCall+i].ProtectRTP(p); err != nil {
				return err
			}
		}
		msgs[i].Buffers[0] = p
	}
	now := time.Now().UnixNano()
	for i := range msgs {
		m.sentAt[direction][m.slot(n, firstCall+i)].Store(now)
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
// not counted. What stands in the header is enough to tell a packet, so that it need not be decrypted.
func (m *media) receive(e *end) (latencies []time.Duration, count int, err error) {
	want := len(m.toA) * (m.packets - m.first)
	latencies = make([]time.Duration, 0, want)
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: make([]byte, 64)}
	}
	for count < want {
		read, err := e.p.ReadBatch(msgs, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return latencies, count, nil
		}
		if err != nil {
			return latencies, count, err
		}
		for i := range msgs[:read] {
			p := msgs[i].Buffers[0][:msgs[i].N]
			if len(p) < packetLen || p[0] != 0x80 {
				continue
			}
			n, ssrc := int(binary.BigEndian.Uint32(p[4:])/160), binary.BigEndian.Uint32(p[8:])
			direction, call := int(ssrc>>16)-1, int(ssrc&0xffff)
			if direction < 0 || direction > 1 || call >= len(m.toA) || n < m.first || n >= m.packets {
				continue
			}
			count++
			if at, ok := received(msgs[i].OOB[:msgs[i].NN]); ok {
				latencies = append(latencies, time.Duration(at-m.sentAt[direction][m.slot(n, call)].Load()))
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
