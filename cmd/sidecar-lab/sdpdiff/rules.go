package sdpdiff

import "strings"

// rule says what stands behind a change. Rules are tried in order; the first that fits is the explanation. One without
// causes is the daemon's default.
type rule struct {
	topic  string
	op     string   // added, removed, changed; "": any
	in     string   // command; "": any
	causes []string // effects of flags, "x*" for all that begin so
	when   func(x *explainer, from, to string) bool
	why    string
	rfc    string
	rfcOf  func(to string) string // instead of rfc
}

// titles are the topics in words.
var titles = map[string]string{
	"section": "section", "port": "port", "port 0": "port", "protocol": "transport protocol", "formats": "format list", "c=": "c=",
	"o= user": "o= user name", "o= session": "o= session id", "o= version": "o= version", "o= address": "o= address", "s=": "s=", "candidate": "ICE candidates",
	"ICE credentials": "ICE ufrag and password", "crypto": "SDES keys", "direction": "direction", "fingerprint": "DTLS fingerprint", "setup": "DTLS role",
	"extmap": "header extensions", "group": "a=group",
}

// The flags that choose a transport protocol.
var protocolFlags = []string{"transport-protocol=*", "SRTP", "RTP", "AVPF", "AVP", "DTLS"}

// The flags that choose an address.
var addressFlags = []string{"media-address", "address-family=*", "direction", "internal", "external", "from-interface", "to-interface", "outbound-peer", "inbound-peer"}

// srtpOn are flags that make an SRTP leg of a plain one, srtpOff the other way round.
var (
	srtpOn  = []string{"transport-protocol=RTP/SAVP*", "transport-protocol=UDP/TLS*", "SRTP", "DTLS", "OSRTP=*"}
	srtpOff = []string{"transport-protocol=RTP/AVP*", "RTP"}
	dtlsOn  = []string{"transport-protocol=UDP/TLS*", "DTLS", "transport-protocol=RTP/SAVP*", "SRTP", "OSRTP=*"}
)

func protocolRFC(to string) string {
	switch {
	case strings.HasPrefix(to, "UDP/TLS"):
		return "RFC 5764 section 8"
	case to == "RTP/SAVPF":
		return "RFC 5124 section 2"
	case to == "RTP/SAVP":
		return "RFC 3711 section 12"
	case to == "RTP/AVPF":
		return "RFC 4585 section 4.1"
	}
	return "RFC 3551 section 2"
}

const ownMedia = "the relay takes the media itself"

// rules, by topic.
var rules = []rule{
	{topic: "section", op: "removed", causes: []string{"sdp-media-remove"}, why: "sections of this type are not shown to the receiver", rfc: "RFC 8866 section 5.14"},
	{topic: "section", op: "removed", why: "the section is not passed on", rfc: "RFC 3264 section 6"},
	{topic: "section", op: "added", in: "answer", why: "every section of the offer has its place in the answer", rfc: "RFC 3264 section 6"},
	{topic: "section", op: "added", causes: []string{"OSRTP=offer-legacy"}, why: "each section stands twice, plain and secure", rfc: "RFC 8643 section 3.1"},
	{topic: "section", op: "added", why: "put in by the daemon", rfc: "RFC 8866 section 5.14"},

	{topic: "port 0", causes: []string{"bundle=strict"}, why: "sections after the first travel with it", rfc: "RFC 9143 section 6"},
	{topic: "port 0", causes: []string{"allow-no-codec-media"}, why: "no codec is left, so the section is refused", rfc: "RFC 3264 section 6"},
	{topic: "port 0", why: "the section is refused", rfc: "RFC 3264 section 6"},
	{topic: "port", causes: []string{"bundle=require"}, why: ownMedia + ", on one port for the bundle", rfc: "RFC 9143 section 7.2"},
	{topic: "port", why: ownMedia + ", on a port of its own", rfc: "RFC 8866 section 5.14"},

	{topic: "protocol", causes: append([]string{"WebRTC", "OSRTP=*"}, protocolFlags...), why: "this profile is spoken with the receiver", rfcOf: protocolRFC},
	{topic: "protocol", in: "answer", why: "the offerer is answered in the profile it offered", rfc: "RFC 3264 section 6.1"},
	{topic: "protocol", why: "the profile is spelled as registered", rfcOf: protocolRFC},

	{topic: "formats", causes: []string{"codec=*", "always-transcode", "single-codec", "static-codecs", "reuse-codecs", "T.38=*"}, why: "the codec list is edited", rfc: "RFC 3264 section 5.1"},
	{topic: "formats", in: "answer", why: "the answer holds what both sides have", rfc: "RFC 3264 section 6.1"},
	{topic: "formats", why: "the codec list is written again", rfc: "RFC 3264 section 5.1"},

	{topic: "c=", causes: addressFlags, op: "changed", why: "the address on which the receiver reaches the relay", rfc: "RFC 8866 section 5.7"},
	{topic: "c=", causes: []string{"replace=zero-address"}, when: func(_ *explainer, from, _ string) bool { return strings.Contains(from, " 0.0.0.0") }, why: "the relay's address stands for the zero address", rfc: "RFC 3264 section 8.4"},
	{topic: "c=", op: "changed", why: "the address on which the receiver reaches the relay", rfc: "RFC 8866 section 5.7"},
	{topic: "c=", op: "removed", causes: []string{"replace=session-connection"}, why: "no address of the sender stays at the session level", rfc: "RFC 8866 section 5.7"},
	{topic: "c=", op: "removed", why: "each section has its own c=, so the session needs none", rfc: "RFC 8866 section 5.7"},
	{topic: "c=", op: "added", causes: addressFlags, why: "the address on which the receiver reaches the relay", rfc: "RFC 8866 section 5.7"},
	{topic: "c=", op: "added", why: "each section names the relay's address itself", rfc: "RFC 8866 section 5.7"},

	{topic: "o= address", causes: []string{"replace=origin", "replace=origin-full"}, why: "the origin shows the relay, not the sender", rfc: "RFC 8866 section 5.2"},
	{topic: "o= address", why: "the origin of the party is kept as it was", rfc: "RFC 8866 section 5.2"},
	{topic: "o= version", causes: []string{"replace=SDP-version", "replace=origin-full", "replace=force-increment-sdp-ver"}, why: "the relay counts its own changes", rfc: "RFC 3264 section 8"},
	{topic: "o= version", why: "the version follows what was sent before", rfc: "RFC 3264 section 8"},
	{topic: "o= *", causes: []string{"replace=username", "replace=origin-full"}, why: "the origin that the party saw first stays", rfc: "RFC 8866 section 5.2"},
	{topic: "o= *", why: "the origin of the party is kept as it was", rfc: "RFC 8866 section 5.2"},
	{topic: "s=", causes: []string{"replace=session-name"}, why: "the name that the party saw first stays", rfc: "RFC 8866 section 5.3"},
	{topic: "s=", why: "the name is written again", rfc: "RFC 8866 section 5.3"},
	{topic: "b=", why: "bandwidth lines are written again", rfc: "RFC 8866 section 5.8"},
	{topic: "t=", why: "timing is written again", rfc: "RFC 8866 section 5.9"},
	{topic: "k=", op: "removed", why: "keys in clear text are obsolete", rfc: "RFC 8866 section 5.12"},

	{topic: "candidate", op: "removed", causes: []string{"ICE=remove"}, why: "no ICE towards the receiver", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", op: "removed", causes: []string{"ICE=force"}, why: "the sender's candidates give way to the relay's", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", op: "removed", in: "answer", why: "the offerer did not offer ICE, or sees the relay's candidates only", rfc: "RFC 8839 section 4.3.2"},
	{topic: "candidate", op: "removed", why: "the sender's candidates give way to the relay's", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", op: "added", causes: []string{"ICE=force-relay"}, why: "the relay is one more candidate, of type relay", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", op: "added", causes: []string{"ICE=optional"}, why: "the relay is one more candidate, of low priority", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", causes: []string{"ICE=force"}, why: "the relay's candidates are the only ones", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", causes: []string{"ICE=force-relay", "ICE=optional"}, why: "the relay is one more candidate", rfc: "RFC 8839 section 5.1"},
	{topic: "candidate", in: "answer", why: "the offerer used ICE and gets the relay's candidates", rfc: "RFC 8839 section 4.3.2"},
	{topic: "candidate", why: "the offer used ICE, so the relay offers it on with its own candidates", rfc: "RFC 8839 section 5.1"},
	{topic: "ICE credentials", op: "removed", causes: []string{"ICE=remove"}, why: "no ICE towards the receiver", rfc: "RFC 8839 section 5.4"},
	{topic: "ICE credentials", causes: []string{"ICE=force", "ICE=optional", "ICE=force-relay"}, why: "the relay is an ICE agent of its own", rfc: "RFC 8839 section 5.4"},
	{topic: "ICE credentials", op: "removed", why: "no ICE towards this party", rfc: "RFC 8839 section 5.4"},
	{topic: "ICE credentials", why: "the relay is an ICE agent of its own on each side", rfc: "RFC 8839 section 5.4"},
	{topic: "ice-options", op: "added", causes: []string{"trickle-ICE", "ICE=ice2"}, why: "the relay announces the ICE options", rfc: "RFC 8839 section 5.6"},
	{topic: "ice-options", op: "removed", causes: []string{"ICE=remove"}, why: "no ICE towards the receiver", rfc: "RFC 8839 section 5.6"},
	{topic: "ice-options", causes: []string{"trickle-ICE", "ICE=ice2"}, why: "the relay announces its own ICE options", rfc: "RFC 8839 section 5.6"},
	{topic: "ice-options", op: "removed", why: "the relay has all candidates at once and does not trickle", rfc: "RFC 8840 section 4.1"},
	{topic: "ice-options", why: "the relay announces its own ICE options", rfc: "RFC 8839 section 5.6"},
	{topic: "ice-lite", op: "added", causes: []string{"ICE-lite=*"}, why: "the relay only answers checks", rfc: "RFC 8839 section 5.3"},
	{topic: "ice-lite", op: "removed", why: "the relay is a full agent towards this party", rfc: "RFC 8839 section 5.3"},
	{topic: "end-of-candidates", op: "added", causes: []string{"trickle-ICE"}, why: "all candidates are there", rfc: "RFC 8840 section 8"},
	{topic: "end-of-candidates", op: "removed", causes: []string{"ICE=remove", "ICE=force"}, why: "it goes with the sender's candidates", rfc: "RFC 8840 section 8"},
	{topic: "end-of-candidates", why: "it goes with the candidates", rfc: "RFC 8840 section 8"},
	{topic: "remote-candidates", why: "the selected pair is named, or no longer", rfc: "RFC 8839 section 5.2"},

	{topic: "crypto", op: "removed", causes: append([]string{"SDES=off"}, srtpOff...), why: "no SDES keys towards the receiver", rfc: "RFC 4568 section 4"},
	{topic: "crypto", op: "removed", causes: []string{"SDES=*"}, why: "the suites are filtered", rfc: "RFC 4568 section 6.2"},
	{topic: "crypto", op: "removed", in: "answer", why: "the offerer is answered in the way it offered", rfc: "RFC 4568 section 5.1.2"},
	{topic: "crypto", op: "added", causes: []string{"SDES=only-", "SDES=no-", "SDES=order:"}, why: "the suites that the flags leave, with the relay's keys", rfc: "RFC 4568 section 6.2"},
	{topic: "crypto", op: "added", causes: srtpOn, why: "SRTP needs keys, and these are the relay's", rfc: "RFC 4568 section 5.1.1"},
	{topic: "crypto", op: "added", in: "answer", why: "one of the suites that the offerer listed, with the relay's key", rfc: "RFC 4568 section 5.1.2"},
	{topic: "crypto", op: "added", why: "the relay offers further suites with its own keys", rfc: "RFC 4568 section 5.1.1"},
	{topic: "crypto", causes: []string{"SDES=*", "recrypt"}, why: "keys and suites as the flags ask", rfc: "RFC 4568 section 6"},
	{topic: "crypto", why: "the relay's keys or further suites", rfc: "RFC 4568 section 5.1"},
	{topic: "fingerprint", op: "removed", causes: append([]string{"DTLS=off"}, srtpOff...), why: "no DTLS towards the receiver", rfc: "RFC 8122 section 5"},
	{topic: "fingerprint", op: "added", causes: dtlsOn, why: "the fingerprint of the relay's certificate", rfc: "RFC 8122 section 5"},
	{topic: "fingerprint", op: "removed", why: "the other side is not reached by DTLS", rfc: "RFC 8122 section 5"},
	{topic: "fingerprint", causes: []string{"DTLS-fingerprint=*"}, why: "the digest that was asked for, of the relay's certificate", rfc: "RFC 8122 section 5"},
	{topic: "fingerprint", why: "DTLS ends at the relay, so this is its certificate", rfc: "RFC 8122 section 5"},
	{topic: "setup", op: "removed", causes: append([]string{"DTLS=off"}, srtpOff...), why: "no DTLS towards the receiver", rfc: "RFC 8842 section 5"},
	{topic: "setup", causes: []string{"DTLS=passive", "DTLS=active", "DTLS-reverse=*"}, in: "answer", why: "the role that was asked for", rfc: "RFC 8842 section 5.3"},
	{topic: "setup", op: "added", causes: dtlsOn, why: "the relay's DTLS role", rfc: "RFC 8842 section 5"},
	{topic: "setup", op: "removed", why: "the other side is not reached by DTLS", rfc: "RFC 8842 section 5"},
	{topic: "setup", in: "answer", why: "the relay is active where the offerer leaves the choice", rfc: "RFC 8842 section 5.3"},
	{topic: "setup", why: "the relay's DTLS role", rfc: "RFC 8842 section 5.2"},
	{topic: "tls-id", op: "removed", causes: []string{"no-tls-id"}, why: "left out", rfc: "RFC 8842 section 4"},
	{topic: "tls-id", op: "added", causes: dtlsOn, why: "names the relay's DTLS association", rfc: "RFC 8842 section 4"},
	{topic: "tls-id", why: "names the relay's DTLS association", rfc: "RFC 8842 section 4"},

	{topic: "rtcp", op: "removed", causes: []string{"no-rtcp-attribute"}, why: "left out", rfc: "RFC 3605 section 2.1"},
	{topic: "rtcp", causes: []string{"full-rtcp-attribute"}, why: "port and address of the relay's RTCP", rfc: "RFC 3605 section 2.1"},
	{topic: "rtcp", causes: []string{"rtcp-mux=require"}, why: "RTCP shares the RTP port", rfc: "RFC 5761 section 5.1.1"},
	{topic: "rtcp", op: "removed", why: "the receiver takes RTCP on the RTP port, or there is none", rfc: "RFC 3605 section 2.1"},
	{topic: "rtcp", why: "where the relay takes RTCP", rfc: "RFC 3605 section 2.1"},
	{topic: "rtcp-mux", op: "removed", causes: []string{"rtcp-mux=demux"}, why: "the sender may mux, the receiver is not asked to", rfc: "RFC 5761 section 5.1.1"},
	{topic: "rtcp-mux", op: "added", causes: []string{"rtcp-mux=require", "rtcp-mux=offer", "rtcp-mux=accept"}, why: "RTCP on the RTP port is offered", rfc: "RFC 5761 section 5.1.1"},
	{topic: "rtcp-mux", op: "removed", in: "answer", why: "the offerer did not offer it, or a flag of the offer refused it", rfc: "RFC 5761 section 5.1.1"},
	{topic: "rtcp-mux", op: "added", in: "answer", why: "the offerer offered it, and a flag of the offer accepts it", rfc: "RFC 5761 section 5.1.1"},
	{topic: "rtcp-mux", op: "removed", causes: []string{"rtcp-mux=reject"}, why: "not accepted", rfc: "RFC 5761 section 5.1.1"},
	{topic: "rtcp-rsize", why: "reduced-size RTCP is left to the ends", rfc: "RFC 5506 section 5.1"},

	{topic: "group", op: "removed", causes: []string{"bundle=reject"}, why: "the bundle is undone", rfc: "RFC 9143 section 7"},
	{topic: "group", op: "removed", why: "without bundle= each section has a transport of its own", rfc: "RFC 9143 section 7"},
	{topic: "group", causes: []string{"bundle=*"}, why: "the sections are offered as one bundle", rfc: "RFC 9143 section 7.2"},
	{topic: "group", why: "groups are written again", rfc: "RFC 5888 section 5"},
	{topic: "bundle-only", causes: []string{"bundle=*"}, why: "sections after the first travel with it", rfc: "RFC 9143 section 6"},
	{topic: "bundle-only", why: "it goes with the bundle", rfc: "RFC 9143 section 6"},
	{topic: "mid", op: "added", causes: []string{"generate-mid", "bundle=*"}, why: "sections get a name", rfc: "RFC 5888 section 4"},
	{topic: "mid", in: "answer", why: "the offerer's own names", rfc: "RFC 5888 section 4"},
	{topic: "mid", why: "names of sections are the party's own", rfc: "RFC 5888 section 4"},
	{topic: "extmap", op: "removed", causes: []string{"extmap=strip", "extmap=mask"}, why: "header extensions are taken out", rfc: "RFC 8285 section 5"},
	{topic: "extmap", op: "added", causes: []string{"bundle=*"}, why: "bundled streams are told apart by the MID extension", rfc: "RFC 9143 section 15"},
	{topic: "extmap", in: "answer", why: "the answer holds what both sides have", rfc: "RFC 8285 section 6"},
	{topic: "extmap", why: "header extensions are written again", rfc: "RFC 8285 section 5"},
	{topic: "msid", why: "media stream ids are copied", rfc: "RFC 8830 section 2"},

	{topic: "codec *", op: "removed", causes: []string{"codec=strip", "codec=mask", "codec=consume", "codec=except", "codec=offer", "single-codec"}, why: "taken off the codec list", rfc: "RFC 3264 section 5.1"},
	{topic: "codec *", op: "added", causes: []string{"codec=transcode", "codec=offer"}, why: "put on the codec list", rfc: "RFC 8866 section 6.6"},
	{topic: "codec *", op: "removed", in: "answer", why: "not on the offerer's list", rfc: "RFC 3264 section 6.1"},
	{topic: "codec *", op: "removed", why: "codec lines are written again", rfc: "RFC 8866 section 6.6"},
	{topic: "codec *", op: "added", why: "each number gets its rtpmap, static ones too", rfc: "RFC 8866 section 6.6"},
	{topic: "codec *", why: "parameters are written again", rfc: "RFC 8866 section 6.15"},
	{topic: "ptime", causes: []string{"ptime", "ptime-reverse"}, why: "the packet time that was asked for", rfc: "RFC 8866 section 6.4"},
	{topic: "ptime", why: "the packet time is repeated", rfc: "RFC 8866 section 6.4"},
	{topic: "maxptime", why: "the packet time is repeated", rfc: "RFC 8866 section 6.5"},
	{topic: "direction", causes: []string{"original-sendrecv"}, why: "the direction is copied as received", rfc: "RFC 8866 section 6.7"},
	{topic: "direction", op: "added", when: func(x *explainer, _, _ string) bool { return x.kind != "" }, why: "each section states its direction; sendrecv is what silence means", rfc: "RFC 8866 section 6.7"},
	{topic: "direction", op: "removed", when: func(x *explainer, _, _ string) bool { return x.kind == "" }, why: "each section states its direction, the session need not", rfc: "RFC 8866 section 6.7"},
	{topic: "direction", op: "removed", when: func(x *explainer, _, _ string) bool { return !x.lacks("m=") }, why: "a refused section has none", rfc: "RFC 3264 section 6"},
	{topic: "direction", why: "a zero address is an old way of hold", rfc: "RFC 3264 section 8.4"},
	{topic: "rtpengine", op: "added", causes: []string{"loop-protect"}, why: "marks the body, so that a loop is seen", rfc: ""},
	{topic: "rtpengine", why: "marks of loop-protect", rfc: ""},
	{topic: "label", causes: []string{"SIPREC", "set-label", "label"}, why: "names the stream for a recorder", rfc: "RFC 4574 section 4"},
}
