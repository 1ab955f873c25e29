package webrtclab_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lab "rtpsidecar/scripts/webrtclab"
)

var buildDir string

func TestMain(m *testing.M) {
	lab.Main(func() int {
		var err error
		if buildDir, err = os.MkdirTemp("", "webrtclab-"); err != nil {
			fmt.Println(err)
			return 1
		}
		defer os.RemoveAll(buildDir)
		return m.Run()
	})
}

// Cells of a flag table: what the proxy's script gives with offer and answer, by who calls whom.
type cell struct{ offer, answer string }

var modern = map[string]cell{
	"ws-ws":       {"ICE=force replace-origin", "ICE=force replace-origin"},
	"ws-plain":    {"RTP/AVP ICE=remove rtcp-mux-demux replace-origin direction=[out in]", "UDP/TLS/RTP/SAVPF ICE=force replace-origin"},
	"plain-ws":    {"UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer SDES-off replace-origin direction=[in out]", "RTP/AVP ICE=remove replace-origin"},
	"plain-plain": {"RTP/AVP ICE=remove replace-origin direction=[in in]", "RTP/AVP ICE=remove replace-origin"},
}

// The table of 2015. Its WS-plain and plain-WS cells cannot carry media with browsers of today, which require
// rtcp-mux: the flag that a script of then must add stands behind them.
var classic = map[string]cell{
	"ws-ws":       {"ICE=force-relay DTLS=passive", "ICE=force-relay DTLS=passive"},
	"ws-plain":    {"RTP/AVP replace-session-connection replace-origin ICE=remove rtcp-mux-demux direction=[out in]", "UDP/TLS/RTP/SAVPF ICE=force"},
	"plain-ws":    {"UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer direction=[in out]", "RTP/AVP replace-session-connection replace-origin ICE=remove"},
	"plain-plain": {"RTP/AVP replace-session-connection replace-origin ICE=remove direction=[in in]", "RTP/AVP replace-session-connection replace-origin ICE=remove"},
}

// daemonArgv is the daemon under test: the program in WEBRTCLAB_DAEMON, else ours.
func daemonArgv(t *testing.T) []string {
	t.Helper()
	if path := os.Getenv("WEBRTCLAB_DAEMON"); path != "" {
		return []string{path}
	}
	bin, err := buildOurs()
	if err != nil {
		t.Fatal(err)
	}
	return []string{bin, "serve"}
}

// buildOurs builds the daemon once for all tests, in a folder that goes with the run.
var buildOurs = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(buildDir, "rtpsidecar")
	if out, err := exec.Command("go", "build", "-o", bin, "rtpsidecar/cmd/rtpsidecar").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
})

type bench struct {
	t    *testing.T
	ctx  context.Context
	d    *lab.Daemon
	page *lab.Page
	pace time.Duration // of the phones; 0: 20 ms
}

var callNumber atomic.Uint64

// start gives a test a daemon and a browser. The daemon's log is shown when the test fails.
func start(t *testing.T, browser func(context.Context) (*lab.Page, error), tools ...string) *bench {
	t.Helper()
	return startWith(t, nil, browser, tools...)
}

// startWith gives the daemon more options.
func startWith(t *testing.T, options []string, browser func(context.Context) (*lab.Page, error), tools ...string) *bench {
	t.Helper()
	if missing := lab.Missing(tools...); missing != "" {
		t.Skipf("SKIPPED: %s is not installed, no real browser to test with", missing)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Second)
	t.Cleanup(cancel)
	d, err := lab.StartDaemon(ctx, append(daemonArgv(t), options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("daemon ended with %v", err)
		}
		if t.Failed() {
			t.Logf("daemon's log:\n%s", tail(d.Log(), 20000))
		}
	})
	page, err := browser(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(page.Close)
	return &bench{t: t, ctx: ctx, d: d, page: page}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (b *bench) newCall() *lab.Call {
	return lab.NewCall(b.d, fmt.Sprintf("lab-%d-%d", os.Getpid(), callNumber.Add(1)))
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// until polls f until it says yes; what it last said is the failure's text.
func (b *bench) until(what string, limit time.Duration, f func() (bool, string)) {
	b.t.Helper()
	var last string
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var ok bool
		if ok, last = f(); ok {
			return
		}
	}
	b.t.Fatalf("%s: not within %v: %s", what, limit, last)
}

// session is an established call between a page's peer and a phone, or between two peers of the page.
type session struct {
	*lab.Call
	peers []string
	phone *lab.Phone
}

func (b *bench) hangup(s *session) {
	b.t.Helper()
	b.must(s.Delete(b.ctx))
	for _, id := range s.peers {
		b.must(b.page.Hangup(b.ctx, id))
	}
	if s.phone != nil {
		s.phone.Close()
	}
}

// pageCallsPhone makes the page the offerer.
func (b *bench) pageCallsPhone(c cell, cfg lab.PeerConfig) *session {
	b.t.Helper()
	call := b.newCall()
	phone, err := lab.NewPhone(false)
	b.must(err)
	phone.Pace(b.pace)
	b.must(b.page.Open(b.ctx, call.ID, cfg))
	offer, err := b.page.Offer(b.ctx, call.ID, false, false)
	b.must(err)
	toPhone, err := call.Offer(b.ctx, offer, c.offer)
	b.must(err)
	addr, err := lab.AudioAddr(toPhone)
	b.must(err)
	phone.Call(addr)
	answer, err := call.Answer(b.ctx, phone.PhoneSDP(), c.answer)
	b.must(err)
	b.must(b.page.Accept(b.ctx, call.ID, answer))
	return &session{Call: call, peers: []string{call.ID}, phone: phone}
}

// phoneCallsPage makes the page the answerer.
func (b *bench) phoneCallsPage(c cell, cfg lab.PeerConfig) *session {
	b.t.Helper()
	call := b.newCall()
	phone, err := lab.NewPhone(false)
	b.must(err)
	b.must(b.page.Open(b.ctx, call.ID, cfg))
	toPage, err := call.Offer(b.ctx, phone.PhoneSDP(), c.offer)
	b.must(err)
	answer, err := b.page.Answer(b.ctx, call.ID, toPage, false)
	b.must(err)
	toPhone, err := call.Answer(b.ctx, answer, c.answer)
	b.must(err)
	addr, err := lab.AudioAddr(toPhone)
	b.must(err)
	phone.Call(addr)
	return &session{Call: call, peers: []string{call.ID}, phone: phone}
}

// pageCallsPage connects two peers of the page through the daemon.
func (b *bench) pageCallsPage(c cell, cfg lab.PeerConfig) *session {
	b.t.Helper()
	call := b.newCall()
	alice, bob := call.ID+"-a", call.ID+"-b"
	b.must(b.page.Open(b.ctx, alice, cfg))
	b.must(b.page.Open(b.ctx, bob, cfg))
	offer, err := b.page.Offer(b.ctx, alice, false, false)
	b.must(err)
	toBob, err := call.Offer(b.ctx, offer, c.offer)
	b.must(err)
	answer, err := b.page.Answer(b.ctx, bob, toBob, false)
	b.must(err)
	toAlice, err := call.Answer(b.ctx, answer, c.answer)
	b.must(err)
	b.must(b.page.Accept(b.ctx, alice, toAlice))
	return &session{Call: call, peers: []string{alice, bob}}
}

// hearEachOther requires audio in both directions: the phone the page's tone, the page the phone's; between pages
// growing counters and energy on both, and decoded frames where video is sent.
func (b *bench) hearEachOther(s *session, video bool, limit time.Duration) {
	b.t.Helper()
	if s.phone != nil {
		b.until("phone hears the page's tone", limit, func() (bool, string) {
			share := s.phone.Hears(lab.PageToneHz)
			return share > 0.5, fmt.Sprintf("%d packets, tone share %.2f", s.phone.Received(), share)
		})
		b.until("page hears the phone's tone", limit, func() (bool, string) {
			share, err := b.page.Hears(b.ctx, s.peers[0], lab.PhoneToneHz)
			b.must(err)
			st, err := b.page.Stats(b.ctx, s.peers[0])
			b.must(err)
			return share > 0.5, fmt.Sprintf("share %.2f, %+v", share, st)
		})
	}
	for _, id := range s.peers {
		before, err := b.page.Stats(b.ctx, id)
		b.must(err)
		b.until(id+" decodes media that keeps coming", limit, func() (bool, string) {
			now, err := b.page.Stats(b.ctx, id)
			b.must(err)
			ok := now.AudioPackets > before.AudioPackets+20 && now.AudioEnergy > before.AudioEnergy &&
				(!video || now.FramesDecoded > before.FramesDecoded+10)
			return ok, fmt.Sprintf("%+v", now)
		})
	}
}

func TestChromiumAndPhone(t *testing.T) {
	b := start(t, lab.Chromium, "chromium")
	for name, table := range map[string]map[string]cell{"modern": modern, "2015": classic} {
		t.Run(name+"/page offers", func(t *testing.T) {
			b := b.with(t)
			s := b.pageCallsPhone(table["ws-plain"], lab.PeerConfig{})
			b.hearEachOther(s, false, 15*time.Second)
			b.hangup(s)
		})
		t.Run(name+"/page answers", func(t *testing.T) {
			b := b.with(t)
			s := b.phoneCallsPage(table["plain-ws"], lab.PeerConfig{})
			b.hearEachOther(s, false, 15*time.Second)
			b.hangup(s)
		})
	}
}

func (b *bench) with(t *testing.T) *bench { c := *b; c.t = t; return &c }

func TestChromiumAndChromium(t *testing.T) {
	b := start(t, lab.Chromium, "chromium")
	for name, table := range map[string]map[string]cell{"modern": modern, "2015": classic} {
		t.Run(name, func(t *testing.T) {
			b := b.with(t)
			s := b.pageCallsPage(table["ws-ws"], lab.PeerConfig{Video: true})
			b.hearEachOther(s, true, 20*time.Second)
			for _, id := range s.peers {
				st, err := b.page.Stats(b.ctx, id)
				b.must(err)
				if !slices.Contains(st.Codecs, "video/VP8") {
					t.Errorf("%s: codecs %v, want VP8 among them", id, st.Codecs)
				}
				relayed := strings.HasPrefix(st.PairRemote, lab.RelayAddr+":")
				if name == "modern" && !relayed {
					t.Errorf("%s: media goes to %s, not through the relay", id, st.PairRemote)
				}
			}
			b.hangup(s)
		})
	}
}

func TestFirefox(t *testing.T) {
	b := start(t, lab.Firefox, lab.FirefoxTools...)
	t.Run("page offers to phone", func(t *testing.T) {
		b := b.with(t)
		s := b.pageCallsPhone(modern["ws-plain"], lab.PeerConfig{})
		b.hearEachOther(s, false, 20*time.Second)
		b.hangup(s)
	})
	t.Run("phone calls page", func(t *testing.T) {
		b := b.with(t)
		s := b.phoneCallsPage(modern["plain-ws"], lab.PeerConfig{})
		b.hearEachOther(s, false, 20*time.Second)
		b.hangup(s)
	})
	t.Run("page and page", func(t *testing.T) {
		b := b.with(t)
		s := b.pageCallsPage(modern["ws-ws"], lab.PeerConfig{Video: true})
		b.hearEachOther(s, true, 30*time.Second)
		b.hangup(s)
	})
}
