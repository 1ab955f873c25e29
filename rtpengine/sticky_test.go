package rtpengine

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"rtpsidecar/relay"
)

// TestPacketTime: a packet time that flags ask for towards a party stays until another is asked for, and what the party says
// itself goes no further. Without such flags the last one said holds. The rows are what 10.5 and 26.3 do.
func TestPacketTime(t *testing.T) {
	// One message: who sends it, its a=ptime or 0, keys, and the packet time that the other side sees, or 0.
	type message struct {
		command, from string
		said          int
		keys          []any
		seen          int
	}
	offer := func(from string, said int, seen int, keys ...any) message {
		return message{"offer", from, said, keys, seen}
	}
	answer := func(from string, said int, seen int) message { return message{"answer", from, said, nil, seen} }
	for _, tt := range []struct {
		name string
		talk []message
	}{
		{"asked for once", []message{offer("A", 0, 20, "ptime", 20), answer("B", 0, 0), offer("A", 0, 20), answer("B", 0, 0), offer("B", 0, 0), answer("A", 0, 20)}},
		{"asked for, others said", []message{offer("A", 30, 20, "ptime", 20), answer("B", 40, 30), offer("A", 30, 20), answer("B", 40, 30), offer("B", 40, 30), answer("A", 30, 20)}},
		{"reverse", []message{offer("A", 0, 0, "ptime-reverse", 20), answer("B", 0, 20), offer("A", 0, 0), answer("B", 0, 20), offer("B", 0, 20), answer("A", 0, 0)}},
		{"reverse, others said", []message{offer("A", 30, 30, "ptime-reverse", 20), answer("B", 40, 20), offer("A", 30, 30), answer("B", 40, 20), offer("B", 40, 20)}},
		{"both", []message{offer("A", 30, 20, "ptime", 20, "ptime-reverse", 50), answer("B", 40, 50), offer("A", 30, 20), offer("B", 40, 50)}},
		{"another one", []message{offer("A", 30, 20, "ptime", 20), answer("B", 40, 30), offer("A", 30, 60, "ptime", 60), offer("B", 0, 70, "ptime", 70), answer("A", 0, 60)}},
		{"none asked for", []message{offer("A", 30, 30), answer("B", 0, 30), offer("A", 0, 30), answer("B", 40, 40), offer("B", 0, 40), answer("A", 0, 40)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := loopback(t)
			for i, m := range tt.talk {
				from, to := m.from, map[string]string{"A": "B", "B": "A"}[m.from]
				if m.command == "answer" {
					from, to = to, from
				}
				ends := audio(40000)
				if m.from == "B" {
					ends = audio(50000)
				}
				if m.said != 0 {
					ends += "a=ptime:" + strconv.Itoa(m.said) + "\n"
				}
				pairs := append([]any{"call-id", "c", "from-tag", from, "sdp", body(rtpFrom, ends)}, m.keys...)
				if i > 0 {
					pairs = append(pairs, "to-tag", to)
				}
				seen := 0
				if s := mustSDP(t, e, m.command, pairs...); s.Media[0].PTime != 0 {
					seen = int(s.Media[0].PTime.Milliseconds())
				}
				if seen != m.seen {
					t.Errorf("message %d, %s of %s: ptime %d, want %d", i+1, m.command, m.from, seen, m.seen)
				}
			}
		})
	}
}

// TestAskedForInAnAnswer: an interface that an answer names for its sender serves that party from the next offer on.
func TestAskedForInAnAnswer(t *testing.T) {
	for _, next := range []step{
		{command: "offer", from: "A", to: "B", sdp: body(rtpFrom, audio(40000)), want: []string{"c=IN IP4 127.0.0.2"}},
		{command: "offer", from: "B", to: "A", sdp: body(rtpFrom, audio(50000)), want: []string{"c=IN IP4 127.0.0.1"}},
	} {
		steps := []step{
			{command: "offer", from: "A", sdp: body(rtpFrom, audio(40000)), want: []string{"c=IN IP4 127.0.0.1"}},
			{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, audio(50000)), flags: []any{"direction", []string{"ext", "default"}}, want: []string{"c=IN IP4 127.0.0.1"}},
			next,
		}
		if next.from == "B" {
			steps = append(steps, step{command: "answer", from: "B", to: "A", sdp: body(rtpFrom, audio(40000)), want: []string{"c=IN IP4 127.0.0.2"}})
		}
		dialogue(t, loopback(t), "c", steps...)
	}
}

// TestResetBeginsICEAnew: with reset the receiver is offered another session of ICE.
func TestResetBeginsICEAnew(t *testing.T) {
	e := loopback(t)
	ufrag := func(to string, flags ...string) string {
		pairs := []any{"call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, iceAudio), "flags", flags}
		if to != "" {
			pairs = append(pairs, "to-tag", to)
		}
		return mustSDP(t, e, "offer", pairs...).Media[0].ICE.Ufrag
	}
	first := ufrag("")
	mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, strings.ReplaceAll(iceAudio, "abcd", "wxyz")))
	if again := ufrag("B"); again != first {
		t.Errorf("without the flag: ufrag %q, then %q", first, again)
	}
	if reset := ufrag("B", "reset"); reset == first {
		t.Errorf("with reset: ufrag %q again", reset)
	}
}

const iceAudio = "m=audio 40000 RTP/AVP 0\na=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\na=candidate:1 1 UDP 2130706431 198.51.100.1 40000 typ host\n"

// TestPublishKeepsTheProtocol: what is published is answered with the protocol that was offered, whatever is asked for.
func TestPublishKeepsTheProtocol(t *testing.T) {
	d := must(t, loopback(t), "publish", "sdp", body(rtpFrom, sdesAudio), "transport-protocol", "RTP/AVP")
	lines(t, "publish", d.Value("sdp").Str(), "m=audio P0 RTP/SAVP 0", "a=crypto:")
}

// TestForcedVersion: force-increment-sdp-ver counts from the first message that has it, though nothing changes.
func TestForcedVersion(t *testing.T) {
	same := step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), want: []string{"o=- 1 1 IN"}}
	forced := same
	forced.flags, forced.want = []any{"replace", []string{"force-increment-sdp-ver"}}, []string{"o=- 1 2 IN"}
	dialogue(t, loopback(t), "c", same, forced)
}

// TestPacketsOfAnotherTime: with ptime the receiver's packets have that length, and the sender's that of its own.
func TestPacketsOfAnotherTime(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	toA, toB := pairUp(t, e, "c", a, b, "ptime", 30)
	voice := strings.Repeat("v", 160)
	for range 3 {
		a.send(toA.media, 0, voice)
	}
	for range 2 {
		if _, got, ok := b.wait(2 * time.Second); !ok || len(got) != 240 {
			t.Errorf("the receiver has got %d bytes, want 30 ms", len(got))
		}
	}
	b.send(toB.media, 0, voice+voice)
	for range 2 {
		if _, got, ok := a.wait(2 * time.Second); !ok || len(got) != 160 {
			t.Errorf("the sender has got %d bytes, want 20 ms", len(got))
		}
	}
	a.send(toA.media, 101, "tone")
	for _, want := range []string{"tone"} {
		if _, got, ok := b.wait(2 * time.Second); !ok || got != want {
			t.Errorf("got %q, want the event", got)
		}
	}
}

// TestFramingStays: what is held back outlives a message that changes nothing about it, and ends with the task.
func TestFramingStays(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	pairUp(t, e, "c", a, b, "ptime", 30)
	framer := func() *relay.Framer {
		c := e.lockCall("c")
		defer e.unlock(c)
		s := find(c.participants[1].Medias[0].sources, c.participants[0].Medias[0])
		k, _ := s.sink()
		return k.Framer
	}
	first := framer()
	pairUp(t, e, "c", a, b)
	if first == nil || framer() != first {
		t.Errorf("framers %p and %p", first, framer())
	}
	pairUp(t, e, "c", a, b, "ptime", 20)
	if framer() != nil {
		t.Error("both have 20 ms")
	}
}
