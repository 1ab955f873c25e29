package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rtpsidecar/relay/prefetch"
)

// epollBatch is how many ready sockets one wait reports. Later ones come with the next wait, which the kernel serves
// in turn, so that no socket starves.
const epollBatch = 256

// epollIO is the PacketIO of Linux. A worker is an epoll instance with a goroutine that seldom leaves its thread. Each ready
// socket is read once a round: at the packet rates of a voice stream a second read would only find EAGAIN. What is sent goes
// out after a batch has been handled, over IPv4 with one call for many (rawSender). The calls that cannot wait (recvfrom, sendto) skip the scheduler's bookkeeping with RawSyscall.
//
// So does the wait while packets keep coming. Telling the scheduler of each wait makes its monitor thread wake every
// 20 us to take the processor away and hand it on, which cost a third of the daemon's time at 20,000 packets a second.
// A worker that keeps its processor while it waits would take one from all other goroutines: therefore there is one
// more for each worker. The collector may still stop it at any time, as its signal ends the wait.
//
// For the same reason the monitor thinks that a worker runs without end, and interrupts it every 10 ms. A goroutine that is
// bound to its thread has to be handed from thread to thread then, which took six futex calls and held packets up; so
// only a worker with CPUs of its own is bound.
type epollIO struct {
	workers []*epollWorker
	balance Balance
	spare   int            // processors added for them
	wg      sync.WaitGroup // the workers; Close wakes and ends them

	mu       sync.Mutex // comes before a worker's
	groups   map[uint64]*epollGroup
	clock    *time.Timer // measures, as long as there are groups; nil: never
	armed    bool
	measured time.Time
	before   []progress // of the workers, until then
	busy     []float64  // share of the time before in which each had something to do
	bursts   []float64  // packets that came to each between two rests
	realtime bool       // as far as the system allows it
	closed   bool
}

// progress is what a worker has done since its start.
type progress struct{ worked, ready, rests int64 }

type epollWorker struct {
	io   *epollIO
	epfd int
	wake int // eventfd
	tick int // timerfd: the end of eagerWait
	now  func() time.Time
	cpus *unix.CPUSet // that it may run on; nil: any
	raw  *rawSender   // nil: each port's own socket sends
	out  *outbox

	worked atomic.Int64 // ns that it has not been waiting for packets
	ready  atomic.Int64 // sockets that had some
	rests  atomic.Int64 // waits of rest and more
	urgent atomic.Bool  // it is to run before others

	sockets, groups int // io.mu

	mu     sync.Mutex
	slots  []*epollSocket // by the index that the kernel hands back; nil: free, or not to be read yet
	free   []uint32
	leaves []leave // for the worker to do
	done   bool
}

// spareProcs adds processors to the Go scheduler: those that waiting workers keep.
func spareProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}

var procs sync.Mutex

// eagerWait is how long a worker that has just had packets keeps its processor to wait for the next ones: at 50
// packets a second, two directions bring one every 10 ms. An idle daemon waits the ordinary way and uses no time.
// The end of it comes from a timer that stands for many waits: one for each would have to be set and taken back for each, which
// costs a virtual machine two exits.
const eagerWait = 10 * time.Millisecond

// The first slots are not sockets'.
const (
	wakeSlot = iota
	tickSlot
	firstSlot
)

// systemIO makes workers as cfg wants them.
func systemIO(cfg Config) func(int, func() time.Time) (PacketIO, error) {
	return func(workers int, now func() time.Time) (PacketIO, error) {
		if err := checkCPUs(cfg.CPUs); err != nil {
			return nil, err
		}
		e, err := newEpollIO(cfg, workers, now)
		if err != nil {
			return nil, err
		}
		return e, nil
	}
}

func newEpollIO(cfg Config, workers int, now func() time.Time) (*epollIO, error) {
	e := &epollIO{
		spare: workers, balance: cfg.Balance, groups: map[uint64]*epollGroup{},
		realtime: !cfg.NoRealtime && cpus > 1, // the only CPU is not taken from signalling
		before:   make([]progress, workers), busy: make([]float64, workers), bursts: make([]float64, workers),
	}
	spareProcs(workers)
	if e.balance == Pack {
		e.clock = time.AfterFunc(time.Hour, e.look)
		e.clock.Stop()
	}
	for i := range workers {
		w, err := newEpollWorker(now)
		if err != nil {
			e.Close()
			return nil, err
		}
		w.io = e
		if len(cfg.CPUs) > 0 {
			w.cpus = new(unix.CPUSet)
			w.cpus.Set(cfg.CPUs[i%len(cfg.CPUs)])
		}
		e.workers = append(e.workers, w)
		if !cfg.NoRaw {
			if w.raw, err = newRawSender(); err != nil && i == 0 {
				if errors.Is(err, unix.EPERM) {
					err = fmt.Errorf("%w (CAP_NET_RAW)", err)
				}
				cfg.Log.Info("media is sent packet by packet, not by raw sockets", "reason", err)
			}
		}
		w.out = newOutbox(w.raw)
		e.wg.Go(w.run)
	}
	return e, nil
}

// checkCPUs reports whether this process may use all of them.
func checkCPUs(cpus []int) error {
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		return fmt.Errorf("CPUs: %w", err)
	}
	for _, n := range cpus {
		if !ours.IsSet(n) {
			return fmt.Errorf("CPU %d is not there, or not for us", n)
		}
	}
	return nil
}

func newEpollWorker(now func() time.Time) (*epollWorker, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	tick, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		unix.Close(wake)
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	w := &epollWorker{epfd: epfd, wake: wake, tick: tick, now: now, slots: make([]*epollSocket, firstSlot)}
	for slot, fd := range []int{wakeSlot: wake, tickSlot: tick} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(slot)}
		if slot == tickSlot {
			ev.Events |= unix.EPOLLET // it is never read
		}
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			w.release()
			return nil, fmt.Errorf("epoll: %w", err)
		}
	}
	return w, nil
}

func (w *epollWorker) release() {
	if w.raw != nil {
		w.raw.close()
	}
	unix.Close(w.tick)
	unix.Close(w.wake)
	unix.Close(w.epfd)
}

// failures counts what workers had put off to send and could not.
func (e *epollIO) failures() (n uint64) {
	for _, w := range e.workers {
		n += w.out.failures.Load()
	}
	return n
}

func (e *epollIO) Close() error {
	e.mu.Lock()
	e.closed = true
	if e.clock != nil {
		e.clock.Stop()
	}
	e.mu.Unlock()
	for _, w := range e.workers {
		w.mu.Lock()
		w.done = true
		w.mu.Unlock()
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		unix.Write(w.wake, one[:])
	}
	e.wg.Wait()
	spareProcs(-e.spare)
	for _, w := range e.workers {
		w.mu.Lock()
		open := slices.Clone(w.slots)
		w.mu.Unlock()
		for _, s := range open {
			if s != nil {
				s.Close()
			}
		}
		w.release()
	}
	return nil
}

func (e *epollIO) Open(local netip.AddrPort, group uint64, deliver Deliver) (Socket, error) {
	s := &epollSocket{io: e, deliver: deliver, v6: local.Addr().Is6(), local: local}
	if err := s.bind(local); err != nil {
		return nil, err
	}
	if err := e.join(group, s); err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

func (w *epollWorker) add(s *epollSocket) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return net.ErrClosed
	}
	s.slot = w.take()
	w.slots[s.slot] = s
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.slot)}
	if err := unix.EpollCtl(w.epfd, unix.EPOLL_CTL_ADD, s.fd, &ev); err != nil {
		w.drop(s.slot)
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// take is a free slot. w.mu is held.
func (w *epollWorker) take() uint32 {
	if n := len(w.free); n > 0 {
		slot := w.free[n-1]
		w.free = w.free[:n-1]
		return slot
	}
	w.slots = append(w.slots, nil)
	return uint32(len(w.slots) - 1)
}

// drop frees a slot. w.mu is held.
func (w *epollWorker) drop(slot uint32) {
	w.slots[slot] = nil
	w.free = append(w.free, slot)
}

// run is the worker's thread, until Close.
func (w *epollWorker) run() {
	if w.cpus != nil {
		runtime.LockOSThread()
		_ = unix.SchedSetaffinity(0, w.cpus) // checkCPUs has asked; the thread stays locked, and ends with us
	}
	in := newInbox()
	meta := &Meta{Scratch: make([]byte, ScratchLen), later: w.out}
	var events [epollBatch]unix.EpollEvent
	var ready [epollBatch]*epollSocket
	var sched scheduling
	defer sched.end()
	var eager eagerness
	end := w.now() // of the round before
	for {
		n, err := w.wait(events[:], &eager)
		if err != 0 && err != unix.EINTR {
			return // the descriptor is gone: nothing can be waited for any more
		}
		// A slot may have lost its socket since the kernel reported it. If it has got a new one that is read in vain.
		w.mu.Lock()
		if len(w.leaves) > 0 {
			w.mu.Unlock()
			w.part()
			w.mu.Lock()
		}
		done := w.done
		for i := range max(n, 0) {
			ready[i] = w.slots[events[i].Fd]
		}
		w.mu.Unlock()
		if done {
			return
		}
		meta.At = w.now()
		if meta.At.Sub(end) >= rest {
			w.rests.Add(1)
		}
		w.ready.Add(int64(n))
		sched.want(w.urgent.Load(), meta.At)
		for i := 0; i < n; {
			i += in.read(ready[i:n])
			in.deliver(meta)
			w.out.flush()
		}
		end = w.now()
		w.worked.Add(int64(end.Sub(meta.At)))
	}
}

// eagerness is how a worker waits.
type eagerness struct {
	on   bool // without the scheduler's knowledge
	busy bool // packets have come since the timer was set
}

// wait blocks until a socket is ready.
func (w *epollWorker) wait(events []unix.EpollEvent, e *eagerness) (n int, errno unix.Errno) {
	var r uintptr
	if e.on {
		r, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), ^uintptr(0), 0, 0)
	} else {
		r, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), ^uintptr(0), 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	over := false
	for i := range events[:r] {
		switch events[i].Fd {
		case tickSlot:
			over = true
		case wakeSlot:
		default:
			e.busy = true
		}
	}
	if over || !e.on {
		if e.on = e.busy; e.on {
			_ = unix.TimerfdSettime(w.tick, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(eagerWait.Nanoseconds())}, nil)
		}
		e.busy = false
	}
	return int(r), 0
}

// epollSocket is one socket. Its descriptor is closed when nobody uses it any more, so that a number which the kernel
// gives out again is never read or written by mistake.
type epollSocket struct {
	io      *epollIO
	group   *epollGroup // fixed once Open has returned
	slot    uint32      // io.mu
	fd      int
	v6      bool
	local   netip.AddrPort
	tos     atomic.Uint32
	scope   uint32 // of a link-local address
	zone    string
	deliver Deliver

	users atomic.Int32 // closedBit, and how many calls use fd
	freed atomic.Bool

	footprint prefetch.Footprint
}

func (s *epollSocket) span() (unsafe.Pointer, uintptr) {
	return unsafe.Pointer(s), unsafe.Offsetof(s.footprint)
}

const closedBit = 1 << 30

func (s *epollSocket) acquire() bool {
	if s.users.Add(1)&closedBit != 0 {
		s.done()
		return false
	}
	return true
}

func (s *epollSocket) done() {
	if s.users.Add(-1) == closedBit && s.freed.CompareAndSwap(false, true) {
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(s.fd), 0, 0) // does not wait either
	}
}

func (s *epollSocket) Close() error {
	for {
		n := s.users.Load()
		if n&closedBit != 0 {
			return net.ErrClosed
		}
		if s.users.CompareAndSwap(n, n+1|closedBit) {
			break
		}
	}
	s.io.quit(s)
	s.done()
	return nil
}

func (s *epollSocket) bind(local netip.AddrPort) error {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(local.Port()), Addr: as4(local.Addr())}
	if s.v6 {
		s.zone = local.Addr().Zone()
		s.scope = scopeOf(s.zone)
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16(), ZoneId: s.scope}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if s.v6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("bind %s: %w", local, err)
	}
	s.fd = fd
	return nil
}

func as4(a netip.Addr) (b [4]byte) {
	if a.Is4() {
		b = a.As4()
	}
	return b
}

// scopeOf is the number of an IPv6 zone, which netip keeps as a name or as digits.
func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(ifi.Index)
}

// hostOrder swaps a port that lies in network order.
func hostOrder(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

func (s *epollSocket) Send(b []byte, to netip.AddrPort) error {
	if len(b) == 0 {
		return nil
	}
	if !s.acquire() {
		return net.ErrClosed
	}
	defer s.done()
	if errno := s.write(b, to); errno != 0 {
		return errno
	}
	return nil
}

// write sends one datagram; the caller has acquired s.
func (s *epollSocket) write(b []byte, to netip.AddrPort) (errno unix.Errno) {
	if s.v6 {
		sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: hostOrder(to.Port()), Addr: to.Addr().As16()}
		if s.scope != 0 && to.Addr().IsLinkLocalUnicast() {
			sa.Scope_id = s.scope
		}
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	} else {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: hostOrder(to.Port()), Addr: as4(to.Addr())}
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	}
	return errno
}

func (s *epollSocket) SetTOS(tos uint8) error {
	if !s.acquire() {
		return net.ErrClosed
	}
	defer s.done()
	if s.v6 {
		return unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(tos))
	}
	err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS, int(tos))
	if err == nil {
		s.tos.Store(uint32(tos))
	}
	return err
}
