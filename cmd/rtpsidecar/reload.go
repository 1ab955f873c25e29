package main

import (
	"os"
	"reflect"
	"slices"

	"rtpsidecar/rtpengine"
)

// readAgain reads the command line and the configuration file once more and takes over what can change while calls go
// on: the log level, the limits and timeouts, the templates. What else has changed is named in a warning; it needs a
// restart. A configuration with a mistake changes nothing.
func (d *daemon) readAgain() {
	s, err := parseOptions(d.args)
	if err == nil {
		err = s.check()
	}
	if err != nil {
		d.log.Error("configuration not reloaded", "err", err)
		return
	}
	s.engine.MaxBandwidth = uint64(s.maxBandwidth)
	d.calls.Adjust(func(a *rtpengine.Adjustable) { *a = s.engine.Adjustable })
	if s.logLevel != d.logLevel {
		d.level.move(s.logLevel - d.level.move(0))
	}
	d.log.Info("configuration reloaded", "log-level", d.level.move(0))
	if names := s.needRestart(d.settings); len(names) > 0 {
		d.log.Warn("changed options need a restart", "names", names)
	}
	d.logLevel = s.logLevel
}

// reloaded are the options that readAgain takes over.
var reloaded = []string{"log-level", "max-sessions", "max-cpu", "max-load", "max-bandwidth", "timeout", "silent-timeout",
	"final-timeout", "offer-timeout", "delete-delay", "templates"}

// needRestart names the options in which s differs from what runs.
func (s *settings) needRestart(running *settings) (names []string) {
	for i := range options {
		o := &options[i]
		if o.into == nil || slices.Contains(reloaded, o.name) {
			continue
		}
		now, was := reflect.ValueOf(o.into(s)).Elem().Interface(), reflect.ValueOf(o.into(running)).Elem().Interface()
		if !reflect.DeepEqual(now, was) && !derived[o.name] {
			names = append(names, o.name)
		}
	}
	return names
}

// hasTerminal tells whether we have a controlling terminal. A hang-up then means that it is gone, and so must we be.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = tty.Close()
	return true
}

// derived are options whose place is filled in after parsing.
var derived = map[string]bool{"software-id": true, "listen-ng": true}
