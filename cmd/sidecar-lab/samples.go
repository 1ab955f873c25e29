package main

import (
	"embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// sampleFiles are SDP bodies as devices send them, for those who have none at hand.
//
//go:embed samples/*.sdp
var sampleFiles embed.FS

// samples describes the built-in bodies.
var samples = []struct{ name, what string }{
	{"chrome", "Chrome offers audio: ICE, DTLS, rtcp-mux, opus and G.711"},
	{"chrome-av", "Chrome offers audio and video in one bundle"},
	{"chrome-answer", "Chrome answers audio"},
	{"firefox", "Firefox offers audio"},
	{"firefox-av", "Firefox offers audio and video"},
	{"safari", "Safari offers audio"},
	{"linphone", "Linphone offers audio, AVPF, address at the session level"},
	{"linphone-sdes", "Linphone offers audio with SDES keys"},
	{"linphone-ice", "Linphone offers audio with ICE and two components"},
	{"asterisk", "Asterisk (PJSIP) offers audio"},
	{"asterisk-webrtc", "Asterisk offers audio to a browser"},
	{"freeswitch", "FreeSWITCH offers audio"},
	{"cisco", "a Cisco telephone offers audio"},
	{"polycom-video", "a Polycom room system offers audio and video"},
	{"yealink-srtp", "a Yealink telephone offers SRTP by SDES"},
	{"osrtp", "a Snom telephone offers RTP/AVP with keys"},
	{"phone", "a plain telephone offers audio"},
	{"phone-answer", "a plain telephone answers audio"},
	{"phone-ip6", "a plain telephone on IPv6 offers audio"},
	{"hold", "hold by a zero address"},
	{"t38", "a fax adapter offers T.38"},
	{"t38-answer", "a fax gateway answers T.38"},
	{"fragment", "candidates of a trickle-ICE fragment, not a whole body"},
}

// body reads what --sdp names: a file, "-" for standard input, or a sample. source says which.
func (e *env) body(name string) (body, source string, err error) {
	if name == "-" {
		b, err := io.ReadAll(io.LimitReader(e.stdin, 1<<20))
		return string(b), "standard input", err
	}
	if b, err := sampleFiles.ReadFile("samples/" + name + ".sdp"); err == nil {
		return crlf(string(b)), "sample " + name, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		if !strings.ContainsAny(name, "./") {
			return "", "", usageError{fmt.Errorf("%q is neither a file nor a sample; samples: %s", name, strings.Join(sampleNames(), " "))}
		}
		return "", "", err
	}
	return string(b), name, nil
}

// crlf gives lines the ends that RFC 8866 section 5 asks for.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func sampleNames() []string {
	var names []string
	for _, s := range samples {
		names = append(names, s.name)
	}
	return names
}

func (e *env) samplesCommand() *cli.Command {
	return &cli.Command{
		Name: "samples", Usage: "list the built-in SDP bodies, or print one", ArgsUsage: "[NAME]", Category: "messages",
		Description:  examples("sidecar-lab samples", "sidecar-lab samples chrome > offer.sdp"),
		BashComplete: func(c *cli.Context) { e.complete(c, sampleNames()...) },
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				t := newTable("sample", "what it is")
				for _, s := range samples {
					t.row(s.name, s.what)
				}
				t.write(e)
				return nil
			}
			name := c.Args().First()
			if !slices.Contains(sampleNames(), name) {
				return usageError{fmt.Errorf("no sample %q; there are %s", name, strings.Join(sampleNames(), " "))}
			}
			body, _, err := e.body(name)
			fmt.Fprint(e.stdout, body)
			return err
		},
	}
}
