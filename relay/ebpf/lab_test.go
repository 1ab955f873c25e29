//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// lab is a relay, the thread's own namespace, with a caller and a callee in others.
//
//	direct:       caller r0---c0 relay d0---r0 callee
//	one router:   caller, callee ---- router ---- c0 relay
//	two routers:  caller ---- router ---- c0 relay d0 ---- router ---- callee
type lab struct {
	t       *testing.T
	caller  netns.NsHandle
	callee  netns.NsHandle
	router  netns.NsHandle // of "one router"
	toCall  netip.Addr     // our address towards the caller
	toCalle netip.Addr
	c, d    netip.Addr // theirs
}

// namespace makes one more, without entering it for good.
func namespace(t *testing.T) netns.NsHandle {
	t.Helper()
	ours, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	run(t, quiet)
	if err := netns.Set(ours); err != nil {
		t.Fatal(err)
	}
	return ns
}

// in runs f in a namespace.
func in(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	ours, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := netns.Set(ns); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(ours); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// join lays a cable from here to an interface with that name in ns. Addresses end in 1 here, in 2 there.
func join(t *testing.T, ns netns.NsHandle, here, there string, net int) {
	t.Helper()
	run(t, fmt.Sprintf("ip link add %s type veth peer name %s netns /proc/%d/fd/%d", here, there, os.Getpid(), int(ns)))
	address := func(dev string, host int) {
		run(t, fmt.Sprintf(`
			ip addr add 10.%d.0.%d/24 dev %s
			ip addr add fd00:%d::%d/64 dev %s nodad
			ip link set %s up`, net, host, dev, net, host, dev, dev))
	}
	address(here, 1)
	in(t, ns, func() { address(there, 2) })
}

func newLab(t *testing.T, topology string, v6 bool) *lab {
	t.Helper()
	newNamespace(t)
	relay, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { relay.Close() })
	l := &lab{t: t, caller: namespace(t), callee: namespace(t)}
	// Nets: 1 and 2 at the relay, 3 and 4 behind routers.
	behind := func(router, host netns.NsHandle, net int, name string) {
		in(t, router, func() {
			join(t, host, name, "r0", net)
			run(t, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
		})
		in(t, host, func() {
			run(t, fmt.Sprintf("ip route add default via 10.%d.0.1\nip route add default via fd00:%d::1", net, net))
		})
	}
	callNet, calleNet, ourCallNet, ourCalleNet := 1, 2, 1, 2
	switch topology {
	case "direct":
		join(t, l.caller, "c0", "r0", 1)
		join(t, l.callee, "d0", "r0", 2)
	case "one router":
		l.router = namespace(t)
		join(t, l.router, "c0", "up0", 1)
		behind(l.router, l.caller, 3, "x0")
		behind(l.router, l.callee, 4, "x1")
		run(t, "ip route add default via 10.1.0.2\nip route add default via fd00:1::2")
		callNet, calleNet, ourCalleNet = 3, 4, 1
	case "two routers":
		a, b := namespace(t), namespace(t)
		join(t, a, "c0", "up0", 1)
		join(t, b, "d0", "up0", 2)
		behind(a, l.caller, 3, "x0")
		behind(b, l.callee, 4, "x0")
		run(t, `
			ip route add 10.3.0.0/24 via 10.1.0.2
			ip route add 10.4.0.0/24 via 10.2.0.2
			ip route add fd00:3::/64 via fd00:1::2
			ip route add fd00:4::/64 via fd00:2::2`)
		callNet, calleNet = 3, 4
	}
	addr := func(net, host int) netip.Addr {
		if v6 {
			return netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", net, host))
		}
		return netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", net, host))
	}
	l.toCall, l.toCalle, l.c, l.d = addr(ourCallNet, 1), addr(ourCalleNet, 1), addr(callNet, 2), addr(calleNet, 2)
	if fw, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err != nil || string(fw) != "0\n" {
		t.Logf("the relay forwards IP: %q %v", fw, err)
	}
	return l
}

// socket binds a UDP socket in the thread's namespace.
func socket(t *testing.T, addr netip.Addr, port uint16) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func socketIn(t *testing.T, ns netns.NsHandle, addr netip.Addr, port uint16) (c *net.UDPConn) {
	t.Helper()
	in(t, ns, func() { c = socket(t, addr, port) })
	return c
}

func local(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func send(t *testing.T, c *net.UDPConn, to netip.AddrPort, b []byte) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
}

// arrives reads one datagram, which must come soon.
func arrives(t *testing.T, c *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("%s: %v", c.LocalAddr(), err)
	}
	return b[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// silent reports that nothing waits at c. What was sent before on the same veth has arrived, since it is synchronous to
// the sender but for a softirq; a packet sent after it to another socket proves that.
func silent(t *testing.T, c *net.UDPConn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	if n, from, err := c.ReadFromUDPAddrPort(b); err == nil {
		t.Fatalf("%s got %s from %s", c.LocalAddr(), brief(b[:n]), from)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// brief shows the beginning of a packet.
func brief(b []byte) string { return fmt.Sprintf("%d bytes %x", len(b), b[:min(len(b), 24)]) }

// eventually waits for what the table does on events of the kernel.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func voice(seq uint64, n int) []byte {
	b := rtp.AppendHeader(make([]byte, 0, 12+n+srtp.MaxOverhead), rtp.Header{PT: 8, Seq: uint16(seq), Timestamp: uint32(seq) * 160, SSRC: testSSRC})
	for i := range n {
		b = append(b, byte(i)+byte(seq))
	}
	return b
}

func openTable(t *testing.T, cfg Config) Table {
	t.Helper()
	cfg.eager = true
	table, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

var anyPT = [2]uint64{^uint64(0), ^uint64(0)}

// call is the flows and sockets of one call: plain on the callee's side, under params on the caller's.
type call struct {
	caller, callee *net.UDPConn // the far ends
	a, b           *net.UDPConn // our sockets towards them
	toUs, fromUs   *srtp.Context
	params         srtp.Params // nil suite: plain
}

func (l *lab) call(table Table, suite string) *call {
	t := l.t
	t.Helper()
	c := &call{caller: socketIn(t, l.caller, l.c, 4000), callee: socketIn(t, l.callee, l.d, 6000),
		a: socket(t, l.toCall, 30000), b: socket(t, l.toCalle, 30002), params: newParams(t, suite)}
	begun := srtp.Progress{Started: true, Highest: 99, Window: [2]uint64{1, 0}}
	if suite != "" {
		var err error
		if c.toUs, err = resume(c.params, testSSRC, begun); err != nil {
			t.Fatal(err)
		}
		if c.fromUs, err = resume(c.params, testSSRC, begun); err != nil {
			t.Fatal(err)
		}
	}
	put := func(at, from *net.UDPConn, out, to *net.UDPConn, inKey, outKey srtp.Params) {
		t.Helper()
		err := table.Put(FlowKey{local(at)}, Action{Peer: local(from), PTs: anyPT, In: inKey,
			Sources: []Source{{SSRC: testSSRC, In: begun, Out: []srtp.Progress{begun}}},
			Sinks:   []Sink{{Local: local(out), Remote: local(to), TOS: 184, Out: outKey}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(c.a, c.caller, c.b, c.callee, c.params, srtp.Params{})
	put(c.b, c.callee, c.a, c.caller, srtp.Params{}, c.params)
	return c
}

// talk sends packets from index first both ways and wants them at the other end, unseen by us.
func (c *call) talk(t *testing.T, first uint64, n int, size int) {
	t.Helper()
	for i := first; i < first+uint64(n); i++ {
		plain := voice(i, size)
		sent := bytes.Clone(plain)
		if c.toUs != nil {
			var err error
			if sent, err = c.toUs.ProtectRTP(voice(i, size)); err != nil {
				t.Fatal(err)
			}
		}
		send(t, c.caller, local(c.a), sent)
		if got, from := arrives(t, c.callee); !bytes.Equal(got, plain) || from != local(c.b) {
			t.Fatalf("packet %d: got %s from %s, want %s", i, brief(got), from, brief(plain))
		}
		send(t, c.callee, local(c.b), plain)
		got, from := arrives(t, c.caller)
		if c.fromUs != nil {
			var err error
			if got, err = c.fromUs.UnprotectRTP(got); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, plain) || from != local(c.a) {
			t.Fatalf("packet %d back: got %s from %s, want %s", i, brief(got), from, brief(plain))
		}
	}
	silent(t, c.a)
	silent(t, c.b)
}

// TestNetwork has calls over real interfaces.
func TestNetwork(t *testing.T) {
	for _, topology := range []string{"direct", "one router", "two routers"} {
		for _, mode := range []Mode{ModeTCX, ModeClsact} {
			if mode == ModeClsact && topology != "two routers" {
				continue // no difference to expect
			}
			for _, v6 := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, IPv6 %v", topology, mode, v6), func(t *testing.T) {
					for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
						t.Run("suite "+suite, func(t *testing.T) { network(t, topology, mode, v6, suite) })
					}
				})
			}
		}
	}
}

func network(t *testing.T, topology string, mode Mode, v6 bool, suite string) {
	needMode(t, mode)
	l := newLab(t, topology, v6)
	table := openTable(t, Config{Mode: mode})
	c := l.call(table, suite)
	c.talk(t, 100, 100, 160)

	// What is not for the kernel comes to the socket.
	for name, b := range map[string][]byte{
		"STUN":         append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...),
		"DTLS":         append([]byte{22, 0xfe, 0xfd}, make([]byte, 40)...),
		"RTCP":         append([]byte{0x80, 200, 0, 6}, make([]byte, 24)...),
		"unknown SSRC": append([]byte{0x80, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 160)...),
		"short":        {0x80, 8, 0},
		"empty":        {},
	} {
		send(t, c.caller, local(c.a), b)
		if got, _ := arrives(t, c.a); !bytes.Equal(got, b) {
			t.Errorf("%s: got %s", name, brief(got))
		}
	}
	other := socketIn(t, l.caller, l.c, 4002)
	send(t, other, local(c.a), voice(300, 160))
	if _, from := arrives(t, c.a); from != local(other) {
		t.Errorf("packet from %s", from)
	}

	// A result that is too long for the way out goes up as a whole: the stack can cut it in pieces.
	if topology == "one router" {
		run(t, "ip route change default via 10.1.0.2 mtu 1280\nip route change default via fd00:1::2 mtu 1280")
	} else {
		run(t, "ip link set d0 mtu 1280")
	}
	sends := func(i uint64) []byte {
		b := voice(i, 1300)
		if c.toUs != nil {
			var err error
			if b, err = c.toUs.ProtectRTP(b); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	long, index := []byte(nil), uint64(300)
	eventually(t, "packets over the MTU go up", func() bool {
		long = sends(index)
		index++
		send(t, c.caller, local(c.a), long)
		if err := c.a.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2048)
		n, err := c.a.Read(b)
		return err == nil && bytes.Equal(b[:n], long)
	})
	for i := range index - 301 { // those before went through
		if got, _ := arrives(t, c.callee); !bytes.Equal(got, voice(300+i, 1300)) {
			t.Fatalf("packet %d: got %s", 300+i, brief(got))
		}
	}
	c.talk(t, index, 10, 1000)

	cnt, err := table.Delete(FlowKey{local(c.a)})
	if err != nil {
		t.Fatal(err)
	}
	if cnt.Packets < 110 || cnt.Sinks[0].Packets != cnt.Packets || cnt.WrongSource != 1 || time.Since(cnt.Last).Abs() > time.Minute {
		t.Errorf("counter %+v", cnt)
	}
	if want := index + 9; cnt.Sources[0].In.Highest != want {
		t.Errorf("highest %d, want %d", cnt.Sources[0].In.Highest, want)
	}
	b := voice(1000, 160)
	send(t, c.caller, local(c.a), b)
	if got, _ := arrives(t, c.a); !bytes.Equal(got, b) {
		t.Errorf("after Delete: %s", brief(got))
	}
}

// ethtoolSet switches one feature of an interface, as ethtool -K does.
func ethtoolSet(t *testing.T, dev string, cmd uint32, on bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	value := struct{ cmd, data uint32 }{cmd: cmd}
	if on {
		value.data = 1
	}
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifr.name[:], dev)
	ifr.data = unsafe.Pointer(&value)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); e != 0 {
		t.Fatalf("ethtool %s: %v", dev, e)
	}
	runtime.KeepAlive(&value)
}

const setTxChecksum = 0x17 // ETHTOOL_STXCSUM

// sniff opens a packet socket for what comes in at an interface of the thread's namespace.
func sniff(t *testing.T, dev string) func() []byte {
	t.Helper()
	ifi, err := net.InterfaceByName(dev)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	proto := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	return func() []byte {
		for {
			b := make([]byte, 4096)
			n, from, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				t.Fatal(err)
			}
			if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_HOST {
				if d, err := readFrame(b[:n]); err != nil || len(d.payload) >= 12 && binary.BigEndian.Uint32(d.payload[8:]) == testSSRC {
					if err == nil || b[12] == 8 || b[12] == 0x86 && b[20] == 17 {
						return b[:n]
					}
				}
			}
		}
	}
}

// TestChecksums has the checksum completed by the interface that packets leave by, as a network card would: where the
// sender left it partial, and where it did not.
func TestChecksums(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, partial := range []bool{true, false} {
			for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
				t.Run(fmt.Sprintf("IPv6 %v, partial %v, %s", v6, partial, suite), func(t *testing.T) {
					l := newLab(t, "direct", v6)
					ethtoolSet(t, "c0", setTxChecksum, false)
					ethtoolSet(t, "d0", setTxChecksum, false)
					for _, ns := range []netns.NsHandle{l.caller, l.callee} {
						in(t, ns, func() { ethtoolSet(t, "r0", setTxChecksum, partial) })
					}
					c := l.call(openTable(t, Config{}), suite)
					c.talk(t, 100, 5, 160)
					c.talk(t, 105, 5, 163)
					for _, ns := range []netns.NsHandle{l.caller, l.callee} {
						var next func() []byte
						in(t, ns, func() { next = sniff(t, "r0") })
						c.talk(t, 110, 0, 0)
						from, to, index := c.caller, c.a, uint64(120)
						if ns == l.caller {
							from, to = c.callee, c.b
						}
						for n := range 20 {
							b := voice(index+uint64(n), 100+n)
							if c.toUs != nil && from == c.caller {
								var err error
								if b, err = c.toUs.ProtectRTP(b); err != nil {
									t.Fatal(err)
								}
							}
							send(t, from, local(to), b)
							if _, err := readFrame(next()); err != nil {
								t.Fatalf("packet of %d bytes: %v", len(b), err)
							}
						}
					}
				})
			}
		}
	}
}
