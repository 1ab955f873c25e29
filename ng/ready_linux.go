package ng

import (
	"syscall"
	"unsafe"
)

// readiness asks whether something can be read from a socket now. Not for concurrent use.
type readiness struct {
	raw  syscall.RawConn
	poll func(fd uintptr) // made once
	yes  bool
}

// pollfd is that of poll(2).
type pollfd struct {
	fd              int32
	events, revents int16
}

func newReadiness(conn syscall.Conn) (*readiness, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &readiness{raw: raw}
	r.poll = func(fd uintptr) {
		const pollIn = 1
		p, now := pollfd{fd: int32(fd), events: pollIn}, syscall.Timespec{}
		n, _, _ := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		r.yes = n == 1
	}
	return r, nil
}

// now is false on a closed socket too.
func (r *readiness) now() bool {
	r.yes = false
	return r.raw.Control(r.poll) == nil && r.yes
}
