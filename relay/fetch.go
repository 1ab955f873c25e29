package relay

import (
	"unsafe"

	"rtpsidecar/relay/prefetch"
	"rtpsidecar/relay/srtp"
)

// footprintEvery is how many packets of a socket the footprint that it keeps is good for. The first ones make what others need.
const footprintEvery = 16

// spanner is a Socket that tells where in memory it has what sending needs.
type spanner interface {
	span() (at unsafe.Pointer, size uintptr)
}

// record has f be what the packet at hand needs, which is p's. From SRTP to SRTP that is some 45 lines.
func record(f *prefetch.Footprint, p *port, route *Route, src *source) {
	c := p.comp
	t := c.t
	f.Reset()
	prefetch.Cover(f, p, unsafe.Sizeof(*p))
	prefetch.Cover(f, *(**byte)(unsafe.Pointer(&p.take)), 2*unsafe.Sizeof(p)) // a method and its receiver
	prefetch.Cover(f, t, unsafe.Offsetof(t.comps))
	prefetch.Cover(f, c, unsafe.Offsetof(c.assoc))
	prefetch.Cover(f, t.live.Load(), unsafe.Sizeof(live{}))
	prefetch.Cover(f, t.plan.Load(), unsafe.Sizeof(Plan{}))
	prefetch.Cover(f, src, unsafe.Offsetof(src.told))
	prefetch.Cover(f, t.fast, unsafe.Sizeof(flow{}))
	prefetch.Cover(f, c.loop, unsafe.Sizeof(loop{}))
	if k := c.recv.Load(); k != nil {
		prefetch.Cover(f, k, unsafe.Sizeof(*k))
		coverContext(f, k.ctx)
	}
	if route == nil {
		return
	}
	prefetch.Cover(f, route, unsafe.Sizeof(*route))
	prefetch.Cover(f, unsafe.SliceData(route.ClockRates), uintptr(len(route.ClockRates))*unsafe.Sizeof(ClockRate{}))
	for i := range route.Sinks {
		if f.Full() {
			return
		}
		s := &route.Sinks[i]
		to := &s.To.comps[RTP]
		prefetch.Cover(f, s, unsafe.Sizeof(*s))
		prefetch.Cover(f, to, unsafe.Offsetof(to.assoc))
		if k := to.sendKeys.Load(); k != nil {
			prefetch.Cover(f, k, unsafe.Sizeof(*k))
			coverContext(f, k.ctx)
		}
		if tg := to.target.Load(); tg != nil {
			prefetch.Cover(f, tg, unsafe.Sizeof(*tg))
			prefetch.Cover(f, tg.port, unsafe.Sizeof(*tg.port))
			if s, tells := tg.sock.(spanner); tells {
				at, size := s.span()
				prefetch.Cover(f, (*byte)(at), size)
			}
		}
	}
}

func coverContext(f *prefetch.Footprint, ctx *srtp.Context) {
	if ctx != nil {
		at, size := ctx.Span()
		prefetch.Cover(f, (*byte)(at), size)
	}
}

// Footprint adds to f what Received needs.
func (t *Transport) Footprint(f *prefetch.Footprint) {
	prefetch.Cover(f, t, unsafe.Offsetof(t.comps))
	prefetch.Cover(f, t.fast, unsafe.Sizeof(flow{}))
	if list := t.sources.list.Load(); list != nil {
		prefetch.Cover(f, list, unsafe.Sizeof(*list))
		prefetch.Cover(f, unsafe.SliceData(*list), uintptr(len(*list))*unsafe.Sizeof((*list)[0]))
		for _, src := range *list {
			prefetch.Cover(f, src, unsafe.Sizeof(*src))
		}
	}
	c := &t.comps[RTP]
	prefetch.Cover(f, &c.target, unsafe.Sizeof(c.target))
	if to := c.target.Load(); to != nil {
		prefetch.Cover(f, to, unsafe.Sizeof(*to))
		prefetch.Cover(f, to.port, unsafe.Sizeof(*to.port))
	}
}
