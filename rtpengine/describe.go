package rtpengine

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// print makes the SDP body for the receiver out of the decisions and the relay's addresses.
func (n *negotiation) print(offer bool) []byte {
	src := n.s
	out := &sdp.Session{
		Origin: src.Origin, Name: src.Name, Info: src.Info, Bandwidth: src.Bandwidth, Timing: src.Timing,
		Rest: src.Rest, Unknown: src.Unknown,
	}
	if n.f.LoopProtect {
		out.LoopMarks = append(slices.Clone(src.LoopMarks), n.call.engine.cfg.InstanceID)
	}
	var held netip.Addr
	for _, m := range n.to.Medias {
		p := n.pairOf(m)
		if t := m.transport(); t != nil && !held.IsValid() {
			held = n.shown(primary(t.Locals(), n.to.place.family))
		}
		if p != nil && (relayedInPlace(p.sec) || p.a.Pass || n.f.ICE == ICEForceRelay) {
			out.Media = append(out.Media, n.verbatim(p, offer))
			continue
		}
		if p == nil || p.a.Rejected || p.b.Rejected || m.transport() == nil {
			out.Media = append(out.Media, n.rejected(m, p))
			continue
		}
		out.Media = append(out.Media, n.section(p, offer))
		out.ICELite = out.ICELite || m.leg.ICE.On && m.leg.ICE.Lite
	}
	n.groups(out)
	n.double(out, offer)
	n.to.out.session(out, held, n.f)
	return n.to.out.number(out, n.f)
}

func (n *negotiation) pairOf(m *Media) *pair {
	for _, p := range n.pairs {
		if p.bm == m && p.sec != nil {
			return p
		}
	}
	return nil
}

// rejected is a section with port 0: as the other side wrote it, or as the receiver did.
func (n *negotiation) rejected(m *Media, p *pair) *sdp.Media {
	src := m.leg.In
	if p != nil {
		src = p.sec
	}
	if src == nil {
		return &sdp.Media{Type: m.Type, Protocol: m.leg.Protocol, ProtoText: m.leg.ProtoText, Codecs: m.leg.Shown}
	}
	out := &sdp.Media{Type: src.Type, Protocol: src.Protocol, ProtoText: src.ProtoText, Formats: src.Formats,
		Title: src.Title, Bandwidth: src.Bandwidth, Codecs: src.Codecs, MID: first(m.leg.MID, src.MID)}
	if m.leg.Protocol.IsRTP() && src.Protocol.IsRTP() {
		out.Protocol, out.ProtoText = m.leg.Protocol, m.leg.ProtoText
	}
	if !out.Protocol.IsRTP() {
		out.Codecs = nil
	}
	return out
}

// section is a live section for p.bm's party.
func (n *negotiation) section(p *pair, offer bool) *sdp.Media {
	l, src := &p.bm.leg, p.sec
	m := &p.out
	*m = sdp.Media{
		Type: src.Type, Protocol: l.Protocol, ProtoText: l.ProtoText, Formats: src.Formats,
		Title: src.Title, Bandwidth: src.Bandwidth, Unknown: src.Unknown, Label: src.Label, Rest: src.Rest,
		MaxPTime: src.MaxPTime,
	}
	locals := p.bm.transport().Locals()
	at := primary(locals, p.bm.party.place.family)
	n.address(m, p, at)
	m.MID = l.MID
	if l.ICE.On {
		n.printICE(m, p, locals, at, offer)
	}
	if !l.rtp() {
		m.Direction, m.Setup, m.Fingerprints, m.TLSID = src.Direction, src.Setup, src.Fingerprints, src.TLSID
		return m
	}
	m.Codecs = l.Shown
	m.Extmaps = n.extmaps(p, offer)
	if offer && n.from.bundle.offered && !p.inGroup {
		m.Extmaps = withoutMID(m.Extmaps) // it came from us, for the sake of the sender's group
	}
	if offer && p.inGroup {
		if n.to.bundle.offered {
			m.Extmaps = n.midExtension(m.Extmaps)
		}
		if b := extmapID(m.Extmaps, uriMID); b > 0 && !l.Seen {
			l.MIDExt = b
		}
		if p.bm.bundle != nil {
			m.BundleOnly = true
			if n.f.Bundle.Strict {
				m.Port = 0
			}
		}
	}
	id := extmapID(l.heardExtmaps(), uriMID)
	if !offer && id == 0 && extmapID(m.Extmaps, uriMID) > 0 {
		m.Extmaps = withoutMID(m.Extmaps)
	}
	if !offer && p.inGroup && id > 0 && extmapID(m.Extmaps, uriMID) == 0 {
		m.Extmaps = append(slices.Clone(m.Extmaps), sdp.Extmap{ID: id, URI: uriMID})
	}
	m.ExtmapAllowMixed = len(m.Extmaps) > 0 && !l.refusesMixed()
	m.Direction = p.a.Dir
	if n.f.OriginalSendRecv && src.Direction != sdp.DirectionDefault {
		m.Direction = src.Direction
	}
	if p.unanswered {
		m.Direction = sdp.SendRecv // the zero address says it all
	}
	m.PTime = cmp.Or(l.PTimeWish, l.PTime)
	n.printRTCP(m, l, at, offer)
	if l.secure() {
		m.Cryptos = l.SDES.Sent
		n.printDTLS(m, l, p.bm.transport().Certificate(), offer)
	}
	return m
}

// primary is the local address that c= shows: the first of the wanted family, else the first.
func primary(locals []relay.Local, family sdp.Family) relay.Local {
	for _, l := range locals {
		if familyOf(l.Advertised) == family {
			return l
		}
	}
	return locals[0]
}

// address fills in port and connection.
func (n *negotiation) address(m *sdp.Media, p *pair, at relay.Local) {
	m.Port = at.Ports[relay.RTP]
	c := sdp.ConnectionTo(n.shown(at))
	if p.a.Hold && !n.f.Replace.ZeroAddress && !p.b.ICE.On {
		zero := netip.IPv4Unspecified()
		if familyOf(c.Addr) == sdp.IP6 {
			zero = netip.IPv6Unspecified()
		}
		c = sdp.ConnectionTo(zero)
	}
	m.Connections = []sdp.Connection{c}
}

// shown is the address to print for a local one: media-address stands in for all of them.
func (n *negotiation) shown(at relay.Local) netip.Addr {
	if a, err := netip.ParseAddr(n.f.MediaAddress); err == nil {
		return a
	}
	return at.Advertised
}

func (n *negotiation) printRTCP(m *sdp.Media, l *leg, at relay.Local, offer bool) {
	port := at.Ports[relay.RTCP]
	mux := l.Mux.On
	if offer {
		mux = l.Mux.Offered
		if l.Mux.Require {
			port = at.Ports[relay.RTP]
		}
	} else if mux {
		port = at.Ports[relay.RTP]
	}
	m.RTCPMux = mux
	if n.f.NoRTCPAttr || port == 0 {
		return
	}
	m.RTCP = &sdp.RTCPAttr{Port: port}
	if n.f.FullRTCPAttr {
		m.RTCP.Conn = &m.Connections[0]
	}
}

// printDTLS prints our certificate and role.
func (n *negotiation) printDTLS(m *sdp.Media, l *leg, cert relay.Certificate, offer bool) {
	if !l.DTLS.On {
		return
	}
	digest := cert.Fingerprint(l.DTLS.Hash)
	if digest == nil {
		return
	}
	m.Setup = l.DTLS.setup(offer)
	m.Fingerprints = []sdp.Fingerprint{{Hash: l.DTLS.Hash, Digest: digest}}
	if !n.f.NoTLSID {
		m.TLSID = l.DTLS.LocalID
	}
}

// extmaps are the header extensions to show to p.bm's party. What strip names ends here. What mask names is between us
// and the party that offered it: the other one does not get to see it, and it is answered to the first in front of the
// rest. With either flag packets keep only the extensions that both sides have.
func (n *negotiation) extmaps(p *pair, offer bool) []sdp.Extmap {
	l := &p.bm.leg
	strip := n.f.StripExtmap || len(n.f.ExtmapStrip) > 0
	if offer && p.am != nil {
		p.am.leg.ExtMask = n.f.ExtmapMask
		p.am.leg.ExtOnly, l.ExtOnly = strip || len(n.f.ExtmapMask) > 0, strip || len(n.f.ExtmapMask) > 0
	} else if p.am != nil && strip {
		p.am.leg.ExtOnly, l.ExtOnly = true, true
	}
	var first, rest []sdp.Extmap
	if !offer && l.In != nil {
		for _, mask := range [][]string{l.ExtMask, n.f.ExtmapMask} {
			for _, x := range l.In.Extmaps {
				own := masks(l.ExtMask, x.URI) || extmapID(p.sec.Extmaps, x.URI) > 0
				if masks(mask, x.URI) && own && !n.f.stripsExtmap(x.URI) && extmapID(first, x.URI) == 0 {
					first = append(first, x)
				}
			}
		}
	}
	for _, x := range p.sec.Extmaps {
		if !n.f.hidesExtmap(x.URI) && extmapID(first, x.URI) == 0 {
			rest = append(rest, x)
		}
	}
	list := append(first, rest...)
	l.Exts = list
	return list
}

// masks tells whether a list of header extensions names one, or all.
func masks(list []string, uri string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, "all") || strings.EqualFold(s, uri) })
}

// relayedInPlace tells sections that are none of our business: MSRP runs over TCP.
func relayedInPlace(m *sdp.Media) bool {
	return m.Type == "message" || m.ProtoText == "TCP/MSRP" || m.ProtoText == "TCP/TLS/MSRP"
}

// written are the attribute lines of a section in the order received, but for the end of the candidates: ours precede it.
func (n *negotiation) written(p *pair) []string {
	i := slices.Index(n.s.Media, p.sec)
	if lines := sdp.AttributeLines(n.f.SDP); i >= 0 && i < len(lines) {
		return slices.DeleteFunc(lines[i], func(s string) bool { return s == "a=end-of-candidates" })
	}
	return nil
}

// verbatim hands a section on as it came, with candidates of ours where it passes through us only as a last resort. Where
// we are blind to it by request it still comes through us.
func (n *negotiation) verbatim(p *pair, offer bool) *sdp.Media {
	m := *p.sec
	blind := p.a.Blind && !relayedInPlace(p.sec)
	if m.Protocol.IsRTP() && p.b.Protocol.IsRTP() && (p.b.Seen || blind) {
		m.Protocol = p.b.Protocol
		if !blind {
			m.Codecs = p.b.Shown
		}
	}
	m.Codecs = slices.Clone(m.Codecs)
	for i := range m.Codecs {
		if m.Codecs[i].Static && !blind {
			m.Codecs[i].Name = "" // no rtpmap was there
		}
	}
	if t := p.bm.transport(); blind && !p.a.Rejected && t != nil {
		n.throughUs(&m, p, primary(t.Locals(), p.bm.party.place.family), offer)
	}
	if p.a.Pass && p.sec.ICE.InUse() && p.bm.transport() != nil {
		m.ICE.Candidates = append(slices.Clone(m.ICE.Candidates), n.lastResort(p)...)
	}
	m.Order = n.written(p)
	return &m
}

// throughUs puts our address and ports into a section whose other lines are the party's own.
func (n *negotiation) throughUs(m *sdp.Media, p *pair, at relay.Local, offer bool) {
	n.address(m, p, at)
	if m.Protocol.IsRTP() {
		l := p.bm.leg
		l.Mux.On, l.Mux.Offered = m.RTCPMux, m.RTCPMux
		n.printRTCP(m, &l, at, offer)
	}
}
