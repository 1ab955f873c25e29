package rtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	pionrtcp "github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseHeader(t *testing.T) {
	tests := []struct {
		name, in string
		want     Header
		err      error
	}{
		{name: "empty", in: "", err: ErrShort},
		{name: "eleven bytes", in: "80 00 0001 00000002 000000", err: ErrShort},
		{name: "version 1", in: "40 00 0001 00000002 00000003", err: ErrVersion},
		{name: "plain", in: "80 08 0102 03040506 0708090a ff",
			want: Header{PT: 8, Seq: 0x102, Timestamp: 0x3040506, SSRC: 0x708090a, Len: 12}},
		{name: "marker and padding bit", in: "a0 e0 0102 03040506 0708090a",
			want: Header{Padding: true, Marker: true, PT: 96, Seq: 0x102, Timestamp: 0x3040506, SSRC: 0x708090a, Len: 12}},
		{name: "two CSRCs", in: "82 00 0001 00000002 00000003 0000000a 0000000b",
			want: Header{Seq: 1, Timestamp: 2, SSRC: 3, CSRCCount: 2, Len: 20}},
		{name: "CSRC cut", in: "82 00 0001 00000002 00000003 0000000a 0000", err: ErrShort},
		{name: "extension", in: "90 00 0001 00000002 00000003 bede0001 10ff0000",
			want: Header{Seq: 1, Timestamp: 2, SSRC: 3, Extension: true, ExtProfile: 0xbede, ExtOffset: 16, ExtLen: 4, Len: 20}},
		{name: "empty extension", in: "90 00 0001 00000002 00000003 12340000",
			want: Header{Seq: 1, Timestamp: 2, SSRC: 3, Extension: true, ExtProfile: 0x1234, ExtOffset: 16, Len: 16}},
		{name: "extension header cut", in: "90 00 0001 00000002 00000003 bede", err: ErrShort},
		{name: "extension lies", in: "90 00 0001 00000002 00000003 bedeffff 00000000", err: ErrShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseHeader(unhex(t, tt.in))
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("ParseHeader(%s)\n got %+v, %v\nwant %+v, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestPayload(t *testing.T) {
	tests := []struct {
		name, in, want string
		err            error
	}{
		{name: "none", in: "80 00 0001 00000002 00000003", want: ""},
		{name: "no padding", in: "80 00 0001 00000002 00000003 0102", want: "0102"},
		{name: "padding", in: "a0 00 0001 00000002 00000003 0102 000003", want: "0102"},
		{name: "all padding", in: "a0 00 0001 00000002 00000003 0002", want: ""},
		{name: "zero padding", in: "a0 00 0001 00000002 00000003 0000", err: ErrSyntax},
		{name: "too much padding", in: "a0 00 0001 00000002 00000003 0003", err: ErrSyntax},
		{name: "padding of nothing", in: "a0 00 0001 00000002 00000003", err: ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.in)
			h, err := ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Payload(b)
			if hex.EncodeToString(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Payload(%s) = %x, %v, want %s, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestSetters(t *testing.T) {
	b := AppendHeader(nil, Header{Marker: true, PT: 96, Seq: 1, Timestamp: 2, SSRC: 3})
	SetPT(b, 255)
	SetSeq(b, 0xabcd)
	SetTimestamp(b, 0x01020304)
	SetSSRC(b, 0x05060708)
	if got, want := hex.EncodeToString(b), "80ffabcd0102030405060708"; got != want {
		t.Errorf("with marker: got %s, want %s", got, want)
	}
	SetPT(b, 0)
	SetMarker(b, false)
	if got, want := hex.EncodeToString(b[:2]), "8000"; got != want {
		t.Errorf("without marker: got %s, want %s", got, want)
	}
	SetMarker(b, true)
	if got, want := hex.EncodeToString(b[:2]), "8080"; got != want {
		t.Errorf("marker again: got %s, want %s", got, want)
	}
}

func TestCSRC(t *testing.T) {
	b := unhex(t, "82 00 0001 00000002 00000003 0000000a 0000000b")
	h, _ := ParseHeader(b)
	if h.CSRC(b, 0) != 10 || h.CSRC(b, 1) != 11 {
		t.Errorf("CSRCs %d, %d, want 10, 11", h.CSRC(b, 0), h.CSRC(b, 1))
	}
}

func TestExtensionsWalk(t *testing.T) {
	tests := []struct {
		name, profile, data string
		want                string
	}{
		{"one byte", "bede", "10ff 21aabb 00 0000", "1:ff 2:aabb"},
		{"padding between", "bede", "10ff 0000 20aa 0000", "1:ff 2:aa"},
		{"id 15 stops", "bede", "10ff f0aa 2001 0000", "1:ff"},
		{"id 0 with length stops", "bede", "01ff ff20 01000000", ""},
		{"one byte runs over", "bede", "10ff 2f00", "1:ff"},
		{"sixteen bytes", "bede", "3f 000102030405060708090a0b0c0d0e0f 000000", "3:000102030405060708090a0b0c0d0e0f"},
		{"two byte", "1000", "0101ff 0200 1002aabb 000000", "1:ff 2: 16:aabb"},
		{"two byte appbits", "100f", "0101ff 00", "1:ff"},
		{"two byte cut", "1000", "0101ff 02", "1:ff"},
		{"two byte runs over", "1000", "0105ffff", ""},
		{"other profile", "1234", "10ff0000", ""},
		{"empty", "bede", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := extended(t, tt.profile, tt.data, "")
			h, err := ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := elements(b, h); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if it := (Header{}).Extensions(nil); it.Next() {
		t.Error("a packet without extension has elements")
	}
}

func extended(t testing.TB, profile, data, payload string) []byte {
	d := unhex(t, data)
	b := unhex(t, "91 60 0001 00000002 00000003 0000000a"+profile)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d)/4))
	return append(append(b, d...), unhex(t, payload)...)
}

func elements(b []byte, h Header) string {
	var out []string
	it := h.Extensions(b)
	for it.Next() {
		out = append(out, strings.Join([]string{itoa(it.ID), hex.EncodeToString(it.Value)}, ":"))
	}
	return strings.Join(out, " ")
}

func itoa(n uint8) string {
	if n >= 10 {
		return itoa(n/10) + string('0'+n%10)
	}
	return string('0' + n)
}

func TestMapExtensions(t *testing.T) {
	only := func(pairs ...uint8) *ExtensionMap {
		m := new(ExtensionMap)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	tests := []struct {
		name, profile, data string
		m                   *ExtensionMap
		want                string // elements
		wantExt             bool
		forms               ExtensionForms
		wantProfile         uint16 // 0: not looked at
	}{
		{"keep and renumber", "bede", "10ff 21aabb 00 0000", only(1, 5, 2, 1), "5:ff 1:aabb", true, FormAsIs, 0},
		{"swap", "bede", "10ff 20aa", only(1, 2, 2, 1), "2:ff 1:aa", true, FormAsIs, 0},
		{"remove first", "bede", "10ff 21aabb 00 0000", only(2, 2), "2:aabb", true, FormAsIs, 0},
		{"remove last", "bede", "10ff 21aabb 00 0000", only(1, 1), "1:ff", true, FormAsIs, 0},
		{"remove all", "bede", "10ff 21aabb 00 0000", only(), "", false, FormAsIs, 0},
		{"does not fit", "bede", "10ff 20aa", only(1, 15, 2, 2), "2:aa", true, FormAsIs, 0},
		{"fits in two bytes", "1000", "0101ff 00", only(1, 200), "200:ff", true, FormAsIs, 0},
		{"two byte remove", "1000", "0101ff 0201aa 0000", only(2, 9), "9:aa", true, FormAsIs, 0},
		{"behind the stop mark", "bede", "10ff f0aa 2001 0000", only(1, 1, 2, 2), "1:ff", true, FormAsIs, 0},
		{"empty extension", "bede", "", only(1, 1), "", false, FormAsIs, 0},
		{"made short", "1000", "0102aabb 0202ccdd", only(1, 3, 2, 4), "3:aabb 4:ccdd", true, FormShort, ProfileOneByte},
		{"one is too long to be short", "1000", "0102aabb 0211" + strings.Repeat("cc", 17) + "00", only(1, 1, 2, 2), "1:aabb 2:" + strings.Repeat("cc", 17), true, FormShort, ProfileTwoByte},
		{"what is too long goes away", "1000", "0211" + strings.Repeat("cc", 17) + "0102aabb 00", only(1, 1, 2, 2), "1:aabb", true, FormOneByte, ProfileOneByte},
		{"an id too large goes away", "1000", "0102aabb 0202ccdd", only(1, 15, 2, 14), "14:ccdd", true, FormOneByte, ProfileOneByte},
		{"an empty value goes away", "1000", "0100 0200", only(1, 1, 2, 2), "", false, FormOneByte, 0},
		{"short already", "bede", "10ff 20aa", only(1, 2, 2, 1), "2:ff 1:aa", true, FormOneByte, ProfileOneByte},
		{"other profile stays", "1234", "10ff0000", only(), "", true, FormAsIs, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := extended(t, tt.profile, tt.data, "c0ffee")
			h, err := ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			out := MapExtensions(b, h, tt.m, tt.forms)
			g, err := ParseHeader(out)
			if err != nil {
				t.Fatal(err)
			}
			payload, _ := g.Payload(out)
			if got := elements(out, g); got != tt.want || g.Extension != tt.wantExt {
				t.Errorf("elements %q, extension %v, want %q, %v", got, g.Extension, tt.want, tt.wantExt)
			}
			if tt.wantProfile != 0 && g.ExtProfile != tt.wantProfile {
				t.Errorf("profile %x, want %x", g.ExtProfile, tt.wantProfile)
			}
			if !bytes.Equal(payload, []byte{0xc0, 0xff, 0xee}) || g.SSRC != 3 || g.CSRC(out, 0) != 10 {
				t.Errorf("packet damaged: %x", out)
			}
			if tt.name == "behind the stop mark" && bytes.Contains(out, []byte{0x20, 0x01}) {
				t.Errorf("an element that was not mapped passed: %x", out)
			}
		})
	}
}

func TestExtendSeq(t *testing.T) {
	tests := []struct {
		name    string
		highest uint64
		seq     uint16
		want    uint64
	}{
		{"next", 5, 6, 6},
		{"same", 5, 5, 5},
		{"before", 5, 4, 4},
		{"wrap up", 0xffff, 0, 0x10000},
		{"wrap down", 0x10000, 0xffff, 0xffff},
		{"reordered start", 2, 0xfffe, 0xfffe},
		{"far ahead", 0x2_0000, 0x7fff, 0x2_7fff},
		{"exactly half ahead", 0x2_0000, 0x8000, 0x2_8000},
		{"beyond half is behind", 0x2_0000, 0x8001, 0x1_8001},
		{"exactly half behind", 0x2_8000, 0, 0x2_0000},
		{"high cycle", 0xffff_ffff_fff0, 3, 0x1_0000_0000_0003},
	}
	for _, tt := range tests {
		if got := ExtendSeq(tt.highest, tt.seq); got != tt.want {
			t.Errorf("%s: ExtendSeq(%#x, %#x) = %#x, want %#x", tt.name, tt.highest, tt.seq, got, tt.want)
		}
	}
}

func TestNewer(t *testing.T) {
	if !SeqNewer(0, 0xffff) || SeqNewer(0xffff, 0) || SeqNewer(7, 7) {
		t.Error("SeqNewer")
	}
	if !TimestampNewer(0, 0xffffffff) || TimestampNewer(0xffffffff, 0) || TimestampNewer(7, 7) {
		t.Error("TimestampNewer")
	}
}

func TestParsePacket(t *testing.T) {
	tests := []struct {
		name, in string
		types    []uint8
		err      error
	}{
		{name: "empty", in: "", err: ErrShort},
		{name: "three bytes", in: "80c900", err: ErrShort},
		{name: "RR", in: "80c90001 00000001", types: []uint8{201}},
		{name: "RR and BYE", in: "80c90001 00000001 81cb0001 00000001", types: []uint8{201, 203}},
		{name: "header alone", in: "80cb0000", types: []uint8{203}},
		{name: "version", in: "40c90001 00000001", err: ErrVersion},
		{name: "length lies", in: "80c90002 00000001", err: ErrShort},
		{name: "trailing bytes", in: "80c90001 00000001 ff", types: []uint8{201}, err: ErrShort},
		{name: "block out of the length", in: "81c90001 00000001 00000002 00000000 00000000 00000000 00000000 00000000", types: []uint8{201}},
		{name: "half a block out of the length", in: "81c90001 00000001 00000002 00000000", types: []uint8{201}, err: ErrVersion},
		{name: "packet in place of the block", in: "81c90001 00000001 80ca0006 00000002 00000000 00000000 00000000 00000000 00000000", types: []uint8{201, 202}},
		{name: "padding", in: "a0c90002 00000001 00000004", types: []uint8{201}},
		{name: "padding zero", in: "a0c90002 00000001 00000000", err: ErrSyntax},
		{name: "padding over header", in: "a0c90001 00000008", err: ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.in)
			if err := CheckCompound(b); !errors.Is(err, tt.err) {
				t.Errorf("CheckCompound: %v, want %v", err, tt.err)
			}
			var got []uint8
			for len(b) > 0 {
				p, rest, err := ParsePacket(b)
				if err != nil {
					break
				}
				got, b = append(got, p.Type), rest
			}
			if !slices.Equal(got, tt.types) {
				t.Errorf("types %v, want %v", got, tt.types)
			}
		})
	}
}

func TestWellFormed(t *testing.T) {
	for in, want := range map[string]string{
		"80c90001 00000001 81cb0001 00000001": "80c90001 00000001 81cb0001 00000001",
		"80c90001 00000001 81cb0002 00000001": "80c90001 00000001",
		"80c90001 00000001 ff":                "80c90001 00000001",
		"80c90002 00000001":                   "",
		"":                                    "",
	} {
		got, err := WellFormed(unhex(t, in))
		if !slices.Equal(got, unhex(t, want)) || (err == nil) != (want != "") {
			t.Errorf("%q: %x, %v", in, got, err)
		}
	}
}

func TestReports(t *testing.T) {
	blocks := []ReportBlock{
		{SSRC: 10, FractionLost: 128, Lost: -5, HighestSeq: 0x10002, Jitter: 77, LastSR: 0x01020304, Delay: 65536},
		{SSRC: 11, Lost: 1 << 22},
	}
	info := SenderInfo{NTP: 0x0102030405060708, Timestamp: 9, Packets: 10, Octets: 11}
	b := AppendSR(nil, 1, info, blocks)
	b = AppendSDES(b, 1, "me@here")
	b = AppendBYE(b, 1)
	if err := CheckCompound(b); err != nil {
		t.Fatal(err)
	}

	packets, err := pionrtcp.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	sr := packets[0].(*pionrtcp.SenderReport)
	if sr.SSRC != 1 || sr.NTPTime != info.NTP || sr.RTPTime != 9 || sr.PacketCount != 10 || sr.OctetCount != 11 ||
		len(sr.Reports) != 2 || sr.Reports[0].LastSequenceNumber != 0x10002 || sr.Reports[0].TotalLost != 0xfffffb {
		t.Errorf("pion reads %+v", sr)
	}
	if c := packets[1].(*pionrtcp.SourceDescription).Chunks[0]; c.Source != 1 || c.Items[0].Text != "me@here" {
		t.Errorf("pion reads %+v", c)
	}
	if bye := packets[2].(*pionrtcp.Goodbye); !slices.Equal(bye.Sources, []uint32{1}) {
		t.Errorf("pion reads %+v", bye)
	}

	p, rest, err := ParsePacket(b)
	if err != nil || p.NumReports() != 2 || p.Report(0) != blocks[0] || p.Report(1) != blocks[1] {
		t.Errorf("own reading: %+v, %v", p, err)
	}
	if got, ok := p.SenderInfo(); !ok || got != info {
		t.Errorf("sender info %+v, %v", got, ok)
	}
	p.SetSSRC(99)
	p.SetReport(1, blocks[0])
	p.SetSenderInfo(SenderInfo{NTP: 5})
	if ssrc, _ := p.SSRC(); ssrc != 99 || p.Report(1) != blocks[0] {
		t.Error("setters had no effect")
	}
	if got, _ := p.SenderInfo(); got != (SenderInfo{NTP: 5}) {
		t.Errorf("sender info after set %+v", got)
	}
	_, rest, _ = ParsePacket(rest)
	bye, _, _ := ParsePacket(rest)
	if bye.NumSources() != 1 || bye.Source(0) != 1 {
		t.Errorf("BYE %+v", bye)
	}
}

func TestReportsThatLie(t *testing.T) {
	// Each says 31 of what it holds less of.
	for _, in := range []string{
		"9fc80001 00000001", "9fc90001 00000001", "9fc90000", "9fcb0001 00000001", "9fce0001 00000001", "9fc80000",
	} {
		p, _, err := ParsePacket(unhex(t, in))
		if err != nil {
			t.Fatal(err)
		}
		if p.NumReports() != 0 || p.NumSources() > 1 {
			t.Errorf("%s: %d reports, %d sources", in, p.NumReports(), p.NumSources())
		}
		if _, ok := p.SenderInfo(); ok {
			t.Errorf("%s: sender info", in)
		}
		if _, ok := p.MediaSSRC(); ok {
			t.Errorf("%s: media SSRC", in)
		}
		p.SetSSRC(1)
		p.SetMediaSSRC(1)
		p.SetSenderInfo(SenderInfo{})
	}
}

func TestLostIsClamped(t *testing.T) {
	for _, tt := range []struct{ in, want int32 }{{1 << 30, 1<<23 - 1}, {-1 << 30, -1 << 23}, {-1, -1}} {
		p, _, err := ParsePacket(AppendRR(nil, 1, []ReportBlock{{Lost: tt.in}}))
		if err != nil || p.Report(0).Lost != tt.want {
			t.Errorf("lost %d becomes %d, want %d (%v)", tt.in, p.Report(0).Lost, tt.want, err)
		}
	}
}

func TestFilterFeedback(t *testing.T) {
	rr := AppendRR(nil, 1, nil)
	pli := AppendPLI(nil, 1, 2)
	nack := unhex(t, "81cd0003 00000001 00000002 00010000")
	bye := AppendBYE(nil, 1)
	cat := func(p ...[]byte) []byte { return slices.Concat(p...) }
	tests := []struct {
		name     string
		in, want []byte
		err      error
	}{
		{name: "empty"},
		{name: "nothing to do", in: cat(rr, bye), want: cat(rr, bye)},
		{name: "in between", in: cat(rr, pli, bye, nack), want: cat(rr, bye)},
		{name: "first", in: cat(nack, rr), want: rr},
		{name: "only feedback", in: cat(pli, nack), want: nil},
		{name: "broken tail", in: cat(rr, pli[:8]), err: ErrShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FilterFeedback(tt.in)
			if !bytes.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("got %x, %v, want %x, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestFeedbackSSRCs(t *testing.T) {
	p, _, _ := ParsePacket(AppendPLI(nil, 1, 2))
	if m, ok := p.MediaSSRC(); !ok || m != 2 || p.Count != FormatPLI {
		t.Errorf("PLI %+v", p)
	}
	p.SetMediaSSRC(7)
	if m, _ := p.MediaSSRC(); m != 7 {
		t.Errorf("media SSRC %d, want 7", m)
	}
}

func TestNTP(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 20, 27, 500_000_000, time.UTC)
	n := NTP(at)
	if n&0xffffffff != 1<<31 || !NTPTime(n).Equal(at) {
		t.Errorf("NTP(%v) = %#x, back %v", at, n, NTPTime(n))
	}
	r := ReportBlock{LastSR: NTPMiddle(n), Delay: 65536}
	if d, ok := RoundTrip(r, at.Add(1250*time.Millisecond)); !ok || d != 250*time.Millisecond {
		t.Errorf("round trip %v, %v, want 250ms", d, ok)
	}
	if _, ok := RoundTrip(r, at); ok {
		t.Error("negative round trip accepted")
	}
	if _, ok := RoundTrip(ReportBlock{}, at); ok {
		t.Error("round trip without a sender report")
	}
}

func TestSDESLengths(t *testing.T) {
	for n := range 300 {
		b := AppendSDES(nil, 1, strings.Repeat("x", n))
		packets, err := pionrtcp.Unmarshal(b)
		if err != nil {
			t.Fatalf("CNAME of %d bytes: %v", n, err)
		}
		if got := packets[0].(*pionrtcp.SourceDescription).Chunks[0].Items[0].Text; len(got) != min(n, 255) {
			t.Errorf("CNAME of %d bytes became %d", n, len(got))
		}
	}
}

func TestNoAllocations(t *testing.T) {
	b := extended(t, "bede", "10ff 21aabb 00 0000", "c0ffee")
	keep := &ExtensionMap{1: 1, 2: 2}
	rtcp := AppendBYE(AppendSR(nil, 1, SenderInfo{}, []ReportBlock{{}}), 1)
	blocks := []ReportBlock{{}}
	buf := make([]byte, 0, 256)
	for name, f := range map[string]func(){
		"header": func() {
			h, _ := ParseHeader(b)
			it := h.Extensions(b)
			for it.Next() {
				SetSeq(b, uint16(it.ID))
			}
			MapExtensions(b, h, keep, FormAsIs)
		},
		"compound": func() {
			for b := rtcp; len(b) > 0; {
				var p Packet
				p, b, _ = ParsePacket(b)
				for i := range p.NumReports() {
					p.SetReport(i, p.Report(i))
				}
				p.SetSSRC(1)
			}
			rtcp, _ = FilterFeedback(rtcp)
		},
		"build": func() { buf = AppendSR(AppendRR(buf[:0], 1, blocks), 1, SenderInfo{}, blocks) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(unhex(f, "80 08 0102 03040506 0708090a ff"))
	f.Add(extended(f, "bede", "10ff 21aabb 00 0000", "c0ffee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		var p pionrtp.Header
		if n, err := p.Unmarshal(b); err == nil &&
			(n != h.Len || p.SSRC != h.SSRC || p.SequenceNumber != h.Seq || p.PayloadType != h.PT || p.Marker != h.Marker) {
			t.Fatalf("pion reads %+v (%d), we %+v", p, n, h)
		}
		if payload, err := h.Payload(b); err == nil && len(payload) > len(b)-h.Len {
			t.Fatal("payload longer than the packet")
		}
	})
}

func FuzzMapExtensions(f *testing.F) {
	f.Add(extended(f, "bede", "10ff 21aabb 00 0000", "c0ffee"), uint8(1), uint8(2), uint8(0))
	f.Add(extended(f, "1000", "0101ff 0201aa 0000", ""), uint8(2), uint8(200), uint8(1))
	f.Add(extended(f, "1000", "0101ff 0201aa 0000", ""), uint8(2), uint8(3), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, from, to, forms uint8) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		var m ExtensionMap
		m[from] = to
		payload := bytes.Clone(b[h.Len:])
		out := MapExtensions(b, h, &m, ExtensionForms(forms%3))
		g, err := ParseHeader(out)
		if err != nil {
			t.Fatalf("result: %v", err)
		}
		if !bytes.Equal(out[g.Len:], payload) {
			t.Fatal("payload changed")
		}
		it := g.Extensions(out)
		for it.Next() {
			if it.ID != to {
				t.Fatalf("id %d passed", it.ID)
			}
		}
	})
}

func FuzzCompound(f *testing.F) {
	f.Add(AppendPLI(AppendSDES(AppendSR(nil, 1, SenderInfo{}, []ReportBlock{{}}), 1, "x"), 1, 2))
	f.Add(AppendBYE(AppendRR(nil, 1, nil), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		ok := CheckCompound(b) == nil
		for rest := b; len(rest) > 0; {
			p, next, err := ParsePacket(rest)
			if err != nil {
				break
			}
			for i := range p.NumReports() {
				p.SetReport(i, p.Report(i))
			}
			for i := range p.NumSources() {
				p.Source(i)
			}
			if s, ok := p.SSRC(); ok {
				p.SetSSRC(s)
			}
			if s, ok := p.MediaSSRC(); ok {
				p.SetMediaSSRC(s)
			}
			if s, ok := p.SenderInfo(); ok {
				p.SetSenderInfo(s)
			}
			rest = next
		}
		out, err := FilterFeedback(b)
		if ok != (err == nil) && len(b) > 0 {
			t.Fatalf("CheckCompound %v, FilterFeedback %v", ok, err)
		}
		if len(out) > 0 && CheckCompound(out) != nil {
			t.Fatal("filter broke the compound")
		}
	})
}
