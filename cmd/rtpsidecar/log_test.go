package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestLogLevels(t *testing.T) {
	for severity, want := range map[int]slog.Level{0: 20, 3: slog.LevelError, 4: slog.LevelWarn, 5: 2, 6: slog.LevelInfo, 7: slog.LevelDebug} {
		if severities[severity] != want || severityOf(want) != severity {
			t.Errorf("severity %d is level %v, level %v is severity %d", severity, severities[severity], want, severityOf(want))
		}
	}
	if got := severityOf(slog.LevelDebug - 10); got != 7 {
		t.Errorf("below debug is severity %d, want 7", got)
	}
	l := &logLevel{severity: 6}
	for range 9 {
		l.move(1)
	}
	if got := l.move(0); got != 7 {
		t.Errorf("raised to %d, want 7", got)
	}
	for range 9 {
		l.move(-1)
	}
	if got := l.move(0); got != 0 {
		t.Errorf("lowered to %d, want 0", got)
	}
}

func TestLogFormats(t *testing.T) {
	for _, format := range []string{"default", "parsable", "json"} {
		for _, noTime := range []bool{false, true} {
			var b bytes.Buffer
			log, level, _ := newLogger(&settings{logFormat: format, logLevel: 6, logNoTime: noTime}, &b, false)
			log.Debug("hidden")
			log.Info("call begins", "callid", "a@b")
			if strings.Contains(b.String(), "hidden") || !strings.Contains(b.String(), "a@b") || strings.Contains(b.String(), "time") == noTime {
				t.Errorf("%s, without time %v: %q", format, noTime, b.String())
			}
			if format == "json" && !json.Valid(b.Bytes()) {
				t.Errorf("no JSON: %q", b.String())
			}
			level.move(1)
			log.Debug("shown")
			if !strings.Contains(b.String(), "shown") {
				t.Errorf("%s: a raised level shows nothing more", format)
			}
		}
	}
}

// fakeSyslog notes lines by severity.
type fakeSyslog []string

func (f *fakeSyslog) note(severity, s string) error { *f = append(*f, severity+" "+s); return nil }
func (f *fakeSyslog) Emerg(s string) error          { return f.note("emerg", s) }
func (f *fakeSyslog) Alert(s string) error          { return f.note("alert", s) }
func (f *fakeSyslog) Crit(s string) error           { return f.note("crit", s) }
func (f *fakeSyslog) Err(s string) error            { return f.note("err", s) }
func (f *fakeSyslog) Warning(s string) error        { return f.note("warning", s) }
func (f *fakeSyslog) Notice(s string) error         { return f.note("notice", s) }
func (f *fakeSyslog) Info(s string) error           { return f.note("info", s) }
func (f *fakeSyslog) Debug(s string) error          { return f.note("debug", s) }

func TestSyslogHandler(t *testing.T) {
	var got fakeSyslog
	log := slog.New(newSyslogHandler(&got, "default", &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Error("no socket")
	log.With("callid", "a").Info("call begins", "tag", "x")
	log.WithGroup("g").Debug("more", "level", 1)
	want := []string{`err msg="no socket"`, `info msg="call begins" callid=a tag=x`, `debug msg=more g.level=1`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSyslogFallsBackOnStderr(t *testing.T) {
	var b bytes.Buffer
	log, _, closer := newLogger(&settings{logFormat: "default", logLevel: 6, logFacility: "daemon"}, &b, true)
	if closer != nil {
		_ = closer.Close()
		t.Skip("there is a syslog here")
	}
	log.Info("hello")
	if !strings.Contains(b.String(), "syslog") || !strings.Contains(b.String(), "hello") {
		t.Errorf("stderr holds %q", b.String())
	}
}
