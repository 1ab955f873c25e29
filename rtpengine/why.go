package rtpengine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rtpsidecar/relay"
)

// Diagnosis says in plain words what happens to the media of a call: one flow for each direction of each section.
type Diagnosis struct {
	CallID  string    `json:"call_id"`
	At      time.Time `json:"at"`
	Ended   string    `json:"ended,omitempty"` // why the call ended; empty: it goes on
	Summary string    `json:"summary"`
	Flows   []Flow    `json:"flows"`
}

// Flow is what one party sends to another in one section.
type Flow struct {
	From   string    `json:"from"` // tags
	To     string    `json:"to"`
	Media  int       `json:"media"` // 1-based section of From
	Type   string    `json:"type"`
	State  FlowState `json:"state"`
	Causes []Cause   `json:"causes,omitempty"` // why it is not heard, the likeliest first
	Notes  []Cause   `json:"notes,omitempty"`  // remarkable, but no fault
}

// FlowState sums a flow up.
type FlowState string

// The states.
const (
	FlowOK      FlowState = "ok"      // packets come in and go out
	FlowOff     FlowState = "off"     // silent because the parties, or a command, want it so
	FlowWaiting FlowState = "waiting" // silent, but too young for a judgement
	FlowFault   FlowState = "fault"
)

// Cause is one reason why a flow is silent. Code is for programs and never changes its meaning.
type Cause struct {
	Code   string `json:"code"`
	Party  string `json:"party"` // whose leg it is about
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`

	agreed  bool // silent on purpose
	patient bool // counts only once the call has had time
}

const (
	// patience is how long after an offer or answer the absence of packets says nothing: phones ring, ICE checks a list,
	// a handshake is repeated.
	patience = 5 * time.Second
	// silenceAfter is the pause after which a source that was heard counts as gone. Codecs that send nothing during
	// silence still send comfort noise more often.
	silenceAfter = 10 * time.Second
)

// Why tells what is wrong with a call, or with one of the last that ended. False: neither is known by this id.
func (e *Engine) Why(callID string) (Diagnosis, bool) {
	if c := e.lockCall(callID); c != nil {
		defer e.unlock(c)
		return c.diagnose(e.now()), true
	}
	if c := e.ended.find(callID); c != nil {
		return c.diagnosis, true
	}
	return Diagnosis{}, false
}

// diagnose looks at all flows of c, which is locked.
func (c *Call) diagnose(now time.Time) Diagnosis {
	x := examiner{call: c, now: now, legs: map[*Media]*legState{}}
	d := Diagnosis{CallID: c.ID, At: now, Flows: []Flow{}}
	for _, p := range c.alive() {
		for _, m := range p.Medias {
			for _, s := range m.sinks {
				if !s.to.party.deleted && s.to.party.offerTo(p) {
					d.Flows = append(d.Flows, x.flow(s))
				}
			}
		}
	}
	d.Summary = summary(d.Flows)
	return d
}

// offerTo tells whether p takes part: it has answered, or is the only one that may.
func (p *Participant) offerTo(o *Participant) bool {
	return p.answered() || o.latest(func(x *Participant) bool { return x.answered() }) == nil
}

// examiner gathers what is known about the legs of a call; each is asked once.
type examiner struct {
	call *Call
	now  time.Time
	legs map[*Media]*legState
}

// legState is a media and what the relay says about it.
type legState struct {
	*Media
	st       relay.Status
	ice      relay.ICEReport
	hasICE   bool
	received uint64 // RTP of this section
	locals   []relay.Local
}

func (x *examiner) leg(m *Media) *legState {
	if s := x.legs[m]; s != nil {
		return s
	}
	l := m.port()
	s := &legState{Media: m, st: *l.status()}
	x.legs[m] = s
	if l == nil {
		return s
	}
	if r := l.ice(); r != nil {
		s.ice, s.hasICE = *r, true
	}
	s.locals = l.t.Locals()
	s.received = s.st.Streams[relay.RTP].In.Packets
	if m.bundled() {
		s.received = 0
		for i := range s.st.SSRCs {
			if s.st.SSRCs[i].Route == m.id {
				s.received += s.st.SSRCs[i].Packets
			}
		}
	}
	for _, l := range m.head().spares {
		s.received += l.status().Streams[relay.RTP].In.Packets
	}
	return s
}

// flow examines one subscription.
func (x *examiner) flow(s *subscription) Flow {
	from, to := x.leg(s.from), x.leg(s.to)
	f := Flow{From: from.party.name(), To: to.party.name(), Media: from.Index, Type: from.Type}
	causes := x.agreement(s)
	switch {
	case len(causes) > 0:
	case !to.leg.Seen:
		causes = []Cause{to.unanswered()}
	default:
		causes = slices.Concat(x.incoming(from), x.outgoing(s, from, to))
	}
	young := x.now.Sub(x.call.lastSignal) < patience
	f.State = FlowOK
	waiting := false
	for _, c := range causes {
		switch {
		case c.patient && young:
			waiting = true
			continue
		case c.agreed:
			f.State = FlowOff
		default:
			f.State = FlowFault
		}
		f.Causes = append(f.Causes, c)
	}
	if waiting && f.State == FlowOK {
		f.State = FlowWaiting
	}
	f.Notes = x.notes(from)
	return f
}

// agreement are the reasons that the parties themselves, or commands, have given.
func (x *examiner) agreement(s *subscription) (cs []Cause) {
	for _, m := range []*Media{s.from, s.to} {
		if m.leg.Rejected && m.leg.In != nil && m.leg.In.Port == 0 && m.bundle == nil {
			return []Cause{{Code: "rejected", Party: m.party.name(), agreed: true,
				Text:   fmt.Sprintf("%s refused this %s section: its SDP has port 0.", m.party.name(), m.Type),
				Advice: "Look at what it was offered: no codec or protocol that it knows, or more sections than it can serve."}}
		}
	}
	if s.from.leg.Rejected || s.to.leg.Rejected {
		return []Cause{{Code: "rejected", Party: s.to.party.name(), agreed: true, Text: "This section is switched off (port 0)."}}
	}
	if from := s.from; from.leg.rtp() && !from.leg.sends() {
		cs = append(cs, direction1(from, "sends", "it sends nothing, by agreement"))
	}
	if to := s.to; to.leg.rtp() && !to.leg.receives() {
		cs = append(cs, direction1(to, "receives", "nothing is sent to it, by agreement"))
	}
	switch {
	case s.from.party.blocked || s.blocked:
		cs = append(cs, Cause{Code: "blocked", Party: s.from.party.name(), agreed: true, Text: "The command \"block media\" is in force here.", Advice: "\"unblock media\" ends it."})
	case x.call.dropTraffic:
		cs = append(cs, Cause{Code: "blocked", Party: s.from.party.name(), agreed: true, Text: "The flag drop-traffic is in force: all RTP is thrown away.", Advice: "An offer or answer with drop-traffic=stop ends it."})
	case s.from.party.silenced || s.silenced:
		cs = append(cs, Cause{Code: "silenced", Party: s.from.party.name(), agreed: true, Text: "The command \"silence media\" is in force: audio is replaced by silence.", Advice: "\"unsilence media\" ends it."})
	}
	return cs
}

func direction1(m *Media, verb, result string) Cause {
	who := m.party.name()
	if m.leg.Hold {
		return Cause{Code: "hold", Party: who, agreed: true,
			Text: fmt.Sprintf("%s is on hold: its SDP has the address 0.0.0.0; %s.", who, result)}
	}
	return Cause{Code: "direction", Party: who, agreed: true,
		Text:   fmt.Sprintf("The SDP of %s says a=%s; %s.", who, m.leg.Dir, result),
		Advice: "If nobody is on hold, a device or the proxy wrote the wrong direction into a re-INVITE."}
}

// incoming says why nothing is heard from a leg.
func (x *examiner) incoming(m *legState) []Cause {
	if m.transport() == nil {
		return []Cause{m.cause("no-port", "There is no port for %s: the section was never set up on its side.", m.party.name())}
	}
	rtp := &m.st.Streams[relay.RTP]
	if m.received == 0 {
		return x.never(m)
	}
	quiet := x.now.Sub(rtp.LastPacket)
	var cs []Cause
	if d := &rtp.Drops; d.Passed || d.Auth > 0 && d.AuthSince.After(rtp.LastPacket) && x.now.Sub(rtp.LastPacket) > time.Second {
		cs = append(cs, m.unauthentic())
	}
	if c, ok := m.unknownPT(); ok {
		cs = append(cs, c)
	}
	if n := rtp.Drops.Short; n > m.received/2 {
		c := m.cause("short", "%d of %d packets from %s were dropped as too short (block-short).", n, m.received, m.party.name())
		c.Advice = "The first one after the last answer was longer: it sends another ptime now, or leave out block-short."
		cs = append(cs, c)
	}
	if len(cs) > 0 || quiet < silenceAfter || x.now.Sub(x.call.lastSignal) < silenceAfter {
		return cs
	}
	return append(cs, x.fellSilent(m, quiet))
}

// fellSilent is for a leg that was heard and is no more.
func (x *examiner) fellSilent(m *legState, quiet time.Duration) Cause {
	rtp, rtcp := &m.st.Streams[relay.RTP], &m.st.Streams[relay.RTCP]
	who := m.party.name()
	into := rtp.LastPacket.Sub(x.call.created).Round(time.Second)
	was := fmt.Sprintf("Packets from %s came until %s into the call, then nothing for %s", who, into, quiet.Round(time.Second))
	switch {
	case m.hasICE && m.consentLost(x.now):
		return Cause{Code: "ice-consent-lost", Party: who,
			Text:   was + ": it no longer answers ICE checks either.",
			Advice: "The client is gone, or its network has changed without an ICE restart."}
	case rtp.Drops.Source > 0:
		return Cause{Code: "source-changed", Party: who,
			Text:   fmt.Sprintf("%s, but packets come from %v, which is refused%s.", was, rtp.Drops.From, m.refusal()),
			Advice: "A NAT gave it a new port or a call was moved: use media-handover, or drop strict-source."}
	case rtcp.LastPacket.After(x.now.Add(-silenceAfter)):
		return Cause{Code: "silence-rtcp", Party: who,
			Text:   was + "; RTCP still comes, so it is there and sends no media.",
			Advice: "It is muted, detects silence without comfort noise, or its microphone failed."}
	}
	return Cause{Code: "silence", Party: who,
		Text:   was + ", as when a firewall or NAT closes its hole.",
		Advice: "Compare the moment with the timeout of the firewall; let the client send in silence, or keep-alives."}
}

// never is for a leg from which no packet of this section has ever been accepted.
func (x *examiner) never(m *legState) []Cause {
	rtp, d := &m.st.Streams[relay.RTP], &m.st.Streams[relay.RTP].Drops
	who := m.party.name()
	switch {
	case d.Auth > 0:
		return []Cause{m.unauthentic()}
	case d.Source > 0:
		return []Cause{{Code: "source-refused", Party: who,
			Text:   fmt.Sprintf("%d packets came from %v and were refused%s; the SDP of %s says %v.", d.Source, d.From, m.refusal(), who, m.leg.Remote[relay.RTP]),
			Advice: "Somebody else sends there, or a NAT stands between: drop strict-source, or let the source be learnt."}}
	}
	if cs := x.path(m); len(cs) > 0 {
		return cs
	}
	stun := d.STUN + m.st.Streams[relay.RTCP].Drops.STUN // one component waits for the other where their candidates are alike
	switch {
	case d.Early > 0:
		return []Cause{m.cause("srtp-no-keys", "%d SRTP packets came before keys were agreed with %s.", d.Early, who)}
	case d.DTLS > 0 && !m.leg.DTLS.On:
		return []Cause{{Code: "dtls-not-agreed", Party: who,
			Text:   fmt.Sprintf("%s sends DTLS, but %s was agreed with it.", who, m.protocol()),
			Advice: "It wants DTLS-SRTP: use UDP/TLS/RTP/SAVPF (or the transport of its own offer) on this side."}}
	case stun > 0 && !m.hasICE:
		return []Cause{{Code: "stun-without-ice", Party: who,
			Text:   fmt.Sprintf("%d STUN checks came from %s, but ICE was not agreed with it.", stun, who),
			Advice: "ICE=remove stands on the wrong side, or its ICE lines were lost on the way here: use ICE=force towards it."}}
	case d.Unrouted > 0:
		return []Cause{m.cause("unknown-section", "Packets come from %s, but their MID, SSRC and payload type belong to no section of the bundle.", who)}
	case d.Malformed > 0:
		return []Cause{m.cause("not-rtp", "%d datagrams came from %s that are no RTP.", d.Malformed, who)}
	case m.st.Streams[relay.RTCP].In.Packets > 0:
		return []Cause{{Code: "rtcp-only", Party: who, patient: true,
			Text:   fmt.Sprintf("RTCP comes from %s, but never RTP.", who),
			Advice: "The path is open for RTCP: the device sends no media (muted, no microphone), or its RTP goes elsewhere."}}
	}
	if !m.leg.Seen {
		return []Cause{m.unanswered()}
	}
	if c, ok := m.unroutable(); ok {
		return []Cause{c}
	}
	return []Cause{{Code: "no-packets", Party: who, patient: true,
		Text: fmt.Sprintf("No packet ever arrived on port %d from anyone; %s was told to send to %v.", rtp.Local.Port(), who, m.Media.advertised()),
		Advice: fmt.Sprintf("A firewall before the relay (is UDP %d-%d open?), a wrong address in the SDP that reached %s, or a device that does not send.",
			x.call.engine.cfg.PortMin, x.call.engine.cfg.PortMax, who)}}
}

// outgoing says why what comes in does not reach the receiver.
func (x *examiner) outgoing(s *subscription, from, to *legState) []Cause {
	who := to.party.name()
	if to.transport() == nil {
		return []Cause{to.cause("no-port", "There is no port towards %s.", who)}
	}
	if c, ok := to.wrongFamily(); ok {
		return []Cause{c}
	}
	var cs []Cause
	if c, ok := from.droppedCodec(s); ok {
		cs = append(cs, c)
	}
	rtp := &to.st.Streams[relay.RTP]
	if from.received > 0 || to.received == 0 {
		if from.received > 0 && (!rtp.Filled || rtp.Out.Packets == 0) {
			cs = append(cs, x.path(to)...)
		} else if c, ok := to.withoutKeys(); ok {
			cs = append(cs, c)
		}
		if c, ok := to.unreachable(); ok {
			cs = append(cs, c)
		}
	}
	if len(cs) == 0 && rtp.Out.Errors > 10 && rtp.Out.Errors > rtp.Out.Packets/10 {
		cs = append(cs, to.cause("send-errors", "The system refuses to send to %v: %d packets of %d.", rtp.Endpoint, rtp.Out.Errors, rtp.Out.Errors+rtp.Out.Packets))
	}
	if c, ok := to.notLearnt(); ok {
		cs = append(cs, c)
	}
	return cs
}

// path are the reasons in ICE and DTLS, in the order in which these happen.
func (x *examiner) path(m *legState) []Cause {
	if c, ok := m.iceCause(x.now); ok {
		return []Cause{c}
	}
	if c, ok := m.dtlsCause(); ok {
		return []Cause{c}
	}
	if c, ok := m.withoutKeys(); ok {
		return []Cause{c}
	}
	return nil
}

// notes are what is good to know about a leg.
func (x *examiner) notes(m *legState) (cs []Cause) {
	rtp := &m.st.Streams[relay.RTP]
	said := m.leg.Remote[relay.RTP]
	if rtp.First.IsValid() && said.IsValid() && !m.hasICE && rtp.First != said && !said.Addr().IsUnspecified() {
		cs = append(cs, m.cause("nat", "Packets of %s come from %v, but its SDP says %v: it is behind a NAT; media goes to %v.",
			m.party.name(), rtp.First, said, rtp.Endpoint))
	}
	for i := range m.st.SSRCs {
		s := &m.st.SSRCs[i]
		if s.Route == m.id && s.Lost > 0 && uint64(s.Lost) > (s.Packets+uint64(s.Lost))/50 {
			cs = append(cs, m.cause("loss", "%.1f %% of the packets of %s were lost on the way here.",
				float64(s.Lost)*100/float64(s.Packets+uint64(s.Lost)), m.party.name()))
		}
	}
	return cs
}

// summary is the diagnosis in one line.
func summary(flows []Flow) string {
	by := map[FlowState][]string{}
	for _, f := range flows {
		by[f.State] = append(by[f.State], fmt.Sprintf("%s does not hear %s (%s)", f.To, f.From, f.Type))
	}
	switch {
	case len(flows) == 0:
		return "No media flows were set up."
	case len(by[FlowFault]) > 0:
		return strings.Join(by[FlowFault], "; ") + "."
	case len(by[FlowWaiting]) > 0:
		return "Nothing wrong so far; the call is young and not everybody has been heard."
	case len(by[FlowOff]) > 0:
		return "No fault; by agreement " + strings.Join(by[FlowOff], "; ") + "."
	}
	return "All is well: media flows in every direction."
}

// Text is the diagnosis for a terminal.
func (d *Diagnosis) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Call %s", d.CallID)
	if d.Ended != "" {
		fmt.Fprintf(&b, " (ended: %s)", d.Ended)
	}
	fmt.Fprintf(&b, "\n%s\n", d.Summary)
	for _, f := range d.Flows {
		fmt.Fprintf(&b, "\n%s -> %s, %s: %s\n", f.From, f.To, f.Type, strings.ToUpper(string(f.State)))
		for _, c := range f.Causes {
			fmt.Fprintf(&b, "  * %s [%s]\n", c.Text, c.Code)
			if c.Advice != "" {
				fmt.Fprintf(&b, "    %s\n", c.Advice)
			}
		}
		for _, c := range f.Notes {
			fmt.Fprintf(&b, "  - %s [%s]\n", c.Text, c.Code)
		}
	}
	return b.String()
}
