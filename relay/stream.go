package relay

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// component is one of the two flows of a transport: RTP, or RTCP where it has a port of its own. What each packet needs
// comes first, in two lines of a cache.
type component struct {
	t  *Transport
	id Component

	learn learner                  // the worker's
	pair  atomic.Pointer[pairView] // nil: no ICE
	recv  atomic.Pointer[recvKeys] // nil: plain

	// Outbound: whoever has a packet for the far side.
	target   atomic.Pointer[target]   // nil: nothing can be sent
	sendKeys atomic.Pointer[sendKeys] // nil: plain

	heard      atomic.Bool // the far side has sent something
	lastSSRC   atomic.Uint32
	lastPacket atomic.Int64 // Unix nanoseconds; 0: none yet

	// The worker's.
	loop  *loop  // nil: not looked for yet
	usual *usual // nil: nothing known yet

	assoc      atomic.Pointer[association] // nil: no DTLS
	noConsent  atomic.Bool                 // consent was lost and no pair has been selected since
	advertised atomic.Pointer[target]      // what signalling says; nil: nothing
	lastDigit  atomic.Uint64               // SSRC and timestamp of the last event that was told
	first      addrCell                    // where the first packet came from
	drops      atomic.Pointer[drops]       // nil: none yet

	mu  sync.Mutex // guards changes of target, and those of keys and association, against each other
	gen uint64     // of the settings that may change it
}

// target is where a component sends, and from where; immutable.
type target struct {
	addr      netip.AddrPort
	port      *port
	sock      Socket // the port's: it need not wait for the port
	confirmed bool   // learnt for good
}

// to is for sending to addr from p.
func (p *port) to(addr netip.AddrPort, confirmed bool) *target {
	return &target{addr: addr, port: p, sock: p.sock, confirmed: confirmed}
}

// port is one bound socket. What each packet needs comes first, in one line of a cache.
type port struct {
	in   traffic
	comp *component
	sock Socket
	out  traffic

	local netip.AddrPort
	path  int     // number of its candidate; agent.mu
	take  Deliver // of its socket

	_ [8]byte // so that it begins with a line
}

// restart begins a new generation of settings; to is where signalling says to send, taken when it moved. Plain media goes
// there also while ICE is still checking, as the reference does; what ICE has selected is its own affair.
func (c *component) restart(gen uint64, moved bool, to *target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advertised.Store(to)
	old := c.target.Load()
	v := c.pair.Load()
	switch {
	case v != nil && v.remote.IsValid(): // stays
	case moved:
		c.target.Store(to)
		c.heard.Store(false)
	case old != nil && old.confirmed && gen != c.gen:
		c.target.Store(old.port.to(old.addr, false))
	}
	c.gen = gen
}

// stopped is the generation of a closed component.
const stopped = ^uint64(0)

// stop lets nothing out any more.
func (c *component) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen = stopped
	c.target.Store(nil)
}

// steer is for ICE, which decides alone. It reports whether that is somewhere else.
func (c *component) steer(to *target) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.target.Load()
	if c.gen != stopped {
		c.target.Store(to)
	}
	return !old.same(to)
}

// retarget, for the worker, sends to another address from now on, unless the settings have changed meanwhile.
func (c *component) retarget(gen uint64, to *target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen && !c.selected() {
		if f := c.t.fast; f != nil && !c.target.Load().same(to) {
			f.moved = true
		}
		c.target.Store(to)
	}
}

// same reports whether both send from and to the same addresses.
func (t *target) same(o *target) bool {
	return t == o || t != nil && o != nil && t.addr == o.addr && t.port == o.port
}

// admit judges the source of a packet that is well-formed and authentic, learns from it, and reports whether it may
// pass. It runs in the component's worker.
func (c *component) admit(lv *live, p *port, from netip.AddrPort, teaches bool, at time.Time) bool {
	r := &lv.rules[c.id]
	if c.learn.gen != lv.gen {
		c.learn = learner{gen: lv.gen}
	}
	v, was := pass, c.learn.confirmed
	if view := c.pair.Load(); view != nil && !view.fallback {
		if !view.from(from, r.advertised, at) {
			c.dropped().refused(from)
			return false
		}
		if teaches {
			c.follow(view, p, from, at)
		}
	} else if teaches {
		v = c.learn.judge(r, from, at)
	} else if c.learn.confirmed && r.strict && from != c.learn.source && from != r.advertised {
		v = drop
	}
	if final := c.learn.confirmed && !was; final || v == learnt {
		c.adopt(lv, r, p, from, at, final)
	}
	if v == drop {
		c.dropped().refused(from)
		return false
	}
	if !c.heard.Load() {
		c.heard.Store(true)
	}
	if c.lastPacket.Load() == 0 {
		c.first.store(from)
		c.t.host.events.emit(EventFirstPacket, c.t, c.id, at, from.String())
	}
	c.lastPacket.Store(at.UnixNano())
	return true
}

// adopt sends to the learnt source, or with asymmetric only notes that it is known. The packet that decided may have come
// from another one, and then its port says nothing.
func (c *component) adopt(lv *live, r *rules, p *port, from netip.AddrPort, at time.Time, final bool) {
	to := c.learn.source
	old, known := c.target.Load(), true
	switch another := from != c.learn.source; {
	case old == nil && (r.asymmetric || another):
		known = false
	case r.asymmetric:
		to, p = old.addr, old.port
	case another:
		p = old.port
	}
	if known {
		c.retarget(lv.gen, p.to(to, c.learn.confirmed))
		if old == nil && c.assoc.Load() != nil {
			c.t.wakeDTLS(at)
		}
	}
	if final {
		c.t.host.events.emit(EventConfirmed, c.t, c.id, at, c.learn.source.String())
	}
}

// form is how a datagram is to be sent.
type form uint8

const (
	asRTP  form = iota
	asRTCP      // these two are protected when the far side wants it
	asIs
)

// send sends one datagram to the far side. b is changed in place, in its capacity too, and not kept. Safe for
// concurrent use. m is of the worker whose packet makes it; nil: somebody else sends.
func (c *component) send(b []byte, f form, m *Meta) {
	k := c.sendKeys.Load()
	if f == asRTP && k != nil && k.ctx == nil {
		k.hold(b, c.t.host.now())
		return
	}
	to := c.target.Load()
	if to == nil || !c.heard.Load() && c.t.live.Load().natWait {
		return
	}
	ok := true
	if k != nil && f != asIs {
		b, ok = k.protect(b, f == asRTCP)
	}
	switch p := to.port; {
	case !ok:
		p.unsent()
	case m != nil && m.later != nil:
		if !m.later.put(to.sock, b, to.addr, &p.out) {
			p.unsent()
		}
	case to.sock.Send(b, to.addr) != nil:
		p.unsent()
	default:
		p.out.count(len(b))
	}
}
