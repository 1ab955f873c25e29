package relay_test

import (
	"bytes"
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
	h, table := kernelHost(t, ebpf.Config{})
	pa, pb := phone(t), phone(t)
	a, b := open(t, h, relay.TransportConfig{ID: 1}), open(t, h, relay.TransportConfig{ID: 2})
	suite := srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80")
	recv, _ := srtp.NewParams(suite, rand.Reader)
	send, _ := srtp.NewParams(suite, rand.Reader)
	fromB, _ := srtp.New(recv)
	toB, _ := srtp.New(send)
	sa := relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{local(pa)}, Muxed: true}
	sb := relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{local(pb)}, Muxed: true, SDES: &relay.SDES{Recv: recv, Send: send}}
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

// TestKernelGaps has the program compute all key stream by itself, by tables and by the kernel's AES: each packet follows a gap
// that what was made ahead does not reach over. What comes out is compared with what went in.
func TestKernelGaps(t *testing.T) {
	for _, tt := range []struct {
		name, suite string
		cfg         ebpf.Config
		step, size  int
	}{
		{"tables", "AES_CM_128_HMAC_SHA1_80", ebpf.Config{}, 10, 160},
		{"kernel", "AES_CM_128_HMAC_SHA1_80", ebpf.Config{KernelAES: true}, 10, 160},
		{"kernel, short tag", "AES_CM_128_HMAC_SHA1_32", ebpf.Config{KernelAES: true}, 10, 33},
		{"kernel, AES-256", "AES_256_CM_HMAC_SHA1_80", ebpf.Config{KernelAES: true}, 10, 160},
		{"kernel, behind what is ready", "AES_CM_128_HMAC_SHA1_80", ebpf.Config{KernelAES: true}, 1, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := kernelHost(t, tt.cfg)
			pa, pb := phone(t), phone(t)
			a, b := open(t, h, relay.TransportConfig{ID: 1}), open(t, h, relay.TransportConfig{ID: 2})
			suite := srtp.SuiteByName(tt.suite)
			recv, _ := srtp.NewParams(suite, rand.Reader)
			send, _ := srtp.NewParams(suite, rand.Reader)
			fromB, _ := srtp.New(recv)
			toB, _ := srtp.New(send)
			connect(a, b)
			apply(t, a, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{local(pa)}, Muxed: true})
			apply(t, b, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{local(pb)}, Muxed: true, SDES: &relay.SDES{Recv: recv, Send: send}})

			const total = 8000 // the numbers wrap when they come in tens
			payload := make([]byte, tt.size)
			buf := make([]byte, 2048)
			// through sends one packet and compares what arrives.
			through := func(i int, from, to *net.UDPConn, at netip.AddrPort, plain, sent []byte, open func([]byte) ([]byte, error)) {
				t.Helper()
				if _, err := from.WriteToUDPAddrPort(sent, at); err != nil {
					t.Fatal(err)
				}
				to.SetReadDeadline(time.Now().Add(5 * time.Second))
				n, _, err := to.ReadFromUDPAddrPort(buf)
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				if got, err := open(buf[:n]); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("packet %d: got %x, %v, want %x", i, got, err, plain)
				}
			}
			as := func(b []byte) ([]byte, error) { return b, nil }
			for i := range total {
				seq := uint16(1000 + i*tt.step)
				_, _ = rand.Read(payload)
				plain := append(packet(seq, ssrcA), payload...)
				through(i, pa, pb, at(a, relay.RTP), plain, plain, toB.UnprotectRTP)
				plain = append(packet(seq, ssrcB), payload...)
				sealed, err := fromB.ProtectRTP(append(make([]byte, 0, 2048), plain...))
				if err != nil {
					t.Fatal(err)
				}
				through(i, pb, pa, at(b, relay.RTP), plain, sealed, as)
			}
			a.Close()
			b.Close()
			if sum := h.Totals(); sum.Kernel.Packets < 2*total*9/10 {
				t.Errorf("the kernel forwarded %d of %d", sum.Kernel.Packets, 2*total)
			}
		})
	}
}

func phone(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func local(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// kernelHost is a host with the kernel's table, in a network namespace that has nothing but the loopback interface.
func kernelHost(t testing.TB, cfg ebpf.Config) (*relay.Host, ebpf.Table) {
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
	table, err := ebpf.Open(cfg)
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
