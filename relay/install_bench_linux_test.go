package relay_test

import (
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/srtp"
)

// installing is a stream on its way into the kernel, with SRTP on the far leg.
type installing struct {
	from   *relay.Transport
	phone  *net.UDPConn
	callee *net.UDPConn
	to     netip.AddrPort
	sent   uint16
}

func (s *installing) send(b *testing.B) {
	s.sent++
	if _, err := s.phone.WriteToUDPAddrPort(packet(s.sent, ssrcA), s.to); err != nil {
		b.Fatal(err)
	}
}

// installStreams opens n of them on a host of their own.
func installStreams(b *testing.B, n int) []installing {
	h, _ := kernelHost(b, ebpf.Config{})
	phone := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		return c
	}
	remote := func(c *net.UDPConn) relay.Settings {
		return relay.Settings{RemoteSeen: true, Muxed: true, Remote: [2]netip.AddrPort{c.LocalAddr().(*net.UDPAddr).AddrPort()}}
	}
	all := make([]installing, n)
	for i := range all {
		s := &all[i]
		s.phone, s.callee = phone(), phone()
		far := open(b, h, relay.TransportConfig{ID: uint64(2*i + 1)})
		s.from = open(b, h, relay.TransportConfig{ID: uint64(2 * i)})
		connect(s.from, far)
		apply(b, s.from, remote(s.phone))
		recv, _ := srtp.NewParams(srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), rand.Reader)
		send, _ := srtp.NewParams(srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), rand.Reader)
		settings := remote(s.callee)
		settings.SDES = &relay.SDES{Recv: recv, Send: send}
		apply(b, far, settings)
		s.to = at(s.from, relay.RTP)
	}
	return all
}

// BenchmarkInstall tells how long it takes from the packet that confirms a source to the moment from which the kernel
// forwards it, and how many sources that begin at once, with 50 packets a second each, are taken over in a second. The
// number of streams is fixed: take the metrics of its own, not the time per operation.
func BenchmarkInstall(b *testing.B) {
	const streams, patience = 1000, 30 * time.Second
	b.Run("one by one", func(b *testing.B) {
		buf := make([]byte, 2048)
		var times []time.Duration
		for _, s := range installStreams(b, streams) {
			s.send(b)
			s.callee.SetReadDeadline(time.Now().Add(patience))
			if _, _, err := s.callee.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
			confirmed := time.Now()
			for !s.from.Kernel() {
				if time.Since(confirmed) > patience {
					b.Fatal("a stream is not forwarded by the kernel")
				}
				s.send(b) // a phone's next packet, which comes 20 ms later there
				time.Sleep(50 * time.Microsecond)
			}
			times = append(times, time.Since(confirmed))
		}
		slices.Sort(times)
		b.ReportMetric(times[len(times)/2].Seconds()*1e3, "median-ms")
		b.ReportMetric(times[len(times)*99/100].Seconds()*1e3, "p99-ms")
	})
	b.Run("at once", func(b *testing.B) {
		all := installStreams(b, streams)
		start := time.Now()
		for round, left := time.Duration(1), streams; left > 0; round++ {
			if time.Since(start) > patience {
				b.Fatalf("%d streams are not forwarded by the kernel", left)
			}
			left = 0
			for i := range all {
				if !all[i].from.Kernel() {
					left++
				}
				all[i].send(b)
			}
			time.Sleep(time.Until(start.Add(round * 20 * time.Millisecond)))
		}
		b.ReportMetric(streams/time.Since(start).Seconds(), "installs/s")
	})
}
