package rtpengine

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// interfaces resolves the names of logical interfaces. It is built once and read without locks.
type interfaces struct {
	first   string // the default
	byName  map[string]*logicalInterface
	members map[string]*rotation // base name -> its members, for round robin
	all     *rotation
	media   []Interface // those with an address
}

// logicalInterface is one name with the families it has addresses of.
type logicalInterface struct {
	name      string
	families  map[sdp.Family]bool
	addresses int
}

// rotation hands out names in turn.
type rotation struct {
	names []string
	next  atomic.Uint64
}

// pick is the next name.
func (r *rotation) pick() string { return r.names[(r.next.Add(1)-1)%uint64(len(r.names))] }

func (r *rotation) add(name string) {
	for _, n := range r.names {
		if n == name {
			return
		}
	}
	r.names = append(r.names, name)
}

func newInterfaces(list []Interface) *interfaces {
	t := &interfaces{byName: map[string]*logicalInterface{}, members: map[string]*rotation{}, all: &rotation{}}
	for _, in := range list {
		if in.Alias != "" {
			continue
		}
		if t.first == "" {
			t.first = in.Name
		}
		t.media = append(t.media, in)
		l := t.byName[in.Name]
		if l == nil {
			l = &logicalInterface{name: in.Name, families: map[sdp.Family]bool{}}
			t.byName[in.Name] = l
		}
		l.families[familyOf(in.Local)] = true
		l.addresses++
		t.all.add(in.Name)
		if in.Base != "" {
			if t.members[in.Base] == nil {
				t.members[in.Base] = &rotation{}
			}
			t.members[in.Base].add(in.Name)
		}
	}
	for _, in := range list {
		if in.Alias == "" {
			continue
		}
		if l := t.byName[in.Alias]; l != nil {
			t.byName[in.Name] = l
		} else if r := t.members[in.Alias]; r != nil {
			t.members[in.Name] = r
		}
	}
	return t
}

// own tells whether a could be a media port of ours: an address of an interface, local or advertised, and a port of its
// range.
func (t *interfaces) own(a netip.AddrPort) bool {
	return slices.ContainsFunc(t.media, func(in Interface) bool {
		return (a.Addr() == in.Local || a.Addr() == in.Advertised) && in.PortMin <= a.Port() && a.Port() <= in.PortMax
	})
}

// wordRoundRobin as a direction selects over all interfaces in turn.
const wordRoundRobin = "round-robin-calls"

// resolve turns the word of a direction key into an interface, and into a family where "internal" and "external" are
// no interfaces: then they mean IPv4 and IPv6. known is false for a word that fell back to the default.
func (t *interfaces) resolve(word string) (name string, family sdp.Family, known bool) {
	if word == "" {
		return t.first, "", true
	}
	if l := t.byName[word]; l != nil {
		return l.name, "", true
	}
	if r := t.members[word]; r != nil {
		return r.pick(), "", true
	}
	switch word {
	case wordRoundRobin:
		return t.all.pick(), "", true
	case "internal":
		return t.first, sdp.IP4, true
	case "external":
		return t.first, sdp.IP6, true
	}
	return t.first, "", false
}

// holding is the name of the first interface with this local address, "" when there is none.
func (t *interfaces) holding(a netip.Addr) string {
	for _, in := range t.media {
		if in.Local == a {
			return in.Name
		}
	}
	return ""
}

// routePeers turns the addresses of inbound-peer, outbound-peer and peer into the interfaces that packets to them leave
// from. An interface that the request names wins; an address that leads to none of ours leaves the default.
func (e *Engine) routePeers(f *Flags) {
	for _, r := range []struct {
		peer netip.Addr
		word *string
	}{{f.InboundPeer, &f.Direction[0]}, {f.OutboundPeer, &f.Direction[1]}, {f.Peer, &f.Interface}} {
		if !r.peer.IsValid() || *r.word != "" {
			continue
		}
		local, err := e.cfg.Route(r.peer)
		if name := e.ifaces.holding(local); err == nil && name != "" {
			*r.word = name
			continue
		}
		e.log.Warn("no interface towards the peer, the default is used", "callid", f.CallID, "peer", r.peer, "local", local, "err", err)
	}
}

// names tells whether word names one interface or several, rather than a family or nothing.
func (t *interfaces) names(word string) bool { return t.byName[word] != nil || t.members[word] != nil }

// has tells whether interface name has an address of family.
func (t *interfaces) has(name string, family sdp.Family) bool {
	l := t.byName[name]
	return l != nil && l.families[family]
}

// several tells whether interface name has more addresses than one.
func (t *interfaces) several(name string) bool {
	l := t.byName[name]
	return l != nil && l.addresses > 1
}

// with is the first interface that has an address of family, "" when there is none.
func (t *interfaces) with(family sdp.Family) string {
	for _, name := range t.all.names {
		if t.has(name, family) {
			return name
		}
	}
	return ""
}

// familyWish is the relay's word for an SDP family.
func familyWish(f sdp.Family) relay.FamilyWish {
	switch f {
	case sdp.IP4:
		return relay.WantIPv4
	case sdp.IP6:
		return relay.WantIPv6
	}
	return relay.AnyFamily
}
