package relay

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"rtpsidecar/relay/ice"
	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// ErrNoPorts: the interface's port range has no free pair left.
var ErrNoPorts = errors.New("out of ports")

// Interface is one local address that media may use.
type Interface struct {
	Name       string     // logical interface; entries that share a name are one interface with several addresses
	Local      netip.Addr // sockets bind it
	Advertised netip.Addr // SDP shows it; equal to Local when nothing else was configured
	PortMin    uint16
	PortMax    uint16
	Exclude    []uint16 // ports never used
}

// Component numbers the two flows of a media, RFC 8445 section 13; as an index into arrays.
type Component int

// The components.
const (
	RTP Component = iota
	RTCP
)

// TransportConfig asks for the local end of one media section, or of a bundle of them.
type TransportConfig struct {
	Interface   string       // logical interface name
	Family      FamilyWish   // which address is primary
	Single      bool         // one component: rtcp-mux is certain, or the media is not RTP
	PrimaryOnly bool         // ports on the primary address only (no ICE to be expected)
	Affinity    uint64       // equal values share a worker, whichever it is: both legs of a call pass the same; below 1<<63
	ID          uint64       // names what the transport itself sends: RTCP of its own
	Owner       any          // returned in Events
	Log         *slog.Logger // carries callid and tag
	Tap         RTCPTap      // nil: none
}

// RTCPTap sees each RTCP compound that a transport receives, and those of our own that it sends, in plain. It runs where
// packets do: it must not wait, and b is valid until it returns. What passes under keys that we do not have is not seen.
type RTCPTap func(b []byte, from, to netip.AddrPort, at time.Time)

// FamilyWish says which family's address comes first in Locals. Missing families fall back.
type FamilyWish uint8

// The wishes.
const (
	AnyFamily FamilyWish = iota
	WantIPv4
	WantIPv6
)

// Local is one bound address of a transport.
type Local struct {
	Interface  *Interface
	Addr       netip.Addr
	Advertised netip.Addr
	Ports      [2]uint16 // RTP, RTCP; RTCP is 0 in a single-component transport
}

// Learning is the endpoint-learning mode (contract of the NG "endpoint-learning" key).
type Learning uint8

// The modes. Heuristic is the default: as Delayed, but the provisional endpoint is the best source seen so far.
const (
	LearnHeuristic Learning = iota
	LearnDelayed
	LearnImmediate
	LearnOff
)

// Settings is the whole wanted state of a transport's far side, as the last offer or answer left it. Apply compares it
// with what runs and changes only what differs: unchanged keys keep their rollover counters, unchanged ICE credentials
// keep the agent, unchanged fingerprints keep the DTLS association.
type Settings struct {
	Opaque bool // not RTP: datagrams pass unread, one component

	// Signalling numbers the offers and answers of the dialogue: any change says that there was one. It un-confirms what
	// was learnt and restarts the learning window, as a change of a remote address or of the learning rules does.
	Signalling int

	Remote     [2]netip.AddrPort // where to send, from SDP; zero: unknown; an unspecified address: hold, send nothing
	RemoteSeen bool              // the far side's SDP is known and it was told our port: learning may begin
	Early      bool              // not told yet, but checks and handshake with it may begin: its SDP is an offer
	Muxed      bool              // RTCP is sent on component RTP

	Learning     Learning
	Asymmetric   bool // the source is not learnt
	StrictSource bool
	Handover     bool // media-handover
	NATWait      bool // send nothing to it until it has sent something
	PierceNAT    bool
	TOS          int // 0..255; negative: the system's default

	ICE  *ICE  // nil: none
	DTLS *DTLS // nil: none
	SDES *SDES // nil: none; DTLS and SDES together never

	DropIn bool // drop-traffic: discard all RTP received

	// Reports is the time between RTCP reports of our own, which receivers of this transport's sources get instead of
	// the far side's RTCP; 0: RTCP is passed on.
	Reports time.Duration
	// Measured makes reports of ours tell the jitter of now: a source that has fallen silent has none.
	Measured bool
}

// ICE configures the agent. A change of Local or Remote credentials is a restart.
type ICE struct {
	Local       ice.Credentials
	Remote      ice.Credentials // empty until known
	Controlling bool
	Lite        bool // we are lite
	RemoteLite  bool
	Candidates  []ice.Candidate // the far side's; more may come by Transport.AddCandidates
	Trickle     bool            // more may come
}

// SetupRole is our DTLS role.
type SetupRole uint8

// The roles. RoleUndecided waits: no ClientHello is sent and an early one is kept until the answer decides, unless ICE
// vouches for its sender: then we are passive. A role that is reversed before there are keys begins a new association.
const (
	RoleUndecided SetupRole = iota
	RoleActive
	RolePassive
)

// DTLS configures the association. A change of Fingerprints or TLSID starts a new one.
type DTLS struct {
	Role         SetupRole
	Hold         bool          // as RoleActive make ready, but send no ClientHello yet
	Fingerprints []Fingerprint // the far side's; any one of them must match; empty until known
	TLSID        string        // the far side's
	Generation   int           // a change forces a new association (ICE restart without tls-id)
}

// Fingerprint is a certificate digest.
type Fingerprint struct {
	Hash   string // "sha-256"
	Digest []byte
}

// SDES holds the keys of both directions. A zero Params (Suite nil) means plain in that direction.
type SDES struct {
	Recv, Send srtp.Params
}

// Plan says where the packets that a transport receives go. It is immutable once set.
type Plan struct {
	Routes []Route
}

// Route is the part of a plan for one media section. With one route in the plan everything belongs to it; with
// several (a bundle) packets are told apart by MID, then known SSRC, then payload type.
type Route struct {
	ID      uint64 // the media section, for Status
	MID     string
	MIDExt  uint8       // header extension id of sdes:mid in received packets; 0: none
	PTs     PTSet       // payload types of this section; empty: any
	Discard bool        // received RTP is dropped (the far side said recvonly or inactive, block media); RTCP passes
	Silence *SilenceSet // payload types whose payload is replaced by silence (silence media); nil: none
	Short   *ShortSet   // payload types of which short packets are dropped (block-short); nil: none
	// LoopCheck drops RTP that goes round in circles: the far side's address is one of this host's own.
	LoopCheck bool

	// Digits are the payload types of RFC 4733 whose events are told when they end, also where RTP goes nowhere.
	Digits PTSet

	// ClockRates are those that RFC 3551 does not assign; they are needed for the jitter only.
	ClockRates []ClockRate

	Sinks []Sink
}

// ClockRate is the RTP clock of one payload type.
type ClockRate struct {
	PT uint8
	Hz uint32
}

// PTSet is a set of RTP payload types 0..127.
type PTSet [2]uint64

// Has and Add test and extend the set.
func (s PTSet) Has(pt uint8) bool { return s[pt>>6&1]>>(pt&63)&1 == 1 }
func (s *PTSet) Add(pt uint8)     { s[pt>>6&1] |= 1 << (pt & 63) }
func (s PTSet) Empty() bool       { return s[0]|s[1] == 0 }

// SilenceSet gives for each payload type the byte that is silence in its encoding; 0 in the set means untouched.
type SilenceSet struct {
	PTs  PTSet
	Byte [128]byte
}

// Sink is one receiver of a route.
type Sink struct {
	To          *Transport
	PTMap       *[128]uint8        // nil: unchanged; 0xff: drop that payload type
	Recode      *[128]*[256]byte   // by received payload type: nil unchanged, else what each byte of the payload becomes
	Framer      *Framer            // nil: packets go on as long as they are; it may be in several plans, one after the other
	Digits      *DigitEdit         // nil: events go on as they are
	ExtMap      *[256]uint8        // nil: unchanged; 0: remove the extension, else its new id
	ExtForms    rtp.ExtensionForms // of what ExtMap keeps
	MID         string             // with MIDExt: written into each packet (the receiver is bundled)
	MIDExt      uint8
	Feedback    bool // the receiver takes AVPF feedback; else RTPFB and PSFB are removed from RTCP
	MuteRTP     bool // RTP is not sent (the receiver said sendonly or inactive, or media is blocked); RTCP is
	MuteRTCP    bool
	Silence     *SilenceSet // nil: none; as Route.Silence, for this receiver alone
	Passthrough bool        // same SRTP keys on both sides: protected packets go on as they came
}

// EventKind names what happened.
type EventKind uint8

// The events.
const (
	EventFirstPacket EventKind = iota // first valid media packet of a component
	EventConfirmed                    // endpoint learnt for good
	EventICEConnected
	EventICEFailed
	EventConsentLost
	EventDTLSConnected
	EventDTLSFailed
	EventDigit // see Digit
)

// Event is something the engine may want to know. The queue is bounded: when it is full events are dropped and counted.
type Event struct {
	Kind      EventKind
	Owner     any // TransportConfig.Owner
	Component Component
	At        time.Time
	Detail    string // for the log: pair, suite, alert
	Digit     Digit
}

// Certificate is our DTLS identity.
type Certificate interface {
	Leaf() *x509.Certificate
	// Fingerprint is the digest by "sha-1", "sha-224", "sha-256", "sha-384" or "sha-512"; nil for an unknown name.
	Fingerprint(hash string) []byte
}

// Counters count packets of one direction.
type Counters struct {
	Packets, Bytes, Errors uint64
}

// StreamStatus describes one component of a transport.
type StreamStatus struct {
	Local      netip.AddrPort // the selected local address and port
	Advertised netip.AddrPort // from SDP
	Endpoint   netip.AddrPort // learnt, or from SDP
	Confirmed  bool
	Filled     bool // an endpoint is known
	Suite      string
	In, Out    Counters
	LastPacket time.Time // zero: none yet
	LastSSRC   uint32
	First      netip.AddrPort // where the first packet came from
	Drops      Drops
	DTLSDone   bool // fingerprint verified
	NoConsent  bool // the far side stopped answering ICE checks and is sent nothing, RFC 7675
	Kernel     bool // forwarded by the fast path
	NoKernel   string
}

// SSRCStatus describes one synchronisation source received.
type SSRCStatus struct {
	SSRC           uint32
	Route          uint64
	Packets, Bytes uint64
	LastSeq        uint32 // extended
	LastTimestamp  uint32
	Lost           int64
	JitterUnits    float64 // RFC 3550, in timestamp units
	Duplicates     uint64
	Reordered      uint64
	Skips          uint64 // gaps in the sequence numbers, of one packet or more; those of the fast path are not seen
	Resets         uint64 // sequences that began anew, RFC 3550 section A.1
	LastPT         uint8
	Reports        []ReceptionReport // from the far side's RTCP about this source, newest last, bounded
}

// ReceptionReport is one RTCP report block about a source, with the round trip where it can be told.
type ReceptionReport struct {
	At           time.Time
	Reporter     uint32 // SSRC in whose name it came
	Own          bool   // made here: it tells what this relay received
	FractionLost uint8
	Lost         int32
	JitterUnits  uint32
	RoundTrip    time.Duration // of this leg; 0: unknown
}

// Status is a snapshot of a transport.
type Status struct {
	Streams   [2]StreamStatus
	SSRCs     []SSRCStatus
	ICEState  string
	Pairs     [2]Pair
	DTLSState string
	DTLSError string
	DTLSHeard bool // the far side has sent something of DTLS
}

// Pair is a selected candidate pair; zero when none is.
type Pair struct {
	Local, Remote netip.AddrPort
	Nominated     bool
}
