package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// listenAddrs reads [IP|HOST:]PORT; IPv6 stands in brackets. A bare port listens on all addresses of both families, a
// host name on each of its addresses; several tells of these two.
func listenAddrs(ctx context.Context, net network, spec string) (addrs []netip.AddrPort, several bool, err error) {
	host, portText := "", spec
	if i := strings.LastIndexByte(spec, ':'); i >= 0 {
		host, portText = spec[:i], spec[i+1:]
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, false, usageError{fmt.Errorf("%q is not [IP|HOST:]PORT, as in 192.0.2.1:2223", spec)}
	}
	port := uint16(n)
	switch {
	case host == "":
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port), netip.AddrPortFrom(netip.IPv6Unspecified(), port)}, true, nil
	case strings.Contains(host, ":") && !strings.HasPrefix(host, "["):
		return nil, false, fmt.Errorf("%q: an IPv6 address needs brackets", spec)
	}
	hosts, err := resolveHost(ctx, net, host)
	if err != nil {
		return nil, false, fmt.Errorf("%q: %w", spec, err)
	}
	for _, a := range hosts {
		addrs = append(addrs, netip.AddrPortFrom(a, port))
	}
	return addrs, len(addrs) > 1, nil
}

// listenAll opens the sockets of each spec with open and returns the addresses that were bound.
func listenAll(ctx context.Context, net network, name string, specs []string, open func(netip.AddrPort) (netip.AddrPort, error)) ([]netip.AddrPort, error) {
	var bound []netip.AddrPort
	for _, spec := range specs {
		addrs, several, err := listenAddrs(ctx, net, spec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var errs []error
		before := len(bound)
		for _, a := range addrs {
			b, err := open(a)
			switch {
			case err == nil:
				bound = append(bound, b)
			case several && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)):
				errs = append(errs, err) // the machine lacks a family, or one address of the name
			default:
				return nil, fmt.Errorf("%s %s: %w%s", name, spec, err, bindHint(a, err))
			}
		}
		if len(bound) == before {
			return nil, fmt.Errorf("%s %s: %w", name, spec, errors.Join(errs...))
		}
	}
	return bound, nil
}
