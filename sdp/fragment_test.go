package sdp

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFragment(t *testing.T) {
	candidate := Candidate{Foundation: "1", Component: 1, Transport: "UDP", Priority: 2130706431, Address: "192.0.2.1",
		Addr: netip.MustParseAddr("192.0.2.1"), Port: 5000, Type: "host"}
	const c = "a=candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host"
	own := ICE{Ufrag: "own", Pwd: "pwd2", Options: []string{"trickle"}}
	for _, row := range []struct {
		name, in string
		want     Fragment
		out      string // "" as in
	}{
		{"credentials at the top", "a=ice-options:trickle\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n" +
			"m=audio 9 RTP/AVP 0\r\na=mid:1\r\n" + c + "\r\na=end-of-candidates\r\n",
			Fragment{ICE: ICE{Ufrag: "8hhY", Pwd: "asd88fgpdd777uzjYhagZg", Options: []string{"trickle"}},
				Media: []FragmentMedia{{"audio 9 RTP/AVP 0", "1", ICE{Ufrag: "8hhY", Pwd: "asd88fgpdd777uzjYhagZg",
					Options: []string{"trickle"}, Candidates: []Candidate{candidate}, EndOfCandidates: true}}}},
			"a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-options:trickle\r\n" +
				"m=audio 9 RTP/AVP 0\r\na=mid:1\r\n" + c + "\r\na=end-of-candidates\r\n"},
		{"credentials per section, LF", "a=ice-lite\na=ice-ufrag:a\na=ice-pwd:b\nm=x 9 y z\na=mid:0\na=ice-ufrag:own\na=ice-pwd:pwd2\na=ice-options:trickle\nm=v 9 y z\na=mid:2\n",
			Fragment{ICE: ICE{Ufrag: "a", Pwd: "b", Lite: true},
				Media: []FragmentMedia{{"x 9 y z", "0", func() ICE { i := own; i.Lite = true; return i }()}, {"v 9 y z", "2", ICE{Ufrag: "a", Pwd: "b", Lite: true}}}},
			"a=ice-lite\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\nm=x 9 y z\r\na=mid:0\r\na=ice-ufrag:own\r\na=ice-pwd:pwd2\r\na=ice-options:trickle\r\nm=v 9 y z\r\na=mid:2\r\n"},
		{"end of all", "a=end-of-candidates\r\nm=x 9 y z\r\n",
			Fragment{ICE: ICE{EndOfCandidates: true}, Media: []FragmentMedia{{Line: "x 9 y z", ICE: ICE{EndOfCandidates: true}}}}, ""},
		{"without sections", "a=ice-ufrag:a\r\na=ice-pwd:b\r\n" + c + "\r\n",
			Fragment{ICE: ICE{Ufrag: "a", Pwd: "b", Candidates: []Candidate{candidate}}}, ""},
		{"other lines", "a=mid:lost\r\nc=IN IP4 192.0.2.1\r\na=foo\r\nm=x 9 y z\r\nx=y\r\na=rtpmap:0 x/1\r\n\r\na=ice-ufrag:after\r\n",
			Fragment{Media: []FragmentMedia{{Line: "x 9 y z"}}}, "m=x 9 y z\r\n"},
		{"empty", "", Fragment{}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseFragment(row.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&row.want, got, equate); diff != "" {
				t.Error(diff)
			}
			if out := string(AppendFragment(nil, got)); out != or(row.out, row.in) {
				t.Errorf("printed\n%s", out)
			}
		})
	}
	long := "a=ice-options:" + strings.Repeat("x ", 10000) + "\n" + strings.Repeat("m=x\n", 1000)
	for _, in := range []string{long, "hello\n", "a=candidate:x\n", "m=x\na=remote-candidates:x\n"} {
		if f, err := ParseFragment([]byte(in)); err == nil {
			t.Errorf("%.40q: %d media", in, len(f.Media))
		}
	}
}
