package ice

import (
	"crypto/rand"
	"io"
	"net/netip"
	"strings"
)

// CandidateType is what a candidate's address is to its owner, RFC 8445 section 4.
type CandidateType uint8

// The candidate types. The zero value is a host candidate.
const (
	Host CandidateType = iota
	ServerReflexive
	PeerReflexive
	Relayed
)

// String is the type's word in an a=candidate line.
func (t CandidateType) String() string {
	switch t {
	case PeerReflexive:
		return "prflx"
	case ServerReflexive:
		return "srflx"
	case Relayed:
		return "relay"
	}
	return "host"
}

// preference is the type preference recommended by RFC 8445 section 5.1.2.2.
func (t CandidateType) preference() uint32 {
	switch t {
	case PeerReflexive:
		return 110
	case ServerReflexive:
		return 100
	case Relayed:
		return 0
	}
	return 126
}

// ParseCandidateType reads the word after "typ", in any case; false for an unknown one.
func ParseCandidateType(s string) (CandidateType, bool) {
	for t := Host; t <= Relayed; t++ {
		if strings.EqualFold(s, t.String()) {
			return t, true
		}
	}
	return Host, false
}

// Candidate is a local or a remote candidate.
//
// Of a local one, Addr is the address that the peer is told, which behind a one-to-one NAT is not the bound one.
// A remote one that cannot be checked (Transport other than UDP, a host name and thus no Addr, port 0) may be handed
// in all the same: it is counted and set aside.
type Candidate struct {
	Foundation string
	Component  int    // 1 or 2
	Transport  string // "UDP" in any case, or empty for it
	Type       CandidateType
	Priority   uint32
	Addr       netip.AddrPort
}

// usable says whether a remote candidate can be the target of a check.
func (c *Candidate) usable() bool {
	ip := c.Addr.Addr()
	return (c.Transport == "" || strings.EqualFold(c.Transport, "udp")) &&
		ip.IsValid() && c.Addr.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast()
}

// Priority is the priority of a candidate: n is the index of the local address, 0 for the primary one, and makes the
// local preference 65535-n. Source: RFC 8445 section 5.1.2.1.
func Priority(t CandidateType, n, component int) uint32 {
	return t.preference()<<24 | uint32(65535-n)<<8 | uint32(256-component)
}

// reflexive is the priority that a peer-reflexive candidate with a base of priority p gets: the same local preference
// and component, RFC 8445 section 7.1.1.
func reflexive(p uint32) uint32 { return PeerReflexive.preference()<<24 | p&0xffffff }

// pairable applies RFC 8445 section 6.1.2.2: same family, and IPv6 link-local only with its like.
func pairable(local, remote netip.Addr) bool {
	if local.Is4() != remote.Is4() {
		return false
	}
	return local.Is4() || local.IsLinkLocalUnicast() == remote.IsLinkLocalUnicast()
}

// pairPriority is the formula of RFC 8445 section 6.1.2.3; g is the controlling agent's candidate priority.
func pairPriority(g, d uint32) uint64 {
	p := uint64(min(g, d))<<32 + 2*uint64(max(g, d))
	if g > d {
		p++
	}
	return p
}

// normal makes addresses comparable: sockets of both families report IPv4 as IPv4-mapped IPv6.
func normal(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Credentials are the user name fragment and password of one side for one ICE session.
type Credentials struct{ Ufrag, Pwd string }

const alphanumerics = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewCredentials draws 8 characters of ufrag (47 bits, at least 24 are asked for) and 26 of pwd (154 bits, at least
// 128). A nil reader means crypto/rand. Source: RFC 8445 section 5.3.
func NewCredentials(r io.Reader) Credentials {
	return Credentials{Ufrag: randomString(r, 8), Pwd: randomString(r, 26)}
}

// NewFoundation draws the 16 characters that name a local address. Candidates share a foundation when they share the
// address, so it is drawn once per address and kept. A nil reader means crypto/rand.
func NewFoundation(r io.Reader) string { return randomString(r, 16) }

func randomString(r io.Reader, n int) string {
	s := make([]byte, 0, n)
	var b [64]byte
	for len(s) < n {
		fill(r, b[:])
		for _, c := range b {
			// 248 is the largest multiple of 62 in a byte: no character is likelier than another.
			if c < 248 && len(s) < n {
				s = append(s, alphanumerics[c%62])
			}
		}
	}
	return string(s)
}

// fill reads random bytes; should an injected source run dry, the system's takes over rather than leave zeros.
func fill(r io.Reader, b []byte) {
	if r != nil {
		if _, err := io.ReadFull(r, b); err == nil {
			return
		}
	}
	_, _ = rand.Read(b) // never fails since Go 1.24
}
