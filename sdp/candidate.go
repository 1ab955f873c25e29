package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseCandidate reads the value of an a=candidate line. Host names (mDNS) are fine; their Addr is zero.
// Source: RFC 8839 section 5.1.
func ParseCandidate(value string) (Candidate, error) { return parseCandidate(value, nil) }

func parseCandidate(value string, slab *[]Attribute) (c Candidate, err error) {
	var component, priority, port, typ string
	c.Foundation, value = field(value)
	component, value = field(value)
	c.Transport, value = field(value)
	priority, value = field(value)
	c.Address, value = field(value)
	port, value = field(value)
	typ, value = field(value)
	c.Type, value = field(value)
	if c.Type == "" || !strings.EqualFold(typ, "typ") {
		return Candidate{}, errors.New("candidate without a type")
	}
	// 256 is the most that the priority formula can express, RFC 8445 section 5.1.2.1.
	n, ok := parseUint(component, 256)
	if !ok || n == 0 {
		return Candidate{}, fmt.Errorf("candidate component %q", clip(component))
	}
	c.Component = int(n)
	if n, ok = parseUint(priority, 1<<32-1); !ok {
		return Candidate{}, fmt.Errorf("candidate priority %q", clip(priority))
	}
	c.Priority = uint32(n)
	if c.Port, ok = parsePort(port); !ok {
		return Candidate{}, fmt.Errorf("candidate port %q", clip(port))
	}
	c.Addr = parseAddr(c.Address)
	var key, v string
	for value != "" {
		key, value = field(value)
		v, value = field(value)
		switch {
		case strings.EqualFold(key, "raddr"):
			c.RelAddr = v
		case strings.EqualFold(key, "rport"):
			if c.RelPort, ok = parsePort(v); !ok {
				return Candidate{}, fmt.Errorf("candidate rport %q", clip(v))
			}
		case slab != nil:
			c.Extra = tail(slab, c.Extra, Attribute{Key: key, Value: v})
		default:
			c.Extra = append(c.Extra, Attribute{Key: key, Value: v})
		}
	}
	return c, nil
}

// AppendCandidate appends the value of an a=candidate line.
func AppendCandidate(dst []byte, c Candidate) []byte {
	dst = append(append(dst, c.Foundation...), ' ')
	dst = append(strconv.AppendInt(dst, int64(c.Component), 10), ' ')
	dst = append(append(dst, c.Transport...), ' ')
	dst = append(strconv.AppendUint(dst, uint64(c.Priority), 10), ' ')
	dst = append(append(dst, c.Address...), ' ')
	dst = strconv.AppendUint(dst, uint64(c.Port), 10)
	dst = append(append(dst, " typ "...), c.Type...)
	if c.RelAddr != "" {
		dst = append(append(dst, " raddr "...), c.RelAddr...)
		dst = append(dst, " rport "...)
		dst = strconv.AppendUint(dst, uint64(c.RelPort), 10)
	}
	for _, x := range c.Extra {
		dst = append(append(dst, ' '), x.Key...)
		if x.Value != "" {
			dst = append(append(dst, ' '), x.Value...)
		}
	}
	return dst
}

// IsUDP tells whether the candidate's transport is UDP.
func (c *Candidate) IsUDP() bool { return strings.EqualFold(c.Transport, "udp") }

// parseRemoteCandidates reads the value of a=remote-candidates, RFC 8839 section 5.2: triples of component, address
// and port. Host names have no place there.
func parseRemoteCandidates(value string) (list []RemoteCandidate, err error) {
	for value = trim(value); value != ""; {
		var component, addr, port string
		component, value = field(value)
		addr, value = field(value)
		port, value = field(value)
		n, ok1 := parseUint(component, 256)
		p, ok2 := parsePort(port)
		a := parseAddr(addr)
		if !ok1 || !ok2 || n == 0 || !a.IsValid() {
			return nil, errors.New("remote-candidates not in triples of component, address and port")
		}
		list = append(list, RemoteCandidate{Component: int(n), Addr: netip.AddrPortFrom(a, p)})
	}
	if list == nil {
		return nil, errors.New("remote-candidates without a candidate")
	}
	return list, nil
}

func appendRemoteCandidates(dst []byte, list []RemoteCandidate) []byte {
	for i, r := range list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(strconv.AppendInt(dst, int64(r.Component), 10), ' ')
		dst = append(r.Addr.Addr().AppendTo(dst), ' ')
		dst = strconv.AppendUint(dst, uint64(r.Addr.Port()), 10)
	}
	return dst
}

func parsePort(s string) (uint16, bool) {
	n, ok := parseUint(s, 65535)
	return uint16(n), ok
}

// parseAddr is the address s spells, zero when it is none. A zone says nothing outside the host that wrote it.
func parseAddr(s string) netip.Addr {
	// Sort out the common host name before netip builds an error for it.
	if s == "" || !strings.ContainsRune(s, ':') && (s[len(s)-1] < '0' || s[len(s)-1] > '9') {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("")
}
