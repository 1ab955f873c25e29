package relay

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// testHost is a Host on the loopback address with a small range.
func testHost(t *testing.T, edit func(*Config)) *Host {
	t.Helper()
	cfg := Config{
		Interfaces: []Interface{{Name: "default", Local: netip.MustParseAddr("127.0.0.1"), PortMin: 21000, PortMax: 21999}},
		Workers:    2,
	}
	if edit != nil {
		edit(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func openTransport(t *testing.T, h *Host, cfg TransportConfig) *Transport {
	t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "default"
	}
	tr, err := h.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// phone is a far side with a real socket.
type phone struct {
	t    *testing.T
	conn *net.UDPConn
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &phone{t, conn}
}

func (p *phone) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *phone) send(b []byte, to *Transport, c Component) {
	p.t.Helper()
	l := to.Locals()[0]
	if _, err := p.conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(l.Addr, l.Ports[c])); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) receive() ([]byte, netip.AddrPort) {
	p.t.Helper()
	b := make([]byte, 2048)
	p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return b[:n], from
}

// rtpPacket is a PCMU packet with four bytes of payload.
func rtpPacket(seq uint16, ssrc byte) []byte {
	return []byte{0x80, 0, byte(seq >> 8), byte(seq), 0, 0, byte(seq), 0xa0, 0, 0, 0, ssrc, 1, 2, 3, 4}
}

var receiverReport = []byte{0x80, 201, 0, 1, 0, 0, 0, 9}

// call is two transports that forward to each other.
func call(t *testing.T, h *Host, affinity uint64) (a, b *Transport) {
	a = openTransport(t, h, TransportConfig{ID: 1, Affinity: affinity})
	b = openTransport(t, h, TransportConfig{ID: 2, Affinity: affinity})
	a.SetPlan(&Plan{Routes: []Route{{ID: 1, Sinks: []Sink{{To: b}}}}})
	b.SetPlan(&Plan{Routes: []Route{{ID: 2, Sinks: []Sink{{To: a}}}}})
	return a, b
}

// eachIO runs a test with every way to send and receive, as an argument for testHost.
func eachIO(t *testing.T, test func(t *testing.T, with func(*Config))) {
	for name, with := range map[string]func(*Config){
		"raw":    func(*Config) {},
		"socket": func(c *Config) { c.NoRaw = true },
		"portable": func(c *Config) {
			c.IO = func(n int, now func() time.Time) (PacketIO, error) { return newNetIO(n, now), nil }
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, with) })
	}
}

func TestForwardLoopback(t *testing.T) {
	eachIO(t, func(t *testing.T, with func(*Config)) {
		h := testHost(t, with)
		a, b := call(t, h, 7)
		if a.group != b.group {
			t.Errorf("groups %d and %d for one affinity", a.group, b.group)
		}
		pa, pb := newPhone(t), newPhone(t)
		pbRTCP := newPhone(t)
		a.Apply(Settings{Remote: [2]netip.AddrPort{pa.addr()}, RemoteSeen: true})
		b.Apply(Settings{Remote: [2]netip.AddrPort{pb.addr(), pbRTCP.addr()}, RemoteSeen: true})

		pa.send(rtpPacket(1, 5), a, RTP)
		got, from := pb.receive()
		if string(got) != string(rtpPacket(1, 5)) || from.Port() != b.Locals()[0].Ports[RTP] {
			t.Errorf("got %x from %s", got, from)
		}
		pa.send(receiverReport, a, RTCP)
		got, from = pbRTCP.receive()
		if string(got) != string(receiverReport) || from.Port() != b.Locals()[0].Ports[RTCP] {
			t.Errorf("got %x from %s", got, from)
		}
		st := a.Status()
		if in := st.Streams[RTP].In; in.Packets != 1 || in.Bytes != 16 || in.Errors != 0 {
			t.Errorf("in %+v", in)
		}
		if !st.Streams[RTP].Confirmed || st.Streams[RTP].Endpoint != pa.addr() {
			t.Errorf("endpoint %+v", st.Streams[RTP])
		}
		if out := b.Status().Streams[RTP].Out; out.Packets != 1 {
			t.Errorf("out %+v", out)
		}
		var kinds []EventKind
		for range 3 {
			kinds = append(kinds, (<-h.Events()).Kind)
		}
		a.Close()
		b.Close()
		if got := h.Totals().User; got.Packets != 2 {
			t.Errorf("totals %+v", got)
		}
		if err := a.Apply(Settings{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Apply after Close: %v, events %v", err, kinds)
		}
	})
}

// TestTotals: the sums that workers keep are those of the ports, whatever goes wrong.
func TestTotals(t *testing.T) {
	eachIO(t, func(t *testing.T, with func(*Config)) {
		h := testHost(t, with)
		a, b := call(t, h, 7)
		pa, pb := newPhone(t), newPhone(t)
		a.Apply(Settings{Remote: [2]netip.AddrPort{pa.addr()}, RemoteSeen: true})
		// The system refuses what would leave the machine from its loopback address.
		b.Apply(Settings{Remote: [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:9"), pb.addr()}, RemoteSeen: true})
		for i := range 5 {
			pa.send(rtpPacket(uint16(i), 5), a, RTP)
			pa.send([]byte{0x80, 0, 1}, a, RTP) // cut off
		}
		pa.send(receiverReport, a, RTCP)
		pb.receive()
		want := Counters{Packets: 6, Bytes: 5*16 + 8, Errors: 10}
		for end := time.Now().Add(5 * time.Second); h.Totals().User != want && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		check := func(when string) {
			t.Helper()
			var in Counters
			for _, u := range h.Use() {
				in.add(u.In)
				in.Errors += u.Out.Errors
			}
			if got := h.Totals().User; got != want || in != want {
				t.Errorf("%s: totals %+v, of the ports %+v, want %+v", when, got, in, want)
			}
		}
		check("open")
		a.Close()
		b.Close()
		check("closed")
	})
}

func TestSourceTowards(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	if got, err := SourceTowards(loopback); got != loopback || err != nil {
		t.Errorf("towards loopback: %v, %v", got, err)
	}
}
