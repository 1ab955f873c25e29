package rtpengine

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"rtpsidecar/relay/ice"
	"rtpsidecar/relay/srtp"
	"rtpsidecar/sdp"
)

// leg is what has been said between us and one participant about one media section, and what follows from it. It is a
// value: negotiation works on copies, and a request that fails leaves no trace. Slices in it are never changed in
// place.
type leg struct {
	Seen bool       // its SDP has been seen
	Told bool       // our port was shown to it
	In   *sdp.Media // its last section, as received; nil until seen

	Protocol     sdp.Protocol // spoken with it
	ProtoText    string       // when Protocol is ProtocolUnknown
	OSRTP        bool         // RTP/AVP in the m= line, with SRTP attributes
	SameProtocol bool         // its last SDP had the protocol of the one before
	Offered      sdp.Protocol // our last offer to it
	OfferedOSRTP bool         // our last offer to it was that
	Rejected     bool         // port 0, by either side
	Removed      bool         // sdp-media-remove: not shown to it

	Remote    [2]netip.AddrPort // where its SDP wants RTP and RTCP
	Hold      bool              // zero address
	LoopCheck bool              // its address is one of ours: a call that was sent in circles
	Dir       sdp.Direction     // what it does, never DirectionDefault once seen

	Codecs    []sdp.Codec   // its own, from its SDP
	Shown     []sdp.Codec   // what we printed to it last
	Agreed    []sdp.Codec   // what its last answered offer came to; nil before
	PTime     time.Duration // what its dialogue last said
	PTimeWish time.Duration // asked for by flags towards it, and kept; 0: none

	MID     string       // in its numbering
	Exts    []sdp.Extmap // header extensions as shown to it last
	ExtMask []string     // URIs that its offer was passed on without
	ExtOnly bool         // packets keep only the header extensions that both sides have
	MIDExt  int          // id of the sdes:mid header extension in its numbering, 0 none

	Mux  legMux
	ICE  legICE
	DTLS legDTLS
	SDES legSDES

	Wishes *offerWishes // with its offer; nil: none

	Pass  bool // the parties negotiate between themselves: ICE=optional with ICE offered, ICE=force-relay, or Blind
	Blind bool // passthrough, until that is turned off: media come through us, and what is in them is none of our business
	Flags legFlags
}

// offerWishes came with an offer and govern the answer to it. They are never changed.
type offerWishes struct {
	Codec CodecFlags
	SDES  SDESFlags
}

var noWishes offerWishes

// wishesOf are those of an offer's flags; nil when it has none, as most offers.
func wishesOf(f *Flags) *offerWishes {
	if reflect.ValueOf(&f.Codec).Elem().IsZero() && reflect.ValueOf(&f.SDES).Elem().IsZero() {
		return nil
	}
	return &offerWishes{f.Codec, f.SDES}
}

// wishes are those of the party's last offer, read only.
func (l *leg) wishes() *offerWishes { return cmp.Or(l.Wishes, &noWishes) }

// legFlags are the wishes about one party's media path. They hold until its next SDP.
type legFlags struct {
	Asymmetric, StrictSource, Handover bool
	NATWait, PierceNAT, Recrypt        bool
	KeepDirection                      bool // original-sendrecv
}

// legMux is the state of RTCP multiplexing.
type legMux struct {
	Heard   bool // its SDP had rtcp-mux
	Offered bool // we offered it
	Require bool // there is one port only
	Accept  bool // an offer of it by the other party is accepted whatever this one says
	Reject  bool // an offer of it by the other party is never accepted
	On      bool
}

// legICE is the state of ICE towards one party.
type legICE struct {
	On          bool // in use, or offered
	Refused     bool // offered, and its answer had none: not offered again without a reason
	Local       ice.Credentials
	Remote      ice.Credentials
	Controlling bool
	Lite        bool // we are lite
	RemoteLite  bool
	Trickle     bool
	ICE2        bool
	Mode        ICEMode // force-relay and optional are printed in their own way
	Ended       bool    // end-of-candidates was heard
}

// legDTLS is the state of DTLS-SRTP towards one party.
type legDTLS struct {
	On         bool // in use, or offered
	Offered    bool
	Refused    bool
	Passive    bool // the offer asked us to be passive
	Active     bool // our role, once Decided
	Decided    bool
	Begun      bool              // the far side takes part in the handshake that was foreseen
	Foreseen   bool              // Active is what our role will be unless the flags of the answer say otherwise
	Hash       string            // of our fingerprint
	Remote     []sdp.Fingerprint // empty until known
	RemoteID   string            // its tls-id
	LocalID    string            // ours
	Generation int               // changes where a new association is needed though nothing else says so
}

// legSDES is the state of SDES towards one party.
type legSDES struct {
	Sent        []sdp.Crypto // lines we printed, with the keys that we send with
	Answer      bool         // Sent is our answer: one line
	Chosen      bool         // the keys are agreed
	*sdesAgreed              // nil before they were for the first time
}

// sdesAgreed are agreed keys. They are never changed.
type sdesAgreed struct {
	Recv srtp.Params // what it protects with
	Send srtp.Params // what we protect with
	Line sdp.Crypto  // its line: Recv's
}

// rtp tells whether the leg carries RTP rather than opaque datagrams.
func (l *leg) rtp() bool { return l.Protocol.IsRTP() }

// secure tells whether the leg's RTP is SRTP.
func (l *leg) secure() bool { return l.rtp() && (l.Protocol.IsSRTP() || l.OSRTP) }

// sends tells whether the party sends media; until its SDP is known it may.
func (l *leg) sends() bool { return !l.Seen || l.Dir == sdp.SendRecv || l.Dir == sdp.SendOnly }

// receives tells whether the party wants media.
func (l *leg) receives() bool { return !l.Seen || l.Dir == sdp.SendRecv || l.Dir == sdp.RecvOnly }

// takesFeedback tells whether the party may be sent feedback messages: it speaks AVPF, or its SDP names feedback that it
// knows although it speaks AVP, as many devices do.
func (l *leg) takesFeedback() bool {
	if l.Protocol.IsAVPF() || l.In == nil {
		return l.Protocol.IsAVPF()
	}
	return slices.ContainsFunc(l.In.Codecs, func(c sdp.Codec) bool { return len(c.Feedback) > 0 }) ||
		slices.ContainsFunc(l.In.Rest, func(a sdp.Attribute) bool { return a.Key == "rtcp-fb" })
}

// refusesMixed tells whether the party has said what header extensions it knows, and that it wants them in one form.
func (l *leg) refusesMixed() bool {
	return l.In != nil && len(l.In.Extmaps) > 0 && !l.In.ExtmapAllowMixed
}

// heardExtmaps are the header extensions of its SDP.
func (l *leg) heardExtmaps() []sdp.Extmap {
	if l.In == nil {
		return nil
	}
	return l.In.Extmaps
}

// refuses tells whether the party itself gave the section port 0: it says nothing else about it.
func (l *leg) refuses() bool { return l.Rejected && l.In != nil && l.In.Port == 0 }
