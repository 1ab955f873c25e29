package rtpengine

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// dict builds a request from pairs of key and value; a value is a string, an int, a []string, a *ng.Dict or an ng.Value.
func dict(pairs ...any) *ng.Dict {
	d := new(ng.Dict)
	for i := 0; i < len(pairs); i += 2 {
		d.Add(pairs[i].(string), value(pairs[i+1]))
	}
	return d
}

func value(x any) ng.Value {
	switch x := x.(type) {
	case string:
		return ng.String(x)
	case int:
		return ng.Int(int64(x))
	case []string:
		return ng.Strings(x)
	case []any:
		vs := make([]ng.Value, len(x))
		for i := range x {
			vs[i] = value(x[i])
		}
		return ng.List(vs...)
	case *ng.Dict:
		return ng.DictValue(x)
	}
	return x.(ng.Value)
}

var flagCmp = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()}

func TestParseFlags(t *testing.T) {
	immediate := relay.LearnImmediate
	zero := time.Duration(0)
	for _, tt := range []struct {
		name string
		in   *ng.Dict
		want Flags
	}{
		{"empty", dict(), Flags{}},
		{"who", dict("call-id", "c", "from-tag", "F f", "to tag", "t", "via_branch", "b"),
			Flags{CallID: "c", FromTag: "F f", ToTag: "t", ViaBranch: "b"}},
		{"a call id that is a number", dict("call-ID", 7), Flags{CallID: "7"}},
		{"spellings of a key", dict("transport protocol", "rtp/savpf", "address family", "IP6", "MEDIA_ADDRESS", "2001:db8::1"),
			Flags{Transport: sdp.RTPSAVPF, AddressFamily: sdp.IP6, MediaAddress: "2001:db8::1"}},
		{"spellings of a word", dict("flags", []string{"trust address", "STRICT_SOURCE", "nat-wait", "webrtc-not"}),
			Flags{TrustAddress: On, StrictSource: true, NATWait: true, Unknown: []string{"flags: webrtc-not"}}},
		{"list as list", dict("rtcp-mux", []string{"offer", "accept"}), Flags{RTCPMux: RTCPMuxFlags{Offer: true, Accept: true}}},
		{"list as string", dict("SDES", "off"), Flags{SDES: SDESFlags{Off: true}}},
		{"list as commas", dict("rtcp-mux", "offer, accept"), Flags{RTCPMux: RTCPMuxFlags{Offer: true, Accept: true}}},
		{"scalar as list", dict("ICE", []string{"force", "trickle"}), Flags{ICE: ICEForce, TrickleICE: true}},
		{"SDES", dict("SDES", []string{"no-aes_cm_128_hmac_sha1_32", "only-F8_128_HMAC_SHA1_80", "order:A_B;C_D", "pad", "unencrypted srtp", "authenticated_srtp"}),
			Flags{SDES: SDESFlags{No: []string{"AES_CM_128_HMAC_SHA1_32"}, Only: []string{"F8_128_HMAC_SHA1_80"}, Order: []string{"A_B", "C_D"},
				Pad: true, UnencryptedRTP: On, UnauthenticatedRTP: Off}}},
		{"SDES as words", dict("flags", []string{"SDES-no-NULL_HMAC_SHA1_80", "SDES-nonew"}),
			Flags{SDES: SDESFlags{No: []string{"NULL_HMAC_SHA1_80"}, NoNew: true}}},
		{"integers", dict("ptime", "20", "ptime reverse", 40, "TOS", "184", "delete-delay", "0", "sip_code", 200),
			Flags{PTime: 20 * time.Millisecond, PTimeReverse: 40 * time.Millisecond, TOS: TOS{true, 184}, DeleteDelay: &zero, SIPCode: 200}},
		{"not an integer", dict("ptime", "soon", "TOS", []string{"1"}), Flags{Unknown: []string{"ptime", "TOS"}}},
		{"not a string", dict("label", []string{"a"}), Flags{Unknown: []string{"label"}}},
		{"direction as list", dict("direction", []string{"priv", "pub"}), Flags{Direction: [2]string{"priv", "pub"}}},
		{"direction as words", dict("flags", []string{"internal", "external", "internal"}), Flags{Direction: [2]string{"internal", "external"}}},
		{"received-from", dict("received-from", []string{"IP4", "192.0.2.7"}), Flags{ReceivedFrom: netip.MustParseAddr("192.0.2.7")}},
		{"received-from, empty", dict("received-from", []string{}), Flags{}},
		{"received-from, one string", dict("received from", "IP6 [2001:db8::7]"), Flags{ReceivedFrom: netip.MustParseAddr("2001:db8::7")}},
		{"codec", dict("codec", dict("strip", []string{"all"}, "offer", "PCMA,PCMU", "transcode", []string{"opus/48000/2"})),
			Flags{Codec: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA", "PCMU"}, Transcode: []string{"opus/48000/2"}}}},
		{"codec as words", dict("flags", []string{"codec-strip-opus", "transcode-PCMU", "codec-mask-G722", "codec_accept_a/b..c--d"}),
			Flags{Codec: CodecFlags{Strip: []string{"opus"}, Transcode: []string{"PCMU"}, Mask: []string{"G722"}, Accept: []string{"a/b c=d"}}}},
		{"replace", dict("replace", []string{"session connection", "SDP version", "zero_address"}, "flags", []string{"replace-origin"}),
			Flags{Replace: ReplaceFlags{Origin: true, SessionConnection: true, SDPVersion: true, ZeroAddress: true}}},
		{"protocol word", dict("flags", []string{"RTP/SAVPF"}), Flags{Transport: sdp.RTPSAVPF}},
		{"bits alone", dict("flags", []string{"SRTP"}), Flags{Transport: sdp.RTPSAVP}},
		{"bits on top", dict("flags", []string{"AVPF", "RTP/SAVP"}), Flags{Transport: sdp.RTPSAVPF}},
		{"bits taken away", dict("flags", []string{"RTP", "AVP"}, "transport-protocol", "UDP/TLS/RTP/SAVPF"), Flags{Transport: sdp.RTPAVP}},
		{"DTLS bit", dict("flags", []string{"DTLS", "AVPF"}), Flags{Transport: sdp.DTLSSAVPF}},
		{"learning", dict("endpoint learning", "immediate"), Flags{Learning: &immediate}},
		{"address", dict("address", "elsewhere"), Flags{HasAddress: true}},
		{"unknown, in order", dict("zebra", "1", "flags", []string{"ape", "bee"}, "ICE", "maybe"),
			Flags{Unknown: []string{"zebra", "flags: ape", "flags: bee", "ICE: maybe"}}},
		{"WebRTC", dict("flags", []string{"WebRTC"}), webRTCFlags()},
		{"WebRTC, overridden before and after", dict("ICE", "force-relay", "flags", []string{"RTP/SAVPF", "web_rtc", "WebRTC"}),
			func() Flags {
				f := webRTCFlags()
				f.ICE, f.Transport, f.Unknown = ICEForceRelay, sdp.RTPSAVPF, []string{"flags: web_rtc"}
				return f
			}()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseFlags("offer", tt.in, nil)
			if err != nil {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, *got, flagCmp); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func webRTCFlags() Flags {
	return Flags{Transport: sdp.DTLSSAVPF, ICE: ICEForce, TrickleICE: true, NoRTCPAttr: true, GenerateMID: true,
		RTCPMux: RTCPMuxFlags{Offer: true, Require: true}, SDES: SDESFlags{Off: true}, Bundle: BundleFlags{Offer: true, Require: true}}
}

func TestParseFlagsMore(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command string
		in      *ng.Dict
		want    Flags
		reason  string
	}{
		{name: "key among the words", in: dict("flags", []string{"ICE=force", "transport-protocol=RTP/SAVP", "nonsense=1"}),
			want: Flags{ICE: ICEForce, Transport: sdp.RTPSAVP, Unknown: []string{"flags: nonsense=1"}}},
		{name: "prefix as a key", in: dict("codec-strip", "PCMU,PCMA", "transcode", []string{"GSM"}, "codec-mask", dict()),
			want: Flags{Codec: CodecFlags{Strip: []string{"PCMU", "PCMA"}, Transcode: []string{"GSM"}}, Unknown: []string{"codec-mask"}}},
		{name: "empty prefix", in: dict("flags", []string{"codec-strip-"}), want: Flags{Unknown: []string{"flags: codec-strip-"}}},
		{name: "codec of the wrong kind", in: dict("codec", "PCMU", "extmap", "x", "codecs", dict("frob", "x"), "extmap", dict("frob", "x")),
			want: Flags{Unknown: []string{"codec", "extmap", "codec: frob", "extmap: frob"}}},
		{name: "extmap", in: dict("extmap", dict("strip", []string{"urn:a"}, "mask", "urn:b")), want: Flags{ExtmapStrip: []string{"urn:a"}, ExtmapMask: []string{"urn:b"}}},
		{name: "switches", in: dict("generate RTCP", "off", "passthrough", "maybe", "drop-traffic", []string{"stop", "start"}),
			want: Flags{GenerateRTCP: Off, DropTraffic: Off, Unknown: []string{"passthrough: maybe"}}},
		{name: "switches as numbers", in: dict("generate-RTCP", 0, "drop-traffic", 1, "passthru", 0, "record-call", 0),
			want: Flags{GenerateRTCP: Off, DropTraffic: On, Passthrough: Off}},
		{name: "drop-traffic unclear", in: dict("drop-traffic", "perhaps"), want: Flags{Unknown: []string{"drop-traffic: perhaps"}}},
		{name: "transport", in: dict("transport-protocol", "accept,RTP/XYZ"), want: Flags{TransportAccept: true, Unknown: []string{"transport-protocol: RTP/XYZ"}}},
		{name: "ICE-lite", in: dict("ICE-lite", "bkw"), want: Flags{ICELite: LiteBackward}},
		{name: "OSRTP", in: dict("OSRTP", "accept"), want: Flags{OSRTP: OSRTPFlags{Accept: true, AcceptLegacy: true}}},
		{name: "bundle", in: dict("bundle", "strict"), want: Flags{Bundle: BundleFlags{Offer: true, Require: true, Strict: true}}},
		{name: "rtcp-mux require", in: dict("flags", []string{"rtcp-mux-require"}), want: Flags{RTCPMux: RTCPMuxFlags{Offer: true, Require: true}}},
		{name: "DTLS", in: dict("DTLS", []string{"passive"}, "DTLS-reverse", "off", "DTLS fingerprint", "SHA-384"),
			want: Flags{DTLS: DTLSPassive, DTLSReverse: DTLSOff, DTLSFingerprint: "sha-384"}},
		{name: "supports", in: dict("supports", []string{"load limit"}, "sip-message-type", "sip_reply"), want: Flags{SupportsLoadLimit: true, SIPMessage: SIPReply}},
		{name: "a bracketed address", in: dict("address", "[2001:db8::1]"), want: Flags{Address: netip.MustParseAddr("2001:db8::1"), HasAddress: true}},
		{name: "durations have a limit", in: dict("ptime", 1<<62, "ptime-reverse", -5, "TOS", -9), want: Flags{PTime: longest, TOS: TOS{true, -1}}},
		{name: "delay-buffer off", in: dict("delay-buffer", "0"), want: Flags{DelayBuffer: new(time.Duration)}},
		{name: "delay-buffer unclear", in: dict("delay-buffer", "x"), want: Flags{Unknown: []string{"delay-buffer: x"}}},
		{name: "mesh", command: "mesh", in: dict("calls", "a,b", "tags", []any{dict("from", "x", "to", []string{"y", "z"})}, "flags", "unsubscribe"),
			want: Flags{Calls: []string{"a", "b"}, Unsubscribe: true, MeshTags: []MeshTag{{"x", []string{"y", "z"}}}}},
		{name: "an empty dictionary entry", in: dict("flags", dict(), "ICE", dict(), "direction", 5), want: Flags{Direction: [2]string{"5"}}},

		{name: "edits", in: dict("sdp-attr", dict("none", dict("add", []string{"a..b--c"}, "remove", "x,y"), "Audio", dict("substitute", []any{[]string{"a", "b"}, "c>d"}))),
			want: Flags{Edits: []sdp.Edit{{Op: sdp.EditAdd, Arg: "a b=c"}, {Op: sdp.EditRemove, Arg: "x"}, {Op: sdp.EditRemove, Arg: "y"},
				{Section: "audio", Op: sdp.EditSubstitute, Arg: "c", With: "d"}, {Section: "audio", Op: sdp.EditSubstitute, Arg: "a", With: "b"}}}},
		{name: "edits by a flat pair", in: dict("sdp-attr", dict("video", dict("substitute", []string{"a", "b"}))),
			want: Flags{Edits: []sdp.Edit{{Section: "video", Op: sdp.EditSubstitute, Arg: "a", With: "b"}}}},
		{name: "edits by a dictionary", in: dict("sdp-attr", dict("video", dict("substitute", dict("a", "b")))),
			want: Flags{Edits: []sdp.Edit{{Section: "video", Op: sdp.EditSubstitute, Arg: "a", With: "b"}}}},
		{name: "edits that are not whole", in: dict("sdp-attr", dict("video", dict("substitute", []any{"a", "b>", []string{"c"}, dict()}))),
			want: Flags{Unknown: []string{"sdp-attr: a", "sdp-attr: b", "sdp-attr: invalid token", "sdp-attr: invalid token"}}},
		{name: "edits as words", in: dict("flags", []string{"sdp-attr-add-audio-x-y", "sdp-attr-remove-none-z", "sdp-attr-substitute-video-a>b", "sdp-attr-add-nowhere-x", "sdp-attr-add-audio"}),
			want: Flags{Edits: []sdp.Edit{{Section: "audio", Op: sdp.EditAdd, Arg: "x-y"}, {Op: sdp.EditRemove, Arg: "z"}, {Section: "video", Op: sdp.EditSubstitute, Arg: "a", With: "b"}},
				Unknown: []string{"sdp-attr: nowhere-x", "sdp-attr: "}}},
		{name: "edits, wrong type", in: dict("sdp-attr", "x"), reason: "wrong type used"},
		{name: "edits, wrong section", in: dict("sdp-attr", dict("nowhere", dict("add", "x"))), reason: "unsupported sdp section"},
		{name: "edits, wrong content", in: dict("sdp-attr", dict("audio", "x")), reason: "wrong content given"},
		{name: "edits, wrong command", in: dict("sdp-attr", dict("audio", dict("frob", "x"))), reason: "unknown manipulation command"},

		{name: "recording", in: dict("record call", "yes", "call-id", "c"), reason: "not supported: record-call=yes"},
		{name: "recording twice", in: dict("record-call", "on", "flags", "record-call,inject-DTMF,inject..dtmf"), reason: "not supported: record-call=yes, record-call, inject-DTMF"},
		{name: "recording off", in: dict("record-call", "no"), want: Flags{}},
		{name: "recording in a command that does not read it", command: "query", in: dict("flags", "record-call", "record-call", "yes"), want: Flags{}},
		{name: "peers in a command that does not read them", command: "query", in: dict("inbound-peer", "192.0.2.1", "outbound-peer", "no address", "peer", ""),
			want: Flags{InboundPeer: netip.MustParseAddr("192.0.2.1"), Unknown: []string{"outbound-peer: no address"}}},
		{name: "fax", in: dict("T38", "decode"), reason: "not supported: T.38=decode"},
		{name: "fax as a word", in: dict("flags", "T.38-force"), reason: "not supported: T.38=force"},
		{name: "fax off", in: dict("T.38", "stop,no-ECM,no-V17"), want: Flags{}},
		{name: "fax in an answer", command: "answer", in: dict("flags", "T38-decode"), want: Flags{}},
		{name: "DTMF", in: dict("DTMF-security", "silence", "DTMF-delay", "20"), reason: "not supported: DTMF-security=silence, DTMF-delay"},
		{name: "DTMF off", in: dict("DTMF-security", "off", "DTMF-delay", 0, "trigger", ""), want: Flags{DTMFSecurity: DTMFOff}},
		{name: "DTMF trigger", command: "block DTMF", in: dict("trigger", "12*", "DTMF-security-trigger", "silence"), reason: "not supported: trigger"},
		{name: "DTMF mode of no trigger", command: "block DTMF", in: dict("DTMF-security-trigger", "silence", "DTMF-security-trigger-end", "off", "trigger-end", "#", "end-trigger-time", 10, "trigger-end-digits", "2"),
			want: Flags{}},
		{name: "DTMF rewritten", command: "block DTMF", in: dict("DTMF-security", "DTMF", "code", "#", "volume", -12),
			want: Flags{DTMFSecurity: DTMFDigit, Digit: 11, Volume: 12}},
		{name: "DTMF told", in: dict("DTMF-log-destination", "192.0.2.1:5000"), want: Flags{DTMFLog: netip.MustParseAddrPort("192.0.2.1:5000")}},
		{name: "nobody told of DTMF", in: dict("DTMF-log-dest", ""), want: Flags{}},
		{name: "DTMF dropped", command: "block DTMF", in: dict("DTMF-security", "drop"), want: Flags{DTMFSecurity: DTMFDrop}},
		{name: "music", in: dict("moh", dict("file", "x")), reason: "not supported: moh"},
		{name: "player", in: dict("audio-player", "always"), reason: "not supported: audio-player=always"},
		{name: "no player", in: dict("audio-player", "transcoding", "flags", "no-player"), want: Flags{}},
		{name: "delay", in: dict("delay-buffer", 20), reason: "not supported: delay-buffer=20"},
		{name: "the first error wins", in: dict("sdp-attr", 5, "sdp-attr", dict("x", 5), "record-call", "yes"), reason: "wrong type used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.command == "" {
				tt.command = "offer"
			}
			got, err := ParseFlags(tt.command, tt.in, nil)
			if tt.reason != "" {
				var fe *FlagError
				if !errors.As(err, &fe) || fe.NGReason() != tt.reason || !strings.Contains(fe.Error(), tt.reason) {
					t.Errorf("got error %v, want %q", err, tt.reason)
				}
				return
			}
			if err != nil {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, *got, flagCmp); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// TestWordOrder: what a request means does not depend on the order of its words and keys.
func TestWordOrder(t *testing.T) {
	words := []string{"WebRTC", "RTP/SAVPF", "AVP", "SRTP", "rtcp-mux-accept", "strict-source", "SDES-pad", "replace-origin", "ICE-lite=both"}
	want, err := ParseFlags("offer", dict("flags", words, "ICE", "remove", "bundle", "accept"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		rnd.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		pairs := [][]any{{"flags", words}, {"ICE", "remove"}, {"bundle", "accept"}}
		rnd.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		got, err := ParseFlags("offer", dict(slices.Concat(pairs...)...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, flagCmp); diff != "" {
			t.Fatalf("%v: %s", pairs, diff)
		}
	}
}

// TestProxyDialects: the dictionaries that the modules of OpenSIPS and Kamailio make of typical flag strings.
func TestProxyDialects(t *testing.T) {
	from := netip.MustParseAddr("192.0.2.7")
	for _, tt := range []struct {
		name string
		in   *ng.Dict
		want Flags
	}{
		{"OpenSIPS, SIP to WebSocket", dict("flags", []string{"generate-mid", "SDES-off"}, "replace", []string{"origin", "session-connection"}, "ICE", "force",
			"rtcp-mux", []string{"offer"}, "transport-protocol", "UDP/TLS/RTP/SAVPF", "direction", []string{"priv", "pub"}, "received-from", []string{"IP4", "192.0.2.7"},
			"call-id", "c", "from-tag", "f", "command", "offer"),
			Flags{CallID: "c", FromTag: "f", GenerateMID: true, SDES: SDESFlags{Off: true}, Replace: ReplaceFlags{Origin: true, SessionConnection: true}, ICE: ICEForce,
				RTCPMux: RTCPMuxFlags{Offer: true}, Transport: sdp.DTLSSAVPF, Direction: [2]string{"priv", "pub"}, ReceivedFrom: from}},
		{"OpenSIPS, generic tokens", dict("address family", "IP6", "replace", []string{"SDP version", "session name"}, "flags", []string{"replace-origin-full", "auto-bridge", "symmetric", "force"},
			"repacketize", 20, "SDES", "off", "codec-strip", "opus", "received-from", []string{}, "delete-delay", 5),
			Flags{AddressFamily: sdp.IP6, Replace: ReplaceFlags{SDPVersion: true, SessionName: true, OriginFull: true}, SDES: SDESFlags{Off: true},
				Codec: CodecFlags{Strip: []string{"opus"}}, DeleteDelay: new(5 * time.Second)}},
		{"Kamailio", dict("supports", []string{"load limit"}, "sip-message-type", "sip_request", "SDES", []string{"off"}, "replace", []string{"origin", "SDP-version"},
			"codec", dict("transcode", []string{"PCMU"}, "mask", []string{"opus"}), "TOS", 184, "delete delay", 0, "delete-delay", "0", "T.38", []string{"stop"}),
			Flags{SupportsLoadLimit: true, SIPMessage: SIPRequest, SDES: SDESFlags{Off: true}, Replace: ReplaceFlags{Origin: true, SDPVersion: true},
				Codec: CodecFlags{Transcode: []string{"PCMU"}, Mask: []string{"opus"}}, TOS: TOS{true, 184}, DeleteDelay: new(time.Duration)}},
		{"Kamailio with a Via branch", dict("via-branch", "z9hG4bK1", "from-tag", "f", "rtpp-flags", "RTP/AVP replace-origin via-branch=auto-next ICE=remove rtcp-mux-demux internal external"),
			Flags{ViaBranch: "z9hG4bK1", FromTag: "f", Transport: sdp.RTPAVP, Replace: ReplaceFlags{Origin: true}, ICE: ICERemove, RTCPMux: RTCPMuxFlags{Demux: true},
				Direction: [2]string{"internal", "external"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseFlags("offer", tt.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got, flagCmp); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// thirtyFlags is a request with as much as scripts ever say.
func thirtyFlags() *ng.Dict {
	return dict("command", "offer", "call-id", "a84b4c76e66710@pc33.example.com", "from-tag", "1928301774", "via-branch", "z9hG4bK776asdhds",
		"received-from", []string{"IP4", "192.0.2.7"}, "direction", []string{"priv", "pub"}, "supports", []string{"load limit"},
		"flags", []string{"trust-address", "strict-source", "media-handover", "generate-mid", "SDES-off", "codec-strip-opus", "codec-mask-G722", "port-latching",
			"no-rtcp-attribute", "original-sendrecv", "loop-protect", "single-codec", "pierce-NAT", "trickle-ICE", "transcode-PCMU", "rtcp-mux-accept"},
		"replace", []string{"origin", "session connection", "SDP version"}, "ICE", "force", "DTLS", "passive", "rtcp-mux", []string{"offer", "require"},
		"transport protocol", "UDP/TLS/RTP/SAVPF", "address family", "IP4", "TOS", "184", "ptime", "20", "label", "caller", "metadata", "a:b", "endpoint-learning", "immediate")
}

func BenchmarkParseFlags(b *testing.B) {
	d := thirtyFlags()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseFlags("offer", d, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHidesExtmap(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   *ng.Dict
		want string
	}{
		{"none", dict(), "abc"},
		{"strip", dict("extmap", dict("strip", []string{"urn:A"})), "bc"},
		{"mask", dict("extmap", dict("mask", "urn:b,urn:c")), "a"},
		{"all", dict("rtpp-flags", "extmap=[strip=[all]]"), ""},
		{"mask all", dict("extmap", dict("mask", []string{"all"})), ""},
		{"flag", dict("flags", "strip extmap"), ""},
	} {
		f, err := ParseFlags("offer", tt.in, nil)
		got := ""
		for _, uri := range []string{"urn:a", "urn:b", "urn:c"} {
			if !f.hidesExtmap(uri) {
				got += uri[4:]
			}
		}
		if got != tt.want || err != nil {
			t.Errorf("%s: left %q, want %q (%v)", tt.name, got, tt.want, err)
		}
	}
}
