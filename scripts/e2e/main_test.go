package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	lab "rtpsidecar/scripts/webrtclab"
)

//go:embed page
var pageFiles embed.FS

// pageDir is the environment variable that hands the bundled page to the run inside the lab's network, which has no way
// to a package registry.
const pageDir = "E2E_PAGE"

func TestMain(m *testing.M) {
	if os.Getenv(pageDir) == "" {
		dir, err := bundle()
		if err != nil {
			fmt.Println("SKIPPED: no page with SIP.js to test with:", err)
			dir = "none"
		}
		os.Setenv(pageDir, dir)
	}
	lab.Main(m.Run)
}

// bundle installs SIP.js in the version of the lock file and makes one script of it and the page's own. The result is
// kept under a name made of what went into it, so that only the first run takes time.
func bundle() (dir string, err error) {
	if missing := lab.Missing("npm", "node"); missing != "" {
		return "", fmt.Errorf("%s is not installed", missing)
	}
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, from := range []fs.FS{files, lab.PageFiles()} {
		for _, name := range []string{"agents.js", "index.html", "lab.js", "package-lock.json"} {
			b, _ := fs.ReadFile(from, name)
			sum.Write(b)
		}
	}
	dir = filepath.Join(os.TempDir(), fmt.Sprintf("e2e-page-%x", sum.Sum(nil)[:8]))
	if _, err := os.Stat(filepath.Join(dir, "sip.js")); err == nil {
		return dir, nil
	}
	work, err := os.MkdirTemp("", "e2e-bundle-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, files); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, argv := range [][]string{
		{"npm", "ci", "--no-audit", "--no-fund", "--cache", filepath.Join(work, "cache")},
		{"node_modules/.bin/esbuild", "agents.js", "--bundle", "--format=iife", "--outfile=out/sip.js"},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", argv, err, out)
		}
	}
	out := filepath.Join(work, "out")
	for name, from := range map[string]fs.FS{"index.html": files, "lab.js": lab.PageFiles()} {
		b, err := fs.ReadFile(from, name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(out, name), b, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Rename(out, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// The accounts of the digest domain, and one that anybody may take in the open one.
var (
	alice = account{"alice", digestDomain, "alice-password"}
	bob   = account{"bob", digestDomain, "bob-password"}
	carol = account{"carol", digestDomain, "carol-password"}
	guest = account{"guest", openDomain, ""}
)

// stage is one proxy with a daemon and a browser.
type stage struct {
	*testing.T
	ctx      context.Context
	daemon   *lab.Daemon
	page     *lab.Page
	opensips bool
	program  []string // of the daemon, with its first argument
	proxy    *runningProxy
	restart  func() // ends the proxy and starts it again
}

// onEachProxy runs f with every proxy there is, the daemon and, if browser says so, Chromium.
func onEachProxy(t *testing.T, table string, browser bool, f func(*stage)) {
	deployEach(t, deployment{table: table}, browser, f)
}

func deployEach(t *testing.T, d deployment, browser bool, f func(*stage)) {
	programs, err := proxyPrograms()
	if err != nil {
		t.Fatal(err)
	}
	if len(programs) == 0 {
		t.Skip("SKIPPED: neither opensips nor kamailio is installed")
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if !programs[0].opensips() {
				t.Log("NOT TESTED HERE: no OpenSIPS on this machine; the flows run through Kamailio with an equivalent configuration")
			}
			f(newStage(t, p, d, browser))
		})
	}
}

func newStage(t *testing.T, p proxyProgram, d deployment, browser bool) *stage {
	t.Helper()
	if browser && (os.Getenv(pageDir) == "none" || lab.Missing("chromium") != "") {
		t.Skip("SKIPPED: no browser with SIP.js to test with")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	s := &stage{T: t, ctx: ctx, opensips: p.opensips()}
	dir := t.TempDir()
	writeCertificate(t, dir)
	argv := []string{os.Getenv("E2E_DAEMON")}
	if argv[0] == "" {
		argv = []string{filepath.Join(dir, "rtpsidecar"), "serve"}
		if out, err := exec.Command("go", "build", "-o", argv[0], "rtpsidecar/cmd/rtpsidecar").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	s.program = argv
	s.daemon = s.relay(lab.ControlAddr, 30000)
	d.users = []account{alice, bob, carol}
	var err error
	begin := func() {
		t.Helper()
		s.proxy, err = startProxy(ctx, p, dir, d)
		s.must(err)
		s.awaitProxy(s.proxy)
	}
	begin()
	t.Cleanup(func() {
		if err := s.proxy.close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, s.proxy.tail())
		}
	})
	s.restart = func() {
		t.Helper()
		s.must(s.proxy.close())
		begin()
	}
	if browser {
		s.page, err = lab.ChromiumWith(ctx, os.DirFS(os.Getenv(pageDir)))
		s.must(err)
		t.Cleanup(s.page.Close)
	}
	return s
}

// relay starts a daemon at this NG address, which is closed with the stage.
func (s *stage) relay(control string, minPort int) *lab.Daemon {
	s.Helper()
	d, err := lab.StartDaemonAt(s.ctx, control, minPort, []string{"pub/" + lab.RelayAddr, "pub/" + lab.RelayAddr6}, s.program...)
	s.must(err)
	s.Cleanup(func() {
		if err := d.Close(); err != nil {
			s.Errorf("daemon ended with %v", err)
		}
		if s.Failed() {
			log := d.Log()
			s.Logf("daemon:\n%s", log[max(0, len(log)-8000):])
		}
	})
	return d
}

func (s *stage) run(name string, f func(*stage)) {
	s.T.Run(name, func(t *testing.T) {
		inner := *s
		inner.T = t
		f(&inner)
	})
}

// runOnOpenSIPS is for what only the rendered configuration does.
func (s *stage) runOnOpenSIPS(name string, f func(*stage)) {
	if s.opensips {
		s.run(name, f)
	}
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) until(what string, limit time.Duration, f func() (bool, string)) {
	s.Helper()
	var last string
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var ok bool
		if ok, last = f(); ok {
			return
		}
	}
	s.Fatalf("%s: not within %v: %s", what, limit, last)
}

// awaitProxy waits until the proxy's WebSocket port takes connections, which is the last to come up.
func (s *stage) awaitProxy(p *runningProxy) {
	s.Helper()
	s.until("the proxy is up", 15*time.Second, func() (bool, string) {
		select {
		case <-p.exited:
			s.Fatalf("the proxy ended at start: %v", p.err)
		default:
		}
		conn, err := net.Dial("tcp", net.JoinHostPort(lab.RelayAddr, fmt.Sprint(portWS)))
		if err != nil {
			return false, err.Error()
		}
		return conn.Close() == nil, ""
	})
}

// phone is a telephone on IPv4 or IPv6, registered.
func (s *stage) phone(a account, six bool) *phone {
	s.Helper()
	return s.registered(s.unregistered(a, six))
}

// phoneOver is a registered telephone with a connection: tcp or tls.
func (s *stage) phoneOver(transport string, a account, six bool) *phone {
	s.Helper()
	port := uint16(portSIP)
	if transport == "tls" {
		port = portTLS
	}
	p, err := dialPhone(s.ctx, transport, netip.AddrPortFrom(proxyAddr(six), port), a)
	s.must(err)
	s.Cleanup(p.close)
	return s.registered(p)
}

func proxyAddr(six bool) netip.Addr {
	if six {
		return netip.MustParseAddr(lab.RelayAddr6)
	}
	return netip.MustParseAddr(lab.RelayAddr)
}

func (s *stage) registered(p *phone) *phone {
	s.Helper()
	code, err := p.register(s.ctx, 600)
	s.must(err)
	if code != 200 {
		s.Fatalf("%s registers: %d", p.user, code)
	}
	s.Cleanup(func() {
		if code, err := p.register(s.ctx, 0); err != nil || code != 200 {
			s.Errorf("%s leaves: %d, %v", p.user, code, err)
		}
	})
	return p
}

func (s *stage) unregistered(a account, six bool) *phone {
	s.Helper()
	p, err := newPhone(netip.AddrPortFrom(proxyAddr(six), portSIP), a, 0)
	s.must(err)
	s.Cleanup(p.close)
	return p
}

// agent options of the page.
type agentConfig struct {
	Server   string  `json:"server"`
	AOR      string  `json:"aor"`
	User     string  `json:"user"`
	Password string  `json:"password,omitempty"`
	Hz       float64 `json:"hz"`
	Video    bool    `json:"video"`
}

// Tones of pages; phones have lab.PhoneToneHz.
const (
	firstHz  = lab.PageToneHz
	secondHz = 620
)

// agent is a registered user agent of the page over WebSocket; its id is the account's name.
func (s *stage) agent(a account, hz float64, video bool) string {
	s.Helper()
	return s.agentOn(fmt.Sprintf("ws://%s:%d", lab.RelayAddr, portWS), a, hz, video)
}

func (s *stage) agentOn(server string, a account, hz float64, video bool) string {
	s.Helper()
	s.sip(nil, "start", a.user, agentConfig{server, a.aor(), a.user, a.password, hz, video})
	s.Cleanup(func() { s.sip(nil, "stop", a.user) })
	var code int
	s.sip(&code, "register", a.user)
	if code != 200 {
		s.Fatalf("%s registers in the page: %d", a.user, code)
	}
	return a.user
}

// sip calls a function of the page's script.
func (s *stage) sip(out any, function string, args ...any) {
	s.Helper()
	s.must(s.page.Call(s.ctx, out, "sip."+function, args...))
}

// hears waits until a call of the page hears a tone.
func (s *stage) hears(call string, hz float64) {
	s.Helper()
	s.until(fmt.Sprintf("page's %s hears %v Hz", call, hz), 20*time.Second, func() (bool, string) {
		share, err := s.page.Hears(s.ctx, call, hz)
		s.must(err)
		return share > 0.5, fmt.Sprintf("share %.2f", share)
	})
}

// phoneHears waits until a phone hears a tone.
func (s *stage) phoneHears(p *phone, hz float64) {
	s.Helper()
	s.until(fmt.Sprintf("%s hears %v Hz", p.user, hz), 15*time.Second, func() (bool, string) {
		n := p.media.Received()
		time.Sleep(100 * time.Millisecond)
		share := p.media.Hears(hz)
		return share > 0.5 && p.media.Received() > n, fmt.Sprintf("share %.2f, %d packets", share, p.media.Received())
	})
}

// quiet waits until count stands still for half a second.
func (s *stage) quiet(what string, count func() int) {
	s.Helper()
	s.until(what, 10*time.Second, func() (bool, string) {
		n := count()
		time.Sleep(500 * time.Millisecond)
		more := count() - n
		return more == 0, fmt.Sprintf("%d packets in half a second", more)
	})
}

func (s *stage) audioPackets(call string) func() int {
	return func() int {
		st, err := s.page.Stats(s.ctx, call)
		s.must(err)
		return st.AudioPackets
	}
}

// frames waits until a call of the page decodes video that moves.
func (s *stage) frames(call string) {
	s.Helper()
	s.until(call+" sees the other", 20*time.Second, func() (bool, string) {
		st, err := s.page.Stats(s.ctx, call)
		s.must(err)
		return st.FramesDecoded > 20, fmt.Sprintf("%d frames, %s", st.FramesDecoded, st.ICE)
	})
}

// relayed fails if the page's media of a call does not go through the daemon.
func (s *stage) relayed(call string) {
	s.Helper()
	st, err := s.page.Stats(s.ctx, call)
	s.must(err)
	if !strings.HasPrefix(st.PairRemote, lab.RelayAddr+":") {
		s.Errorf("%s: media goes to %s, not through the relay", call, st.PairRemote)
	}
}

// calls is how many calls the daemon has.
func (s *stage) calls() int {
	s.Helper()
	return s.callsOf(s.daemon)
}

func (s *stage) callsOf(d *lab.Daemon) int {
	s.Helper()
	list := &ng.Dict{}
	list.AddString("command", "list")
	list.AddInt("limit", 1000)
	reply, err := d.NG.Do(s.ctx, list)
	s.must(err)
	return len(reply.Value("calls").List())
}

// nothingLeft waits until the daemon has no call any more: the proxy deletes at once.
func (s *stage) nothingLeft() {
	s.Helper()
	s.until("the daemon has no call left", 3*time.Second, func() (bool, string) {
		n := s.calls()
		return n == 0, fmt.Sprint(n, " calls")
	})
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: digestDomain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{digestDomain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
