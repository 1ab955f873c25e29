package rtpengine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ice"
	"rtpsidecar/sdp"
)

// What can be wrong with one leg, each judged by itself.

func (m *legState) cause(code, format string, args ...any) Cause {
	return Cause{Code: code, Party: m.party.name(), Text: fmt.Sprintf(format, args...)}
}

// protocol names what was agreed with m's party.
func (m *legState) protocol() string { return first(m.leg.Protocol.String(), m.leg.ProtoText) }

// unauthentic: SRTP that the keys do not fit.
func (m *legState) unauthentic() Cause {
	d := &m.st.Streams[relay.RTP].Drops
	where := "the key of its a=crypto line"
	if m.leg.DTLS.On {
		where = "the keys of its DTLS handshake"
	}
	on := ""
	if d.Passed {
		on = " They go on as they came, as the other side has the same key and may know better."
	}
	return Cause{Code: "srtp-auth", Party: m.party.name(),
		Text: fmt.Sprintf("%d packets from %v fail SRTP authentication since %s: %s does not protect with %s.%s",
			d.Auth, d.AuthFrom, d.AuthSince.UTC().Format(time.TimeOnly), m.party.name(), where, on),
		Advice: "It uses another key or the key of the other side, sends plain RTP, or somebody changed the SDP on the way."}
}

// withoutKeys: SRTP without a way to agree on keys.
func (m *legState) withoutKeys() (Cause, bool) {
	l := &m.leg
	if !l.secure() || !l.Seen || l.Pass || l.DTLS.On || l.SDES.Chosen {
		return Cause{}, false
	}
	c := m.cause("no-keys", "SRTP was agreed with %s, but its SDP has neither a=crypto nor a=fingerprint that could be used.", m.party.name())
	c.Advice = "An element on the way removed the lines, or its suites are not ours: compare the SDP that it sent."
	return c, true
}

// unanswered: the party's own SDP was not seen.
func (m *legState) unanswered() Cause {
	return Cause{Code: "no-answer", Party: m.party.name(), patient: true,
		Text:   fmt.Sprintf("%s has not answered: no SDP of its own was seen, so nothing can be sent to it.", m.party.name()),
		Advice: "If the call was answered, the proxy did not pass the answer here: look at its reply route."}
}

// refusal says which rule refuses sources.
func (m *legState) refusal() string {
	switch {
	case m.hasICE:
		return " (not an address that ICE has proven)"
	case m.leg.Flags.StrictSource:
		return " (strict-source)"
	}
	return ""
}

// unknownPT: the party sends a payload type that nobody talked about.
func (m *legState) unknownPT() (Cause, bool) {
	if !m.leg.rtp() || !m.leg.Seen {
		return Cause{}, false
	}
	known := slices.Concat(m.leg.Codecs, m.leg.Shown)
	if len(known) == 0 {
		return Cause{}, false
	}
	for i := range m.st.SSRCs {
		s := &m.st.SSRCs[i]
		if s.SSRC != m.st.Streams[relay.RTP].LastSSRC || m.bundled() && s.Route != m.id ||
			slices.ContainsFunc(known, func(c sdp.Codec) bool { return c.PT == s.LastPT }) {
			continue
		}
		c := m.cause("unknown-pt", "%s sends payload type %d, which was not negotiated (%s was).", m.party.name(), s.LastPT, codecNames(m.leg.Codecs))
		c.Advice = "The receiver cannot decode it: the device keeps a codec of an earlier offer, or ignores the answer."
		return c, true
	}
	return Cause{}, false
}

func codecNames(list []sdp.Codec) string {
	var names []string
	for i := range list {
		names = append(names, fmt.Sprintf("%d %s", list[i].PT, first(list[i].Name, "?")))
	}
	return strings.Join(names, ", ")
}

// droppedCodec: the receiver has no number for what m sends.
func (m *legState) droppedCodec(s *subscription) (Cause, bool) {
	k, ok := s.sink()
	if !ok || k.PTMap == nil {
		return Cause{}, false
	}
	for i := range m.st.SSRCs {
		src := &m.st.SSRCs[i]
		if src.SSRC == m.st.Streams[relay.RTP].LastSSRC && k.PTMap[src.LastPT&0x7f] == ptDrop && !dtmfPT(m.leg.Codecs, src.LastPT) {
			c := m.cause("codec-dropped", "%s sends payload type %d, which %s did not accept; it is not passed on.", m.party.name(), src.LastPT, s.to.party.name())
			c.Advice = "The parties agreed on no common codec here, and nothing is transcoded."
			return c, true
		}
	}
	return Cause{}, false
}

func dtmfPT(list []sdp.Codec, pt uint8) bool {
	return slices.ContainsFunc(list, func(c sdp.Codec) bool { return c.PT == pt && isDTMF(&c) })
}

// wrongFamily: the party wants media at an address of a family that its interface does not have.
func (m *legState) wrongFamily() (Cause, bool) {
	to := m.leg.Remote[relay.RTP]
	if !to.IsValid() || to.Addr().IsUnspecified() || len(m.locals) == 0 || m.hasICE && m.st.Streams[relay.RTP].Filled || m.leg.Pass {
		return Cause{}, false
	}
	for _, l := range m.locals {
		if l.Addr.Is4() == to.Addr().Unmap().Is4() {
			return Cause{}, false
		}
	}
	c := m.cause("family", "%s wants its media at %v (%s), but it is served on %v (%s): nothing can be sent.",
		m.party.name(), to, familyName(to.Addr()), m.locals[0].Addr, familyName(m.locals[0].Addr))
	c.Advice = "Use address-family=IP4 or IP6 towards it, or an interface that has both."
	return c, true
}

// private tells whether an address is of use only in its own network.
func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a.Unmap())
}

// sharedSpace is that of carriers' NATs, RFC 6598.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// unroutable: the party is elsewhere and was told an address that works only here.
func (m *legState) unroutable() (Cause, bool) {
	ours, theirs := m.Media.advertised().Addr(), m.leg.Remote[relay.RTP].Addr()
	if !ours.IsValid() || !theirs.IsValid() || theirs.IsUnspecified() {
		return Cause{}, false
	}
	if ours.IsLoopback() && !theirs.IsLoopback() || private(ours) && !private(theirs) {
		return Cause{Code: "unroutable", Party: m.party.name(), patient: true,
			Text: fmt.Sprintf("No packet came: %s, at %v, was told to send to %v, an address that it can hardly reach.", m.party.name(), theirs, ours),
			Advice: fmt.Sprintf("Advertise the public address: interface=NAME/%v!PUBLIC-ADDRESS, or pick another interface by direction=.",
				ours)}, true
	}
	return Cause{}, false
}

// unreachable: media goes to an address of SDP that works only at the party's place, and it sends nothing to learn from.
func (m *legState) unreachable() (Cause, bool) {
	rtp := &m.st.Streams[relay.RTP]
	to := rtp.Endpoint
	switch {
	case m.received > 0 || m.hasICE || !to.IsValid():
		return Cause{}, false
	case m.leg.Flags.NATWait:
		return Cause{Code: "nat-wait", Party: m.party.name(), patient: true,
			Text: fmt.Sprintf("Nothing is sent to %s before it has sent something (nat-wait), and it never did.", m.party.name())}, true
	case private(to.Addr()) && !private(rtp.Local.Addr()):
		return Cause{Code: "behind-nat", Party: m.party.name(), patient: true,
			Text:   fmt.Sprintf("Media for %s goes to %v, an address behind a NAT that its SDP names; it has sent nothing that its public address could be learnt from.", m.party.name(), to),
			Advice: "The device must send first: look at why no packet of it arrives."}, true
	}
	return Cause{}, false
}

// notLearnt: packets come from one address, media goes to another, as somebody asked for.
func (m *legState) notLearnt() (Cause, bool) {
	rtp := &m.st.Streams[relay.RTP]
	c := m.party.call
	fixed := m.leg.Flags.Asymmetric || c.learning == relay.LearnOff
	if !fixed || m.hasICE || m.received == 0 || !rtp.First.IsValid() || !rtp.Endpoint.IsValid() || rtp.First == rtp.Endpoint {
		return Cause{}, false
	}
	why := "asymmetric"
	if !m.leg.Flags.Asymmetric {
		why = "endpoint-learning=off"
	}
	return Cause{Code: "not-learnt", Party: m.party.name(),
		Text:   fmt.Sprintf("Packets of %s come from %v, but media goes to %v as its SDP says (%s).", m.party.name(), rtp.First, rtp.Endpoint, why),
		Advice: "It is behind a NAT: let the relay learn its address."}, true
}

// consentLost tells whether the far side has stopped answering ICE checks.
func (m *legState) consentLost(now time.Time) bool {
	return m.ice.State == ice.StateFailed || !m.ice.Stats.LastGood.IsZero() && now.Sub(m.ice.Stats.LastGood) > silenceAfter
}

// iceCause: no candidate pair works.
func (m *legState) iceCause(now time.Time) (Cause, bool) {
	if !m.hasICE {
		return Cause{}, false
	}
	s, who := &m.ice.Stats, m.party.name()
	works := m.ice.State == ice.StateConnected || m.ice.State == ice.StateCompleted
	lost := func(p ice.PairStatus) bool { return p.Nominated && p.State == ice.Failed }
	switch bad := s.BadPassword + s.BadUsername + s.NoCredentials; {
	case !m.leg.Seen:
		return Cause{}, false // no-answer says it better
	case !works && s.ChecksSucceeded > 0 && slices.ContainsFunc(m.ice.Pairs, lost) || !works && s.ConsentSent > 0:
		c := m.cause("ice-consent-lost", "ICE worked with %s until %s, then it stopped answering.", who, s.LastGood.UTC().Format(time.TimeOnly))
		c.Advice = "The client is gone, or its network has changed without an ICE restart."
		return c, true
	case bad > 0 && bad == s.Requests-s.Early:
		c := m.cause("ice-credentials", "%d ICE checks came from %v without valid credentials: wrong %s.", bad, s.LastBadFrom, m.badPart())
		c.Advice = fmt.Sprintf("%s has not got the ice-ufrag and ice-pwd that we printed: another element replaced them, or it uses those of an earlier offer.", who)
		return c, true
	case works:
		return Cause{}, false
	case len(m.ice.Pairs) == 0 && s.Requests == 0:
		c := m.cause("ice-no-candidates", "%s announced ICE but no candidate that can be tried (%d ignored: TCP or host names), and sends no checks.", who, s.CandidatesIgnored)
		c.patient = true
		return c, true
	case s.Requests > s.Early+bad && s.Responses == 0:
		c := m.cause("ice-one-way", "ICE checks of %s arrive, but none of ours is answered: %s.", who, m.pairList())
		c.Advice = "Our packets do not get out to it: a firewall on the way, or it takes us for someone else (wrong ice-pwd in what it was sent)."
		c.patient = true
		return c, true
	}
	c := m.cause("ice-no-answer", "No candidate pair of %s answered: %s; no check of it arrived.", who, m.pairList())
	c.Advice = "Its candidates cannot be reached from here and it cannot reach ours: firewall, or addresses of another network on either side."
	c.patient = true
	return c, true
}

func (m *legState) badPart() string {
	s := &m.ice.Stats
	switch {
	case s.BadPassword > 0:
		return "ice-pwd"
	case s.BadUsername > 0:
		return "ice-ufrag"
	}
	return "form, they have none at all"
}

// pairList names the pairs that were tried, a few of them.
func (m *legState) pairList() string {
	const most = 6
	var list []string
	locals := m.transport().LocalCandidates()
	for _, p := range m.ice.Pairs {
		local := "?"
		if p.Local < len(locals) {
			local = locals[p.Local].Addr.String()
		}
		list = append(list, fmt.Sprintf("%s to %v (%v)", local, p.Remote, p.RemoteType))
	}
	slices.Sort(list)
	if n := len(list); n > most {
		list = append(list[:most], fmt.Sprintf("and %d more", n-most))
	}
	if len(list) == 0 {
		return "there were none"
	}
	return strings.Join(list, ", ")
}

// dtlsCause: the handshake did not end well.
func (m *legState) dtlsCause() (Cause, bool) {
	if !m.leg.DTLS.On || m.leg.Pass || m.st.Streams[relay.RTP].DTLSDone {
		return Cause{}, false
	}
	who := m.party.name()
	switch err := m.st.DTLSError; {
	case strings.Contains(err, "fingerprint"):
		c := m.cause("dtls-fingerprint", "The certificate of %s does not match the a=fingerprint of its SDP.", who)
		c.Advice = "Somebody between us and it answers the handshake, or an element copied the fingerprint of another party."
		return c, true
	case err != "":
		c := m.cause("dtls-failed", "The DTLS handshake with %s failed: %s.", who, err)
		if strings.Contains(err, "alert") {
			c.Code = "dtls-alert"
			c.Advice = "It refused us: most often the a=fingerprint that reached it is not ours."
		}
		return c, true
	case !m.leg.Seen:
		return Cause{}, false
	case len(m.leg.DTLS.Remote) == 0:
		return m.cause("dtls-no-fingerprint", "DTLS was agreed, but no a=fingerprint came from %s.", who), true
	case !m.st.DTLSHeard && m.leg.DTLS.Active:
		c := m.cause("dtls-no-answer", "%s does not answer our DTLS ClientHello.", who)
		c.Advice = "It waits for us as a client itself (a=setup lost or turned round), or DTLS is filtered on the way."
		c.patient = true
		return c, true
	case !m.st.DTLSHeard:
		c := m.cause("dtls-no-hello", "The DTLS ClientHello of %s, which is to be active, never came.", who)
		c.Advice = "It believes that we are active (a=setup lost or turned round), has not applied the answer, or DTLS is filtered on the way."
		c.patient = true
		return c, true
	}
	c := m.cause("dtls-unfinished", "The DTLS handshake with %s has begun but does not end.", who)
	c.Advice = "Large datagrams are lost on the way (try a smaller dtls-mtu), or one direction is filtered."
	c.patient = true
	return c, true
}
