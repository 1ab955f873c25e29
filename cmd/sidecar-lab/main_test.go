package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rtpsidecar/ng"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range ends {
		stop()
	}
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("os/signal.loop")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// ends stop what tests share.
var ends []func()

// relay is the daemon that tests ask, started once: the one that SIDECAR_LAB_DAEMON names, else ours, built here.
var relay = sync.OnceValues(func() (target string, err error) { return startRelay(os.Getenv("SIDECAR_LAB_DAEMON"), 41000) })

// startRelay runs a daemon until the end of the tests; its NG socket is at target.
func startRelay(path string, portMin int) (target string, err error) {
	dir, err := os.MkdirTemp("", "sidecar-lab-")
	if err != nil {
		return "", err
	}
	ends = append(ends, func() { _ = os.RemoveAll(dir) })
	args := []string{path}
	if path == "" {
		path = filepath.Join(dir, "rtpsidecar")
		if out, err := exec.Command("go", "build", "-o", path, "rtpsidecar/cmd/rtpsidecar").CombinedOutput(); err != nil {
			return "", fmt.Errorf("build: %w\n%s", err, out)
		}
		args = []string{"rtpengine"}
	}
	addr, http := freeAddr("udp"), freeAddr("tcp")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	cmd := &exec.Cmd{
		Path: path, Stdout: log, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		Args: append(args, "--config-file=none", "--foreground", "--log-stderr", "--table=-1", "--listen-ng="+addr, "--listen-http="+http,
			"--interface=127.0.0.1", fmt.Sprint("--port-min=", portMin), fmt.Sprint("--port-max=", portMin+998), "--log-level=4"),
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ends = append(ends, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
	})
	target = "udp:" + addr
	client, err := ng.Dial(context.Background(), target, ng.ClientConfig{Timeout: 100 * time.Millisecond, Attempts: 100})
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	if _, err := ask(context.Background(), client, "", "command", "ping"); err != nil {
		b, _ := os.ReadFile(log.Name())
		return "", fmt.Errorf("%w\n%s", err, b)
	}
	httpTargets.Store(target, http)
	return target, nil
}

// httpTargets are the HTTP listeners by NG target.
var httpTargets sync.Map

// freeAddr is a loopback address that nobody listens on at this moment.
func freeAddr(network string) string {
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		defer func() { _ = c.Close() }()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// lab runs the program in process.
type lab struct {
	t      *testing.T
	target string
	stdin  string
	env    map[string]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	target, err := relay()
	if err != nil {
		t.Fatal(err)
	}
	return &lab{t: t, target: target, env: map[string]string{}}
}

// run returns the output and the exit status of a command line.
func (l *lab) run(args ...string) (stdout, stderr string, status int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	return l.runContext(ctx, args...)
}

func (l *lab) runContext(ctx context.Context, args ...string) (stdout, stderr string, status int) {
	var out, errOut bytes.Buffer
	e := &env{stdin: strings.NewReader(l.stdin), stdout: &out, stderr: &errOut, args: append([]string{"sidecar-lab"}, args...),
		getenv: func(k string) string {
			if v, ok := l.env[k]; ok {
				return v
			}
			if k == "SIDECAR_LAB_TARGET" {
				return l.target
			}
			return ""
		}}
	err := run(ctx, e)
	status = exitCode(err, &errOut)
	return out.String(), errOut.String(), status
}

// must runs a command that has to succeed.
func (l *lab) must(args ...string) string {
	l.t.Helper()
	out, errOut, status := l.run(args...)
	if status != 0 {
		l.t.Fatalf("%q: status %d\n%s%s", args, status, out, errOut)
	}
	return out
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

func TestOfferAnswerDelete(t *testing.T) {
	l := newLab(t)
	out := l.must("offer", "--call-id", t.Name(), "--sdp", "chrome", "--explain", "RTP/AVP replace-origin ICE=remove rtcp-mux-demux")
	wants(t, out, "== offer to udp:", ": ok in", "- a=setup:actpass", "compared with sample chrome", "== why",
		"transport protocol UDP/TLS/RTP/SAVPF -> RTP/AVP; RTP/AVP: this profile", "ICE candidates removed: 3 lines; ICE=remove: no ICE towards the receiver [RFC 8839 section 5.1]",
		"a=rtcp-mux removed; rtcp-mux-demux: ", "daemon default: ")
	if strings.Contains(out, "\x1b") {
		t.Error("colour in a pipe")
	}
	out = l.must("answer", "--call-id", t.Name(), "--sdp", "phone-answer", "--json", "RTP/AVP ICE=remove")
	var res result
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Changes) == 0 || len(res.Diff) == 0 || res.ElapsedMS <= 0 || res.Error != "" {
		t.Errorf("%+v", res)
	}
	wants(t, string(res.Request), `"command": "answer"`, `"to-tag": "callee"`, `"ICE": "remove"`)
	wants(t, l.must("query", "--call-id", t.Name()), "tags:", "caller:", "callee:", "totals:", "UTC")
	wants(t, l.must("list", "limit=1000"), t.Name())
	wants(t, l.must("delete", "--call-id", t.Name(), "delete-delay=0"), "ok")
	if out := l.must("list", "limit=1000"); strings.Contains(out, t.Name()) {
		t.Errorf("the call is still there: %s", out)
	}
}

func TestBodies(t *testing.T) {
	l := newLab(t)
	body := l.must("offer", "--call-id", t.Name(), "--sdp", "phone", "--body", "RTP/AVP")
	if !strings.HasPrefix(body, "v=0\r\n") || strings.Contains(body, "==") {
		t.Errorf("not a body alone: %q", body)
	}
	file := filepath.Join(t.TempDir(), "offer.sdp")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, l.must("offer", "--sdp", file, "--call-id", t.Name()+"2", "--diff"), "  v=0\n", "+ m=audio ", "- m=audio ")
	l.stdin = body
	wants(t, l.must("offer", "ICE=force", "--sdp", "-", "--call-id", t.Name()+"3"), "standard input", "a=ice-ufrag:") // options behind flags
	for _, s := range samples {
		if s.name == "fragment" {
			continue
		}
		if _, errOut, status := l.run("offer", "--sdp", s.name, "--call-id", t.Name()+s.name, "--no-lint"); status != 0 {
			t.Errorf("%s: %s", s.name, errOut)
		}
		wants(t, l.must("samples", s.name), "m=")
		l.must("delete", "--call-id", t.Name()+s.name, "delete-delay=0")
	}
	for _, n := range []string{"", "2", "3"} {
		l.must("delete", "--call-id", t.Name()+n, "delete-delay=0")
	}
}

func TestColour(t *testing.T) {
	l := newLab(t)
	l.env["CLICOLOR_FORCE"] = "1"
	out := l.must("offer", "--sdp", "phone", "--call-id", t.Name(), "--explain", "RTP/AVP")
	wants(t, out, "\x1b[31m- ", "\x1b[32m+ ")
	l.env["NO_COLOR"] = "1"
	if out := l.must("query", "--call-id", t.Name()); strings.Contains(out, "\x1b") {
		t.Error("colour in spite of NO_COLOR")
	}
	l.must("delete", "--call-id", t.Name(), "delete-delay=0")
}

func TestErrors(t *testing.T) {
	l := newLab(t)
	tests := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"error reply", []string{"query", "--call-id", "nobody"}, 1, "error: Unknown call-id"},
		{"error as JSON", []string{"query", "--call-id", "nobody", "--json"}, 1, `"error": "Unknown call-id"`},
		{"no body", []string{"offer"}, 2, "offer needs --sdp"},
		{"no such sample", []string{"offer", "--sdp", "crome"}, 2, "neither a file nor a sample"},
		{"no such file", []string{"offer", "--sdp", "./none.sdp"}, 1, "none.sdp"},
		{"no such command", []string{"ofer"}, 2, "unknown command"},
		{"no such option", []string{"ping", "--colour"}, 2, "flag provided but not defined"},
		{"option before the command", []string{"--target=udp:127.0.0.1:1", "ping"}, 2, "options go behind a command"},
		{"target", []string{"ping", "--target", "sctp:x"}, 2, "a target begins with"},
		{"silence", []string{"ping", "--target", "udp:127.0.0.1:9", "--timeout", "1ms", "--tries", "1"}, 1, "no reply"},
		{"raw error", []string{"raw", `{"command":"nonsense"}`}, 1, "Unrecognized command"},
		{"raw nonsense", []string{"raw", "hello"}, 2, "a dictionary begins with"},
		{"a hint", []string{"offer", "--sdp", "phone", "ICE=remvoe", "--call-id", "hint"}, 0, "did you mean ICE=remove?"},
	}
	for _, tt := range tests {
		out, errOut, status := l.run(tt.args...)
		if status != tt.status || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s%s", tt.name, status, tt.status, tt.want, out, errOut)
		}
	}
	l.must("delete", "--call-id", "hint", "delete-delay=0")
}

func TestTransports(t *testing.T) {
	l := newLab(t)
	addr, _ := httpTargets.Load(l.target)
	resp, err := http.Get(fmt.Sprintf("http://%s/ping", addr))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	for _, target := range []string{l.target, fmt.Sprintf("http://%s/ng", addr), fmt.Sprintf("ws://%s/", addr)} {
		for _, wire := range []string{"--json-wire=false", "--json-wire"} {
			wants(t, l.must("ping", "--target", target, wire), "pong")
		}
	}
	wants(t, l.must("statistics"), "statistics:", "currentstatistics:")
	wants(t, l.must("raw", `{"command":"ping"}`), `"result": "pong"`)
	wants(t, l.must("raw", "--bencode", "d7:command4:pinge"), "d6:result4:ponge")
	l.stdin = `{"command":"list"}`
	wants(t, l.must("raw", "-"), `"calls"`)
}

// TestEveryCommand sends each NG command once: the daemon's answer may be an error, but it must be an answer.
func TestEveryCommand(t *testing.T) {
	l := newLab(t)
	for _, c := range (&env{getenv: func(string) string { return "" }}).messageCommands() {
		if c.Name == "raw" {
			continue
		}
		args := []string{c.Name}
		for _, f := range c.Flags {
			if f.Names()[0] == "sdp" {
				args = append(args, "--sdp", "phone")
			}
		}
		out, errOut, status := l.run(args...)
		if status > 1 || !strings.Contains(out, "== ") {
			t.Errorf("%s: status %d\n%s%s", c.Name, status, out, errOut)
		}
	}
	l.run("delete", "delete-delay=0")
}

func TestFlagsCommands(t *testing.T) {
	l := newLab(t)
	wants(t, l.must("flags", "list"), "ICE=force", "rtcp-mux=demux", "trust-address", "codec-strip-...")
	wants(t, l.must("flags", "list", "--tier", "a", "--in", "answer"), "ICE=")
	wants(t, l.must("flags", "search", "demux"), "rtcp-mux=demux")
	wants(t, l.must("flags", "show", "SDES-off", "ICE"), "SDES=off", "also written: no, disable", "force-relay")
	var infos []flagInfo
	if err := json.Unmarshal([]byte(l.must("flags", "list", "--json", "--refused")), &infos); err != nil || len(infos) == 0 {
		t.Errorf("%v, %d rows", err, len(infos))
	}
	if _, errOut, status := l.run("flags", "show", "ICE=remvoe"); status != 1 || !strings.Contains(errOut, "did you mean ICE=remove?") {
		t.Errorf("status %d: %s", status, errOut)
	}
	if _, _, status := l.run("flags", "search", "zzzz"); status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestFlagsLint(t *testing.T) {
	l := newLab(t)
	wants(t, l.must("flags", "lint", "RTP/AVP replace-origin ICE=remove"), "nothing to complain about")
	out, _, status := l.run("flags", "lint", "RTP/AVP", "replace-origni")
	wants(t, out, "    RTP/AVP replace-origni\n            ^^^^^^^^^^^^^^\n", "did you mean replace-origin?", "1 errors, 0 warnings")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	out, _, status = l.run("flags", "lint", "--command", "answer", "rtcp-mux-demux")
	wants(t, out, "no effect in an answer")
	if status != 0 {
		t.Errorf("status %d for a warning", status)
	}
	if _, _, status = l.run("flags", "lint", "--strict", "--command", "answer", "rtcp-mux-demux"); status != 1 {
		t.Errorf("status %d with --strict", status)
	}
	out, _, status = l.run("flags", "lint", "flaglint/testdata/bad")
	wants(t, out, "flaglint/testdata/bad/28-variable.cfg:2: rtpengine_offer: error: ", "01-typo-ice.cfg:3: ")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	if _, _, status := l.run("flags", "lint", "--to", "car", "x"); status != 2 {
		t.Errorf("status %d", status)
	}
	wants(t, l.must("flags", "lint", "--json", "RTP/AVP"), "[]")
}

func TestDocumentation(t *testing.T) {
	l := newLab(t)
	wants(t, l.must("man"), ".TH", "offer", "flags", "EXAMPLES", "sidecar-lab matrix")
	wants(t, l.must("man", "--markdown"), "## offer")
	wants(t, l.must("version"), "sidecar-lab ")
	wants(t, l.must("help"), "COMMANDS:", "matrix")
	wants(t, l.must("help", "call"), "--proxy", "Examples:")
	wants(t, l.must("flags"), "lint", "search")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		wants(t, l.must("completion", shell), "--generate-bash-completion", "sidecar-lab")
	}
	wants(t, l.must("offer", "--generate-bash-completion"), "trust-address", "ICE=force")
	wants(t, l.must("--generate-bash-completion"), "offer", "flags")
	wants(t, l.must("samples", "--generate-bash-completion"), "chrome")
	guide, err := os.ReadFile("../../docs/sidecar-lab.md")
	if err != nil {
		t.Fatal(err)
	}
	app := (&env{getenv: func(string) string { return "" }}).app()
	for _, c := range app.Commands {
		if help := l.must(c.Name, "--help"); c.Name != "help" && !strings.Contains(help, "Examples:") {
			t.Errorf("%s --help has no example", c.Name)
		}
		if !strings.Contains(string(guide), c.Name) {
			t.Errorf("docs/sidecar-lab.md does not mention %s", c.Name)
		}
	}
}

// TestBashCompletion sources the script in a real bash and asks it for completions.
func TestBashCompletion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("SKIPPED: bash is not installed")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "sidecar-lab"), ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	script := `PATH="$1:$PATH"; source <(sidecar-lab completion bash); COMP_WORDS=(sidecar-lab "${@:2}"); COMP_CWORD=$(($# - 1)); _sidecar_lab 2>/dev/null; echo "${COMPREPLY[@]}"`
	for want, words := range map[string][]string{
		"offer": {"off"}, "rtcp-mux=demux": {"offer", "rtcp-mux=d"}, "lint": {"flags", "li"}, "chrome": {"samples", "chr"}, "--sdp": {"offer", "--sd"},
	} {
		out, err := exec.Command("bash", append([]string{"-c", script, "bash", dir}, words...)...).CombinedOutput()
		if err != nil || !strings.Contains(" "+strings.ReplaceAll(string(out), "\n", " ")+" ", " "+want) {
			t.Errorf("%q: %v, %q, want %s", words, err, out, want)
		}
	}
}
