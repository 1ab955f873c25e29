package rtpengine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
)

// Config is everything the engine can be told. Zero durations of timeouts mean off.
type Config struct {
	Interfaces []Interface // at least one; the first is the default
	PortMin    uint16
	PortMax    uint16
	Workers    int   // media threads; 0: one per CPU
	CPUs       []int // that the workers are bound to, in turn; empty: any
	Balance    relay.Balance
	NoRealtime bool // media threads run like all others
	NoRaw      bool // each packet goes out by its port's own socket

	TOS              int // media; 0 leaves the system's default
	EndpointLearning relay.Learning
	SIPSource        bool // SIP-source-address by default
	DTLSPassive      bool

	Adjustable

	RejectBadSDP bool // reject-invalid-sdp
	SoftwareID   string
	CertCipher   string // "prime256v1" or "RSA"
	RSAKeyBits   int
	DTLSMTU      int

	StrictProfiles bool // dtls-strict-profiles
	RTCPInterval   time.Duration
	MeasureRTP     bool
	MOS            MOSFormula
	SSRCReporting  string                   // full, inline, global, none
	Store          Store                    // nil: calls are not kept
	Console        func(line string) string // runs the lines of the command cli; nil: there is none
	InstanceID     string                   // loop-protect mark, 12 hex digits; made when empty

	// RTCP is told of each RTCP compound of a call, see [relay.RTCPTap]; nil: nobody is.
	RTCP func(callID string, b []byte, from, to netip.AddrPort, at time.Time)

	// DTMF is told of digits in calls that name a destination, with it, and with DTMFAll of those in all others. It is
	// called from one goroutine, which events wait for. nil: nobody is told.
	DTMF    func(to netip.AddrPort, notice *ng.Dict)
	DTMFAll bool

	Log *slog.Logger
	Now func() time.Time                                                // tests; nil: time.Now
	IO  func(workers int, now func() time.Time) (relay.PacketIO, error) // nil: the system's sockets

	Route func(netip.Addr) (netip.Addr, error) // the local address towards one; nil: relay.SourceTowards

	Table ebpf.Table // forwards media in the kernel; nil: none. It is closed by the caller, after the engine
}

// Adjustable is what may change while the engine runs, see [Engine.Adjust].
type Adjustable struct {
	Timeout       time.Duration
	SilentTimeout time.Duration
	FinalTimeout  time.Duration
	OfferTimeout  time.Duration
	DeleteDelay   time.Duration
	MaxSessions   int               // negative: no limit
	MaxCPU        float64           // percent; 0 off
	MaxLoad       float64           // 0 off
	MaxBandwidth  uint64            // bytes per second; 0 off
	Templates     map[string]string // name or command -> flag string; never changed in place
}

// Interface is one entry of the interface option: a local address of a logical interface, or an alias.
type Interface struct {
	relay.Interface
	Base  string // for "pub:1/…" the base name "pub": direction=pub picks one of its members in turn
	Alias string // not "": Name is another name of interface Alias, and the rest is unset
}

// DefaultConfig is what the reference does without options.
func DefaultConfig() Config {
	return Config{
		PortMin: 30000, PortMax: 40000,
		EndpointLearning: relay.LearnHeuristic,
		Adjustable: Adjustable{
			Timeout:       60 * time.Second,
			SilentTimeout: 3600 * time.Second,
			OfferTimeout:  3600 * time.Second,
			DeleteDelay:   30 * time.Second,
			MaxSessions:   -1,
		},
		SoftwareID:    "rtpsidecar",
		CertCipher:    "prime256v1",
		RSAKeyBits:    2048,
		DTLSMTU:       1200,
		RTCPInterval:  5 * time.Second,
		SSRCReporting: "full",
	}
}

// Validate names everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Interfaces) == 0 {
		errs = append(errs, errors.New("interface: none given"))
	}
	if c.PortMin == 0 || c.PortMin > c.PortMax {
		errs = append(errs, fmt.Errorf("port range %d-%d is empty", c.PortMin, c.PortMax))
	}
	return errors.Join(errs...)
}
