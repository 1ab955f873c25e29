package webrtclab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"rtpsidecar/ng"
)

// Daemon is a media relay in the relay's namespace: ours, or the reference with the same options.
type Daemon struct {
	NG  *ng.Client
	cmd *exec.Cmd
	log logBuffer
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

// ControlAddr is the daemon's NG address.
const ControlAddr = RelayAddr + ":2223"

// Interfaces are the lab's: "out" is the one towards the browser and the default, "in" the one towards the phone.
var Interfaces = []string{"out/" + RelayAddr, "in/" + RelayInside, "in/" + RelayAddr6}

// StartDaemon runs argv (a program and its first arguments) with the lab's [Interfaces] and waits for its pong.
func StartDaemon(ctx context.Context, argv ...string) (*Daemon, error) {
	return StartDaemonOn(ctx, Interfaces, argv...)
}

// StartDaemonOn is [StartDaemon] with these interfaces in place of the lab's.
func StartDaemonOn(ctx context.Context, interfaces []string, argv ...string) (*Daemon, error) {
	return StartDaemonAt(ctx, ControlAddr, 30000, interfaces, argv...)
}

// StartDaemonAt is [StartDaemonOn] with this NG address and ten thousand media ports from minPort up, for several side by side.
func StartDaemonAt(ctx context.Context, control string, minPort int, interfaces []string, argv ...string) (*Daemon, error) {
	d := &Daemon{}
	args := append([]string{"netns", "exec", nsName("r")}, argv...)
	args = append(args, "--config-file=none")
	for _, i := range interfaces {
		args = append(args, "--interface", i)
	}
	args = append(args, "--listen-ng", control, "-m", strconv.Itoa(minPort), "-M", strconv.Itoa(minPort+10000), "-t", "-1", "-f", "-E", "-L", "7")
	d.cmd = exec.Command("ip", args...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	client, err := ng.Dial(ctx, "udp:"+control, ng.ClientConfig{})
	if err != nil {
		d.Close()
		return nil, err
	}
	d.NG = client
	ping := &ng.Dict{}
	ping.AddString("command", "ping")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, err := client.Do(try, ping)
		cancel()
		if err == nil {
			return d, nil
		}
		if time.Now().After(deadline) {
			d.Close()
			return nil, fmt.Errorf("daemon did not answer: %w\n%s", err, d.Log())
		}
	}
}

// Log is what the daemon wrote so far.
func (d *Daemon) Log() string {
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	return d.log.b.String()
}

// Close stops the daemon; it is killed when it takes longer than 5 s.
func (d *Daemon) Close() error {
	if d.NG != nil {
		d.NG.Close()
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(5*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	return d.cmd.Wait()
}
