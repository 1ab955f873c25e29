package rtpengine

import (
	"github.com/prometheus/client_golang/prometheus"

	"rtpsidecar/relay"
)

// Metrics are the engine's figures for Prometheus, under the names that the reference uses, so that dashboards survive.
// Register the collector once; each scrape looks at the engine as it is.
func (e *Engine) Metrics() prometheus.Collector { return collector{e} }

type collector struct{ e *Engine }

// Describe announces nothing: labels depend on clients and interfaces, so the collector is unchecked.
func (collector) Describe(chan<- *prometheus.Desc) {}

// metricFamily is one metric of the collector.
type metricFamily struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newFamily(kind prometheus.ValueType, name, help string, labels ...string) metricFamily {
	return metricFamily{prometheus.NewDesc("rtpengine_"+name, help, labels, nil), kind}
}

func (f metricFamily) emit(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// The metrics. Labels follow the help text.
var (
	mSessions      = newFamily(gauge, "sessions", "Calls now", "type")
	mTranscoded    = newFamily(gauge, "transcoded_media", "Media being transcoded")
	mStreams       = newFamily(gauge, "mediastreams", "Media with ports", "type")
	mUptime        = newFamily(gauge, "uptime_seconds", "Seconds since the start")
	mDurationAvg   = newFamily(gauge, "call_duration_avg", "Average duration of ended calls in seconds")
	mSessionsTotal = newFamily(counter, "sessions_total", "Calls that ended")
	mZeroWay       = newFamily(counter, "zero_packet_streams_total", "Calls without any packet received")
	mOneWay        = newFamily(counter, "one_way_sessions_total", "Calls with packets from one side only")
	mClosed        = newFamily(counter, "closed_sessions_total", "Calls that ended, by reason", "reason")
	mPackets       = newFamily(counter, "packets_total", "Packets received", "type")
	mErrors        = newFamily(counter, "packet_errors_total", "Packets dropped as wrong", "type")
	mBytes         = newFamily(counter, "bytes_total", "Bytes received", "type")
	mDuration      = newFamily(counter, "call_duration_total", "Sum of call durations in seconds")
	mDuration2     = newFamily(counter, "call_duration2_total", "Sum of squares of call durations")
	mRequests      = newFamily(counter, "requests_total", "Control requests", "proxy", "request")
	mRequestTime   = newFamily(counter, "request_seconds_total", "Seconds spent in control requests", "proxy", "request")
	mRequestErrors = newFamily(counter, "errors_total", "Control requests answered with an error", "proxy")
	mUnknownWords  = newFamily(counter, "unknown_words_total", "Unknown keys and flags in control requests")
	mPortsUsed     = newFamily(gauge, "ports_used", "Media ports in use", "name", "address")
	mPortsFree     = newFamily(gauge, "ports_free", "Media ports free", "name", "address")
	mPorts         = newFamily(gauge, "ports", "Media ports in the range", "name", "address")
	mIfacePackets  = newFamily(gauge, "interface_packets", "Packets of an interface", "name", "address", "direction")
	mIfaceBytes    = newFamily(gauge, "interface_bytes", "Bytes of an interface", "name", "address", "direction")
	mIfaceErrors   = newFamily(gauge, "interface_errors", "Errors of an interface", "name", "address", "direction")
	mMediaCache    = newFamily(gauge, "media_cache", "Media files kept in memory")
	mPlayerCache   = newFamily(gauge, "player_cache", "Encoded media kept in memory")
	mICEFailed     = newFamily(counter, "ice_failed_total", "ICE sessions that found no pair")
	mConsentLost   = newFamily(counter, "ice_consent_lost_total", "ICE sessions whose consent ran out")
	mDTLSFailed    = newFamily(counter, "dtls_failed_total", "DTLS handshakes that failed")
	mFlows         = newFamily(gauge, "fastpath_flows", "Flows that the kernel forwards")
	mFlowsEntered  = newFamily(counter, "fastpath_flows_total", "Flows handed to the kernel so far, a flow once for each time")
	mFlowsRefused  = newFamily(counter, "fastpath_refused_total", "Streams that the kernel could not take, each time that is found", "reason")
	mGuard         = newFamily(counter, "fastpath_guard_total", "Packets to media ports where nobody listens, while they are limited", "verdict")
	mEventsDropped = newFamily(counter, "events_dropped_total", "Relay events lost because nobody was quick enough")
)

// quantity is a measured quantity: sum, sum of squares and number of samples.
type quantity struct {
	sum, squares, samples metricFamily
}

func newQuantity(name, help string, labels ...string) quantity {
	return quantity{
		sum:     newFamily(counter, name+"_total", "Sum of samples of "+help, labels...),
		squares: newFamily(counter, name+"2_total", "Sum of squares of samples of "+help, labels...),
		samples: newFamily(counter, name+"_samples_total", "Number of samples of "+help, labels...),
	}
}

var (
	mMOS      = newQuantity("mos", "the mean opinion score")
	mJitter   = newQuantity("jitter", "the reported jitter in ms")
	mRTTE2E   = newQuantity("rtt_e2e", "the end-to-end round trip in µs")
	mRTTLeg   = newQuantity("rtt_dsct", "the round trip of one leg in µs")
	mLoss     = newQuantity("packetloss", "the reported packet loss in percent")
	mMeasured = newQuantity("jitter_measured", "the jitter measured here in ms")

	mLost       = newFamily(counter, "packets_lost", "Packets lost on the way here")
	mDuplicates = newFamily(counter, "rtp_duplicates", "RTP packets received twice")
	mReordered  = newFamily(counter, "rtp_reordered", "RTP packets received out of order")
	mSkips      = newFamily(counter, "rtp_skips", "Gaps in RTP sequence numbers")
	mResets     = newFamily(counter, "rtp_seq_resets", "RTP sequences that began anew")
)

func (q quantity) emit(ch chan<- prometheus.Metric, s *sum, labels ...string) {
	q.sum.emit(ch, s.sum, labels...)
	q.squares.emit(ch, s.sumSq, labels...)
	q.samples.emit(ch, float64(s.n), labels...)
}

// Collect takes one look at everything.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	e := c.e
	total := e.host.Totals()
	calls := float64(e.calls.Load())
	mSessions.emit(ch, calls, "own")
	mSessions.emit(ch, 0, "foreign")
	mTranscoded.emit(ch, 0)
	streams, inKernel := e.streams()
	mStreams.emit(ch, float64(streams-inKernel), "userspace")
	mStreams.emit(ch, float64(inKernel), "kernel")
	mStreams.emit(ch, 0, "mixed") // what a media receives is one flow
	mUptime.emit(ch, e.now().Sub(e.started).Seconds())
	for kind, n := range map[string]relay.Counters{"userspace": total.User, "kernel": total.Kernel} {
		mPackets.emit(ch, float64(n.Packets), kind)
		mErrors.emit(ch, float64(n.Errors), kind)
		mBytes.emit(ch, float64(n.Bytes), kind)
	}
	mEventsDropped.emit(ch, float64(total.EventsDropped))
	mFlows.emit(ch, float64(total.Flows))
	mFlowsEntered.emit(ch, float64(total.FlowsEntered))
	for reason, n := range total.Refused {
		mFlowsRefused.emit(ch, float64(n), reason)
	}
	mGuard.emit(ch, float64(total.GuardPassed), "passed")
	mGuard.emit(ch, float64(total.GuardDropped), "dropped")
	mMediaCache.emit(ch, 0)
	mPlayerCache.emit(ch, 0)
	e.stats.collect(ch)
	e.control.collect(ch)
	mUnknownWords.emit(ch, float64(e.unknown.total.Load()))
	for _, u := range e.host.Use() {
		name, addr := u.Interface.Name, u.Interface.Local.String()
		mPortsUsed.emit(ch, float64(u.Used), name, addr)
		mPortsFree.emit(ch, float64(u.Ports-u.Used), name, addr)
		mPorts.emit(ch, float64(u.Ports), name, addr)
		e.stats.collectInterface(ch, ifaceKey{name, u.Interface.Local})
		for way, n := range map[string]relay.Counters{"ingress": u.In, "egress": u.Out} {
			mIfacePackets.emit(ch, float64(n.Packets), name, addr, way)
			mIfaceBytes.emit(ch, float64(n.Bytes), name, addr, way)
			mIfaceErrors.emit(ch, float64(n.Errors), name, addr, way)
		}
	}
}

// closedRejected is the reason of calls that never were: refused for a limit.
const closedRejected = "rejected"

func (s *counters) collect(ch chan<- prometheus.Metric) {
	mSessionsTotal.emit(ch, float64(s.managed.Load()))
	mClosed.emit(ch, float64(s.rejected.Load()), closedRejected)
	for r := range closedShutdown {
		mClosed.emit(ch, float64(s.reasons[r].Load()), r.String())
	}
	mICEFailed.emit(ch, float64(s.iceFailed.Load()))
	mConsentLost.emit(ch, float64(s.consentLost.Load()))
	mDTLSFailed.emit(ch, float64(s.dtlsFailed.Load()))
	s.mu.Lock()
	durations, zero, one, v := s.durations, s.zeroWay, s.oneWay, s.voip
	s.mu.Unlock()
	mDurationAvg.emit(ch, durations.average())
	mDuration.emit(ch, durations.sum)
	mDuration2.emit(ch, durations.sumSq)
	mZeroWay.emit(ch, float64(zero))
	mOneWay.emit(ch, float64(one))
	mMOS.emit(ch, &v.mos)
	mJitter.emit(ch, &v.jitter)
	mRTTE2E.emit(ch, &v.rttE2E)
	mRTTLeg.emit(ch, &v.rttLeg)
	mLoss.emit(ch, &v.loss)
	mMeasured.emit(ch, &v.measured)
	mLost.emit(ch, float64(v.lost))
	mDuplicates.emit(ch, float64(v.duplicates))
	mReordered.emit(ch, float64(v.reordered))
	mSkips.emit(ch, float64(v.skips))
	mResets.emit(ch, float64(v.resets))
}

func (c *control) collect(ch chan<- prometheus.Metric) {
	for _, p := range c.snapshot() {
		for i, cmd := range commands {
			mRequests.emit(ch, float64(p.counts[i]), p.proxy, cmd.name) // commands not used too, as the reference does
			mRequestTime.emit(ch, p.duration[i].Seconds(), p.proxy, cmd.name)
		}
		mRequestErrors.emit(ch, float64(p.errors), p.proxy)
	}
}
