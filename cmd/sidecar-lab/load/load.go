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
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
)

const (
	packetLen = 172 // RTP header and 20 ms of PCMU, RFC 3551 section 4.5.14
	ptime     = 20 * time.Millisecond
	// gather is how long what has come lies in the sockets. Reading it at once would cost the more, the more slowly it comes.
	gather = 2 * time.Millisecond
)

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
	Interval         time.Duration // between two packets of a call in one direction; 0: 20 ms
	Burst            time.Duration // the calls are spread over bursts this far apart in each interval
	Turn             Turn          // when to send; zero: from the start of Run, without a break
	// Pinned threads stay on one processor, and Go's scheduler, which wakes others for each system call that lasts, knows
	// nothing of theirs: GOMAXPROCS must have room for three. What both cost changes more than what is measured.
	Pinned bool
	Clock  func() error // called when the warm-up is over, beside the sending, and when all is sent; may be nil

	Sent, Received atomic.Uint64 // may be read meanwhile
	Warmup         uint64        // packets sent before those
	Late           time.Duration // how far the sender fell behind its clock at worst
	P50, P99       time.Duration // from just before the send call to the kernel's receive time stamp

	took           [2][]sample    // by end
	first, packets int            // those before first are warm-up
	last           atomic.Int64   // what comes later is lost, in ns since 1970; 0: not yet known
	sentAt         []atomic.Int64 // by slot, in ns since 1970: a protected payload could not carry it
}

// Turn is for traffics that take turns, so that all have the same of what the machine is disturbed by.
type Turn struct {
	First         time.Time     // when the first turn begins
	Length, Every time.Duration // of each, and from the beginning of one to that of the next
}

// Begin is when turn n begins, from 0.
func (t Turn) Begin(n int) time.Time { return t.First.Add(time.Duration(n) * t.Every) }

// due is when what is to be sent after so much sending falls due.
func (t Turn) due(after time.Duration) time.Time {
	if t.Length == 0 {
		return t.First.Add(after)
	}
	return t.Begin(int(after / t.Length)).Add(after % t.Length)
}

// sample is what one packet took.
type sample struct {
	sent int64 // ns since 1970
	took time.Duration
}

// Span is a while.
type Span struct{ From, To time.Time }

// Latency is P50 and P99 of the packets that were sent in the spans. For afterwards.
func (t *Traffic) Latency(spans ...Span) (p50, p99 time.Duration) {
	var all []time.Duration
	for _, list := range t.took {
		for _, s := range list {
			if len(spans) == 0 || slices.ContainsFunc(spans, func(w Span) bool {
				return w.From.UnixNano() <= s.sent && s.sent < w.To.UnixNano()
			}) {
				all = append(all, s.took)
			}
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// New opens both ends at an IPv4 address.
func New(addr netip.Addr) (*Traffic, error) {
	callers, err := Open(addr)
	if err != nil {
		return nil, err
	}
	callees, err := Open(addr)
	if err != nil {
		return nil, errors.Join(err, callers.file.Close())
	}
	return &Traffic{Callers: callers, Callees: callees}, nil
}

// Close frees the sockets.
func (t *Traffic) Close() error { return errors.Join(t.Callers.file.Close(), t.Callees.file.Close()) }

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
	if t.Interval == 0 {
		t.Interval = ptime
	}
	if t.Burst <= 0 || t.Burst > t.Interval {
		return fmt.Errorf("bursts of %v: not within %v", t.Burst, t.Interval)
	}
	t.first, t.packets = int(t.Warm/t.Interval), int((t.Warm+t.Measure)/t.Interval)
	t.sentAt = make([]atomic.Int64, t.slot(2, 0, 0))
	ends := [2]*End{t.Callers, t.Callees}
	t.Callers.raw, t.Callees.raw = t.Pinned, t.Pinned
	var failed [2]error
	var receivers sync.WaitGroup
	for k, e := range ends {
		receivers.Go(func() {
			if failed[k] = t.pin(); failed[k] == nil {
				t.took[k], failed[k] = t.receive(e)
			}
		})
	}
	var err error
	if sender := make(chan error); t.Pinned {
		go func() { sender <- errors.Join(t.pin(), t.send(ctx, ends)) }()
		err = <-sender
	} else {
		err = t.send(ctx, ends)
	}
	t.last.Store(time.Now().Add(500 * time.Millisecond).UnixNano())
	receivers.Wait()
	t.P50, t.P99 = t.Latency()
	return errors.Join(err, failed[0], failed[1])
}

// pin keeps the goroutine, and so its thread, on one processor for good.
func (t *Traffic) pin() error {
	if !t.Pinned {
		return nil
	}
	var all, one unix.CPUSet
	runtime.LockOSThread()
	var preempt unix.Sigset_t // the signal of Go's scheduler would cut each sleep short
	preempt.Val[0] = 1 << (unix.SIGURG - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &preempt, nil); err != nil {
		return err
	}
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for i := range 8 * len(all) * int(unsafe.Sizeof(all[0])) {
		if all.IsSet(i) {
			one.Set(i)
			break
		}
	}
	return unix.SchedSetaffinity(0, &one)
}

func (t *Traffic) sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	if t.Pinned {
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		return
	}
	_ = unix.Nanosleep(&ts, nil)
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
	msgs := [2]*letters{newLetters(len(t.Calls), packetLen+srtp.MaxOverhead), newLetters(len(t.Calls), packetLen+srtp.MaxOverhead)}
	for i, c := range t.Calls {
		msgs[0].address(i, c.ToCallee)
		msgs[1].address(i, c.ToCaller)
	}
	var clocks sync.WaitGroup
	defer clocks.Wait()
	var clock error
	look := func() {
		if t.Clock != nil {
			clock = errors.Join(clock, t.Clock())
		}
	}
	bursts := int(t.Interval / t.Burst)
	turn := t.Turn
	if turn == (Turn{}) {
		turn.First = time.Now()
	}
	for n := 0; n < t.packets && ctx.Err() == nil; n++ {
		if n == t.first {
			clocks.Go(look)
		}
		for i := range bursts {
			due := turn.due(time.Duration(n)*t.Interval + time.Duration(i)*t.Burst)
			if wait := time.Until(due); wait > 0 {
				t.sleep(wait) // an interrupted sleep is a short one
			} else {
				t.Late = max(t.Late, -wait)
			}
			from, to := len(t.Calls)*i/bursts, len(t.Calls)*(i+1)/bursts
			for k, e := range ends {
				if err := t.burst(e, msgs[k], k, n, from, to); err != nil {
					return err
				}
			}
		}
	}
	clocks.Wait()
	look()
	return clock
}

func (t *Traffic) burst(e *End, msgs *letters, direction, n, from, to int) error {
	for call := from; call < to; call++ {
		p := msgs.bufs[call][:packetLen]
		clear(p)
		p[0] = 0x80
		binary.BigEndian.PutUint16(p[2:], uint16(n))
		binary.BigEndian.PutUint32(p[4:], uint32(n*160))
		binary.BigEndian.PutUint32(p[8:], uint32(direction+1)<<24|uint32(call))
		binary.BigEndian.PutUint32(p[12:], uint32(n))
		if protect := t.Calls[call].Protect; protect != nil && direction == 1 {
			var err error
			if p, err = protect(p); err != nil {
				return err
			}
		}
		msgs.put(call, p)
	}
	now := time.Now().UnixNano()
	for call := from; call < to; call++ {
		t.sentAt[t.slot(direction, n, call)].Store(now)
	}
	if err := e.send(msgs, from, to); err != nil {
		return err
	}
	if n >= t.first {
		t.Sent.Add(uint64(to - from))
	} else {
		t.Warmup += uint64(to - from)
	}
	return nil
}

// receive counts until all is there or the time that follows the last packet is over. What stands in the header is enough
// to tell a packet, so that it need not be decrypted, and either end takes what the other has sent: it may be bounced.
func (t *Traffic) receive(e *End) (took []sample, err error) {
	all := 2 * len(t.Calls) * (t.packets - t.first)
	took = make([]sample, 0, all) // pages that are not needed are never there
	msgs := newLetters(batch, 2048)
	for int(t.Received.Load()) < all {
		read, err := e.receive(msgs)
		if errors.Is(err, net.ErrClosed) {
			return took, nil
		}
		if err != nil {
			return took, err
		}
		count := 0
		for i := range read {
			p := msgs.bufs[i][:msgs.msgs[i].len]
			if len(p) < packetLen || p[0] != 0x80 {
				continue
			}
			n, ssrc := int(binary.BigEndian.Uint32(p[4:])/160), binary.BigEndian.Uint32(p[8:])
			direction, call := int(ssrc>>24)-1, int(ssrc&0xffffff)
			if direction < 0 || direction > 1 || call >= len(t.Calls) || n < t.first || n >= t.packets {
				continue
			}
			count++
			if at, ok := msgs.stamp(i); ok {
				sent := t.sentAt[t.slot(direction, n, call)].Load()
				took = append(took, sample{sent, time.Duration(at - sent)})
			}
		}
		t.Received.Add(uint64(count))
		if read == batch {
			continue
		}
		if last := t.last.Load(); last != 0 && time.Now().UnixNano() > last {
			break
		}
		t.sleep(gather)
	}
	return took, nil
}
