package sdp

import (
	"net/netip"
	"slices"
	"strings"
)

// ConnectionTo is the c= line for an address: IP4 or IP6 by its kind.
func ConnectionTo(a netip.Addr) Connection {
	family := IP6
	if a.Is4() {
		family = IP4
	}
	return Connection{Family: family, Address: a.String(), Addr: a}
}

// IsZero tells the unspecified address (0.0.0.0, ::), the old way of putting a call on hold: RFC 3264 section 8.4.
func (c Connection) IsZero() bool { return c.Addr.IsValid() && c.Addr.IsUnspecified() }

// Conn is the connection that holds for the media: its first c=, or the session's. False when there is none.
func (m *Media) Conn() (Connection, bool) {
	if len(m.Connections) == 0 {
		return Connection{}, false
	}
	return m.Connections[0], true
}

// RTPAddr is where the media wants to receive; its address is invalid when the c= line is missing or names a host.
func (m *Media) RTPAddr() netip.AddrPort {
	c, _ := m.Conn()
	return netip.AddrPortFrom(c.Addr, m.Port)
}

// RTCPAddr is where the media wants to receive RTCP when it is not multiplexed: a=rtcp (RFC 3605), else the RTP
// address and the port above. The port is 0 when there is none.
func (m *Media) RTCPAddr() netip.AddrPort {
	rtp := m.RTPAddr()
	if m.RTCP == nil {
		if rtp.Port() == 0 || rtp.Port() == 65535 {
			return netip.AddrPortFrom(rtp.Addr(), 0)
		}
		return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1)
	}
	addr := rtp.Addr()
	if c := m.RTCP.Conn; c != nil {
		addr = c.Addr
	}
	return netip.AddrPortFrom(addr, m.RTCP.Port)
}

// Rejected tells a port of 0 that does not mean bundle-only: RFC 3264 section 6, RFC 9143 section 6.
func (m *Media) Rejected() bool { return m.Port == 0 && !m.BundleOnly }

// InUse tells whether the media's side does ICE: it gave both halves of its credentials.
func (ice *ICE) InUse() bool { return ice.Ufrag != "" && ice.Pwd != "" }

// HasOption looks for an ice-options tag, such as "trickle".
func (ice *ICE) HasOption(tag string) bool {
	return slices.ContainsFunc(ice.Options, func(o string) bool { return strings.EqualFold(o, tag) })
}

// Codec is the media's codec with that payload type, nil when it has none.
func (m *Media) Codec(pt uint8) *Codec {
	for i := range m.Codecs {
		if m.Codecs[i].PT == pt {
			return &m.Codecs[i]
		}
	}
	return nil
}

// ByMID is the media with that mid, nil when there is none or mid is empty.
func (s *Session) ByMID(mid string) *Media {
	for _, m := range s.Media {
		if m.MID == mid && mid != "" {
			return m
		}
	}
	return nil
}

// Bundle is the BUNDLE group that holds mid, nil when none does.
func (s *Session) Bundle(mid string) *Group {
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.Semantics == "BUNDLE" && mid != "" && slices.Contains(g.MIDs, mid) {
			return g
		}
	}
	return nil
}

// EqualButOrigin compares two printed bodies without their o= line: what decides whether its version must go up.
func EqualButOrigin(a, b string) bool {
	a1, a2 := aroundOrigin(a)
	b1, b2 := aroundOrigin(b)
	return a1 == b1 && a2 == b2
}

func aroundOrigin(s string) (before, after string) {
	i := 0
	if !strings.HasPrefix(s, "o=") {
		if i = strings.Index(s, "\no=") + 1; i == 0 {
			return s, ""
		}
	}
	before, after = s[:i], s[i:]
	_, after, _ = strings.Cut(after, "\n")
	return before, after
}
