package relay

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
)

func sr(ssrc uint32, ntp uint64, blocks ...rtp.ReportBlock) []byte {
	return rtp.AppendSR(nil, ssrc, rtp.SenderInfo{NTP: ntp, Packets: 1}, blocks)
}

func about(ssrc uint32) rtp.ReportBlock {
	return rtp.ReportBlock{SSRC: ssrc, FractionLost: 64, Lost: 3}
}

func TestForwardRTCP(t *testing.T) {
	pli := rtp.AppendPLI(nil, 5, 6)
	rr := rtp.AppendRR(nil, 5, nil)
	for _, tt := range []struct {
		name string
		in   []byte
		sink Sink
		on   Component
		to   Settings // of the sink
		want []byte
		at   Component
	}{
		{name: "report", in: rr, on: RTCP, want: rr, at: RTCP},
		{name: "on the RTP port", in: rr, on: RTP, want: rr, at: RTCP},
		{name: "to one that muxes", in: rr, on: RTCP, to: Settings{Muxed: true}, want: rr, at: RTP},
		{name: "feedback for AVPF", in: slices.Concat(rr, pli), sink: Sink{Feedback: true}, want: slices.Concat(rr, pli), at: RTCP},
		{name: "feedback for AVP", in: slices.Concat(rr, pli), want: rr, at: RTCP},
		{name: "nothing but feedback for AVP", in: pli, at: RTCP},
		{name: "in spite of mute", in: rr, sink: Sink{MuteRTP: true}, want: rr, at: RTCP},
		{name: "mute", in: rr, sink: Sink{MuteRTCP: true}, at: RTCP},
		{name: "malformed", in: rr[:len(rr)-1], at: RTCP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := memHost(t)
			from, to := memTransport(t, h, Settings{}), memTransport(t, h, tt.to)
			tt.sink.To = to
			from.SetPlan(&Plan{Routes: []Route{{Discard: true, Sinks: []Sink{tt.sink}}}}) // RTCP passes in every direction
			hand(from, tt.on, tt.in, farRTCP)
			got := take(to, tt.at)
			if tt.want == nil && len(got) != 0 || tt.want != nil && (len(got) != 1 || !bytes.Equal(got[0], tt.want)) {
				t.Errorf("got %x, want %x", got, tt.want)
			}
		})
	}
}

// A report may come before there is a plan, and in the moment in which a call ends.
func TestRTCPWithoutPlan(t *testing.T) {
	for name, end := range map[string]func(*Transport){
		"not yet":    func(*Transport) {},
		"no more":    func(x *Transport) { x.SetPlan(nil) },
		"no section": func(x *Transport) { x.SetPlan(&Plan{}) },
	} {
		t.Run(name, func(t *testing.T) {
			h := memHost(t)
			x, to := memTransport(t, h, Settings{}), memTransport(t, h, Settings{})
			if name != "not yet" {
				x.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
			}
			end(x)
			hand(x, RTCP, rtp.AppendRR(nil, 5, []rtp.ReportBlock{about(6)}), farRTCP)
			if got := take(to, RTCP); len(got) != 0 {
				t.Errorf("got %x, want nothing", got)
			}
		})
	}
}

// bundle is a bundled transport with an audio (source 1) and a video section (source 2), each with a plain transport
// whose far side sends a source too (11 and 12).
func bundle(t *testing.T) (b, audio, video *Transport) {
	h := memHost(t)
	b, audio, video = memTransport(t, h, Settings{Muxed: true}), memTransport(t, h, Settings{}), memTransport(t, h, Settings{})
	b.SetPlan(&Plan{Routes: []Route{
		{ID: 1, MID: "a", MIDExt: 4, Sinks: []Sink{{To: audio, Feedback: true}}},
		{ID: 2, MID: "v", MIDExt: 4, Sinks: []Sink{{To: video, Feedback: true}}},
	}})
	audio.SetPlan(&Plan{Routes: []Route{{ID: 3, Sinks: []Sink{{To: b}}}}})
	video.SetPlan(&Plan{Routes: []Route{{ID: 4, Sinks: []Sink{{To: b}}}}})
	hand(b, RTP, withExt(0, 1, 0x40, 'a'), farRTP)
	hand(b, RTP, withExt(0, 2, 0x40, 'v'), farRTP)
	hand(audio, RTP, rtpPacket(1, 11), farRTP)
	hand(video, RTP, rtpPacket(1, 12), farRTP)
	for _, tr := range []*Transport{b, audio, video} {
		take(tr, RTP)
	}
	return b, audio, video
}

func TestBundleRTCP(t *testing.T) {
	cname := func(ssrc uint32) []byte { return rtp.AppendSDES(nil, ssrc, "x") }
	fir := append(rtp.AppendPLI(nil, 9, 0), 0, 0, 0, 12, 1, 0, 0, 0)
	fir[0], fir[3] = 0x80|rtp.FormatFIR, 4
	remb := append(rtp.AppendPLI(nil, 9, 0), 'R', 'E', 'M', 'B', 1, 0, 0, 0, 0, 0, 0, 12)
	remb[0], remb[3] = 0x80|15, 5
	for _, tt := range []struct {
		name         string
		in           []byte
		audio, video []byte
	}{
		{"audio's sender", slices.Concat(sr(1, 7, about(11)), cname(1)), slices.Concat(sr(1, 7, about(11)), cname(1)), nil},
		{"video's sender", slices.Concat(sr(2, 7, about(12)), cname(2)), nil, slices.Concat(sr(2, 7, about(12)), cname(2))},
		{"a receiver of both", slices.Concat(rtp.AppendRR(nil, 9, []rtp.ReportBlock{about(11), about(12)}), cname(9)),
			slices.Concat(rtp.AppendRR(nil, 9, []rtp.ReportBlock{about(11)}), cname(9)),
			slices.Concat(rtp.AppendRR(nil, 9, []rtp.ReportBlock{about(12)}), cname(9))},
		{"audio's sender reports on both", slices.Concat(sr(1, 7, about(11), about(12)), cname(1)),
			slices.Concat(sr(1, 7, about(11)), cname(1)), slices.Concat(rtp.AppendRR(nil, 1, []rtp.ReportBlock{about(12)}), cname(1))},
		{"picture loss", rtp.AppendPLI(nil, 1, 12), nil, rtp.AppendPLI(nil, 1, 12)},
		{"full intra request", fir, nil, fir},
		{"bandwidth estimate", remb, nil, remb},
		{"report and picture loss", slices.Concat(sr(1, 7), rtp.AppendPLI(nil, 1, 12)), sr(1, 7), rtp.AppendPLI(nil, 1, 12)},
		{"bye", rtp.AppendBYE(nil, 2), nil, rtp.AppendBYE(nil, 2)},
		{"nobody's", rtp.AppendRR(nil, 99, nil), rtp.AppendRR(nil, 99, nil), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, audio, video := bundle(t)
			hand(b, RTP, tt.in, farRTP)
			for _, x := range []struct {
				name string
				got  [][]byte
				want []byte
			}{{"audio", take(audio, RTCP), tt.audio}, {"video", take(video, RTCP), tt.video}} {
				if x.want == nil && len(x.got) != 0 || x.want != nil && (len(x.got) != 1 || !bytes.Equal(x.got[0], x.want)) {
					t.Errorf("%s got %x, want %x", x.name, x.got, x.want)
				}
			}
		})
	}
}

// Two bundles with the same sources in other sections: reports go to the section that sends.
func TestBundleToBundle(t *testing.T) {
	h := memHost(t)
	x, y := memTransport(t, h, Settings{Muxed: true}), memTransport(t, h, Settings{Muxed: true})
	plan := func(to *Transport) *Plan {
		return &Plan{Routes: []Route{
			{ID: 1, MID: "a", MIDExt: 4, Sinks: []Sink{{To: to}}},
			{ID: 2, MID: "v", MIDExt: 4, Sinks: []Sink{{To: to}}},
		}}
	}
	x.SetPlan(plan(y))
	y.SetPlan(plan(x))
	hand(y, RTP, withExt(0, 12, 0x40, 'v'), farRTP)
	in := rtp.AppendRR(nil, 9, []rtp.ReportBlock{about(12)})
	hand(x, RTP, in, farRTP)
	if got := take(y, RTP); len(got) != 1 || !bytes.Equal(got[0], in) {
		t.Errorf("got %x, want %x once", got, in)
	}
	p, _, _ := rtp.ParsePacket(in)
	if r := x.plan.Load().ownerOf(x, p); r.ID != 2 {
		t.Errorf("report about video belongs to section %d", r.ID)
	}
}

func TestQuality(t *testing.T) {
	h := memHost(t)
	a, b := memTransport(t, h, Settings{}), memTransport(t, h, Settings{})
	a.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: b}}}}})
	b.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: a}}}}})
	now := time.Unix(1000, 0)
	const ntp = 0x0123456789abcdef
	handAt(a, RTP, rtpPacket(1, 5), farRTP, now)
	handAt(a, RTCP, sr(5, ntp), farRTCP, now)
	answer := about(5)
	answer.LastSR, answer.Delay, answer.Jitter = rtp.NTPMiddle(ntp), 1<<16, 42
	handAt(b, RTCP, rtp.AppendRR(nil, 9, []rtp.ReportBlock{answer, about(77)}), farRTCP, now.Add(1030*time.Millisecond))
	want := ReceptionReport{At: now.Add(1030 * time.Millisecond), Reporter: 9, FractionLost: 64, Lost: 3, JitterUnits: 42, RoundTrip: 30 * time.Millisecond}
	got := a.Status().SSRCs[0].Reports
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for i := range maxReports {
		answer.Lost = int32(i)
		handAt(b, RTCP, rtp.AppendRR(nil, 9, []rtp.ReportBlock{answer}), farRTCP, now)
	}
	if got := a.Status().SSRCs[0].Reports; len(got) != maxReports || got[0].Lost != 0 || got[maxReports-1].Lost != maxReports-1 {
		t.Errorf("%d reports: %+v", len(got), got)
	}
}

func TestSource(t *testing.T) {
	type packet struct {
		seq uint16
		ms  int // arrival
		ts  uint32
	}
	for _, tt := range []struct {
		name    string
		packets []packet
		want    SSRCStatus
	}{
		{"in order", []packet{{10, 0, 0}, {11, 20, 160}, {12, 40, 320}}, SSRCStatus{LastSeq: 12}},
		{"lost", []packet{{10, 0, 0}, {13, 60, 480}}, SSRCStatus{LastSeq: 13, Lost: 2, Skips: 1}},
		{"late", []packet{{10, 0, 0}, {12, 40, 320}, {11, 40, 160}}, SSRCStatus{LastSeq: 12, Skips: 1, Reordered: 1, JitterUnits: 160.0 / 16}},
		{"doubled", []packet{{10, 0, 0}, {11, 20, 160}, {11, 20, 160}, {13, 60, 480}}, SSRCStatus{LastSeq: 13, Duplicates: 1, Lost: 1, Skips: 1}},
		{"before the first", []packet{{0, 0, 160}, {65535, 0, 0}}, SSRCStatus{LastSeq: 0, Reordered: 1, JitterUnits: 160.0 / 16}},
		{"wrap", []packet{{65535, 0, 0}, {0, 20, 160}, {1, 40, 320}}, SSRCStatus{LastSeq: 65537}},
		{"sender begins anew", []packet{{10, 0, 0}, {12, 40, 320}, {30000, 60, 480}, {30001, 80, 640}}, SSRCStatus{LastSeq: 30001, Lost: 1, Skips: 1, Resets: 1}},
		{"jitter", []packet{{1, 0, 0}, {2, 40, 160}}, SSRCStatus{LastSeq: 2, JitterUnits: 10}},
		{"timestamp jumps", []packet{{1, 0, 0}, {2, 20, 1 << 30}}, SSRCStatus{LastSeq: 2}},
		{"a pause", []packet{{1, 0, 0}, {2, 70000, 160}}, SSRCStatus{LastSeq: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &source{}
			start := time.Unix(1000, 0)
			for _, p := range tt.packets {
				s.received(rtp.Header{Seq: p.seq, Timestamp: p.ts}, 10, nil, start.Add(time.Duration(p.ms)*time.Millisecond))
			}
			got := s.status()
			tt.want.Packets, tt.want.Bytes = uint64(len(tt.packets)), uint64(10*len(tt.packets))
			tt.want.LastTimestamp = tt.packets[len(tt.packets)-1].ts
			if got.Reports = nil; !equalStatus(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func equalStatus(a, b SSRCStatus) bool {
	a.Reports, b.Reports = nil, nil
	return a.SSRC == b.SSRC && a.Packets == b.Packets && a.Bytes == b.Bytes && a.LastSeq == b.LastSeq &&
		a.LastTimestamp == b.LastTimestamp && a.Lost == b.Lost && a.JitterUnits == b.JitterUnits &&
		a.Duplicates == b.Duplicates && a.Reordered == b.Reordered && a.Skips == b.Skips && a.Resets == b.Resets && a.LastPT == b.LastPT
}

func TestSourcesBounded(t *testing.T) {
	var s sources
	now := time.Unix(1000, 0)
	for i := range uint32(maxSources) {
		s.get(i, now)
	}
	if s.get(1000, now.Add(sourceIdle-1)) != nil {
		t.Error("a source in use gave way")
	}
	s.get(0, now).last.Store(now.Add(time.Hour).UnixNano())
	if s.get(1000, now.Add(sourceIdle)) == nil || s.find(1) != nil || s.find(0) == nil {
		t.Error("an idle source did not give way")
	}
}
