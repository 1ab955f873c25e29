package rtpengine

import (
	"net/netip"
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

var flagCmp = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

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
		{"peers", dict("inbound-peer", "192.0.2.1", "outbound-peer", "no address"),
			Flags{InboundPeer: netip.MustParseAddr("192.0.2.1"), Unknown: []string{"outbound-peer: no address"}}},
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
			if diff := cmp.Diff(tt.want, got, flagCmp); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func webRTCFlags() Flags {
	return Flags{Transport: sdp.DTLSSAVPF, ICE: ICEForce, TrickleICE: true, NoRTCPAttr: true, GenerateMID: true,
		RTCPMux: RTCPMuxFlags{Offer: true, Require: true}, SDES: SDESFlags{Off: true}, Bundle: BundleFlags{Offer: true, Require: true}}
}
