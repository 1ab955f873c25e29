package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// testNetwork is a machine with two addresses on eth0 and a name with one of each family.
var testNetwork = network{
	device: func(name string) ([]netip.Addr, error) {
		switch name {
		case "eth0":
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, nil
		case "down0":
			return nil, nil
		}
		return nil, errors.New("no such device")
	},
	all: func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")}, nil
	},
	lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "media.example.com":
			return []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::2")}, nil
		case "empty.example.com":
			return nil, nil
		}
		return nil, errors.New("no such host")
	},
}

func TestExpandInterface(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string // as interfaceNames writes them
		err      string
	}{
		{name: "address", in: "192.0.2.1", want: []string{"default/192.0.2.1"}},
		{name: "named", in: "pub/192.0.2.1", want: []string{"pub/192.0.2.1"}},
		{name: "advertised", in: "pub/192.0.2.1!203.0.113.5", want: []string{"pub/192.0.2.1!203.0.113.5"}},
		{name: "advertised as a name", in: "192.0.2.1!media.example.com", want: []string{"default/192.0.2.1!198.51.100.1"}},
		{name: "IPv6", in: "2001:db8::5", want: []string{"default/2001:db8::5"}},
		{name: "IPv6 in brackets", in: "pub/[2001:db8::5]!2001:db8::6", want: []string{"pub/2001:db8::5!2001:db8::6"}},
		{name: "device", in: "pub/eth0", want: []string{"pub/192.0.2.1", "pub/2001:db8::1"}},
		{name: "device, advertised", in: "eth0!203.0.113.5", want: []string{"default/192.0.2.1!203.0.113.5", "default/2001:db8::1"}},
		{name: "any", in: "any", want: []string{"default/192.0.2.1", "default/2001:db8::1", "default/10.0.0.1"}},
		{name: "host", in: "pub/media.example.com", want: []string{"pub/198.51.100.1", "pub/2001:db8::2"}},
		{name: "alias", in: "virt=pub", want: []string{"virt=pub"}},
		{name: "round robin", in: "pub:1/192.0.2.1", want: []string{"pub:1/192.0.2.1"}},
		{name: "other family advertised", in: "10.0.0.1!2001:db8::9", want: []string{"default/10.0.0.1!2001:db8::9"}},
		{name: "nothing", in: "", err: "written"},
		{name: "no name", in: "/192.0.2.1", err: "written"},
		{name: "no address", in: "pub/", err: "written"},
		{name: "no advertised", in: "192.0.2.1!", err: "written"},
		{name: "half an alias", in: "=pub", err: "ALIAS=NAME"},
		{name: "unknown", in: "nowhere", err: "no such host"},
		{name: "name without address", in: "empty.example.com", err: "no address"},
		{name: "device without address", in: "down0", err: "no address"},
		{name: "unknown advertised", in: "192.0.2.1!nowhere", err: "advertised address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ins, err := expandInterface(t.Context(), testNetwork, tt.in, 1000, 2000)
			if got := interfaceNames(ins); !slices.Equal(got, tt.want) {
				t.Errorf("%q = %q, want %q", tt.in, got, tt.want)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%q: error %v, want %q", tt.in, err, tt.err)
			}
			for _, in := range ins {
				if in.Alias == "" && (in.PortMin != 1000 || in.PortMax != 2000) {
					t.Errorf("%q: ports %d-%d", tt.in, in.PortMin, in.PortMax)
				}
			}
		})
	}
}

func TestRoundRobinBase(t *testing.T) {
	ins, err := expandInterface(t.Context(), testNetwork, "pub:1/192.0.2.1", 1, 2)
	if err != nil || ins[0].Base != "pub" || ins[0].Name != "pub:1" {
		t.Errorf("base %q of %q, %v", ins[0].Base, ins[0].Name, err)
	}
}

func TestExpandInterfaces(t *testing.T) {
	nothing := testNetwork
	nothing.all = func() ([]netip.Addr, error) { return nil, nil }
	tests := []struct {
		name string
		net  network
		in   []string
		want []string
		err  string
	}{
		{name: "default", net: testNetwork, want: []string{"default/192.0.2.1"}},
		{name: "default on a lonely machine", net: nothing, want: []string{"default/127.0.0.1"}},
		{name: "any on a lonely machine", net: nothing, in: []string{"any"}, err: "not loopback"},
		{name: "alias", net: testNetwork, in: []string{"pub/192.0.2.1", "virt=pub"}, want: []string{"pub/192.0.2.1", "virt=pub"}},
		{name: "alias of a base name", net: testNetwork, in: []string{"pub:1/192.0.2.1", "virt=pub"}, want: []string{"pub:1/192.0.2.1", "virt=pub"}},
		{name: "alias of nothing", net: testNetwork, in: []string{"pub/192.0.2.1", "virt=x"}, err: "does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &settings{interfaces: tt.in}
			ins, err := s.expandInterfaces(t.Context(), tt.net)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if got := interfaceNames(ins); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%q = %q, %v, want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestListenAddrs(t *testing.T) {
	tests := []struct {
		in   string
		want []string
		err  string
	}{
		{in: "2223", want: []string{"0.0.0.0:2223", "[::]:2223"}},
		{in: ":2223", want: []string{"0.0.0.0:2223", "[::]:2223"}},
		{in: "127.0.0.1:2223", want: []string{"127.0.0.1:2223"}},
		{in: "[::1]:2223", want: []string{"[::1]:2223"}},
		{in: "media.example.com:2223", want: []string{"198.51.100.1:2223", "[2001:db8::2]:2223"}},
		{in: "::1:2223", err: "brackets"},
		{in: "nowhere:2223", err: "no such host"},
		{in: "127.0.0.1", err: "not [IP|HOST:]PORT"},
		{in: "127.0.0.1:x", err: "not [IP|HOST:]PORT"},
		{in: "70000", err: "not [IP|HOST:]PORT"},
		{in: "", err: "not [IP|HOST:]PORT"},
	}
	for _, tt := range tests {
		addrs, several, err := listenAddrs(t.Context(), testNetwork, tt.in)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if !slices.Equal(got, tt.want) || several != (len(tt.want) > 1) || (err == nil) != (tt.err == "") {
			t.Errorf("%q = %q, %v, %v, want %q, %q", tt.in, got, several, err, tt.want, tt.err)
		}
		if err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: error %v, want %q", tt.in, err, tt.err)
		}
	}
}

func TestListenAll(t *testing.T) {
	tests := []struct {
		name string
		spec string
		fail map[string]error
		want int
		ok   bool
	}{
		{"both families", "2223", nil, 2, true},
		{"no IPv6 here", "2223", map[string]error{"[::]:2223": syscall.EAFNOSUPPORT}, 1, true},
		{"neither", "2223", map[string]error{"[::]:2223": syscall.EAFNOSUPPORT, "0.0.0.0:2223": syscall.EAFNOSUPPORT}, 0, false},
		{"one is taken", "2223", map[string]error{"[::]:2223": syscall.EADDRINUSE}, 0, false},
		{"the only one fails", "127.0.0.1:2223", map[string]error{"127.0.0.1:2223": syscall.EADDRNOTAVAIL}, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bound, err := listenAll(t.Context(), testNetwork, "listen-ng", []string{tt.spec}, func(a netip.AddrPort) (netip.AddrPort, error) {
				return a, tt.fail[a.String()]
			})
			if (err == nil) != tt.ok || len(bound) != tt.want {
				t.Errorf("bound %v, %v", bound, err)
			}
		})
	}
}
