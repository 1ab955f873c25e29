package rtpengine

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// deps lists what a package is built from, itself not included.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	list := strings.Fields(string(out))
	return slices.DeleteFunc(list, func(p string) bool { return p == pkg })
}

// The arrows between packages point one way: cmd -> rtpengine -> {ng, sdp, relay}, and relay -> its parts.
func TestImports(t *testing.T) {
	const (
		storage = "github.com/redis/"
		bolt    = "go.etcd.io/bbolt"
		metrics = "github.com/prometheus/"
		gosip   = "github.com/ghettovoice/gosip"
	)
	tests := []struct {
		pkg   string
		never []string // prefixes
	}{
		{"rtpsidecar/ng", []string{"rtpsidecar/", metrics, storage, bolt, gosip}},
		{"rtpsidecar/sdp", []string{"rtpsidecar/", "log/slog", metrics, storage, bolt, gosip}},
		{"rtpsidecar/relay", []string{"rtpsidecar/ng", "rtpsidecar/sdp", "rtpsidecar/rtpengine", metrics, storage, bolt, gosip}},
		{"rtpsidecar/relay/rtp", []string{"rtpsidecar/", "net"}},
		{"rtpsidecar/relay/srtp", []string{"rtpsidecar/relay/ice", "rtpsidecar/relay/dtls", "net"}},
		{"rtpsidecar/relay/ice", []string{"rtpsidecar/relay/dtls", "rtpsidecar/relay/srtp"}},
		{"rtpsidecar/rtpengine", []string{"rtpsidecar/cmd", gosip}},
		{"rtpsidecar/cmd/rtpsidecar", []string{gosip}},
	}
	for _, tt := range tests {
		for _, dep := range deps(t, tt.pkg) {
			for _, bad := range tt.never {
				if dep == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(dep, bad) || strings.HasPrefix(dep, bad+"/") && bad != "net" {
					t.Errorf("%s is built from %s", tt.pkg, dep)
				}
			}
		}
	}
}

// What the engine itself must not reach for: sockets, keys and kernel interfaces are the relay's.
func TestOwnImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "rtpsidecar/rtpengine").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"net", "golang.org/x/sys/unix", "github.com/cilium/ebpf", "github.com/pion/dtls/v3", "github.com/pion/srtp/v3"} {
		if slices.Contains(strings.Fields(string(out)), bad) {
			t.Errorf("package rtpengine imports %s", bad)
		}
	}
}
