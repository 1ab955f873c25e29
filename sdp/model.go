package sdp

import (
	"net/netip"
	"time"

	pion "github.com/pion/sdp/v3"
)

// Attribute is one a= line: "key" or "key:value".
type Attribute = pion.Attribute

// Bandwidth is one b= line, "type:value".
type Bandwidth struct{ Type, Value string }

// Session is one SDP body. Attributes with a field of their own are in that field only; the others are in Rest, in
// the order received. What the session level says for every media (connection, direction, ICE, DTLS, extmap) has been
// copied by Parse into each media that does not say otherwise, and is printed there.
type Session struct {
	Origin     Origin
	Name       string      // s=
	Info       []string    // i=, u=, e=, p= lines verbatim with their letter: "i=text"
	Connection *Connection // c= of the session, nil when there is none; never printed
	Bandwidth  []Bandwidth
	Timing     []string // t= values; a body without one is printed with "0 0"
	Unknown    []string // lines of unknown types verbatim: "x=text"

	LoopMarks []string // a=rtpengine: values (loop-protect)
	ICELite   bool
	Groups    []Group // a=group
	Rest      []Attribute

	Media []*Media

	// Skipped lists the attributes that Parse could not read and left out.
	Skipped []*LineError
}

// Origin is the o= line. SessionID and Version are text: some devices send more than 64 bits.
type Origin struct {
	Username, SessionID, Version string
	Family                       Family
	Address                      string // as written: address or host name
}

// Family is an SDP address type.
type Family string

// The address types of RFC 8866 section 5.2.
const (
	IP4 Family = "IP4"
	IP6 Family = "IP6"
)

// Connection is one c= line.
type Connection struct {
	Family  Family
	Address string     // as written, without TTL and count; printed
	Addr    netip.Addr // zero when Address is a host name or malformed
}

// Group is one a=group line: semantics ("BUNDLE") and mids.
type Group struct {
	Semantics string
	MIDs      []string
}

// Direction is a media direction; DirectionDefault means that none was written, which counts as sendrecv.
type Direction uint8

// The directions of RFC 8866 section 6.7.
const (
	DirectionDefault Direction = iota
	SendRecv
	SendOnly
	RecvOnly
	Inactive
)

// Setup is an a=setup role, RFC 4145 section 4.
type Setup uint8

// The roles. SetupNone: the line is absent.
const (
	SetupNone Setup = iota
	SetupActPass
	SetupActive
	SetupPassive
	SetupHoldConn
)

// Media is one m= section, as received or as it is to be printed.
type Media struct {
	Type      string   // "audio", "video", "image", …, as written
	Port      uint16   // 0: rejected (or bundle-only)
	PortCount int      // of "port/count", 0 when absent; never printed
	Protocol  Protocol // known protocol, or ProtocolUnknown
	ProtoText string   // as written; printed when Protocol is ProtocolUnknown
	Formats   []string // the format list as written; printed when there are no Codecs

	Title       string       // i=
	Connections []Connection // the session's when the media has none of its own
	Bandwidth   []Bandwidth
	Unknown     []string // lines of unknown types verbatim

	MID        string
	Label      string
	Bare       bool // refused, and printed as its m= line alone
	BundleOnly bool

	Codecs           []Codec // in the order of the format list; RTP only
	ExtmapAllowMixed bool
	Extmaps          []Extmap
	// Rest has the other attributes in order: ssrc, msid, rtcp-fb:*, …. In a section that is not RTP it has all but
	// ICE; of those with a field there (mid, label, bundle-only, direction, setup, fingerprint, tls-id) the field says
	// what is printed, Rest only where.
	Rest         []Attribute
	Direction    Direction
	RTCP         *RTCPAttr
	RTCPMux      bool
	RTCPMuxOnly  bool
	Cryptos      []Crypto
	Setup        Setup
	Fingerprints []Fingerprint
	TLSID        string
	PTime        time.Duration // 0: absent
	MaxPTime     time.Duration // 0: absent

	ICE ICE

	// Order, when there is one, is how the a= lines are arranged: those in it as they stand there, the others after
	// them. It is never parsed.
	Order []string
}

// ICE holds the ICE attributes of a media, session-level ones included.
type ICE struct {
	Ufrag, Pwd       string
	Options          []string // "trickle", "ice2", …
	Candidates       []Candidate
	RemoteCandidates []RemoteCandidate
	EndOfCandidates  bool
	Mismatch         bool
	Lite             bool // the session's a=ice-lite; printed from Session.ICELite
}

// RemoteCandidate is one entry of a=remote-candidates.
type RemoteCandidate struct {
	Component int
	Addr      netip.AddrPort
}

// RTCPAttr is a=rtcp (RFC 3605); Addr is nil when only a port is given.
type RTCPAttr struct {
	Port uint16
	Conn *Connection
}

// Codec is one payload type of an RTP media with all lines that name it.
type Codec struct {
	PT       uint8
	Name     string // encoding name as written; "" when neither an rtpmap nor a static assignment names it
	ClockHz  int    // 0 when the rtpmap is malformed; Name is then its whole text
	Channels int    // 1 when not written
	Params   string // encoding parameters that are not a number of channels, verbatim
	Static   bool   // no rtpmap line was there: named by RFC 3551
	Fmtp     []string
	Feedback []string // rtcp-fb values after the payload type
}

// Candidate is one a=candidate line, RFC 8839 section 5.1.
type Candidate struct {
	Foundation string
	Component  int
	Transport  string // "UDP", "TCP", as written
	Priority   uint32
	Address    string     // as written; an mDNS name in browsers
	Addr       netip.Addr // zero when Address is not an IP address
	Port       uint16
	Type       string // "host", "srflx", "prflx", "relay"
	RelAddr    string
	RelPort    uint16
	Extra      []Attribute // extension pairs in order: tcptype, generation, ufrag, network-cost …
}

// Crypto is one a=crypto line, RFC 4568.
type Crypto struct {
	Tag      int
	Suite    string // as written
	KeySalt  []byte // decoded inline key and salt
	Lifetime string // "2^31" or a decimal number, as written; "" absent
	MKI      []byte // big endian, as long as written; nil absent
	Params   []string
	Pad      bool // print base64 with "="
}

// Fingerprint is one a=fingerprint line, RFC 8122.
type Fingerprint struct {
	Hash   string // lower case: "sha-256"
	Digest []byte
}

// Extmap is one a=extmap line, RFC 8285.
type Extmap struct {
	ID        int
	Direction string // "", "sendonly", …
	URI       string
	Params    string // extension attributes, verbatim
}
