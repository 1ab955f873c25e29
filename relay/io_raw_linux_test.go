package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// testRaw is a sender of this process, which has to be allowed to.
func testRaw(t *testing.T) *rawSender {
	t.Helper()
	r, err := newRawSender()
	if errors.Is(err, unix.EPERM) {
		t.Skip("SKIPPED: raw sockets need CAP_NET_RAW")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// TestRawSender sends from several ports, addresses and with several TOS values, in one batch and in an order that has to
// stay, by a raw socket and by the ports' own.
func TestRawSender(t *testing.T) {
	for _, tt := range []struct {
		name string
		raw  bool
	}{{"raw", true}, {"own", false}} {
		t.Run(tt.name, func(t *testing.T) {
			far := farEnd(t, "127.0.0.1")
			conn, err := far.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1) })
			if err != nil {
				t.Fatal(err)
			}
			e := testIO(t, 1, Pack)
			type sender struct {
				s   Socket
				at  netip.AddrPort
				tos uint8
			}
			var from []sender
			for i, local := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.1"} {
				at := freePort(t, local)
				s, err := e.Open(at, 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				tos := uint8(i) / 2 * 184
				if err := s.SetTOS(tos); err != nil {
					t.Fatal(err)
				}
				from = append(from, sender{s, at, tos})
			}
			var raw *rawSender
			if tt.raw {
				raw = testRaw(t)
			}
			o, count, refused := newOutbox(raw), new(traffic), new(traffic)
			broadcast := netip.MustParseAddrPort("255.255.255.255:9")
			buf, control := make([]byte, 2000), make([]byte, 64)
			number := uint32(0)
			for round := range 20 {
				var want []int
				for i := range 3 * batch / 2 {
					n := rand.IntN(len(from))
					size := 4 + rand.IntN(1400)
					for j := range size {
						buf[j] = byte(rand.Uint32())
					}
					binary.BigEndian.PutUint32(buf, number+uint32(len(want)))
					if i%11 == 5 {
						o.put(from[n].s, buf[:size], broadcast, refused) // EACCES
						o.put(from[n].s, buf[:size], netip.AddrPortFrom(addrOf(far).Addr(), 0), refused)
					}
					o.put(from[n].s, buf[:size], addrOf(far), count)
					want = append(want, n)
				}
				o.flush()
				for i, n := range want {
					size, c, _, at, err := far.ReadMsgUDPAddrPort(buf, control)
					if err != nil {
						t.Fatalf("round %d, packet %d of %d: %v", round, i, len(want), err)
					}
					if at != from[n].at || binary.BigEndian.Uint32(buf) != number || size < 4 {
						t.Fatalf("round %d: packet %d from %v, want %d from %v", round, binary.BigEndian.Uint32(buf), at, number, from[n].at)
					}
					messages, err := unix.ParseSocketControlMessage(control[:c])
					if err != nil || len(messages) != 1 || messages[0].Data[0] != from[n].tos {
						t.Fatalf("TOS %v, %v; want %d", messages, err, from[n].tos)
					}
					number++
				}
			}
			if sent := 20 * 2 * len([]int{5, 16, 27, 38}); refused.packets.Load() != 0 || refused.errors.Load() != uint64(sent) || count.errors.Load() != 0 {
				t.Errorf("refused: %d sent, %d failed of %d; others failed: %d", refused.packets.Load(), refused.errors.Load(), sent, count.errors.Load())
			}
		})
	}
}

// TestRawHearsNothing: what comes to an address is not copied to the raw sockets that send from it.
func TestRawHearsNothing(t *testing.T) {
	raw := testRaw(t)
	far := farEnd(t, "127.0.0.1")
	conn, err := net.Dial("udp", far.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Read(make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
	}
	if n, _, err := unix.Recvfrom(raw.fd, make([]byte, 99), 0); err != unix.EAGAIN {
		t.Errorf("a raw socket got %d bytes, %v", n, err)
	}
}

// TestUDPChecksum compares with the definition of RFC 1071, sixteen bits after sixteen.
func TestUDPChecksum(t *testing.T) {
	plain := func(b []byte, from, to [4]byte) uint16 {
		all := append(append(append([]byte{}, from[:]...), to[:]...), 0, unix.IPPROTO_UDP)
		all = binary.BigEndian.AppendUint16(all, uint16(len(b)))
		all = append(all, b...)
		if len(all)%2 == 1 {
			all = append(all, 0)
		}
		sum := uint32(0)
		for ; len(all) > 0; all = all[2:] {
			sum += uint32(binary.BigEndian.Uint16(all))
			sum = sum>>16 + sum&0xffff
		}
		if ^uint16(sum) == 0 {
			return 0xffff
		}
		return ^uint16(sum)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var ends [2]int // results at both ends
	for n := range 1500 {
		b := make([]byte, udpHeader+n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
			if n%3 == 0 {
				b[i] = 0xff
			}
		}
		b[6], b[7] = 0, 0
		from, to := [4]byte{255, 255, 255, 255}, [4]byte{byte(n), byte(n >> 8), 255, byte(n % 7)}
		// The first two bytes bring the sum to what is next to nothing, then to nothing.
		for _, first := range []uint16{binary.BigEndian.Uint16(b), 0, 0} {
			if first == 0 {
				first = binary.BigEndian.Uint16(b) + plain(b, from, to)
			}
			binary.BigEndian.PutUint16(b, first)
			got, want := udpChecksum(b, from, to), plain(b, from, to)
			if got != want {
				t.Fatalf("%d bytes: %#x, want %#x", n, got, want)
			}
			if got == 0xffff {
				ends[0]++
			} else {
				ends[1]++
			}
		}
	}
	if ends[0] < 100 || ends[1] < 100 {
		t.Error("one side is hardly met: " + fmt.Sprint(ends))
	}
}

// TestRawPackets compares what leaves by a raw socket with what the port's own sends: all but the identification, which counts on,
// and checksums: the loopback device leaves open that of UDP in the latter.
func TestRawPackets(t *testing.T) {
	raw := testRaw(t)
	far := farEnd(t, "127.0.0.1")
	at := freePort(t, "127.0.0.1")
	s, err := testIO(t, 1, Pack).Open(at, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: hostOrder(unix.ETH_P_IP), Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	// left is the next packet of the port.
	left := func() []byte {
		t.Helper()
		buf := make([]byte, 2048)
		for {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				t.Fatal(err)
			}
			if n >= 28 && buf[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(buf[20:]) == at.Port() {
				return buf[:n]
			}
		}
	}
	payload := make([]byte, 1400)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	for _, tos := range []uint8{0, 184} {
		if err := s.SetTOS(tos); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 172, 173, 1400} {
			var got [2][]byte
			for i, o := range []*outbox{newOutbox(raw), newOutbox(nil)} {
				o.put(s, payload[:size], addrOf(far), new(traffic))
				o.flush()
				got[i] = left()
				for _, sum := range []int{4, 10, 26} {
					binary.BigEndian.PutUint16(got[i][sum:], 0)
				}
			}
			if !bytes.Equal(got[0], got[1]) || got[0][1] != tos || len(got[0]) != 28+size {
				t.Errorf("TOS %d, %d bytes:\n%x by the raw socket\n%x by its own", tos, size, got[0][:min(40, len(got[0]))], got[1][:min(40, len(got[1]))])
			}
		}
	}
}
