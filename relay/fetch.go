package relay

import (
	"unsafe"

	"rtpsidecar/relay/srtp"
)

// With thousands of streams nothing of the next packet's is in the processor's caches, and the packet would wait for one line of
// memory after the other, as each says where the next one is. So a socket keeps where its packets went, and its worker asks
// for all of that before it reads the next one: the lines come at the same time, and while the system copies the packet.

// way is the lines of memory that a socket's RTP packets need, as distances from its own. It may be out of date: then others are
// fetched in vain. It is the worker's.
type way struct {
	n    int32
	room [wayRoom]int32
}

const (
	wayRoom  = 63 // lines; from SRTP to SRTP takes some 45
	wayEvery = 16 // packets that it is good for
	line     = 64 // bytes
)

// spanner is a Socket that tells where in memory it has what sending needs.
type spanner interface {
	span() (at unsafe.Pointer, size uintptr)
}

// remember notes where the packet at hand goes, which is p's.
func (w *way) remember(p *port, route *Route, src *source) {
	c := p.comp
	t := c.t
	w.n = 0
	along(w, p, unsafe.Sizeof(*p))
	along(w, *(**byte)(unsafe.Pointer(&p.take)), 2*unsafe.Sizeof(p)) // a method and its receiver
	along(w, t, unsafe.Offsetof(t.comps))
	along(w, c, unsafe.Offsetof(c.assoc))
	along(w, t.live.Load(), unsafe.Sizeof(live{}))
	along(w, t.plan.Load(), unsafe.Sizeof(Plan{}))
	along(w, src, unsafe.Offsetof(src.told))
	along(w, t.fast, unsafe.Sizeof(flow{}))
	along(w, c.loop, unsafe.Sizeof(loop{}))
	if k := c.recv.Load(); k != nil {
		along(w, k, unsafe.Sizeof(*k))
		w.context(k.ctx)
	}
	if route == nil {
		return
	}
	along(w, route, unsafe.Sizeof(*route))
	along(w, unsafe.SliceData(route.ClockRates), uintptr(len(route.ClockRates))*unsafe.Sizeof(ClockRate{}))
	for i := range route.Sinks {
		if w.n == wayRoom {
			return
		}
		s := &route.Sinks[i]
		to := &s.To.comps[RTP]
		along(w, s, unsafe.Sizeof(*s))
		along(w, to, unsafe.Offsetof(to.assoc))
		if k := to.sendKeys.Load(); k != nil {
			along(w, k, unsafe.Sizeof(*k))
			w.context(k.ctx)
		}
		if tg := to.target.Load(); tg != nil {
			along(w, tg, unsafe.Sizeof(*tg))
			along(w, tg.port, unsafe.Sizeof(*tg.port))
			if s, tells := tg.sock.(spanner); tells {
				at, size := s.span()
				along(w, (*byte)(at), size)
			}
		}
	}
}

func (w *way) context(ctx *srtp.Context) {
	if ctx != nil {
		at, size := ctx.Span()
		along(w, (*byte)(at), size)
	}
}

// inRow are lines one after the other: a socket with its way, as a distance from the former.
var inRow = [...]int32{0, 1, 2, 3, 4, 5}

// follow asks for what is on the way.
func (w *way) follow() { prefetch(uintptr(unsafe.Pointer(w)), &w.room[0], int(w.n)) }

// along adds the lines of size bytes at a place, as far as there is room.
func along[T any](w *way, at *T, size uintptr) {
	if at == nil || size == 0 {
		return
	}
	own, from := uintptr(unsafe.Pointer(w))/line, uintptr(unsafe.Pointer(at))
	for l := from / line; l <= (from+size-1)/line && w.n < wayRoom; l++ {
		if d := int64(l - own); d == int64(int32(d)) {
			w.room[w.n] = int32(d)
			w.n++
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
