package rtpengine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtpsidecar/relay"
)

// TestEffects holds flags that no other test looks at to what they do in a call, seen in the bodies that come out.
func TestEffects(t *testing.T) {
	const (
		sdesOffer  = "m=audio 40000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:YUJwk4PAGCRm0Bw/q3xZGTmLvYGxRaNd5yXQhC3A\n"
		sdesBoth   = sdesAudio
		sdesPlain  = "m=audio 40000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:YUJwk4PAGCRm0Bw/q3xZGTmLvYGxRaNd5yXQhC3A UNENCRYPTED_SRTP UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP\n"
		savp       = "RTP/SAVP"
		iceAnswer  = "m=audio 50000 RTP/AVP 0\na=ice-ufrag:wxyz\na=ice-pwd:abcdefghijklmnopqrstuvwx\n"
		wide       = "m=audio 40000 RTP/AVP 9 0 8 18\n"
		renumbered = "m=audio 50000 RTP/AVP 97\na=rtpmap:97 opus/48000/2\n"
		opus       = "m=audio 40000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n"
	)
	plain := audio(50000)
	for _, tt := range []struct {
		name         string
		offer        string // sections
		flags        []any  // of the offer
		offered      []string
		answer       string // "": none
		answerFlags  []any
		answered     []string
		again        []any // flags of a second offer, of sections
		sections     string
		offeredAgain []string
	}{
		{name: "from-interface", offer: audio(40000), flags: []any{"from-interface", "ext"}, offered: []string{"c=IN IP4 127.0.0.1"},
			answer: plain, answered: []string{"c=IN IP4 127.0.0.2"}},
		{name: "audio-player", offer: audio(40000), flags: []any{"audio-player", "off"}, offered: []string{"m=audio P0 RTP/AVP 0"}},
		{name: "no-tls-id", offer: audio(40000), flags: []any{"transport-protocol", "UDP/TLS/RTP/SAVP", "flags", []string{"no-tls-id"}},
			offered: []string{"a=fingerprint:", "!a=tls-id"}},
		{name: "ICE no-lite", offer: audio(40000), flags: []any{"ICE", []string{"force", "no-lite"}}, offered: []string{"a=ice-ufrag:", "!a=ice-lite"}},
		{name: "ICE lite-backward", offer: browserAudio, flags: []any{"ICE", []string{"remove", "lite-backward"}, "transport-protocol", "RTP/AVP"},
			offered: []string{"!a=ice-lite"}, answer: plain, answered: []string{"a=ice-lite", "a=ice-ufrag:"}},
		{name: "SDES offerer_pref:", offer: sdesBoth, flags: []any{"SDES", []string{"offerer_pref:AES_CM_128_HMAC_SHA1_32"}, "transport-protocol", "RTP/AVP"},
			answer: plain, answered: []string{"a=crypto:2 AES_CM_128_HMAC_SHA1_32"}},
		{name: "SDES unencrypted_srtp", offer: sdesOffer, flags: []any{"transport-protocol", savp, "DTLS", "off",
			"SDES", []string{"unencrypted_srtp", "unencrypted_srtcp", "unauthenticated_srtp"}},
			offered: []string{"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY UNENCRYPTED_SRTP UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP\n"}},
		{name: "SDES encrypted_srtp", offer: sdesPlain, flags: []any{"transport-protocol", savp, "DTLS", "off",
			"SDES", []string{"encrypted_srtp", "encrypted_srtcp", "authenticated_srtp"}},
			offered: []string{"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY\n"}},
		{name: "codec-except-", offer: wide, flags: []any{"flags", []string{"codec-strip-all", "codec-except-PCMA"}}, offered: []string{"m=audio P0 RTP/AVP 8\n"}},
		{name: "codec-ignore-", offer: wide, flags: []any{"flags", []string{"codec-ignore-PCMU"}}, offered: []string{"m=audio P0 RTP/AVP 9 0 8 18\n"},
			answer: "m=audio 50000 RTP/AVP 0 8\n", answered: []string{"m=audio P0 RTP/AVP 8\n"}},
		{name: "allow-no-codec-media", offer: wide, flags: []any{"flags", []string{"allow-no-codec-media", "codec-strip-all"}}, offered: []string{"m=audio 0 RTP/AVP"}},
		{name: "allow-asymmetric-codecs", offer: opus, answer: renumbered, answerFlags: []any{"flags", []string{"allow-asymmetric-codecs"}},
			answered: []string{"m=audio P0 RTP/AVP 97\n"}},
		{name: "without allow-asymmetric-codecs", offer: opus, answer: renumbered, answered: []string{"m=audio P0 RTP/AVP 96\n"}},
		{name: "static-codecs", offer: "m=audio 40000 RTP/AVP 0 8\n", answer: "m=audio 50000 RTP/AVP 8\n",
			again: []any{"flags", []string{"static-codecs"}}, sections: wide, offeredAgain: []string{"m=audio P0 RTP/AVP 8\n"}},
		{name: "reuse-codecs", offer: "m=audio 40000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n", answer: "m=audio 50000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n",
			again: []any{"flags", []string{"reuse-codecs"}}, sections: wide, offeredAgain: []string{"m=audio P0 RTP/AVP 8 9 0 18\n"}},
		{name: "reuse-codecs of the answer", offer: "m=audio 40000 RTP/AVP 0 8\n", answer: "m=audio 50000 RTP/AVP 8 0\n",
			answerFlags: []any{"flags", []string{"reuse-codecs"}}, answered: []string{"m=audio P0 RTP/AVP 0 8\n"}},
		{name: "T.38-", offer: "m=image 40000 udptl t38\n", flags: []any{"flags", []string{"T.38-stop"}}, offered: []string{"m=image P0 udptl t38"}},
		{name: "sdp-attr-add-", offer: audio(40000), flags: []any{"flags", []string{"sdp-attr-add-audio-x-note:1", "sdp-attr-add-none-x-all"}},
			offered: []string{"a=x-note:1", "a=x-all"}},
		{name: "sdp-attr-remove-", offer: audio(40000) + "a=x-note:1\n", flags: []any{"flags", []string{"sdp-attr-remove-audio-x-note"}}, offered: []string{"!a=x-note"}},
		{name: "sdp-attr-substitute-", offer: audio(40000) + "a=x-note:1\n", flags: []any{"flags", []string{"sdp-attr-substitute-audio-x-note:1>x-note:2"}},
			offered: []string{"a=x-note:2", "!a=x-note:1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := loopback(t)
			steps := []step{{command: "offer", from: "A", sdp: body(rtpFrom, tt.offer), flags: tt.flags, want: tt.offered}}
			if tt.answer != "" {
				steps = append(steps, step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, tt.answer), flags: tt.answerFlags, want: tt.answered})
			}
			if tt.again != nil {
				steps = append(steps, step{command: "offer", from: "A", to: "B", sdp: body(rtpFrom, tt.sections), flags: tt.again, want: tt.offeredAgain})
			}
			dialogue(t, e, "c", steps...)
		})
	}
}

// TestEffectsInside is the same for what no body shows.
func TestEffectsInside(t *testing.T) {
	e := loopback(t)
	for flag, want := range map[string]relay.Learning{
		"endpoint-learning-off": relay.LearnOff, "endpoint-learning-delayed": relay.LearnDelayed,
		"endpoint-learning-heuristic": relay.LearnHeuristic, "endpoint-learning-immediate": relay.LearnImmediate,
	} {
		mustSDP(t, e, "offer", "call-id", flag, "from-tag", "A", "sdp", body(rtpFrom, audio(40000)), "flags", []string{flag})
		c := e.lockCall(flag)
		if got := c.participants[0].Medias[0].settings().Learning; got != want {
			t.Errorf("%s: learning %v, want %v", flag, got, want)
		}
		e.unlock(c)
	}

	a, b := newPhone(t), newPhone(t)
	toA, _ := pairUp(t, e, "events", a, b)
	must(t, e, "block DTMF", "call-id", "events", "DTMF-security", "drop")
	a.send(toA.media, 101, "digit")
	toA.talk(t, "voice") // the first to arrive

	final := []any{"sip-message-type", "reply", "sip-code", 200}
	answer := func(tag string, flags ...any) step {
		return step{command: "answer", from: "A", to: tag, sdp: body(rtpFrom, audio(50000)), flags: append(final, flags...)}
	}
	dialogue(t, e, "provisional", step{command: "offer", from: "A", sdp: body(rtpFrom, audio(40000))},
		answer("B", "flags", []string{"provisional"}), answer("C"))
	if got := strings.Join(tags(t, e, "provisional"), " "); got != "A C" {
		t.Errorf("after a provisional answer and a final one: %s, want A C", got)
	}

	mirror := must(t, e, "subscribe request", "call-id", "events", "flags", []string{"mirror-RTCP", "from-tags-A"})
	c := e.lockCall("events")
	defer e.unlock(c)
	mirrored := 0
	for _, p := range c.participants {
		for _, s := range p.flowsTo(c.participant(mirror.Value("to-tag").Str())) {
			if !s.mirrorRTCP || p.Tag != "A" {
				t.Errorf("subscribed to %s, mirrored %v", p.Tag, s.mirrorRTCP)
			}
			mirrored++
		}
	}
	if mirrored != 1 {
		t.Errorf("%d subscriptions, want one to A alone", mirrored)
	}
}

// TestEveryFlagIsTried: what the documentation says to work is named by a test or a case that runs it, besides those that
// only read flags.
func TestEveryFlagIsTried(t *testing.T) {
	var text strings.Builder
	for _, pattern := range []string{"*_test.go", "../scripts/*/*_test.go", "../scripts/lab/*.tmpl", "../scripts/conformance/cases/*.yaml",
		"../scripts/conformance/generate.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			if strings.HasPrefix(filepath.Base(file), "flags_") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
	}
	fold := strings.NewReplacer("_", "-", " ", "-")
	all := fold.Replace(strings.ToLower(text.String()))
	for r := range FlagTable() {
		if r.Effective() != FlagWorks {
			continue
		}
		tried := false
		for _, name := range append([]string{r.Name}, r.Also...) {
			open := r.Kind == FlagPrefix || strings.HasSuffix(name, ":")
			tried = tried || hasWord(all, fold.Replace(strings.ToLower(name)), open)
		}
		if !tried {
			t.Errorf("%s %s %s works, and nothing tries it", r.Kind, r.Of, r.Name)
		}
	}
}

// hasWord tells whether word stands in text by itself; with open more may follow.
func hasWord(text, word string, open bool) bool {
	inWord := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	for at := 0; ; at++ {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		at += i
		end := at + len(word)
		if (at == 0 || !inWord(text[at-1])) && (open || end == len(text) || !inWord(text[end])) {
			return true
		}
	}
}
