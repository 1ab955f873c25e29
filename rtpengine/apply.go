package rtpengine

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ice"
	"rtpsidecar/sdp"
)

// This file alone changes the relay: it opens and closes transports and tells them what to be. Everything it tells
// follows from the legs and subscriptions as they are; nothing is remembered here but the ports.

// openRelay starts the relay for cfg.
func openRelay(cfg *Config) (*relay.Host, error) {
	rc := relay.Config{
		Workers: cfg.Workers, CPUs: cfg.CPUs, Balance: cfg.Balance, NoRealtime: cfg.NoRealtime, NoRaw: cfg.NoRaw, TOS: cfg.TOS, Software: cfg.SoftwareID, CNAME: cfg.InstanceID, Log: cfg.Log, Now: cfg.Now, IO: cfg.IO, Table: cfg.Table,
		CertCipher: cfg.CertCipher, RSABits: cfg.RSAKeyBits, DTLSMTU: cfg.DTLSMTU, StrictProfiles: cfg.StrictProfiles,
	}
	for _, in := range cfg.Interfaces {
		if in.Alias == "" {
			rc.Interfaces = append(rc.Interfaces, in.Interface)
		}
	}
	return relay.New(rc)
}

// place settles on which interfaces and in which family the two parties are served. What was asked for once holds until
// something else is asked for. A party that was told its ports is not moved by its own message: it would not hear of it.
// Its answer moves it with the next offer that it gets.
func (c *Call) place(from, to *Participant, f *Flags, offer bool) {
	heard := sdpFamily(from.in)
	if f.ReceivedFrom.IsValid() && (f.TrustAddress == Off || f.TrustAddress == Unset && c.engine.cfg.SIPSource) {
		heard = familyOf(f.ReceivedFrom)
	}
	from.place.said = heard
	if offer || from.place.iface == "" {
		changed := sdp.Family("")
		if heard != from.place.heard && !from.goesOnWithICE() {
			changed, from.place.heard = heard, heard
		}
		from.placeOn(first(f.Direction[0], from.place.next), "", changed)
		from.place.next = ""
	} else if f.Direction[0] != "" {
		from.place.next = f.Direction[0]
	}
	inherited := sdp.Family("")
	switch {
	case to.place.family == "":
		inherited = heard
	case offer && to.in != nil && !to.goesOnWithICE() && !f.PortLatch:
		inherited = to.place.said
	}
	word := f.Direction[1]
	if offer {
		word, to.place.next = first(word, to.place.next), ""
	}
	to.placeOn(word, f.AddressFamily, inherited)
}

// goesOnWithICE tells whether the party's last SDP has ICE where it had ICE before. Then it has the addresses of either
// family as candidates, and none of them moves.
func (p *Participant) goesOnWithICE() bool {
	for i, m := range p.Medias {
		if m.leg.ICE.On && i < len(p.in.Media) && p.in.Media[i].ICE.InUse() {
			return true
		}
	}
	return false
}

// sdpFamily is the address family of a body's first section with an address.
func sdpFamily(s *sdp.Session) sdp.Family {
	if s == nil {
		return ""
	}
	for _, m := range s.Media {
		if a := connectionAddr(s, m); a.IsValid() {
			return familyOf(a)
		}
	}
	return ""
}

// placeOn serves p on the interface that word names. A family that such an interface lacks is ignored; one that was asked
// for wins over other interfaces, an inherited one only over the default interface.
func (p *Participant) placeOn(word string, family, inherited sdp.Family) {
	e := p.call.engine
	if p.place.iface == "" || word != "" && word != p.place.word {
		name, fam, known := e.ifaces.resolve(word)
		if !known {
			p.logger().Warn("unknown interface, the default is used", "interface", clip(word))
		}
		p.place.word, p.place.iface = word, name
		if family == "" {
			family = fam
		}
	}
	wanted := family
	if wanted == "" {
		wanted = inherited
	}
	if wanted == "" || wanted == p.place.family {
		return
	}
	if !e.ifaces.has(p.place.iface, wanted) {
		other := e.ifaces.with(wanted)
		if other == "" || family == "" && p.place.word != "" || e.ifaces.names(p.place.word) {
			if p.place.family == "" {
				p.place.family = otherFamily(wanted) // the one that is there: asking for it later moves nothing
			}
			return
		}
		p.place.iface = other
	}
	p.place.family = wanted
}

func otherFamily(f sdp.Family) sdp.Family {
	if f == sdp.IP6 {
		return sdp.IP4
	}
	return sdp.IP6
}

// place is where a party's media is served.
type place struct {
	word   string     // as asked for
	next   string     // asked for with its answer: from the next offer on
	iface  string     // logical interface
	family sdp.Family // "": any
	heard  sdp.Family // of its own SDP, when that last moved it
	said   sdp.Family // of its last SDP
}

// latestPlace is the place of the party that p talked to last.
func (p *Participant) latestPlace() place {
	if o := p.latest(func(*Participant) bool { return true }); o != nil {
		return o.place
	}
	return place{}
}

// maxSpares bounds the earlier transports that a media keeps.
const maxSpares = 3

// ensure gives m a transport that fulfils w: the present one, one of the spares, or a new one.
func (m *Media) ensure(w portWish) error {
	p := m.party
	fits := func(l *localPort) bool {
		return l.place.iface == p.place.iface && l.place.family == p.place.family && (!l.single || w.single) && (!l.primaryOnly || w.primaryOnly)
	}
	if l := m.local; l != nil && fits(l) && (w.keep || !w.key.IsValid() || !l.key.IsValid() || l.key == w.key) {
		if w.key.IsValid() {
			l.key = w.key
		}
		return nil
	}
	for i, l := range m.spares {
		if fits(l) && w.key.IsValid() && l.key == w.key {
			m.spares[i], m.local = m.local, l
			return nil
		}
	}
	l, err := p.openPort(w)
	if err != nil {
		return err
	}
	l.owner.Store(&portOwner{p.logger(), m.Index, p.call, p})
	if m.local != nil {
		m.spares = append(m.spares, m.local)
		if len(m.spares) > maxSpares {
			m.spares[0].close(p.call)
			m.spares = slices.Delete(m.spares, 0, 1)
		}
	}
	m.local = l
	return nil
}

// openPort opens a transport on p's interface.
func (p *Participant) openPort(w portWish) (*localPort, error) {
	c := p.call
	w.primaryOnly = w.primaryOnly && c.engine.ifaces.several(p.place.iface)
	l := &localPort{opened: c.engine.now(), place: p.place, single: w.single, primaryOnly: w.primaryOnly, key: w.key}
	var err error
	l.t, err = c.engine.host.Open(relay.TransportConfig{
		Interface: p.place.iface, Family: familyWish(p.place.family),
		Single: w.single, PrimaryOnly: w.primaryOnly,
		Affinity: c.affinity, ID: c.engine.newTransportID(), Owner: l, Log: p.logger(), Tap: c.tap(),
	})
	if errors.Is(err, relay.ErrNoPorts) {
		return nil, errors.Join(errNoPorts, err)
	}
	return l, err
}

// tap gives Config.RTCP the call-id that the call has now.
func (c *Call) tap() relay.RTCPTap {
	told, id := c.engine.cfg.RTCP, c.ID
	if told == nil {
		return nil
	}
	return func(b []byte, from, to netip.AddrPort, at time.Time) { told(id, b, from, to, at) }
}

// close ends the transport; its counters stay with the call.
func (l *localPort) close(c *Call) {
	c.keepCounters(l)
	l.owner.Store(nil)
	l.t.Close()
}

// release closes m's transports.
func (m *Media) release() {
	c := m.party.call
	if m.local != nil {
		m.local.close(c)
	}
	for _, l := range m.spares {
		l.close(c)
	}
	m.local, m.spares, m.bundle = nil, nil, nil
}

// idle closes m's transports but the one in use: a rejected section that comes back has the ports it was shown (observed).
func (m *Media) idle() {
	for _, l := range m.spares {
		l.close(m.party.call)
	}
	m.spares, m.bundle = nil, nil
}

// idles tells whether m keeps its ports only in case it comes back.
func (m *Media) idles() bool { return m.leg.Rejected && len(m.bundledWith()) == 1 }

// apply brings the relay to what the call's state says. Settings that did not change cost a comparison.
func (c *Call) apply() {
	c.medias(func(m *Media) {
		if m.bundle != nil || m.local == nil {
			return
		}
		s, plan := m.settings(), m.plan()
		m.local.apply(m, s, plan)
		for _, l := range m.spares {
			s.RemoteSeen, s.Early = false, false // it serves those who do not know the new port yet; nothing is learnt there
			l.apply(m, s, plan)
		}
	})
}

func (l *localPort) apply(m *Media, s relay.Settings, plan *relay.Plan) {
	if err := l.t.Apply(s); err != nil {
		m.party.logger().Warn("media settings not applied", "media", m.Index, "err", err)
	}
	l.t.SetPlan(plan)
}

// settings is the wanted state of m's transport.
func (m *Media) settings() relay.Settings {
	l, c := &m.leg, m.party.call
	if m.idles() {
		return relay.Settings{Opaque: true, Signalling: c.signals}
	}
	s := relay.Settings{
		Opaque:       !l.rtp(),
		Signalling:   c.signals,
		Remote:       l.Remote,
		RemoteSeen:   l.Seen && l.Told,
		Early:        l.Seen && !l.Told && l.DTLS.On, // without a handshake nothing is won by it
		Muxed:        l.Mux.On,
		Learning:     c.learning,
		Asymmetric:   l.Flags.Asymmetric,
		StrictSource: l.Flags.StrictSource,
		Handover:     l.Flags.Handover,
		NATWait:      l.Flags.NATWait,
		PierceNAT:    l.Flags.PierceNAT,
		TOS:          c.tos,
		DropIn:       c.dropTraffic,
	}
	if l.Blind && !l.ICE.On {
		s.Opaque = true
		return s
	}
	if l.Pass {
		return passing(s)
	}
	if c.generateRTCP {
		s.Reports, s.Measured = c.engine.cfg.RTCPInterval, c.engine.cfg.MeasureRTP
	}
	if l.Mux.On {
		s.Remote[relay.RTCP] = s.Remote[relay.RTP]
	}
	if l.ICE.On && l.ICE.Local.Ufrag != "" {
		s.ICE = l.iceSettings()
	}
	if !l.secure() {
		return s
	}
	switch {
	case l.DTLS.On:
		s.DTLS = l.dtlsSettings()
	case l.SDES.Chosen:
		s.SDES = &relay.SDES{Recv: l.SDES.Recv, Send: l.SDES.Send}
	}
	return s
}

func (l *leg) iceSettings() *relay.ICE {
	i := &relay.ICE{
		Local: l.ICE.Local, Remote: l.ICE.Remote,
		Controlling: l.ICE.Controlling, Lite: l.ICE.Lite, RemoteLite: l.ICE.RemoteLite,
		Trickle: l.ICE.Trickle && !l.ICE.Ended,
	}
	if l.In != nil && l.ICE.Remote.Ufrag != "" {
		i.Candidates = iceCandidates(l.In.ICE.Candidates)
	}
	return i
}

// maxCandidates is how many candidates of one section are followed, as observed of the reference.
const maxCandidates = 100

// iceCandidates are the candidates that can be tried: UDP, with an address rather than a name (browsers hide theirs
// behind mDNS names; such a peer is learnt from its checks).
func iceCandidates(list []sdp.Candidate) []ice.Candidate {
	var out []ice.Candidate
	for _, c := range list {
		if !c.IsUDP() || !c.Addr.IsValid() || c.Port == 0 || c.Component < 1 || c.Component > 2 {
			continue
		}
		if len(out) == maxCandidates {
			break
		}
		out = append(out, ice.Candidate{
			Foundation: c.Foundation, Component: c.Component, Priority: c.Priority,
			Addr: netip.AddrPortFrom(c.Addr, c.Port), Type: candidateTypes[c.Type],
		})
	}
	return out
}

var candidateTypes = map[string]ice.CandidateType{
	"host": ice.Host, "srflx": ice.ServerReflexive, "prflx": ice.PeerReflexive, "relay": ice.Relayed,
}

func (l *leg) dtlsSettings() *relay.DTLS {
	d := &relay.DTLS{TLSID: l.DTLS.RemoteID, Generation: l.DTLS.Generation}
	if l.DTLS.Decided || l.DTLS.Foreseen {
		d.Role = relay.RolePassive
		if l.DTLS.Active {
			d.Role = relay.RoleActive
			d.Hold = l.DTLS.Foreseen && l.In.Protocol.IsDTLS()
		}
	}
	for _, f := range l.DTLS.Remote {
		d.Fingerprints = append(d.Fingerprints, relay.Fingerprint{Hash: f.Hash, Digest: f.Digest})
	}
	return d
}

// passing turns settings into those of a section that the parties negotiate between themselves: whatever comes is handed
// on unread, and the far end is who sends.
func passing(s relay.Settings) relay.Settings {
	s.Opaque = true
	s.Learning = relay.LearnImmediate
	for i, a := range s.Remote {
		if a.Addr().IsUnspecified() {
			s.Remote[i] = netip.AddrPort{}
		}
	}
	return s
}
