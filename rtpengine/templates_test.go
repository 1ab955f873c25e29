package rtpengine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

func TestParseRTPPFlags(t *testing.T) {
	list := func(s ...string) ng.Value { return ng.Strings(s) }
	for _, tt := range []struct {
		name, in string
		want     *ng.Dict
	}{
		{"empty", "", dict()},
		{"blanks", " \t ", dict()},
		{"words", "  generate-mid\tstrict-source ", dict("flags", list("generate-mid", "strict-source"))},
		{"key and value", "ICE=force label=a=b", dict("ICE", "force", "label", "a=b")},
		{"no value", "to-tag= =x", dict("flags", list("to-tag", "=x"))},
		{"list", "ICE=[force trickle] x", dict("ICE", list("force", "trickle"), "flags", list("x"))},
		{"empty list", "ICE=[]", dict("ICE", list())},
		{"dictionary", "codec=[strip=[PCMU PCMA] mask=opus]", dict("codec", dict("strip", list("PCMU", "PCMA"), "mask", "opus"))},
		{"list of lists", "sdp-attr=[audio=[substitute=[[a b] [c d]]]]",
			dict("sdp-attr", dict("audio", dict("substitute", []any{list("a", "b"), list("c", "d")})))},
		{"word in a dictionary", "codec=[strip=[PCMU] what]", dict("codec", dict("strip", list("PCMU"), "what", ""))},
		{"spaces inside brackets", "codec=[ strip=[ PCMU ] ]", dict("codec", dict("strip", list("PCMU")))},
		{"bracket left open", "codec=[strip=[PCMU", dict("codec", dict("strip", list("PCMU")))},
		{"word at a bracket", "ICE=[force]trickle-ICE", dict("ICE", list("force"), "flags", list("trickle-ICE"))},
		{"stray bracket", "] a", dict("flags", list("]", "a"))},
		{"bracket in a value", "label=a[b]c", dict("label", "a[b]c")},
		{"too deep", "a=[a=[a=[a=[a=[a=[a=[a=[a=[b]]]]]]]]]", dict("a", dict("a", dict("a", dict("a", dict("a", dict("a", dict("a", dict("a", dict("a", "[b")))))))), "flags", list("]"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ParseRTPPFlags(tt.in)
			if diff := cmp.Diff(ng.DictValue(tt.want).String(), ng.DictValue(got).String()); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	templates := map[string]string{
		"default": "generate-mid label=default",
		"offer":   "label=offer ICE=force direction=a direction=b",
		"named":   "label=named SDES-off WebRTC transport-protocol=RTP/SAVPF",
		"nest":    "template=named label=nest",
		"loop":    "template=loop2 label=loop",
		"loop2":   "template=loop strict-source",
	}
	base := Flags{GenerateMID: true, Label: "offer", ICE: ICEForce, Direction: [2]string{"a", "b"}}
	named := webRTCFlags()
	named.Transport, named.Direction, named.Label = sdp.RTPSAVPF, [2]string{"a", "b"}, "named"
	change := func(f Flags, c func(*Flags)) Flags { c(&f); return f }
	for _, tt := range []struct {
		name, command string
		in            *ng.Dict
		want          Flags
	}{
		{"of the command", "offer", dict(), base},
		{"of no command", "query", dict(), Flags{GenerateMID: true, Label: "default"}},
		{"weaker than the request", "offer", dict("label", "own", "ICE", "remove", "direction", []string{"x", "y"}),
			change(base, func(f *Flags) { f.Label, f.ICE, f.Direction = "own", ICERemove, [2]string{"x", "y"} })},
		{"named", "offer", dict("template", "named"), named},
		{"named last", "offer", dict("label", "own", "template", "named"), change(named, func(f *Flags) { f.Label = "own" })},
		{"named in a string", "offer", dict("rtpp-flags", "template=named label=own"), change(named, func(f *Flags) { f.Label = "own" })},
		{"nested", "offer", dict("template", "nest"), change(named, func(f *Flags) { f.Label = "nest" })},
		{"naming itself", "query", dict("template", "loop"), Flags{GenerateMID: true, Label: "loop", StrictSource: true, Unknown: []string{"template: loop"}}},
		{"unknown", "query", dict("template", "nope"), Flags{GenerateMID: true, Label: "default", Unknown: []string{"template: nope"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseFlags(tt.command, tt.in, templates)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got, flagCmp); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// TestRTPPFlags: the string is stronger than the dictionary, and its tags mean more.
func TestRTPPFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   *ng.Dict
		want Flags
	}{
		{"stronger", dict("rtpp_flags", "label=s", "label", "d"), Flags{Label: "s"}},
		{"from-tag", dict("from-tag", "d", "rtpp flags", "from-tag=s"), Flags{FromTag: "s", Directional: true}},
		{"to-tag", dict("rtpp-flags", "to-tag=t"), Flags{ToTag: "t", ForceToTag: true}},
		{"to-tag as a word", dict("rtpp-flags", "to-tag"), Flags{ForceToTag: true}},
		{"directions", dict("rtpp-flags", "direction=x external"), Flags{Direction: [2]string{"x", "external"}}},
		{"codecs", dict("rtpp-flags", "codec-strip=[PCMU PCMA] codec-mask-opus transcode=GSM codec=[offer=[G722]]"),
			Flags{Codec: CodecFlags{Strip: []string{"PCMU", "PCMA"}, Mask: []string{"opus"}, Transcode: []string{"GSM"}, Offer: []string{"G722"}}}},
		{"escapes only in lists", dict("rtpp-flags", "label=a..b sdp-attr=[audio=[add=[c..d--e]]]"),
			Flags{Label: "a..b", Edits: []sdp.Edit{{Section: "audio", Op: sdp.EditAdd, Arg: "c d=e"}}}},
		{"a Via branch", dict("rtpp-flags", "via-branch=X", "via-branch", "Y"), Flags{ViaBranch: "X"}},
		{"a Via branch by word", dict("rtpp-flags", "via-branch=1"), Flags{ViaBranch: "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseFlags("offer", tt.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got, flagCmp); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// FuzzRTPPFlags: any text is a flag string, and reading it costs no more than its length allows.
func FuzzRTPPFlags(f *testing.F) {
	for _, s := range []string{"", "WebRTC ICE=remove", "codec=[strip=[PCMU PCMA] offer=[opus]] transcode=GSM", "sdp-attr=[audio=[substitute=[[a b]]]]",
		"a=[b=[c=[d", "]]]", "=[", "from-tag=x to-tag direction=a internal", "SDES=[no-X,only-Y order:A;B]", "template=t rtpp-flags=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if entries := len(ParseRTPPFlags(s).Entries()); entries > len(s) {
			t.Errorf("%d entries of %d bytes", entries, len(s))
		}
		flags, err := ParseFlags("offer", dict("rtpp-flags", s), map[string]string{"t": s, "offer": "strict-source"})
		if err == nil && !flags.StrictSource {
			t.Errorf("the template is lost")
		}
	})
}

// FuzzParseFlags: no dictionary brings the parser down, and what it keeps does not grow beyond the request.
func FuzzParseFlags(f *testing.F) {
	for _, s := range []string{
		`d5:flagsl13:trust-addresse3:ICE5:forcee`, `d5:codecd5:stripl3:alleee`, `d8:sdp-attrd5:audiod10:substitutel1:a1:beeee`,
		`d5:ptime2:203:TOSi-1ee`, `d4:SDESl4:no-X9:order:A;Bee`, `d10:rtpp-flags20:codec=[strip=[PCMU]]e`, `d4:tagsld4:from1:a2:tol1:beeee`,
	} {
		f.Add("offer", []byte(s))
	}
	f.Fuzz(func(t *testing.T, command string, b []byte) {
		v, _, err := ng.ParseBencode(b)
		if err != nil {
			return
		}
		flags, _ := ParseFlags(command, v.Dict(), nil)
		if n := len(flags.Unknown) + len(flags.Edits) + len(flags.Codec.Strip); n > 2*len(b) {
			t.Errorf("%d items of %d bytes", n, len(b))
		}
	})
}
