package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"rtpsidecar/relay/srtp"
)

// The limits of one flow.
const (
	MaxSources = 4
	MaxSinks   = 8

	maxPTPairs = 4
)

// What can keep a flow or a machine from this table. All but ErrExists and ErrNoFlow mean that userspace forwards.
var (
	// ErrUnsupported is a flow, or a machine, that this table cannot serve; the text says why.
	ErrUnsupported = errors.New("not supported by the fast path")
	// ErrPermission is a lack of capabilities; the text names them.
	ErrPermission = errors.New("fast path needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
	// ErrFull is a table with as many flows as it was made for.
	ErrFull = errors.New("fast path table is full")
	// ErrExists is a flow that is in the table: take it out first, for the progress that it holds.
	ErrExists = errors.New("flow is in the fast path already")
	// ErrNoFlow is a flow that is not in the table.
	ErrNoFlow = errors.New("flow is not in the fast path")
	// ErrClosed is a table after Close.
	ErrClosed = errors.New("fast path is closed")
)

// Table is a set of flows that are forwarded without userspace. Methods may be called concurrently; none is for a
// packet's path.
type Table interface {
	// Put adds a flow. Its packets still go up, for each source until Start. Errors wrap ErrUnsupported, ErrExists,
	// ErrFull and ErrClosed; then nothing has changed.
	Put(key FlowKey, act Action) error
	// Start has the table forward the packets of one source from the next one on, and own their indices, if none that
	// went up since Put is newer than what userspace has handled: src is its progress now. False: there is one on its
	// way, or none went up since; try again after the next packet. Errors wrap ErrNoFlow.
	Start(key FlowKey, src Source) (bool, error)
	// Delete takes a flow out. When it returns the next packet goes up, and the table touches no index any more:
	// what it has used stands in the Counter. Errors wrap ErrNoFlow.
	Delete(key FlowKey) (Counter, error)
	// Counter is what has happened to one flow since Put. Errors wrap ErrNoFlow.
	Counter(key FlowKey) (Counter, error)
	// Counters appends those of all flows to dst, in no certain order.
	Counters(dst []Counter) ([]Counter, error)
	// Status says how the table works; it is zero where nothing does.
	Status() Status
	// Close takes all flows out and leaves nothing behind in the kernel. It returns after all goroutines have ended.
	Close() error
}

// FlowKey is where packets of a flow arrive.
type FlowKey struct {
	Local netip.AddrPort
}

// String is the address and port.
func (k FlowKey) String() string { return k.Local.String() }

// Mismatch says what becomes of packets from elsewhere than the expected source.
type Mismatch uint8

// The policies. MismatchUp lets userspace learn a peer that has moved.
const (
	MismatchUp     Mismatch = iota // to userspace
	MismatchDrop                   // dropped, counted
	MismatchIgnore                 // forwarded: the source does not matter
)

// Action is what to do with the RTP packets of a flow. Other packets (STUN, DTLS, RTCP), unknown SSRCs, payload types
// not in PTs, fragments, packets with IP options, and results longer than the path allows go up.
type Action struct {
	Peer     netip.AddrPort // the expected source
	Mismatch Mismatch
	PTs      [2]uint64 // payload types that are forwarded, bit pt&63 of word pt/64
	// ClockRateHz, if not 0, has the jitter measured; the sources must share it.
	ClockRateHz uint32

	In      srtp.Params // Suite nil: packets are plain, or every sink is Raw
	Sources []Source    // 1 to MaxSources
	Sinks   []Sink      // up to MaxSinks; none: packets are counted and dropped
}

// Source is one SSRC of a flow, and how far userspace has come with it.
type Source struct {
	SSRC uint32
	// In is the inbound progress. With Action.In it must have started.
	In srtp.Progress
	// Out is the outbound progress for each sink, by the sinks' order; it must have started for those with Out. Nil
	// when no sink has.
	Out []srtp.Progress
}

// Sink is one receiver.
type Sink struct {
	Local, Remote netip.AddrPort // source and destination of what is sent
	TOS           uint8
	Raw           bool        // packets go on as they came: plain, or SRTP under a key that both legs share
	PTMap         *[128]uint8 // nil: unchanged
	Out           srtp.Params // Suite nil: plain
}

// Counter is what has happened to a flow since Put.
type Counter struct {
	Key            FlowKey
	Packets, Bytes uint64          // received and taken; bytes of UDP payload
	Up             uint64          // packets of known sources that were left to userspace
	WrongSource    uint64          // packets from elsewhere, left or dropped by Mismatch
	BadTag         uint64          // packets left to userspace because their tag is wrong
	Replayed       uint64          // dropped
	Last           time.Time       // of the last packet taken; zero: none
	Sources        []SourceCounter // by the order of Action.Sources
	Sinks          []SinkCounter   // by the order of Action.Sinks
}

// SourceCounter is what has happened to one SSRC of a flow.
type SourceCounter struct {
	SSRC           uint32
	Packets, Bytes uint64
	Last           time.Time // zero: none
	Timestamp      uint32    // of the last packet
	PT             uint8     // of the last packet
	JitterUnits    float64   // RFC 3550, in timestamp units

	// In and Out are the progress that the table has made beyond what it was given; see [Merge].
	In  srtp.Progress
	Out []srtp.Progress // by sink; zero for those without Out
}

// SinkCounter is what was sent to one sink.
type SinkCounter struct {
	Packets, Bytes uint64
	Errors         uint64 // packets whose outgoing index had been used
}

// Merge is the progress of two owners of one stream taken together: every index used by one of them counts as used.
func Merge(a, b srtp.Progress) srtp.Progress {
	switch {
	case !a.Started:
		return b
	case !b.Started:
		return a
	case a.Highest < b.Highest:
		a, b = b, a
	}
	n := a.Highest - b.Highest
	w := b.Window
	if n < 64 {
		w[1] = w[1]<<n | w[0]>>(64-n)
	} else {
		w[1] = w[0] << (n - 64)
	}
	w[0] <<= n
	a.Window[0] |= w[0]
	a.Window[1] |= w[1]
	return a
}

// Supported reports whether packets of this suite can be transformed by the table.
func Supported(s *srtp.Suite) bool {
	return s != nil && (s.Cipher == srtp.AESCM || s.Cipher == srtp.Null)
}

// unsupported is an error that wraps ErrUnsupported.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func checkParams(p srtp.Params) error {
	switch {
	case p.Suite == nil:
		return nil
	case !Supported(p.Suite):
		return unsupported("crypto suite %s", p.Suite)
	case len(p.MKI) > 0:
		return unsupported("master key identifier")
	case p.UnauthenticatedRTP:
		return unsupported("UNAUTHENTICATED_SRTP")
	}
	return p.Validate()
}

// Validate reports whether a table can do this, apart from the state of the machine. Errors wrap ErrUnsupported where
// userspace could.
func (a *Action) Validate(key FlowKey) error {
	if !usable(key.Local) {
		return unsupported("local address %s", key.Local)
	}
	if a.Mismatch != MismatchIgnore && !a.Peer.IsValid() {
		return unsupported("no source to expect")
	}
	if err := checkParams(a.In); err != nil {
		return fmt.Errorf("in: %w", err)
	}
	if n := len(a.Sources); n == 0 || n > MaxSources {
		return unsupported("%d sources", n)
	}
	if n := len(a.Sinks); n > MaxSinks {
		return unsupported("%d sinks", n)
	}
	for i := range a.Sinks {
		if err := a.checkSink(key, &a.Sinks[i]); err != nil {
			return fmt.Errorf("sink %d: %w", i, err)
		}
	}
	for i, s := range a.Sources {
		if a.In.Suite != nil && !s.In.Started {
			return unsupported("source %#x has no inbound progress", s.SSRC)
		}
		for j := range a.Sinks {
			if a.Sinks[j].protects() && (j >= len(s.Out) || !s.Out[j].Started) {
				return unsupported("source %#x has no outbound progress for sink %d", s.SSRC, j)
			}
		}
		for _, before := range a.Sources[:i] {
			if before.SSRC == s.SSRC {
				return unsupported("source %#x twice", s.SSRC)
			}
		}
	}
	return nil
}

func (a *Action) checkSink(key FlowKey, s *Sink) error {
	switch {
	case !usable(s.Local) || !usable(s.Remote) || s.Local.Addr().Is4() != s.Remote.Addr().Is4():
		return unsupported("addresses %s and %s", s.Local, s.Remote)
	case s.Remote == key.Local:
		return unsupported("it would come back")
	case s.Raw && s.PTMap != nil:
		return unsupported("payload types of raw packets")
	case s.Raw && s.Out.Suite != nil:
		return unsupported("key for raw packets")
	}
	if _, err := s.ptPairs(a.PTs); err != nil {
		return err
	}
	return checkParams(s.Out)
}

// usable reports whether packets can be sent from and to a.
func usable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && !ip.Is4In6() && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast() &&
		!ip.IsLinkLocalUnicast() && a.Port() != 0
}

// protects reports whether s has SRTP indices of its own.
func (s *Sink) protects() bool { return s.Out.Suite != nil }

// ptPairs are the payload types of pts that s changes.
func (s *Sink) ptPairs(pts [2]uint64) ([][2]uint8, error) {
	var pairs [][2]uint8
	if s.PTMap == nil {
		return nil, nil
	}
	for pt := range uint8(128) {
		to := s.PTMap[pt]
		if to == pt || pts[pt/64]>>(pt%64)&1 == 0 {
			continue
		}
		if to > 127 {
			return nil, unsupported("payload type %d is removed", pt)
		}
		pairs = append(pairs, [2]uint8{pt, to})
	}
	if len(pairs) > maxPTPairs {
		return nil, unsupported("%d payload types change", len(pairs))
	}
	return pairs, nil
}
