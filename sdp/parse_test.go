package sdp

import "testing"

func TestParseSmoke(t *testing.T) {
	in := "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\na=group:BUNDLE 0 1\na=sendonly\nm=audio 4000 RTP/AVP 0 8 96\na=rtpmap:96 opus/48000/2\na=fmtp:96 a=b\na=candidate:1 1 UDP 1 127.0.0.1 4000 typ host generation 0\na=foo\n"
	s, err := Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + s.String())
	again, err := Parse(s.String())
	if err != nil || again.String() != s.String() {
		t.Error(again, err)
	}
}
