package relay

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
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

// BenchmarkStreams is a packet's cost when one of many streams follows the other, so that nothing of it is in the
// processor's caches. "memory" is without the system, as BenchmarkForward. "sockets" is with real ones on the loopback
// address, in bursts of 64, the sender's and the receiver's part included.
func BenchmarkStreams(b *testing.B) {
	for _, n := range []int{200, 2000, 10000} {
		b.Run(fmt.Sprintf("memory/plain/%d", n), func(b *testing.B) { benchMemory(b, n, "") })
		b.Run(fmt.Sprintf("memory/sdes/%d", n), func(b *testing.B) { benchMemory(b, n, "AES_CM_128_HMAC_SHA1_80") })
		b.Run(fmt.Sprintf("sockets/plain/%d", n), func(b *testing.B) { benchSockets(b, n) })
	}
}

// benchHost has ports for n streams and their receivers.
func benchHost(b *testing.B, io func(int, func() time.Time) (PacketIO, error)) *Host {
	h, err := New(Config{Workers: 1, IO: io, Rest: -1, Interfaces: []Interface{{
		Name: "default", Local: netip.MustParseAddr("127.0.0.1"), PortMin: 10000, PortMax: 32000}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	return h
}

func benchTransport(b *testing.B, h *Host, s Settings) *Transport {
	b.Helper()
	tr, err := h.Open(TransportConfig{Interface: "default", Affinity: 1, Single: true})
	if err != nil {
		b.Skip(err) // too few descriptors, say
	}
	s.RemoteSeen, s.Muxed = true, true
	if err := tr.Apply(s); err != nil {
		b.Fatal(err)
	}
	return tr
}

func benchMemory(b *testing.B, n int, suite string) {
	h := benchHost(b, func(int, func() time.Time) (PacketIO, error) { return memIO{}, nil })
	ports := make([]*port, n)
	for i := range ports {
		s := Settings{Remote: [2]netip.AddrPort{farRTP}}
		if suite != "" {
			s.SDES = &SDES{Send: testKey(b, suite, byte(i))}
		}
		from, to := benchTransport(b, h, Settings{Remote: [2]netip.AddrPort{farRTP}}), benchTransport(b, h, s)
		to.addrs[0].ports[RTP].sock.(*memSocket).quiet = true
		from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
		ports[i] = from.addrs[0].ports[RTP]
	}
	in := voice()
	buf := make([]byte, len(in)+Tailroom)
	m := &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen)}
	b.ReportAllocs()
	seq, i := uint16(0), 0
	for b.Loop() {
		pkt := buf[:copy(buf, in)]
		rtp.SetSeq(pkt, seq)
		ports[i].receive(pkt, farRTP, m)
		if i++; i == n {
			i = 0
			seq++
		}
	}
}

func benchSockets(b *testing.B, n int) {
	const burst = 64
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	far := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	h := benchHost(b, systemIO(Config{}))
	at := make([]netip.AddrPort, n)
	to := benchTransport(b, h, Settings{Remote: [2]netip.AddrPort{far}})
	for i := range at {
		from := benchTransport(b, h, Settings{Remote: [2]netip.AddrPort{far}})
		from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
		at[i] = from.addrs[0].ports[RTP].local
	}
	pkt, in := voice(), make([]byte, 2048)
	b.ReportAllocs()
	seq, i, waiting := uint16(0), 0, 0
	for b.Loop() {
		rtp.SetSeq(pkt, seq)
		if _, err := conn.WriteToUDPAddrPort(pkt, at[i]); err != nil {
			b.Fatal(err)
		}
		if i++; i == n {
			i = 0
			seq++
		}
		if waiting++; waiting < burst {
			continue
		}
		for ; waiting > 0; waiting-- {
			if _, _, err := conn.ReadFromUDPAddrPort(in); err != nil {
				b.Fatal(err)
			}
		}
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
