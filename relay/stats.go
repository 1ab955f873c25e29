package relay

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rtpsidecar/relay/rtp"
)

// traffic counts packets of one direction of one port.
type traffic struct {
	packets, bytes, errors atomic.Uint64
}

func (c *traffic) count(n int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(n))
}

// failed is for a packet that has been counted and could not be sent.
func (c *traffic) failed(n int) {
	c.errors.Add(1)
	c.packets.Add(^uint64(0))
	c.bytes.Add(-uint64(n))
}

func (c *traffic) add(packets, bytes, errors uint64) {
	c.packets.Add(packets)
	c.bytes.Add(bytes)
	c.errors.Add(errors)
}

func (c *traffic) load() Counters {
	return Counters{Packets: c.packets.Load(), Bytes: c.bytes.Load(), Errors: c.errors.Load()}
}

func (c *Counters) add(o Counters) {
	c.Packets += o.Packets
	c.Bytes += o.Bytes
	c.Errors += o.Errors
}

// handled sums up what the ports of a Host count, as they do, so that nobody need look at each of them for it.
type handled struct {
	errors atomic.Uint64 // of both directions, without what PacketIO could not send later

	mu     sync.Mutex
	shares []*share
}

// share is what one worker has received, in lines of a cache of its own.
type share struct {
	packets, bytes atomic.Uint64
	_              [112]byte
}

// newShare begins a worker's.
func (a *handled) newShare() *share {
	s := new(share)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shares = append(a.shares, s)
	return s
}

func (a *handled) load() Counters {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := Counters{Errors: a.errors.Load()}
	for _, s := range a.shares {
		sum.Packets += s.packets.Load()
		sum.Bytes += s.bytes.Load()
	}
	return sum
}

// received counts a packet of n bytes that is p's.
func (p *port) received(n int, m *Meta) {
	p.in.count(n)
	if m.share == nil {
		m.share = p.comp.t.host.handled.newShare()
	}
	m.share.packets.Add(1)
	m.share.bytes.Add(uint64(n))
}

// refused counts a packet that is not.
func (p *port) refused() {
	p.in.errors.Add(1)
	p.comp.t.host.handled.errors.Add(1)
}

// unsent counts a packet that could not leave by p.
func (p *port) unsent() {
	p.out.errors.Add(1)
	p.comp.t.host.handled.errors.Add(1)
}

// addTo adds what the ports of a have seen.
func (a *localAddr) addTo(in, out *Counters) {
	for _, p := range a.ports {
		if p != nil {
			in.add(p.in.load())
			out.add(p.out.load())
		}
	}
}

const (
	// maxSources bounds what is remembered of the sources of a transport. More are forwarded, but not told apart.
	maxSources = 64
	// sourceIdle is how long a source must be silent before another may have its place.
	sourceIdle = 10 * time.Second
)

// sources are the synchronisation sources that a transport has received. The worker writes; all may read.
type sources struct {
	newest     *source                    // of the last packet, for the worker
	list       atomic.Pointer[[]*source]  // immutable
	unverified atomic.Pointer[unverified] // none of them
}

func (s *sources) all() []*source {
	if l := s.list.Load(); l != nil {
		return *l
	}
	return nil
}

// source is what is known of one synchronisation source. The worker alone writes; the atomics may be read by all. What each
// packet needs comes first, in little more than one line of a cache.
type source struct {
	ssrc           uint32
	pt             atomic.Uint32
	timestamp      atomic.Uint32
	route          atomic.Uint64 // Route.ID; 0: none yet
	packets, bytes atomic.Uint64
	octets         atomic.Uint64 // of the plain packets
	highest        atomic.Uint64 // extended sequence number
	jitter         atomic.Uint64 // RFC 3550 section A.8: timestamp units times 16
	last           atomic.Int64  // arrival, Unix nanoseconds
	window         uint64        // which of the 64 numbers up to highest have come; bit 0 is highest

	first                 atomic.Uint64 // extended sequence number
	duplicates, reordered atomic.Uint64
	skips, resets         atomic.Uint64 // gaps in the numbers, and new beginnings

	told atomic.Pointer[quality] // nil: nothing
}

// find is the source with this SSRC; nil: none.
func (s *sources) find(ssrc uint32) *source {
	for _, src := range s.all() {
		if src.ssrc == ssrc {
			return src
		}
	}
	return nil
}

// get finds or adds; nil when there is no room. Only for the worker.
func (s *sources) get(ssrc uint32, at time.Time) *source {
	if src := s.newest; src != nil && src.ssrc == ssrc {
		return src
	}
	if src := s.find(ssrc); src != nil {
		s.newest = src
		return src
	}
	list := s.all()
	place := len(list)
	if place == maxSources {
		place = 0
		for i := range list {
			if list[i].last.Load() < list[place].last.Load() {
				place = i
			}
		}
		if at.UnixNano()-list[place].last.Load() < int64(sourceIdle) {
			return nil
		}
	}
	return s.put(place, &source{ssrc: ssrc}, at)
}

// put makes src the source at a place of the list, or its new last one.
func (s *sources) put(place int, src *source, at time.Time) *source {
	src.last.Store(at.UnixNano())
	old := s.all()
	list := make([]*source, max(len(old), place+1))
	copy(list, old)
	list[place] = src
	s.list.Store(&list)
	s.newest = src
	return src
}

// assign remembers the route of a source, which may be nil, and returns it.
func (s *source) assign(r *Route) *Route {
	if s != nil && s.route.Load() != r.ID {
		s.route.Store(r.ID)
	}
	return r
}

// maxMisorder and maxDropout are how far a sequence number may lie back or ahead before it counts as a new beginning
// (RFC 3550 section A.1).
const (
	maxMisorder = 100
	maxDropout  = 3000
)

// firstCycle is where extended sequence numbers begin here, so that a packet sent before the first one received has one.
const firstCycle = 1 << 16

// received counts one packet. s may be nil.
func (s *source) received(h rtp.Header, size int, r *Route, at time.Time) {
	if s == nil {
		return
	}
	now := at.UnixNano()
	if s.packets.Load() == 0 {
		s.begin(firstCycle | uint64(h.Seq))
	} else {
		if !s.sequence(h.Seq) {
			s.resets.Add(1)
			s.begin(s.highest.Load()&^0xffff | uint64(h.Seq))
		} else if rate := r.clockRate(h.PT); rate != 0 && uint32(h.PT) == s.pt.Load() {
			s.addJitter(now-s.last.Load(), h.Timestamp-s.timestamp.Load(), rate)
		}
	}
	s.packets.Add(1)
	s.bytes.Add(uint64(size))
	s.timestamp.Store(h.Timestamp)
	s.pt.Store(uint32(h.PT))
	s.last.Store(now)
}

// begin starts counting anew at an extended sequence number; what was lost until now stays lost.
func (s *source) begin(seq uint64) {
	s.first.Store(seq - (s.packets.Load() - s.duplicates.Load()) - uint64(s.lost()))
	s.highest.Store(seq)
	s.window = 1
}

// sequence takes in the number of one packet. False: it is so far off that the sender must have begun anew.
func (s *source) sequence(seq uint16) bool {
	highest := s.highest.Load()
	ext := rtp.ExtendSeq(highest, seq)
	switch ahead := int64(ext - highest); {
	case ahead > maxDropout || ahead < -maxMisorder:
		return false
	case ahead > 0:
		if ahead > 1 {
			s.skips.Add(1)
		}
		s.window = s.window<<ahead | 1
		s.highest.Store(ext)
	case ahead > -64 && s.window>>-ahead&1 == 1:
		s.duplicates.Add(1)
	default:
		if ahead > -64 {
			s.window |= 1 << -ahead
		}
		if ext < s.first.Load() {
			s.first.Store(ext)
		}
		s.reordered.Add(1)
	}
	return true
}

// lost is how many packets were expected and did not come, RFC 3550 section A.3; duplicates do not make up for others.
func (s *source) lost() int64 {
	got := s.packets.Load() - s.duplicates.Load()
	if got == 0 {
		return 0
	}
	return int64(s.highest.Load() - s.first.Load() + 1 - got)
}

// addJitter takes in one pair of packets: the time in ns between their arrivals, and between their timestamps.
// Source: RFC 3550 section A.8.
func (s *source) addJitter(elapsed int64, units uint32, rate uint32) {
	if elapsed < 0 || elapsed > int64(time.Minute) {
		return // a pause; longer ones overflow too
	}
	d := elapsed*int64(rate)/int64(time.Second) - int64(int32(units))
	if d < 0 {
		d = -d
	}
	if d > 10*int64(rate) {
		return // the sender's clock has jumped
	}
	j := int64(s.jitter.Load())
	s.jitter.Store(uint64(j + d - (j+8)>>4))
}

// status is a snapshot. The counters are read one after the other while the worker goes on.
func (s *source) status() SSRCStatus {
	return SSRCStatus{
		SSRC: s.ssrc, Route: s.route.Load(),
		Packets: s.packets.Load(), Bytes: s.bytes.Load(),
		LastSeq: uint32(s.highest.Load() - firstCycle), LastTimestamp: s.timestamp.Load(),
		Lost: s.lost(), JitterUnits: float64(s.jitter.Load()) / 16,
		Duplicates: s.duplicates.Load(), Reordered: s.reordered.Load(), Skips: s.skips.Load(), Resets: s.resets.Load(),
		LastPT: uint8(s.pt.Load()), Reports: s.told.Load().reports(),
	}
}

// clockRate is the clock rate of a payload type in Hz; 0: unknown.
func (r *Route) clockRate(pt uint8) uint32 {
	if r != nil {
		for _, c := range r.ClockRates {
			if c.PT == pt {
				return c.Hz
			}
		}
	}
	return staticRates[pt&0x7f]
}

// staticRates are the clock rates of RFC 3551 section 6.
var staticRates = func() (rates [128]uint32) {
	for _, pt := range []int{0, 3, 4, 5, 7, 8, 9, 12, 13, 15, 18} {
		rates[pt] = 8000
	}
	rates[6], rates[16], rates[17] = 16000, 11025, 22050
	rates[10], rates[11] = 44100, 44100
	for _, pt := range []int{14, 25, 26, 28, 31, 32, 33, 34} {
		rates[pt] = 90000
	}
	return rates
}()

// Status is a snapshot of counters and addresses. It makes the worker wait only for a look into the fast path's table.
func (t *Transport) Status() Status {
	var st Status
	t.fast.update()
	t.mu.Lock()
	for i := range t.comps {
		st.Streams[i] = t.streamStatus(&t.comps[i])
	}
	if t.fast != nil {
		st.Streams[RTP].Kernel, st.Streams[RTP].NoKernel = t.fast.status()
	}
	if a := t.comps[RTP].assoc.Load(); a != nil {
		st.DTLSState = a.keyer.State().String()
		st.DTLSHeard = a.peer.Load() != nil
		if err := a.err.Load(); err != nil {
			st.DTLSError = (*err).Error()
		}
	}
	t.mu.Unlock()
	t.agent.status(&st)
	_, st.SSRCs = t.Received(nil)
	return st
}

// Received appends to list what Status tells of the sources, and says at which address RTP comes in. It takes no lock: for
// those who look at many transports.
func (t *Transport) Received(list []SSRCStatus) (at netip.Addr, _ []SSRCStatus) {
	t.fast.update()
	for _, src := range t.sources.all() {
		list = append(list, src.status())
	}
	if p := t.comps[RTP].local(); p != nil {
		at = p.local.Addr()
	}
	return at, list
}

// Heard is when the far side was heard last, by a packet accepted or an ICE check; zero: never.
func (t *Transport) Heard() time.Time {
	t.fast.update()
	last := t.agent.lastGood()
	for i := range t.comps {
		if ns := t.comps[i].lastHeard(); ns != 0 {
			if at := time.Unix(0, ns); at.After(last) {
				last = at
			}
		}
	}
	return last
}

// Kernel reports whether what t receives is forwarded by the fast path now. Unlike Status it takes no lock.
func (t *Transport) Kernel() bool { return t.fast != nil && t.fast.installed.Load() }

// streamStatus describes one component. t.mu is held.
func (t *Transport) streamStatus(c *component) StreamStatus {
	st := StreamStatus{
		Advertised: t.applied.Remote[c.id], LastSSRC: c.lastSSRC.Load(), NoConsent: c.noConsent.Load(),
		First: c.first.load(), Drops: c.drops.Load().load(),
	}
	st.Suite = c.suite()
	if a := c.assoc.Load(); a != nil {
		st.DTLSDone = a.done.Load()
	}
	to := c.target.Load()
	if to != nil {
		st.Endpoint, st.Confirmed, st.Filled = to.addr, to.confirmed, true
	}
	if p := c.local(); p != nil {
		st.Local = p.local
	}
	for _, a := range t.addrs {
		if p := a.ports[c.id]; p != nil {
			st.In.add(p.in.load())
			st.Out.add(p.out.load())
		}
	}
	if ns := c.lastHeard(); ns != 0 {
		st.LastPacket = time.Unix(0, ns)
		st.Drops.Passed = ns > c.lastPacket.Load()
	}
	return st
}

// local is the port that c sends by; while nothing says where to, the primary address's. nil: there is none.
func (c *component) local() *port {
	if to := c.target.Load(); to != nil && to.port.comp == c {
		return to.port
	}
	if len(c.t.addrs) == 0 {
		return nil
	}
	return c.t.addrs[0].ports[c.id]
}

// lastHeard is when the newest packet came that was accepted or passed on, in Unix nanoseconds; 0: none has.
func (c *component) lastHeard() int64 {
	ns := c.lastPacket.Load()
	if d := c.drops.Load(); d != nil {
		ns = max(ns, d.passed.Load())
	}
	return ns
}
