package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestStreamFigures(t *testing.T) {
	list, err := options{media: "plain,srtp", streams: "200,10000"}.streamFigures()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name)
	}
	for _, want := range []string{"200 streams, plain: CPU per packet", "10000 streams, SRTP: CPU / that with 200", "10000 streams, plain: lost"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %q in %q", want, names)
		}
	}
	for _, streams := range []string{"", "3", "0", "2,x"} {
		if _, err := (options{media: "plain", streams: streams}).streamFigures(); err == nil {
			t.Errorf("%q streams: no error", streams)
		}
	}
}

func TestNeedFiles(t *testing.T) {
	var before, after syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := needFiles(10); err != nil {
		t.Error(err)
	}
	if _ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &after); after != before {
		t.Errorf("limits %v, want %v as before: that is enough", after, before)
	}
	if err := needFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "1099511627776 descriptors") {
		t.Errorf("too many: %v", err)
	}
}

func TestConfig(t *testing.T) {
	o := options{ours: "ours", peer: "peer", oursOptions: []string{"--num-threads=1"}}
	for who, want := range map[string]string{
		subjectPeer: "peer --log-level=3", subjectUser: "ours --log-level=3 --num-threads=1",
		subjectKernel: "ours --log-level=3 --num-threads=1 --kernel=require",
	} {
		if cfg := o.config(who, ""); cfg.Path+" "+strings.Join(cfg.Args, " ") != want {
			t.Errorf("%s: %s %q, want %q", who, cfg.Path, cfg.Args, want)
		}
	}
}
