package relay

import (
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
)

// eventPacket is one of RFC 4733 on payload type 101.
func eventPacket(seq uint16, timestamp uint32, payload ...byte) []byte {
	b := append(rtpPacket(1, 5)[:12:12], payload...)
	b[1] = 101
	rtp.SetSeq(b, seq)
	rtp.SetTimestamp(b, timestamp)
	return b
}

func TestDigits(t *testing.T) {
	h := memHost(t)
	from, to := memTransport(t, h, Settings{Learning: LearnImmediate}), memTransport(t, h, Settings{})
	var events PTSet
	events.Add(101)
	route := Route{ID: 7, Digits: events, ClockRates: []ClockRate{{PT: 101, Hz: 8000}}, Sinks: []Sink{{To: to}}}
	for _, tt := range []struct {
		name    string
		discard bool
		packets [][]byte
		want    []Digit
	}{
		{"an event with its end sent three times", false, [][]byte{eventPacket(1, 160, 5, 10, 0, 160), eventPacket(2, 160, 5, 0x80|10, 2, 128),
			eventPacket(3, 160, 5, 0x80|10, 2, 128), eventPacket(4, 160, 5, 0x80|10, 2, 128)},
			[]Digit{{Route: 7, Code: 5, Volume: 10, Duration: 80 * time.Millisecond}}},
		{"media is blocked", true, [][]byte{eventPacket(5, 320, 11, 0x80, 3, 32)}, []Digit{{Route: 7, Code: 11, Duration: 100 * time.Millisecond}}},
		{"no end", false, [][]byte{eventPacket(6, 480, 1, 10, 0, 160)}, nil},
		{"hook flash", false, [][]byte{eventPacket(7, 640, 16, 0x80, 0, 160)}, nil},
		{"too short", false, [][]byte{eventPacket(8, 800, 1, 0x80, 0)}, nil},
		{"two keys, the same twice", false, [][]byte{eventPacket(9, 960, 1, 0x80, 0, 80), eventPacket(10, 1120, 1, 0x80, 0, 80)},
			[]Digit{{Route: 7, Code: 1, Duration: 10 * time.Millisecond}, {Route: 7, Code: 1, Duration: 10 * time.Millisecond}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := route
			r.Discard = tt.discard
			from.SetPlan(&Plan{Routes: []Route{r}})
			for _, p := range tt.packets {
				hand(from, RTP, p, farRTP)
			}
			take(to, RTP)
			for _, want := range append(tt.want, Digit{}) {
				want.From = farRTP.Addr()
				for got := (Event{}); ; {
					select {
					case got = <-h.Events():
					default:
						if want.Route != 0 {
							t.Errorf("not told: %+v", want)
						}
					}
					if got.Kind == EventDigit && got.Digit != want {
						t.Errorf("told %+v, want %+v", got.Digit, want)
					}
					if got.Kind == EventDigit || got == (Event{}) {
						break
					}
				}
			}
		})
	}
}

func TestDigitEdit(t *testing.T) {
	h := memHost(t)
	from := memTransport(t, h, Settings{Learning: LearnImmediate})
	var events PTSet
	events.Add(101)
	through := func(d *DigitEdit, in []byte) []byte {
		t.Helper()
		to := memTransport(t, h, Settings{})
		from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, Digits: d}}}}})
		hand(from, RTP, in, farRTP)
		got := take(to, RTP)
		if len(got) != 1 {
			t.Fatalf("%d packets", len(got))
		}
		return got[0][12:]
	}
	in := eventPacket(1, 160, 5, 0x80|10, 2, 128)
	if got := string(through(&DigitEdit{PTs: events}, in)); got != "\x00\x8a\x02\x80" {
		t.Errorf("zero: %x", got)
	}
	if got := string(through(&DigitEdit{PTs: events, Digit: 9, Volume: 20}, in)); got != "\x09\x94\x02\x80" {
		t.Errorf("nine at -20 dBm0: %x", got)
	}
	if got := string(through(&DigitEdit{Digit: 9}, in)); got != string(in[12:]) {
		t.Errorf("another payload type: %x", got)
	}
	seen := map[byte]bool{}
	for ts := range uint32(100) {
		d := &DigitEdit{PTs: events, Seed: 12345}
		first, last := through(d, eventPacket(2, ts, 5, 10, 0, 160)), through(d, eventPacket(3, ts, 5, 0x8a, 0, 160))
		if first[0] != last[0] || first[0] > 9 {
			t.Fatalf("an event began as %d and ended as %d", first[0], last[0])
		}
		seen[first[0]] = true
	}
	if len(seen) != 10 {
		t.Errorf("random digits %v", seen)
	}
}
