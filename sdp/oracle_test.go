package sdp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pion "github.com/pion/sdp/v3"
)

// What pion's reader accepts, ours reads to the same values.
func TestOracle(t *testing.T) {
	accepted := 0
	golden(t, func(name string, in []byte) {
		t.Run(name, func(t *testing.T) {
			s := mustParse(t, string(in))
			for _, body := range []string{string(in), s.String()} {
				var want pion.SessionDescription
				if want.UnmarshalString(body) != nil {
					continue
				}
				accepted++
				sameAsPion(t, mustParse(t, body), &want)
			}
		})
	})
	if accepted < 30 {
		t.Errorf("the oracle took only %d bodies", accepted)
	}
}

func sameAsPion(t *testing.T, got *Session, want *pion.SessionDescription) {
	t.Helper()
	same := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got, equate); diff != "" {
			t.Errorf("%s (-pion +ours):\n%s", what, diff)
		}
	}
	o := want.Origin
	same("origin", got.Origin, Origin{o.Username, fmt.Sprint(o.SessionID), fmt.Sprint(o.SessionVersion), Family(o.AddressType), o.UnicastAddress})
	same("name", got.Name, string(want.SessionName))
	same("bandwidth", pionBandwidth(want.Bandwidth), bandwidthSet(got.Bandwidth))
	same("timing", len(got.Timing), len(want.TimeDescriptions))
	if c := want.ConnectionInformation; c != nil {
		address, _, _ := strings.Cut(c.Address.Address, "/")
		same("connection", got.Connection.Address, address)
	}
	same("media", len(got.Media), len(want.MediaDescriptions))
	if t.Failed() {
		return
	}
	same("session attributes", got.Rest, others(want.Attributes, map[string]bool{"group": true, "ice-lite": true, "ice-options": true, "ice-ufrag": true,
		"ice-pwd": true, "fingerprint": true, "setup": true, "tls-id": true, "extmap": true, "extmap-allow-mixed": true, "rtpengine": true,
		"sendrecv": true, "sendonly": true, "recvonly": true, "inactive": true}))
	for i, m := range got.Media {
		w := want.MediaDescriptions[i]
		what := fmt.Sprintf("media %d: ", i)
		same(what+"type", m.Type, w.MediaName.Media)
		same(what+"port", int(m.Port), w.MediaName.Port.Value)
		same(what+"protocol", strings.ToUpper(m.ProtoText), strings.ToUpper(strings.Join(w.MediaName.Protos, "/")))
		if n := len(m.Formats); !m.Protocol.IsRTP() || n > 0 && len(w.MediaName.Formats) > 0 {
			same(what+"formats", m.Formats, w.MediaName.Formats)
		}
		same(what+"bandwidth", pionBandwidth(w.Bandwidth), bandwidthSet(m.Bandwidth))
		if c := w.ConnectionInformation; c != nil { // pion keeps the last
			address, _, _ := strings.Cut(c.Address.Address, "/")
			same(what+"connection", m.Connections[len(m.Connections)-1].Address, address)
		}
		for _, key := range []string{"mid", "ice-ufrag", "ice-pwd", "tls-id"} {
			if v, ok := w.Attribute(key); ok {
				same(what+key, map[string]string{"mid": m.MID, "ice-ufrag": m.ICE.Ufrag, "ice-pwd": m.ICE.Pwd, "tls-id": m.TLSID}[key], v)
			}
		}
		candidates := 0
		for _, a := range w.Attributes {
			if a.IsICECandidate() {
				candidates++
			}
		}
		same(what+"candidates", len(m.ICE.Candidates), candidates)
		if !m.Protocol.IsRTP() {
			continue
		}
		same(what+"attributes", m.Rest, others(w.Attributes, map[string]bool{"rtpmap": true, "fmtp": true, "mid": true, "label": true, "bundle-only": true,
			"rtcp": true, "rtcp-mux": true, "crypto": true, "setup": true, "fingerprint": true, "tls-id": true, "ptime": true, "maxptime": true,
			"extmap": true, "extmap-allow-mixed": true, "candidate": true, "ice-ufrag": true, "ice-pwd": true, "ice-options": true,
			"remote-candidates": true, "end-of-candidates": true, "sendrecv": true, "sendonly": true, "recvonly": true, "inactive": true}))
		alone := pion.SessionDescription{MediaDescriptions: []*pion.MediaDescription{w}} // pion looks through all media
		for _, c := range m.Codecs {
			p, err := alone.GetCodecForPayloadType(c.PT)
			if err != nil || c.ClockHz == 0 || c.Static {
				continue
			}
			same(what+"codec", fmt.Sprint(c.Name, c.ClockHz, strings.Join(c.Fmtp, "")), fmt.Sprint(p.Name, p.ClockRate, p.Fmtp))
			same(what+"feedback", c.Feedback, p.RTCPFeedback[:min(len(c.Feedback), len(p.RTCPFeedback))]) // pion adds those of "*"
		}
	}
}

// others are the attributes that have no field of their own in our model.
func others(list []pion.Attribute, known map[string]bool) (rest []Attribute) {
	for _, a := range list {
		if !known[a.Key] && (a.Key != "rtcp-fb" || strings.HasPrefix(a.Value, "*")) {
			rest = append(rest, a)
		}
	}
	return rest
}

func bandwidthSet(list []Bandwidth) map[string]string {
	set := map[string]string{}
	for _, b := range list {
		set[b.Type] = b.Value
	}
	return set
}

func pionBandwidth(list []pion.Bandwidth) map[string]string {
	set := map[string]string{}
	for _, b := range list {
		if b.Experimental {
			b.Type = "X-" + b.Type
		}
		set[b.Type] = fmt.Sprint(b.Bandwidth)
	}
	return set
}
