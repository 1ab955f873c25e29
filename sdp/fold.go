package sdp

import "strings"

// maxFolded bounds what copying session attributes into every media may add to a body, in bytes. Real bodies stay
// under a tenth of it; without a bound a datagram of 64 KiB could ask for hundreds of megabytes.
const maxFolded = 256 << 10

// fold gives each media what the session level says for all of them, unless it says otherwise itself.
func (p *parser) fold() {
	s := p.s
	s.ICELite = p.ice.Lite
	for _, m := range s.Media {
		if len(m.Connections) == 0 && s.Connection != nil {
			m.Connections = tail(&p.conns, nil, *s.Connection)
		}
		if m.Direction == DirectionDefault {
			m.Direction = p.dir
		}
		m.ICE.inherit(&p.ice)
		s.ICELite = s.ICELite || m.ICE.Lite
		if m.Protocol.IsRTP() {
			if m.Extmaps == nil {
				m.Extmaps = append(m.Extmaps, p.extmaps...)
			}
			m.ExtmapAllowMixed = m.ExtmapAllowMixed || p.allowMixed
		}
		if !m.mayDTLS() {
			continue
		}
		if m.Setup == SetupNone {
			m.Setup = p.setup
		}
		if len(m.Fingerprints) == 0 {
			for _, f := range p.fingerprints {
				f.Digest = append([]byte(nil), f.Digest...)
				m.Fingerprints = append(m.Fingerprints, f)
			}
		}
		if m.TLSID == "" {
			m.TLSID = p.tlsID
		}
	}
}

// mayDTLS tells whether fingerprints mean anything to the media: RTP of any profile, since a fingerprint in RTP/AVP is
// an offer of encryption (RFC 8643), and whatever runs over TLS.
func (m *Media) mayDTLS() bool {
	return m.Protocol.IsRTP() || strings.Contains(m.ProtoText, "TLS") || strings.Contains(m.ProtoText, "tls")
}

// inherit takes over from the session what the media has not.
func (ice *ICE) inherit(session *ICE) {
	if ice.Ufrag == "" && ice.Pwd == "" {
		ice.Ufrag, ice.Pwd = session.Ufrag, session.Pwd
	}
	if ice.Options == nil {
		ice.Options = append(ice.Options, session.Options...)
	}
	ice.Lite = ice.Lite || session.Lite
}
