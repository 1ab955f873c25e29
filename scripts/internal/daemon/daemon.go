// Package daemon starts a media relay that speaks the NG protocol, ours or the reference, asks it over UDP and ends it.
// Both are started with the same command line: ours under the name of the reference, as a packaged unit would do it.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rtpsidecar/ng"
)

// Config says which program to start and how.
type Config struct {
	Path       string         // the program
	Listen     netip.AddrPort // its NG socket
	Interfaces []string       // values of --interface
	PortMin    int
	PortMax    int
	Args       []string // more arguments
	LogFile    string   // its standard output and error; empty: discarded
}

// Daemon is one running relay.
type Daemon struct {
	Config
	cmd    *exec.Cmd
	client *ng.Client
	exited chan struct{} // closed once the process has ended; err is set before
	err    error
	log    *os.File
}

// Build compiles the daemon of this module into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "rtpsidecar")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "rtpsidecar/cmd/rtpsidecar")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// Version is what the program calls its version, "10.5.3.5" for example.
func Version(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	v := versionNumber.Find(out)
	if v == nil {
		return "", fmt.Errorf("%s --version: no number in %q", path, out)
	}
	return string(v), nil
}

// Start runs the program and returns once it answers a ping. It is in the foreground and ends with Close.
func Start(ctx context.Context, cfg Config) (*Daemon, error) {
	args := []string{
		"rtpengine", "--config-file=none", "--foreground", "--log-stderr",
		"--table=-1", "--listen-ng=" + cfg.Listen.String(),
		"--port-min=" + strconv.Itoa(cfg.PortMin), "--port-max=" + strconv.Itoa(cfg.PortMax),
	}
	for _, i := range cfg.Interfaces {
		args = append(args, "--interface="+i)
	}
	d := &Daemon{Config: cfg, exited: make(chan struct{})}
	d.cmd = &exec.Cmd{
		Path: cfg.Path, Args: append(args, cfg.Args...), Env: withoutNotify(os.Environ()),
		// The relay must not outlive the one who measures it, however that one ends.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	var err error
	if d.client, err = ng.Dial(ctx, "udp:"+cfg.Listen.String(), ng.ClientConfig{}); err != nil {
		return nil, err
	}
	if cfg.LogFile != "" {
		f, err := os.Create(cfg.LogFile)
		if err != nil {
			_ = d.client.Close()
			return nil, err
		}
		d.log, d.cmd.Stdout, d.cmd.Stderr = f, f, f
	}
	if err := d.cmd.Start(); err != nil {
		d.release()
		return nil, err
	}
	go func() { // ends with the process; Close waits for it
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	if err := d.awaitPong(ctx); err != nil {
		err = errors.Join(err, d.Close())
		return nil, fmt.Errorf("%s: %w%s", cfg.Path, err, d.logTail())
	}
	return d, nil
}

func withoutNotify(env []string) []string {
	kept := env[:0]
	for _, e := range env {
		if !strings.HasPrefix(e, "NOTIFY_SOCKET=") && !strings.HasPrefix(e, "WATCHDOG_") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (d *Daemon) awaitPong(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	ping := new(ng.Dict)
	ping.AddString("command", "ping")
	for {
		try, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		_, err := d.client.Do(try, ping)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no pong: %w", ctx.Err())
		case <-d.exited:
			if d.err == nil {
				return errors.New("ended at start with status 0")
			}
			return fmt.Errorf("ended at start: %w", d.err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *Daemon) logTail() string {
	b, err := os.ReadFile(d.LogFile)
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return "\n" + string(bytes.Join(lines[max(0, len(lines)-8):], []byte("\n")))
}

// PID is the process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Alive tells whether the process still runs.
func (d *Daemon) Alive() bool {
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// Close asks the process to end, waits, and after five seconds kills it; that is an error then.
func (d *Daemon) Close() error {
	defer d.release()
	if !d.Alive() {
		return nil
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-d.exited:
		return nil
	case <-time.After(5 * time.Second):
		err := d.cmd.Process.Kill()
		<-d.exited
		return errors.Join(fmt.Errorf("%s: still running 5 s after SIGTERM", d.Path), err)
	}
}

func (d *Daemon) release() {
	_ = d.client.Close()
	if d.log != nil {
		_ = d.log.Close()
	}
}

// Ask sends msg and returns the reply; an error result is a [*ng.ReplyError] beside it.
func (d *Daemon) Ask(msg *ng.Dict) (*ng.Dict, error) { return d.client.Do(context.Background(), msg) }

// Raw sends one datagram from a socket of its own and returns the first that comes back within wait.
// Silence is os.ErrDeadlineExceeded.
func (d *Daemon) Raw(msg []byte, wait time.Duration) ([]byte, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(d.Listen))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(msg); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// Decode reads a reply, bencode or JSON, behind its cookie.
func Decode(reply []byte) (*ng.Dict, error) {
	_, payload, ok := ng.SplitCookie(string(reply))
	if !ok {
		return nil, fmt.Errorf("reply without a cookie: %.80q", reply)
	}
	var v ng.Value
	var err error
	if strings.HasPrefix(payload, "{") {
		v, err = ng.ParseJSON([]byte(payload))
	} else {
		v, _, err = ng.ParseBencode([]byte(payload))
	}
	if err != nil {
		return nil, err
	}
	if v.Kind() != ng.KindDict {
		return nil, fmt.Errorf("reply is no dictionary: %.80q", reply)
	}
	return v.Dict(), nil
}
