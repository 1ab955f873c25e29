package rtpengine

import (
	"strings"
	"testing"
)

func TestLegacyOSRTP(t *testing.T) {
	const (
		plain  = "m=audio 4000 RTP/AVP 8\n"
		secure = "m=audio 4002 RTP/SAVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"
		video  = "m=video 4004 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"
	)
	refused := func(section string) string {
		first, _, _ := strings.Cut(section, "\n")
		f := strings.Fields(first)
		f[1] = "0"
		return strings.Join(f, " ") + "\n"
	}
	b := func(sections ...string) string { return body(rtpFrom, sections...) }
	keys := func(list ...string) []any { return []any{"OSRTP", list, "DTLS", "off"} }
	offered := append(keys("offer-legacy"), "transport-protocol", "RTP/SAVP")
	accepted := append(keys("accept-legacy"), "transport-protocol", "RTP/AVP")
	twice := []string{"m=audio P0 RTP/AVP 8\n", "m=audio P0 RTP/SAVP 8\n", "a=crypto:"}
	once := []string{"m=audio P0 RTP/AVP 8\n", "!m=audio 0", "!m=audio P0 RTP/SAVP", "!a=crypto"}
	secondOnly := []string{"m=audio 0 RTP/AVP 8\nm=audio P0 RTP/SAVP 8\n", "a=crypto:"}
	firstOnly := []string{"m=audio P0 RTP/SAVP 8\n", "a=crypto:", "m=audio 0 RTP/AVP 8\n"}
	tests := []struct {
		name  string
		steps []step
	}{
		{"offered and taken", []step{
			{command: "offer", from: "A", sdp: b(plain), flags: offered, want: twice},
			{command: "answer", from: "A", to: "B", sdp: b(refused(plain), secure), want: once},
			{command: "offer", from: "A", to: "B", sdp: b(plain), want: secondOnly},
			{command: "answer", from: "A", to: "B", sdp: b(refused(plain), secure), want: once},
			{command: "offer", from: "B", to: "A", sdp: b(refused(plain), secure), flags: append(keys(), "transport-protocol", "RTP/AVP"), want: once},
			{command: "answer", from: "B", to: "A", sdp: b(plain), want: secondOnly},
		}},
		{"offered and refused", []step{
			{command: "offer", from: "A", sdp: b(plain), flags: offered, want: twice},
			{command: "answer", from: "A", to: "B", sdp: b(plain, refused(secure)), want: once},
			{command: "offer", from: "A", to: "B", sdp: b(plain), want: []string{"m=audio P0 RTP/AVP 8\n", "m=audio 0 RTP/SAVP 8\n"}},
		}},
		{"offered to who knows nothing of it", []step{
			{command: "offer", from: "A", sdp: b(plain), flags: offered, want: twice},
			{command: "answer", from: "A", to: "B", sdp: b(plain), want: once},
			{command: "offer", from: "A", to: "B", sdp: b(plain), want: once},
		}},
		{"nothing to double", []step{{command: "offer", from: "A", sdp: b(plain), flags: keys("offer-legacy"), want: once}}},
		{"two media", []step{
			{command: "offer", from: "A", sdp: b(plain, video), flags: offered, want: append(twice, "m=video P1 RTP/AVP 96\n", "m=video P1 RTP/SAVP 96\n")},
			{command: "answer", from: "A", to: "B", sdp: b(refused(plain), secure, video, refused(video)),
				want: []string{"m=audio P0 RTP/AVP 8\n", "m=video P1 RTP/AVP 96\n"}},
		}},
		{"accepted", []step{
			{command: "offer", from: "A", sdp: b(plain, secure), flags: accepted, want: once},
			{command: "answer", from: "A", to: "B", sdp: b(plain), want: secondOnly},
			{command: "offer", from: "A", to: "B", sdp: b(refused(plain), secure), want: once},
			{command: "answer", from: "A", to: "B", sdp: b(plain), want: secondOnly},
			{command: "offer", from: "B", to: "A", sdp: b(plain), flags: []any{"SDES", []string{"nonew"}}, want: append(secondOnly, "!a=crypto:2")},
			{command: "answer", from: "B", to: "A", sdp: b(refused(plain), secure), want: once},
		}},
		{"accepted, secure first", []step{
			{command: "offer", from: "A", sdp: b(secure, plain), flags: accepted, want: once},
			{command: "answer", from: "A", to: "B", sdp: b(plain), want: firstOnly},
		}},
		{"not accepted", []step{{command: "offer", from: "A", sdp: b(plain, secure), flags: keys("accept-rfc"), want: []string{"m=audio P0 RTP/AVP 8\n", "m=audio P1 RTP/SAVP 8\n"}}}},
		{"not next to each other", []step{{command: "offer", from: "A", sdp: b(plain, video, secure), flags: accepted, want: []string{"m=audio P0 ", "m=video P1 ", "m=audio P2 "}}}},
		{"no keys", []step{{command: "offer", from: "A", sdp: b(plain, "m=audio 4002 RTP/SAVP 8\n"), flags: accepted, want: []string{"m=audio P0 ", "m=audio P1 "}}}},
	}
	e := loopback(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { dialogue(t, e, tt.name, tt.steps...) })
	}
	for call, word := range map[string]string{"accepted": "legacy OSRTP", "accepted, secure first": "reverse legacy OSRTP"} {
		flags := must(t, e, "query", "call-id", call).Value("tags").Dict().Value("A").Dict().Value("medias").List()[0].Dict().Value("flags").List()
		found := false
		for _, f := range flags {
			found = found || f.Str() == word
		}
		if !found {
			t.Errorf("%s: no %q among %v", call, word, flags)
		}
	}
}
