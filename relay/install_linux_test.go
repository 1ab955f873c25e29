package relay_test

import (
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/srtp"
)

// TestInstallTime measures how long it takes from the packet that confirms a source to the moment from which the kernel
// forwards it, with SRTP on the other leg; and how many sources that come at once are taken over in a second.
func TestInstallTime(t *testing.T) {
	h, table := kernelHost(t)
	const streams = 1000
	type stream struct {
		a, b    *relay.Transport
		pa, pb  *net.UDPConn
		to      netip.AddrPort
		seq     uint16
		packets int
	}
	phone := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	remote := func(c *net.UDPConn) relay.Settings {
		return relay.Settings{RemoteSeen: true, Muxed: true, Remote: [2]netip.AddrPort{c.LocalAddr().(*net.UDPAddr).AddrPort()}}
	}
	all := make([]stream, 2*streams)
	for i := range all {
		s := &all[i]
		s.pa, s.pb = phone(), phone()
		s.a, s.b = open(t, h, relay.TransportConfig{ID: uint64(2 * i)}), open(t, h, relay.TransportConfig{ID: uint64(2*i + 1)})
		connect(s.a, s.b)
		apply(t, s.a, remote(s.pa))
		recv, _ := srtp.NewParams(srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), rand.Reader)
		send, _ := srtp.NewParams(srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), rand.Reader)
		sb := remote(s.pb)
		sb.SDES = &relay.SDES{Recv: recv, Send: send}
		apply(t, s.b, sb)
		s.to = at(s.a, relay.RTP)
	}
	send := func(s *stream) {
		s.seq++
		s.packets++
		if _, err := s.pa.WriteToUDPAddrPort(packet(s.seq, ssrcA), s.to); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2048)
	var times []time.Duration
	var packets int
	for i := range streams {
		s := &all[i]
		var confirmed time.Time
		for !s.a.Kernel() && s.packets < 50 {
			send(s)
			s.pb.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, _, err := s.pb.ReadFromUDPAddrPort(buf); err != nil {
				t.Fatal(err)
			}
			if confirmed.IsZero() {
				confirmed = time.Now()
			}
			for end := time.Now().Add(time.Millisecond); !s.a.Kernel() && time.Now().Before(end); {
				// A phone would wait for 20 ms; who sends at once is told by the table that there is more to come.
			}
		}
		if !s.a.Kernel() {
			t.Fatalf("stream %d is not forwarded by the kernel after %d packets", i, s.packets)
		}
		times = append(times, time.Since(confirmed))
		packets = max(packets, s.packets)
	}
	slices.Sort(times)
	median, late := times[len(times)/2], times[len(times)*99/100]
	t.Logf("from confirmed to installed: median %v, p99 %v, %d packets at most", median, late, packets)
	if median > 5*time.Millisecond {
		t.Error("later than 5 ms")
	}

	rest := all[streams:]
	start := time.Now()
	for left := len(rest); left > 0; time.Sleep(time.Until(start.Add(20 * time.Millisecond * time.Duration(rest[0].packets)))) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("%d streams are not forwarded by the kernel", left)
		}
		left = 0
		for i := range rest {
			if !rest[i].a.Kernel() {
				left++
			}
			send(&rest[i])
		}
	}
	took := time.Since(start)
	t.Logf("%d streams at once: %v, %.0f a second", len(rest), took, float64(len(rest))/took.Seconds())
	if n := table.Status().Flows; n != 2*streams {
		t.Errorf("%d flows, want %d", n, 2*streams)
	}
}
