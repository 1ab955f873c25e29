package relay

import (
	"encoding/binary"
	"math/bits"
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
//
// Such a socket is given a copy of every UDP packet that comes to the address it is bound to. Connected to somebody, it would not be;
// but then all that it sends is one flow for the device's queues, which bound what a flow may have there. So it is bound to an
// address that nobody sends to, and each message names the port's own.
type rawSender struct {
	fd   int
	tos  uint32
	n    int
	msgs [2 * batch]mmsghdr
	data [2 * batch]unix.Iovec
	to   [2 * batch]unix.RawSockaddrInet4
	from [2 * batch]pktinfo
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

// pktinfo is a control message with the source address, ip(7).
type pktinfo struct {
	unix.Cmsghdr
	unix.Inet4Pktinfo
}

// newRawSender fails without CAP_NET_RAW. Whoever calls it closes what it gives.
func newRawSender() (_ *rawSender, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	nobody := &unix.SockaddrInet4{Addr: [4]byte{127, 255, 255, 254}}
	if err := unix.Bind(fd, nobody); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, rawBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, rawBuffer) // as much as the system allows
	}
	r := &rawSender{fd: fd}
	for i := range r.msgs {
		r.to[i].Family = unix.AF_INET
		c := &r.from[i]
		c.Level, c.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		c.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		m := &r.msgs[i].Msghdr
		m.Name, m.Namelen = (*byte)(unsafe.Pointer(&r.to[i])), unix.SizeofSockaddrInet4
		m.Iov = &r.data[i]
		m.SetIovlen(1)
		m.Control = (*byte)(unsafe.Pointer(c))
		m.SetControllen(int(unsafe.Sizeof(*c)))
	}
	return r, nil
}

func (r *rawSender) close() { unix.Close(r.fd) }

// take puts a datagram into the next call. It refuses those that its port's own socket has to send, and those that cannot be in one
// call with what waits already.
func (r *rawSender) take(d *departure) bool {
	local, tos := d.s.local, d.s.tos.Load()
	if d.framed == nil || len(d.b) == 0 || !d.to.Addr().Is4() || d.to.Port() == 0 || !local.Addr().Is4() || local.Addr().IsUnspecified() {
		return false
	}
	if r.n == 0 && tos != r.tos && unix.SetsockoptInt(r.fd, unix.IPPROTO_IP, unix.IP_TOS, int(tos)) == nil {
		r.tos = tos
	}
	if tos != r.tos || r.n == len(r.msgs) {
		return false
	}
	b := d.framed
	binary.BigEndian.PutUint16(b, local.Port())
	binary.BigEndian.PutUint16(b[2:], d.to.Port())
	binary.BigEndian.PutUint32(b[4:], uint32(len(b))<<16)
	from, to := local.Addr().As4(), d.to.Addr().As4()
	binary.BigEndian.PutUint16(b[6:], udpChecksum(b, from, to))
	r.data[r.n].Base = &b[0]
	r.data[r.n].SetLen(len(b))
	r.to[r.n].Addr, r.from[r.n].Spec_dst = to, from
	r.n++
	return true
}

// send sends what take has put in, and tells failed the place of each that could not be sent.
func (r *rawSender) send(failed func(i int)) {
	for i := 0; i < r.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.msgs[i])), uintptr(r.n-i),
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
