package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"strings"
	"sync"
)

// syslogFacilities are the values of log-facility.
var syslogFacilities = map[string]syslog.Priority{
	"kern": syslog.LOG_KERN, "user": syslog.LOG_USER, "mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON,
	"auth": syslog.LOG_AUTH, "syslog": syslog.LOG_SYSLOG, "lpr": syslog.LOG_LPR, "news": syslog.LOG_NEWS,
	"uucp": syslog.LOG_UUCP, "cron": syslog.LOG_CRON, "authpriv": syslog.LOG_AUTHPRIV, "ftp": syslog.LOG_FTP,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// severities are slog's levels for the syslog severities 0 (emergency) to 7 (debug).
var severities = [8]slog.Level{20, 16, 12, slog.LevelError, slog.LevelWarn, 2, slog.LevelInfo, slog.LevelDebug}

// severityOf is the syslog severity of a level.
func severityOf(level slog.Level) int {
	for n, l := range severities {
		if level >= l {
			return n
		}
	}
	return len(severities) - 1
}

// logLevel is the log level as a syslog severity; signals move it.
type logLevel struct {
	mu       sync.Mutex
	severity int
	level    slog.LevelVar
}

// move changes the severity by n steps and returns the new one.
func (l *logLevel) move(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.severity = min(max(l.severity+n, 0), len(severities)-1)
	l.level.Set(severities[l.severity])
	return l.severity
}

// newLogger makes the logger that s asks for: on syslog if toSyslog and there is one, else on stderr. The closer, if not
// nil, is the connection to syslog.
func newLogger(s *settings, stderr io.Writer, toSyslog bool) (*slog.Logger, *logLevel, io.Closer) {
	level := &logLevel{severity: s.logLevel}
	level.move(0)
	opts := &slog.HandlerOptions{Level: &level.level}
	if toSyslog {
		w, err := syslog.New(syslogFacilities[s.logFacility]|syslog.LOG_INFO, s.logName)
		if err == nil {
			return slog.New(newSyslogHandler(w, s.logFormat, opts)), level, w
		}
		defer fmt.Fprintf(stderr, "rtpsidecar: syslog: %v; logging on stderr\n", err)
	}
	if s.logNoTime {
		opts.ReplaceAttr = dropTime
	}
	return slog.New(newHandler(stderr, s.logFormat, opts)), level, nil
}

func newHandler(w io.Writer, format string, opts *slog.HandlerOptions) slog.Handler {
	if format == "json" {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

func dropTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// syslogWriter is the part of syslog.Writer that a handler uses.
type syslogWriter interface {
	Emerg(string) error
	Alert(string) error
	Crit(string) error
	Err(string) error
	Warning(string) error
	Notice(string) error
	Info(string) error
	Debug(string) error
}

// syslogHandler sends each record with its own severity. Time and level are syslog's business.
type syslogHandler struct {
	slog.Handler // writes into buf
	out          *syslogOutput
}

type syslogOutput struct {
	mu   sync.Mutex // from the formatting of a record until it is sent
	buf  bytes.Buffer
	send [8]func(string) error // by severity
}

func newSyslogHandler(w syslogWriter, format string, opts *slog.HandlerOptions) slog.Handler {
	out := &syslogOutput{send: [8]func(string) error{
		w.Emerg, w.Alert, w.Crit, w.Err, w.Warning, w.Notice, w.Info, w.Debug}}
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return dropTime(groups, a)
	}
	return syslogHandler{newHandler(&out.buf, format, opts), out}
}

func (h syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.buf.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	return h.out.send[severityOf(r.Level)](strings.TrimSuffix(h.out.buf.String(), "\n"))
}

func (h syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return syslogHandler{h.Handler.WithAttrs(attrs), h.out}
}

func (h syslogHandler) WithGroup(name string) slog.Handler {
	return syslogHandler{h.Handler.WithGroup(name), h.out}
}
