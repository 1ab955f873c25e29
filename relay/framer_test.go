package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
)

// A framing test writes packets as "seq ts+bytes", with PT, "m" for the marker and another source where they matter:
// "10 800+160", "11 960+4 pt101", "12 1120+160 m", "1 0+160 ssrc7". The bytes of audio count up with the timestamp, so that
// a misplaced one shows.
func framingPacket(t *testing.T, text string) []byte {
	t.Helper()
	var seq, size int
	var ts uint32
	head, rest, _ := strings.Cut(text, "+")
	if _, err := fmt.Sscanf(head, "%d %d", &seq, &ts); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(rest)
	fmt.Sscanf(words[0], "%d", &size)
	b := make([]byte, 12+size)
	b[0], b[11] = 0x80, 5
	for _, w := range words[1:] {
		switch {
		case w == "m":
			b[1] |= 0x80
		case strings.HasPrefix(w, "pt"):
			var pt int
			fmt.Sscanf(w, "pt%d", &pt)
			b[1] |= byte(pt)
		case strings.HasPrefix(w, "ssrc"):
			fmt.Sscanf(w, "ssrc%d", &b[11])
		}
	}
	binary.BigEndian.PutUint16(b[2:], uint16(seq))
	binary.BigEndian.PutUint32(b[4:], ts)
	for i := range size {
		b[12+i] = byte(ts + uint32(i))
	}
	return b
}

func framingText(b []byte) string {
	h, err := rtp.ParseHeader(b)
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%d %d+%d", h.Seq, h.Timestamp, len(b)-12)
	if h.PT != 0 {
		s += fmt.Sprintf(" pt%d", h.PT)
	}
	if h.Marker {
		s += " m"
	}
	if h.SSRC != 5 {
		s += fmt.Sprintf(" ssrc%d", h.SSRC)
	}
	return s
}

func TestFramer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		frame    int // milliseconds
		in, want string
	}{
		{"longer", 30, "10 800+160, 11 960+160, 12 1120+160", "10 800+240, 11 1040+240"},
		{"shorter", 20, "10 800+480, 11 1280+480", "10 800+160, 11 960+160, 12 1120+160, 13 1280+160, 14 1440+160, 15 1600+160"},
		{"neither", 30, "10 800+400, 11 1200+400", "10 800+240, 11 1040+240, 12 1280+240"},
		{"what is left", 30, "10 800+160", ""},
		{"the same", 20, "65535 800+160, 0 960+160", "65535 800+160, 0 960+160"},
		{"marker where a spurt begins", 10, "10 800+160 m, 11 960+160", "10 800+80 m, 11 880+80, 12 960+80, 13 1040+80"},
		{"again", 20, "10 800+160, 10 800+160, 11 960+160", "10 800+160, 11 960+160"},
		{"two change places", 20, "10 800+80, 12 960+80, 11 880+80, 13 1040+80", "10 800+160, 11 960+160"},
		{"too late", 20, "10 800+160, 11 960+160, 12 1120+160, 9 640+160", "10 800+160, 11 960+160, 12 1120+160"},
		{"one lost", 20, "10 800+80, 12 960+80, 13 1040+80", "10 800+80, 12 960+160"},
		{"three lost", 20, "10 800+160, 14 1440+160", "10 800+160, 14 1440+160"},
		{"a pause", 20, "10 800+80, 11 8000+160 m", "10 800+80, 11 8000+160 m"},
		{"sequence and timestamp begin anew", 20, "10 800+160, 30000 500000+160, 30001 500160+160", "10 800+160, 11 960+160, 12 1120+160"},
		{"timestamps go back", 20, "10 800+160, 11 100+160", "10 800+160, 11 960+160"},
		{"another source", 30, "10 800+160, 90 7+240 ssrc7", "90 7+240 ssrc7"},
		{"an event in between", 30, "10 800+160, 11 960+4 pt101, 12 960+4 pt101, 13 1440+240", "10 800+160, 11 960+4 pt101, 12 960+4 pt101, 13 1440+240"},
		{"the other law", 30, "10 800+160, 11 960+160 pt8, 12 1120+80 pt8", "10 800+160, 11 960+240 pt8"},
		{"empty", 30, "10 800+0, 11 800+240", "10 800+240"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := memHost(t)
			from, to := memTransport(t, h, Settings{Learning: LearnImmediate}), memTransport(t, h, Settings{})
			var pts PTSet
			pts.Add(0)
			pts.Add(8)
			from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, Framer: NewFramer(pts, time.Duration(tt.frame)*time.Millisecond)}}}}})
			for p := range strings.SplitSeq(tt.in, ", ") {
				hand(from, RTP, framingPacket(t, p), farRTP)
			}
			var got []string
			for _, b := range take(to, RTP) {
				got = append(got, framingText(b))
				if shift := b[12:]; b[1]&0x7f != 101 && !strings.Contains(tt.name, "anew") && !strings.Contains(tt.name, "back") &&
					!bytes.Equal(shift, framingPacket(t, framingText(b))[12:]) {
					t.Errorf("%s: bytes of another time", framingText(b))
				}
			}
			if want := strings.Split(tt.want, ", "); !slices.Equal(got, want) && strings.Join(got, ", ") != tt.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), tt.want)
			}
		})
	}
}

// TestFramerBefore: what is cut is turned into the other law, gets its number and is encrypted like any other packet.
func TestFramerBefore(t *testing.T) {
	h := memHost(t)
	from, to := memTransport(t, h, Settings{Learning: LearnImmediate}), memTransport(t, h, Settings{})
	var pts PTSet
	pts.Add(0)
	table := new([256]byte)
	for i := range table {
		table[i] = byte(255 - i)
	}
	mapped := new([128]uint8)
	mapped[0] = 8
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, PTMap: mapped, Recode: &[128]*[256]byte{table}, MID: "a", MIDExt: 4, Framer: NewFramer(pts, 10*time.Millisecond)}}}}})
	hand(from, RTP, framingPacket(t, "10 0+160"), farRTP)
	got := take(to, RTP)
	if len(got) != 2 || got[1][1] != 8 || got[1][len(got[1])-1] != byte(255-159) || !bytes.Contains(got[1], []byte{0x40, 'a'}) {
		t.Errorf("got %x", got)
	}
}

func TestFramerAllocates(t *testing.T) {
	h := memHost(t)
	from, to := memTransport(t, h, Settings{Learning: LearnImmediate}), memTransport(t, h, Settings{SDES: &SDES{Send: testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)}})
	to.addrs[0].ports[RTP].sock.(*memSocket).quiet = true
	var pts PTSet
	pts.Add(0)
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, Framer: NewFramer(pts, 30*time.Millisecond)}}}}})
	in := framingPacket(t, "0 0+160")
	buf := make([]byte, len(in)+Tailroom)
	m := &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen)}
	p := from.addrs[0].ports[RTP]
	n := uint16(0)
	if a := testing.AllocsPerRun(1000, func() {
		b := buf[:copy(buf, in)]
		rtp.SetSeq(b, n^1) // every two change places
		rtp.SetTimestamp(b, uint32(n^1)*160)
		n++
		p.receive(b, farRTP, m)
	}); a != 0 {
		t.Errorf("%v allocations for each packet", a)
	}
	if sent := to.addrs[0].ports[RTP].sock.(*memSocket).count; sent < 600 {
		t.Errorf("%d packets sent", sent)
	}
}
