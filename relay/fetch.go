package relay

import (
	"unsafe"

	"rtpsidecar/relay/srtp"
)

// With thousands of streams nothing of the next packet's is in the processor's caches, and the packet would wait for one line of
// memory after the other, as each says where the next one is. So a socket keeps which lines its packets needed, and its worker
// prefetches them before it reads the next one: they come at the same time, and while the system copies the packet.

// footprint is the lines of memory that a socket's RTP packets need, as distances from its own. It may be out of date: then others are
// fetched in vain. It is the worker's.
type footprint struct {
	n    int32
	room [footprintRoom]int32
}

const (
	footprintRoom  = 63 // lines; from SRTP to SRTP takes some 45
	footprintEvery = 16 // packets that it is good for
	line           = 64 // bytes
)

// spanner is a Socket that tells where in memory it has what sending needs.
type spanner interface {
	span() (at unsafe.Pointer, size uintptr)
}

// record notes what the packet at hand needs, which is p's.
func (f *footprint) record(p *port, route *Route, src *source) {
	c := p.comp
	t := c.t
	f.n = 0
	cover(f, p, unsafe.Sizeof(*p))
	cover(f, *(**byte)(unsafe.Pointer(&p.take)), 2*unsafe.Sizeof(p)) // a method and its receiver
	cover(f, t, unsafe.Offsetof(t.comps))
	cover(f, c, unsafe.Offsetof(c.assoc))
	cover(f, t.live.Load(), unsafe.Sizeof(live{}))
	cover(f, t.plan.Load(), unsafe.Sizeof(Plan{}))
	cover(f, src, unsafe.Offsetof(src.told))
	cover(f, t.fast, unsafe.Sizeof(flow{}))
	cover(f, c.loop, unsafe.Sizeof(loop{}))
	if k := c.recv.Load(); k != nil {
		cover(f, k, unsafe.Sizeof(*k))
		f.context(k.ctx)
	}
	if route == nil {
		return
	}
	cover(f, route, unsafe.Sizeof(*route))
	cover(f, unsafe.SliceData(route.ClockRates), uintptr(len(route.ClockRates))*unsafe.Sizeof(ClockRate{}))
	for i := range route.Sinks {
		if f.n == footprintRoom {
			return
		}
		s := &route.Sinks[i]
		to := &s.To.comps[RTP]
		cover(f, s, unsafe.Sizeof(*s))
		cover(f, to, unsafe.Offsetof(to.assoc))
		if k := to.sendKeys.Load(); k != nil {
			cover(f, k, unsafe.Sizeof(*k))
			f.context(k.ctx)
		}
		if tg := to.target.Load(); tg != nil {
			cover(f, tg, unsafe.Sizeof(*tg))
			cover(f, tg.port, unsafe.Sizeof(*tg.port))
			if s, tells := tg.sock.(spanner); tells {
				at, size := s.span()
				cover(f, (*byte)(at), size)
			}
		}
	}
}

func (f *footprint) context(ctx *srtp.Context) {
	if ctx != nil {
		at, size := ctx.Span()
		cover(f, (*byte)(at), size)
	}
}

// inRow are lines one after the other: a socket with its footprint, as distances from its beginning.
var inRow = [...]int32{0, 1, 2, 3, 4, 5}

// prefetch asks for all of them.
func (f *footprint) prefetch() { prefetch(uintptr(unsafe.Pointer(f)), &f.room[0], int(f.n)) }

// cover adds the lines of size bytes at a place, as far as there is room.
func cover[T any](f *footprint, at *T, size uintptr) {
	if at == nil || size == 0 {
		return
	}
	own, from := uintptr(unsafe.Pointer(f))/line, uintptr(unsafe.Pointer(at))
	for l := from / line; l <= (from+size-1)/line && f.n < footprintRoom; l++ {
		if d := int64(l - own); d == int64(int32(d)) {
			f.room[f.n] = int32(d)
			f.n++
		}
	}
}

// FetchSteps is how many steps there are for [Transport.Fetch].
const FetchSteps = 3

// Fetch reads a word of each line that Received needs, as far as the steps before have brought the way there. It is for those who
// look at many transports, and take the first step for some, then the next. What it returns says nothing.
func (t *Transport) Fetch(step int) (sum uint64) {
	list, to := t.sources.list.Load(), t.comps[RTP].target.Load()
	if step == 0 || list == nil || len(*list) == 0 || to == nil {
		return 0
	}
	src, p := (*list)[0], to.port
	if step == 1 {
		if src != nil && p != nil { // they are, but the compiler does not know it
			sum = 1
		}
		return sum
	}
	return src.first.Load() + uint64(src.ssrc) + uint64(p.local.Port())
}
