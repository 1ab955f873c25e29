//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"crypto/aes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
)

const (
	stretches    = len(rtpAhead{}.At)
	aheadBlocks  = len(rtpAhead{}.At[0].Key) / 2
	stretchTaken = 1 // STRETCH_TAKEN of srtp.h

	// aheadPeriod is how often key stream is made: the stretches last for 160 ms of packets every 20 ms.
	aheadPeriod = 50 * time.Millisecond
)

// aheads makes key stream for the packets that come next, where the processor has instructions for AES: the program
// would take tables. Whatever it lacks the program computes.
type aheads struct {
	mem   []byte
	rings []rtpAhead // in mem, shared with the program

	mu   sync.Mutex
	free []uint32
	used []*ring

	wake, stop chan struct{}
	wg         sync.WaitGroup
}

// ring is one transform of one SSRC.
type ring struct {
	id, gen uint32
	at      int // in aheads.used
	stream  *srtp.KeyStream
	last    uint64            // rtpAhead.Last as it was dealt with
	made    [stretches]uint64 // the index that was made last, plus 1
}

func newAheads(m *ebpf.Map, run bool) (*aheads, error) {
	n := int(m.MaxEntries())
	size := n * int(unsafe.Sizeof(rtpAhead{}))
	mem, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map of key stream: %w", err)
	}
	a := &aheads{mem: mem, rings: unsafe.Slice((*rtpAhead)(unsafe.Pointer(unsafe.SliceData(mem))), n),
		wake: make(chan struct{}, 1), stop: make(chan struct{})}
	for i := range n {
		a.free = append(a.free, uint32(n-1-i))
	}
	if run {
		a.wg.Go(a.run)
	}
	return a, nil
}

// close ends the goroutine. No ring may be in use by the program then.
func (a *aheads) close() {
	close(a.stop)
	a.wg.Wait()
	_ = unix.Munmap(a.mem)
}

func (a *aheads) run() {
	for {
		select {
		case <-a.stop:
			return
		case <-a.wake:
		}
		tick := time.NewTicker(aheadPeriod)
		for a.fill() {
			select {
			case <-a.stop:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
		tick.Stop()
	}
}

// acquire is a ring for what p encrypts or decrypts of one SSRC in the flow of that generation; nil: there is none left,
// or nothing to encrypt.
func (a *aheads) acquire(p srtp.Params, ssrc, gen uint32) (*ring, error) {
	if !encrypts(p) {
		return nil, nil
	}
	stream, err := p.KeyStream(ssrc)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.free) == 0 {
		return nil, nil
	}
	r := &ring{id: a.free[len(a.free)-1], gen: gen, at: len(a.used), stream: stream}
	r.last = atomic.LoadUint64(&a.rings[r.id].Last)
	a.free = a.free[:len(a.free)-1]
	a.used = append(a.used, r)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return r, nil
}

// release takes a ring back. A program that runs still cannot mistake what is made for the next flow: generations differ.
func (a *aheads) release(r *ring) {
	a.mu.Lock()
	defer a.mu.Unlock()
	end := len(a.used) - 1
	a.used[r.at], a.used[end].at = a.used[end], r.at
	a.used[end] = nil
	a.used = a.used[:end]
	for i := range a.rings[r.id].At {
		claim(&a.rings[r.id].At[i].Tag)
	}
	a.free = append(a.free, r.id)
}

// claim has a stretch belong to userspace, unless a program is at it.
func claim(tag *uint64) bool {
	was := atomic.LoadUint64(tag)
	return was == 0 || was != stretchTaken && atomic.CompareAndSwapUint64(tag, was, 0)
}

// fill makes what is missing, and reports whether there are rings.
func (a *aheads) fill() bool {
	for i := 0; ; i++ {
		a.mu.Lock() // for one ring at a time: who waits has packets at hand
		if i >= len(a.used) {
			some := len(a.used) > 0
			a.mu.Unlock()
			return some
		}
		r := a.used[i]
		r.fill(&a.rings[r.id])
		a.mu.Unlock()
	}
}

// fill makes key stream for the packets behind the newest one. Tags come last, all together: each waits until what was
// written before has reached the other processors.
func (r *ring) fill(a *rtpAhead) {
	last := atomic.LoadUint64(&a.Last)
	if last == r.last {
		return
	}
	r.last = last
	blocks := min(int(last&0xff), aheadBlocks)
	var tags [stretches]uint64
	for index := last>>8 + 1; index <= last>>8+uint64(stretches); index++ {
		i := index % uint64(stretches)
		if made := r.made[i]; made > index && made-index < 1<<15 {
			continue // for this packet, or a later one
		}
		s := &a.At[i]
		if !claim(&s.Tag) {
			continue
		}
		key := (*[aheadBlocks * aes.BlockSize]byte)(unsafe.Pointer(&s.Key))
		r.stream.Make(key[:blocks*aes.BlockSize], index)
		s.Blocks = uint32(blocks)
		r.made[i] = index + 1
		tags[i] = uint64(r.gen)<<32 | uint64(uint32(index))
	}
	for i, tag := range tags {
		if tag != 0 {
			atomic.StoreUint64(&a.At[i].Tag, tag)
		}
	}
}
