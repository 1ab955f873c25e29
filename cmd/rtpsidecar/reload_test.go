package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("[rtpengine]\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--config-file=" + file}
	write("timeout = 60\nport-min = 30000\n")
	s, err := parseOptions(args)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := &daemon{settings: s, env: env{getenv: func(string) string { return "" }}, log: slog.New(slog.NewTextHandler(&log, nil)),
		level: &logLevel{severity: 6}, calls: quietEngine(t), args: args}

	write("timeout = 17\nmax-sessions = 3\nport-min = 31000\nlog-level = 4\ntemplates = t\n[t]\nWebRTC = ICE=force\n")
	d.readAgain()
	a := d.calls.Adjusted()
	if a.Timeout != 17*time.Second || a.MaxSessions != 3 || a.Templates["WebRTC"] != "ICE=force" || d.level.move(0) != 4 {
		t.Errorf("after the reload: %+v, level %d", a, d.level.move(0))
	}
	if !strings.Contains(log.String(), "need a restart") || !strings.Contains(log.String(), "[port-min]") {
		t.Errorf("log: %s", log.String())
	}

	write("timeout = nonsense\n")
	d.readAgain()
	if d.calls.Adjusted().Timeout != 17*time.Second || !strings.Contains(log.String(), "not reloaded") {
		t.Errorf("a mistake counted: %s", log.String())
	}
}
