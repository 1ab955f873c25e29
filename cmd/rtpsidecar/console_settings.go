package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rtpsidecar/rtpengine"
)

// consoleSetting is a value that `list` shows and `set` changes.
type consoleSetting struct {
	name  string
	help  string
	shown string // printf format of the value in `list`
	said  string // printf format of the value after `set`; empty: %v
	label string // what `set` calls it; empty: its name
	value func(*console) any
	store func(*console, string) error // nil: it cannot be changed
}

// refusedValue is the reason that `set` gives.
type refusedValue string

func (r refusedValue) Error() string { return string(r) }

const noDigits refusedValue = "no digits found"

var consoleSettings = []consoleSetting{
	limit("maxsessions", "calls at a time; -1: no limit", "Maximum sessions configured on rtpengine: %v\n", "",
		func(a *rtpengine.Adjustable) any { return a.MaxSessions },
		func(a *rtpengine.Adjustable, s string) error {
			n, err := number(s)
			if err == nil && n < -1 {
				return refusedValue("either positive or -1 values allowed")
			}
			a.MaxSessions = n
			return err
		}),
	limit("maxcpu", "no new calls above this CPU use in percent", "Maximum CPU usage configured on rtpengine: %.1f\n", "%.1f",
		func(a *rtpengine.Adjustable) any { return a.MaxCPU },
		func(a *rtpengine.Adjustable, s string) (err error) { return float64Value(&a.MaxCPU, s) }),
	limit("maxload", "no new calls above this load", "Maximum load average configured on rtpengine: %.2f\n", "%.2f",
		func(a *rtpengine.Adjustable) any { return a.MaxLoad },
		func(a *rtpengine.Adjustable, s string) error { return float64Value(&a.MaxLoad, s) }),
	limit("maxbw", "no new calls above this many bytes a second", "Maximum bandwidth configured on rtpengine: %v\n", "",
		func(a *rtpengine.Adjustable) any { return a.MaxBandwidth },
		func(a *rtpengine.Adjustable, s string) error {
			n, err := natural(s)
			a.MaxBandwidth = uint64(n)
			return err
		}),
	duration("timeout", "TIMEOUT=%v\n", "", func(a *rtpengine.Adjustable) *time.Duration { return &a.Timeout }),
	duration("silenttimeout", "SILENT_TIMEOUT=%v\n", "", func(a *rtpengine.Adjustable) *time.Duration { return &a.SilentTimeout }),
	duration("finaltimeout", "FINAL_TIMEOUT=%v\n", "", func(a *rtpengine.Adjustable) *time.Duration { return &a.FinalTimeout }),
	duration("offertimeout", "OFFER_TIMEOUT=%v\n", "", func(a *rtpengine.Adjustable) *time.Duration { return &a.OfferTimeout }),
	duration("deletedelay", "%v\n", "delete-delay", func(a *rtpengine.Adjustable) *time.Duration { return &a.DeleteDelay }),
	{name: "maxopenfiles", help: "open files allowed", shown: "Maximum open-files configured on rtpengine: %v\n", label: "open_files",
		value: func(*console) any { return fmt.Sprintf("%d; cat /proc/%d/limits", openFiles(), os.Getpid()) }},
	{name: "controltos", help: "TOS byte of control replies", shown: "%v\n", value: func(c *console) any { return c.controlTOS }},
	{name: "redisallowederrors", help: "no Redis is used", shown: "%v\n", value: func(*console) any { return -1 }},
	{name: "redisdisabletime", help: "no Redis is used", shown: "%v\n", value: func(*console) any { return 10 }},
	{name: "redisdisable", help: "no Redis is used", shown: "%v\n", value: func(*console) any { return 0 }},
	{name: "redisconnecttimeout", help: "no Redis is used", shown: "%v\n", value: func(*console) any { return 1000 }},
	{name: "rediscmdtimeout", help: "no Redis is used", shown: "%v\n", value: func(*console) any { return 0 }},
}

// limit is a setting of the engine.
func limit(name, help, shown, said string, value func(*rtpengine.Adjustable) any, store func(*rtpengine.Adjustable, string) error) consoleSetting {
	return consoleSetting{name: name, help: help, shown: shown, said: said,
		value: func(c *console) any { a := c.engine.Adjusted(); return value(&a) },
		store: func(c *console, s string) error {
			a := c.engine.Adjusted() // tried on a copy: a wrong value changes nothing
			if err := store(&a, s); err != nil {
				return err
			}
			c.engine.Adjust(func(a *rtpengine.Adjustable) { _ = store(a, s) }) // it was fine a moment ago
			return nil
		}}
}

func duration(name, shown, label string, field func(*rtpengine.Adjustable) *time.Duration) consoleSetting {
	s := limit(name, "in seconds", shown, "",
		func(a *rtpengine.Adjustable) any { return int(field(a).Seconds()) },
		func(a *rtpengine.Adjustable, s string) error {
			n, err := natural(s)
			*field(a) = time.Duration(n) * time.Second
			return err
		})
	s.label = label
	return s
}

// number reads the whole number at the front of s, as C programs do.
func number(s string) (int, error) {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && s[end] == '-') {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0, noDigits
	}
	return n, nil
}

// natural reads a number that is not negative.
func natural(s string) (int, error) {
	n, err := number(s)
	if err == nil && n < 0 {
		return 0, refusedValue("negative")
	}
	return n, err
}

func float64Value(to *float64, s string) error {
	v, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return noDigits
	case v < 0:
		return refusedValue("negative")
	}
	*to = v
	return nil
}

func (s *consoleSetting) list(c *console) string { return fmt.Sprintf(s.shown, s.value(c)) }

func (s *consoleSetting) change(c *console, value string) string {
	label := s.name
	if s.label != "" {
		label = s.label
	}
	if s.store == nil {
		return fmt.Sprintf("Fail setting %s to %s; it cannot be changed while running\n", label, value)
	}
	if err := s.store(c, value); err != nil {
		return fmt.Sprintf("Fail setting %s to %s; %v\n", label, value, err)
	}
	said := "%v"
	if s.said != "" {
		said = s.said
	}
	return fmt.Sprintf("Success setting %s to "+said+"\n", label, s.value(c))
}

// openFiles is the limit of open files.
func openFiles() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}

// logParts are the names that the reference has log levels for. Here one level serves all.
var logParts = [...]string{"core", "ffmpeg", "internals", "spandsp", "transcoding", "codec", "rtcp", "ice", "crypto", "srtp", "http", "control", "dtx"}

func (c *console) logLevels([]string) string {
	return strings.Join(logParts[:], "\n") + "\n"
}

func (c *console) listLogLevel(args []string) string {
	level := c.level.move(0)
	if len(args) > 0 {
		return strconv.Itoa(level) + "\n"
	}
	var b strings.Builder
	for _, p := range logParts {
		fmt.Fprintf(&b, "%s = %d\n", p, level)
	}
	return b.String()
}

// setLogLevel changes the level; that of a part is everyone's.
func (c *console) setLogLevel(args []string) string {
	n, err := number(args[len(args)-1])
	if err != nil {
		return "More parameters required.\n"
	}
	n = min(max(n, 0), len(severities)-1)
	c.level.move(n - c.level.move(0))
	return fmt.Sprintf("Success setting loglevel to %d\n", n)
}

// params lists the settings as lines "name = value".
func (c *console) params(a rtpengine.Adjustable) []string {
	return []string{
		fmt.Sprintf("max-sessions = %d", a.MaxSessions),
		fmt.Sprintf("max-cpu = %g", a.MaxCPU),
		fmt.Sprintf("max-load = %g", a.MaxLoad),
		fmt.Sprintf("max-bandwidth = %d", a.MaxBandwidth),
		fmt.Sprintf("timeout = %d", int(a.Timeout.Seconds())),
		fmt.Sprintf("silent-timeout = %d", int(a.SilentTimeout.Seconds())),
		fmt.Sprintf("final-timeout = %d", int(a.FinalTimeout.Seconds())),
		fmt.Sprintf("offer-timeout = %d", int(a.OfferTimeout.Seconds())),
		fmt.Sprintf("delete-delay = %d", int(a.DeleteDelay.Seconds())),
	}
}

func (c *console) paramsStart([]string) string {
	return strings.Join(c.params(c.start), "\n") + "\n"
}

func (c *console) paramsCurrent([]string) string {
	return strings.Join(c.params(c.engine.Adjusted()), "\n") + "\n"
}

func (c *console) paramsDiff([]string) string {
	var b strings.Builder
	now := c.params(c.engine.Adjusted())
	for i, was := range c.params(c.start) {
		if now[i] != was {
			name, old, _ := strings.Cut(was, " = ")
			_, current, _ := strings.Cut(now[i], " = ")
			fmt.Fprintf(&b, "%s: %s => %s\n", name, old, current)
		}
	}
	return b.String()
}

func (c *console) paramsRevert([]string) string {
	c.engine.Adjust(func(a *rtpengine.Adjustable) { *a = c.start })
	return "Reverted to the settings of the start.\n"
}
