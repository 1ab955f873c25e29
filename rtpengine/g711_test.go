package rtpengine

import (
	"fmt"
	"testing"

	"rtpsidecar/sdp"
)

func TestLawTables(t *testing.T) {
	for c := range 256 {
		a, mu := byte(c), byte(c)
		if got := aToMu[muToA[aToMu[a]]]; got != aToMu[a] {
			t.Errorf("A %#x: there and back and there gives %#x, want %#x", a, got, aToMu[a])
		}
		if x, y := levelA(a), levelMu(aToMu[a]); (x < 0) != (y < 0) || magnitude(x-y) > magnitude(x)/16+8 {
			t.Errorf("A %#x is %d, its µ-law code %#x is %d", a, x, aToMu[a], y)
		}
		if x, y := levelMu(mu), levelA(muToA[mu]); magnitude(x-y) > magnitude(x)/16+8 {
			t.Errorf("µ %#x is %d, its A-law code %#x is %d", mu, x, muToA[mu], y)
		}
	}
}

func TestAnswerLaws(t *testing.T) {
	tests := []struct {
		name              string
		offered, answered string
		offer             CodecFlags
		want              string
	}{
		{name: "the answer has the other law only", offered: "0", answered: "8", want: "0"},
		{name: "both laws are common", offered: "0|8", answered: "8", want: "8"},
		{name: "accept wants one", offered: "8|0|101 telephone-event/8000", answered: "8|101 telephone-event/8000",
			offer: CodecFlags{Accept: []string{"PCMU"}}, want: "0 101"},
		{name: "consume wants one", offered: "0|8", answered: "8", offer: CodecFlags{Consume: []string{"PCMU"}}, want: "0"},
		{name: "consume wants all", offered: "0|8|9", answered: "0|8|9", offer: CodecFlags{Consume: []string{"all"}}, want: "0"},
		{name: "always", offered: "0|8", answered: "8", offer: CodecFlags{AlwaysTranscode: true}, want: "0"},
		{name: "no law to make it of", offered: "0|9", answered: "9", offer: CodecFlags{Accept: []string{"PCMU"}}, want: "9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := answerCodecs(codecList(t, tt.offered), codecList(t, tt.answered), &tt.offer, &CodecFlags{})
			if got := numbers(a.List); got != tt.want {
				t.Errorf("%s answered with %s: %q, want %q", tt.offered, tt.answered, got, tt.want)
			}
		})
	}
}

func TestRecode(t *testing.T) {
	mu, _ := sdp.StaticCodec(0)
	a, _ := sdp.StaticCodec(8)
	if m, tables := recode(nil, []sdp.Codec{a, mu}, []sdp.Codec{mu}); m != nil || tables != nil {
		t.Error("what the receiver takes is recoded")
	}
	m, tables := recode(nil, []sdp.Codec{a}, []sdp.Codec{mu})
	if m == nil || tables == nil || m[0] != 8 || tables[0] != muToA || tables[8] != nil {
		t.Errorf("map %v, tables %v", m, tables)
	}
}

// A call between a phone that speaks PCMU and one that was offered PCMA instead.
func TestTranscodeLaws(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	section := func(p *phone, formats string) string {
		return body("127.0.0.1", fmt.Sprintf("m=audio %d RTP/AVP %s\n", p.port(), formats))
	}
	offer := mustSDP(t, e, "offer", "call-id", "law", "from-tag", "A", "sdp", section(a, "0"),
		"codec", kv{"transcode", []string{"PCMA"}, "mask", []string{"PCMU"}})
	if got := numbers(offer.Media[0].Codecs); got != "8" {
		t.Fatalf("offered %q", got)
	}
	answer := mustSDP(t, e, "answer", "call-id", "law", "from-tag", "A", "to-tag", "B", "sdp", section(b, "8"))
	if got := numbers(answer.Media[0].Codecs); got != "0" {
		t.Fatalf("answered %q", got)
	}
	a.send(answer.Media[0], 0, "\x55\x55")
	if pt, got, ok := b.wait(waitTime); !ok || pt != 8 || got != string([]byte{muToA[0x55], muToA[0x55]}) {
		t.Errorf("payload type %d, %x, %v", pt, got, ok)
	}
	b.send(offer.Media[0], 8, "\x44")
	if pt, got, ok := a.wait(waitTime); !ok || pt != 0 || got != string([]byte{aToMu[0x44]}) {
		t.Errorf("back: payload type %d, %x, %v", pt, got, ok)
	}
}
