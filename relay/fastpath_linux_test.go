package relay_test

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/srtp"
)

// TestKernelHandover hands a call back and forth between userspace and the real table while its packets pass, plain on
// one side and SRTP on the other.
func TestKernelHandover(t *testing.T) {
	h, table := kernelHost(t)
	phone := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	addr := func(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }
	pa, pb := phone(), phone()
	a, b := open(t, h, relay.TransportConfig{ID: 1}), open(t, h, relay.TransportConfig{ID: 2})
	suite := srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80")
	recv, _ := srtp.NewParams(suite, rand.Reader)
	send, _ := srtp.NewParams(suite, rand.Reader)
	fromB, _ := srtp.New(recv)
	toB, _ := srtp.New(send)
	sa := relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{addr(pa)}, Muxed: true}
	sb := relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{addr(pb)}, Muxed: true, SDES: &relay.SDES{Recv: recv, Send: send}}
	connect(a, b)
	apply(t, a, sa)
	apply(t, b, sb)

	const total = 6000
	start := uint16(65000) // the numbers wrap on the way
	receive := func(c *net.UDPConn, open func([]byte) ([]byte, error)) map[uint16]int {
		got := map[uint16]int{}
		buf := make([]byte, 2048)
		for {
			c.SetReadDeadline(time.Now().Add(time.Second))
			n, _, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return got
			}
			pkt, err := open(buf[:n])
			if err != nil {
				t.Errorf("packet %d: %v", binary.BigEndian.Uint16(buf[2:]), err)
				continue
			}
			got[binary.BigEndian.Uint16(pkt[2:])]++
		}
	}
	results := make(chan map[uint16]int, 2)
	go func() { results <- receive(pa, func(b []byte) ([]byte, error) { return b, nil }) }()
	go func() { results <- receive(pb, toB.UnprotectRTP) }()
	for i := range total {
		if _, err := pa.WriteToUDPAddrPort(packet(start+uint16(i), ssrcA), at(a, relay.RTP)); err != nil {
			t.Fatal(err)
		}
		pkt, err := fromB.ProtectRTP(append(make([]byte, 0, 64), packet(start+uint16(i), ssrcB)...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pb.WriteToUDPAddrPort(pkt, at(b, relay.RTP)); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%400 == 399: // something about the call changes
			sb.Signalling++
			apply(t, b, sb)
			connect(a, b)
		case i%8 == 7:
			time.Sleep(time.Millisecond) // the sockets hold only so many
		}
	}
	for range 2 {
		got := <-results
		doubled := 0
		for _, n := range got {
			if n > 1 {
				doubled++
			}
		}
		if len(got) != total || doubled > 0 {
			t.Errorf("%d of %d packets arrived, %d more than once", len(got), total, doubled)
		}
	}
	sum := h.Totals()
	if sum.Kernel.Packets < total || sum.Kernel.Packets+sum.User.Packets != 2*total {
		t.Errorf("the kernel forwarded %d, userspace %d of %d", sum.Kernel.Packets, sum.User.Packets, 2*total)
	}
	t.Logf("the kernel forwarded %d, userspace %d", sum.Kernel.Packets, sum.User.Packets)
	for _, tr := range []*relay.Transport{a, b} {
		for _, s := range tr.Status().SSRCs {
			if s.Packets != total || s.Lost != 0 {
				t.Errorf("source %x: %d packets, %d lost", s.SSRC, s.Packets, s.Lost)
			}
		}
	}
	a.Close()
	b.Close()
	if n := table.Status().Flows; n != 0 {
		t.Errorf("%d flows left", n)
	}
}

// kernelHost is a host with the kernel's table, in a network namespace that has nothing but the loopback interface.
func kernelHost(t testing.TB) (*relay.Host, ebpf.Table) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root, for a network namespace and CAP_BPF")
	}
	runtime.LockOSThread() // for good: the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("SKIPPED: no network namespace: %v", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %v: %s", err, out)
	}
	table, err := ebpf.Open(ebpf.Config{})
	if errors.Is(err, ebpf.ErrPermission) || errors.Is(err, ebpf.ErrUnsupported) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	lo := netip.MustParseAddr("127.0.0.1")
	h, err := relay.New(relay.Config{Workers: 2, Table: table, Interfaces: []relay.Interface{{Name: "default", Local: lo, PortMin: 30000, PortMax: 39999}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, table
}
