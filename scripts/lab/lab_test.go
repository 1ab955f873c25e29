package lab

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// need skips a test where a program is missing. CI installs all of them and takes a skip for a failure.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("SKIPPED: %s is not installed", p)
		}
	}
}

// freePort is a UDP port that nobody uses at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

// startDaemon runs the daemon under test until the test ends.
func startDaemon(ctx context.Context, t *testing.T) *daemon.Daemon {
	t.Helper()
	dir := t.TempDir()
	path := os.Getenv("LAB_DAEMON")
	if path == "" {
		var err error
		if path, err = daemon.Build(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "daemon.log")
	d, err := daemon.Start(ctx, daemon.Config{
		Path:       path,
		Listen:     netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(freePort(t))),
		Interfaces: []string{"127.0.0.1"},
		PortMin:    28100, PortMax: 28999,
		Args:    []string{"--log-level=7"},
		LogFile: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		showOnFailure(t, "daemon", log)
	})
	return d
}

func showOnFailure(t *testing.T, name, file string) {
	if b, err := os.ReadFile(file); err == nil && t.Failed() {
		lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
		t.Logf("%s, last lines:\n%s", name, bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
	}
}

// start runs a program until the test ends; its output goes to a file that a failing test shows.
func start(ctx context.Context, t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), "TERM=dumb")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) } // the group: Kamailio forks
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = log.Close()
		showOnFailure(t, name, log.Name())
	})
	return cmd
}

// calls is what the daemon lists.
func calls(t *testing.T, d *daemon.Daemon) []string {
	t.Helper()
	msg := new(ng.Dict)
	msg.AddString("command", "list")
	reply, err := d.Ask(msg)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, v := range reply.Value("calls").List() {
		ids = append(ids, v.Str())
	}
	return ids
}

// carry sends count packets each way at once, numbered from first, and judges what arrived: at least 99 % with every
// byte as it was sent.
func carry(ctx context.Context, t *testing.T, a, b *Endpoint, toA, toB netip.AddrPort, first, count uint32) {
	t.Helper()
	errs := make(chan error, 2)
	go func() { errs <- a.Send(ctx, toA, first, count) }()
	go func() { errs <- b.Send(ctx, toB, first, count) }()
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for name, e := range map[string]*Endpoint{"caller": a, "callee": b} {
		got, err := e.Received(first, count)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got*100 < int(count)*99 {
			t.Errorf("%s received %d of %d packets", name, got, count)
		}
		t.Logf("%s received %d of %d packets", name, got, count)
	}
}

// mediaOf is the endpoint that an SDP body names for its first section.
func mediaOf(t *testing.T, body string) netip.AddrPort {
	t.Helper()
	var addr, port string
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if c, ok := strings.CutPrefix(line, "c=IN IP4 "); ok {
			addr = c
		}
		if m, ok := strings.CutPrefix(line, "m=audio "); ok {
			port, _, _ = strings.Cut(m, " ")
		}
	}
	ap, err := netip.ParseAddrPort(addr + ":" + port)
	if err != nil {
		t.Fatalf("no media address in %q: %v", body, err)
	}
	return ap
}
