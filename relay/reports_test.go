package relay

import (
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
)

func TestReportFraction(t *testing.T) {
	var q quality
	for _, tt := range []struct {
		name               string
		expected, received uint64
		want               uint8
	}{
		{"first", 100, 100, 0},
		{"half of the next hundred", 200, 150, 128},
		{"nothing new", 200, 150, 0},
		{"all of the next ten", 210, 150, 255},
		{"more than expected", 220, 170, 0},
	} {
		if got := q.fraction(tt.expected, tt.received); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestReportAnswersSenderReport(t *testing.T) {
	var q quality
	at := time.Unix(1000, 0)
	if mark, delay := q.lastHeard(at); mark != 0 || delay != 0 {
		t.Errorf("before any: %d, %d", mark, delay)
	}
	ntp := rtp.NTP(at)
	q.heardFrom(ntp, at)
	if mark, delay := q.lastHeard(at.Add(1500 * time.Millisecond)); mark != rtp.NTPMiddle(ntp) || delay != 3<<15 {
		t.Errorf("mark %#x, delay %d, want %#x, %d", mark, delay, rtp.NTPMiddle(ntp), 3<<15)
	}
}

// With Reports set, RTCP ends here, and the receiver gets ours: in the source's name, with what was received from it.
func TestReports(t *testing.T) {
	h := memHost(t)
	from, to := memTransport(t, h, Settings{Reports: time.Hour}), memTransport(t, h, Settings{Reports: time.Hour})
	from.SetPlan(&Plan{Routes: []Route{{ID: 1, Sinks: []Sink{{To: to}}}}})
	to.SetPlan(&Plan{Routes: []Route{{ID: 2, Sinks: []Sink{{To: from}}}}})
	now := time.Now()
	for seq := range uint16(3) {
		handAt(from, RTP, plainRTP(seq, 7), farRTP, now)
	}
	handAt(to, RTP, plainRTP(9, 8), farRTP, now)
	hand(from, RTCP, rtp.AppendRR(nil, 7, nil), farRTCP)
	if got := take(to, RTCP); len(got) != 0 {
		t.Fatalf("RTCP passed: %x", got)
	}
	from.report(now)
	got := take(to, RTCP)
	if len(got) != 1 {
		t.Fatalf("%d reports", len(got))
	}
	p, _, err := rtp.ParsePacket(got[0])
	info, ok := p.SenderInfo()
	ssrc, _ := p.SSRC()
	if err != nil || !ok || ssrc != 7 || info.Packets != 3 || info.Octets != 3*14 {
		t.Errorf("report of %d: %+v, %v", ssrc, info, err)
	}
	if p.NumReports() != 1 || p.Report(0).SSRC != 8 || p.Report(0).HighestSeq != 9 {
		t.Errorf("%d blocks, first %+v", p.NumReports(), p.Report(0))
	}
	to.report(now.Add(time.Minute * 180)) // long after its source fell silent
	if got := take(from, RTCP); len(got) != 1 || got[0][1] != rtp.TypeRR {
		t.Errorf("after silence: %x, want a receiver report", got)
	}
}

// A report of ours counts as a measurement of the source, in the name it goes out with; where quality is measured here, it
// forgets the jitter of a source that has fallen silent.
func TestReportsMeasure(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    bool
		after  time.Duration
		jitter uint32 // two packets at once whose timestamps are 160 apart: 160/16
	}{
		{"talking", true, time.Second, 10},
		{"silent", true, 3 * time.Second, 0},
		{"silent, RFC 3550", false, 3 * time.Second, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := memHost(t)
			s := Settings{Reports: time.Hour, Measured: tt.set}
			from, to := memTransport(t, h, s), memTransport(t, h, s)
			from.SetPlan(&Plan{Routes: []Route{{ID: 1, Sinks: []Sink{{To: to}}}}})
			to.SetPlan(&Plan{Routes: []Route{{ID: 2, Sinks: []Sink{{To: from}}}}})
			now := time.Now()
			handAt(from, RTP, plainRTP(0, 7), farRTP, now)
			handAt(from, RTP, plainRTP(160, 7), farRTP, now)
			first := plainRTP(0, 8)
			second := append([]byte(nil), first...)
			second[3], second[7] = 1, 160
			handAt(to, RTP, first, farRTP, now)
			handAt(to, RTP, second, farRTP, now)
			from.report(now.Add(tt.after))
			p, _, err := rtp.ParsePacket(take(to, RTCP)[0])
			if err != nil || p.Report(0).Jitter != tt.jitter {
				t.Errorf("jitter %d, want %d; %v", p.Report(0).Jitter, tt.jitter, err)
			}
			want := ReceptionReport{At: now.Add(tt.after), Reporter: 7, Own: true, JitterUnits: tt.jitter}
			if got := to.Status().SSRCs[0].Reports; len(got) != 1 || got[0] != want {
				t.Errorf("measured %+v, want %+v", got, want)
			}
		})
	}
}

func plainRTP(seq uint16, ssrc byte) []byte {
	return []byte{0x80, 0, byte(seq >> 8), byte(seq), 0, 0, 0, byte(seq), 0, 0, 0, ssrc, 1, 2}
}
