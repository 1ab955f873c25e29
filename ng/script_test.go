package ng

import (
	"strings"
	"testing"
)

func TestAddScriptFlags(t *testing.T) {
	tests := map[string]struct{ script, want string }{
		"gateway": {"RTP/AVP replace-origin replace-session-connection ICE=remove rtcp-mux-demux",
			"d18:transport-protocol7:RTP/AVP3:ICE6:remove7:replacel6:origin18:session-connectione8:rtcp-muxl5:demuxee"},
		"words":     {" trust-address  SDES-off ", "d5:flagsl13:trust-address8:SDES-offee"},
		"list":      {"bundle=[accept offer]", "d6:bundlel6:accept5:offeree"},
		"nested":    {"codec=[strip=[opus G729] mask=PCMA]", "d5:codecd5:stripl4:opus4:G729e4:mask4:PCMAee"},
		"direction": {"internal external", "d9:directionl8:internal8:externalee"},
		"unclosed":  {"bundle=[accept", "d6:bundlel6:acceptee"},
		"empty":     {"", "de"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var d Dict
			d.AddScriptFlags(tt.script)
			if got := string(AppendBencode(nil, DictValue(&d))); got != tt.want {
				t.Errorf("%q:\n got %s\nwant %s", strings.TrimSpace(tt.script), got, tt.want)
			}
		})
	}
}
