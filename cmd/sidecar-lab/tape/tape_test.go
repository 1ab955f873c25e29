package tape

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rtpsidecar/ng"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const body = "v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nk=clear:topsecret\r\nm=audio 4000 RTP/SAVP 0\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^31|1:4 UNENCRYPTED_SRTCP\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:vC7Zb2m1QxWq0Hn5tR8sLd4F\r\na=key-mgmt:mikey AQAFgM0X\r\n"

func TestScrub(t *testing.T) {
	d := new(ng.Dict)
	d.AddString("command", "offer")
	d.AddString("sdp", body)
	d.AddString("call-id", "abc")
	d.Add("list", ng.List(ng.String("a=ice-pwd:vC7Zb2m1QxWq0Hn5tR8sLd4F")))
	d.AddString("code", "4711")
	d.AddInt("digit", 5)
	d.AddString("blob", "sound")
	s := NewScrubber()
	first, again := s.Dict(d), s.Dict(d)
	text := string(ng.AppendJSON(nil, ng.DictValue(first)))
	for _, secret := range []string{"NzB4d1BINUAvLEw6UzF3WSJ", "vC7Zb2m1QxWq0Hn5tR8sLd4F", "topsecret", "AQAFgM0X", "4711", "sound", `"digit":5`} {
		if strings.Contains(text, secret) {
			t.Errorf("%s in %s", secret, text)
		}
	}
	for _, kept := range []string{"abcd", "|2^31|1:4 UNENCRYPTED_SRTCP", `"code":"0000"`, `"call-id":"abc"`, "m=audio 4000 RTP/SAVP 0"} {
		if !strings.Contains(text, kept) {
			t.Errorf("no %s in %s", kept, text)
		}
	}
	if len(first.Value("sdp").Str()) != len(strings.NewReplacer("topsecret", "removed", "AQAFgM0X", "removed").Replace(body)) {
		t.Error("the forms have changed length")
	}
	if text != string(ng.AppendJSON(nil, ng.DictValue(again))) {
		t.Error("the same secret has two replacements")
	}
	if text == string(ng.AppendJSON(nil, ng.DictValue(NewScrubber().Dict(d)))) {
		t.Error("two recordings share replacements")
	}
}

func TestCompare(t *testing.T) {
	msg := func(pairs ...string) *ng.Dict {
		d := new(ng.Dict)
		for i := 0; i < len(pairs); i += 2 {
			d.AddString(pairs[i], pairs[i+1])
		}
		return d
	}
	out := "v=0\r\no=- 7 7 IN IP4 %A\r\ns=-\r\nt=0 0\r\nm=audio %P RTP/SAVP 0\r\nc=IN IP4 %A\r\na=crypto:1 X inline:%K\r\na=rtcp:%P\r\n" +
		"a=ice-ufrag:%K\r\na=candidate:%K 1 UDP %P %A %P typ host\r\na=fingerprint:sha-256 %K\r\na=tls-id:%K\r\n"
	one := strings.NewReplacer("%A", "198.51.100.1", "%P", "30000", "%K", "AAAA").Replace(out)
	two := strings.NewReplacer("%A", "198.51.100.2", "%P", "40000", "%K", "BBBB").Replace(out)
	moved := strings.Replace(two, "a=rtcp:40000\r\n", "", 1) + "a=rtcp:40000\r\n"
	offer := msg("command", "offer", "sdp", body)
	tests := []struct {
		name       string
		req        *ng.Dict
		taped, now *ng.Dict
		want       []string
	}{
		{"only choices", offer, msg("sdp", one, "result", "ok"), msg("sdp", two, "result", "ok"), nil},
		{"order", offer, msg("sdp", one), msg("sdp", moved), nil},
		{"a line", offer, msg("sdp", one), msg("sdp", two+"a=ptime:20\r\n"), []string{"+ audio 1: a=ptime:20"}},
		{"refused section", offer, msg("sdp", one), msg("sdp", strings.Replace(two, "audio 40000", "audio 0", 1)), []string{"- audio 1: m=audio PORT RTP/SAVP 0", "+ audio 1: m=audio 0 RTP/SAVP 0"}},
		{"address of the sender kept", offer, msg("sdp", one), msg("sdp", strings.ReplaceAll(two, "c=IN IP4 198.51.100.2", "c=IN IP4 192.0.2.1")),
			[]string{"- audio 1: c=IN IP4 ADDRESS", "+ audio 1: c=IN IP4 192.0.2.1"}},
		{"error", offer, msg("result", "ok"), msg("result", "error", "error-reason", "x"), []string{"- result = ok", "+ error-reason = x", "+ result = error"}},
		{"list", msg("command", "list"), msg("calls", "a"), msg("calls", "b"), nil},
		{"query", msg("command", "query"), msg("tags", "x", "created", "1"), msg("tags", "x"), []string{"- created"}},
	}
	for _, tt := range tests {
		if got := Compare(tt.req, tt.taped, tt.now); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "text": "hello\n", "newer": `{"tape":99}`, "broken": "{\"tape\":1}\n{", "list": "{\"tape\":1}\n{\"request\":[]}"} {
		if _, _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("{\"tape\":1}\n{\"request\":{\"command\":\"ping\"},\"reply\":{\"result\":\"pong\"}}\n")
	f.Fuzz(func(t *testing.T, text string) { _, _, _ = Read(strings.NewReader(text)) })
}

func FuzzScrub(f *testing.F) {
	f.Add(body)
	s := &Scrubber{}
	f.Fuzz(func(t *testing.T, text string) {
		out := s.SDP(text)
		if strings.Count(out, "\n") != strings.Count(text, "\n") {
			t.Errorf("lines are lost: %q", out)
		}
		Normal(out, text)
	})
}
