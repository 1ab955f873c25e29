package rtpengine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rtpsidecar/relay"
)

// dialogue runs steps on one call and checks lines of each reply.
type step struct {
	command  string // "offer", "answer"
	from, to string
	sdp      string
	flags    []any
	want     []string // see lines
	err      string
}

func dialogue(t *testing.T, e *Engine, id string, steps ...step) {
	t.Helper()
	for i, s := range steps {
		args := []any{"call-id", id, "from-tag", s.from}
		if s.to != "" {
			args = append(args, "to-tag", s.to)
		}
		r := ask(e, s.command, append(append(args, "sdp", s.sdp), s.flags...)...)
		if r.Error != s.err {
			t.Fatalf("step %d: error %q, want %q", i+1, r.Error, s.err)
		}
		lines(t, fmt.Sprintf("step %d", i+1), r.Dict.Value("sdp").Str(), s.want...)
	}
}

const rtpFrom = "198.51.100.1"

func TestDTLSRoles(t *testing.T) {
	tests := []struct {
		setup string
		flags []any
		want  string // "" none
	}{
		{setup: "actpass", want: "active"},
		{setup: "actpass", flags: []any{"DTLS", "passive"}, want: "passive"},
		{setup: "actpass", flags: []any{"DTLS-reverse", "passive"}, want: "passive"},
		{setup: "active", want: "passive"},
		{setup: "passive", want: "active"},
		{setup: "holdconn"},
	}
	e := loopback(t)
	for i, tt := range tests {
		t.Run(tt.setup+fmt.Sprint(tt.flags), func(t *testing.T) {
			want := "!a=setup:"
			if tt.want != "" {
				want = "a=setup:" + tt.want
			}
			offer := body(rtpFrom, strings.Replace(browserAudio, "actpass", tt.setup, 1))
			answer := body(rtpFrom, answering(browserAudio))
			dialogue(t, e, fmt.Sprint("roles", i),
				step{command: "offer", from: "A", sdp: offer, flags: tt.flags, want: []string{"a=setup:actpass"}},
				step{command: "answer", from: "A", to: "B", sdp: answer, want: []string{want}},
				// A re-offer keeps the role and offers actpass again.
				step{command: "offer", from: "A", to: "B", sdp: offer, want: []string{"a=setup:actpass"}},
				step{command: "answer", from: "A", to: "B", sdp: answer, want: []string{want}})
		})
	}
	t.Run("passive in the answer", func(t *testing.T) {
		dialogue(t, e, "late passive",
			step{command: "offer", from: "A", sdp: body(rtpFrom, browserAudio)},
			step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, answering(browserAudio)),
				flags: []any{"DTLS", "passive"}, want: []string{"a=setup:passive"}})
	})
	t.Run("daemon option", func(t *testing.T) {
		e := loopback(t, func(c *Config) { c.DTLSPassive = true })
		dialogue(t, e, "c",
			step{command: "offer", from: "A", sdp: body(rtpFrom, browserAudio)},
			step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, answering(browserAudio)), want: []string{"a=setup:passive"}})
	})
}

// The offerer's handshake is made ready before the answer, and with RTP/SAVP* it begins; whoever is offered to decides
// about its own.
func TestRolesBeforeAnswer(t *testing.T) {
	const crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"
	e := loopback(t)
	tests := []struct {
		name  string
		sdp   string
		flags []any
		want  relay.SetupRole
		hold  bool
	}{
		{name: "actpass", sdp: browserAudio, want: relay.RoleActive, hold: true},
		{name: "passive", sdp: strings.Replace(browserAudio, "actpass", "passive", 1), want: relay.RoleActive, hold: true},
		{name: "RTP/SAVPF", sdp: strings.Replace(browserAudio, "UDP/TLS/", "", 1), want: relay.RoleActive},
		{name: "active", sdp: strings.Replace(browserAudio, "actpass", "active", 1), want: relay.RolePassive},
		{name: "passive flag", sdp: browserAudio, flags: []any{"DTLS", "passive"}, want: relay.RolePassive},
		{name: "SDES may win", sdp: browserAudio + crypto, want: relay.RoleUndecided},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			must(t, e, "offer", append([]any{"call-id", tt.name, "from-tag", "A", "sdp", body(rtpFrom, tt.sdp)}, tt.flags...)...)
			c := e.lockCall(tt.name)
			defer e.unlock(c)
			for i, want := range []relay.SetupRole{tt.want, relay.RoleUndecided} {
				hold := tt.hold && i == 0
				if s := c.participants[i].Medias[0].settings(); s.DTLS == nil || s.DTLS.Role != want || s.DTLS.Hold != hold {
					t.Errorf("party %d: DTLS %+v before the answer, want role %d, held %v", i, s.DTLS, want, hold)
				}
			}
		})
	}
}

func TestRTCPMux(t *testing.T) {
	const mux = "a=rtcp-mux\n"
	tests := []struct {
		flags                 []string
		in, out, ans, outBack bool // offered, passed on, answered, answered on
	}{
		{in: false, out: false, ans: true, outBack: false},
		{in: true, out: true, ans: false, outBack: false},
		{in: true, out: true, ans: true, outBack: true},
		{flags: []string{"offer"}, in: false, out: true, ans: true, outBack: false},
		{flags: []string{"offer"}, in: true, out: true, ans: true, outBack: true},
		{flags: []string{"require"}, in: false, out: true, ans: true, outBack: false},
		{flags: []string{"demux"}, in: true, out: false, ans: false, outBack: true},
		{flags: []string{"demux"}, in: false, out: false, ans: false, outBack: false},
		{flags: []string{"accept"}, in: true, out: true, ans: false, outBack: true},
		{flags: []string{"reject"}, in: true, out: true, ans: true, outBack: false},
		{flags: []string{"offer", "reject"}, in: false, out: true, ans: true, outBack: false},
	}
	e := loopback(t)
	section := func(on bool) string {
		if on {
			return plainAudio + mux
		}
		return plainAudio
	}
	line := func(on bool) string {
		if on {
			return "a=rtcp-mux"
		}
		return "!a=rtcp-mux"
	}
	for i, tt := range tests {
		name := fmt.Sprint(tt.flags, tt.in, tt.ans)
		t.Run(name, func(t *testing.T) {
			offer := []string{line(tt.out)}
			switch {
			case len(tt.flags) == 1 && tt.flags[0] == "require":
				offer = append(offer, "a=rtcp:P0\n")
			default:
				offer = append(offer, "a=rtcp:P0+1\n")
			}
			answer := []string{line(tt.outBack)}
			if tt.outBack {
				answer = append(answer, "a=rtcp:P0\n")
			}
			dialogue(t, e, fmt.Sprint("mux", i),
				step{command: "offer", from: "A", sdp: body(rtpFrom, section(tt.in)), flags: []any{"rtcp-mux", tt.flags}, want: offer},
				step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, section(tt.ans)), want: answer})
		})
	}
	t.Run("attribute flags", func(t *testing.T) {
		dialogue(t, e, "attr",
			step{command: "offer", from: "A", sdp: body(rtpFrom, plainAudio), flags: []any{"flags", []string{"full-rtcp-attribute"}}, want: []string{"a=rtcp:P0+1 IN IP4 127.0.0.1"}},
			step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plainAudio), flags: []any{"flags", []string{"no-rtcp-attribute"}}, want: []string{"!a=rtcp:"}})
	})
}

func TestICE(t *testing.T) {
	e := loopback(t)
	browser, phone := body(rtpFrom, browserAudio), body(rtpFrom, plainAudio)
	answer := body(rtpFrom, answering(browserAudio))
	none := []string{"!a=ice-ufrag", "!a=candidate"}
	own := []string{"a=ice-ufrag:UFRAG", "a=candidate:F 1 UDP 2130706431 127.0.0.1 P0 typ host"}
	t.Run("remove", func(t *testing.T) {
		dialogue(t, e, "remove",
			step{command: "offer", from: "A", sdp: browser, flags: []any{"ICE", "remove"}, want: none},
			step{command: "answer", from: "A", to: "B", sdp: phone, want: own})
	})
	t.Run("remove in the answer", func(t *testing.T) {
		dialogue(t, e, "remove2",
			step{command: "offer", from: "A", sdp: browser, want: own},
			step{command: "answer", from: "A", to: "B", sdp: answer, flags: []any{"ICE", "remove"}, want: none})
	})
	t.Run("reject", func(t *testing.T) {
		dialogue(t, e, "reject",
			step{command: "offer", from: "A", sdp: browser, flags: []any{"flags", []string{"reject-ICE"}, "ICE", "force"}, want: own},
			step{command: "answer", from: "A", to: "B", sdp: answer, want: none})
	})
	t.Run("force", func(t *testing.T) {
		dialogue(t, e, "force",
			step{command: "offer", from: "A", sdp: phone, flags: []any{"ICE", "force"}, want: append(own, "a=candidate:F 2 UDP 2130706430 127.0.0.1 P0+1 typ host", "!a=ice-options")},
			step{command: "answer", from: "A", to: "B", sdp: answer, want: none})
	})
	t.Run("refused, then forced", func(t *testing.T) {
		dialogue(t, e, "refused",
			step{command: "offer", from: "A", sdp: browser, want: own},
			step{command: "answer", from: "A", to: "B", sdp: phone},
			step{command: "offer", from: "A", to: "B", sdp: browser, want: none},
			step{command: "answer", from: "A", to: "B", sdp: phone},
			step{command: "offer", from: "A", to: "B", sdp: browser, flags: []any{"flags", []string{"reset"}}, want: own},
			step{command: "answer", from: "A", to: "B", sdp: phone},
			step{command: "offer", from: "A", to: "B", sdp: browser, flags: []any{"ICE", "force"}, want: own})
	})
	t.Run("force-relay", func(t *testing.T) {
		dialogue(t, e, "relay",
			step{command: "offer", from: "A", sdp: browser, flags: []any{"ICE", "force-relay"}, want: []string{
				"m=audio 9 ", "a=ice-ufrag:abcd", "a=setup:actpass", "a=candidate:1 1 udp 2122260223 198.51.100.1 50001 typ host generation 0",
				"a=candidate:F 1 UDP 16777215 127.0.0.1 P0 typ relay raddr 127.0.0.1 rport P0", "!a=crypto"}},
			step{command: "answer", from: "A", to: "B", sdp: answer, flags: []any{"ICE", "force-relay"}, want: []string{"m=audio 9 ", "a=ice-ufrag:wxyz", "a=candidate:F 1 UDP "}})
		dialogue(t, e, "relay of nothing",
			step{command: "offer", from: "A", sdp: phone, flags: []any{"ICE", "force-relay"}, want: []string{"m=audio 40000 RTP/AVP", "c=IN IP4 198.51.100.1"}})
	})
	t.Run("optional", func(t *testing.T) {
		dialogue(t, e, "optional",
			step{command: "offer", from: "A", sdp: browser, flags: []any{"ICE", "optional"}, want: []string{"m=audio 9 ", "a=candidate:F 1 UDP 2122259967 127.0.0.1 P0 typ host"}})
		dialogue(t, e, "optional2",
			step{command: "offer", from: "A", sdp: phone, flags: []any{"ICE", "optional"}, want: own})
	})
	t.Run("lite, trickle, ice2", func(t *testing.T) {
		dialogue(t, e, "lite",
			step{command: "offer", from: "A", sdp: browser, flags: []any{"ICE-lite", "both", "flags", []string{"trickle-ICE"}}, want: []string{"a=ice-lite", "a=ice-options:trickle", "a=end-of-candidates"}},
			step{command: "answer", from: "A", to: "B", sdp: answer, want: []string{"a=ice-lite"}})
		dialogue(t, e, "ice2",
			step{command: "offer", from: "A", sdp: phone, flags: []any{"ICE", []string{"force", "ice2"}}, want: []string{"a=ice-options:ice2"}})
	})
	t.Run("lite modes", func(t *testing.T) {
		for mode, line := range map[string][2]string{
			"forward": {"a=ice-lite", "!a=ice-lite"}, "backward": {"!a=ice-lite", "a=ice-lite"},
			"both": {"a=ice-lite", "a=ice-lite"}, "off": {"!a=ice-lite", "!a=ice-lite"},
		} {
			dialogue(t, e, "lite "+mode,
				step{command: "offer", from: "A", sdp: browser, flags: []any{"ICE-lite", mode}, want: []string{line[0], "a=ice-ufrag:"}},
				step{command: "answer", from: "A", to: "B", sdp: answer, want: []string{line[1], "a=ice-ufrag:"}})
		}
	})
	t.Run("restart", func(t *testing.T) {
		ufrag := func(d string) string {
			_, after, _ := strings.Cut(d, "a=ice-ufrag:")
			return after[:8]
		}
		id := "restart"
		o1 := must(t, e, "offer", "call-id", id, "from-tag", "A", "sdp", browser).Value("sdp").Str()
		a1 := must(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", answer).Value("sdp").Str()
		again := strings.ReplaceAll(browser, "ufrag:abcd", "ufrag:efgh")
		o2 := must(t, e, "offer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", again).Value("sdp").Str()
		a2 := must(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", answer).Value("sdp").Str()
		if ufrag(o1) != ufrag(o2) {
			t.Error("the side that did not restart got new credentials")
		}
		if ufrag(a1) == ufrag(a2) {
			t.Error("the side that restarted got the old credentials")
		}
		if shape(a1) != shape(a2) {
			t.Errorf("restart changed more than credentials:\n%s\n%s", shape(a1), shape(a2))
		}
	})
	t.Run("dropped", func(t *testing.T) {
		dialogue(t, e, "dropped",
			step{command: "offer", from: "A", sdp: browser},
			step{command: "answer", from: "A", to: "B", sdp: answer},
			step{command: "offer", from: "A", to: "B", sdp: phone},
			step{command: "answer", from: "A", to: "B", sdp: answer, want: none})
	})
}

func TestBundle(t *testing.T) {
	const ext = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n"
	group := func(mids, audioMID, videoMID string, videoPort int) string {
		b := body(rtpFrom, plainAudio+"a=mid:"+audioMID+"\na=rtcp-mux\n"+ext,
			strings.Replace(plainVideo, "40002", fmt.Sprint(videoPort), 1)+"a=mid:"+videoMID+"\na=rtcp-mux\n"+ext)
		return strings.Replace(b, "t=0 0\r\n", "t=0 0\r\na=group:BUNDLE "+mids+"\r\n", 1)
	}
	plain := body(rtpFrom, plainAudio, plainVideo)
	e := loopback(t)
	off := func(flags ...string) []any { return []any{"bundle", flags, "DTLS", "off", "SDES", "off"} }
	t.Run("ignored without the flag", func(t *testing.T) {
		dialogue(t, e, "none", step{command: "offer", from: "A", sdp: group("a v", "a", "v", 40000), want: []string{"!a=group", "m=audio P0", "m=video P1"}})
	})
	t.Run("offer", func(t *testing.T) {
		dialogue(t, e, "offer",
			step{command: "offer", from: "A", sdp: plain, flags: off("offer"), want: []string{"a=group:BUNDLE 1 2", "m=audio P0", "m=video P1", "a=mid:1", "a=mid:2", "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid"}},
			step{command: "answer", from: "A", to: "B", sdp: group("1 2", "1", "2", 40000), want: []string{"!a=group", "!a=mid", "m=audio P0", "m=video P1"}},
			step{command: "offer", from: "A", to: "B", sdp: plain, flags: off("offer"), want: []string{"a=group:BUNDLE 1 2", "m=video P0", "a=bundle-only"}})
	})
	t.Run("offered to one who then offers it", func(t *testing.T) {
		for _, mode := range []string{"offer", "require", "strict"} {
			dialogue(t, e, "turned "+mode,
				step{command: "offer", from: "A", sdp: plain, flags: off(mode)},
				step{command: "answer", from: "A", to: "B", sdp: group("1 2", "1", "2", 40000), want: []string{"m=audio P0", "m=video P1"}},
				step{command: "offer", from: "A", to: "B", sdp: plain, want: []string{"a=group:BUNDLE 1 2", "m=audio P0", "m=video P0", "a=bundle-only"}},
				step{command: "answer", from: "A", to: "B", sdp: group("1 2", "1", "2", 40000)},
				step{command: "offer", from: "B", to: "A", sdp: group("1 2", "1", "2", 40000),
					want: []string{"!a=group", "!a=extmap", "m=audio P0", "m=video P1", "a=mid:1", "a=mid:2"}},
				step{command: "answer", from: "B", to: "A", sdp: plain,
					want: []string{"a=group:BUNDLE 1 2", "m=audio P0", "m=video P0", "a=mid:1", "a=mid:2", "a=extmap:4 "}})
		}
	})
	t.Run("its offerer as answerer", func(t *testing.T) {
		grouped := group("a v", "a", "v", 40000)
		dialogue(t, e, "stays",
			step{command: "offer", from: "A", sdp: grouped, flags: off("accept")},
			step{command: "answer", from: "A", to: "B", sdp: plain},
			step{command: "offer", from: "B", to: "A", sdp: plain, want: []string{"a=group:BUNDLE a v", "m=video P0", "a=bundle-only"}},
			step{command: "answer", from: "B", to: "A", sdp: grouped},
			step{command: "offer", from: "B", to: "A", sdp: plain, want: []string{"a=group:BUNDLE a v", "m=video P0", "a=bundle-only"}})
	})
	t.Run("require", func(t *testing.T) {
		dialogue(t, e, "require",
			step{command: "offer", from: "A", sdp: plain, flags: off("require"), want: []string{"a=group:BUNDLE 1 2", "m=audio P0", "m=video P0", "a=bundle-only"}},
			step{command: "answer", from: "A", to: "B", sdp: group("1 2", "1", "2", 40000)},
			step{command: "offer", from: "A", to: "B", sdp: plain, flags: off("reject"), want: []string{"!a=group", "m=video P1"}})
	})
	t.Run("strict", func(t *testing.T) {
		dialogue(t, e, "strict", step{command: "offer", from: "A", sdp: plain, flags: off("strict"), want: []string{"m=video 0", "a=bundle-only", "a=rtpmap:96 VP8/90000"}})
	})
	t.Run("accept", func(t *testing.T) {
		dialogue(t, e, "accept",
			step{command: "offer", from: "A", sdp: group("a v", "a", "v", 40000), flags: off("accept"), want: []string{"!a=group", "m=video P1"}},
			step{command: "answer", from: "A", to: "B", sdp: plain, want: []string{"a=group:BUNDLE a v", "m=audio P0", "m=video P0", "a=mid:a", "a=mid:v", "a=extmap:4 "}})
	})
	t.Run("bundle-only offered", func(t *testing.T) {
		max := strings.Replace(group("a v", "a", "v", 0), "a=mid:v", "a=bundle-only\r\na=mid:v", 1)
		dialogue(t, e, "max",
			step{command: "offer", from: "A", sdp: max, flags: off("accept"), want: []string{"m=video P1"}},
			step{command: "answer", from: "A", to: "B", sdp: plain, want: []string{"a=group:BUNDLE a v", "m=video P0"}})
	})
	t.Run("head refused", func(t *testing.T) {
		refused := body(rtpFrom, strings.Replace(plainAudio, "40000", "0", 1), plainVideo)
		dialogue(t, e, "head",
			step{command: "offer", from: "A", sdp: group("a v", "a", "v", 40000), flags: off("accept")},
			step{command: "answer", from: "A", to: "B", sdp: refused, want: []string{"a=group:BUNDLE v", "m=audio 0", "m=video P0"}})
	})
	t.Run("packets find their section", func(t *testing.T) {
		a, b, v := newPhone(t), newPhone(t), newPhone(t)
		offer := strings.NewReplacer("m=audio 40000", fmt.Sprint("m=audio ", a.port()), "m=video 40000", fmt.Sprint("m=video ", a.port()),
			rtpFrom, "127.0.0.1").Replace(group("a v", "a", "v", 40000))
		mustSDP(t, e, "offer", "call-id", "media", "from-tag", "A", "sdp", offer, "bundle", []string{"accept"})
		toA := mustSDP(t, e, "answer", "call-id", "media", "from-tag", "A", "to-tag", "B",
			"sdp", body("127.0.0.1", audio(b.port()), fmt.Sprintf("m=video %d RTP/AVP 96\na=rtpmap:96 VP8/90000", v.port())))
		a.send(toA.Media[0], 0, "sound")
		a.ssrc++ // another source
		a.send(toA.Media[0], 96, "picture")
		if _, got, _ := b.wait(waitTime); got != "sound" {
			t.Errorf("audio got %q", got)
		}
		if _, got, _ := v.wait(waitTime); got != "picture" {
			t.Errorf("video got %q", got)
		}
	})
}

func TestSDES(t *testing.T) {
	e := loopback(t)
	const tag1 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
	suites := "a=crypto:12 NULL_HMAC_SHA1_32 inline:KEY"
	offer := body(rtpFrom, sdesAudio)
	other := body(rtpFrom, strings.Replace(sdesAudio, "YUJ", "ZZZ", 1))
	tests := []struct {
		name       string
		offer      string
		flags      []any
		wantOffer  []string
		answer     string
		wantAnswer []string
	}{
		{name: "from plain", offer: body(rtpFrom, plainAudio), flags: []any{"transport-protocol", "RTP/SAVP"},
			wantOffer: []string{"a=crypto:1 AEAD_AES_256_GCM", suites, "a=setup:actpass", "a=fingerprint"}, answer: offer, wantAnswer: []string{"!a=crypto"}},
		{name: "nonew", offer: offer, flags: []any{"SDES", []string{"nonew"}}, wantOffer: []string{"a=crypto:2 ", "!a=crypto:3 "}, answer: other, wantAnswer: []string{tag1, "!a=crypto:2"}},
		{name: "only", offer: offer, flags: []any{"SDES", []string{"only-AES_CM_128_HMAC_SHA1_32"}}, wantOffer: []string{"a=crypto:2 AES_CM_128_HMAC_SHA1_32", "!a=crypto:1 ", "!a=crypto:3 "}, answer: other},
		{name: "no", offer: offer, flags: []any{"SDES", []string{"no-AES_CM_128_HMAC_SHA1_80"}}, wantOffer: []string{"!" + tag1, "a=crypto:2 AES_CM_128_HMAC_SHA1_32", "a=crypto:3 AEAD_AES_256_GCM"}, answer: other},
		{name: "off", offer: offer, flags: []any{"SDES", "off"}, wantOffer: []string{"!a=crypto"}, answer: other, wantAnswer: []string{tag1}},
		{name: "lifetime", offer: offer, flags: []any{"SDES", []string{"lifetime", "nonew"}}, wantOffer: []string{tag1 + "KEY|2^31\n"}, answer: other},
		{name: "parameters", offer: offer, flags: []any{"SDES", []string{"nonew", "unencrypted_srtcp", "unauthenticated_srtp"}}, wantOffer: []string{tag1 + "KEY UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP\n"}, answer: other},
		{name: "offerer_pref", offer: offer, flags: []any{"transport-protocol", "RTP/AVP", "SDES", []string{"offerer_pref:AES_CM_128_HMAC_SHA1_32"}}, wantOffer: []string{"!a=crypto"}, answer: body(rtpFrom, plainAudio), wantAnswer: []string{"a=crypto:2 AES_CM_128_HMAC_SHA1_32"}},
		{name: "order", offer: body(rtpFrom, plainAudio), flags: []any{"transport-protocol", "RTP/SAVP", "DTLS", "off", "SDES", []string{"order:NULL_HMAC_SHA1_32"}}, wantOffer: []string{suites + "\na=crypto:1 ", "!a=setup"}, answer: other},
		{name: "tag unknown", offer: body(rtpFrom, plainAudio), flags: []any{"transport-protocol", "RTP/SAVP"}, answer: strings.Replace(other, "crypto:1 ", "crypto:99 ", 1), wantAnswer: []string{"!a=crypto"}},
		{name: "nothing usable", offer: body(rtpFrom, "m=audio 40000 RTP/SAVP 0\na=crypto:1 FOO inline:YUJwk4PAGCRm0Bw/q3xZGTmLvYGxRaNd5yXQhC3A"), flags: []any{"transport-protocol", "RTP/AVP"}, answer: body(rtpFrom, plainAudio), wantAnswer: []string{"m=audio P0 RTP/SAVP", "!a=crypto"}},
		{name: "prefer", offer: body(rtpFrom, browserAudio+strings.SplitN(sdesAudio, "\n", 2)[1]), flags: []any{"transport-protocol", "RTP/AVP", "ICE", "remove", "SDES", []string{"prefer"}}, answer: body(rtpFrom, plainAudio), wantAnswer: []string{tag1, "!a=setup"}},
		{name: "DTLS wins", offer: body(rtpFrom, browserAudio+strings.SplitN(sdesAudio, "\n", 2)[1]), flags: []any{"transport-protocol", "RTP/AVP", "ICE", "remove"}, answer: body(rtpFrom, plainAudio), wantAnswer: []string{"a=setup:active", "!a=crypto"}},
		{name: "OSRTP plain", offer: strings.Replace(offer, "SAVP", "AVP", 1), wantOffer: []string{"m=audio P0 RTP/AVP", tag1}, answer: body(rtpFrom, plainAudio), wantAnswer: []string{"!a=crypto"}},
		{name: "OSRTP taken", offer: strings.Replace(offer, "SAVP", "AVP", 1), answer: strings.Replace(other, "SAVP", "AVP", 1), wantAnswer: []string{tag1, "m=audio P0 RTP/AVP"}},
		{name: "OSRTP offered", offer: body(rtpFrom, plainAudio), flags: []any{"OSRTP", "offer"}, wantOffer: []string{"m=audio P0 RTP/AVP", suites}, answer: strings.Replace(other, "SAVP", "AVP", 1), wantAnswer: []string{"!a=crypto"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dialogue(t, e, tt.name,
				step{command: "offer", from: "A", sdp: tt.offer, flags: tt.flags, want: tt.wantOffer},
				step{command: "answer", from: "A", to: "B", sdp: tt.answer, want: tt.wantAnswer})
		})
	}
}

// Both sides use SDES: their keys are exchanged through us and packets pass unchanged, unless recrypt is wanted.
func TestSDESPassthrough(t *testing.T) {
	for _, flag := range []string{"", "generate-RTCP", "recrypt"} {
		t.Run("flags "+flag, func(t *testing.T) {
			e, recrypt := loopback(t), flag == "recrypt"
			flags := []any{"flags", []string{flag}}
			answer := body(rtpFrom, strings.Replace(strings.Split(sdesAudio, "a=crypto:2")[0], "YUJ", "ZZZ", 1))
			must(t, e, "offer", append([]any{"call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, sdesAudio)}, flags...)...)
			a := must(t, e, "answer", append([]any{"call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", answer}, flags...)...).Value("sdp").Str()
			if copied := strings.Contains(a, "inline:ZZZ"); copied == recrypt {
				t.Errorf("answerer's key copied: %v\n%s", copied, a)
			}
			c := e.lockCall("c")
			defer e.unlock(c)
			for _, p := range c.participants {
				m := p.Medias[0]
				if m.passthrough() == recrypt {
					t.Errorf("%s: passthrough %v", p.name(), m.passthrough())
				}
				if s := m.settings(); s.SDES == nil || s.DTLS != nil || s.SDES.Recv.Suite == nil {
					t.Errorf("%s: settings %+v", p.name(), s)
				}
			}
		})
	}
}

func TestTLSID(t *testing.T) {
	e := loopback(t)
	id := func(d string) string {
		_, after, _ := strings.Cut(d, "a=tls-id:")
		return after[:min(len(after), 32)]
	}
	offer := func(port int) string {
		section := strings.Replace(plainAudio, "40000", fmt.Sprint(port), 1)
		return id(must(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, section),
			"transport-protocol", "RTP/SAVP", "SDES", "off").Value("sdp").Str())
	}
	first := offer(40000)
	if again := offer(40000); again != first || first == "" {
		t.Errorf("the same offer: tls-id %q, was %q", again, first)
	}
	if moved := offer(40010); moved == first {
		t.Error("other ports, same tls-id")
	}
	answer := func(fingerprint string) string {
		must(t, e, "offer", "call-id", "d", "from-tag", "A", "sdp", body(rtpFrom, strings.Replace(browserAudio, "AB:AB", fingerprint, 1)), "transport-protocol", "RTP/AVP", "ICE", "remove")
		return id(must(t, e, "answer", "call-id", "d", "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, plainAudio)).Value("sdp").Str())
	}
	one := answer("AB:AB")
	if again := answer("AB:AB"); again != one {
		t.Error("the same certificate, another tls-id")
	}
	if changed := answer("CD:CD"); changed == one {
		t.Error("another certificate, same tls-id")
	}
}

// A section that the answer leaves out is held for who gave it a name and expects nothing of a handshake, else refused.
func TestSectionLeftOut(t *testing.T) {
	e := loopback(t)
	const first, second = "m=audio 4000 RTP/AVP 0\n", "m=audio 4002 RTP/AVP 8\n"
	dialogue(t, e, "named",
		step{command: "offer", from: "A", sdp: body(rtpFrom, first+"a=mid:1\n"+second+"a=mid:2\n")},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, first), want: []string{"c=IN IP4 0.0.0.0", "a=mid:2", "a=rtpmap:8 PCMA/8000"}})
	dialogue(t, e, "unnamed",
		step{command: "offer", from: "A", sdp: body(rtpFrom, first+second)},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, first), want: []string{"m=audio 0 RTP/AVP 8"}})
}

// A section that was refused and comes back has the ports it had, and carries nothing in between.
func TestSectionComesBack(t *testing.T) {
	e := loopback(t)
	a, b, v := newPhone(t), newPhone(t), newPhone(t)
	video := func(port int) string { return fmt.Sprintf("m=video %d RTP/AVP 96\na=rtpmap:96 VP8/90000\n", port) }
	offer, answer := body("127.0.0.1", audio(a.port()), video(a.port())), body("127.0.0.1", audio(b.port()), video(v.port()))
	refusal := body("127.0.0.1", audio(b.port()), video(0))
	mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", offer)
	first := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", answer).Media[1]
	again := func(answer string) uint16 {
		mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", offer)
		return mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", answer).Media[1].Port
	}
	if got := again(refusal); got != 0 {
		t.Errorf("refused: port %d", got)
	}
	a.send(first, 96, "dark")
	for range 200 { // until it has been read, or it comes after all with the next answer
		st := must(t, e, "query", "call-id", "c").Value("tags").Dict().Value("A").Dict().Value("medias").List()[1].Dict().
			Value("streams").List()[0].Dict().Value("stats").Dict()
		if n, _ := st.Value("packets").Int(); n > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := again(answer); got != first.Port {
		t.Errorf("port %d, was %d", got, first.Port)
	}
	a.send(first, 96, "picture")
	if _, got, _ := v.wait(waitTime); got != "picture" {
		t.Errorf("got %q", got)
	}
}

func TestNoDTLSForSDESAlone(t *testing.T) {
	const secure = "m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"
	const plain = "m=audio 4000 RTP/AVP 0\n"
	dialogue(t, loopback(t), "c",
		step{command: "offer", from: "A", sdp: body(rtpFrom, secure), flags: []any{"transport-protocol", "RTP/AVP"}},
		step{command: "answer", from: "A", to: "B", sdp: body(rtpFrom, plain)},
		step{command: "offer", from: "B", to: "A", sdp: body(rtpFrom, plain), want: []string{"a=crypto:1", "!a=fingerprint"}})
}
