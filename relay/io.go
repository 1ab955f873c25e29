package relay

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"rtpsidecar/relay/prefetch"
)

// Tailroom is how many bytes after a received packet may be overwritten: an authentication tag (16), an SRTCP index (4)
// and an MKI (255) may be appended, and a header extension with a MID (at most 264) inserted.
const Tailroom = 1024

// maxDatagram is the largest UDP payload, over IPv6 without jumbograms.
const maxDatagram = 65527

// ScratchLen is the length of Meta.Scratch: room for three copies of a packet with their tails.
const ScratchLen = 3 * (maxDatagram + Tailroom)

// Meta is what a worker knows about a packet beside its bytes. It belongs to the worker and is valid until the
// delivery returns.
type Meta struct {
	At      time.Time // arrival, as one reading of the clock for all packets that were ready together
	Scratch []byte    // free for any use; ScratchLen bytes
	Drain   bool      // set by who takes the packet: what else waits in its socket should be read before others

	footprint *prefetch.Footprint // of the packet's socket; nil: nobody prefetches it
	later     queue               // nil: what a packet makes is sent at once
	share     *share              // of what the Host's workers have received; nil: none has
}

// queue is what a worker sends when it has handled the packets at hand, in order.
type queue interface {
	// put takes a copy of b, and counts it; false: s is closed.
	put(s Socket, b []byte, to netip.AddrPort, count *traffic) bool
	flush()
}

// flush sends what the packets until now have made.
func (m *Meta) flush() {
	if m != nil && m.later != nil {
		m.later.flush()
	}
}

// Deliver takes one datagram. b may be changed, with Tailroom bytes of capacity after it, until Deliver returns.
type Deliver func(b []byte, from netip.AddrPort, m *Meta)

// PacketIO opens UDP sockets and reads them. Implementations: epoll workers on Linux, a goroutine for each socket
// elsewhere, and package relaytest in memory.
type PacketIO interface {
	// Open binds a UDP socket to exactly this address and hands its packets to deliver. Deliveries of sockets of one group
	// never overlap and see what those before them did, whichever worker makes them. A port in use gives an error that is
	// syscall.EADDRINUSE.
	Open(local netip.AddrPort, group uint64, deliver Deliver) (Socket, error)
	// Close closes all sockets. After it returned nothing is delivered.
	Close() error
}

// Socket is one bound UDP socket, safe for concurrent use. After Close everything gives net.ErrClosed.
type Socket interface {
	// Send sends one datagram; b is not kept. It never waits: where the system would, the datagram is lost.
	Send(b []byte, to netip.AddrPort) error
	// SetTOS sets the TOS byte or traffic class of what is sent.
	SetTOS(tos uint8) error
	// Close may return while a delivery still runs.
	Close() error
}

// portTaken reports whether a failure of Open concerns this port alone. EACCES is what a range below 1024, or a policy,
// gives for single ports.
func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES)
}
