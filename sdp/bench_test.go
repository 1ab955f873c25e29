package sdp

import (
	"os"
	"testing"
)

func webrtcBody(b *testing.B) string {
	in, err := os.ReadFile("testdata/webrtc-four-media/in.sdp")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	return string(in)
}

func BenchmarkParse(b *testing.B) {
	body := []byte(webrtcBody(b))
	for b.Loop() {
		if _, err := Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := Parse(webrtcBody(b))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	for b.Loop() {
		dst = Append(dst[:0], s)
	}
}
