package ebpf

import (
	"log/slog"
	"time"
)

// Mode is how programs are attached.
type Mode uint8

// The modes.
const (
	ModeAuto   Mode = iota // TCX; clsact where the kernel is older than 6.6
	ModeTCX                // kernel 6.6
	ModeClsact             // kernel 5.18
	ModeXDP                // where the driver does XDP natively, but not at a veth; all else as in ModeAuto
)

// String is the name.
func (m Mode) String() string {
	switch m {
	case ModeTCX:
		return "tcx"
	case ModeClsact:
		return "clsact"
	case ModeXDP:
		return "xdp"
	}
	return "auto"
}

// Config is what Open needs. The zero value takes every interface that is fit.
type Config struct {
	// Interfaces are the names of the interfaces at which packets arrive; they may come and go. Empty: all that have an
	// address, the loopback interface included. Packets of a VLAN arrive at the VLAN's own interface.
	Interfaces []string
	Mode       Mode
	MaxFlows   int // SSRCs, in all flows; 0: 8192

	// FloodGuard, if not 0, is how many packets a second and CPU may pass to UDP ports from PortMin to PortMax that have
	// neither a flow nor a socket. The rest is dropped before the kernel would answer it.
	FloodGuard       int
	PortMin, PortMax uint16

	// KernelAES has the kernel's own AES encrypt what is not ready, instead of the program with tables, whose place in the
	// caches could tell a neighbour on the same core about keys. Kernel 6.11.
	KernelAES bool

	Log *slog.Logger // nil: none

	eager   bool // flows do not wait for Start, for tests of single packets
	noAhead bool // key stream is made by the test
	veth    bool // XDP at a veth too, whose peer has a program
}

// Status says what a table does.
type Status struct {
	Mode       Mode // never ModeAuto
	Interfaces []string
	XDP        []string // those of Interfaces where native XDP comes first
	Flows      int
	// GuardPassed and GuardDropped count packets to ports without flow and socket.
	GuardPassed, GuardDropped uint64
}

const (
	defaultMaxFlows = 8192

	// pulsePeriod is how often a clsact program hears that its process lives; such programs stay attached when it dies,
	// and rest when they have not heard for pulseLimit.
	pulsePeriod = time.Second
	pulseLimit  = 3 * time.Second

	// pokePeriod is how often neighbours in use are confirmed; the kernel takes an entry as reachable for 15 to 45 s.
	pokePeriod = 10 * time.Second

	// settle is how long events are gathered: one "ip link set down" makes dozens.
	settle = 20 * time.Millisecond
)
