package webrtclab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// firefoxPrefs let a page play and make sound without a user's click.
const firefoxPrefs = `user_pref("media.autoplay.default", 0);
user_pref("media.autoplay.blocking_policy", 0);
user_pref("media.autoplay.block-webaudio", false);
user_pref("media.cubeb.sandbox", false);
user_pref("media.peerconnection.ice.obfuscate_host_addresses", true);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
`

// firefox speaks WebDriver BiDi to a Firefox: W3C WebDriver BiDi, modules session, browsingContext and script.
type firefox struct {
	sound   *exec.Cmd // a sound server with a null device: without one Firefox's audio graph stands still
	cmd     *exec.Cmd
	conn    *websocket.Conn
	profile string
	context string // the tab
	id      int
}

// FirefoxTools are the programs that [Firefox] needs.
var FirefoxTools = []string{"firefox-esr", "pulseaudio"}

// Firefox starts Debian's Firefox ESR, headless, with the lab's page.
func Firefox(ctx context.Context) (*Page, error) { return open(ctx, PageFiles(), startFirefox) }

var bidiListening = regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`)

func startFirefox(ctx context.Context, url string) (_ Evaluator, err error) {
	f := &firefox{}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.profile, err = os.MkdirTemp("", "webrtclab-firefox-"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(f.profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		return nil, err
	}
	socket := filepath.Join(f.profile, "sound")
	f.sound = exec.Command("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "-L", "module-null-sink",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+socket)
	f.sound.Env = append(os.Environ(), "HOME="+f.profile, "XDG_RUNTIME_DIR="+f.profile)
	if err := f.sound.Start(); err != nil {
		return nil, err
	}
	f.cmd = exec.Command("firefox-esr", "--headless", "--no-remote", "--profile", f.profile, "--remote-debugging-port", "0")
	f.cmd.Env = append(os.Environ(), "HOME="+f.profile, "PULSE_SERVER=unix:"+socket, "MOZ_DISABLE_CONTENT_SANDBOX=1")
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its content processes end with it
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	address, err := scanFor(ctx, stderr, bidiListening)
	if err != nil {
		return nil, fmt.Errorf("firefox: %w", err)
	}
	if f.conn, _, err = websocket.Dial(ctx, strings.TrimSuffix(address, "/")+"/session", nil); err != nil {
		return nil, fmt.Errorf("firefox: %w", err)
	}
	f.conn.SetReadLimit(16 << 20)
	if _, err = f.command(ctx, "session.new", map[string]any{"capabilities": map[string]any{}}); err != nil {
		return nil, err
	}
	raw, err := f.command(ctx, "browsingContext.create", map[string]any{"type": "tab"})
	if err != nil {
		return nil, err
	}
	var tab struct{ Context string }
	if err := json.Unmarshal(raw, &tab); err != nil {
		return nil, err
	}
	f.context = tab.Context
	_, err = f.command(ctx, "browsingContext.navigate", map[string]any{"context": f.context, "url": url, "wait": "complete"})
	return f, err
}

// scanFor reads lines until one matches, then keeps the pipe drained in the background until the process ends.
func scanFor(ctx context.Context, r io.Reader, re *regexp.Regexp) (string, error) {
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if m := re.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				_, _ = io.Copy(io.Discard, r)
				return
			}
		}
	}()
	select {
	case s, ok := <-found:
		if !ok {
			return "", errors.New("ended before it listened")
		}
		return s, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (f *firefox) command(ctx context.Context, method string, params any) (json.RawMessage, error) {
	f.id++
	if err := wsjson.Write(ctx, f.conn, map[string]any{"id": f.id, "method": method, "params": params}); err != nil {
		return nil, err
	}
	for {
		var msg struct {
			Type, Error, Message string
			ID                   int
			Result               json.RawMessage
		}
		if err := wsjson.Read(ctx, f.conn, &msg); err != nil {
			return nil, fmt.Errorf("bidi %s: %w", method, err)
		}
		switch {
		case msg.ID != f.id: // an event, or the late reply to a call given up
		case msg.Type == "error":
			return nil, fmt.Errorf("bidi %s: %s: %s", method, msg.Error, msg.Message)
		default:
			return msg.Result, nil
		}
	}
}

func (f *firefox) Evaluate(ctx context.Context, js string) (json.RawMessage, error) {
	raw, err := f.command(ctx, "script.evaluate", map[string]any{
		"expression": js, "target": map[string]any{"context": f.context}, "awaitPromise": true, "userActivation": true,
	})
	if err != nil {
		return nil, err
	}
	var out struct {
		Type             string
		Result           struct{ Value json.RawMessage }
		ExceptionDetails struct{ Text string }
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	if out.Type == "exception" {
		return nil, errors.New(out.ExceptionDetails.Text)
	}
	return out.Result.Value, nil
}

func (f *firefox) Close() {
	if f.conn != nil {
		f.conn.CloseNow()
	}
	if f.cmd != nil && f.cmd.Process != nil {
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGTERM)
		done := make(chan struct{})
		go func() { defer close(done); _ = f.cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
	}
	if f.sound != nil && f.sound.Process != nil {
		_ = f.sound.Process.Kill()
		_ = f.sound.Wait()
	}
	if f.profile != "" {
		os.RemoveAll(f.profile)
	}
}
