package ice

import "net/netip"

// Credentials are a username fragment and a password, RFC 8445 section 5.3.
type Credentials struct {
	Ufrag, Pwd string
}

// CandidateType is the type of a candidate.
type CandidateType uint8

// The types, RFC 8445 section 5.1.1.
const (
	Host CandidateType = iota
	ServerReflexive
	PeerReflexive
	Relayed
)

// Candidate is one UDP candidate with a known address.
type Candidate struct {
	Foundation string
	Component  int // 1 RTP, 2 RTCP
	Priority   uint32
	Addr       netip.AddrPort
	Type       CandidateType
}
