package relay

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"
)

// DefaultRest keeps a closed port out of the pool while the far end may still send to it. 32 s is how long a lost BYE is
// repeated (RFC 3261 section 17.1.2.2, timer F = 64*T1).
const DefaultRest = 32 * time.Second

// portSet is a set of UDP ports.
type portSet [1024]uint64

func (s *portSet) has(p int) bool { return s[p>>6]>>(p&63)&1 == 1 }
func (s *portSet) add(p int)      { s[p>>6] |= 1 << (p & 63) }
func (s *portSet) remove(p int)   { s[p>>6] &^= 1 << (p & 63) }

// portRange says which ports of a pool an interface may use.
type portRange struct {
	min, max int
	excluded *portSet
}

func (r *portRange) has(p int) bool { return p >= r.min && p <= r.max && !r.excluded.has(p) }

// mask has the bits of the range's ports in word w of a set.
func (r *portRange) mask(w int) uint64 {
	mask := ^r.excluded[w]
	if w == r.min>>6 {
		mask &= ^uint64(0) << (r.min & 63)
	}
	if w == r.max>>6 {
		mask &= ^uint64(0) >> (63 - r.max&63)
	}
	return mask
}

// portPool hands out the ports of one local address. Interfaces that share the address share the pool.
//
// A port that was given back rests: it is not handed out again for the rest period, so that a new call does not hear
// the end of an old one. Under pressure the rest shrinks: when no other port is left, those that have rested longest
// are taken before an allocation fails. A small range thus serves as many calls at a time as it has ports, only with
// less protection.
type portPool struct {
	rest time.Duration
	now  func() time.Time

	mu      sync.Mutex
	used    portSet
	resting portSet
	queue   [1 << 16]restingPort // of the resting ports; [0] is the ring's anchor: next is the oldest, prev the newest
	last    int                  // the port handed out last
}

// restingPort is a link of the ring in which ports rest, in the order in which they were given back.
type restingPort struct {
	prev, next uint16
	since      int64 // Unix nanoseconds
}

func newPortPool(rest time.Duration, now func() time.Time) *portPool {
	return &portPool{rest: rest, now: now}
}

// lie puts a port to rest, rise ends that.
func (p *portPool) lie(port int, now int64) {
	newest := p.queue[0].prev
	p.queue[port] = restingPort{prev: newest, since: now}
	p.queue[newest].next, p.queue[0].prev = uint16(port), uint16(port)
	p.resting.add(port)
}

func (p *portPool) rise(port int) {
	q := p.queue[port]
	p.queue[q.prev].next, p.queue[q.next].prev = q.next, q.prev
	p.resting.remove(port)
}

// take marks n ports (1, or 2 for an even one and the next) as used and returns the first. Where to look begins at
// random: predictable ports help those who inject media. A single port is an even one while there are any, as the far
// side may expect. False: the range has none left.
func (p *portPool) take(r *portRange, n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	port, ok := p.search(r, n, 0)
	if !ok && n == 1 {
		port, ok = p.search(r, 1, 1)
	}
	if !ok {
		port, ok = p.oldest(r, n)
	}
	if !ok {
		return 0, false
	}
	for i := port; i < port+n; i++ {
		p.used.add(i)
		if p.resting.has(i) {
			p.rise(i)
		}
	}
	p.last = port
	return port, true
}

// evens has the bits of even ports set: a pair's first port, as its second is the next bit of the same word.
const evens = 0x5555555555555555

// search looks for free ports that begin at an even (parity 0) or odd one. It reads 64 ports at a time: in a range of
// which most ports are used or rest, looking at each of them would cost more than opening the socket.
func (p *portPool) search(r *portRange, n, parity int) (int, bool) {
	start := (r.min + rand.IntN(r.max-r.min+1)) &^ 1 // never between the two of a pair
	first, words := start>>6, r.max>>6-r.min>>6+1
	above := ^uint64(0) << (start & 63)
	for i := range words + 1 {
		w := r.min>>6 + (first-r.min>>6+i)%words
		free := r.mask(w) &^ (p.used[w] | p.resting[w])
		switch i { // the start's word comes twice: its upper ports first, its lower ones last
		case 0:
			free &= above
		case words:
			free &^= above
		}
		if n == 2 {
			free &= free >> 1
		}
		if free &= evens << parity; free != 0 {
			return w<<6 + bits.TrailingZeros64(free), true
		}
	}
	return 0, false
}

// oldest is the port that has rested longest of those that would do.
func (p *portPool) oldest(r *portRange, n int) (int, bool) {
	for q := p.queue[0].next; q != 0; q = p.queue[q].next {
		port := int(q)
		if n == 2 {
			port &^= 1
		}
		if p.available(r, port, n, false) {
			return port, true
		}
	}
	return 0, false
}

func (p *portPool) available(r *portRange, port, n int, rested bool) bool {
	for i := port; i < port+n; i++ {
		if !r.has(i) || p.used.has(i) || rested && p.resting.has(i) {
			return false
		}
	}
	return true
}

// release gives ports back, to rest.
func (p *portPool) release(ports ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	now := p.now().UnixNano()
	for _, port := range ports {
		p.used.remove(port)
		if p.rest > 0 {
			p.lie(port, now)
		}
	}
}

// expire ends the rest of those that had it.
func (p *portPool) expire() {
	now := p.now().UnixNano()
	for q := p.queue[0].next; q != 0 && now-p.queue[q].since >= int64(p.rest); q = p.queue[0].next {
		p.rise(int(q))
	}
}

// count says how many ports of r there are, how many are used, and which was handed out last.
func (p *portPool) count(r *portRange) (total, used, last int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := r.min >> 6; i <= r.max>>6; i++ {
		mask := r.mask(i)
		total += bits.OnesCount64(mask)
		used += bits.OnesCount64(mask & p.used[i])
	}
	return total, used, p.last
}
