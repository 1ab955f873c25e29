package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"gopkg.in/ini.v1"

	"rtpsidecar/relay"
	"rtpsidecar/rtpengine"
)

// network is what the options ask of the machine; tests have their own.
type network struct {
	// device returns the addresses of a network device; it fails if there is none of that name.
	device func(name string) ([]netip.Addr, error)
	// all returns the addresses of all devices that are up, without loopback and link-local IPv6.
	all func() ([]netip.Addr, error)
	// lookup resolves a host name.
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// systemNetwork is the machine itself.
var systemNetwork = network{
	device: func(name string) ([]netip.Addr, error) {
		dev, err := net.InterfaceByName(name)
		if err != nil {
			return nil, err
		}
		return deviceAddrs(dev)
	},
	all: func() ([]netip.Addr, error) {
		devs, err := net.Interfaces()
		if err != nil {
			return nil, err
		}
		var all []netip.Addr
		for _, dev := range devs {
			if dev.Flags&net.FlagUp == 0 {
				continue
			}
			addrs, err := deviceAddrs(&dev)
			if err != nil {
				return nil, err
			}
			for _, a := range addrs {
				if !a.IsLoopback() {
					all = append(all, a)
				}
			}
		}
		return all, nil
	},
	lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
		}
		return addrs, err
	},
}

// deviceAddrs are the addresses that media can use: link-local IPv6 ones would need a zone, which SDP cannot say.
func deviceAddrs(dev *net.Interface) ([]netip.Addr, error) {
	nets, err := dev.Addrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, n := range nets {
		p, err := netip.ParsePrefix(n.String())
		if err == nil && (p.Addr().Is4() || !p.Addr().IsLinkLocalUnicast()) {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs, nil
}

// interfaceSection is one section of interfaces-config.
type interfaceSection struct {
	name, address, advertised, alias string
	portMin, portMax, exclude        string
}

func newInterfaceSection(name string, section *ini.Section) interfaceSection {
	value := func(key string) string { return unescape(section.Key(key).Value()) }
	in := interfaceSection{
		name: name, address: value("address"), advertised: value("advertised"), alias: value("alias"),
		portMin: value("port-min"), portMax: value("port-max"), exclude: value("exclude-ports"),
	}
	if n := value("name"); n != "" {
		in.name = n
	}
	return in
}

// expandInterfaces turns the interface options, or the lack of them, into addresses.
func (s *settings) expandInterfaces(ctx context.Context, net network) ([]rtpengine.Interface, error) {
	var all []rtpengine.Interface
	for _, spec := range s.interfaces {
		ins, err := expandInterface(ctx, net, spec, s.engine.PortMin, s.engine.PortMax)
		if err != nil {
			return nil, fmt.Errorf("interface %q: %w", spec, err)
		}
		all = append(all, ins...)
	}
	for _, section := range s.sections {
		ins, err := section.expand(ctx, net, s.engine.PortMin, s.engine.PortMax)
		if err != nil {
			return nil, fmt.Errorf("interface section %q: %w", section.name, err)
		}
		all = append(all, ins...)
	}
	if len(all) == 0 {
		addr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if addrs, err := net.all(); err == nil && len(addrs) > 0 {
			addr = addrs[0]
		}
		all = []rtpengine.Interface{newInterface("default", addr, addr, s.engine.PortMin, s.engine.PortMax)}
	}
	return all, checkNames(all)
}

// checkNames refuses aliases of what does not exist.
func checkNames(all []rtpengine.Interface) error {
	names := make(map[string]bool)
	for _, in := range all {
		if in.Alias == "" {
			names[in.Name], names[in.Base] = true, true
		}
	}
	var errs []error
	for _, in := range all {
		if in.Alias != "" && !names[in.Alias] {
			errs = append(errs, fmt.Errorf("interface %q is an alias of %q, which does not exist", in.Name, in.Alias))
		}
	}
	return errors.Join(errs...)
}

// expandInterface reads [NAME/]ADDRESS[!ADVERTISED] or ALIAS=NAME. One entry may give several addresses.
func expandInterface(ctx context.Context, net network, spec string, portMin, portMax uint16) ([]rtpengine.Interface, error) {
	if alias, name, ok := strings.Cut(spec, "="); ok {
		if alias == "" || name == "" {
			return nil, errors.New("an alias is written ALIAS=NAME")
		}
		in := rtpengine.Interface{Alias: name}
		in.Name = alias
		return []rtpengine.Interface{in}, nil
	}
	name, address, ok := strings.Cut(spec, "/")
	if !ok {
		name, address = "default", spec
	}
	address, advertised, hasAdvertised := strings.Cut(address, "!")
	if name == "" || address == "" || hasAdvertised && advertised == "" {
		return nil, errors.New("an interface is written [NAME/]ADDRESS[!ADVERTISED]")
	}
	return expandAddress(ctx, net, name, address, advertised, portMin, portMax)
}

func expandAddress(ctx context.Context, net network, name, address, advertised string, portMin, portMax uint16) ([]rtpengine.Interface, error) {
	locals, err := resolve(ctx, net, address)
	if err != nil {
		return nil, err
	}
	var shown []netip.Addr
	if advertised != "" {
		if shown, err = resolveHost(ctx, net, advertised); err != nil {
			return nil, fmt.Errorf("advertised address: %w", err)
		}
	}
	var ins []rtpengine.Interface
	for _, local := range locals {
		adv := local
		if advertised != "" {
			if adv = sameFamily(shown, local); !adv.IsValid() && len(locals) == 1 {
				adv = shown[0]
			}
			if !adv.IsValid() {
				adv = local
			}
		}
		ins = append(ins, newInterface(name, local, adv, portMin, portMax))
	}
	return ins, nil
}

// sameFamily is the first of addrs that is of a's family.
func sameFamily(addrs []netip.Addr, a netip.Addr) netip.Addr {
	for _, b := range addrs {
		if a.Is4() == b.Is4() {
			return b
		}
	}
	return netip.Addr{}
}

func newInterface(name string, local, advertised netip.Addr, portMin, portMax uint16) rtpengine.Interface {
	in := rtpengine.Interface{Interface: relay.Interface{
		Name: name, Local: local, Advertised: advertised, PortMin: portMin, PortMax: portMax,
	}}
	if base, _, ok := strings.Cut(name, ":"); ok {
		in.Base = base
	}
	return in
}

// resolve finds the local addresses that address means: an IP, "any", a device or a host name, in this order.
func resolve(ctx context.Context, net network, address string) ([]netip.Addr, error) {
	if address == "any" {
		addrs, err := net.all()
		if err == nil && len(addrs) == 0 {
			err = errors.New("no address that is not loopback")
		}
		return addrs, err
	}
	if _, err := parseIP(address); err != nil {
		if addrs, err := net.device(address); err == nil {
			if len(addrs) == 0 {
				return nil, errors.New("the device has no address")
			}
			return addrs, nil
		}
	}
	addrs, err := resolveHost(ctx, net, address)
	if err != nil {
		return nil, fmt.Errorf("no address, no device and no host that can be resolved (ip address lists devices): %w", err)
	}
	return addrs, nil
}

// resolveHost reads an IP or looks a host name up.
func resolveHost(ctx context.Context, net network, host string) ([]netip.Addr, error) {
	if a, err := parseIP(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := net.lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("the name has no address")
	}
	return addrs, err
}

// parseIP reads an IP address, with or without brackets.
func parseIP(s string) (netip.Addr, error) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err
}

// expand turns a section into interfaces; the ports default to the daemon's.
func (in *interfaceSection) expand(ctx context.Context, net network, portMin, portMax uint16) ([]rtpengine.Interface, error) {
	if in.alias != "" {
		return expandInterface(ctx, net, in.name+"="+in.alias, 0, 0)
	}
	if in.address == "" {
		return nil, errors.New("no address")
	}
	for _, p := range []struct {
		key, value string
		port       *uint16
	}{{"port-min", in.portMin, &portMin}, {"port-max", in.portMax, &portMax}} {
		if p.value != "" {
			n, err := strconv.ParseUint(p.value, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is not a port", p.key, p.value)
			}
			*p.port = uint16(n)
		}
	}
	exclude, err := parsePorts(in.exclude)
	if err != nil {
		return nil, err
	}
	ins, err := expandAddress(ctx, net, in.name, in.address, in.advertised, portMin, portMax)
	for i := range ins {
		ins[i].Exclude = exclude
	}
	return ins, err
}

// parsePorts reads ports and ranges of them, "30000;30010-30020".
func parsePorts(value string) ([]uint16, error) {
	var ports []uint16
	for _, item := range splitList(value) {
		first, last, ok := strings.Cut(item, "-")
		if !ok {
			last = first
		}
		low, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		high, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if err1 != nil || err2 != nil || low > high {
			return nil, fmt.Errorf("exclude-ports: %q is neither a port nor a range", item)
		}
		for p := low; p <= high; p++ {
			ports = append(ports, uint16(p))
		}
	}
	return ports, nil
}
