package rtpengine

import (
	"net/netip"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// Flags is one NG request's wishes, decoded. The zero value is what an empty request means. flags_parse.go alone fills
// it; no other file reads dictionary keys.
type Flags struct {
	// Who.
	CallID, FromTag, ToTag, ViaBranch string // verbatim, compared case-sensitively
	FromTags                          []string
	ToCallID                          string
	Label, SetLabel, ToLabel          string
	Address                           netip.Addr // invalid although HasAddress: it could not be read
	HasAddress                        bool
	All                               AllMode
	Directional, Bidirectional        bool
	ForceToTag                        bool // flag "to-tag": honour to-tag in delete
	NewBranch, Provisional            bool
	SIPMessage                        SIPMessage
	SIPCode                           int
	ReceivedFrom                      netip.Addr
	SupportsLoadLimit                 bool
	AliasKey                          AliasKey

	SDP          string
	FragmentBody bool // trickle-ICE fragment

	// Addresses.
	Direction                       [2]string // logical interfaces: the sender's side, the receiver's side
	Interface                       string    // publish, subscribe, create
	InboundPeer, OutboundPeer, Peer netip.Addr
	AddressFamily                   sdp.Family // "": as it comes
	MediaAddress                    string     // printed instead of ours
	TrustAddress                    OnOff      // trust-address on, SIP-source-address off
	// Transport protocol.
	Transport       sdp.Protocol // ProtocolUnknown: keep what was offered
	TransportAccept bool         // "accept": hand a changed protocol of the answer through

	ICE         ICEMode
	ICELite     LiteMode
	RejectICE   bool
	TrickleICE  bool
	ICE2        bool
	Reset       bool
	NoPortLatch bool
	PortLatch   bool

	DTLS            DTLSMode
	DTLSReverse     DTLSMode
	DTLSFingerprint string // "sha-256"…; "" default
	NoTLSID         bool

	SDES  SDESFlags
	OSRTP OSRTPFlags

	RTCPMux      RTCPMuxFlags
	FullRTCPAttr bool
	NoRTCPAttr   bool
	GenerateMID  bool
	GenerateRTCP OnOff
	MirrorRTCP   bool
	Bundle       BundleFlags

	Codec               CodecFlags
	PTime, PTimeReverse time.Duration // 0: unchanged

	Edits       []sdp.Edit // sdp-attr
	MediaRemove []string   // sdp-media-remove types

	Replace ReplaceFlags

	Asymmetric, StrictSource, MediaHandover bool
	Learning                                *relay.Learning // nil: the daemon's
	NATWait, PierceNAT                      bool
	OriginalSendRecv                        bool
	DropTraffic                             OnOff
	MediaEcho                               EchoMode
	Passthrough                             OnOff
	Recrypt                                 bool
	BlockShort                              bool
	DelayBuffer                             *time.Duration
	TOS                                     TOS
	ExtmapStrip, ExtmapMask                 []string
	StripExtmap                             bool
	Unidirectional, NoRedisUpdate           bool
	EarlyMedia, Mix, Egress, Inactive       bool
	SIPREC                                  bool
	BlockDTMF                               bool
	DTMFSecurity                            DTMFSecurity
	Digit                                   uint8 // of DTMFDigit
	Volume                                  uint8 // of events, -dBm0; 0: theirs
	DTMFLog                                 netip.AddrPort
	LoopProtect, Debug                      bool

	Metadata       string
	XMLRPCCallback string

	// Delete, list, selection.
	DeleteDelay *time.Duration // nil: the daemon's
	Fatal       bool
	Fast        bool // delete without statistics in the reply
	Limit       *int64
	Calls       []string  // mesh
	MeshTags    []MeshTag // mesh
	Unsubscribe bool      // mesh: take away instead of adding
	Body        string    // cli: the console line

	// create.
	Medias []MediaWish

	Unknown     []string // words and keys we do not know, in order, as "flags: word" or "key"; logged, never an error
	Unsupported []string // known to the protocol, not supported by this build: the request is refused, naming them
}

// hidesExtmap tells whether a header extension is to be kept out of the SDP. Its URI compares without regard to case.
func (f *Flags) hidesExtmap(uri string) bool { return f.stripsExtmap(uri) || masks(f.ExtmapMask, uri) }

func (f *Flags) stripsExtmap(uri string) bool { return f.StripExtmap || masks(f.ExtmapStrip, uri) }

// OnOff is a three-state setting.
type OnOff uint8

// The states.
const (
	Unset OnOff = iota
	On
	Off
)

// TOS is the TOS key: Set false leaves what was; Value negative leaves packets alone; above 255 the daemon's default.
type TOS struct {
	Set   bool
	Value int
}

// MediaWish is one entry of the key medias: a section to create.
type MediaWish struct {
	Type   string   // "" is audio
	Codecs []string // specifications
}

// MeshTag is one entry of the key tags of mesh: what From sends is heard by To.
type MeshTag struct {
	From string
	To   []string
}

// AllMode is the "all" key of participant selection.
type AllMode uint8

// The modes.
const (
	AllNone AllMode = iota
	AllParties
	AllOfferAnswer
	AllExceptOfferAnswer
	AllFlows
)

// SIPMessage is the sip-message-type key.
type SIPMessage uint8

// The types.
const (
	SIPAny SIPMessage = iota
	SIPRequest
	SIPReply
)

// AliasKey is the alias-key key.
type AliasKey uint8

// The keys.
const (
	AliasNone AliasKey = iota
	AliasSDP
	AliasAddress
)

// ICEMode is the ICE key.
type ICEMode uint8

// The modes. ICEDefault keeps what the offer does.
const (
	ICEDefault ICEMode = iota
	ICEForce
	ICERemove
	ICEOptional
	ICEForceRelay
)

// LiteMode is the ICE-lite key.
type LiteMode uint8

// The modes: towards the receiver, towards the sender, both, none.
const (
	LiteDefault LiteMode = iota
	LiteForward
	LiteBackward
	LiteBoth
	LiteOff
)

// DTLSMode is the DTLS or DTLS-reverse key.
type DTLSMode uint8

// The modes.
const (
	DTLSDefault DTLSMode = iota
	DTLSOff
	DTLSPassive
	DTLSActive
)

// SDESFlags is the SDES list. Suite names are upper case.
type SDESFlags struct {
	Off                                                 bool
	No, Only, Order, OffererPref                        []string
	NoNew, Pad, Lifetime, Static, Prefer                bool
	UnencryptedRTP, UnencryptedRTCP, UnauthenticatedRTP OnOff // On adds the session parameter, Off removes it
}

// OSRTPFlags is the OSRTP list.
type OSRTPFlags struct {
	Offer, OfferLegacy, Accept, AcceptLegacy bool
}

// RTCPMuxFlags is the rtcp-mux list.
type RTCPMuxFlags struct {
	Offer, Require, Demux, Accept, Reject bool
}

// BundleFlags is the bundle list.
type BundleFlags struct {
	Accept, Offer, Require, Strict, Reject bool
}

// CodecFlags is the codec dictionary.
type CodecFlags struct {
	Strip, Mask, Consume, Accept, Offer, Except, Ignore, Transcode, Set []string // codec specifications, in order

	AlwaysTranscode, ForceTranscoding, AllowTranscoding bool
	Single, Reuse, Static, AllowAsymmetric, AllowNone   bool
}

// ReplaceFlags is the replace list.
type ReplaceFlags struct {
	Origin, OriginFull, SessionConnection, SDPVersion, ForceIncrementSDPVersion bool
	Username, SessionName, ZeroAddress                                          bool
}

// EchoMode is the media-echo key.
type EchoMode uint8

// The modes: discard; echo to the receiver, to the sender, to both.
const (
	EchoNone EchoMode = iota
	EchoBlackhole
	EchoForward
	EchoBackward
	EchoBoth
)
