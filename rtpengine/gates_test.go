package rtpengine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

func TestGates(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	toA, toB := pairUp(t, e, "c", a, b, "set-label", "caller")
	silent := func(ends relayEnds, word string) {
		t.Helper()
		ends.from.send(ends.media, 0, word)
		ends.talkRTCP(t)
		if _, got, ok := ends.at.wait(30 * time.Millisecond); ok {
			t.Errorf("%q arrived as %q", word, got)
		}
	}
	toA.talk(t, "1")
	must(t, e, "block media", "call-id", "c", "from-tag", "A", "flags", []string{"directional"})
	silent(toA, "2")
	toB.talk(t, "3")
	must(t, e, "unblock media", "call-id", "c", "label", "caller")
	toA.talk(t, "4")
	must(t, e, "block media", "call-id", "c", "from-tag", "A", "to-tag", "B", "flags", []string{"directional"})
	silent(toA, "5")
	must(t, e, "unblock media", "call-id", "c", "address", "127.0.0.1", "to-tag", "B")
	toA.talk(t, "6")
	must(t, e, "block media", "call-id", "c", "from-tag", "A", "supports", []string{"load limit"}) // Kamailio's way
	silent(toA, "6a")
	toB.talk(t, "6b")
	must(t, e, "unblock media", "call-id", "c", "from-tag", "A", "supports", []string{"load limit"})
	must(t, e, "block media", "call-id", "c", "from-tag", "ignored without the flag")
	silent(toA, "7")
	silent(toB, "8")
	must(t, e, "unblock media", "call-id", "c", "all", "all")
	toA.talk(t, "9")
	must(t, e, "block media", "call-id", "c", "all", "except-offer-answer")
	toA.talk(t, "10")
	must(t, e, "block media", "call-id", "c", "all", "offer-answer")
	silent(toA, "11")
	must(t, e, "unblock media", "call-id", "c")

	must(t, e, "silence media", "call-id", "c", "from-tag", "A", "flags", []string{"directional"})
	a.send(toA.media, 0, "secret")
	if _, got, ok := b.wait(waitTime); !ok || got != strings.Repeat("\xff", 6) {
		t.Errorf("silenced packet: %x", got)
	}
	must(t, e, "unsilence media", "call-id", "c")
	toA.talk(t, "12")

	must(t, e, "block DTMF", "call-id", "c")
	a.send(toA.media, 101, "digit")
	toA.talk(t, "13")
	must(t, e, "unblock DTMF", "call-id", "c")
	a.send(toA.media, 101, "digit")
	if pt, got, ok := b.wait(waitTime); !ok || pt != 101 {
		t.Errorf("digit: %d %q", pt, got)
	}
}

func TestPublishSubscribe(t *testing.T) {
	e := loopback(t)
	t.Run("publish", func(t *testing.T) {
		src, dst := newPhone(t), newPhone(t)
		d := must(t, e, "publish", "sdp", body("127.0.0.1", audio(src.port())))
		lines(t, "publish", d.Value("sdp").Str(), "a=recvonly", "m=audio P0 RTP/AVP 0 101\n", "s=rtpsidecar")
		id, tag := d.Value("call-id").Str(), d.Value("from-tag").Str()
		up := parse(t, d)
		r := must(t, e, "subscribe request", "call-id", id, "from-tag", tag)
		lines(t, "request", r.Value("sdp").Str(), "a=sendonly")
		if r.Value("from-tag").Str() != tag || len(r.Value("to-tag").Str()) != 64 {
			t.Errorf("tags %q %q", r.Value("from-tag").Str(), r.Value("to-tag").Str())
		}
		answer := body("127.0.0.1", audio(dst.port())+"a=recvonly")
		must(t, e, "subscribe answer", "call-id", id, "to-tag", r.Value("to-tag").Str(), "sdp", answer, "flags", []string{"allow-transcoding"})
		relayEnds{up.Media[0], src, dst}.talk(t, "on air")
		must(t, e, "unsubscribe", "call-id", id, "to-tag", r.Value("to-tag").Str())
		src.send(up.Media[0], 0, "gone")
		if _, got, ok := dst.wait(30 * time.Millisecond); ok {
			t.Errorf("got %q after unsubscribe", got)
		}
	})
	t.Run("codecs published", func(t *testing.T) {
		const (
			plain = "96 8 0 101\na=rtpmap:96 frob/8000\na=rtpmap:101 telephone-event/8000\n"
			wide  = "96 98 8 101 102 97 13 103\na=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000\na=rtpmap:102 telephone-event/48000\n" +
				"a=rtpmap:97 red/48000\na=rtpmap:98 frob/48000\na=rtpmap:103 telephone-event/16000\n"
			unknown = "96 101\na=rtpmap:96 frob/8000\na=rtpmap:101 telephone-event/8000\n"
		)
		for _, tt := range []struct {
			offered string
			accept  []string
			want    string
		}{
			{plain, nil, "8 101\n"},
			{plain, []string{"any"}, "96 101\n"},
			{plain, []string{"all"}, "8 0 101\n"},
			{plain, []string{"any", "all"}, "96 8 0 101\n"},
			{plain, []string{"PCMU"}, "0 101\n"},
			{plain, []string{"frob"}, "96 101\n"},
			{plain, []string{"telephone-event"}, "101\n"},
			{plain, []string{"nothing like it"}, "8 101\n"},
			{plain, []string{"nothing like it", "any"}, "96 101\n"},
			{plain, []string{"any", "PCMU"}, "0 101\n"},
			{wide, nil, "96 102 97\n"},
			{wide, []string{"all"}, "96 8 101 102 97 13 103\n"},
			{wide, []string{"PCMA"}, "8 101 13\n"},
			{unknown, nil, "96 101\n"}, // the reference takes events alone, and 96 with any
			{unknown, []string{"all"}, "96 101\n"},
		} {
			d := must(t, e, "publish", "sdp", body(rtpFrom, "m=audio 40000 RTP/AVP "+tt.offered), "codec", kv{"accept", tt.accept}, "flags", []string{"bidirectional"})
			lines(t, fmt.Sprint(tt.accept), d.Value("sdp").Str(), "m=audio P0 RTP/AVP "+tt.want, "a=sendrecv")
		}
	})
	t.Run("browser", func(t *testing.T) {
		d := must(t, e, "publish", "sdp", body(rtpFrom, browserAudio, browserVideo), "bundle", []string{"accept"})
		lines(t, "publish", d.Value("sdp").Str(), "a=setup:active", "a=ice-ufrag:UFRAG", "a=rtcp-mux", "a=mid:0", "!a=crypto")
	})
	t.Run("SIPREC", func(t *testing.T) {
		a, b, rec1, rec2 := newPhone(t), newPhone(t), newPhone(t), newPhone(t)
		toA, toB := pairUp(t, e, "rec", a, b)
		r := must(t, e, "subscribe request", "call-id", "rec", "flags", []string{"all", "siprec"}, "to-tag", "R")
		lines(t, "request", r.Value("sdp").Str(), "a=label:0", "a=label:1", "m=audio P0", "m=audio P1", "a=sendonly")
		if l := r.Value("tag-medias").List(); len(l) != 2 || l[1].Dict().Value("tag").Str() != "B" {
			t.Errorf("tag-medias %v", l)
		}
		if d := r.Value("media-labels").Dict(); d.Value("1").Dict().Value("mode").Str() != "sendrecv" {
			t.Errorf("media-labels %v", d)
		}
		answer := body("127.0.0.1", audio(rec1.port())+"a=recvonly", audio(rec2.port())+"a=recvonly")
		must(t, e, "subscribe answer", "call-id", "rec", "to-tag", "R", "sdp", answer)
		toA.talk(t, "caller speaks")
		if _, got, _ := rec1.wait(waitTime); got != "caller speaks" {
			t.Errorf("recorder heard %q", got)
		}
		toB.talk(t, "callee speaks")
		if _, got, _ := rec2.wait(waitTime); got != "callee speaks" {
			t.Errorf("recorder heard %q", got)
		}
		if r := ask(e, "subscribe answer", "call-id", "rec", "to-tag", "R", "sdp", body(rtpFrom, "m=audio 4000 RTP/AVP 0")); r.Error != "Failed to process subscription answer" {
			t.Errorf("codecs refused: %+v", r)
		}
		lines(t, "inactive", must(t, e, "subscribe request", "call-id", "rec", "from-tag", "A", "flags", []string{"inactive"}).Value("sdp").Str(), "a=inactive")
		lines(t, "egress", must(t, e, "subscribe request", "call-id", "rec", "from-tags", []string{"A"}, "flags", []string{"egress", "bidirectional"}).Value("sdp").Str(), "a=sendrecv")
		q := must(t, e, "query", "call-id", "rec").Value("tags").Dict().Value("R").Dict()
		if s := q.Value("subscriptions").List(); len(s) != 2 || s[0].Dict().Value("type").Str() != "pub/sub" {
			t.Errorf("subscriptions %v", s)
		}
	})
}

// A subscriber has to take what the source sends, and may refuse what was added to it; as observed of rtpengine 26.3.
func TestSubscriberCodecs(t *testing.T) {
	e := loopback(t)
	for i, tt := range []struct {
		source, added, answer string
		flags                 []string
		taken                 bool
	}{
		{"0", "PCMA", "0", nil, true},
		{"0", "PCMA", "8", nil, false},
		{"0", "PCMA", "8 0", nil, true},
		{"0", "PCMA", "8", []string{"allow-transcoding"}, true},
		{"0 9", "PCMA", "0", nil, false},
		{"0 9", "PCMA", "0 9", nil, true},
		{"8", "PCMU", "8", nil, true},
		{"0", "PCMA", "18", nil, false},
	} {
		id, sdp := fmt.Sprint(i), body(rtpFrom, "m=audio 40000 RTP/AVP "+tt.source+"\n")
		dialogue(t, e, id, step{command: "offer", from: "A", sdp: sdp}, step{command: "answer", from: "A", to: "B", sdp: sdp})
		tag := must(t, e, "subscribe request", "call-id", id, "from-tag", "A", "codec", kv{"transcode", []string{tt.added}}).Value("to-tag").Str()
		r := ask(e, "subscribe answer", "call-id", id, "to-tag", tag, "sdp", body(rtpFrom, "m=audio 40000 RTP/AVP "+tt.answer+"\na=recvonly\n"), "flags", tt.flags)
		if (r.Error == "") != tt.taken {
			t.Errorf("%+v: %q", tt, r.Error)
		}
	}
}

// An offer made for a party that hears somebody may have a law beside what it hears; as observed of rtpengine 26.3.
func TestCreateWithLaw(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	section := func(p *phone, pt int) string {
		return body("127.0.0.1", fmt.Sprintf("m=audio %d RTP/AVP %d\n", p.port(), pt))
	}
	toB := mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", section(a, 0)).Media[0]
	toA := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", section(b, 0)).Media[0]
	d := must(t, e, "create", "call-id", "c", "from-tag", "A", "codec", kv{"offer", []string{"PCMA"}})
	lines(t, "create", d.Value("sdp").Str(), "m=audio P0 RTP/AVP 0 8\n")
	must(t, e, "create answer", "call-id", "c", "from-tag", "A", "sdp", section(a, 8))
	a.send(toA, 8, "\x44\x44")
	if pt, got, _ := b.wait(waitTime); pt != 0 || got != "\x66\x66" {
		t.Errorf("PCMA arrived as %d %x", pt, got)
	}
	b.send(toB, 0, "\x55\x55")
	if pt, got, _ := a.wait(waitTime); pt != 8 || got != "\x73\x73" {
		t.Errorf("PCMU arrived as %d %x", pt, got)
	}
}

func TestTrickle(t *testing.T) {
	e := loopback(t)
	fragment := "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
		"a=candidate:9 1 udp 2122260223 198.51.100.1 50007 typ host\r\na=end-of-candidates\r\n"
	send := func(id string) {
		t.Helper()
		if d := must(t, e, "offer", "call-id", id, "from-tag", "A", "flags", []string{"fragment"}, "sdp", fragment); d.Value("sdp").Kind() != ng.KindNone {
			t.Error("a fragment was answered with a body")
		}
	}
	send("early")
	if len(e.fragment.list) != 1 {
		t.Fatal("the early fragment does not wait")
	}
	dialogue(t, e, "early", step{command: "offer", from: "A", sdp: body(rtpFrom, browserAudio)})
	if len(e.fragment.list) != 0 {
		t.Error("the offer did not take the fragment")
	}
	send("early")
	if len(e.fragment.list) != 0 {
		t.Error("a fragment of a known party waits")
	}
	send("never")
	e.fragment.expire(time.Now().Add(fragmentLife + time.Second))
	if len(e.fragment.list) != 0 {
		t.Error("an old fragment waits on")
	}
}

func TestEcho(t *testing.T) {
	for mode, want := range map[string][2]echo{"blackhole": {echoDiscard, echoDiscard}, "forward": {echoDiscard, echoBack},
		"backward": {echoBack, echoDiscard}, "both": {echoBack, echoBack}} {
		t.Run(mode, func(t *testing.T) {
			e := loopback(t)
			a, b := newPhone(t), newPhone(t)
			toA, toB := pairUp(t, e, "c", a, b, "media-echo", mode)
			for i, ends := range []relayEnds{toA, toB} {
				ends.at = ends.from // an echo is heard by who sent
				if want[i] == echoBack {
					ends.talk(t, "hello")
					continue
				}
				ends.from.send(ends.media, 0, "lost")
				if _, got, ok := ends.at.wait(30 * time.Millisecond); ok {
					t.Errorf("side %d heard %q", i, got)
				}
			}
		})
	}
}

func TestMaskedExtensions(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	const level, other = "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "urn:example:other"
	ext := "a=extmap:1 " + level + "\na=extmap:2 " + other + "\n"
	o := must(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port())+ext), "extmap", kv{"mask", []string{level}})
	lines(t, "offer", o.Value("sdp").Str(), "!a=extmap:1 ", "a=extmap:2 "+other)
	toA := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp",
		body("127.0.0.1", audio(b.port())+"a=extmap:2 "+other+"\n"))
	if got := len(toA.Media[0].Extmaps); got != 2 {
		t.Errorf("%d extensions answered: the masked one is between us and A", got)
	}
	pkt := []byte{0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0x20, 0xbb, 'x'}
	if _, err := a.rtp.WriteToUDPAddrPort(pkt, toA.Media[0].RTPAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	b.rtp.SetReadDeadline(time.Now().Add(waitTime))
	n, err := b.rtp.Read(buf)
	if err != nil || bytes.Contains(buf[:n], []byte{0xaa}) || !bytes.Contains(buf[:n], []byte{0xbb}) {
		t.Errorf("%x, %v: want the second extension without the first", buf[:n], err)
	}
	// B has not said that it takes both forms: what comes in the two-byte form goes on in the other.
	long := []byte{0x90, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, 0x10, 0x00, 0, 2, 1, 1, 0xaa, 2, 1, 0xbb, 0, 0, 'y'}
	if _, err := a.rtp.WriteToUDPAddrPort(long, toA.Media[0].RTPAddr()); err != nil {
		t.Fatal(err)
	}
	if n, err = b.rtp.Read(buf); err != nil || !bytes.Contains(buf[:n], []byte{0xbe, 0xde, 0, 1, 0x20, 0xbb, 0, 0, 'y'}) {
		t.Errorf("%x, %v: want the second extension in the one-byte form", buf[:n], err)
	}
}

// recorder is a Store that remembers what it was told.

// What passes is as observed of rtpengine 26.3.
func TestBlockShort(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	const list = "m=audio %d RTP/AVP 0 4 8 9 18 97 98 99 100 101 102 3 15\na=rtpmap:97 opus/48000/2\na=rtpmap:98 G726-32/8000\n" +
		"a=rtpmap:99 AAL2-G726-32/8000\na=rtpmap:100 G729a/8000\na=rtpmap:101 telephone-event/8000\na=rtpmap:102 pcma/16000\n"
	ask := func(command, from string, p *phone, flags ...string) *sdp.Media {
		args := []any{"call-id", "c", "from-tag", from, "sdp", body("127.0.0.1", fmt.Sprintf(list, p.port())), "flags", flags}
		if command == "answer" {
			args = append(args, "to-tag", map[string]string{"A": "B", "B": "A"}[from])
		}
		return mustSDP(t, e, command, args...).Media[0]
	}
	toB, toA := ask("offer", "A", a, "block-short"), ask("answer", "A", b)
	sizes := func(from, at *phone, to *sdp.Media, pt byte, list ...int) (passed []int) {
		for i, n := range list {
			from.send(to, pt, strings.Repeat(string(rune('a'+i)), n))
		}
		from.send(to, 120, "end") // of a payload type that nobody knows
		for {
			_, got, ok := at.wait(waitTime)
			if !ok || got == "end" {
				return passed
			}
			passed = append(passed, len(got))
		}
	}
	want := func(what string, got []int, want ...int) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v passed, want %v", what, got, want)
		}
	}
	for _, pt := range []byte{0, 4, 8, 9, 18, 98, 100, 102} {
		want(fmt.Sprint("payload type ", pt), sizes(a, b, toA, pt, 60, 20, 60, 90, 59, 60), 60, 60, 90, 60)
	}
	for _, pt := range []byte{97, 99, 101, 3, 15} { // codecs without a fixed size, as the reference sees it
		want(fmt.Sprint("payload type ", pt), sizes(a, b, toA, pt, 60, 20, 60), 60, 20, 60)
	}
	want("the other party", sizes(b, a, toB, 0, 60, 20), 60, 20)
	st := must(t, e, "query", "call-id", "c").Value("totals").Dict().Value("RTP").Dict()
	if n, ok := st.Value("errors").Int(); n != 0 || !ok {
		t.Errorf("%d counted as errors", n)
	}
	ask("offer", "B", b, "block-shorts")
	want("before the answer", sizes(a, b, toA, 0, 20, 60), 60)
	ask("answer", "B", a)
	want("after the answer", sizes(a, b, toA, 0, 20, 60, 19), 20, 60)
	want("the other party, now asked for", sizes(b, a, toB, 0, 60, 20), 60)
	ask("offer", "A", a)
	ask("answer", "A", b)
	want("it holds", sizes(a, b, toA, 0, 60, 20), 60)
}
