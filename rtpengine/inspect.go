package rtpengine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rtpsidecar/relay"
)

// CallView is a call as people look at it.
type CallView struct {
	CallID   string        `json:"call_id"`
	Created  time.Time     `json:"created"`
	Duration time.Duration `json:"duration"` // ns
	Client   string        `json:"client"`   // the proxy that made it
	Deleted  bool          `json:"deleted"`  // it lives on for the delete delay only
	Ended    string        `json:"ended,omitempty"`
	State    FlowState     `json:"state"` // the worst of its flows
	Parties  []PartyView   `json:"parties"`
	Timeline []Moment      `json:"timeline,omitempty"`
}

// PartyView is one side of a call.
type PartyView struct {
	Tag    string      `json:"tag"`
	Label  string      `json:"label,omitempty"`
	Medias []MediaView `json:"medias"`
}

// MediaView is one section of a party: what was agreed with it and what runs.
type MediaView struct {
	Index     int      `json:"index"`
	Type      string   `json:"type"`
	Rejected  bool     `json:"rejected,omitempty"`
	Protocol  string   `json:"protocol"`
	Direction string   `json:"direction"` // as its SDP says
	Codecs    []string `json:"codecs"`    // of its SDP
	InUse     string   `json:"in_use,omitempty"`
	Suite     string   `json:"suite,omitempty"`
	ICE       string   `json:"ice,omitempty"`
	DTLS      string   `json:"dtls,omitempty"`
	Pair      string   `json:"pair,omitempty"`
	Local     string   `json:"local,omitempty"`
	Said      string   `json:"said,omitempty"`     // where its SDP wants media
	Endpoint  string   `json:"endpoint,omitempty"` // where media goes
	Learnt    bool     `json:"learnt"`
	Kernel    bool     `json:"kernel"`

	In         relay.Counters `json:"in"`
	Out        relay.Counters `json:"out"`
	Lost       int64          `json:"lost"`
	JitterMS   float64        `json:"jitter_ms"`
	MOS        float64        `json:"mos"` // 0: no reports yet
	LastPacket *time.Time     `json:"last_packet,omitempty"`

	// Packets and packets lost by interval of five seconds, oldest first.
	TracePackets []uint32 `json:"trace_packets"`
	TraceLost    []uint32 `json:"trace_lost"`
}

// View shows a call, or one of the last that ended. False: neither is known by this id.
func (e *Engine) View(callID string) (CallView, bool) {
	if c := e.lockCall(callID); c != nil {
		defer e.unlock(c)
		return c.view(e.now(), c.diagnose(e.now()).Flows), true
	}
	if c := e.ended.find(callID); c != nil {
		return c.view, true
	}
	return CallView{}, false
}

// Views shows the calls whose id contains part, the newest first and at most limit, without their timelines; then those
// that ended, in the same way.
func (e *Engine) Views(part string, limit int) (now, ended []CallView) {
	now, ended = []CallView{}, []CallView{}
	calls := e.snapshot()
	calls = slices.DeleteFunc(calls, func(c *Call) bool { return !strings.Contains(c.ID, part) })
	slices.SortFunc(calls, func(a, b *Call) int { return cmp.Or(b.created.Compare(a.created), strings.Compare(a.ID, b.ID)) })
	for _, c := range calls[:min(limit, len(calls))] {
		c.mu.Lock()
		if !c.dead {
			v := c.view(e.now(), c.diagnose(e.now()).Flows)
			v.Timeline = nil
			now = append(now, v)
		}
		e.unlock(c)
	}
	for _, c := range e.ended.all() {
		if len(ended) < limit && strings.Contains(c.id, part) {
			v := c.tell().view
			v.Timeline = nil
			ended = append(ended, v)
		}
	}
	return now, ended
}

// Summary are the daemon's figures of this moment.
type Summary struct {
	Sessions         int64   `json:"sessions"`
	Uptime           float64 `json:"uptime"` // s
	PacketsPerSecond uint64  `json:"packets_per_second"`
	BytesPerSecond   uint64  `json:"bytes_per_second"`
	ErrorsPerSecond  uint64  `json:"errors_per_second"`
	Managed          uint64  `json:"managed"` // calls that ended
	OneWay           uint64  `json:"one_way"` // of these
	ZeroWay          uint64  `json:"zero_way"`
	ICEFailed        uint64  `json:"ice_failed"`
	DTLSFailed       uint64  `json:"dtls_failed"`
	MOS              float64 `json:"mos"` // average of all samples; 0: none
}

// Summary sums the daemon up.
func (e *Engine) Summary() Summary {
	s := &e.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	return Summary{
		Sessions: e.calls.Load(), Uptime: e.now().Sub(e.started).Seconds(),
		PacketsPerSecond: s.rates.packets, BytesPerSecond: s.rates.bytes, ErrorsPerSecond: s.rates.errors,
		Managed: s.managed.Load(), OneWay: s.oneWay, ZeroWay: s.zeroWay,
		ICEFailed: s.iceFailed.Load(), DTLSFailed: s.dtlsFailed.Load(), MOS: s.voip.mos.average(),
	}
}

// severity orders states.
var severity = map[FlowState]int{FlowOK: 0, FlowOff: 1, FlowWaiting: 2, FlowFault: 3}

func worst(flows []Flow) FlowState {
	w := FlowOK
	for _, f := range flows {
		if severity[f.State] > severity[w] {
			w = f.State
		}
	}
	if len(flows) == 0 {
		w = FlowWaiting
	}
	return w
}

// view shows c, which is locked and has these flows.
func (c *Call) view(now time.Time, flows []Flow) CallView {
	v := CallView{
		CallID: c.ID, Created: c.created, Duration: now.Sub(c.created), Client: c.proxy, Deleted: !c.deleteAt.IsZero(),
		State: worst(flows), Parties: []PartyView{}, Timeline: c.timeline.moments(),
	}
	for _, p := range c.alive() {
		pv := PartyView{Tag: p.name(), Label: p.Label, Medias: []MediaView{}}
		for _, m := range p.Medias {
			pv.Medias = append(pv.Medias, c.mediaView(m))
		}
		v.Parties = append(v.Parties, pv)
	}
	return v
}

func (c *Call) mediaView(m *Media) MediaView {
	l := &m.leg
	v := MediaView{Index: m.Index, Type: m.Type, Rejected: l.Rejected, Protocol: first(l.Protocol.String(), l.ProtoText), Codecs: []string{}}
	if l.Seen {
		v.Direction = l.Dir.String()
	}
	for i := range l.Codecs {
		v.Codecs = append(v.Codecs, codecName(&l.Codecs[i]))
	}
	v.TracePackets, v.TraceLost = m.trace.lists()
	v.Said = address(l.Remote[relay.RTP])
	port := m.port()
	if port == nil {
		return v
	}
	st := port.status()
	rtp := &st.Streams[relay.RTP]
	v.InUse, v.Suite, v.ICE, v.DTLS = m.codecInUse(st), rtp.Suite, st.ICEState, st.DTLSState
	v.Local, v.Endpoint, v.Learnt, v.Kernel = address(rtp.Local), address(rtp.Endpoint), rtp.Confirmed, rtp.Kernel
	v.In, v.Out = rtp.In, rtp.Out
	if p := st.Pairs[relay.RTP]; p.Remote.IsValid() {
		v.Pair = fmt.Sprintf("%v to %v", p.Local, p.Remote)
	}
	if !rtp.LastPacket.IsZero() {
		last := rtp.LastPacket // alone, so that not all of st is kept
		v.LastPacket = &last
	}
	for i := range st.SSRCs {
		s := &st.SSRCs[i]
		if m.bundled() && s.Route != m.id {
			continue
		}
		v.Lost += max(s.Lost, 0)
		if s.SSRC == rtp.LastSSRC || v.JitterMS == 0 {
			v.JitterMS = s.JitterUnits / clockRate(m, s.LastPT) * 1000
		}
		if q := c.qualityWhere(func(v verdict) bool { return v.source == s.SSRC }); q != nil {
			v.MOS = q.sum.over(q.n).mos
		}
	}
	return v
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
