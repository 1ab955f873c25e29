package relay

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

const (
	// pollInterval is how often the counters and the SRTP progress of the table are taken over. A flow would have to
	// make 30000 packets in that time for a rollover to be missed; see package ebpf.
	pollInterval = time.Second
	// retryInterval keeps a flow that was refused, or disturbed from elsewhere, from being tried with each packet.
	retryInterval = time.Second
	// activeSource is how long a silent source keeps its place in a flow when another comes.
	activeSource = 5 * time.Second
)

// fastPath is the Host's side of the table.
//
// A flow is put in by the worker, with one of its packets at hand, and forwards once the worker has handled what waits in
// its socket. It is taken out by whoever changes something that it follows from: first the change is made where workers
// see it, then the flow goes. A worker that puts it in again meanwhile does so with the new state already.
type fastPath struct {
	host   *Host
	table  ebpf.Table
	timer  timer
	kernel traffic       // taken by the table, of all flows so far
	serial atomic.Uint64 // of the newest flow put in

	counters []ebpf.Counter // the timer's

	mu      sync.Mutex
	flows   map[ebpf.FlowKey]*flow
	senders map[*Transport]map[*Transport]int // whose plans send RTP to a transport, with how many sinks
	reasons map[string]uint64                 // why streams were refused, and how often
}

func newFastPath(h *Host, table ebpf.Table) *fastPath {
	fp := &fastPath{
		host: h, table: table, flows: map[ebpf.FlowKey]*flow{}, senders: map[*Transport]map[*Transport]int{},
		reasons: map[string]uint64{},
	}
	fp.timer.run = fp.poll
	return fp
}

// flow is what a transport receives, as a flow of the table. Its lock is held while the worker handles a packet, so that
// the SRTP contexts may be set by others; Transport.mu and agent.mu come before it, component.mu and fastPath.mu after
// it, and no other flow's lock is taken with it.
type flow struct {
	fp *fastPath
	t  *Transport

	moved bool // the worker's: where this transport sends has changed

	mu      sync.Mutex
	closed  bool
	in      bool // the table has it; the fields up to counter are set then
	key     ebpf.FlowKey
	peer    netip.AddrPort
	serial  uint64
	port    *port
	recv    *recvKeys // nil: plain
	outs    []flowOut // by sink
	waiting []uint32  // sources whose packets still go up
	counter ebpf.Counter
	retry   time.Time // not before
	packet  packetSeen

	installed atomic.Bool
	reason    atomic.Pointer[string] // why it cannot be in the table; nil: it can, or nothing is known
}

// flowOut is a sink of a flow.
type flowOut struct {
	port *port
	keys *sendKeys // nil: not protected by us
}

// packetSeen is the packet being handled, once it has been admitted.
type packetSeen struct {
	ok   bool
	ssrc uint32
	pt   uint8
}

// receiveFast is port.receive for a Host with a table.
func (p *port) receiveFast(b []byte, from netip.AddrPort, m *Meta) {
	f := p.comp.t.fast
	switch Classify(b) {
	case KindRTP, KindRTCP:
		f.handle(p, b, from, m)
	default: // STUN takes the agent's lock, which comes before the flow's
		p.receive(b, from, m)
	}
	if f.moved {
		f.moved = false
		f.fp.withdrawInto(f.t)
	}
}

func (f *flow) handle(p *port, b []byte, from netip.AddrPort, m *Meta) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.packet = packetSeen{}
	if f.in && f.recv != nil && (from != f.peer || p != f.port) {
		f.refresh() // so that a replay of what only the table has seen is recognised
	}
	p.receive(b, from, m)
	if !f.packet.ok || f.closed || !p.comp.settled(from) {
		return
	}
	switch known, now := f.has(f.packet.ssrc), !m.At.Before(f.retry); {
	case known && slices.Contains(f.waiting, f.packet.ssrc):
		m.flush() // the table must not overtake what is still to be sent
		if !f.start(f.packet.ssrc) {
			m.Drain = true // more waits in the socket: the sooner it is read, the sooner the table can have the rest
			if now {
				f.take()
			}
		}
	case !known && now:
		f.put(p, from, m.At)
	}
}

// start has the table forward a source, if userspace has handled all that went up. f.mu is held.
func (f *flow) start(ssrc uint32) bool {
	src, ok := f.source(f.t, ssrc)
	if !ok {
		return false
	}
	if ok, err := f.fp.table.Start(f.key, src); err != nil || !ok {
		return false
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(s uint32) bool { return s == ssrc })
	f.installed.Store(true)
	return true
}

// admitted is told of each RTP packet that may pass, before it is sent anywhere. One of a flow's sources that comes
// another way ends the flow: its indices may be in use by the table. f.mu is held.
func (f *flow) admitted(p *port, from netip.AddrPort, h rtp.Header, at time.Time) {
	f.packet = packetSeen{ok: true, ssrc: h.SSRC, pt: h.PT}
	if f.in && (from != f.peer || p != f.port) && f.has(h.SSRC) {
		f.take()
		if !p.comp.settled(from) {
			f.retry = at.Add(retryInterval)
		}
	}
}

// has reports whether the table serves this source.
func (f *flow) has(ssrc uint32) bool {
	return f.in && slices.ContainsFunc(f.counter.Sources, func(s ebpf.SourceCounter) bool { return s.SSRC == ssrc })
}

// settled reports whether from is the far side's address for good, as far as that is ever known. For the worker.
func (c *component) settled(from netip.AddrPort) bool {
	if v := c.pair.Load(); v != nil && !v.fallback {
		return v.nominated && from == v.remote
	}
	return c.learn.confirmed && c.learn.source == from
}

// put hands the flow of the packet at hand to the table, if it may. f.mu is held.
func (f *flow) put(p *port, from netip.AddrPort, at time.Time) {
	ssrcs := append(make([]uint32, 0, ebpf.MaxSources), f.packet.ssrc)
	if f.in {
		f.refresh()
		for _, s := range f.counter.Sources {
			if src := f.t.sources.find(s.SSRC); src != nil && at.UnixNano()-src.last.Load() < int64(activeSource) {
				ssrcs = append(ssrcs, s.SSRC)
			}
		}
		if len(ssrcs) > ebpf.MaxSources {
			f.retry = at.Add(retryInterval)
			return
		}
		f.take()
	}
	f.retry = at.Add(retryInterval)
	n, act, reason := f.describe(p, from, ssrcs)
	if n == nil {
		f.refuse(reason)
		return
	}
	if err := f.fp.table.Put(n.key, act); err != nil {
		f.refuse(because(err))
		return
	}
	f.in, f.key, f.peer, f.port, f.recv, f.outs = true, n.key, from, p, n.recv, n.outs
	f.counter = ebpf.Counter{Key: n.key, Sinks: make([]ebpf.SinkCounter, len(act.Sinks))}
	f.waiting = f.waiting[:0]
	for _, s := range act.Sources {
		f.counter.Sources = append(f.counter.Sources, ebpf.SourceCounter{SSRC: s.SSRC})
		f.waiting = append(f.waiting, s.SSRC)
	}
	f.serial = f.fp.serial.Add(1)
	f.reason.Store(nil)
	f.fp.add(f)
}

// refuse notes why a flow cannot be in the table; "": it may be soon.
func (f *flow) refuse(reason string) {
	if reason == "" {
		f.reason.Store(nil)
		return
	}
	if old := f.reason.Load(); old == nil || *old != reason {
		f.reason.Store(&reason)
		if f.fp.refused(reason) {
			f.fp.host.log.Info("first stream that stays in userspace for this reason", "reason", reason)
		}
		f.t.log.Debug("stream stays in userspace", "reason", reason)
	}
}

// maxReasons bounds what is kept of reasons: some name addresses or numbers.
const maxReasons = 64

// refused counts a reason and reports whether it is new.
func (fp *fastPath) refused(reason string) bool {
	fp.mu.Lock()
	defer fp.mu.Unlock()
	if fp.reasons[reason] == 0 && len(fp.reasons) >= maxReasons {
		reason = "others"
	}
	fp.reasons[reason]++
	return fp.reasons[reason] == 1
}

// because is an error of the table without what all of them say.
func because(err error) string {
	return strings.ReplaceAll(err.Error(), ebpf.ErrUnsupported.Error()+": ", "")
}

// withdraw takes the flow out of the table; it may come back with the next packet.
func (f *flow) withdraw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take()
	f.retry = time.Time{}
	f.reason.Store(nil)
}

// close is withdraw for good.
func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.take()
}

// take has userspace go on where the table has come to. f.mu is held.
func (f *flow) take() {
	if !f.in {
		return
	}
	c, err := f.fp.table.Delete(f.key)
	if err != nil {
		f.t.log.Error("fast path flow lost", "port", f.key.Local, "err", err)
	}
	f.merge(&c)
	f.in = false
	f.installed.Store(false)
	f.fp.remove(f)
	f.outs, f.recv, f.port = nil, nil, nil
}

// refresh takes over what the table has done so far. f.mu is held.
func (f *flow) refresh() {
	if c, err := f.fp.table.Counter(f.key); err == nil {
		f.merge(&c)
	}
}

// merge adds what has happened since the last look. An older look than that changes nothing. f.mu is held.
func (f *flow) merge(c *ebpf.Counter) {
	old, comp := &f.counter, f.port.comp
	overhead := 0
	if f.recv != nil {
		overhead = f.recv.ctx.RTPOverhead()
	}
	if c.Packets < old.Packets || len(c.Sources) != len(old.Sources) || len(c.Sinks) != len(old.Sinks) {
		return
	}
	wrong := c.Replayed - old.Replayed
	f.port.in.add(c.Packets-old.Packets, c.Bytes-old.Bytes, wrong)
	f.fp.kernel.add(c.Packets-old.Packets, c.Bytes-old.Bytes, 0)
	for i := range c.Sinks {
		now, was := &c.Sinks[i], &old.Sinks[i]
		f.outs[i].port.out.add(now.Packets-was.Packets, now.Bytes-was.Bytes, now.Errors-was.Errors)
		wrong += now.Errors - was.Errors
	}
	f.t.host.handled.errors.Add(wrong)
	var newest time.Time
	for i := range c.Sources {
		s := &c.Sources[i]
		if n := s.Packets - old.Sources[i].Packets; n > 0 {
			if src := f.t.sources.find(s.SSRC); src != nil {
				src.forwarded(s, n, s.Bytes-old.Sources[i].Bytes, uint64(overhead))
			}
			if s.Last.After(newest) {
				newest = s.Last
				comp.lastSSRC.Store(s.SSRC)
			}
		}
		if f.recv != nil {
			advance(f.recv.ctx, s.SSRC, s.In)
		}
		for j, o := range f.outs {
			if o.keys != nil && j < len(s.Out) {
				o.keys.mu.Lock()
				advance(o.keys.ctx, s.SSRC, s.Out[j])
				o.keys.mu.Unlock()
			}
		}
	}
	if ns := c.Last.UnixNano(); !c.Last.IsZero() && ns > comp.lastPacket.Load() {
		comp.lastPacket.Store(ns)
	}
	*old = *c
}

// advance adds the progress that the table has made to a context.
func advance(ctx *srtp.Context, ssrc uint32, p srtp.Progress) {
	if p.Started {
		st, _ := ctx.State(ssrc)
		st.SSRC, st.RTP = ssrc, ebpf.Merge(st.RTP, p)
		ctx.SetState(st)
	}
}

// progress is how far the source has come, for a plain flow.
func (s *source) progress() srtp.Progress {
	return srtp.Progress{Started: s.packets.Load() > 0, Highest: s.highest.Load(), Window: [2]uint64{s.window}}
}

// forwarded counts n packets that the table took, each with that many bytes of SRTP. Its sequence numbers are extended from another beginning.
func (s *source) forwarded(c *ebpf.SourceCounter, n, bytes, overhead uint64) {
	lost, highest := s.lost(), s.highest.Load()
	s.packets.Add(n)
	s.bytes.Add(bytes)
	s.octets.Add(bytes - n*overhead)
	s.timestamp.Store(c.Timestamp)
	s.pt.Store(uint32(c.PT))
	s.last.Store(max(c.Last.UnixNano(), s.last.Load()))
	if c.JitterUnits > 0 {
		s.jitter.Store(uint64(c.JitterUnits * 16))
	}
	if !c.In.Started {
		return
	}
	in := c.In
	in.Highest = rtp.ExtendSeq(highest, uint16(in.Highest))
	if ahead := int64(in.Highest - highest); ahead > int64(n)+maxDropout || ahead < -maxMisorder {
		s.highest.Store(in.Highest)
		s.first.Store(in.Highest + 1 - (s.packets.Load() - s.duplicates.Load()) - uint64(lost))
		s.window = in.Window[0]
		return
	}
	p := ebpf.Merge(s.progress(), in)
	s.highest.Store(p.Highest)
	s.window = p.Window[0]
}

// changed is called after anything was changed that flows from or to the transport follow from.
func (t *Transport) changed() {
	if t.fast != nil {
		t.fast.withdraw()
		t.fast.fp.withdrawInto(t)
	}
}

// withdrawInto takes out the flows that are sent on by t. No flow's lock may be held.
func (fp *fastPath) withdrawInto(t *Transport) {
	fp.mu.Lock()
	var list []*flow
	for s := range fp.senders[t] {
		list = append(list, s.fast)
	}
	fp.mu.Unlock()
	for _, f := range list {
		f.withdraw()
	}
}

func (fp *fastPath) sendersTo(t *Transport) (n int) {
	fp.mu.Lock()
	defer fp.mu.Unlock()
	for _, k := range fp.senders[t] {
		n += k
	}
	return n
}

// replan swaps the plan of t. A receiver that gets one more sender is taken from the table before that one can send.
// Transport.mu is held.
func (fp *fastPath) replan(t *Transport, p *Plan) {
	old := t.plan.Load()
	fp.count(t, p, 1)
	for i := range p.Routes {
		for j := range p.Routes[i].Sinks {
			if s := &p.Routes[i].Sinks[j]; !s.MuteRTP {
				fp.withdrawInto(s.To)
			}
		}
	}
	t.plan.Store(p)
	fp.count(t, old, -1)
	t.fast.withdraw()
}

// count adds the RTP sinks of a plan of t, or subtracts them.
func (fp *fastPath) count(t *Transport, p *Plan, by int) {
	fp.mu.Lock()
	defer fp.mu.Unlock()
	for i := range p.Routes {
		for j := range p.Routes[i].Sinks {
			s := &p.Routes[i].Sinks[j]
			if s.MuteRTP {
				continue
			}
			m := fp.senders[s.To]
			if m == nil {
				m = map[*Transport]int{}
				fp.senders[s.To] = m
			}
			if m[t] += by; m[t] == 0 {
				delete(m, t)
			}
			if len(m) == 0 {
				delete(fp.senders, s.To)
			}
		}
	}
}

// add and remove keep the list of flows that poll looks at. The flow's lock is held.
func (fp *fastPath) add(f *flow) {
	fp.mu.Lock()
	fp.flows[f.key] = f
	first := len(fp.flows) == 1
	fp.mu.Unlock()
	if first {
		fp.host.timers.arm(&fp.timer, fp.host.now().Add(pollInterval))
	}
}

func (fp *fastPath) remove(f *flow) {
	fp.mu.Lock()
	defer fp.mu.Unlock()
	delete(fp.flows, f.key)
}

// use is how many flows the table has, and how often streams were refused, by reason.
func (fp *fastPath) use() (flows int, refused map[string]uint64) {
	fp.mu.Lock()
	defer fp.mu.Unlock()
	return len(fp.flows), maps.Clone(fp.reasons)
}

// poll is the timer: it takes over what the table has done, until no flow is left.
func (fp *fastPath) poll(now time.Time) {
	serial := fp.serial.Load()
	var err error
	if fp.counters, err = fp.table.Counters(fp.counters[:0]); err != nil && !errors.Is(err, ebpf.ErrClosed) {
		fp.host.log.Warn("fast path counters", "err", err)
	}
	for i := range fp.counters {
		c := &fp.counters[i]
		fp.mu.Lock()
		f := fp.flows[c.Key]
		fp.mu.Unlock()
		if f == nil {
			continue
		}
		f.mu.Lock()
		if f.in && f.key == c.Key && f.serial <= serial { // else it was put in after the look
			f.merge(c)
		}
		f.mu.Unlock()
	}
	clear(fp.counters) // their slices belong to the flows now
	fp.mu.Lock()
	defer fp.mu.Unlock()
	if len(fp.flows) > 0 {
		fp.host.timers.arm(&fp.timer, now.Add(pollInterval))
	}
}

// update brings the counters of userspace up to date. f may be nil.
func (f *flow) update() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.in {
		f.refresh()
	}
}

// status says whether the table has the flow, and if not why; "": nothing is known against it.
func (f *flow) status() (in bool, reason string) {
	if r := f.reason.Load(); r != nil {
		reason = *r
	}
	return f.installed.Load(), reason
}
