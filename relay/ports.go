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
	queue   []restingPort // oldest first; entries whose port has been taken meanwhile are stale
	freed   map[int]time.Time
	last    int // the port handed out last
}

type restingPort struct {
	port  int
	since time.Time
}

func newPortPool(rest time.Duration, now func() time.Time) *portPool {
	return &portPool{rest: rest, now: now, freed: map[int]time.Time{}}
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
		p.resting.remove(i)
		delete(p.freed, i)
	}
	p.last = port
	return port, true
}

// search looks for free ports that begin at an even (parity 0) or odd one.
func (p *portPool) search(r *portRange, n, parity int) (int, bool) {
	first := r.min + (r.min+parity)&1
	if first > r.max {
		return 0, false
	}
	count := (r.max-first)/2 + 1
	start := rand.IntN(count)
	for i := range count {
		port := first + 2*((start+i)%count)
		if p.available(r, port, n, true) {
			return port, true
		}
	}
	return 0, false
}

// oldest is the port that has rested longest of those that would do.
func (p *portPool) oldest(r *portRange, n int) (int, bool) {
	for _, q := range p.queue {
		if !p.freed[q.port].Equal(q.since) {
			continue
		}
		port := q.port
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
	now := p.now()
	for _, port := range ports {
		p.used.remove(port)
		if p.rest > 0 {
			p.resting.add(port)
			p.freed[port] = now
			p.queue = append(p.queue, restingPort{port, now})
		}
	}
}

// expire ends the rest of those that had it.
func (p *portPool) expire() {
	now, n := p.now(), 0
	for _, q := range p.queue {
		if now.Sub(q.since) < p.rest {
			break
		}
		n++
		if p.freed[q.port].Equal(q.since) {
			p.resting.remove(q.port)
			delete(p.freed, q.port)
		}
	}
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
}

// count says how many ports of r there are, how many are used, and which was handed out last.
func (p *portPool) count(r *portRange) (total, used, last int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := r.min >> 6; i <= r.max>>6; i++ {
		mask := ^uint64(0)
		if i == r.min>>6 {
			mask &= ^uint64(0) << (r.min & 63)
		}
		if i == r.max>>6 {
			mask &= ^uint64(0) >> (63 - r.max&63)
		}
		mask &^= r.excluded[i]
		total += bits.OnesCount64(mask)
		used += bits.OnesCount64(mask & p.used[i])
	}
	return total, used, p.last
}
