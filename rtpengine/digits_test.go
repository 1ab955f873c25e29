package rtpengine

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// key presses a key: an event of RFC 4733 of 100 ms, whose end is sent three times.
func (p *phone) key(to *sdp.Media, timestamp uint32, event byte) {
	p.t.Helper()
	for _, end := range []byte{0, 0x80, 0x80, 0x80} {
		p.seq++
		b := binary.BigEndian.AppendUint32([]byte{0x80, 101, byte(p.seq >> 8), byte(p.seq)}, timestamp)
		b = append(binary.BigEndian.AppendUint32(b, p.ssrc), event, end|10, 3, 32)
		if _, err := p.rtp.WriteToUDPAddrPort(b, to.RTPAddr()); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestDigitsTold: of digits in all calls or in those that name a destination, blocked or not.
func TestDigitsTold(t *testing.T) {
	const own = "192.0.2.1:5000"
	for _, tt := range []struct {
		name  string
		all   bool
		flags []any
		want  string
	}{
		{"all", true, nil, `invalid AddrPort {"callid":"c","source_tag":"A","tags":["A","B"],"type":"DTMF","source_ip":"127.0.0.1","event":11,"duration":100,"volume":10}`},
		{"own", false, []any{"DTMF-log-dest", own, "label", "desk"},
			own + ` {"callid":"c","source_tag":"A","source_label":"desk","tags":["A","B"],"type":"DTMF","source_ip":"127.0.0.1","event":11,"duration":100,"volume":10}`},
		{"none", false, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := make(chan string, 10)
			e := loopback(t, func(c *Config) {
				c.DTMFAll = tt.all
				c.DTMF = func(to netip.AddrPort, d *ng.Dict) {
					before, after, _ := strings.Cut(string(ng.AppendJSON(nil, ng.DictValue(d))), `"timestamp":`)
					_, after, _ = strings.Cut(after, ",")
					told <- to.String() + " " + before + after
				}
			})
			a, b := newPhone(t), newPhone(t)
			toA, _ := pairUp(t, e, "c", a, b, tt.flags...)
			must(t, e, "block DTMF", "call-id", "c")
			a.key(toA.media, 160, 11)
			toA.talk(t, "after it") // the end has been seen by then, and the events have one goroutine
			got := ""
			if tt.want != "" {
				got = <-told
			}
			select {
			case more := <-told:
				t.Errorf("also told %s", more)
			default:
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestDigitsRewritten: what DTMF-security puts in the place of blocked events.
func TestDigitsRewritten(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	toA, _ := pairUp(t, e, "c", a, b)
	timestamp := uint32(0)
	for _, tt := range []struct {
		name    string
		command string
		flags   []any
		want    func(event, volume byte) bool
	}{
		{"zero", "block DTMF", []any{"DTMF-security", "zero"}, func(event, volume byte) bool { return event == 0 && volume == 10 }},
		{"DTMF", "block DTMF", []any{"DTMF-security", "DTMF", "digit", "9", "volume", 20}, func(event, volume byte) bool { return event == 9 && volume == 20 }},
		{"random", "block DTMF", []any{"DTMF-security", "random"}, func(event, _ byte) bool { return event <= 9 }},
		{"off", "block DTMF", []any{"DTMF-security", "off"}, func(event, _ byte) bool { return event == 5 }},
		{"zero in one flow", "block DTMF", []any{"from-tag", "A", "to-tag", "B", "flags", "directional", "DTMF-security", "zero"}, func(event, _ byte) bool { return event == 0 }},
		{"unblocked", "unblock DTMF", nil, func(event, _ byte) bool { return event == 5 }},
	} {
		must(t, e, tt.command, append([]any{"call-id", "c"}, tt.flags...)...)
		timestamp += 1000
		a.key(toA.media, timestamp, 5)
		for range 4 {
			pt, got, _ := b.wait(2 * time.Second)
			if pt != 101 || len(got) != 4 || !tt.want(got[0], got[1]&0x3f) {
				t.Errorf("%s: %d %x", tt.name, pt, got)
			}
		}
	}
}

func TestDigitNumber(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "9": 9, "*": 10, "#": 11, "A": 12, "d": 15, "10": 10, "15": 15, "16": -1, "x": -1, "": -1, "05": -1} {
		n, ok := digitNumber(text)
		if got := int(n); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d %v, want %d", text, got, ok, want)
		}
	}
}
