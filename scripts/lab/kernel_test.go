package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
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
	"rtpsidecar/relay/srtp"
	"rtpsidecar/scripts/internal/daemon"
)

// noKernelAES is what the daemon says where the kernel lacks something that --kernel-aes=kernel needs.
const noKernelAES = "not supported by the fast path: AES of the kernel: "

// kernelDaemon runs the daemon in a network namespace of its own, in which the thread stays and what it starts is too. They end
// with the test.
func kernelDaemon(ctx context.Context, t *testing.T, args ...string) *daemon.Daemon {
	t.Helper()
	need(t, "ip")
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root, for a network namespace and CAP_BPF")
	}
	dir := t.TempDir()
	path := os.Getenv("LAB_DAEMON")
	if path == "" {
		var err error
		if path, err = daemon.Build(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
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
		PortMin: 28100, PortMax: 28999, Args: append([]string{"--log-level=7", "--kernel=require"}, args...), LogFile: log,
	})
	if err != nil {
		if _, missing, ok := strings.Cut(err.Error(), noKernelAES); ok {
			missing, _, _ = strings.Cut(missing, "\n")
			t.Skipf("SKIPPED: AES of the kernel: %s", missing)
		}
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

// ask asks about the one call of a test.
func ask(t *testing.T, d *daemon.Daemon, command string, more ...string) *ng.Dict {
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

// kernelized checks that both streams of the call are in the kernel and had count packets each, of which it has forwarded at
// least as many as one of them had.
func kernelized(t *testing.T, d *daemon.Daemon, count int64) {
	t.Helper()
	for _, tag := range []string{"caller", "callee"} {
		stream := ask(t, d, "query").Value("tags").Dict().Value(tag).Dict().Value("medias").List()[0].Dict().Value("streams").List()[0].Dict()
		var flags []string
		for _, f := range stream.Value("flags").List() {
			flags = append(flags, f.Str())
		}
		if !slices.Contains(flags, "kernelized") {
			t.Errorf("%s: flags %q, reason %q", tag, flags, stream.Value("no kernel reason").Str())
		}
		packets, _ := stream.Value("stats").Dict().Value("packets").Int()
		if packets != count {
			t.Errorf("%s: %d packets counted, want %d", tag, packets, count)
		}
	}
	totals := ask(t, d, "statistics").Value("statistics").Dict().Value("totalstatistics").Dict()
	kernel, _ := totals.Value("relayedpackets_kernel").Int()
	user, _ := totals.Value("relayedpackets_user").Int()
	if kernel < count || kernel+user != 2*count {
		t.Errorf("the kernel forwarded %d, userspace %d", kernel, user)
	}
	t.Logf("the kernel forwarded %d, userspace %d", kernel, user)
}

// TestKernel makes a call whose media the kernel forwards.
func TestKernel(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := kernelDaemon(ctx, t, "--kernel-flood-guard=10", "--listen-http=127.0.0.1:2225")
	a, b := endpoint(t, 'a', 'b'), endpoint(t, 'b', 'a')
	toB := mediaOf(t, ask(t, d, "offer", "from-tag", "caller", "sdp", plainBody("caller", a.Port())).Value("sdp").Str())
	toA := mediaOf(t, ask(t, d, "answer", "from-tag", "caller", "to-tag", "callee", "sdp", plainBody("callee", b.Port())).Value("sdp").Str())
	carry(ctx, t, a, b, toA, toB, 0, 300)
	kernelized(t, d, 300)
	ask(t, d, "delete")

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

// TestKernelAES makes a call between RTP and SRTP with --kernel-aes=kernel, at a pace that key stream made ahead, 8 packets each
// 50 ms, does not keep up with: the kernel's AES has to make the rest.
func TestKernelAES(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d := kernelDaemon(ctx, t, "--kernel-aes=kernel")
	a, b := endpoint(t, 'a', 'b'), endpoint(t, 'b', 'a')
	a.Pace, b.Pace = 2*time.Millisecond, 2*time.Millisecond
	const name = "AES_CM_128_HMAC_SHA1_80"
	offer := ask(t, d, "offer", "from-tag", "caller", "transport-protocol", "RTP/SAVP", "sdp", plainBody("caller", a.Port())).Value("sdp").Str()
	tag, in := offered(t, offer, name)
	out, err := srtp.NewParams(srtp.SuiteByName(name), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(plainBody("callee", b.Port()), "RTP/AVP", "RTP/SAVP", 1) +
		"a=crypto:" + tag + " " + name + " inline:" + base64.StdEncoding.EncodeToString(slices.Concat(out.Key, out.Salt)) + "\r\n"
	toA := mediaOf(t, ask(t, d, "answer", "from-tag", "caller", "to-tag", "callee", "sdp", body).Value("sdp").Str())
	var contexts [2]*srtp.Context
	for i, p := range []srtp.Params{out, in} {
		if contexts[i], err = srtp.New(p); err != nil {
			t.Fatal(err)
		}
	}
	b.Secure(contexts[0], contexts[1])
	carry(ctx, t, a, b, toA, mediaOf(t, offer), 0, 4000)
	kernelized(t, d, 4000)
	ask(t, d, "delete")
}

// offered is the tag and the key with which an SDP body offers a crypto suite.
func offered(t *testing.T, body, suite string) (tag string, key srtp.Params) {
	t.Helper()
	for line := range strings.Lines(body) {
		rest, _ := strings.CutPrefix(strings.TrimSpace(line), "a=crypto:")
		if f := strings.Fields(rest); len(f) > 2 && f[1] == suite {
			inline, _, _ := strings.Cut(strings.TrimPrefix(f[2], "inline:"), "|")
			b, err := base64.StdEncoding.DecodeString(inline)
			s := srtp.SuiteByName(suite)
			if err != nil || len(b) != s.KeyLen+s.SaltLen {
				t.Fatalf("%q: %v", line, err)
			}
			return f[0], srtp.Params{Suite: s, Key: b[:s.KeyLen:s.KeyLen], Salt: b[s.KeyLen:]}
		}
	}
	t.Fatalf("no %s in %q", suite, body)
	return "", srtp.Params{}
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
