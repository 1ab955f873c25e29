package lab

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"rtpsidecar/cmd/kwikykonf/conference"
	"rtpsidecar/ng"
	opensipscfg "rtpsidecar/opensips-cfg"
	lab "rtpsidecar/scripts/webrtclab"
)

func TestMain(m *testing.M) { lab.Main(m.Run) }

const (
	domain    = "conference.test"
	proxyPort = 8080
)

//go:embed kamailio.cfg.tmpl
var kamailioConfig string

// relayProgram is the relay under test: the program in WEBRTCLAB_DAEMON, else ours, built here.
func relayProgram(t *testing.T) []string {
	t.Helper()
	if path := os.Getenv("WEBRTCLAB_DAEMON"); path != "" {
		return []string{path}
	}
	bin := filepath.Join(t.TempDir(), "rtpsidecar")
	if out, err := exec.Command("go", "build", "-o", bin, "rtpsidecar/cmd/rtpsidecar").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return []string{bin, "serve"}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	return s[max(0, len(s)-n):]
}

// proxy runs in the relay's namespace until stop is called or the test ends; its log is shown when the test fails.
func proxy(t *testing.T, argv ...string) (stop func()) {
	t.Helper()
	log := new(logBuffer)
	cmd := lab.RelayCommand(context.Background(), argv...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait() // ends by our signal
		kill.Stop()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("proxy's log:\n%s", log.tail(20000))
		}
	})
	until(t, "the proxy takes connections", 10*time.Second, func() (bool, string) {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(lab.RelayAddr, strconv.Itoa(proxyPort)), time.Second)
		if err != nil {
			return false, err.Error() + "\n" + log.tail(2000)
		}
		_ = conn.Close()
		return true, ""
	})
	return stop
}

func render(t *testing.T, text string, values any) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "proxy.cfg")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := template.Must(template.New("").Parse(text)).Execute(f, values); err != nil {
		t.Fatal(err)
	}
	return name
}

func startKamailio(t *testing.T) (stop func()) {
	t.Helper()
	if missing := lab.Missing("kamailio"); missing != "" {
		t.Skipf("SKIPPED: %s is not installed, no proxy to test with", missing)
	}
	cfg := render(t, kamailioConfig, map[string]any{"Address": lab.RelayAddr, "Port": proxyPort, "NG": lab.ControlAddr, "Domain": domain})
	return proxy(t, "kamailio", "-DD", "-E", "-f", cfg, "-Y", t.TempDir())
}

// until polls f until it says yes; what it last said is the failure's text.
func until(t *testing.T, what string, limit time.Duration, f func() (bool, string)) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var ok bool
		if ok, last = f(); ok {
			return
		}
	}
	t.Fatalf("%s: not within %v: %s", what, limit, last)
}

// whileItGrows polls f until it is done, as long as it takes, if only the number that f measures reaches a new height every
// two minutes: how fast nine pages get their share of a machine that others work on too is nothing to judge them by.
func whileItGrows(t *testing.T, what string, f func() (done bool, height int, last string)) {
	t.Helper()
	const patience = 2 * time.Minute
	highest, since := math.MinInt, time.Now()
	for {
		done, height, last := f()
		if done {
			return
		}
		if height > highest {
			highest, since = height, time.Now()
		}
		if time.Since(since) > patience {
			t.Fatalf("%s: at %d, not more than %d since %v: %s", what, height, highest, patience, last)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// serve gives the address of the conference's page, served in the browser's namespace.
func serve(t *testing.T, cfg conference.Config) string {
	t.Helper()
	cfg.Listen, cfg.Domain, cfg.Plain, cfg.Log = "127.0.0.1:0", domain, true, slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx, cancel := context.WithCancel(context.Background())
	ended, address := make(chan error, 1), make(chan string, 1)
	go func() { ended <- conference.Serve(ctx, cfg, func(url string) { address <- url }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the page's server ended with %v", err)
		}
	})
	select {
	case url := <-address:
		return url
	case err := <-ended:
		t.Fatal(err)
		return ""
	}
}

// browser is one Chromium with a fake camera and a fake microphone, and permission for both.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	if missing := lab.Missing("chromium"); missing != "" {
		t.Skipf("SKIPPED: %s is not installed, no browser to test with", missing)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("auto-select-desktop-capture-source", "Entire screen"),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter"),
		chromedp.WindowSize(1280, 800))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), append(opts, flags...)...)
	t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(alloc)
	t.Cleanup(cancelTab)
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is one page of the conference.
type tab struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	name   string
}

// visit opens the page in a window of its own, with scripts that run before those of the page.
func visit(t *testing.T, browser context.Context, url, name string, scripts ...string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{t, ctx, cancel, name}
	for _, js := range scripts {
		if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: js}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return p
}

// eval runs an expression in the page and decodes its awaited result.
func (p *tab) eval(out any, js string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	js = fmt.Sprintf("Promise.resolve(%s).then(v => JSON.stringify(v ?? null))", fmt.Sprintf(js, args...))
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](js, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v in %s", p.name, err, js)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		p.t.Fatalf("%s: %v in %q", p.name, err, text)
	}
}

// enter fills the lobby's form and sends it.
func (p *tab) enter(room string) {
	p.t.Helper()
	until(p.t, p.name+" has a lobby with a picture", 15*time.Second, func() (ok bool, _ string) {
		p.eval(&ok, `!!document.querySelector("#room") && !!document.querySelector(".frame video.shown")`)
		return ok, p.text()
	})
	p.submit(room)
}

func (p *tab) submit(room string) {
	p.t.Helper()
	p.eval(nil, `(() => {
		document.querySelector("#name").value = %q;
		document.querySelector("#room").value = %q;
		document.querySelector("form").requestSubmit();
	})()`, p.name, room)
}

func (p *tab) press(key string) {
	p.eval(nil, `void document.body.dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true}))`, key)
}

// click presses an element as a person does, which the browser asks for before it shows a screen.
func (p *tab) click(selector string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		js := fmt.Sprintf("document.querySelector(%q).click()", selector)
		_, err := cdp.Call(ctx, target, runtime.Evaluate, runtime.EvaluateParams{Expression: js, UserGesture: new(true)})
		return err
	}))
	if err != nil {
		p.t.Fatalf("%s: click on %s: %v", p.name, selector, err)
	}
}

func (p *tab) text() (s string) {
	p.eval(&s, `document.body.innerText`)
	return s
}

// member is what a page shows of another.
type member struct {
	ID, Name, Phase string
	Note            string // what the tile says of its call
	Frames          int    // decoded, from getStats
	Painted         int    // frames that reached the video element
	Picture         bool
	Path            string
}

// members is what the page shows, its own tile left out.
func (p *tab) members() (all []member) {
	p.eval(&all, `[...document.querySelectorAll(".tile:not(.own)")].map(e => ({
		ID: e.dataset.member, Name: e.querySelector(".who").textContent, Phase: e.dataset.phase ?? "",
		Note: e.querySelector(".cover:not([hidden])")?.innerText ?? "",
		Frames: +(e.dataset.frames ?? 0), Painted: e.querySelector("video").getVideoPlaybackQuality().totalVideoFrames,
		Picture: e.classList.contains("picture"),
		Path: document.querySelector('.call[data-member="' + e.dataset.member + '"] [data-key=path]')?.textContent ?? "",
	}))`)
	return all
}

// sees waits until the page shows exactly these others, with pictures that move.
func (p *tab) sees(others ...string) {
	p.t.Helper()
	p.seesAll(30*time.Second, others...)
}

func (p *tab) seesAll(limit time.Duration, others ...string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s sees %q live", p.name, others), limit, func() (bool, string) {
		all := p.members()
		ok := len(all) == len(others)
		for _, m := range all {
			ok = ok && m.Phase == "live" && strings.Contains(strings.Join(others, "|"), m.Name)
		}
		return ok, fmt.Sprintf("%+v", all)
	})
	before := map[string]member{}
	for _, m := range p.members() {
		before[m.ID] = m
	}
	until(p.t, fmt.Sprintf("%s sees %q move", p.name, others), 30*time.Second, func() (bool, string) {
		all := p.members()
		ok := len(all) == len(before)
		for _, m := range all {
			ok = ok && m.Frames >= before[m.ID].Frames+15 && m.Painted >= before[m.ID].Painted+15
		}
		return ok, fmt.Sprintf("%+v, before %+v", all, before)
	})
}

// opensips finds the OpenSIPS programs to test with: those that OPENSIPS_34, OPENSIPS_36 and OPENSIPS_40 name, with modules
// where OPENSIPS_MODULES_36 and so on say or beside the program, else the one in PATH.
func opensips(t *testing.T) (found []opensipscfg.Values, programs []string) {
	t.Helper()
	for _, version := range opensipscfg.Versions {
		digits := strings.ReplaceAll(version, ".", "")
		path := os.Getenv("OPENSIPS_" + digits)
		if path == "" {
			continue
		}
		v := opensipscfg.Defaults()
		v.OpenSIPS = version
		if v.ModulePath = os.Getenv("OPENSIPS_MODULES_" + digits); v.ModulePath != "" {
			v.ModulePath = strings.TrimSuffix(v.ModulePath, "/") + "/"
		}
		for _, dir := range opensipscfg.ModulesBeside(path) {
			if _, err := os.Stat(filepath.Join(dir, "tm.so")); err == nil && v.ModulePath == "" {
				v.ModulePath = dir
			}
		}
		found, programs = append(found, v), append(programs, path)
	}
	if path, err := exec.LookPath("opensips"); err == nil && len(found) == 0 {
		found, programs = append(found, opensipscfg.Defaults()), append(programs, path)
	}
	return found, programs
}

// startOpenSIPS runs OpenSIPS with the project's own configuration.
func startOpenSIPS(t *testing.T, program string, v opensipscfg.Values) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	v.Domains = []opensipscfg.Domain{{Name: domain, Registration: "open"}, {Name: "closed.test", Registration: "digest"}}
	v.Listen.IPv4.Address = lab.RelayAddr
	v.Listen.WS.Port = proxyPort
	v.Media.Sidecars = []opensipscfg.Sidecar{{Address: "udp:" + lab.ControlAddr}}
	v.Log.Stderr = true
	if _, err := opensipscfg.RenderTo(dir, v); err != nil {
		t.Fatal(err)
	}
	return proxy(t, program, "-F", "-f", filepath.Join(dir, "opensips.cfg"), "-m", "64", "-M", "4", "-P", filepath.Join(dir, "pid"))
}

// room is a proxy and a server for the page.
type room struct {
	name, url string
	relay     *lab.Daemon
	stop      func()                  // ends the proxy
	start     func(*testing.T) func() // starts another, which knows nothing of the first one's registrations
}

// eachProxy runs a test behind every proxy of this machine, each with a relay of its own.
func eachProxy(t *testing.T, test func(t *testing.T, r room)) {
	t.Helper()
	socket := fmt.Sprintf("ws://%s:%d", lab.RelayAddr, proxyPort)
	run := func(name string, page conference.Config, start func(*testing.T) func()) {
		t.Run(name, func(t *testing.T) {
			relay, err := lab.StartDaemon(t.Context(), relayProgram(t)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := relay.Close(); err != nil {
					t.Errorf("relay ended with %v", err)
				}
				if t.Failed() {
					log := relay.Log()
					t.Logf("relay's log:\n%s", log[max(0, len(log)-20000):])
				}
			})
			stop := start(t)
			test(t, room{name, serve(t, page), relay, stop, start})
		})
	}
	found, programs := opensips(t)
	for i, v := range found {
		run("OpenSIPS "+v.OpenSIPS, conference.Config{SIP: socket}, func(t *testing.T) func() { return startOpenSIPS(t, programs[i], v) })
	}
	if len(found) == 0 {
		t.Log("no opensips in PATH and none named by OPENSIPS_34, OPENSIPS_36, OPENSIPS_40: tried with Kamailio alone")
	}
	run("Kamailio", conference.Config{Upstream: socket}, startKamailio)
}

// calls are the ids of the calls that the relay holds.
func (r room) calls(t *testing.T) []string {
	t.Helper()
	list := new(ng.Dict)
	list.AddString("command", "list")
	list.AddInt("limit", 100)
	reply, err := r.relay.NG.Do(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, id := range reply.Value("calls").List() {
		ids = append(ids, id.Str())
	}
	return ids
}

// heard counts the ends of a call that the relay had sound from.
func (r room) heard(t *testing.T, id string) (n int) {
	t.Helper()
	query := new(ng.Dict)
	query.AddString("command", "query")
	query.AddString("call-id", id)
	reply, err := r.relay.NG.Do(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	for _, party := range reply.Value("tags").Dict().Entries() {
		for _, m := range party.Value.Dict().Value("medias").List() {
			if strings.HasPrefix(m.Dict().Value("codec").Str(), "opus/") {
				n++
			}
		}
	}
	return n
}

// screenshot keeps a picture in the folder that CONFERENCE_PICTURES names, for people to look at.
func screenshot(t *testing.T, p *tab, name string) {
	t.Helper()
	dir := os.Getenv("CONFERENCE_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
