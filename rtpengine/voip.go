package rtpengine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rtpsidecar/relay"
)

// ifaceKey names one local address of a logical interface.
type ifaceKey struct {
	name string
	addr netip.Addr
}

// of are the sums of an interface. counters.mu is held.
func (s *counters) of(key ifaceKey) *voipSums {
	v := s.ifaces[key]
	if v == nil {
		if s.ifaces == nil {
			s.ifaces = map[ifaceKey]*voipSums{}
		}
		v = &voipSums{}
		s.ifaces[key] = v
	}
	return v
}

// sampled takes one reception report in.
func (s *counters) sampled(x sample, key ifaceKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range []*voipSums{&s.voip, s.of(key)} {
		v.mos.add(x.mos)
		v.jitter.add(float64(x.jitter.Milliseconds()))
		v.rttE2E.add(float64(x.roundTrip.Microseconds()))
		v.rttLeg.add(float64(x.leg.Microseconds()))
		v.loss.add(x.loss)
	}
}

// received is what sequence numbers tell about the packets of one transport.
type received struct {
	packets, lost, duplicates, reordered, skips, resets uint64
}

func receivedBy(sources []relay.SSRCStatus) (r received) {
	for i := range sources {
		src := &sources[i]
		r.packets += src.Packets
		r.lost += uint64(max(src.Lost, 0))
		r.duplicates += src.Duplicates
		r.reordered += src.Reordered
		r.skips += src.Skips
		r.resets += src.Resets
	}
	return r
}

// since is what has been added to o. What became less (late packets made up for loss, a source was replaced) adds
// nothing: counters only grow.
func (r received) since(o received) received {
	grown := func(a, b uint64) uint64 { return max(a, b) - b }
	return received{
		packets: grown(r.packets, o.packets), lost: grown(r.lost, o.lost), duplicates: grown(r.duplicates, o.duplicates),
		reordered: grown(r.reordered, o.reordered), skips: grown(r.skips, o.skips), resets: grown(r.resets, o.resets),
	}
}

// measured takes in what the relay itself has seen of m's sources since the last time; now is their sum.
func (s *counters) measured(m *Media, now received, sources []relay.SSRCStatus, key ifaceKey) {
	more := now.since(m.local.counted)
	m.local.counted = now
	if more == (received{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range []*voipSums{&s.voip, s.of(key)} {
		v.lost += more.lost
		v.duplicates += more.duplicates
		v.reordered += more.reordered
		v.skips += more.skips
		v.resets += more.resets
		for i := range sources {
			if src := &sources[i]; src.Packets > 1 {
				v.measured.add(src.JitterUnits / clockRate(m, src.LastPT) * 1000)
			}
		}
	}
}

// traceLen is how many intervals of a quality period each a trace holds: five minutes.
const traceLen = 60

// trace remembers packets and loss of a media, interval by interval, for people to look at.
type trace struct {
	last received
	at   int64      // Unix nanoseconds; 0: not begun
	list []interval // a ring once it is full
	next int        // where the ring goes on
}

// interval is what came in one of a trace's intervals.
type interval struct{ packets, lost uint32 }

// take ends an interval; looks in between, as for a query, are passed over.
func (t *trace) take(now time.Time, r received) {
	if now.UnixNano()-t.at < int64(qualityPeriod/2) {
		return
	}
	more := r.since(t.last)
	t.last, t.at = r, now.UnixNano()
	i := interval{uint32(more.packets), uint32(more.lost)}
	if len(t.list) < traceLen {
		t.list = append(t.list, i)
		return
	}
	t.list[t.next] = i
	t.next = (t.next + 1) % traceLen
}

// lists are the intervals, oldest first.
func (t *trace) lists() (packets, lost []uint32) {
	packets, lost = []uint32{}, []uint32{}
	for _, i := range slices.Concat(t.list[t.next:], t.list[:t.next]) {
		packets = append(packets, i.packets)
		lost = append(lost, i.lost)
	}
	return packets, lost
}

// The metrics of an interface.
var (
	mIfaceLost       = newFamily(counter, "interface_packets_lost", "Packets lost on the way to an interface", "name", "address")
	mIfaceDuplicates = newFamily(counter, "interface_duplicates", "RTP packets that an interface received twice", "name", "address")

	mIfaceMOS      = newQuantity("interface_mos", "the mean opinion score", "name", "address")
	mIfaceJitter   = newQuantity("interface_jitter", "the reported jitter in ms", "name", "address")
	mIfaceRTTE2E   = newQuantity("interface_rtt_e2e", "the end-to-end round trip in µs", "name", "address")
	mIfaceRTTLeg   = newQuantity("interface_rtt_dsct", "the round trip of one leg in µs", "name", "address")
	mIfaceLoss     = newQuantity("interface_packetloss", "the reported packet loss in percent", "name", "address")
	mIfaceMeasured = newQuantity("interface_jitter_measured", "the jitter measured here in ms", "name", "address")
)

func (s *counters) collectInterface(ch chan<- prometheus.Metric, key ifaceKey) {
	s.mu.Lock()
	v := *s.of(key)
	s.mu.Unlock()
	labels := []string{key.name, key.addr.String()}
	mIfaceLost.emit(ch, float64(v.lost), labels...)
	mIfaceDuplicates.emit(ch, float64(v.duplicates), labels...)
	mIfaceMOS.emit(ch, &v.mos, labels...)
	mIfaceJitter.emit(ch, &v.jitter, labels...)
	mIfaceRTTE2E.emit(ch, &v.rttE2E, labels...)
	mIfaceRTTLeg.emit(ch, &v.rttLeg, labels...)
	mIfaceLoss.emit(ch, &v.loss, labels...)
	mIfaceMeasured.emit(ch, &v.measured, labels...)
}
