package load

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch = 64
	// room in the socket for a second of everything: what is lost is lost in the relay.
	room = 16 << 20
)

// End is one side of all calls. Its socket is in nobody's poll set: there each packet that is sent or comes would wake
// somebody, the more often the slower the relay is, and the load would cost what the relay seems to.
type End struct {
	file *os.File
	conn syscall.RawConn
	addr netip.AddrPort
	raw  bool // do not tell Go's scheduler of system calls
}

// Open opens an end at an IPv4 address, in the network namespace of the calling thread.
func Open(addr netip.Addr) (*End, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	e := &End{file: os.NewFile(uintptr(fd), "load")}
	e.conn, err = e.file.SyscallConn()
	if err == nil {
		err = e.bind(fd, addr)
	}
	if err != nil {
		return nil, errors.Join(err, e.file.Close())
	}
	return e, nil
}

func (e *End) bind(fd int, addr netip.Addr) error {
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	if at, ok := name.(*unix.SockaddrInet4); ok {
		e.addr = netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port))
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room))
	}
	return err
}

// Addr is the address for the SDP.
func (e *End) Addr() netip.AddrPort { return e.addr }

// message is the kernel's struct mmsghdr.
type message struct {
	hdr unix.Msghdr
	len uint32
}

// letters are messages with what they point to. They must not be copied.
type letters struct {
	msgs []message
	iovs []unix.Iovec
	to   []unix.RawSockaddrInet4
	oob  [][64]byte
	bufs [][]byte
}

// newLetters are n messages with room for size bytes each.
func newLetters(n, size int) *letters {
	l := &letters{msgs: make([]message, n), iovs: make([]unix.Iovec, n), to: make([]unix.RawSockaddrInet4, n),
		oob: make([][64]byte, n), bufs: make([][]byte, n)}
	for i := range l.msgs {
		l.put(i, make([]byte, size))
		l.msgs[i].hdr.Iov = &l.iovs[i]
		l.msgs[i].hdr.SetIovlen(1)
	}
	return l
}

// put has message i be b.
func (l *letters) put(i int, b []byte) {
	l.bufs[i] = b
	l.iovs[i].Base = unsafe.SliceData(b)
	l.iovs[i].SetLen(len(b))
}

// address has message i go to an IPv4 address.
func (l *letters) address(i int, to netip.AddrPort) {
	l.to[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&l.to[i].Port))[:], to.Port())
	l.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&l.to[i]))
	l.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet4
}

// send sends messages from up to to, and waits where the socket has no room.
func (e *End) send(l *letters, from, to int) error {
	for from < to {
		n, err := e.call(unix.SYS_SENDMMSG, l.msgs[from:to], 0)
		if err != nil {
			return os.NewSyscallError("sendmmsg", err)
		}
		from += n
	}
	return nil
}

// receive reads what is there, and returns how many messages that were.
func (e *End) receive(l *letters) (int, error) {
	for i := range l.msgs {
		h := &l.msgs[i].hdr
		h.Control = &l.oob[i][0]
		h.SetControllen(len(l.oob[i]))
	}
	n, err := e.call(unix.SYS_RECVMMSG, l.msgs, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return n, err
}

func (e *End) call(trap uintptr, msgs []message, flags uintptr) (n int, err error) {
	if len(msgs) == 0 {
		return 0, nil
	}
	closed := e.conn.Control(func(fd uintptr) {
		for {
			system := unix.Syscall6
			if e.raw {
				system = unix.RawSyscall6
			}
			r, _, errno := system(trap, fd, uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), flags, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if n = int(r); errno != 0 {
				n, err = 0, errno
			}
			break
		}
	})
	runtime.KeepAlive(msgs)
	if closed != nil {
		return 0, net.ErrClosed
	}
	return n, err
}

// stamp is the kernel's time stamp of message i, in nanoseconds since 1970.
func (l *letters) stamp(i int) (int64, bool) {
	const head = unix.SizeofCmsghdr
	b := l.oob[i][:l.msgs[i].hdr.Controllen]
	if len(b) < head+16 {
		return 0, false
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) // the only one that was asked for
	if c.Level != unix.SOL_SOCKET || c.Type != unix.SCM_TIMESTAMPNS {
		return 0, false
	}
	return int64(binary.NativeEndian.Uint64(b[head:]))*1e9 + int64(binary.NativeEndian.Uint64(b[head+8:])), true
}
