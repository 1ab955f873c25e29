package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawSender sends the IPv4 datagrams of many ports with one system call, where CAP_NET_RAW is there: sockets of their own would
// take one each, and the lines of memory that belong to them. It is the worker's alone.
//
// A raw socket for UDP leaves the IP header to the kernel, which finds route, neighbour and path MTU and fragments as for
// a port's own socket, and asks the same filters. The UDP header and its checksum are made here. What policy routing sees of such a packet has
// no ports.
type rawSender struct {
	worker int
	used   *rawSocket // for what waits in msgs
	n      int
	msgs   [2 * batch]mmsghdr
	data   [2 * batch]unix.Iovec
	to     [2 * batch]unix.RawSockaddrInet4
}

// rawSocket is one worker's, for what goes out from one local address.
type rawSocket struct {
	fd  int
	tos uint32
}

// mmsghdr is the kernel's struct of that name, sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	sent uint32
}

// udpHeader is the length of a UDP header.
const udpHeader = 8

// rawBuffer is how many bytes of a worker's may wait for a device, as the kernel counts them: some 3,000 packets of speech.
const rawBuffer = 4 << 20

// nobody is whom raw sockets are connected to: else each would be given a copy of every UDP packet that comes to its address.
var nobody = &unix.SockaddrInet4{Addr: [4]byte{127, 255, 255, 254}}

func newRawSender(worker int) *rawSender {
	r := &rawSender{worker: worker}
	for i := range r.msgs {
		r.to[i].Family = unix.AF_INET
		r.msgs[i].Msghdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&r.to[i])), Namelen: unix.SizeofSockaddrInet4, Iov: &r.data[i]}
		r.msgs[i].SetIovlen(1)
	}
	return r
}

// mayRaw reports whether this process may use raw sockets. If not, the log says why.
func mayRaw(log *slog.Logger) bool {
	fd, err := openRaw(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err == nil {
		unix.Close(fd)
		return true
	}
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w (CAP_NET_RAW)", err)
	}
	log.Info("media is sent packet by packet, not by raw sockets", "reason", err)
	return false
}

// openRaw fails without CAP_NET_RAW.
func openRaw(local netip.Addr) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}); err != nil {
		return fd, fmt.Errorf("bind %s: %w", local, err)
	}
	if err = unix.Connect(fd, nobody); err != nil {
		return fd, fmt.Errorf("connect %s: %w", local, err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, rawBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, rawBuffer) // as much as the system allows
	}
	return fd, nil
}

// openRaws is a socket for each worker; none: it cannot be.
func openRaws(local netip.Addr, workers int) (list []*rawSocket) {
	for range workers {
		fd, err := openRaw(local)
		if err != nil {
			closeRaws(list)
			return nil
		}
		list = append(list, &rawSocket{fd: fd})
	}
	return list
}

func closeRaws(list []*rawSocket) {
	for _, s := range list {
		unix.Close(s.fd)
	}
}

// take puts a datagram into the next call. It refuses those that its port's own socket has to send, and those that cannot be in one
// call with what waits already.
func (r *rawSender) take(d *departure) bool {
	if len(d.s.raw) == 0 || d.framed == nil || !d.to.Addr().Is4() || d.to.Port() == 0 {
		return false
	}
	s, tos := d.s.raw[r.worker], d.s.tos.Load()
	if r.n == 0 {
		r.used = s
		if tos != s.tos && unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS, int(tos)) == nil {
			s.tos = tos
		}
	}
	if s != r.used || tos != s.tos || r.n == len(r.msgs) {
		return false
	}
	local := d.s.local
	b := d.framed
	binary.BigEndian.PutUint16(b, local.Port())
	binary.BigEndian.PutUint16(b[2:], d.to.Port())
	binary.BigEndian.PutUint32(b[4:], uint32(len(b))<<16)
	from, to := local.Addr().As4(), d.to.Addr().As4()
	binary.BigEndian.PutUint16(b[6:], udpChecksum(b, from, to))
	r.data[r.n].Base = &b[0]
	r.data[r.n].SetLen(len(b))
	r.to[r.n].Addr = to
	r.n++
	return true
}

// send sends what take has put in, and tells failed the place of each that could not be sent.
func (r *rawSender) send(failed func(i int)) {
	for i := 0; i < r.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(r.used.fd), uintptr(unsafe.Pointer(&r.msgs[i])), uintptr(r.n-i),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			i += int(n)
		case unix.EINTR:
		default: // it is that of the first
			failed(i)
			i++
		}
	}
	r.n = 0
}

// udpChecksum is that of RFC 768 over a datagram, whose own field is 0, and its IPv4 addresses.
func udpChecksum(b []byte, from, to [4]byte) uint16 {
	sum := uint64(binary.BigEndian.Uint32(from[:])) + uint64(binary.BigEndian.Uint32(to[:])) + uint64(unix.IPPROTO_UDP+len(b))
	var carry uint64
	for ; len(b) >= 8; b = b[8:] {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
	}
	var last [8]byte
	copy(last[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(last[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	sum = sum>>32 + sum&0xffffffff + carry
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		return 0xffff // 0 means that there is none
	}
	return ^uint16(sum)
}
