package sdp

import (
	"strings"
	"testing"
)

func TestAppendEdited(t *testing.T) {
	const body = "v=0|s=-|t=0 0|a=group:BUNDLE 0|a=tool:x y|m=audio 4000 RTP/AVP 0 96|c=IN IP4 192.0.2.1|b=AS:64|" +
		"a=mid:0|a=rtpmap:0 PCMU/8000|a=rtpmap:96 opus/48000/2|a=fmtp:96 useinbandfec=1|a=rtcp-fb:96 nack|a=rtcp-fb:96 nack pli|" +
		"a=ssrc:1 cname:x|a=ssrc:1 msid:y|a=sendrecv|a=crypto:1 AES inline:AAAA|a=ptime:20|m=video 0 RTP/AVP 34|c=IN IP4 0.0.0.0|"
	edit := func(section string, op EditOp, arg, with string) Edit { return Edit{section, op, arg, with} }
	drop := func(lines ...string) string {
		out := body
		for _, l := range lines {
			out = strings.Replace(out, l+"|", "", 1)
		}
		return out
	}
	for _, row := range []struct {
		name  string
		edits []Edit
		want  string
	}{
		{"none", nil, body},
		{"add", []Edit{edit("audio", EditAdd, "new:1", ""), edit("audio", EditAdd, "a=two", "")},
			strings.Replace(body, "a=ptime:20|", "a=ptime:20|a=new:1|a=two|", 1)},
		{"add what is there", []Edit{edit("audio", EditAdd, "sendrecv", "")},
			strings.Replace(body, "a=ptime:20|", "a=ptime:20|a=sendrecv|", 1)},
		{"add to the session", []Edit{edit("", EditAdd, "n", "")}, strings.Replace(body, "y|m=audio", "y|a=n|m=audio", 1)},
		{"add to the last, rejected section", []Edit{edit("video", EditAdd, "n", "")}, body + "a=n|"},
		{"add nothing", []Edit{edit("audio", EditAdd, "", "")}, body},
		{"add a line end", []Edit{edit("audio", EditAdd, "x\r\nm=audio 1 RTP/AVP 0", "")}, body},
		{"other section", []Edit{edit("video", EditRemove, "sendrecv", "")}, body},
		{"remove by key", []Edit{edit("audio", EditRemove, "ssrc", "")}, drop("a=ssrc:1 cname:x", "a=ssrc:1 msid:y")},
		{"case does not count", []Edit{edit("audio", EditRemove, "SSRC:1 CNAME:X", "")}, drop("a=ssrc:1 cname:x")},
		{"part of a key", []Edit{edit("audio", EditRemove, "ss", "")}, body},
		{"tag where it is none", []Edit{edit("audio", EditRemove, "ssrc:1", "")}, body},
		{"tag", []Edit{edit("audio", EditRemove, "rtpmap:0", ""), edit("audio", EditRemove, "fmtp:96", "")},
			drop("a=rtpmap:0 PCMU/8000", "a=fmtp:96 useinbandfec=1")},
		{"part of a tag", []Edit{edit("audio", EditRemove, "rtpmap:9", "")}, body},
		{"tag of several lines", []Edit{edit("audio", EditRemove, "rtcp-fb:96", "")}, drop("a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli")},
		{"whole text", []Edit{edit("audio", EditRemove, "rtcp-fb:96 nack", "")}, drop("a=rtcp-fb:96 nack")},
		{"session tag", []Edit{edit("", EditRemove, "group:BUNDLE", "")}, drop("a=group:BUNDLE 0")},
		{"flag", []Edit{edit("audio", EditRemove, "sendrecv", "")}, drop("a=sendrecv")},
		{"only a= lines", []Edit{edit("audio", EditRemove, "AS", ""), edit("audio", EditRemove, "b=AS:64", "")}, body},
		{"not what was added", []Edit{edit("audio", EditAdd, "n", ""), edit("audio", EditRemove, "n", "")},
			strings.Replace(body, "a=ptime:20|", "a=ptime:20|a=n|", 1)},
		{"substitute", []Edit{edit("audio", EditSubstitute, "ssrc", "zz")},
			strings.Replace(drop("a=ssrc:1 msid:y"), "a=ssrc:1 cname:x|", "a=zz|a=zz|", 1)},
		{"last substitution counts, no chain", []Edit{edit("audio", EditSubstitute, "ptime", "b1"),
			edit("audio", EditSubstitute, "b1", "b2"), edit("audio", EditSubstitute, "ptime:20", "a=b3")},
			strings.Replace(body, "a=ptime:20", "a=b3", 1)},
		{"substitute by nothing", []Edit{edit("audio", EditSubstitute, "ptime", "")}, body},
		{"removal wins", []Edit{edit("audio", EditSubstitute, "ptime", "x"), edit("audio", EditRemove, "ptime", "")}, drop("a=ptime:20")},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := strings.ReplaceAll(body, "|", "\r\n")
			got := strings.ReplaceAll(string(AppendEdited(nil, []byte(in), row.edits)), "\r\n", "|")
			if got != row.want {
				t.Errorf("\n got %s\nwant %s", got, row.want)
			}
		})
	}
	if got := string(AppendEdited([]byte("x"), []byte("a=b"), []Edit{{Op: EditAdd, Arg: "c"}})); got != "xa=ba=c\r\n" {
		t.Errorf("without a line end: %q", got)
	}
}

func TestHasType(t *testing.T) {
	for _, row := range []struct {
		media string
		types []string
		want  bool
	}{
		{"audio", []string{"video", "audio"}, true},
		{"AUDIO", []string{"audio"}, true},
		{"audio", []string{"other"}, false},
		{"x-data", []string{"other"}, true},
		{"x-data", nil, false},
	} {
		if got := (&Media{Type: row.media}).HasType(row.types); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
	if !IsMediaType("image") || IsMediaType("other") || IsMediaType("AUDIO") {
		t.Error("IsMediaType")
	}
}
