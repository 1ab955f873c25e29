package flaglint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	opensipscfg "rtpsidecar/opensips-cfg"
)

func TestFlags(t *testing.T) {
	offer, answer := Options{Commands: []string{"offer"}}, Options{Commands: []string{"answer"}}
	tests := []struct {
		name, flags string
		o           Options
		want        []string // rule and word
	}{
		{"modern, browser to phone", "RTP/AVP ICE=remove rtcp-mux-demux replace-origin", offer, nil},
		{"the same, said to come from a browser", "RTP/AVP ICE=remove rtcp-mux-demux replace-origin", Options{Commands: []string{"offer"}, From: Browser, To: Phone}, nil},
		{"no demux for the browser's answer", "RTP/AVP ICE=remove", Options{Commands: []string{"offer"}, From: Browser, To: Phone}, []string{"browser RTP/AVP"}},
		{"modern, phone to browser", "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer SDES-off replace-origin", offer, nil},
		{"2015", "ICE=force-relay DTLS=passive", Options{}, nil},
		{"alias", "WebRTC", offer, nil},
		{"alias and more", "WebRTC ICE-lite=forward rtcp-mux-accept", offer, nil},
		{"other spellings", "ice=force TRUST_ADDRESS Transport-Protocol=rtp/avp", offer, nil},
		{"lists", "rtcp-mux=[offer require] bundle=[accept offer] replace=[origin]", offer, nil},
		{"dictionary", "codec=[strip=[all] except=[PCMA PCMU] transcode=[opus]] sdp-attr=[none=[remove=[tool]]]", offer, nil},
		{"module words", "via-branch=extra call-id=$ci from-tag=abc to-tag", answer, nil},
		{"script variables", "RTP/AVP direction=[$var(in) $var(out)] $avp(more)", offer, nil},
		{"suggestion for a list word", "rtcp-mux=[offr]", offer, []string{"unknown rtcp-mux=[offr]"}},
		{"SDES", "RTP/SAVP SDES-no-AES_256_CM_HMAC_SHA1_80 SDES-pad", offer, nil},
		{"lite browser", "UDP/TLS/RTP/SAVPF ICE=force ICE-lite=forward rtcp-mux-require", offer, nil},
		{"phone that takes DTLS", "UDP/TLS/RTP/SAVP", Options{Commands: []string{"offer"}, To: Phone}, nil},
		{"plain to a browser", "RTP/AVP ICE=force rtcp-mux-offer", Options{Commands: []string{"offer"}, To: Browser}, []string{"browser RTP/AVP"}},
		{"SDES to a browser", "RTP/SAVPF ICE=force rtcp-mux-offer", Options{Commands: []string{"offer"}, To: Browser}, []string{"browser RTP/SAVPF"}},
		{"fingerprint nobody sees", "RTP/AVP DTLS-fingerprint=sha-256", offer, []string{"no-effect DTLS-fingerprint=sha-256"}},
		{"weak fingerprint", "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer DTLS-fingerprint=sha-1", offer, []string{"browser DTLS-fingerprint=sha-1"}},
		{"unmatched close", "RTP/AVP replace=origin]", offer, []string{"bracket replace=origin]", "unknown replace=origin]"}},
		{"module half", "in-iface=pub RTP/AVP", offer, []string{"direction in-iface=pub"}},
		{"OSRTP beside SRTP", "RTP/SAVP OSRTP=offer", offer, []string{"contradiction OSRTP=offer"}},
		{"two numbers", "TOS=184 TOS=46", offer, []string{"contradiction TOS=46"}},
		{"empty", "", offer, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range Flags(tt.flags, tt.o) {
				got = append(got, f.Rule+" "+f.Word)
				if tt.flags[f.Pos:f.Pos+len(f.Word)] != f.Word {
					t.Errorf("%v is not at %d of %q", f, f.Pos, tt.flags)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q:\ngot  %q\nwant %q", tt.flags, got, tt.want)
			}
		})
	}
}

func TestSuggestions(t *testing.T) {
	for flags, want := range map[string]string{
		"ICE=remvoe": "ICE=remove", "replace-origni": "replace-origin", "trust-adrdess": "trust-address", "rtcp-mux-demuxx": "rtcp-mux-demux",
		"SDES-only-AES_CM_128_HMAC_SHA_80": "AES_CM_128_HMAC_SHA1_80", "codec=[strp=[opus]]": "codec=strip",
	} {
		got := Flags(flags, Options{Commands: []string{"offer"}})
		if len(got) != 1 || got[0].Suggest != want {
			t.Errorf("%q: %v, want the suggestion %s", flags, got, want)
		}
	}
}

// TestBadConfigs reads 30 configurations whose mistakes are marked with WANT and the rules that find them.
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.cfg")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			if _, rules, ok := strings.Cut(strings.TrimSpace(line), "# WANT "); ok {
				for _, rule := range strings.Fields(rules) {
					want = append(want, fmt.Sprintf("%d %s", n, rule))
				}
			}
		}
		for _, f := range Config([]File{{name, string(b)}}) {
			got = append(got, fmt.Sprintf("%d %s", f.Line, f.Rule))
			t.Logf("%s:%d: %s", f.File, f.Line, f)
		}
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
		}
	}
}

// TestTemplates requires the shipped templates to be without a finding, whatever is switched on that the daemon serves.
func TestTemplates(t *testing.T) {
	for name, change := range map[string]func(*opensipscfg.Values){
		"defaults": func(*opensipscfg.Values) {},
		"2015":     func(v *opensipscfg.Values) { v.Media.Table = "2015" },
		"dual": func(v *opensipscfg.Values) {
			v.Listen.IPv6.Address = "2001:db8::1"
			v.Optional.E164.On = true
		},
	} {
		v := opensipscfg.Defaults()
		v.Domains = []opensipscfg.Domain{{Name: "example.org"}}
		v.Secret = strings.Repeat("ab12", 8)
		v.Listen.IPv4.Address = "192.0.2.1"
		change(&v)
		rendered, err := opensipscfg.Render(v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var files []File
		seen := false
		for _, f := range rendered {
			files = append(files, File{f.Name, string(f.Content)})
			seen = seen || strings.Contains(string(f.Content), "rtpengine_offer(")
		}
		if !seen {
			t.Fatalf("%s: no rtpengine_offer in it", name)
		}
		for _, f := range Config(files) {
			t.Errorf("%s: %s:%d: %s", name, f.File, f.Line, f)
		}
	}
}

// TestConfigFollowsVariables requires a mistake to be found where it stands, in another file than the call.
func TestConfigFollowsVariables(t *testing.T) {
	got := Config([]File{
		{"main.cfg", "route {\n\troute(flags);\n\trtpengine_offer($var(f), , $var(x));\n}\n"},
		{"flags.cfg", "route[flags] {\n\t$var(f) = $var(g) + \" trust-adrdess\";\n\t$var(g) = 'RTP/AVP ICE=of';\n}\n"},
	})
	var at []string
	for _, f := range got {
		at = append(at, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Word))
	}
	if want := []string{"flags.cfg:2 trust-adrdess", "flags.cfg:3 ICE=of"}; !slices.Equal(at, want) {
		t.Errorf("got %q, want %q", at, want)
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("RTP/AVP codec=[strip=[opus] ICE=force")
	f.Add("sdp-attr=[audio=[add=[x]]] = =x x= [] [ ] SDES-no- replace=")
	f.Fuzz(func(t *testing.T, flags string) {
		for _, f := range Flags(flags, Options{}) {
			if f.Pos < 0 || f.Pos > len(flags) {
				t.Errorf("%v lies outside %q", f, flags)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("route { $var(x) = \"ICE=of\"; rtpengine_offer(\"$var(x)\"); }")
	f.Add("#!define A \"x\"\nrtpengine_answer(A, 'b\\'c' /* */ // \n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, f := range Config([]File{{"x.cfg", text}}) {
			if f.Line < 1 || f.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%v is not in the file", f)
			}
		}
	})
}
