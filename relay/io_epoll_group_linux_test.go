package relay

import (
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func testIO(t *testing.T, workers int, balance Balance) *epollIO {
	t.Helper()
	e, err := newEpollIO(Config{Balance: balance, Log: slog.New(slog.DiscardHandler)}, workers, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if len(e.groups) != 0 {
			t.Errorf("%d groups left", len(e.groups))
		}
		for i, w := range e.workers {
			if w.sockets != 0 || w.groups != 0 || len(w.free) != len(w.slots)-firstSlot {
				t.Errorf("worker %d: %d sockets, %d groups, %d of %d slots free", i, w.sockets, w.groups, len(w.free), len(w.slots)-firstSlot)
			}
		}
	})
	return e
}

// divided is how many groups each worker has.
func (e *epollIO) divided() (list []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		list = append(list, w.groups)
	}
	return list
}

func TestSpread(t *testing.T) {
	e := testIO(t, 3, Spread)
	var open []Socket
	for i := range 30 {
		s, err := e.Open(netip.AddrPortFrom(loopback, 0), uint64(i/2), nil)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 && s.(*epollSocket).group != open[i-1].(*epollSocket).group {
			t.Errorf("socket %d is not in the group of its sibling", i)
		}
		open = append(open, s)
	}
	for i, n := range e.divided() {
		if n != 5 {
			t.Errorf("worker %d has %d groups", i, n)
		}
	}
	for i, s := range open {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := len(e.groups); n != 15-(i+1)/2 {
			t.Errorf("%d groups after closing %d sockets", n, i+1)
		}
	}
}

// TestMove has groups change their workers while packets keep coming. Each packet is delivered once, in order, and sees
// what was done for those before it: the counters are nobody's but the worker's, so that the race detector would tell.
func TestMove(t *testing.T) {
	const groups, each, window = 8, 3000, 50
	e := testIO(t, 2, Pack)
	type state struct {
		next [2]uint32 // of each socket
		sum  int       // of both
		seen atomic.Int64
	}
	var states [groups]state
	var to [groups][2]*net.UDPAddr
	moves := 0
	for i := range states {
		st := &states[i]
		for k := range st.next {
			port, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
			if err != nil {
				t.Fatal(err)
			}
			to[i][k] = port.LocalAddr().(*net.UDPAddr)
			port.Close()
			if _, err := e.Open(to[i][k].AddrPort(), uint64(i), func(b []byte, _ netip.AddrPort, _ *Meta) {
				if n := binary.BigEndian.Uint32(b); n != st.next[k] {
					t.Errorf("group %d, socket %d: packet %d, want %d", i, k, n, st.next[k])
				}
				st.next[k]++
				st.sum++
				st.seen.Add(1)
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := make([]byte, 4)
	for n := range each {
		for i := range states {
			for k := range to[i] {
				binary.BigEndian.PutUint32(b, uint32(n))
				if _, err := conn.WriteTo(b, to[i][k]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n%10 == 0 { // all of them to the other worker and back
			e.mu.Lock()
			e.busy[0], e.busy[1] = 0.1, 0.1
			if n%20 == 0 {
				e.busy[0] = 1
			}
			e.shift()
			e.mu.Unlock()
		}
		for i := range states { // no more than a socket holds
			for end := time.Now().Add(10 * time.Second); states[i].seen.Load() < int64(2*(n-window)); runtime.Gosched() {
				if time.Now().After(end) {
					t.Fatalf("group %d: %d packets delivered of %d", i, states[i].seen.Load(), 2*n)
				}
			}
		}
		if d := e.divided(); d[1] > 0 {
			moves++
		}
	}
	for i := range states {
		for end := time.Now().Add(10 * time.Second); states[i].seen.Load() < 2*each; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("group %d: %d packets delivered of %d", i, states[i].seen.Load(), 2*each)
			}
		}
	}
	if moves == 0 || moves == each {
		t.Errorf("the second worker had groups at %d of %d moments", moves, each)
	}
}

// TestPackBusy has one worker read until it has too much to do, and be alone again when that is over.
func TestPackBusy(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes some seconds")
	}
	e := testIO(t, 2, Pack)
	var heavy atomic.Bool
	heavy.Store(true)
	const groups = 20
	var to []netip.AddrPort
	for i := range groups {
		port, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
		if err != nil {
			t.Fatal(err)
		}
		to = append(to, port.LocalAddr().(*net.UDPAddr).AddrPort())
		port.Close()
		if _, err := e.Open(to[i], uint64(i), func([]byte, netip.AddrPort, *Meta) {
			for end := time.Now().Add(2 * time.Millisecond); heavy.Load() && time.Now().Before(end); {
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	until := func(what string, done func(first, second int) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			for _, a := range to {
				conn.WriteToUDPAddrPort([]byte{1}, a)
			}
			d := e.divided()
			if done(d[0], d[1]) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: groups are divided as %v, load is %v", what, d, e.busy)
			}
		}
	}
	if d := e.divided(); d[0] != groups {
		t.Errorf("at first: %v", d)
	}
	until("too much for one", func(first, second int) bool { return first > 0 && second > 0 })
	heavy.Store(false)
	until("one is enough", func(first, _ int) bool { return first == groups })
}

// TestRealtime has the only worker that reads run in real time, as long as it has little to do at once.
func TestRealtime(t *testing.T) {
	runtime.LockOSThread()
	leave := schedule(unix.Gettid(), unix.SCHED_RR)
	schedule(unix.Gettid(), unix.SCHED_NORMAL)
	runtime.UnlockOSThread()
	if !leave {
		t.Skip("SKIPPED: no leave to run in real time")
	}
	e := testIO(t, 2, Pack)
	var to [4]netip.AddrPort
	for i := range to {
		port, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
		if err != nil {
			t.Fatal(err)
		}
		to[i] = port.LocalAddr().(*net.UDPAddr).AddrPort()
		port.Close()
		if _, err := e.Open(to[i], uint64(i), func([]byte, netip.AddrPort, *Meta) {}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	realtime := func() (n int) {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if attr, err := unix.SchedGetAttr(tid, 0); err == nil && attr.Policy == unix.SCHED_RR {
				n++
			}
		}
		return n
	}
	for _, tt := range []struct {
		name    string
		allowed bool
		busy    [2]float64
		burst   float64
		want    int
	}{
		{"little to do", true, [2]float64{0.2, 0}, 1, 1},
		{"not allowed", false, [2]float64{0.2, 0}, 1, 0},
		{"allowed again", true, [2]float64{0.2, 0}, 1, 1},
		{"many at once", true, [2]float64{0.2, 0}, 20, 0},
		{"a few at once", true, [2]float64{0.2, 0}, 8, 1},
		{"too much for one", true, [2]float64{0.9, 0}, 1, 0},
		{"two of them", true, [2]float64{0.3, 0.1}, 1, 0},
		{"one again", true, [2]float64{0.1, 0.1}, 1, 0}, // not before the other has handed over
		{"alone", true, [2]float64{0.1, 0.1}, 1, 1},
	} {
		e.mu.Lock()
		copy(e.busy, tt.busy[:])
		e.bursts[0] = tt.burst
		e.realtime = tt.allowed
		e.hasten()
		e.shift()
		e.mu.Unlock()
		for end := time.Now().Add(5 * time.Second); realtime() != tt.want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s: %d threads run in real time, want %d", tt.name, realtime(), tt.want)
				break
			}
			for _, a := range to {
				conn.WriteToUDPAddrPort([]byte{1}, a)
			}
		}
	}
	e.Close()
	if n := realtime(); n != 0 {
		t.Errorf("%d threads are left in real time", n)
	}
}

// TestBursts has the worker measure how many packets come to it at once.
func TestBursts(t *testing.T) {
	e := testIO(t, 1, Pack)
	port, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	to := port.LocalAddr().(*net.UDPAddr).AddrPort()
	port.Close()
	if _, err := e.Open(to, 1, func([]byte, netip.AddrPort, *Meta) {}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tt := range []struct {
		name     string
		packets  int
		from, to float64
	}{
		{"one by one", 1, 0.5, 2},
		{"many at once", 200, few + 1, 250},
		{"one by one again", 1, 0.5, 2},
	} {
		var got float64
		for end := time.Now().Add(20 * time.Second); got < tt.from || got > tt.to; time.Sleep(4 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s: bursts of %.1f", tt.name, got)
				break
			}
			for range tt.packets {
				conn.WriteToUDPAddrPort([]byte{1}, to)
			}
			e.mu.Lock()
			got = e.bursts[0]
			e.mu.Unlock()
		}
	}
}

// BenchmarkMove hands a call with four sockets to the other worker: for so long its packets wait, and those of others who are
// handed over in the same round.
func BenchmarkMove(b *testing.B) {
	e, err := newEpollIO(Config{}, 2, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for range 4 {
		if _, err := e.Open(netip.AddrPortFrom(loopback, 0), 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	g := e.groups[1]
	b.ReportAllocs()
	for b.Loop() {
		e.mu.Lock()
		e.move(g, 1-g.worker)
		e.mu.Unlock()
	}
}
