package hep

import (
	"encoding/json"
	"slices"
	"testing"

	"rtpsidecar/relay/rtp"
)

func TestReportJSON(t *testing.T) {
	block := rtp.ReportBlock{SSRC: 7, FractionLost: 10, Lost: -5, HighestSeq: 70000, Jitter: 17, LastSR: 5, Delay: 6}
	info := rtp.SenderInfo{NTP: 4004443876<<32 | 1<<31, Timestamp: 1600, Packets: 50, Octets: 8000}
	sr := rtp.AppendSR(nil, 9, info, []rtp.ReportBlock{block})
	rr := rtp.AppendRR(nil, 9, nil)
	const (
		sender  = `"sender_information":{"ntp_timestamp_sec":4004443876,"ntp_timestamp_usec":2147483648,"octets":8000,"rtp_timestamp":1600,"packets":50}`
		blocks  = `{"source_ssrc":7,"highest_seq_no":70000,"fraction_lost":10,"ia_jitter":17,"packets_lost":-5,"lsr":5,"dlsr":6}`
		nothing = `"ssrc":9,"type":201,"report_count":0,"report_blocks":[]`
	)
	// Two chunks: one with two items, the second of which fills its last word but for the end, and one without any.
	sdes := []byte{0x82, rtp.TypeSDES, 0, 5, 0, 0, 0, 9, 1, 2, 'a', '"', 2, 2, 0xff, 'b', 0, 0, 0, 0, 0, 0, 0, 10}
	sdes[3]++
	sdes = append(sdes, 0, 0, 0, 0)
	for _, tt := range []struct {
		name     string
		compound []byte
		want     string
	}{
		{"sender report", sr, "{" + sender + `,"ssrc":9,"type":200,"report_count":1,"report_blocks":[` + blocks + "]}"},
		{"empty receiver report", rr, "{" + nothing + "}"},
		{"with a name", rtp.AppendSDES(slices.Clone(rr), 9, "a@b"), "{" + nothing + `,"sdes_report_count":1,"sdes_information":[{"sdes_chunk_ssrc":9,"type":1,"text":"a@b"}]}`},
		{"two chunks", slices.Concat(rr, sdes), "{" + nothing + `,"sdes_report_count":2,"sdes_information":[{"sdes_chunk_ssrc":9,"type":1,"text":"a\""},{"sdes_chunk_ssrc":9,"type":2,"text":"` + "\uFFFD" + `b"}]}`},
		{"reports of two", slices.Concat(sr, rtp.AppendRR(nil, 9, []rtp.ReportBlock{block})), "{" + sender + `,"ssrc":9,"type":200,"report_count":2,"report_blocks":[` + blocks + "," + blocks + "]}"},
		{"with an end", rtp.AppendBYE(slices.Clone(rr), 9), "{" + nothing + "}"},
		{"feedback alone", rtp.AppendPLI(nil, 9, 7), ""},
		{"cut", sr[:20], ""},
		{"nothing", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(reportJSON(tt.compound)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func FuzzReportJSON(f *testing.F) {
	f.Add(rtp.AppendSDES(rtp.AppendSR(nil, 9, rtp.SenderInfo{}, nil), 9, "a@b"))
	f.Add([]byte{0x81, rtp.TypeSDES, 0, 2, 0, 0, 0, 9, 1, 200, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := reportJSON(b); got != nil && !json.Valid(got) {
			t.Errorf("%x gives %q", b, got)
		}
	})
}
