package rtpengine

import (
	"maps"
	"strings"

	"rtpsidecar/sdp"
)

// doubled says how a party writes one section, or gets it written: twice in a row, plain and secure, of which one is to
// be used. It is how opportunistic SRTP was asked for before RFC 8643 (its section 3.1 names the practice). Inside there
// is one section, the secure one unless it was refused.
type doubled struct {
	secureFirst bool
	open        bool // offered by us and not answered yet: both stand with the same port
}

// undouble is s with the doubled sections of p's taken for one each. A party is known for writing so from an earlier SDP
// of either side; else the flags must allow it.
func (p *Participant) undouble(s *sdp.Session, f *Flags) *sdp.Session {
	if len(p.doubles) == 0 && !f.OSRTP.AcceptLegacy {
		return s
	}
	doubles := map[int]doubled{}
	one := *s
	one.Media = nil
	for i := 0; i < len(s.Media); i++ {
		m, at := s.Media[i], len(one.Media)
		_, known := p.doubles[at]
		if i+1 < len(s.Media) && (known || f.OSRTP.AcceptLegacy) {
			if chosen := chooseTwin(m, s.Media[i+1]); chosen != nil {
				doubles[at] = doubled{secureFirst: m.Protocol.IsSRTP()}
				m = chosen
				i++
			}
		}
		one.Media = append(one.Media, m)
	}
	p.doubles = doubles
	return &one
}

// chooseTwin is the one to use of two sections that are the same media plain and secure, nil where they are not.
func chooseTwin(a, b *sdp.Media) *sdp.Media {
	plain, secure := a, b
	if a.Protocol.IsSRTP() {
		plain, secure = b, a
	}
	switch {
	case !strings.EqualFold(a.Type, b.Type) || a.MID != b.MID:
		return nil
	case !plain.Protocol.IsRTP() || plain.Protocol.IsSRTP() || !secure.Protocol.IsSRTP():
		return nil
	case secure.Port == 0 && plain.Port != 0:
		return plain
	case secure.Port != 0 && len(secure.Cryptos) == 0 && len(secure.Fingerprints) == 0:
		return nil
	}
	return secure
}

// double prints the sections twice that the receiver has twice, or gets so by offer-legacy.
func (n *negotiation) double(out *sdp.Session, offer bool) {
	begin := offer && n.f.OSRTP.OfferLegacy
	if len(n.to.doubles) == 0 && !begin {
		return
	}
	doubles := maps.Clone(n.to.doubles)
	var list []*sdp.Media
	for i, m := range out.Media {
		d, known := doubles[i]
		if !known && begin && m.Protocol.IsSRTP() && m.Port != 0 && !n.to.Medias[i].leg.Seen {
			d, known = doubled{open: true}, true
			if doubles == nil {
				doubles = map[int]doubled{}
			}
			doubles[i] = d
		}
		if !known || !m.Protocol.IsRTP() {
			list = append(list, m)
			continue
		}
		if twin := d.twin(m); m.Protocol.IsSRTP() == d.secureFirst {
			list = append(list, m, twin)
		} else {
			list = append(list, twin, m)
		}
	}
	n.to.doubles, out.Media = doubles, list
}

// twin is the other half of m: refused, unless it is still open which will be used.
func (d doubled) twin(m *sdp.Media) *sdp.Media {
	other := sdp.With(!m.Protocol.IsSRTP(), m.Protocol.IsAVPF(), false)
	if !d.open || m.Port == 0 {
		return &sdp.Media{Type: m.Type, Protocol: other, Formats: m.Formats, Codecs: m.Codecs, Bare: true}
	}
	t := *m
	t.Protocol, t.MID = other, ""
	t.Cryptos, t.Fingerprints, t.Setup, t.TLSID = nil, nil, sdp.SetupNone, ""
	return &t
}
