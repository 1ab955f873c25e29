package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/rtpengine"
)

// asProgram makes the test binary run as the program itself.
const asProgram = "RTPSIDECAR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/signal.loop"))
}

// readyLine is the log line of a daemon that listens.
type readyLine struct {
	Msg   string
	NG    []string `json:"listen-ng"`
	TCP   []string `json:"listen-tcp-ng"`
	HTTP  []string `json:"listen-http"`
	HTTPS []string `json:"listen-https"`
	CLI   []string `json:"listen-cli"`
}

// awaitReady reads JSON log lines until the daemon is ready; what follows is thrown away.
func awaitReady(t *testing.T, log io.Reader) readyLine {
	t.Helper()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var l readyLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("log line %q: %v", lines.Text(), err)
		}
		if l.Msg == "ready" {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return l
		}
	}
	t.Fatalf("the daemon ended before it was ready: %v", lines.Err())
	return readyLine{}
}

// startServe runs `serve` in this process.
func startServe(t *testing.T, getenv func(string) string, args ...string) readyLine {
	t.Helper()
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	args = append([]string{"rtpsidecar", "serve", "--config-file=none", "--log-format=json", "--interface=127.0.0.1"}, args...)
	go func() {
		done <- run(ctx, env{stdout: io.Discard, stderr: w, getenv: getenv, args: args, network: systemNetwork})
		_ = w.Close()
	}()
	ready := awaitReady(t, r)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ready
}

func ctlRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), env{stdout: &out, stderr: io.Discard, getenv: os.Getenv, args: append([]string{"rtpsidecar", "ctl"}, args...)})
	return out.String(), err
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	cert := writeCertificate(t, dir)
	pidfile := filepath.Join(dir, "pid")
	d := startServe(t, nil, "-p", pidfile, "--listen-ng=127.0.0.1:0", "--listen-tcp-ng=127.0.0.1:0", "--listen-http=127.0.0.1:0",
		"--listen-https=127.0.0.1:0", "--https-cert="+cert, "--listen-cli=127.0.0.1:0", "--control-tos=184")
	t.Run("pidfile", func(t *testing.T) {
		if b, err := os.ReadFile(pidfile); err != nil || string(b) != strconv.Itoa(os.Getpid())+"\n" {
			t.Errorf("pidfile holds %q, %v", b, err)
		}
	})
	for _, target := range []string{"udp:" + d.NG[0], "tcp:" + d.TCP[0], "http://" + d.HTTP[0] + "/ng", "ws://" + d.HTTP[0] + "/"} {
		t.Run(target[:4], func(t *testing.T) {
			if out, err := ctlRun(t, "--to", target, "ping"); err != nil || !strings.Contains(out, `"result": "pong"`) {
				t.Errorf("ping = %q, %v", out, err)
			}
		})
	}
	t.Run("https", func(t *testing.T) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + d.HTTPS[0] + "/ping")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "pong\n" {
			t.Errorf("ping = %q, %v", b, err)
		}
	})
	t.Run("ctl", func(t *testing.T) {
		target := "udp:" + d.NG[0]
		for command, want := range map[string]string{"list": `"calls"`, "statistics": `"statistics"`} {
			if out, err := ctlRun(t, "--to", target, command); err != nil || !strings.Contains(out, want) {
				t.Errorf("%s = %q, %v", command, out, err)
			}
		}
		if _, err := ctlRun(t, "--to", target, "query", "nobody"); err == nil || !strings.Contains(err.Error(), "Unknown call-id") {
			t.Errorf("query of an unknown call: %v", err)
		}
		if out, err := ctlRun(t, "--to", target, "delete", "--from-tag=x", "nobody"); err != nil || !strings.Contains(out, "warning") {
			t.Errorf("delete of an unknown call = %q, %v", out, err)
		}
	})
	t.Run("cli", func(t *testing.T) {
		conn, err := net.Dial("tcp", d.CLI[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "list numsessions\n")
		if b, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(b), "Current sessions own: 0\n") {
			t.Errorf("got %q, %v", b, err)
		}
	})
	t.Run("log level", func(t *testing.T) {
		set := func(line string) string {
			conn, err := net.Dial("tcp", d.CLI[0])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, line+"\n")
			b, _ := io.ReadAll(conn)
			return string(b)
		}
		if got := set("set loglevel 3"); got != "Success setting loglevel to 3\n" {
			t.Errorf("set: %q", got)
		}
		if got := set("list loglevel core"); got != "3\n" {
			t.Errorf("list: %q", got)
		}
	})
}

func TestServeErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct{ name, args, want string }{
		{"http port taken", "--listen-http=" + taken.Addr().String(), "address already in use"},
		{"cli port taken", "--listen-ng=127.0.0.1:0 --listen-cli=" + taken.Addr().String(), "address already in use"},
		{"unknown host", "--listen-ng=nowhere.invalid:1", "listen-ng"},
		{"no certificate", "--listen-https=127.0.0.1:0 --https-cert=/nonexistent", "https-cert"},
		{"pidfile", "--listen-ng=127.0.0.1:0 --pidfile=/nonexistent/pid", "pidfile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"rtpsidecar", "serve", "--config-file=none", "--interface=127.0.0.1"}, strings.Fields(tt.args)...)
			err := run(t.Context(), env{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, args: args, network: systemNetwork})
			if err == nil || !strings.Contains(err.Error(), tt.want) || exitCode(err, io.Discard) != 1 {
				t.Errorf("error %v, want %q and exit status 1", err, tt.want)
			}
		})
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	receive := func() string {
		buf := make([]byte, 1000)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	t.Run("life", func(t *testing.T) {
		startServe(t, func(name string) string {
			return map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}[name]
		}, "--listen-ng=127.0.0.1:0")
		if got := receive(); !strings.HasPrefix(got, "READY=1\n") {
			t.Errorf("first message %q", got)
		}
		if got := receive(); got != "WATCHDOG=1" {
			t.Errorf("second message %q", got)
		}
		go func() {
			for { // until "STOPPING=1"; the watchdog must not block on a full socket
				buf := make([]byte, 100)
				if n, err := conn.Read(buf); err != nil || string(buf[:n]) == "STOPPING=1" {
					return
				}
			}
		}()
	})
	if err := notify(func(string) string { return "/nonexistent" }, "READY=1"); err == nil {
		t.Error("no error for a socket that is not there")
	}
}

func TestWatchdogInterval(t *testing.T) {
	tests := []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"none", "", "", 0},
		{"half of it", "3000000", "", 1500 * time.Millisecond},
		{"ours", "3000000", strconv.Itoa(os.Getpid()), 1500 * time.Millisecond},
		{"for another process", "3000000", "1", 0},
		{"no number", "x", "", 0},
	}
	for _, tt := range tests {
		got := watchdogInterval(func(name string) string {
			return map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}[name]
		})
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// program returns a command that runs the program under the given name.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), link, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GOCOVERDIR="+t.TempDir())
	return cmd
}

func TestProgramStops(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := program(t, "rtpsidecar", "serve", "--config-file=none", "--interface=127.0.0.1", "--listen-ng=127.0.0.1:0", "--log-format=json")
			log, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitReady(t, log)
			for _, s := range []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, sig} {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("exit: %v", err)
			}
		})
	}
}

// An existing unit's line starts the daemon in the background: the command returns when it answers.
func TestProgramAsReference(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.LocalAddr().String()
	_ = free.Close()
	for name, logging := range map[string][]string{"stderr": {"-E", "-L", "7"}, "syslog": {"-L7"}} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--config-file=none", "-p", pidfile, "--interface", "127.0.0.1", "--listen-ng", addr, "-m", "50000", "-M", "55000"}
			cmd := program(t, "rtpengine", append(args, logging...)...)
			stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			cmd.Stderr = stderr
			if err := cmd.Run(); err != nil {
				log, _ := os.ReadFile(stderr.Name())
				t.Fatalf("%v: %s", err, log)
			}
			client, err := ng.Dial(t.Context(), "udp:"+addr, ng.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ping := new(ng.Dict)
			ping.AddString("command", "ping")
			if _, err := client.Do(t.Context(), ping); err != nil {
				t.Error(err)
			}
			pid, err := os.ReadFile(pidfile)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(n, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			for range 1000 { // it is not our child: its pidfile goes last
				if _, err := os.Stat(pidfile); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Error("the daemon did not stop")
		})
	}
}

func TestProgramFailsInTheBackground(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown option", []string{"--nope"}, 2, "rtpsidecar: unknown option --nope; --help lists them\n"},
		{"misspelt option", []string{"--interfac=lo"}, 2, "is --interface meant?"},
		{"listener", []string{"--config-file=none", "-E", "--interface=127.0.0.1", "--listen-ng=127.0.0.1"}, 2, "as in 192.0.2.1:2223"},
		{"no such address", []string{"--config-file=none", "-E", "--interface=127.0.0.1", "--listen-ng=198.51.100.77:22"}, 1, "no interface of this machine has 198.51.100.77"},
		{"known to the child only", []string{"--config-file=none", "-E", "--interface=nowhere.invalid"}, 2, `interface "nowhere.invalid"`},
		{"cannot run", []string{"--config-file=none", "-E", "--interface=127.0.0.1", "--listen-ng=127.0.0.1:0", "-p", "/nonexistent/pid"}, 1, "pidfile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := program(t, "rtpengine", tt.args...)
			out, _ := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.want) {
				t.Errorf("exit status %d, output %q, want %d, %q", cmd.ProcessState.ExitCode(), out, tt.code, tt.want)
			}
		})
	}
}

func TestCommands(t *testing.T) {
	tests := []struct {
		args string
		want string
		code int
	}{
		{"rtpsidecar", "serve", 0},
		{"rtpsidecar version", "rtpsidecar ", 0},
		{"rtpsidecar serve --version", "rtpsidecar ", 0},
		{"rtpsidecar serve --help", "--listen-ng", 0},
		{"/usr/sbin/rtpengine -v", "rtpsidecar ", 0},
		{"rtpsidecar docs options", "# Options", 0},
		{"rtpsidecar nope", "", 2},
		{"rtpsidecar ctl query", "", 2},
		{"rtpsidecar ctl ping x", "", 2},
		{"rtpsidecar ctl --to=nowhere ping", "", 1},
		{"rtpsidecar ctl --nope ping", "", 2},
		{"rtpsidecar ctl pnig", "", 2},
		{"rtpsidecar ctl", "why", 0},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), env{stdout: &out, stderr: io.Discard, getenv: func(string) string { return "" }, args: strings.Fields(tt.args), network: testNetwork})
			if code := exitCode(err, io.Discard); code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%s: exit status %d (%v), output %q", tt.args, code, err, out.String())
			}
		})
	}
	err := run(t.Context(), env{stdout: io.Discard, stderr: io.Discard, args: []string{"rtpsidecar", "--interface=lo"}})
	if err == nil || !strings.Contains(err.Error(), "rtpsidecar serve --listen-ng") || exitCode(err, io.Discard) != 2 {
		t.Errorf("an option before the command: %v", err)
	}
	if got := exitCode(exitStatus(7), io.Discard); got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

func TestDocsToFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "options.md")
	err := run(t.Context(), env{stdout: io.Discard, stderr: io.Discard, args: []string{"rtpsidecar", "docs", "options", "-o", path}})
	if b, _ := os.ReadFile(path); err != nil || !slices.Equal(b[:9], []byte("# Options")) {
		t.Errorf("%v, %q", err, b)
	}
}

// writeCertificate writes a self-signed certificate with its key into one file.
func writeCertificate(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	path := filepath.Join(dir, "cert.pem")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAdvice: what fails says what to do.
func TestAdvice(t *testing.T) {
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--listen-cli=127.0.0.1:0")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--to=udp:" + d.NG[0], "why", "nosuch"}, "Call ID not found (nosuch)."},
		{[]string{"--to=cli:" + d.CLI[0], "why", "nosuch"}, "Call ID not found (nosuch)."},
		{[]string{"--to=udp:" + d.NG[0], "set", "maxsessions", "ten"}, "Fail setting maxsessions to ten"},
		{[]string{"--to=tcp:127.0.0.1:1", "ping"}, "nobody answers at tcp:127.0.0.1:1"},
	} {
		if _, err := ctlRun(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		}
	}
	if got := bindHint(netip.MustParseAddrPort("127.0.0.1:2223"), syscall.EADDRINUSE); !strings.Contains(got, "sport = :2223") {
		t.Errorf("hint %q", got)
	}
	in := func(a string) rtpengine.Interface {
		return rtpengine.Interface{Interface: relay.Interface{Name: "pub", Local: netip.MustParseAddr(a)}}
	}
	if got := foreign([]rtpengine.Interface{in("127.0.0.1"), in("198.51.100.77")}); !slices.Equal(got, []string{"pub/198.51.100.77"}) {
		t.Errorf("foreign addresses %q", got)
	}
}
