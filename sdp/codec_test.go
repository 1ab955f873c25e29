package sdp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// codecs reads "pt name/clock/channels|fmtp" items.
func codecs(items ...string) (list []Codec) {
	for _, item := range items {
		var c Codec
		text, fmtp, has := strings.Cut(item, "|")
		pt, encoding, _ := strings.Cut(text, " ")
		fmt.Sscan(pt, &c.PT)
		c.setRtpmap(encoding)
		if has {
			c.Fmtp = []string{fmtp}
		}
		list = append(list, c)
	}
	return list
}

func TestRtpmap(t *testing.T) {
	for _, row := range []struct {
		in   string
		want Codec
		out  string
	}{
		{"opus/48000/2", Codec{Name: "opus", ClockHz: 48000, Channels: 2}, ""},
		{"pcmu/8000/1", Codec{Name: "pcmu", ClockHz: 8000, Channels: 1}, "pcmu/8000"},
		{" a / 8000 / 2 ", Codec{Name: "a", ClockHz: 8000, Channels: 2}, "a/8000/2"},
		{"a/8000/2/x", Codec{Name: "a", ClockHz: 8000, Channels: 1, Params: "2/x"}, ""},
		{"a/8000/", Codec{Name: "a", ClockHz: 8000, Channels: 1}, "a/8000"},
		{"a", Codec{Name: "a", Channels: 1}, ""},
		{"a/0", Codec{Name: "a/0", Channels: 1}, ""},
		{"a/b", Codec{Name: "a/b", Channels: 1}, ""},
		{"/8000", Codec{Name: "/8000", Channels: 1}, ""},
	} {
		var got Codec
		got.setRtpmap(row.in)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%q: %s", row.in, diff)
		}
		if out := string(got.appendRtpmap(nil)); out != "0 "+or(row.out, row.in) {
			t.Errorf("%q printed as %q", row.in, out)
		}
	}
}

func TestStaticCodec(t *testing.T) {
	for pt, want := range map[uint8]string{0: "PCMU/8000", 10: "L16/44100/2", 18: "G729/8000", 34: "H263/90000", 1: "", 35: "", 127: ""} {
		c, ok := StaticCodec(pt)
		if ok != (want != "") || c.PT != pt || c.Static != ok || c.Channels < 1 {
			t.Errorf("%d: %+v %v", pt, c, ok)
		}
		if got := string(c.appendRtpmap(nil)); ok && got != fmt.Sprintf("%d %s", pt, want) {
			t.Errorf("%d: %s", pt, got)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, row := range []struct {
		name, a, b string
		want       bool
	}{
		{"case and number", "96 OPUS/48000/2", "111 opus/48000/2|useinbandfec=1", true},
		{"channels", "96 opus/48000/2", "96 opus/48000", false},
		{"clock", "96 CN/8000", "96 CN/16000", false},
		{"nameless", "96 ", "96 ", false},
		{"AMR octet-align", "96 AMR/8000|octet-align=1", "97 AMR/8000", false},
		{"AMR default", "96 AMR/8000|octet-align=0; mode-set=7", "97 amr/8000", true},
		{"AMR-WB robust sorting", "96 AMR-WB/16000|octet-align=1;robust-sorting=1", "96 AMR-WB/16000|octet-align=1", false},
		{"H264 mode", "96 H264/90000|packetization-mode=1", "96 H264/90000", false},
		{"H264 level differs", "96 H264/90000|packetization-mode=1;profile-level-id=42e01f", "97 H264/90000|profile-level-id=42E034; packetization-mode=1", true},
		{"H264 profile differs", "96 H264/90000|profile-level-id=42e01f", "96 H264/90000|profile-level-id=640c1f", false},
		{"H264 high and constrained high", "96 H264/90000|profile-level-id=64001f", "96 H264/90000|profile-level-id=640c1f", false},
		{"H264 constrained baseline in two ways", "96 H264/90000|profile-level-id=42e01f", "96 H264/90000|profile-level-id=4d801f", true},
		{"H264 extended as baseline", "96 H264/90000|profile-level-id=58801f", "96 H264/90000|profile-level-id=42001f", true},
		{"H264 extended and main", "96 H264/90000|profile-level-id=58001f", "96 H264/90000|profile-level-id=4d001f", false},
		{"H264 default profile", "96 H264/90000", "96 H264/90000|profile-level-id=42000a", true},
		{"H264 malformed profile", "96 H264/90000|profile-level-id=zz", "96 H264/90000|profile-level-id=42000a", true},
		{"VP9", "96 VP9/90000|profile-id=2", "96 VP9/90000", false},
		{"VP9 default", "96 VP9/90000|profile-id=0", "96 VP9/90000", true},
		{"G7221", "96 G7221/16000|bitrate=24000", "97 G7221/16000|bitrate=32000", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := codecs(row.a, row.b)
			if Matches(&l[0], &l[1]) != row.want || Matches(&l[1], &l[0]) != row.want {
				t.Errorf("%s and %s: want %v", row.a, row.b, row.want)
			}
		})
	}
}

func TestMatchAnswer(t *testing.T) {
	for _, row := range []struct {
		name          string
		offer, answer []Codec
		want          []int
	}{
		{"same numbers, other order", codecs("0 PCMU/8000", "8 PCMA/8000", "101 telephone-event/8000"),
			codecs("101 telephone-event/8000", "8 PCMA/8000"), []int{2, 1}},
		{"renumbered", codecs("96 opus/48000/2", "101 telephone-event/8000"),
			codecs("111 opus/48000/2", "96 telephone-event/8000"), []int{0, 1}},
		{"swapped", codecs("96 a/8000", "97 b/8000"), codecs("97 a/8000", "96 b/8000"), []int{0, 1}},
		{"not offered", codecs("0 PCMU/8000"), codecs("8 PCMA/8000", "0 PCMU/8000", "0 PCMU/8000"), []int{-1, 0, -1}},
		{"nameless by number", codecs("77 "), codecs("77 "), []int{0}},
		{"H264 by mode", codecs("102 H264/90000|packetization-mode=1", "104 H264/90000|packetization-mode=0"),
			codecs("96 H264/90000|packetization-mode=0", "97 H264/90000|packetization-mode=1"), []int{1, 0}},
		{"static number under another name", codecs("18 G729a/8000", "101 telephone-event/8000"), codecs("18 G729/8000"), []int{0}},
		{"decisive difference under the same number", codecs("96 AMR/8000|octet-align=1"), codecs("96 AMR/8000"), []int{0}},
		{"decisive difference under another number", codecs("96 AMR/8000|octet-align=1"), codecs("97 AMR/8000"), []int{-1}},
		{"retransmission follows", codecs("96 VP8/90000", "97 rtx/90000|apt=96", "102 H264/90000", "103 rtx/90000|apt=102"),
			codecs("120 H264/90000", "121 rtx/90000|apt=120", "99 rtx/90000|apt=98", "98 rtx/90000|apt=x"), []int{2, 3, -1, -1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := MatchAnswer(row.offer, row.answer); !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestCodecSpec(t *testing.T) {
	for _, row := range []struct {
		in   string
		want CodecSpec
		out  string
		bad  bool
	}{
		{in: "PCMU", want: CodecSpec{Name: "PCMU"}},
		{in: "opus/48000/2", want: CodecSpec{Name: "opus", ClockHz: 48000, Channels: 2}},
		{in: "opus/48000", want: CodecSpec{Name: "opus", ClockHz: 48000, Channels: 1}, out: "opus/48000/1"},
		{in: "AMR/8000/1/12200/20/octet-align=1;crc=0/a=b/c",
			want: CodecSpec{"AMR", 8000, 1, 12200, 20 * time.Millisecond, "octet-align=1;crc=0", "a=b/c"}},
		{in: "opus////", want: CodecSpec{Name: "opus"}, out: "opus"},
		{in: "iLBC/////mode=30", want: CodecSpec{Name: "iLBC", Fmtp: "mode=30"}},
		{in: "", want: CodecSpec{}},
		{in: "opus/x", bad: true},
		{in: "opus/8000/-1", bad: true},
		{in: "opus///9999999999", bad: true},
		{in: "opus////20ms", bad: true},
	} {
		got, err := ParseCodecSpec(row.in)
		if (err != nil) != row.bad || got != row.want {
			t.Errorf("%q: %+v, %v", row.in, got, err)
			continue
		}
		if out := got.String(); err == nil && out != or(row.out, row.in) {
			t.Errorf("%q printed as %q", row.in, out)
		}
	}
}

func TestCodecSpecMatch(t *testing.T) {
	list := codecs("0 PCMU/8000", "96 opus/48000/2|useinbandfec=1; stereo=0", "97 opus/48000", "98 AMR/8000|octet-align=1", "99 AMR/8000", "101 telephone-event/8000")
	for spec, want := range map[string][]uint8{
		"opus": {96, 97}, "OPUS/48000": {97}, "opus/48000/2": {96}, "opus//2": {96}, "opus/16000": nil,
		"AMR/8000/1///octet-align=1": {98}, "AMR/8000/1///octet-align=0": nil, "AMR/////;": {98, 99},
		"/8000": {0, 98, 99, 101}, "": {0, 96, 97, 98, 99, 101}, "0": nil, "PCM": nil,
		"opus/////stereo=0;useinbandfec=1": {96}, "PCMU/8000/1/64000/20//x": {0},
	} {
		s, err := ParseCodecSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint8
		for i := range list {
			if s.Match(&list[i]) {
				got = append(got, list[i].PT)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q matches %v, want %v", spec, got, want)
		}
	}
}

func TestFmtpParam(t *testing.T) {
	c := Codec{Fmtp: []string{"a=1;B = two ; flag;;", "c=x=y"}}
	for name, want := range map[string]string{"a": "1", "A": "1", "b": "two", "flag": "", "c": "x=y", "d": "-", "": ""} {
		got, ok := c.FmtpParam(name)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
