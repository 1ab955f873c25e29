package rtpengine

import (
	"cmp"
	"io"
	"net/netip"

	"rtpsidecar/relay/ice"
	"rtpsidecar/sdp"
)

// rules are the daemon's settings that take part in decisions, and its source of randomness.
type rules struct {
	sipSource   bool
	dtlsPassive bool
	rand        io.Reader
	own         func(netip.AddrPort) bool // tells media ports of this daemon; nil: none is
}

// hear takes what a participant's SDP says about one section into its leg. offer tells an offer from an answer; bundled
// that the section uses another one's transport, so that its own port may be 0.
func hear(l *leg, s *sdp.Session, m *sdp.Media, f *Flags, r rules, offer, bundled bool) {
	l.SameProtocol = l.In != nil && l.In.Protocol == m.Protocol
	l.In = m
	l.Rejected = m.Port == 0 && !bundled
	l.Protocol, l.ProtoText = m.Protocol, m.ProtoText
	l.OSRTP = m.Protocol.IsRTP() && !m.Protocol.IsSRTP() && (len(m.Cryptos) > 0 || len(m.Fingerprints) > 0)
	l.Codecs = m.Codecs
	l.MIDExt = extmapID(m.Extmaps, uriMID)
	l.Flags = legFlags{
		Asymmetric: f.Asymmetric, StrictSource: f.StrictSource, Handover: f.MediaHandover,
		NATWait: f.NATWait, PierceNAT: f.PierceNAT, Recrypt: f.Recrypt, KeepDirection: f.OriginalSendRecv,
	}
	if offer {
		hearICEOffer(l, s, m, f, r)
	} else if !l.Rejected { // who refuses a section says nothing else about it
		hearICEAnswer(l, s, m, r)
	}
	hearEndpoint(l, s, m, f, r)
	l.Mux.Heard = m.RTCPMux && m.Protocol.IsRTP()
	l.Dir = direction(m.Direction, l.Hold && !f.OriginalSendRecv)
	if offer {
		l.MID = m.MID // an answer can only repeat what was offered
		if !l.Mux.Heard {
			l.Mux.Require = false // whom it was offered to as the only way has not taken it: RTCP wants a port now
		}
		l.Wishes = wishesOf(f)
		hearDTLSOffer(l, m, f)
	} else {
		if !l.Rejected {
			hearDTLSAnswer(l, m)
		}
		hearSDESAnswer(l, m)
		l.Mux.On = l.Mux.Heard && l.Mux.Offered
	}
	l.Seen = true
}

// direction is what a party does: nothing written means sendrecv, and a zero address receives nothing.
func direction(d sdp.Direction, hold bool) sdp.Direction {
	if d == sdp.DirectionDefault {
		d = sdp.SendRecv
	}
	if hold {
		switch d {
		case sdp.SendRecv:
			return sdp.SendOnly
		case sdp.RecvOnly:
			return sdp.Inactive
		}
	}
	return d
}

// hearEndpoint works out where the party wants its media.
func hearEndpoint(l *leg, s *sdp.Session, m *sdp.Media, f *Flags, r rules) {
	addr := connectionAddr(s, m)
	l.Hold = addr.IsValid() && addr.IsUnspecified() && !m.ICE.InUse()
	source := f.TrustAddress == Off || f.TrustAddress == Unset && r.sipSource
	if f.ReceivedFrom.IsValid() && !l.Hold && !l.ICE.On && (source || !addr.IsValid()) {
		addr = f.ReceivedFrom
	}
	l.Remote, l.LoopCheck = [2]netip.AddrPort{}, false
	if !addr.IsValid() || l.Rejected {
		return
	}
	l.Remote[0] = netip.AddrPortFrom(addr, m.Port)
	l.LoopCheck = r.own != nil && r.own(l.Remote[0])
	if !m.Protocol.IsRTP() {
		return
	}
	rtcp := netip.AddrPortFrom(addr, m.Port+1)
	if m.RTCP != nil {
		rtcp = netip.AddrPortFrom(addr, m.RTCP.Port)
		if c := m.RTCP.Conn; c != nil && c.Addr.IsValid() && !c.Addr.IsUnspecified() && !source {
			rtcp = netip.AddrPortFrom(c.Addr, m.RTCP.Port)
		}
	}
	l.Remote[1] = rtcp
}

// connectionAddr is the address of a section's c= line, its own or the session's.
func connectionAddr(s *sdp.Session, m *sdp.Media) netip.Addr {
	if len(m.Connections) > 0 {
		return m.Connections[0].Addr
	}
	if s.Connection != nil {
		return s.Connection.Addr
	}
	return netip.Addr{}
}

// propose decides what to offer to b, given a's offer.
func propose(a, b *leg, f *Flags, r rules) {
	b.Rejected = a.Rejected
	b.Protocol, b.ProtoText, b.OSRTP = offerProtocol(a, b, f)
	b.Offered, b.OfferedOSRTP = b.Protocol, b.OSRTP
	a.Blind = decide(f.Passthrough, a.Blind)
	b.Blind = a.Blind
	a.Pass = a.Blind || (f.ICE == ICEForceRelay || f.ICE == ICEOptional) && a.ICE.On
	b.Pass = a.Pass
	if f.Reset {
		b.ICE.Refused, b.DTLS.Refused = false, false
		b.ICE.Local, b.ICE.Remote = ice.Credentials{}, ice.Credentials{}
		b.SDES.Sent = nil
	}
	proposeMux(a, b, f)
	proposeICE(a, b, f, r)
	proposeDTLS(a, b, f, r)
	proposeSDES(a, b, f, r)
	sharePTime(a, b)
	b.PTimeWish, a.PTimeWish = cmp.Or(f.PTime, b.PTimeWish), cmp.Or(f.PTimeReverse, a.PTimeWish)
}

// offerProtocol is the transport protocol of the outgoing offer: what was asked for, what the receiver speaks already
// if the sender has not changed its own, or what came in.
func offerProtocol(a, b *leg, f *Flags) (p sdp.Protocol, text string, osrtp bool) {
	p, text, osrtp = a.In.Protocol, a.In.ProtoText, a.OSRTP
	if !p.IsRTP() {
		return p, text, false
	}
	if b.Seen && b.rtp() && a.SameProtocol {
		p, osrtp = b.Protocol, a.OSRTP || b.OSRTP // it speaks that
	}
	if f.Transport.IsRTP() {
		p, osrtp = f.Transport, false
	}
	if p.IsSRTP() {
		return p, "", false
	}
	return p, "", osrtp || f.OSRTP.Offer
}

// sharePTime takes the packet time of from's SDP for both sides. Where one was asked for by flags, what a party says about
// it is between us and that party.
func sharePTime(from, to *leg) {
	if from.In != nil && from.In.PTime != 0 && from.PTimeWish == 0 && to.PTimeWish == 0 {
		from.PTime, to.PTime = from.In.PTime, from.In.PTime
	}
}

// decide is what a three-state wish makes of a value.
func decide(wish OnOff, value bool) bool {
	if wish == Unset {
		return value
	}
	return wish == On
}

// conclude decides what to answer to a, the party that made the offer, given b's answer.
func conclude(a, b *leg, f *Flags, r rules) {
	a.Rejected = a.Rejected || b.Rejected
	sharePTime(b, a)
	offered := a.In.Protocol
	if f.Transport.IsRTP() && offered.IsRTP() {
		offered = f.Transport
	}
	if f.TransportAccept && b.Protocol.IsRTP() && offered.IsRTP() && b.Protocol != b.Offered {
		offered = b.Protocol
	}
	a.Protocol = offered
	a.Mux.On = a.Mux.Heard && !b.Mux.Reject && (b.Mux.Accept || b.Mux.Heard)
	if !a.Mux.On {
		a.Mux.Require = false // its RTCP wants a port now, even if it once had muxing as the only way
	}
	if f.ICE == ICERemove {
		a.ICE.On = false
	}
	if !a.secure() {
		a.DTLS.On, a.SDES.Sent, a.SDES.Chosen = false, nil, false
		return
	}
	if a.OSRTP && b.OfferedOSRTP && !(b.DTLS.On || b.SDES.Chosen) && !f.OSRTP.Accept && !f.OSRTP.AcceptLegacy {
		a.OSRTP, a.DTLS.On, a.SDES.Sent, a.SDES.Chosen = false, false, nil, false
		return
	}
	concludeDTLS(a, f, r)
	concludeSDES(a, b, f, r)
}

// proposeMux decides about rtcp-mux towards b.
func proposeMux(a, b *leg, f *Flags) {
	if !b.rtp() {
		b.Mux = legMux{}
		return
	}
	w := f.RTCPMux
	// With b, not with a: each branch of a forked call has its own word about it.
	b.Mux.Accept, b.Mux.Reject = w.Demux || w.Accept, w.Reject
	switch {
	case b.Mux.On && b.Seen && !w.Demux:
		b.Mux.Offered, b.Mux.Require = true, true
	case w.Require:
		b.Mux.Offered, b.Mux.Require = true, true
	case w.Offer:
		b.Mux.Offered, b.Mux.Require = true, false
	case w.Demux:
		b.Mux.Offered, b.Mux.Require = false, false
	default:
		b.Mux.Offered, b.Mux.Require = a.Mux.Heard, false
	}
	if !b.Mux.Offered {
		b.Mux.On = false
	}
}

// uriMID names the header extension that carries the mid, RFC 8843 section 15.
const uriMID = "urn:ietf:params:rtp-hdrext:sdes:mid"

func extmapID(list []sdp.Extmap, uri string) int {
	for _, e := range list {
		if e.URI == uri {
			return e.ID
		}
	}
	return 0
}

// familyOf is the SDP address type of a.
func familyOf(a netip.Addr) sdp.Family {
	if a.Is6() && !a.Is4In6() {
		return sdp.IP6
	}
	return sdp.IP4
}
