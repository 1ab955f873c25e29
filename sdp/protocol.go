package sdp

import "strings"

// Protocol is the transport protocol of an m= line.
type Protocol uint8

// The protocols that are more than bytes to us.
const (
	ProtocolUnknown Protocol = iota
	RTPAVP
	RTPAVPF
	RTPSAVP
	RTPSAVPF
	DTLSSAVP  // UDP/TLS/RTP/SAVP
	DTLSSAVPF // UDP/TLS/RTP/SAVPF
	UDPTL
)

// protocols is indexed by Protocol.
var protocols = [...]struct {
	name                 string
	rtp, srtp, avpf, tls bool
}{
	ProtocolUnknown: {},
	RTPAVP:          {name: "RTP/AVP", rtp: true},
	RTPAVPF:         {name: "RTP/AVPF", rtp: true, avpf: true},
	RTPSAVP:         {name: "RTP/SAVP", rtp: true, srtp: true},
	RTPSAVPF:        {name: "RTP/SAVPF", rtp: true, srtp: true, avpf: true},
	DTLSSAVP:        {name: "UDP/TLS/RTP/SAVP", rtp: true, srtp: true, tls: true},
	DTLSSAVPF:       {name: "UDP/TLS/RTP/SAVPF", rtp: true, srtp: true, avpf: true, tls: true},
	UDPTL:           {name: "udptl"},
}

// ParseProtocol names the protocol of an m= line's third field, without regard to case.
func ParseProtocol(s string) Protocol {
	for p, row := range protocols {
		if p != 0 && strings.EqualFold(row.name, s) {
			return Protocol(p)
		}
	}
	return ProtocolUnknown
}

// String is the canonical spelling, "" for ProtocolUnknown.
func (p Protocol) String() string { return protocols[p].name }

// IsRTP, IsSRTP, IsAVPF, IsDTLS tell the protocol's properties.
func (p Protocol) IsRTP() bool  { return protocols[p].rtp }
func (p Protocol) IsSRTP() bool { return protocols[p].srtp }
func (p Protocol) IsAVPF() bool { return protocols[p].avpf }
func (p Protocol) IsDTLS() bool { return protocols[p].tls }

// With is the RTP protocol with these properties; tls without srtp means srtp.
func With(srtp, avpf, tls bool) Protocol {
	for p, row := range protocols {
		if row.rtp && row.srtp == (srtp || tls) && row.avpf == avpf && row.tls == tls {
			return Protocol(p)
		}
	}
	return ProtocolUnknown
}
