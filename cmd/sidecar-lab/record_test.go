package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// recording runs record until stop is called, on a free port.
func (l *lab) recording(file string, more ...string) (target string, stop func() string) {
	l.t.Helper()
	addr := freeAddr("udp")
	ctx, cancel := context.WithCancel(l.t.Context())
	var wg sync.WaitGroup
	var errOut string
	wg.Go(func() {
		_, errOut, _ = l.runContext(ctx, append([]string{"record", "--listen", addr, file}, more...)...)
	})
	passes := false
	for range 500 { // until the recorder passes a ping; a refused one fails at once
		c, err := net.Dial("udp", addr)
		if err != nil {
			l.t.Fatal(err)
		}
		_, _ = c.Write([]byte("probe d7:command4:pinge"))
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := c.Read(make([]byte, 100))
		_ = c.Close()
		if passes = err == nil && n > 0; passes {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !passes {
		l.t.Fatal("the recorder passes nothing")
	}
	return "udp:" + addr, func() string {
		cancel()
		wg.Wait()
		return errOut
	}
}

func TestRecordReplay(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "calls.jsonl")
	target, stop := l.recording(file)
	l.must("offer", "-t", target, "--call-id", "tape-1", "--sdp", "yealink-srtp", "RTP/AVP ICE=remove replace-origin")
	l.must("answer", "-t", target, "--call-id", "tape-1", "--sdp", "phone-answer", "RTP/SAVP ICE=remove replace-origin")
	l.must("query", "-t", target, "--call-id", "tape-1")
	l.must("offer", "-t", target, "--call-id", "tape-2", "--sdp", "chrome", "--json-wire", "RTP/AVP ICE=remove rtcp-mux-demux")
	l.must("delete", "-t", target, "--call-id", "tape-1", "delete-delay=0")
	l.run("query", "-t", target, "--call-id", "nobody")
	l.run("play-dtmf", "-t", target, "--call-id", "tape-2", "code=4711")
	wants(t, stop(), "exchanges written, 0 too many at once")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sample, _, _ := (&env{}).body("yealink-srtp")
	for line := range strings.Lines(sample) {
		if _, key, ok := strings.Cut(strings.TrimSpace(line), "inline:"); ok && bytes.Contains(b, []byte(key)) {
			t.Errorf("the key %s is on the tape", key)
		}
	}
	for _, secret := range []string{"vC7Zb2m1QxWq0Hn5tR8sLd4F", "4711"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s is on the tape", secret)
		}
	}
	wants(t, string(b), `"tape":1`, `"wire":"json"`, `"wire":"bencode"`, `"command":"query"`, "inline:")

	out := l.must("replay", file)
	wants(t, out, "offer", "answer", "query", "delete")
	if strings.Contains(out, "\n- ") || strings.Contains(out, "\n+ ") {
		t.Errorf("the daemon differs from itself:\n%s", out)
	}
	if list := l.must("list", "limit=10000"); strings.Contains(list, "tape-") {
		t.Errorf("replay leaves calls: %s", list)
	}

	// A tape whose replies say something else.
	wrong := filepath.Join(t.TempDir(), "wrong.jsonl")
	if err := os.WriteFile(wrong, bytes.ReplaceAll(b, []byte("a=sendrecv"), []byte("a=sendonly")), 0o600); err != nil {
		t.Fatal(err)
	}
	text := bytes.ReplaceAll(b, []byte(`\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=rtcp`), []byte(`\r\na=sendrecv\r\na=rtcp`))
	if err := os.WriteFile(wrong, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, status := l.run("replay", wrong, "--json")
	var res replayResult
	if err := json.Unmarshal([]byte(out), &res); err != nil || status != 1 || len(res.Differences) == 0 {
		t.Errorf("status %d, %v\n%s", status, err, out)
	}
	out, _, status = l.run("replay", wrong)
	wants(t, out, "+ audio 1: a=rtpmap:101 telephone-event/8000", "first in tape-")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	l.must("replay", wrong, "--ignore", "audio 1: a=(rtpmap|fmtp):101", "--speed", "50")
}

func TestRecordEnds(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "one.jsonl")
	_, stop := l.recording(file, "--count", "1") // the probe is the one
	stop()
	if b, err := os.ReadFile(file); err != nil || bytes.Count(b, []byte("\n")) != 2 {
		t.Errorf("%v, %s", err, b)
	}
	l.must("record", "--listen", freeAddr("udp"), "--duration", "20ms", file)
	for name, args := range map[string][]string{
		"no file": {"record"}, "TCP": {"record", "-t", "tcp:127.0.0.1:1", file}, "address": {"record", "--listen", "nowhere", file},
		"no tape": {"replay"}, "pattern": {"replay", "--ignore", "(", file},
	} {
		if _, errOut, status := l.run(args...); status != 2 {
			t.Errorf("%s: status %d, %s", name, status, errOut)
		}
	}
	if _, errOut, status := l.run("replay", "main.go"); status != 1 || !strings.Contains(errOut, "not a tape") {
		t.Errorf("status %d, %s", status, errOut)
	}
}
