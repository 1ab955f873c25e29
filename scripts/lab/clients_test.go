package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embed"
)

//go:embed npm/package.json npm/package-lock.json npm/call.js
var npmFiles embed.FS

func plainBody(user string, port int) string {
	return strings.Join([]string{
		"v=0", "o=" + user + " 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP 0", port), "a=ptime:20", "",
	}, "\r\n")
}

// TestDebianClient makes a call with the command-line client that Debian ships with the reference, in both encodings.
func TestDebianClient(t *testing.T) {
	need(t, "rtpengine-ng-client")
	for _, encoding := range []string{"bencode", "json"} {
		t.Run(encoding, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			relay := startDaemon(ctx, t)
			client := func(command string, args ...string) string {
				t.Helper()
				args = append([]string{command, "--proxy-address=127.0.0.1", fmt.Sprintf("--proxy-port=%d", relay.Listen.Port())}, args...)
				if encoding == "json" {
					args = append(args, "--json")
				}
				out, err := exec.CommandContext(ctx, "rtpengine-ng-client", args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
				return string(out)
			}
			if out := client("ping"); !strings.Contains(out, "pong") {
				t.Fatalf("ping: %s", out)
			}
			caller, callee := endpoint(t, 'a', 'b'), endpoint(t, 'b', 'a')
			call := []string{"--call-id=debian-call", "--from-tag=debian-caller"}
			offer := client("offer", append(call, "--sdp="+plainBody("caller", caller.Port()), "--ICE=remove", "--replace-origin", "--trust-address")...)
			answer := client("answer", append(call, "--to-tag=debian-callee", "--sdp="+plainBody("callee", callee.Port()), "--ICE=remove")...)
			carry(ctx, t, caller, callee, mediaOf(t, newBody(t, answer)), mediaOf(t, newBody(t, offer)), 0, 50)
			if out := client("query", call...); !strings.Contains(out, "debian-callee") {
				t.Errorf("query: %s", out)
			}
			client("delete", append(call, "--delete-delay=0")...)
			if got := calls(t, relay); len(got) != 0 {
				t.Errorf("the relay lists %q after delete", got)
			}
		})
	}
}

// newBody is the SDP that the client prints as the reply's.
func newBody(t *testing.T, out string) string {
	t.Helper()
	_, body, ok := strings.Cut(out, "New SDP:")
	if !ok {
		t.Fatalf("no SDP in the reply: %s", out)
	}
	body, _, _ = strings.Cut(body, "----->8")
	return body
}

// TestNodeClient makes a call with npm's rtpengine-client, in the version of the lock file.
func TestNodeClient(t *testing.T) {
	need(t, "node", "npm")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	files, err := fs.Sub(npmFiles, "npm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--cache", filepath.Join(dir, "cache"))
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	relay := startDaemon(ctx, t)
	caller, callee := endpoint(t, 'a', 'b'), endpoint(t, 'b', 'a')
	cmd := exec.CommandContext(ctx, "node", "call.js", fmt.Sprint(relay.Listen.Port()), fmt.Sprint(caller.Port()), fmt.Sprint(callee.Port()))
	cmd.Dir, cmd.Stderr = dir, t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := json.NewDecoder(bufio.NewReader(stdout))
	var bodies struct{ ToCallee, ToCaller string }
	if err := said.Decode(&bodies); err != nil {
		t.Fatalf("offer and answer: %v", err)
	}
	carry(ctx, t, caller, callee, mediaOf(t, bodies.ToCaller), mediaOf(t, bodies.ToCallee), 0, 50)
	if _, err := stdin.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	var end struct {
		Packets int
		Deleted string
	}
	if err := said.Decode(&end); err != nil {
		t.Fatalf("query and delete: %v", err)
	}
	if end.Packets != 100 || end.Deleted != "ok" {
		t.Errorf("query counts %d packets, want 100; delete says %q", end.Packets, end.Deleted)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := calls(t, relay); len(got) != 0 {
		t.Errorf("the relay lists %q after delete", got)
	}
}
