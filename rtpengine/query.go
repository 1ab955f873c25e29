package rtpengine

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// query reports a call.
func (e *Engine) query(x *exchange) error {
	f := &x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCallID
	}
	defer e.unlock(c)
	c.report(&x.reply, first(f.ToTag, f.FromTag))
	return nil
}

// report writes what query and delete say about c. tag limits it to that party and those it talks to; "" is everyone.
func (c *Call) report(d *ng.Dict, tag string) {
	now := c.engine.now()
	c.sampleQuality(now)
	d.AddInt("created", c.created.Unix())
	d.AddInt("created_us", int64(c.created.Nanosecond()/1000))
	d.AddInt("created_ts", c.created.UnixMicro())
	d.AddInt("last signal", c.lastSignal.Unix())
	d.AddInt("last redis update", 0)
	if c.metadata != "" {
		d.AddString("metadata", c.metadata)
	}
	parties := c.selected(tag)
	r := reporter{call: c, now: now}
	tags := &ng.Dict{}
	var sum totals
	if tag == "" {
		sum = c.gone
	}
	for _, p := range parties {
		tags.AddDict(p.name(), r.party(p, &sum))
	}
	d.AddDict("SSRC", r.sources(parties))
	d.AddDict("tags", tags)
	t := &ng.Dict{}
	t.AddDict("RTP", countersDict(sum.RTP))
	t.AddDict("RTCP", countersDict(sum.RTCP))
	d.AddDict("totals", t)
}

// selected are the parties that a report is about.
func (c *Call) selected(tag string) []*Participant {
	if tag == "" {
		return c.participants
	}
	p := c.participant(tag)
	if p == nil {
		return nil
	}
	list := []*Participant{p}
	for _, m := range p.Medias {
		for _, s := range slices.Concat(m.sources, m.sinks) {
			for _, o := range []*Participant{s.from.party, s.to.party} {
				if !slices.Contains(list, o) {
					list = append(list, o)
				}
			}
		}
	}
	return list
}

// reporter holds what a report gathers: each transport is asked once.
type reporter struct {
	call  *Call
	now   time.Time
	looks map[*localPort]*relay.Status
}

func (r *reporter) statusOf(l *localPort) *relay.Status {
	if l == nil || l.last != nil {
		return l.status()
	}
	st := r.looks[l]
	if st == nil {
		if r.looks == nil {
			r.looks = map[*localPort]*relay.Status{}
		}
		st = l.status()
		r.looks[l] = st
	}
	return st
}

func (r *reporter) party(p *Participant, sum *totals) *ng.Dict {
	d := ng.NewDict(9)
	d.AddString("tag", p.Tag)
	if len(p.Aliases) > 0 {
		d.Add("tag-aliases", ng.Strings(p.Aliases))
	}
	if p.ViaBranch != "" {
		d.AddString("via-branch", p.ViaBranch)
	}
	if p.Label != "" {
		d.AddString("label", p.Label)
	}
	d.AddInt("created", p.created.Unix())
	if p.metadata != "" {
		d.AddString("metadata", p.metadata)
	}
	d.Add("subscriptions", p.links(func(m *Media) []*subscription { return m.sources }, func(s *subscription) *Media { return s.from }))
	d.Add("subscribers", p.links(func(m *Media) []*subscription { return m.sinks }, func(s *subscription) *Media { return s.to }))
	var medias []ng.Value
	for _, m := range p.Medias {
		medias = append(medias, ng.DictValue(r.media(m, sum)))
	}
	d.Add("medias", ng.List(medias...))
	d.Add("VSC", ng.List())
	return d
}

// links lists the parties at the other end of subscriptions, each kind once.
func (p *Participant) links(of func(*Media) []*subscription, end func(*subscription) *Media) ng.Value {
	var list []ng.Value
	type link struct {
		p  *Participant
		oa bool
	}
	var seen []link
	for _, m := range p.Medias {
		for _, s := range of(m) {
			l := link{end(s).party, s.offerAnswer}
			if slices.Contains(seen, l) {
				continue
			}
			seen = append(seen, l)
			d := ng.NewDict(2)
			d.AddString("tag", l.p.Tag)
			kind := "pub/sub"
			if l.oa {
				kind = "offer/answer"
			}
			d.AddString("type", kind)
			list = append(list, ng.DictValue(d))
		}
	}
	return ng.List(list...)
}

func (r *reporter) media(m *Media, sum *totals) *ng.Dict {
	d := ng.NewDict(9)
	st := r.statusOf(m.port())
	if m.local != nil {
		add(&sum.RTP, st.Streams[relay.RTP].In)
		add(&sum.RTCP, st.Streams[relay.RTCP].In)
		for _, l := range m.spares {
			s := r.statusOf(l)
			add(&sum.RTP, s.Streams[relay.RTP].In)
			add(&sum.RTCP, s.Streams[relay.RTCP].In)
		}
	}
	d.AddInt("index", int64(m.Index))
	d.AddString("type", m.Type)
	if proto := first(m.leg.Protocol.String(), m.leg.ProtoText); proto != "" {
		d.AddString("protocol", proto)
	}
	if codec := m.codecInUse(st); codec != "" {
		d.AddString("codec", codec)
	}
	d.Add("streams", ng.List(ng.DictValue(r.stream(m, st, relay.RTP)), ng.DictValue(r.stream(m, st, relay.RTCP))))
	d.Add("flags", ng.Strings(m.flagWords()))
	if r.call.engine.cfg.SSRCReporting != "none" {
		d.Add("ingress SSRCs", r.ssrcList(st, m))
		d.Add("egress SSRCs", r.egress(m))
	}
	return d
}

// codecInUse names the codec of the last packet received.
func (m *Media) codecInUse(st *relay.Status) string {
	if len(st.SSRCs) == 0 {
		return ""
	}
	last := st.SSRCs[len(st.SSRCs)-1]
	for _, s := range st.SSRCs {
		if s.SSRC == st.Streams[relay.RTP].LastSSRC {
			last = s
		}
	}
	for i := range m.leg.Codecs {
		if c := &m.leg.Codecs[i]; c.PT == last.LastPT && c.Name != "" {
			return codecName(c)
		}
	}
	return ""
}

// codecName is a codec as an rtpmap names it.
func codecName(c *sdp.Codec) string {
	if c.Name == "" {
		return strconv.Itoa(int(c.PT))
	}
	text := c.Name + "/" + strconv.Itoa(c.ClockHz)
	if c.Channels > 1 {
		text += "/" + strconv.Itoa(c.Channels)
	}
	return text
}

func (r *reporter) stream(m *Media, st *relay.Status, comp relay.Component) *ng.Dict {
	d := ng.NewDict(14)
	s := st.Streams[comp]
	muxed := comp == relay.RTCP && m.leg.Mux.On
	switch {
	case m.transport() == nil || m.idles():
	case muxed || !s.Local.IsValid():
		d.AddInt("local port", 0)
	default:
		d.AddInt("local port", int64(s.Local.Port()))
		d.AddString("local address", s.Local.Addr().String())
		d.AddString("family", familyName(s.Local.Addr()))
	}
	if !s.Advertised.IsValid() {
		s.Advertised = m.leg.Remote[comp]
	}
	if !s.Endpoint.IsValid() {
		s.Endpoint = s.Advertised
	}
	d.AddDict("endpoint", endpointDict(s.Endpoint))
	d.AddDict("advertised endpoint", endpointDict(s.Advertised))
	if s.Suite != "" {
		d.AddString("crypto suite", s.Suite)
	}
	last := s.LastPacket
	if last.IsZero() {
		last = r.call.created
	}
	d.AddInt("last packet", last.Unix())
	kernel, user := int64(0), last.Unix()
	if s.Kernel {
		kernel = last.Unix()
	}
	d.AddInt("last kernel packet", kernel)
	d.AddInt("last user packet", user)
	if s.LastSSRC != 0 {
		d.AddInt("SSRC", int64(s.LastSSRC))
	}
	d.Add("flags", ng.Strings(m.streamWords(s, comp)))
	if s.NoKernel != "" {
		d.AddString("no kernel reason", s.NoKernel) // ours
	}
	d.AddDict("stats", countersDict(s.In))
	d.AddDict("stats_out", countersDict(s.Out))
	return d
}

func (m *Media) streamWords(s relay.StreamStatus, comp relay.Component) []string {
	var w wordList
	w.when(comp == relay.RTP, "RTP")
	w.when(comp == relay.RTCP || m.leg.Mux.On, "RTCP")
	w.when(comp == relay.RTCP && m.leg.Mux.On, "fallback RTCP")
	w.when(s.Filled || s.Advertised.IsValid(), "filled")
	w.when(s.Confirmed, "confirmed")
	w.when(s.Kernel, "kernelized")
	w.when(s.NoKernel != "", "no kernel support")
	w.when(s.DTLSDone, "DTLS fingerprint verified")
	w.when(s.NoConsent, "consent lost") // ours: the reference says nothing of it
	w.when(m.leg.Flags.StrictSource && !m.leg.refuses(), "strict source address")
	w.when(m.leg.Flags.Handover && !m.leg.refuses(), "media handover")
	return w
}

// flagWords are the words of a media's flags list.
func (m *Media) flagWords() []string {
	l := &m.leg
	var w wordList
	w.when(l.Seen, "initialized")
	w.when(l.Flags.Asymmetric && !l.refuses(), "asymmetric")
	w.when(l.receives(), "send")
	w.when(l.sends(), "recv")
	w.when(l.Mux.On, "rtcp-mux")
	w.when(l.DTLS.On, "DTLS-SRTP")
	w.when(l.DTLS.On && l.DTLS.Decided && l.DTLS.Active, "DTLS role active")
	w.when(l.DTLS.On && l.DTLS.Decided && !l.DTLS.Active, "DTLS role passive")
	w.when(l.secure() && len(l.SDES.Sent) > 0, "SDES")
	w.when(m.leg.Blind || m.passthrough(), "passthrough")
	w.when(l.ICE.On && !l.refuses(), "ICE")
	w.when(l.ICE.On && !l.refuses() && l.ICE.Trickle, "trickle ICE")
	w.when(l.ICE.Controlling, "ICE controlling")
	w.when(l.ICE.On && l.ICE.RemoteLite, "ICE-lite peer")
	w.when(l.ICE.On && l.ICE.Lite, "ICE-lite self")
	w.when(l.LoopCheck, "loop check")
	w.when(l.PTimeWish != 0, "ptime-override")
	if d, ok := m.party.doubles[m.Index-1]; ok && !d.open {
		w.when(!d.secureFirst, "legacy OSRTP")
		w.when(d.secureFirst, "reverse legacy OSRTP")
	}
	w.when(l.Protocol.IsAVPF(), "RTCP feedback")
	w.when(l.rtp() && m.party.call.generateRTCP, "RTCP generator")
	w.when(m.echo == echoBack, "echo")
	w.when(m.echo == echoDiscard, "blackhole")
	return w
}

func (m *Media) passthrough() bool {
	for _, s := range m.sinks {
		if !s.from.leg.SDES.Chosen {
			continue // spare the rest of the question
		}
		if k, ok := s.sink(); ok && k.Passthrough {
			return true
		}
	}
	return false
}

// wordList is a list of flag words.
type wordList []string

func (w *wordList) when(b bool, word string) {
	if b {
		*w = append(*w, word)
	}
}

func (r *reporter) ssrcList(st *relay.Status, m *Media) ng.Value {
	var list []ng.Value
	for i := range st.SSRCs {
		if m.bundled() && st.SSRCs[i].Route != m.id {
			continue
		}
		d := ng.NewDict(12)
		d.AddInt("SSRC", int64(st.SSRCs[i].SSRC))
		if r.call.engine.cfg.SSRCReporting != "global" {
			r.ssrc(d, &st.SSRCs[i])
		}
		list = append(list, ng.DictValue(d))
	}
	return ng.List(list...)
}

// egress are the sources whose packets m's party is sent.
func (r *reporter) egress(m *Media) ng.Value {
	var list []ng.Value
	for _, s := range m.sources {
		list = append(list, r.ssrcList(r.statusOf(s.from.port()), s.from).List()...)
	}
	return ng.List(list...)
}

// sources is the call's SSRC dictionary.
func (r *reporter) sources(parties []*Participant) *ng.Dict {
	d := &ng.Dict{}
	if s := r.call.engine.cfg.SSRCReporting; s == "none" || s == "inline" {
		return d
	}
	seen := map[uint32]bool{}
	for _, p := range parties {
		for _, m := range p.Medias {
			if m.local == nil {
				continue
			}
			for _, src := range r.statusOf(m.local).SSRCs {
				if seen[src.SSRC] {
					continue // two parties of merged calls may have chosen the same
				}
				seen[src.SSRC] = true
				sub := &ng.Dict{}
				r.ssrc(sub, &src)
				d.AddDict(strconv.FormatUint(uint64(src.SSRC), 10), sub)
			}
		}
	}
	return d
}

func (r *reporter) ssrc(d *ng.Dict, s *relay.SSRCStatus) {
	d.AddInt("bytes", int64(s.Bytes))
	d.AddInt("packets", int64(s.Packets))
	d.AddInt("last RTP timestamp", int64(s.LastTimestamp))
	d.AddInt("last RTP seq", int64(s.LastSeq&0xffff))
	// What a party says is listed with its own source, as in the reference.
	q := r.call.qualityWhere(func(v verdict) bool { return v.reporter == s.SSRC })
	if q == nil {
		return
	}
	d.AddInt("cumulative loss", max(s.Lost, 0))
	avg := q.sum.over(q.n)
	a := sampleDict(avg)
	a.AddInt("samples", int64(q.n))
	d.AddDict("average MOS", a)
	d.AddDict("lowest MOS", reportedDict(q.lowest))
	d.AddDict("highest MOS", reportedDict(q.highest))
	p := &ng.Dict{}
	p.AddInt("interval", int64(q.interval/time.Second))
	var list []ng.Value
	for _, x := range q.progress {
		list = append(list, ng.DictValue(reportedDict(x)))
	}
	if q.partN > 0 {
		list = append(list, ng.DictValue(reportedDict(q.part.over(q.partN))))
	}
	p.Add("entries", ng.List(list...))
	d.AddDict("MOS progression", p)
}

// sampleDict writes a sample in the units of the protocol: MOS times ten and cut off, round trips in µs, jitter in ms, loss in percent.
func sampleDict(s sample) *ng.Dict {
	d := ng.NewDict(6)
	d.AddInt("MOS", int64(s.mos*10+1e-6))
	d.AddInt("round-trip time", s.roundTrip.Microseconds())
	d.AddInt("round-trip time leg", s.leg.Microseconds())
	d.AddInt("jitter", s.jitter.Milliseconds())
	d.AddInt("packet loss", int64(s.loss))
	return d
}

func reportedDict(s sample) *ng.Dict {
	d := sampleDict(s)
	d.AddInt("reported at", s.at.Unix())
	return d
}

func endpointDict(a netip.AddrPort) *ng.Dict {
	d := ng.NewDict(3)
	if !a.IsValid() {
		return d
	}
	d.AddString("family", familyName(a.Addr()))
	d.AddString("address", a.Addr().String())
	d.AddInt("port", int64(a.Port()))
	return d
}

func familyName(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		return "IPv6"
	}
	return "IPv4"
}

func countersDict(c relay.Counters) *ng.Dict {
	d := ng.NewDict(3)
	d.AddInt("packets", int64(c.Packets))
	d.AddInt("bytes", int64(c.Bytes))
	d.AddInt("errors", int64(c.Errors))
	return d
}
