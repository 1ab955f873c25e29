package sdp

import (
	"strconv"
	"strings"
	"time"
)

// Append appends the body in the order of lines that rtpengine 26 prints, with CRLF. There is no session c=; every
// media has its own, the first of Connections. A media with port 0 that is not bundle-only is cut down to what keeps
// its place, unless its protocol is opaque. Strings are printed as they are: they must not contain line ends.
func Append(dst []byte, s *Session) []byte {
	dst = append(dst, "v=0\r\n"...)
	dst = appendOrigin(dst, &s.Origin)
	dst = line(dst, "s=", s.Name)
	for _, kind := range "iuep" {
		for _, text := range s.Info {
			if text[0] == byte(kind) {
				dst = line(dst, "", text)
			}
		}
	}
	dst = appendBandwidth(dst, s.Bandwidth)
	for _, t := range s.Timing {
		dst = line(dst, "t=", t)
	}
	if len(s.Timing) == 0 {
		dst = line(dst, "t=", "0 0")
	}
	for _, text := range s.Unknown {
		dst = line(dst, "", text)
	}
	for _, mark := range s.LoopMarks {
		dst = line(dst, "a=rtpengine:", mark)
	}
	if s.ICELite {
		dst = line(dst, "a=ice-lite", "")
	}
	for _, g := range s.Groups {
		dst = append(append(dst, "a=group:"...), g.Semantics...)
		for _, mid := range g.MIDs {
			dst = append(append(dst, ' '), mid...)
		}
		dst = crlf(dst)
	}
	for _, a := range s.Rest {
		dst = appendAttribute(dst, a)
	}
	for _, m := range s.Media {
		dst = m.append(dst)
	}
	return dst
}

// String is the body as Append prints it.
func (s *Session) String() string { return string(Append(nil, s)) }

func crlf(dst []byte) []byte { return append(dst, '\r', '\n') }

func line(dst []byte, prefix, value string) []byte {
	return crlf(append(append(dst, prefix...), value...))
}

// or is s, or what stands for a missing field.
func or(s, missing string) string {
	if s == "" {
		return missing
	}
	return s
}

func appendOrigin(dst []byte, o *Origin) []byte {
	dst = append(append(dst, "o="...), or(o.Username, "-")...)
	dst = append(append(dst, ' '), or(o.SessionID, "0")...)
	dst = append(append(dst, ' '), or(o.Version, "0")...)
	dst = append(append(dst, " IN "...), or(string(o.Family), "IP4")...)
	dst = append(append(dst, ' '), or(o.Address, "0.0.0.0")...)
	return crlf(dst)
}

// bandwidthOrder is the order in which rtpengine prints the types that it knows.
var bandwidthOrder = [...]string{"AS", "RR", "RS", "CT", "TIAS"}

func appendBandwidth(dst []byte, list []Bandwidth) []byte {
	if len(list) == 0 {
		return dst
	}
	for _, typ := range bandwidthOrder {
		for _, b := range list {
			if b.Type == typ {
				dst = b.append(dst)
			}
		}
	}
	for _, b := range list {
		if !b.known() {
			dst = b.append(dst)
		}
	}
	return dst
}

func (b *Bandwidth) known() bool {
	for _, typ := range bandwidthOrder {
		if b.Type == typ {
			return true
		}
	}
	return false
}

func (b *Bandwidth) append(dst []byte) []byte {
	dst = append(append(dst, "b="...), b.Type...)
	return line(dst, ":", b.Value)
}

func appendAttribute(dst []byte, a Attribute) []byte {
	dst = append(append(dst, "a="...), a.Key...)
	if a.Value != "" {
		dst = append(append(dst, ':'), a.Value...)
	}
	return crlf(dst)
}

// AppendConnection appends the value of a c= line.
func AppendConnection(dst []byte, c Connection) []byte {
	dst = append(append(dst, "IN "...), c.Family...)
	return append(append(dst, ' '), c.Address...)
}

func (m *Media) append(dst []byte) []byte {
	rtp := m.Protocol.IsRTP()
	dst = m.appendLine(dst)
	if m.Bare {
		return dst
	}
	if m.Title != "" {
		dst = line(dst, "i=", m.Title)
	}
	dst = append(dst, "c="...)
	if len(m.Connections) == 0 || m.Port == 0 && !m.BundleOnly {
		dst = append(dst, "IN IP4 0.0.0.0"...)
	} else {
		dst = AppendConnection(dst, m.Connections[0])
	}
	dst = crlf(dst)
	dst = appendBandwidth(dst, m.Bandwidth)
	for _, text := range m.Unknown {
		dst = line(dst, "", text)
	}
	start := len(dst)
	var placed placed
	if !rtp {
		placed.hold(m.Rest)
	}
	dst = m.appendIdentity(dst, placed)
	if rtp && m.Port == 0 && !m.BundleOnly {
		return dst
	}
	for i := range m.Codecs {
		dst = m.Codecs[i].append(dst)
	}
	if m.ExtmapAllowMixed {
		dst = line(dst, "a=extmap-allow-mixed", "")
	}
	for _, e := range m.Extmaps {
		dst = crlf(AppendExtmap(append(dst, "a=extmap:"...), e))
	}
	if rtp {
		for _, a := range m.Rest {
			dst = appendAttribute(dst, a)
		}
	} else {
		dst = m.appendHeld(dst)
	}
	if rtp || m.Direction != DirectionDefault && !placed.direction {
		dst = line(dst, "a=", m.Direction.String())
	}
	if m.RTCP != nil {
		dst = strconv.AppendUint(append(dst, "a=rtcp:"...), uint64(m.RTCP.Port), 10)
		if c := m.RTCP.Conn; c != nil {
			dst = AppendConnection(append(dst, ' '), *c)
		}
		dst = crlf(dst)
	}
	if m.RTCPMux {
		dst = line(dst, "a=rtcp-mux", "")
	}
	for _, c := range m.Cryptos {
		dst = crlf(AppendCrypto(append(dst, "a=crypto:"...), c))
	}
	if !placed.setup {
		dst = m.appendSetup(dst)
	}
	if !placed.fingerprint {
		dst = m.appendFingerprints(dst)
	}
	if !placed.tlsID {
		dst = m.appendTLSID(dst)
	}
	dst = appendPTime(dst, "a=ptime:", m.PTime)
	dst = appendPTime(dst, "a=maxptime:", m.MaxPTime)
	dst = m.ICE.append(dst)
	if m.Order != nil {
		dst = arrange(dst, start, m.Order)
	}
	return dst
}

// appendLine prints the m= line. RTP without any format gets format 0; another protocol's list stays empty, which is
// printed with the blank in front of it (observed: rtpengine 26).
func (m *Media) appendLine(dst []byte) []byte {
	dst = append(append(dst, "m="...), m.Type...)
	dst = strconv.AppendUint(append(dst, ' '), uint64(m.Port), 10)
	dst = append(append(dst, ' '), or(m.Protocol.String(), m.ProtoText)...)
	for i := range m.Codecs {
		dst = strconv.AppendUint(append(dst, ' '), uint64(m.Codecs[i].PT), 10)
	}
	if len(m.Codecs) == 0 {
		for _, f := range m.Formats {
			dst = append(append(dst, ' '), f...)
		}
		switch {
		case len(m.Formats) > 0:
		case m.Protocol.IsRTP():
			dst = append(dst, " 0"...)
		default:
			dst = append(dst, ' ')
		}
	}
	return crlf(dst)
}

// placed tells which fields of a media that is not RTP have a place in its Rest.
type placed struct {
	mid, label, bundleOnly, direction, setup, fingerprint, tlsID bool
}

func (p *placed) hold(rest []Attribute) {
	for _, a := range rest {
		switch a.Key {
		case "mid":
			p.mid = true
		case "label":
			p.label = true
		case "bundle-only":
			p.bundleOnly = true
		case "sendrecv", "sendonly", "recvonly", "inactive":
			p.direction = true
		case "setup":
			p.setup = true
		case "fingerprint":
			p.fingerprint = true
		case "tls-id":
			p.tlsID = true
		}
	}
}

func (m *Media) appendIdentity(dst []byte, placed placed) []byte {
	if !placed.mid {
		dst = m.appendMID(dst)
	}
	if !placed.label {
		dst = m.appendLabel(dst)
	}
	if m.BundleOnly && !placed.bundleOnly {
		dst = line(dst, "a=bundle-only", "")
	}
	return dst
}

// appendHeld prints Rest of a media that is not RTP: fields where their first place holder stands.
func (m *Media) appendHeld(dst []byte) []byte {
	var done placed
	first := func(b *bool) bool {
		was := *b
		*b = true
		return !was
	}
	for i, a := range m.Rest {
		if !placeHolder(a.Key) {
			dst = appendAttribute(dst, a)
			continue
		}
		switch a.Key {
		case "mid":
			if first(&done.mid) {
				dst = m.appendMID(dst)
			}
		case "label":
			if first(&done.label) {
				dst = m.appendLabel(dst)
			}
		case "bundle-only":
			if m.BundleOnly && first(&done.bundleOnly) {
				dst = appendAttribute(dst, m.Rest[i])
			}
		case "setup":
			if first(&done.setup) {
				dst = m.appendSetup(dst)
			}
		case "fingerprint":
			if !first(&done.fingerprint) {
				continue
			}
			if f, err := ParseFingerprint(a.Value); err == nil && len(m.Fingerprints) == 1 && f.equal(&m.Fingerprints[0]) {
				dst = appendAttribute(dst, a) // in its own spelling
			} else {
				dst = m.appendFingerprints(dst)
			}
		case "tls-id":
			switch {
			case !first(&done.tlsID):
			case m.TLSID != "" && trim(a.Value) == m.TLSID:
				dst = appendAttribute(dst, a)
			default:
				dst = m.appendTLSID(dst)
			}
		default:
			if m.Direction != DirectionDefault && first(&done.direction) {
				dst = line(dst, "a=", m.Direction.String())
			}
		}
	}
	return dst
}

func (m *Media) appendMID(dst []byte) []byte {
	if m.MID == "" {
		return dst
	}
	return line(dst, "a=mid:", m.MID)
}

func (m *Media) appendLabel(dst []byte) []byte {
	if m.Label == "" {
		return dst
	}
	return line(dst, "a=label:", m.Label)
}

func (m *Media) appendSetup(dst []byte) []byte {
	if m.Setup == SetupNone {
		return dst
	}
	return line(dst, "a=setup:", m.Setup.String())
}

func (m *Media) appendFingerprints(dst []byte) []byte {
	for _, f := range m.Fingerprints {
		dst = crlf(AppendFingerprint(append(dst, "a=fingerprint:"...), f))
	}
	return dst
}

func (m *Media) appendTLSID(dst []byte) []byte {
	if m.TLSID == "" {
		return dst
	}
	return line(dst, "a=tls-id:", m.TLSID)
}

func (c *Codec) append(dst []byte) []byte {
	if c.Name != "" {
		dst = crlf(c.appendRtpmap(append(dst, "a=rtpmap:"...)))
	}
	for _, f := range c.Fmtp {
		dst = strconv.AppendUint(append(dst, "a=fmtp:"...), uint64(c.PT), 10)
		dst = line(dst, " ", f)
	}
	for _, f := range c.Feedback {
		dst = strconv.AppendUint(append(dst, "a=rtcp-fb:"...), uint64(c.PT), 10)
		dst = line(dst, " ", f)
	}
	return dst
}

// appendPTime prints milliseconds, with a fraction only if there is one.
func appendPTime(dst []byte, prefix string, d time.Duration) []byte {
	if d <= 0 {
		return dst
	}
	dst = append(dst, prefix...)
	if d%time.Millisecond == 0 {
		return crlf(strconv.AppendInt(dst, d.Milliseconds(), 10))
	}
	return crlf(strconv.AppendFloat(dst, float64(d)/float64(time.Millisecond), 'f', -1, 64))
}

func (ice *ICE) append(dst []byte) []byte {
	if ice.Mismatch {
		dst = line(dst, "a=ice-mismatch", "")
	}
	if ice.Ufrag != "" {
		dst = line(dst, "a=ice-ufrag:", ice.Ufrag)
	}
	if ice.Pwd != "" {
		dst = line(dst, "a=ice-pwd:", ice.Pwd)
	}
	if len(ice.Options) > 0 {
		dst = line(dst, "a=ice-options:", strings.Join(ice.Options, " "))
	}
	for _, c := range ice.Candidates {
		dst = crlf(AppendCandidate(append(dst, "a=candidate:"...), c))
	}
	if len(ice.RemoteCandidates) > 0 {
		dst = crlf(appendRemoteCandidates(append(dst, "a=remote-candidates:"...), ice.RemoteCandidates))
	}
	if ice.EndOfCandidates {
		dst = line(dst, "a=end-of-candidates", "")
	}
	return dst
}
