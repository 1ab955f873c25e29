package webrtclab_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/relay/ebpf"
	lab "rtpsidecar/scripts/webrtclab"
)

// consentTime is longer than a browser, and we, go without an answer to a check (RFC 7675 section 5.1: 30 s).
const consentTime = 35 * time.Second

// TestKernel has media between a browser and a phone forwarded in the kernel, both ways, for longer than consent lasts:
// checks and RTCP are still answered.
func TestKernel(t *testing.T) {
	if path := os.Getenv("WEBRTCLAB_DAEMON"); path != "" {
		t.Skipf("SKIPPED: %s is not ours", path)
	}
	table, err := ebpf.Open(ebpf.Config{Interfaces: []string{"none0"}})
	if errors.Is(err, ebpf.ErrPermission) || errors.Is(err, ebpf.ErrUnsupported) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	b := startWith(t, []string{"--kernel=require"}, lab.Chromium, "chromium")
	s := b.phoneCallsPage(modern["plain-ws"], lab.PeerConfig{})
	b.hearEachOther(s, false, 15*time.Second)
	b.until("both directions are in the kernel", 20*time.Second, func() (bool, string) { return b.inKernel(s) })
	b.hearEachOther(s, false, 15*time.Second)

	before, err := b.page.Stats(b.ctx, s.peers[0])
	b.must(err)
	rtcp := s.phone.ReceivedRTCP()
	time.Sleep(consentTime)
	b.hearEachOther(s, false, 15*time.Second)
	now, err := b.page.Stats(b.ctx, s.peers[0])
	b.must(err)
	if now.ICE != "connected" && now.ICE != "completed" || now.AudioPackets < before.AudioPackets+500 {
		t.Errorf("the page has %+v, before %+v", now, before)
	}
	if s.phone.ReceivedRTCP() == rtcp {
		t.Error("no RTCP of the page has come to the phone")
	}
	if ok, text := b.inKernel(s); !ok {
		t.Errorf("not in the kernel any more: %s", text)
	}
	b.hangup(s)
}

// inKernel reports whether what both sides send is forwarded in the kernel, and what query says of them.
func (b *bench) inKernel(s *session) (bool, string) {
	q, err := s.Query(b.ctx)
	b.must(err)
	ok, text := true, ""
	for _, tag := range []string{s.From, s.To} {
		media := q.Value("tags").Dict().Value(tag).Dict().Value("medias").List()
		if len(media) == 0 {
			return false, string(ng.AppendJSON(nil, ng.DictValue(q)))
		}
		stream := media[0].Dict().Value("streams").List()[0].Dict()
		flags := fmt.Sprint(words(stream.Value("flags")))
		ok = ok && strings.Contains(flags, "kernelized")
		text += fmt.Sprintf("%s: %s %s; ", tag, flags, stream.Value("no kernel reason").Str())
	}
	return ok, text
}

func words(v ng.Value) (list []string) {
	for _, w := range v.List() {
		list = append(list, w.Str())
	}
	return list
}
