package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// farEnd is a socket of another host.
func farEnd(t *testing.T, local string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(local)})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("SKIPPED: this host has no IPv6: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// freePort is a port that nobody has now.
func freePort(t *testing.T, local string) netip.AddrPort {
	t.Helper()
	c := farEnd(t, local)
	c.Close()
	return addrOf(c)
}

// TestOutbox sends more than it holds, from buffers that are used again at once, by a raw socket where that is allowed.
func TestOutbox(t *testing.T) {
	for _, local := range []string{"127.0.0.1", "::1"} {
		t.Run(local, func(t *testing.T) {
			far := farEnd(t, local)
			e := testIO(t, 1, Pack)
			s, err := e.Open(freePort(t, local), 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			sizes := []int{4, 172, 1200, 30000, 40000, 65000, 172, 0, 9000}
			for range 3 * batch {
				sizes = append(sizes, 172)
			}
			raw, err := newRawSender()
			if err == nil {
				defer raw.close()
			}
			o, count, buf, bytes := newOutbox(raw), new(traffic), make([]byte, 65000), 0
			var want [][2]int
			check := func() {
				t.Helper()
				o.flush()
				for _, w := range want {
					n, err := far.Read(buf)
					if err != nil || n != w[1] || int(binary.BigEndian.Uint32(buf)) != w[0] {
						t.Fatalf("got %d bytes, %x, %v; want number and size %v", n, buf[:4], err, w)
					}
				}
				want = want[:0]
			}
			for i, n := range sizes {
				binary.BigEndian.PutUint32(buf, uint32(i))
				if !o.put(s, buf[:n], addrOf(far), count) {
					t.Fatalf("packet %d refused", i)
				}
				if bytes += n; n > 0 {
					want = append(want, [2]int{i, n})
				}
				if n > 20000 {
					check() // before the far end's socket is full
				}
			}
			check()
			if got := (Counters{Packets: uint64(len(sizes)), Bytes: uint64(bytes)}); count.load() != got {
				t.Errorf("counted %+v, want %+v", count.load(), got)
			}
			if len(o.list) != 0 || o.used != 0 || s.(*epollSocket).users.Load() != 0 {
				t.Errorf("left: %d packets, %d bytes, %d users", len(o.list), o.used, s.(*epollSocket).users.Load())
			}
		})
	}
}

// TestOutboxFails has packets that cannot be sent: they are errors, and no packets.
func TestOutboxFails(t *testing.T) {
	e := testIO(t, 1, Pack)
	s, err := e.Open(freePort(t, "127.0.0.1"), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, count := newOutbox(nil), new(traffic)
	o.put(s, make([]byte, 100), netip.MustParseAddrPort("255.255.255.255:9"), count) // needs SO_BROADCAST
	o.flush()
	if want := (Counters{Errors: 1}); count.load() != want {
		t.Errorf("counted %+v, want %+v", count.load(), want)
	}
	far := farEnd(t, "127.0.0.1")
	o.put(s, []byte("last words"), addrOf(far), count)
	s.Close()
	fd := s.(*epollSocket).fd
	if _, err := unix.Getsockname(fd); err != nil {
		t.Errorf("the descriptor was closed while a packet waited: %v", err)
	}
	if o.put(s, []byte("nothing"), addrOf(far), count) {
		t.Error("a closed socket took a packet")
	}
	o.flush()
	b := make([]byte, 100)
	if n, err := far.Read(b); err != nil || string(b[:n]) != "last words" {
		t.Errorf("got %q, %v", b[:n], err)
	}
	if _, err := unix.Getsockname(fd); !errors.Is(err, unix.EBADF) {
		t.Errorf("the descriptor is still there: %v", err)
	}
}

// TestInbox reads more sockets than fit into a batch, of them some with the largest datagrams.
func TestInbox(t *testing.T) {
	const sockets = 3*batch + 5
	far := farEnd(t, "127.0.0.1")
	type seen struct{ socket, size int }
	var got, want []seen
	ready := make([]*epollSocket, sockets)
	for i := range ready {
		s := &epollSocket{}
		s.deliver = func(b []byte, from netip.AddrPort, m *Meta) {
			if from != addrOf(far) || cap(b) != len(b)+Tailroom || b[0] != byte(i) || b[len(b)-1] != byte(i) {
				t.Errorf("socket %d: %d bytes of %d from %v", i, len(b), cap(b), from)
			}
			clear(b[:cap(b)])
			got = append(got, seen{i, len(b)})
			m.Drain = true
		}
		if err := s.bind(netip.AddrPortFrom(loopback, 0)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(s.fd) })
		name, err := unix.Getsockname(s.fd)
		if err != nil {
			t.Fatal(err)
		}
		at := netip.AddrPortFrom(loopback, uint16(name.(*unix.SockaddrInet4).Port))
		for n := range i % 3 { // one is read with the batch, others because the taker asks for that
			b := make([]byte, 100+n)
			if i%11 == 2 {
				b = make([]byte, 60000)
			}
			b[0], b[len(b)-1] = byte(i), byte(i)
			if _, err := far.WriteToUDPAddrPort(b, at); err != nil {
				t.Fatal(err)
			}
			want = append(want, seen{i, len(b)})
		}
		ready[i] = s
	}
	all := slices.Clone(ready)
	in, m, rounds := newInbox(), &Meta{}, 0
	for i := 0; i < sockets; rounds++ {
		n := in.read(ready[i:])
		if n == 0 || len(in.list) > batch {
			t.Fatalf("%d of the sockets were read, %d packets", n, len(in.list))
		}
		i += n
		in.deliver(m)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if rounds < 3 || in.used != 0 {
		t.Errorf("%d rounds, %d bytes left", rounds, in.used)
	}
	for i, s := range all {
		if s.users.Load() != 0 || ready[i] != nil {
			t.Errorf("socket %d is still in use", i)
		}
	}
}

// TestSocketFootprint has real sockets keep the footprint of their packets.
func TestSocketFootprint(t *testing.T) {
	h, err := New(Config{Workers: 1, Interfaces: []Interface{{Name: "default", Local: loopback, PortMin: 21000, PortMax: 21999}}})
	if err != nil {
		t.Fatal(err)
	}
	far := farEnd(t, "127.0.0.1")
	from, to := openTransport(t, h, TransportConfig{Affinity: 1}), openTransport(t, h, TransportConfig{Affinity: 1})
	for _, tr := range []*Transport{from, to} {
		if err := tr.Apply(Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{addrOf(far)}}); err != nil {
			t.Fatal(err)
		}
	}
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
	p, out := from.addrs[0].ports[RTP], to.addrs[0].ports[RTP]
	for range 2 {
		if _, err := far.WriteToUDPAddrPort(voice(), p.local); err != nil {
			t.Fatal(err)
		}
		far.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := far.Read(make([]byte, 2048)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil { // the worker is done
		t.Fatal(err)
	}
	if w := &p.sock.(*epollSocket).footprint; !w.Has(unsafe.Pointer(p)) || !w.Has(unsafe.Pointer(out)) || !w.Has(unsafe.Pointer(out.sock.(*epollSocket))) {
		t.Error("the footprint lacks a port or the socket")
	}
}
