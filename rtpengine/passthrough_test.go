package rtpengine

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// TestPassthrough: with passthrough the parties keep their keys to themselves, and whatever they send is forwarded unread,
// on both ports.
func TestPassthrough(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	const keys = "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:YUJwk4PAGCRm0Bw/q3xZGTmLvYGxRaNd5yXQhC3A\na=setup:actpass\na=fingerprint:sha-256 " +
		"AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\n"
	section := func(p *phone) string { return fmt.Sprintf("m=audio %d RTP/SAVP 0\n%s", p.port(), keys) }
	keeps := func(what string, d *ng.Dict) {
		t.Helper()
		text := d.Value("sdp").Str()
		lines(t, what, text, "m=audio P0 RTP/SAVP 0\n", "c=IN IP4 127.0.0.1", "a=rtcp:P0+1", "!a=crypto:5", "!a=tls-id")
		if !strings.Contains(text, strings.ReplaceAll(keys, "\n", "\r\n")) {
			t.Errorf("%s: other keys\n%s", what, text)
		}
	}
	offer := must(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body("127.0.0.1", section(a)), "passthrough", "on")
	keeps("offer", offer)
	answer := must(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", section(b)))
	keeps("answer", answer)

	toA, toB := parse(t, answer).Media[0], parse(t, offer).Media[0]
	for _, way := range []struct {
		what     string
		from, to *net.UDPConn
		port     uint16
	}{
		{"RTP", a.rtp, b.rtp, toA.Port}, {"RTP back", b.rtp, a.rtp, toB.Port},
		{"RTCP", a.rtcp, b.rtcp, toA.Port + 1}, {"RTCP back", b.rtcp, a.rtcp, toB.Port + 1},
	} {
		sent := "\x16no RTP at all: " + way.what
		if _, err := way.from.WriteToUDPAddrPort([]byte(sent), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), way.port)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		way.to.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := way.to.Read(got)
		if err != nil || string(got[:n]) != sent {
			t.Errorf("%s: got %q, %v", way.what, got[:n], err)
		}
	}

	again := must(t, e, "offer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", section(a)))
	keeps("again", again)
	medias := must(t, e, "query", "call-id", "c").Value("tags").Dict().Value("A").Dict().Value("medias").List()
	told := false
	for _, w := range medias[0].Dict().Value("flags").List() {
		told = told || w.Str() == "passthrough"
	}
	if !told {
		t.Error("query does not tell of it")
	}
	off := must(t, e, "offer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", section(a)), "flags", []string{"no-passthrough"})
	lines(t, "off", off.Value("sdp").Str(), "a=crypto:5", "a=tls-id")
}

// TestPassthroughWithICE: the candidates stay too, and ours stand behind them.
func TestPassthroughWithICE(t *testing.T) {
	s := mustSDP(t, loopback(t), "offer", "call-id", "c", "from-tag", "A", "sdp", body(rtpFrom, browserAudio), "flags", []string{"passthrough"})
	in, err := sdp.Parse(body(rtpFrom, browserAudio))
	if err != nil {
		t.Fatal(err)
	}
	was, is := in.Media[0], s.Media[0]
	if is.Port == was.Port || is.ICE.Ufrag != was.ICE.Ufrag || len(is.Fingerprints) != 1 || !slices.Equal(is.Fingerprints[0].Digest, was.Fingerprints[0].Digest) {
		t.Errorf("port %d, ufrag %q, fingerprints %v", is.Port, is.ICE.Ufrag, is.Fingerprints)
	}
	if len(is.ICE.Candidates) <= len(was.ICE.Candidates) {
		t.Errorf("candidates %v", is.ICE.Candidates)
	}
}
