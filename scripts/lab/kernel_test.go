package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// TestKernel makes a call whose media the kernel forwards, in a network namespace of its own.
func TestKernel(t *testing.T) {
	need(t, "ip")
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root, for a network namespace and CAP_BPF")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	path := os.Getenv("LAB_DAEMON")
	if path == "" {
		var err error
		if path, err = daemon.Build(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	// The thread stays in the namespace and ends with the test; what it starts is there too.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("SKIPPED: no network namespace: %v", err)
	}
	if out, err := exec.CommandContext(ctx, "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log := filepath.Join(dir, "daemon.log")
	d, err := daemon.Start(ctx, daemon.Config{
		Path: path, Listen: netip.MustParseAddrPort("127.0.0.1:2223"), Interfaces: []string{"127.0.0.1"},
		PortMin: 28100, PortMax: 28999, Args: []string{"--log-level=7", "--kernel=require", "--kernel-flood-guard=10", "--listen-http=127.0.0.1:2225"}, LogFile: log,
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

	a, b := endpoint(t, 'a', 'b'), endpoint(t, 'b', 'a')
	ask := func(command string, more ...string) *ng.Dict {
		t.Helper()
		msg := new(ng.Dict)
		msg.AddString("command", command)
		msg.AddString("call-id", "kernel-call")
		for i := 0; i < len(more); i += 2 {
			msg.AddString(more[i], more[i+1])
		}
		reply, err := d.Ask(msg)
		if err != nil {
			t.Fatal(err)
		}
		if r := reply.Value("result").Str(); r != "ok" {
			t.Fatalf("%s: %s %s", command, r, reply.Value("error-reason").Str())
		}
		return reply
	}
	toB := mediaOf(t, ask("offer", "from-tag", "caller", "sdp", plainBody("caller", a.Port())).Value("sdp").Str())
	toA := mediaOf(t, ask("answer", "from-tag", "caller", "to-tag", "callee", "sdp", plainBody("callee", b.Port())).Value("sdp").Str())
	carry(ctx, t, a, b, toA, toB, 0, 300)

	for _, tag := range []string{"caller", "callee"} {
		stream := ask("query").Value("tags").Dict().Value(tag).Dict().Value("medias").List()[0].Dict().Value("streams").List()[0].Dict()
		var flags []string
		for _, f := range stream.Value("flags").List() {
			flags = append(flags, f.Str())
		}
		if !slices.Contains(flags, "kernelized") {
			t.Errorf("%s: flags %q, reason %q", tag, flags, stream.Value("no kernel reason").Str())
		}
		packets, _ := stream.Value("stats").Dict().Value("packets").Int()
		if packets != 300 {
			t.Errorf("%s: %d packets counted", tag, packets)
		}
	}
	totals := ask("statistics").Value("statistics").Dict().Value("totalstatistics").Dict()
	kernel, _ := totals.Value("relayedpackets_kernel").Int()
	user, _ := totals.Value("relayedpackets_user").Int()
	if kernel < 300 || kernel+user != 600 {
		t.Errorf("the kernel forwarded %d, userspace %d", kernel, user)
	}
	ask("delete")

	// At a media port where nobody listens 10 packets a CPU pass in a second.
	c, err := net.Dial("udp", "127.0.0.1:28998")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	flood := 0
	for range 1000 {
		switch _, err := c.Write([]byte("x")); {
		case err == nil:
			flood++
		case !errors.Is(err, unix.ECONNREFUSED): // in place of sending: an earlier one was answered
			t.Fatal(err)
		}
	}
	guard := func(verdict string) (n int) {
		_, after, _ := strings.Cut(scrape(t, "127.0.0.1:2225"), `fastpath_guard_total{verdict="`+verdict+`"} `)
		if _, err := fmt.Sscan(after, &n); err != nil {
			t.Fatalf("%s: %v", verdict, err)
		}
		return n
	}
	if dropped, passed := guard("dropped"), guard("passed"); dropped+passed != flood || passed == 0 || passed > flood/2 {
		t.Errorf("the guard dropped %d and passed %d of %d", dropped, passed, flood)
	}
}

// scrape asks for the metrics from this very thread, whose namespace the daemon is in.
func scrape(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /metrics HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
