//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// paths keeps the kernel's map of ways to send up to date: one for each pair of addresses in use. The program cannot
// ask for a route by itself where the host does not forward IP, and asking once costs less than for every packet.
//
// It belongs to the table's mutex.
type paths struct {
	nl         *netlink.Handle
	put        func(id uint32, p *rtpPath) error
	remove     func(id uint32)
	byPair     map[pair]*path
	byID       map[uint32]*path
	lastID     uint32
	most       int // ids are below
	links      map[int]netlink.Link
	neighbours map[neighbour]lladdr
}

type pair struct {
	local, remote netip.Addr
}

type path struct {
	pair
	id    uint32
	users int
	via   neighbour // zero: local, or none
	value rtpPath
}

type neighbour struct {
	ifindex int
	addr    netip.Addr
}

// lladdr is what is known of a neighbour.
type lladdr struct {
	mac   [6]byte
	fixed bool // set by hand: to ask for it anew would make the kernel forget it
}

// The kinds of a path, as in rtp.c.
const (
	pathNone = iota
	pathLink
	pathNeigh
	pathLocal
)

func newPaths(nl *netlink.Handle, most int) *paths {
	return &paths{nl: nl, most: most, byPair: make(map[pair]*path), byID: make(map[uint32]*path),
		links: make(map[int]netlink.Link), neighbours: make(map[neighbour]lladdr)}
}

// acquire is the id of the path between two addresses, which exists until it is released as often.
func (ps *paths) acquire(k pair) (uint32, error) {
	p := ps.byPair[k]
	if p == nil {
		if len(ps.byID) >= ps.most {
			return 0, ErrFull
		}
		next := func() { ps.lastID = (ps.lastID + 1) % uint32(ps.most) } // a program that runs may have an id of late
		for next(); ps.byID[ps.lastID] != nil; next() {
		}
		p = &path{pair: k, id: ps.lastID}
		ps.resolve(p)
		if err := ps.put(p.id, &p.value); err != nil {
			return 0, fmt.Errorf("path to %s: %w", k.remote, err)
		}
		ps.byPair[k], ps.byID[p.id] = p, p
		if p.value.Kind == pathNeigh {
			ps.poke(p.via)
		}
	}
	p.users++
	return p.id, nil
}

func (ps *paths) release(id uint32) {
	p := ps.byID[id]
	if p.users--; p.users == 0 {
		ps.remove(id)
		delete(ps.byPair, p.pair)
		delete(ps.byID, id)
	}
}

// reload reads links and neighbours anew and resolves all paths.
func (ps *paths) reload() error {
	links, err := ps.nl.LinkList()
	if err != nil {
		return fmt.Errorf("links: %w", err)
	}
	clear(ps.links)
	for _, l := range links {
		ps.links[l.Attrs().Index] = l
	}
	clear(ps.neighbours)
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		all, err := ps.nl.NeighList(0, family)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("neighbours: %w", err)
		}
		for i := range all {
			ps.learn(&all[i], true)
		}
	}
	var errs []error
	for _, p := range ps.byID {
		errs = append(errs, ps.refresh(p))
	}
	return errors.Join(errs...)
}

// refresh resolves p and tells the kernel when that made a difference.
func (ps *paths) refresh(p *path) error {
	before := p.value
	if ps.resolve(p); p.value == before {
		return nil
	}
	return ps.put(p.id, &p.value)
}

// learn takes in what is known of one neighbour, and reports it when that is news.
func (ps *paths) learn(n *netlink.Neigh, exists bool) (neighbour, bool) {
	ip, ok := netip.AddrFromSlice(n.IP)
	if !ok || n.Family != unix.AF_INET && n.Family != unix.AF_INET6 {
		return neighbour{}, false
	}
	const valid = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE | netlink.NUD_PROBE | netlink.NUD_STALE |
		netlink.NUD_DELAY
	key := neighbour{n.LinkIndex, ip.Unmap()}
	before, known := ps.neighbours[key]
	if exists && n.State&valid != 0 && len(n.HardwareAddr) == 6 {
		now := lladdr{[6]byte(n.HardwareAddr), n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0}
		ps.neighbours[key] = now
		return key, before.mac != now.mac || !known
	}
	delete(ps.neighbours, key)
	return key, known
}

// neighbourChanged takes in an event.
func (ps *paths) neighbourChanged(n *netlink.Neigh, exists bool) error {
	key, news := ps.learn(n, exists)
	if !news {
		return nil
	}
	var errs []error
	for _, p := range ps.byID {
		if p.via == key {
			errs = append(errs, ps.refresh(p))
		}
	}
	return errors.Join(errs...)
}

// resolve finds how to send from p.local to p.remote now.
func (ps *paths) resolve(p *path) {
	p.via, p.value = neighbour{}, rtpPath{Saddr: words(p.local), Daddr: words(p.remote)}
	routes, err := ps.nl.RouteGetWithOptions(p.remote.AsSlice(), &netlink.RouteGetOptions{SrcAddr: p.local.AsSlice()})
	if err != nil || len(routes) != 1 {
		return
	}
	r := &routes[0]
	link := ps.links[r.LinkIndex]
	if link == nil {
		if link, err = ps.nl.LinkByIndex(r.LinkIndex); err != nil {
			return
		}
		ps.links[r.LinkIndex] = link
	}
	attrs := link.Attrs()
	v := p.value
	v.Ifindex, v.Mtu = uint32(r.LinkIndex), uint32(attrs.MTU)
	if r.MTU > 0 {
		v.Mtu = min(v.Mtu, uint32(r.MTU))
	}
	if attrs.Flags&net.FlagUp == 0 {
		return
	}
	switch {
	case r.Type == unix.RTN_LOCAL && attrs.Flags&net.FlagLoopback != 0:
		v.Kind = pathLocal
	case r.Type == unix.RTN_UNICAST && attrs.EncapType == "ether" && attrs.RawFlags&unix.IFF_NOARP == 0:
		gateway := p.remote
		if gw, ok := netip.AddrFromSlice(r.Gw); ok {
			gateway = gw.Unmap()
		} else if via, ok := r.Via.(*netlink.Via); ok {
			if gw, ok := netip.AddrFromSlice(via.Addr); ok {
				gateway = gw.Unmap()
			}
		}
		p.via = neighbour{r.LinkIndex, gateway}
		copy(v.Smac[:], attrs.HardwareAddr)
		if ll, ok := ps.neighbours[p.via]; ok {
			v.Kind, v.Dmac = pathLink, ll.mac
			break
		}
		v.Kind = pathNeigh
		v.Family = 6
		if gateway.Is4() {
			v.Family = 4
		}
		for i, b := range gateway.AsSlice() {
			v.Gateway[i/4] |= uint32(b) << (8 * (i % 4)) // as it lies in memory
		}
	default:
		return
	}
	p.value = v
}

// pokeAll pokes all neighbours in use.
func (ps *paths) pokeAll() {
	done := make(map[neighbour]bool)
	for _, p := range ps.byID {
		if p.via.ifindex != 0 && !done[p.via] {
			done[p.via] = true
			ps.poke(p.via)
		}
	}
}

// poke has the kernel check that a neighbour is there, as if it had sent a packet itself: packets sent from the program
// do not tell it that the neighbour is needed.
func (ps *paths) poke(n neighbour) {
	if ps.neighbours[n].fixed {
		return
	}
	family := unix.AF_INET6
	if n.addr.Is4() {
		family = unix.AF_INET
	}
	// An error leaves things as they are: with the addresses known, or with the kernel asking for each packet.
	_ = ps.nl.NeighSet(&netlink.Neigh{LinkIndex: n.ifindex, Family: family, IP: n.addr.AsSlice(), Flags: netlink.NTF_USE})
}
