package lab

import (
	"context"
	_ "embed"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
)

var (
	//go:embed kamailio.cfg.tmpl
	kamailioConfig string
	//go:embed uac.xml
	callerScenario []byte
	//go:embed uas.xml
	calleeScenario []byte
)

// TestKamailioCall: two sipp user agents call each other through an unmodified Kamailio whose rtpengine module is pointed
// at the daemon. Ten seconds of PCMU both ways, a re-INVITE, two more seconds, BYE.
func TestKamailioCall(t *testing.T) {
	need(t, "kamailio", "sipp")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	relay := startDaemon(ctx, t)
	proxyPort, calleePort, callerPort := freePort(t), freePort(t), freePort(t)
	startKamailio(ctx, t, dir, map[string]int{"Proxy": proxyPort, "Callee": calleePort, "NG": int(relay.Listen.Port())})

	caller, callee := endpoint(t, 'a', 'b'), endpoint(t, 'b', 'a')
	uas := startSipp(ctx, t, dir, "uas", calleeScenario, calleePort, callee.Port())
	uac := startSipp(ctx, t, dir, "uac", callerScenario, callerPort, caller.Port(), "127.0.0.1:"+strconv.Itoa(proxyPort))

	media := func(n int) (toCaller, toCallee netip.AddrPort) {
		return told(ctx, t, dir, "uac", n), told(ctx, t, dir, "uas", n)
	}
	forCaller, forCallee := media(1)
	if forCaller == forCallee || forCaller.Port() < 28100 || forCallee.Port() > 28999 {
		t.Fatalf("the user agents were told %v and %v: not two ports of the relay", forCaller, forCallee)
	}
	if got := calls(t, relay); len(got) != 1 {
		t.Fatalf("the relay lists %q, want one call", got)
	}
	carry(ctx, t, caller, callee, forCaller, forCallee, 0, 500)
	forCaller2, forCallee2 := media(2)
	if forCaller2 != forCaller || forCallee2 != forCallee {
		t.Errorf("re-INVITE from the same ends moved the media from %v, %v to %v, %v", forCaller, forCallee, forCaller2, forCallee2)
	}
	carry(ctx, t, caller, callee, forCaller2, forCallee2, 500, 100)
	for name, ua := range map[string]*exec.Cmd{"uac": uac, "uas": uas} {
		if err := ua.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := calls(t, relay); len(got) != 0 {
		t.Errorf("the relay lists %q after BYE", got)
	}
}

func endpoint(t *testing.T, id, other byte) *Endpoint {
	t.Helper()
	e, err := NewEndpoint(id, other)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func startKamailio(ctx context.Context, t *testing.T, dir string, ports map[string]int) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "kamailio.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := template.Must(template.New("").Parse(kamailioConfig)).Execute(f, ports); err != nil {
		t.Fatal(err)
	}
	cmd := start(ctx, t, dir, "kamailio", "-DD", "-E", "-f", f.Name(), "-Y", dir, "-P", filepath.Join(dir, "kamailio.pid"),
		"-m", "32", "-M", "4")
	t.Cleanup(func() {
		_ = cmd.Cancel()
		_ = cmd.Wait()
	})
	// It is up once the module has had its pong.
	if _, err := AwaitLines(ctx, filepath.Join(dir, "kamailio.out"), 1, func(l string) (string, bool) {
		return l, strings.Contains(l, "rtpengine instance <udp:127.0.0.1:") && strings.Contains(l, "found")
	}); err != nil {
		t.Fatal(err)
	}
}

func startSipp(ctx context.Context, t *testing.T, dir, name string, scenario []byte, port, rtpPort int, more ...string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(dir, name+".xml")
	if err := os.WriteFile(file, scenario, 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-sf", file, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-m", "1", "-nostdin", "-timeout", "40",
		"-timeout_error", "-trace_logs", "-log_file", filepath.Join(dir, name+".log"),
		"-trace_err", "-error_file", filepath.Join(dir, name+".err"),
		"-key", "rtp_port", strconv.Itoa(rtpPort)}, more...)
	cmd := start(ctx, t, dir, "sipp", args...)
	t.Cleanup(func() { showOnFailure(t, name, filepath.Join(dir, name+".err")) })
	return cmd
}

// told is the n-th media address that the user agent was given.
func told(ctx context.Context, t *testing.T, dir, name string, n int) netip.AddrPort {
	t.Helper()
	lines, err := AwaitLines(ctx, filepath.Join(dir, name+".log"), n, func(l string) (string, bool) {
		return strings.CutPrefix(l, "media ")
	})
	if err != nil {
		t.Fatal(err)
	}
	ap, err := netip.ParseAddrPort(lines[n-1])
	if err != nil {
		t.Fatal(err)
	}
	return ap
}
