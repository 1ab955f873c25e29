package sdpdiff

import (
	"slices"
	"strings"
	"testing"
)

const phone = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n" +
	"m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n" +
	"m=video 5002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"

func TestDiff(t *testing.T) {
	tests := []struct{ name, before, after, want string }{
		{"equal", "v=0\nm=audio 1 RTP/AVP 0\n", "v=0\r\nm=audio 1 RTP/AVP 0\r\n", "  v=0\n  m=audio 1 RTP/AVP 0\n"},
		{"new stands behind old", "m=audio 1 RTP/AVP 0\na=x\n", "m=audio 2 RTP/AVP 0\na=x\n", "- m=audio 1 RTP/AVP 0\n+ m=audio 2 RTP/AVP 0\n  a=x\n"},
		{"moved is kept", "m=audio 1 RTP/AVP 0\na=x\na=y\n", "m=audio 1 RTP/AVP 0\na=y\na=x\n", "  m=audio 1 RTP/AVP 0\n  a=y\n  a=x\n"},
		{"twice and once", "a=x\na=x\n", "a=x\n", "- a=x\n  a=x\n"},
		{"section gone", "v=0\nm=audio 1 RTP/AVP 0\nm=video 2 RTP/AVP 96\n", "v=0\nm=video 4 RTP/AVP 96\n",
			"  v=0\n- m=audio 1 RTP/AVP 0\n- m=video 2 RTP/AVP 96\n+ m=video 4 RTP/AVP 96\n"},
		{"section new", "v=0\n", "v=0\nm=audio 1 RTP/AVP 0\n", "  v=0\n+ m=audio 1 RTP/AVP 0\n"},
		{"payload types apart", "a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\n", "a=rtpmap:8 PCMA/8000/1\n",
			"- a=rtpmap:8 PCMA/8000\n+ a=rtpmap:8 PCMA/8000/1\n- a=rtpmap:0 PCMU/8000\n"},
		{"empty", "", "", ""},
	}
	for _, tt := range tests {
		if got := Text(Diff(tt.before, tt.after)); got != tt.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestExplain(t *testing.T) {
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(phone) }
	tests := []struct {
		name, command, flags, after string
		want                        []string // headline; cause; RFC
	}{
		{"nothing", "offer", "ICE=remove", phone, nil},
		{"port and address", "offer", "", edit("m=audio 5000", "m=audio 30000", "c=IN IP4 198.51.100.1\r\n", ""),
			[]string{"c= removed: IN IP4 198.51.100.1; daemon default; RFC 8866 section 5.7", "port 5000 -> 30000; daemon default; RFC 8866 section 5.14"}},
		{"protocol and keys", "offer", "RTP/SAVP SDES-only-AES_CM_128_HMAC_SHA1_80", edit("m=audio 5000 RTP/AVP 0 101\r\n", "m=audio 5000 RTP/SAVP 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret\r\n"),
			[]string{"transport protocol RTP/AVP -> RTP/SAVP; RTP/SAVP; RFC 3711 section 12", "SDES keys added: AES_CM_128_HMAC_SHA1_80; SDES-only-AES_CM_128_HMAC_SHA1_80; RFC 4568 section 6.2"}},
		{"origin", "offer", "replace-origin", edit("1 1 IN IP4 198.51.100.1", "1 2 IN IP4 192.0.2.1"),
			[]string{"o= version 1 -> 2; daemon default; RFC 3264 section 8", "o= address IP4 198.51.100.1 -> IP4 192.0.2.1; replace-origin; RFC 8866 section 5.2"}},
		{"ICE", "offer", "ICE=force", phone + "a=ice-ufrag:a\r\na=ice-pwd:b\r\na=candidate:1 1 UDP 1 192.0.2.1 2 typ host\r\n",
			[]string{"ICE ufrag and password added; ICE=force; RFC 8839 section 5.4", "ICE candidates added: 1 1 UDP 1 192.0.2.1 2 typ host; ICE=force; RFC 8839 section 5.1"}},
		{"shorthand", "offer", "WebRTC", edit("m=audio 5000 RTP/AVP 0 101\r\n", "m=audio 5000 UDP/TLS/RTP/SAVPF 0 101\r\na=rtcp-mux\r\na=mid:1\r\n"),
			[]string{"transport protocol RTP/AVP -> UDP/TLS/RTP/SAVPF; WebRTC; RFC 5764 section 8", "a=rtcp-mux added; WebRTC; RFC 5761 section 5.1.1", "a=mid added: 1; WebRTC; RFC 5888 section 4"}},
		{"section", "offer", "sdp-media-remove=[video]", phone[:strings.Index(phone, "m=video")], []string{"section removed: m=video 5002 RTP/AVP 96; sdp-media-remove=[video]; RFC 8866 section 5.14"}},
		{"codec", "offer", "codec-strip-telephone-event", edit("0 101", "0", "a=rtpmap:101 telephone-event/8000\r\n", ""),
			[]string{"format list 0 101 -> 0; codec-strip-telephone-event; RFC 3264 section 5.1", "codec 101 removed: telephone-event/8000; codec-strip-telephone-event; RFC 3264 section 5.1"}},
		{"edit", "offer", "sdp-attr-add-video-quality:5", phone + "a=quality:5\r\n", []string{"a=quality added: 5; sdp-attr-add-video-quality:5; RFC 8866 section 5.13"}},
		{"edit in brackets", "answer", "sdp-attr=[audio=[remove=[sendrecv]]]", edit("a=sendrecv\r\n", ""), []string{"direction removed: sendrecv; sdp-attr=[audio=[remove=[sendrecv]]]; RFC 8866 section 5.13"}},
		{"unknown attribute", "offer", "trust-address", phone + "a=tool:x\r\n", []string{"a=tool added: x; daemon default; RFC 8866 section 5.13"}},
		{"answer", "answer", "", edit("RTP/AVP 96", "RTP/AVPF 96"), []string{"transport protocol RTP/AVP -> RTP/AVPF; daemon default; RFC 3264 section 6.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Explain(tt.command, tt.flags, phone, tt.after) {
				got = append(got, c.Headline()+"; "+c.Cause+"; "+c.RFC)
				if c.Why == "" || !strings.Contains(c.String(), c.Why) {
					t.Errorf("%+v says no reason", c)
				}
				if strings.Contains(c.String(), "secret") {
					t.Errorf("a key in %s", c)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestRules requires each rule to be reachable in principle: one without conditions ends its topic.
func TestRules(t *testing.T) {
	type at struct{ topic, op, in string }
	closed := map[at]bool{}
	for _, r := range rules {
		for _, k := range []at{{r.topic, r.op, r.in}, {r.topic, "", ""}, {r.topic, r.op, ""}, {r.topic, "", r.in}} {
			if closed[k] {
				t.Errorf("%s: %q is never reached", r.topic, r.why)
				break
			}
		}
		if len(r.causes) == 0 && r.when == nil {
			closed[at{r.topic, r.op, r.in}] = true
		}
	}
}

func FuzzExplain(f *testing.F) {
	f.Add(phone, phone, "sdp-attr-add-audio-x ICE=force")
	f.Add("m=\nm=audio\no=\n", "a=\na\n\n", "sdp-attr=[audio=[add=[x]]]")
	f.Fuzz(func(t *testing.T, before, after, flags string) {
		if len(before)+len(after)+len(flags) > 8192 {
			return // comparing takes the square of it
		}
		if before == after && len(Explain("offer", flags, before, after)) != 0 {
			t.Error("a change in equal bodies")
		}
		for _, l := range Diff(before, after) {
			if l.Op != "=" && l.Op != "+" && l.Op != "-" {
				t.Errorf("%+v", l)
			}
		}
		Explain("answer", flags, before, after)
	})
}
