package main

import (
	"slices"
	"strings"
	"testing"
)

func TestNewest(t *testing.T) {
	tests := []struct {
		name      string
		in, wants []string
	}{
		{"none", []string{"linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64", "linux-image-6.12.9-1-amd64"}, nil},
		{"by number, not by letter", []string{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-57-cloud-amd64", "linux-image-6.1.0-48-cloud-amd64"},
			[]string{"linux-image-6.1.0-57-cloud-amd64"}},
		{"one of each minor version", []string{"linux-image-7.0.13+deb13-cloud-amd64", "linux-image-6.9.10+deb13-cloud-amd64",
			"linux-image-6.18.9+deb13-cloud-amd64", "linux-image-6.18.15+deb13-cloud-amd64", "linux-image-6.18.15+deb13-cloud-amd64-unsigned"},
			[]string{"linux-image-6.9.10+deb13-cloud-amd64", "linux-image-6.18.15+deb13-cloud-amd64", "linux-image-7.0.13+deb13-cloud-amd64"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newest(tt.in); !slices.Equal(got, tt.wants) {
				t.Errorf("got %v, want %v", got, tt.wants)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	var out outcome
	for line := range strings.Lines(`SeaBIOS
KERNEL UNDER TEST: 6.1.0-57-cloud-amd64
=== RUN   TestPolicy
    --- PASS: TestPolicy/tcx (0.10s)
--- PASS: TestPolicy (0.10s)
--- FAIL: TestStart (0.10s)
    --- SKIP: TestStart/xdp (0.00s)
--- SKIP: TestKernelAES (0.00s)
RESULT: exit status 1
`) {
		out.read(strings.TrimSuffix(line, "\n"))
	}
	if out.version != "6.1.0-57-cloud-amd64" || out.result != "exit status 1" || out.ran != 2 || !slices.Equal(out.skipped, []string{"TestKernelAES"}) {
		t.Errorf("read %+v", &out)
	}
}
