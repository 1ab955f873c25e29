package relay

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"rtpsidecar/relay/prefetch"
	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// voice is a PCMU packet of 20 ms.
func voice() []byte {
	b := make([]byte, 172)
	copy(b, rtpPacket(0, 1))
	return b
}

// BenchmarkForward is one packet from the worker's buffer to the socket, without the system: plain to plain, and plain
// to SRTP. Unprotecting costs the same.
func BenchmarkForward(b *testing.B) {
	for _, bb := range []struct{ name, suite string }{
		{"plain", ""}, {"sdes", "AES_CM_128_HMAC_SHA1_80"}, {"gcm", "AEAD_AES_128_GCM"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			h := memHost(b)
			s := Settings{}
			if bb.suite != "" {
				s.SDES = &SDES{Send: testKey(b, bb.suite, 1)}
			}
			from, to := memTransport(b, h, Settings{Learning: LearnImmediate}), memTransport(b, h, s)
			to.addrs[0].ports[RTP].sock.(*memSocket).quiet = true
			from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
			in := voice()
			buf := make([]byte, len(in)+Tailroom)
			m := &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen)}
			p := from.addrs[0].ports[RTP]
			seq := uint16(0)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				pkt := buf[:copy(buf, in)]
				rtp.SetSeq(pkt, seq)
				seq++
				p.receive(pkt, farRTP, m)
			}
		})
	}
}

// BenchmarkStreams is a packet's cost when one of many streams follows the other, in an order that has nothing to do with
// that of their memory, so that nothing of it is in the processor's caches. "memory" is without the system, as
// BenchmarkForward: plain, to SRTP ("sdes") and from SRTP ("sdes-in"); a worker has 32 packets at hand, or one ("alone"), and
// asks for their memory first. "sockets" is with real ones on the loopback address, in bursts of 64, the sender's and the receiver's part included. What the first packets of a stream make is not counted.
func BenchmarkStreams(b *testing.B) {
	const suite = "AES_CM_128_HMAC_SHA1_80"
	for _, n := range []int{200, 2000, 10000} {
		for _, w := range []struct {
			name     string
			together int
		}{{"memory", 32}, {"alone", 1}} {
			b.Run(fmt.Sprintf("%s/plain/%d", w.name, n), func(b *testing.B) { benchMemory(b, n, w.together, "", "") })
			b.Run(fmt.Sprintf("%s/sdes/%d", w.name, n), func(b *testing.B) { benchMemory(b, n, w.together, "", suite) })
			b.Run(fmt.Sprintf("%s/sdes-in/%d", w.name, n), func(b *testing.B) { benchMemory(b, n, w.together, suite, "") })
		}
		b.Run(fmt.Sprintf("sockets/plain/%d", n), func(b *testing.B) { benchSockets(b, n, "") })
		b.Run(fmt.Sprintf("sockets/sdes/%d", n), func(b *testing.B) { benchSockets(b, n, suite) })
	}
}

// benchHost has ports for n streams.
func benchHost(b *testing.B, io func(int, func() time.Time) (PacketIO, error)) *Host {
	h, err := New(Config{Workers: 1, IO: io, Rest: -1, Interfaces: []Interface{{
		Name: "default", Local: netip.MustParseAddr("127.0.0.1"), PortMin: 10000, PortMax: 32000}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	return h
}

// benchStreams are the ports on which n streams arrive, those of n/2 calls, in an order of their own. All have the same
// keys, but none shares state with another call.
func benchStreams(b *testing.B, h *Host, n int, far netip.AddrPort, recv, send string) []*port {
	ports := make([]*port, n)
	for i := 0; i < n; i += 2 {
		x, y := benchTransport(b, h, far, recv, send), benchTransport(b, h, far, recv, send)
		x.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: y}}}}})
		y.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: x}}}}})
		ports[i], ports[i+1] = x.addrs[0].ports[RTP], y.addrs[0].ports[RTP]
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { ports[i], ports[j] = ports[j], ports[i] })
	return ports
}

func benchTransport(b *testing.B, h *Host, far netip.AddrPort, recv, send string) *Transport {
	b.Helper()
	tr, err := h.Open(TransportConfig{Interface: "default", Affinity: 1, Single: true})
	if err != nil {
		b.Skip(err) // too few descriptors, say
	}
	s := Settings{RemoteSeen: true, Muxed: true, Remote: [2]netip.AddrPort{far}}
	if recv != "" {
		s.SDES = &SDES{Recv: testKey(b, recv, 1)}
	} else if send != "" {
		s.SDES = &SDES{Send: testKey(b, send, 1)}
	}
	if err := tr.Apply(s); err != nil {
		b.Fatal(err)
	}
	return tr
}

// rounds makes the packet that each stream gets before any gets the next one.
type rounds struct {
	voice []byte
	seq   uint16
	ctx   *srtp.Context // nil: plain
	buf   [172 + Tailroom]byte
}

func newRounds(b *testing.B, suite string) *rounds {
	r := &rounds{voice: voice()}
	if suite != "" {
		var err error
		if r.ctx, err = srtp.New(testKey(b, suite, 1)); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

func (r *rounds) next(b *testing.B) []byte {
	pkt := r.buf[:copy(r.buf[:], r.voice)]
	rtp.SetSeq(pkt, r.seq)
	r.seq++
	if r.ctx != nil {
		var err error
		if pkt, err = r.ctx.ProtectRTP(pkt); err != nil {
			b.Fatal(err)
		}
	}
	return pkt
}

func benchMemory(b *testing.B, n, together int, recv, send string) {
	h := benchHost(b, func(int, func() time.Time) (PacketIO, error) { return memIO{}, nil })
	ports := benchStreams(b, h, n, farRTP, recv, send)
	for _, p := range ports {
		p.sock.(*memSocket).quiet = true
	}
	r, in := newRounds(b, recv), []byte(nil)
	buf := make([]byte, 2048)
	m := &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen)}
	prints := make([]*prefetch.Footprint, n)
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(n) {
		prints[i] = new(prefetch.Footprint)
	}
	i := n
	one := func() {
		if i == n {
			i, in = 0, r.next(b)
		}
		if i%together == 0 {
			hand := prints[i:min(i+together, n)]
			for _, w := range hand {
				prefetch.Row(unsafe.Pointer(w), unsafe.Sizeof(*w))
			}
			for _, w := range hand {
				w.Lines()
			}
		}
		m.footprint = prints[i]
		ports[i].receive(buf[:copy(buf, in)], farRTP, m)
		i++
	}
	for range 3 * n {
		one()
	}
	sent := 0
	b.ReportAllocs()
	for b.Loop() {
		one()
		sent++
	}
	b.StopTimer()
	got := 0
	for _, p := range ports {
		got += p.sock.(*memSocket).count
	}
	if got != sent+3*n {
		b.Fatalf("%d of %d packets went on", got, sent+3*n)
	}
}

func benchSockets(b *testing.B, n int, suite string) {
	const burst = 64
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	h := benchHost(b, systemIO(Config{}))
	ports := benchStreams(b, h, n, conn.LocalAddr().(*net.UDPAddr).AddrPort(), "", suite)
	r, pkt := newRounds(b, ""), []byte(nil)
	in := make([]byte, 2048)
	i, waiting := n, 0
	one := func() {
		if i == n {
			i, pkt = 0, r.next(b)
		}
		if _, err := conn.WriteToUDPAddrPort(pkt, ports[i].local); err != nil {
			b.Fatal(err)
		}
		i++
		if waiting++; waiting < burst {
			return
		}
		for ; waiting > 0; waiting-- {
			if _, _, err := conn.ReadFromUDPAddrPort(in); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range 3 * n {
		one()
	}
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
}

// BenchmarkSocket is a packet's way through two real sockets on the loopback address, sender and receiver included, one
// packet at a time. That is latency: it counts the wakeup of an idle thread, which the workers of Linux pay for using less
// of the processor under load.
func BenchmarkSocket(b *testing.B) {
	for _, bb := range []struct {
		name string
		io   func(int, func() time.Time) (PacketIO, error)
	}{
		{"system", systemIO(Config{})},
		{"portable", func(n int, now func() time.Time) (PacketIO, error) { return newNetIO(n, now), nil }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			lo := netip.MustParseAddr("127.0.0.1")
			h, err := New(Config{Interfaces: []Interface{{Name: "default", Local: lo, PortMin: 21000, PortMax: 21999}}, Workers: 1, IO: bb.io})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			from, err := h.Open(TransportConfig{Interface: "default", Affinity: 1})
			if err != nil {
				b.Fatal(err)
			}
			to, err := h.Open(TransportConfig{Interface: "default", Affinity: 1})
			if err != nil {
				b.Fatal(err)
			}
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			from.Apply(Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{conn.LocalAddr().(*net.UDPAddr).AddrPort()}})
			to.Apply(Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{conn.LocalAddr().(*net.UDPAddr).AddrPort()}})
			from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
			at := netip.AddrPortFrom(lo, from.Locals()[0].Ports[RTP])
			pkt, in := voice(), make([]byte, 2048)
			seq := uint16(0)
			b.ReportAllocs()
			for b.Loop() {
				rtp.SetSeq(pkt, seq)
				seq++
				if _, err := conn.WriteToUDPAddrPort(pkt, at); err != nil {
					b.Fatal(err)
				}
				if _, _, err := conn.ReadFromUDPAddrPort(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPorts takes a pair and gives it back in a range of which every port has been used and rests, as after a
// busy hour.
func BenchmarkPorts(b *testing.B) {
	p, r := newPortPool(DefaultRest, time.Now), testRange(30000, 40000)
	for port := r.min; port <= r.max; port++ {
		p.release(port)
	}
	for b.Loop() {
		port, ok := p.take(r, 2)
		if !ok {
			b.Fatal("no ports")
		}
		p.release(port, port+1)
	}
}
