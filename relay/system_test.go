package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewRefuses(t *testing.T) {
	lo := netip.MustParseAddr("127.0.0.1")
	good := []Interface{{Name: "a", Local: lo, PortMin: 1000, PortMax: 2000}}
	for _, tt := range []struct {
		name string
		cfg  Config
	}{
		{"no interface", Config{}},
		{"no address", Config{Interfaces: []Interface{{Name: "a", PortMin: 1, PortMax: 2}}}},
		{"empty range", Config{Interfaces: []Interface{{Name: "a", Local: lo, PortMin: 3, PortMax: 2}}}},
		{"range of nothing", Config{Interfaces: []Interface{{Name: "a", Local: lo}}}},
		{"certificate", Config{Interfaces: good, CertCipher: "DSA"}},
		{"CPU", Config{Interfaces: good, CPUs: []int{8191}}},
		{"sockets", Config{Interfaces: good, IO: func(int, func() time.Time) (PacketIO, error) { return nil, os.ErrPermission }}},
	} {
		if h, err := New(tt.cfg); err == nil {
			h.Close()
			t.Errorf("%s: accepted", tt.name)
		}
	}
	h, err := New(Config{Interfaces: good, CertCipher: "RSA", RSABits: 1024})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if c := h.Certificate(); c.Leaf().PublicKeyAlgorithm.String() != "RSA" || len(c.Fingerprint("sha-512")) != 64 {
		t.Errorf("certificate %v", c.Leaf().PublicKeyAlgorithm)
	}
}

func TestOutOfPorts(t *testing.T) {
	h := testHost(t, func(c *Config) { c.Interfaces[0].PortMin, c.Interfaces[0].PortMax = 22000, 22009 })
	// Another process has one of them.
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22003})
	if err != nil {
		t.Skip(err)
	}
	defer other.Close()
	before := sockets(t)
	var open []*Transport
	for range 4 {
		open = append(open, openTransport(t, h, TransportConfig{}))
	}
	if tr, err := h.Open(TransportConfig{Interface: "default"}); !errors.Is(err, ErrNoPorts) {
		t.Errorf("fifth pair of four: %v, %v", tr, err)
	}
	if _, err := h.Open(TransportConfig{Interface: "elsewhere"}); err == nil {
		t.Error("unknown interface accepted")
	}
	u := h.Use()[0]
	if u.Ports != 10 || u.Used != 8 || u.Transports != 4 || u.LastPort == 0 {
		t.Errorf("use %+v", u)
	}
	for _, tr := range open {
		tr.Close()
		tr.Close()
	}
	// The rest shrinks: as many again, at once.
	for range 4 {
		openTransport(t, h, TransportConfig{}).Close()
	}
	if u := h.Use()[0]; u.Used != 0 || u.Transports != 0 {
		t.Errorf("use after Close %+v", u)
	}
	if after := sockets(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// sockets counts the descriptors of this process.
func sockets(t *testing.T) int {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

func TestFamilies(t *testing.T) {
	six := Interface{Name: "default", Local: netip.MustParseAddr("::1"), Advertised: netip.MustParseAddr("2001:db8::1"), PortMin: 21000, PortMax: 21999}
	if c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback}); err != nil {
		t.Skip("no IPv6")
	} else {
		c.Close()
	}
	for _, io := range []func(int, func() time.Time) (PacketIO, error){
		systemIO(Config{}), func(n int, now func() time.Time) (PacketIO, error) { return newNetIO(n, now), nil },
	} {
		h := testHost(t, func(c *Config) {
			c.IO = io
			c.TOS = 184
			c.Interfaces = append(c.Interfaces, six, Interface{Name: "gone", Local: netip.MustParseAddr("192.0.2.77"), PortMin: 1000, PortMax: 2000},
				Interface{Name: "default", Local: netip.MustParseAddr("192.0.2.77"), PortMin: 1000, PortMax: 2000})
		})
		if _, err := h.Open(TransportConfig{Interface: "gone"}); err == nil || errors.Is(err, ErrNoPorts) {
			t.Errorf("an address that is not ours: %v", err)
		}
		for _, tt := range []struct {
			wish  FamilyWish
			first string
		}{{AnyFamily, "127.0.0.1"}, {WantIPv4, "127.0.0.1"}, {WantIPv6, "::1"}} {
			tr := openTransport(t, h, TransportConfig{Family: tt.wish})
			if l := tr.Locals(); len(l) != 2 || l[0].Addr.String() != tt.first {
				t.Errorf("wish %d: %+v", tt.wish, l)
			}
			tr.Close()
		}
		// A packet from IPv4 to IPv6 and back.
		a := openTransport(t, h, TransportConfig{Family: WantIPv4, Single: true})
		b := openTransport(t, h, TransportConfig{Family: WantIPv6, PrimaryOnly: true})
		a.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: b}}}}})
		b.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: a}}}}})
		if c := b.LocalCandidates(); len(c) != 2 || c[0].Addr.Addr() != six.Advertised || c[0].Priority != 2130706431 || c[1].Priority != 2130706430 || len(c[0].Foundation) != 16 {
			t.Errorf("candidates %+v", c)
		}
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		pa, pb := newPhone(t), &phone{t, conn}
		a.Apply(Settings{Remote: [2]netip.AddrPort{pa.addr()}, RemoteSeen: true, TOS: -1})
		b.Apply(Settings{Remote: [2]netip.AddrPort{pb.addr()}, RemoteSeen: true, TOS: 16})
		pa.send(rtpPacket(1, 1), a, RTP)
		if got, from := pb.receive(); string(got) != string(rtpPacket(1, 1)) || from.Port() != b.Locals()[0].Ports[RTP] {
			t.Errorf("got %x from %s", got, from)
		}
		pb.send(rtpPacket(1, 2), b, RTP)
		if got, _ := pa.receive(); string(got) != string(rtpPacket(1, 2)) {
			t.Errorf("got %x", got)
		}
	}
}

// Opening, closing, applying and forwarding at the same time, for the race detector.
func TestChurn(t *testing.T) {
	h := testHost(t, nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	a, b := call(t, h, 1)
	pa, pb := newPhone(t), newPhone(t)
	wg.Go(func() {
		for seq := uint16(0); ; seq++ {
			select {
			case <-stop:
				return
			default:
				pa.send(rtpPacket(seq, 1), a, RTP)
				pb.send(rtpPacket(seq, 2), b, RTP)
			}
		}
	})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-h.Events():
			}
		}
	})
	for i := range 200 {
		a.Apply(Settings{Signalling: i, Remote: [2]netip.AddrPort{pa.addr()}, RemoteSeen: true, TOS: i % 2})
		b.Apply(Settings{Signalling: i, Remote: [2]netip.AddrPort{pb.addr()}, RemoteSeen: true, Handover: i%2 == 0})
		b.SetPlan(&Plan{Routes: []Route{{ID: uint64(i + 1), Sinks: []Sink{{To: a}}}}})
		c, d := call(t, h, uint64(i+2))
		c.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: a}}}}})
		a.Status()
		h.Totals()
		c.Close()
		d.Close()
	}
	close(stop)
	wg.Wait()
	if st := a.Status(); st.Streams[RTP].In.Packets == 0 {
		t.Errorf("%+v", st)
	}
}

func TestSocketClosed(t *testing.T) {
	for _, open := range []func(int, func() time.Time) (PacketIO, error){
		systemIO(Config{}), func(n int, now func() time.Time) (PacketIO, error) { return newNetIO(n, now), nil },
	} {
		io, err := open(1, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		deliver := func([]byte, netip.AddrPort, *Meta) {}
		lo := netip.MustParseAddr("127.0.0.1")
		s, err := io.Open(netip.AddrPortFrom(lo, 23210), 0, deliver)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Open(netip.AddrPortFrom(lo, 23210), 0, deliver); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same port twice: %v", err)
		}
		s.Close()
		to := netip.AddrPortFrom(lo, 9)
		for _, err := range []error{s.Send([]byte("x"), to), s.SetTOS(1), s.Close()} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		io.Close()
		if _, err := io.Open(netip.AddrPortFrom(lo, 23210), 0, deliver); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Open after Close: %v", err)
		}
	}
}

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTimers(time.Now)
		start := time.Now()
		var ran []string
		add := func(name string) *timer {
			return &timer{run: func(now time.Time) { ran = append(ran, fmt.Sprint(name, now.Sub(start))) }}
		}
		a, b, c, d := add("a"), add("b"), add("c"), add("d")
		s.arm(a, start.Add(3*time.Second))
		s.arm(b, start.Add(time.Second))
		s.arm(c, start.Add(2*time.Second))
		s.arm(d, start.Add(2*time.Second))
		s.arm(d, time.Time{})
		s.arm(a, start.Add(500*time.Millisecond))
		s.arm(c, start.Add(4*time.Second))
		time.Sleep(10 * time.Second)
		s.close()
		if got, want := fmt.Sprint(ran), "[a500ms b1s c4s]"; got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
	})
}

func TestEventsDropped(t *testing.T) {
	h := memHost(t)
	tr := memTransport(t, h, Settings{})
	for range eventQueue + 3 {
		h.events.emit(EventFirstPacket, tr, RTP, time.Now(), "")
	}
	if got := h.Totals().EventsDropped; got != 3 {
		t.Errorf("%d dropped", got)
	}
}
