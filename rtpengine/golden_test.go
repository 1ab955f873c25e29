package rtpengine

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Sections of a browser's SDP and of phones with SDES, as those devices write them.
const (
	browserICE = `a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=ice-options:trickle
a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB
a=setup:actpass
`
	browserAudio = `m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
` + browserICE + `a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:s t
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=candidate:1 1 udp 2122260223 198.51.100.1 50001 typ host generation 0
a=candidate:2 1 udp 2122260223 8a1b2c3d.local 50002 typ host generation 0
a=ssrc:1 cname:x
`
	browserVideo = `m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
` + browserICE + `a=mid:1
a=sendrecv
a=rtcp-mux
a=rtpmap:96 VP8/90000
`
	sdesAudio = `m=audio 40000 RTP/SAVP 0 8
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:YUJwk4PAGCRm0Bw/q3xZGTmLvYGxRaNd5yXQhC3A
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB
`
	plainAudio = `m=audio 40000 RTP/AVP 0 8 101
a=rtpmap:101 telephone-event/8000
a=ptime:20
`
	plainVideo = `m=video 40002 RTP/AVP 96
a=rtpmap:96 VP8/90000
`
)

// answering is a browser's section as an answer from another browser.
func answering(section string) string {
	return strings.NewReplacer("actpass", "active", "ufrag:abcd", "ufrag:wxyz").Replace(section)
}

// shapes replace what is random in a body.
var shapes = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`inline:[A-Za-z0-9+/=]{20,}`), "inline:KEY"},
	{regexp.MustCompile(`(?m)^(a=ice-ufrag:)\S{8}\r$`), "${1}UFRAG\r"},
	{regexp.MustCompile(`(?m)^(a=ice-pwd:)\S{26}\r$`), "${1}PWD\r"},
	{regexp.MustCompile(`(?m)^(a=fingerprint:\S+ ).*$`), "${1}DIGEST\r"},
	{regexp.MustCompile(`(?m)^(a=tls-id:)[0-9a-f]{32}`), "${1}ID"},
	{regexp.MustCompile(`(?m)^(a=candidate:)\S{16} `), "${1}F "},
	{regexp.MustCompile(`(?m)^(a=rtpengine:)[0-9a-f]{12}`), "${1}MARK"},
}

// portNumber is a port in notOrigin, any other line than that of the session's number, which may look like one.
var portNumber, notOrigin = regexp.MustCompile(`\b2\d{4}\b`), regexp.MustCompile(`(?m)^[^o].*$`)

// shape makes a body comparable: keys, ids and our ports, which are named P0, P0+1, P1 in the order of their pairs.
func shape(body string) string {
	for _, s := range shapes {
		body = s.re.ReplaceAllString(body, s.by)
	}
	pairs := map[int]int{}
	name := func(s string) string {
		p, _ := strconv.Atoi(s)
		if p < 20000 || p > 29999 {
			return s
		}
		n, ok := pairs[p&^1]
		if !ok {
			n = len(pairs)
			pairs[p&^1] = n
		}
		s = "P" + strconv.Itoa(n)
		if p&1 == 1 {
			s += "+1"
		}
		return s
	}
	body = notOrigin.ReplaceAllStringFunc(body, func(line string) string { return portNumber.ReplaceAllStringFunc(line, name) })
	return strings.ReplaceAll(body, "\r\n", "\n")
}

// lines checks that a body has, or has not, each of the lines; "!" in front means has not.
func lines(t *testing.T, what, body string, want ...string) {
	t.Helper()
	got := shape(body)
	for _, w := range want {
		not := strings.HasPrefix(w, "!")
		w = strings.TrimPrefix(w, "!")
		if has := strings.Contains("\n"+got, "\n"+w); has == not {
			t.Errorf("%s: line %q, present: %v\n%s", what, w, has, got)
		}
	}
}

const head = "v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nt=0 0\n"

// The worked examples of the protocol description: order of lines included.
func TestGolden(t *testing.T) {
	tests := []struct {
		name          string
		offer, answer string
		flags         []any
		wantOffer     string
		wantAnswer    string
	}{
		{
			name:  "plain",
			offer: plainAudio, answer: "m=audio 50000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000",
			wantOffer: head + `m=audio P0 RTP/AVP 0 8 101
c=IN IP4 127.0.0.1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
a=rtcp:P0+1
a=ptime:20
`,
			wantAnswer: head + `m=audio P0 RTP/AVP 8 101
c=IN IP4 127.0.0.1
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
a=rtcp:P0+1
a=ptime:20
`,
		},
		{
			name:  "SDES offerer, plain answerer",
			offer: sdesAudio, answer: "m=audio 50000 RTP/AVP 0 8", flags: []any{"transport-protocol", "RTP/AVP"},
			wantOffer: head + `m=audio P0 RTP/AVP 0 8
c=IN IP4 127.0.0.1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=sendrecv
a=rtcp:P0+1
`,
			wantAnswer: head + `m=audio P0 RTP/SAVP 0 8
c=IN IP4 127.0.0.1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=sendrecv
a=rtcp:P0+1
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY
`,
		},
		{
			name:  "WebRTC from plain",
			offer: plainAudio, answer: answering(browserAudio), flags: []any{"flags", []string{"WebRTC"}},
			wantOffer: head + `a=group:BUNDLE 1
m=audio P0 UDP/TLS/RTP/SAVPF 0 8 101
c=IN IP4 127.0.0.1
a=mid:1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=extmap-allow-mixed
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=rtcp-mux
a=setup:actpass
a=fingerprint:sha-256 DIGEST
a=tls-id:ID
a=ptime:20
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=ice-options:trickle
a=candidate:F 1 UDP 2130706431 127.0.0.1 P0 typ host
a=end-of-candidates
`,
			wantAnswer: head + `m=audio P0 RTP/AVP 0 8
c=IN IP4 127.0.0.1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=extmap-allow-mixed
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=msid:s t
a=rtcp-rsize
a=ssrc:1 cname:x
a=sendrecv
a=rtcp:P0+1
a=ptime:20
`,
		},
		{
			name:  "browser to phone",
			offer: browserAudio, answer: plainAudio,
			flags: []any{"transport-protocol", "RTP/AVP", "ICE", "remove", "rtcp-mux", []string{"demux"}},
			wantOffer: head + `m=audio P0 RTP/AVP 111 0 8
c=IN IP4 127.0.0.1
a=mid:0
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtcp-fb:111 transport-cc
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=extmap-allow-mixed
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=msid:s t
a=rtcp-rsize
a=ssrc:1 cname:x
a=sendrecv
a=rtcp:P0+1
`,
			wantAnswer: head + `m=audio P0 UDP/TLS/RTP/SAVPF 0 8
c=IN IP4 127.0.0.1
a=mid:0
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=sendrecv
a=rtcp:P0
a=rtcp-mux
a=setup:active
a=fingerprint:sha-256 DIGEST
a=tls-id:ID
a=ptime:20
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=ice-options:trickle
a=candidate:F 1 UDP 2130706431 127.0.0.1 P0 typ host
a=end-of-candidates
`,
		},
	}
	e := loopback(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := must(t, e, "offer", append([]any{"call-id", tt.name, "from-tag", "A", "sdp", body("198.51.100.1", tt.offer)}, tt.flags...)...)
			if got := shape(o.Value("sdp").Str()); got != tt.wantOffer {
				t.Errorf("offer: got\n%s\nwant\n%s", got, tt.wantOffer)
			}
			a := must(t, e, "answer", "call-id", tt.name, "from-tag", "A", "to-tag", "B", "sdp", body("198.51.100.1", tt.answer))
			if got := shape(a.Value("sdp").Str()); got != tt.wantAnswer {
				t.Errorf("answer: got\n%s\nwant\n%s", got, tt.wantAnswer)
			}
		})
	}
}
