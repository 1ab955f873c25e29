// Package lint holds the rules of the house as tests: which module may be seen from where, what each package must say.
package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports,GoFiles", "rtpsidecar/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Log(string(exit.Stderr))
		}
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// keepers are the modules that only some packages may import, tests included where so said.
var keepers = []struct {
	module  string
	allowed []string // import paths, "/..." for all below
	tests   bool     // tests elsewhere may import it too
	why     string
}{
	{"golang.org/x/sys/unix", []string{"rtpsidecar/relay/...", "rtpsidecar/scripts/...", "rtpsidecar/cmd/sidecar-lab/..."}, true,
		"system calls stay behind the relay's packetIO"},
	{"github.com/pion/dtls", []string{"rtpsidecar/relay/dtls/..."}, true, "one package sees the DTLS stack"},
	{"github.com/pion/srtp", []string{"rtpsidecar/relay/srtp/..."}, true, "one package sees the SRTP library"},
	{"github.com/pion/stun", []string{"rtpsidecar/relay/ice/..."}, true, "one package speaks STUN"},
	{"github.com/pion/sdp", []string{"rtpsidecar/sdp/..."}, true, "the model is handed on by package sdp"},
	{"github.com/cilium/ebpf", []string{"rtpsidecar/relay/ebpf/...", "rtpsidecar/scripts/..."}, true, "programs and maps stay behind Table"},
	{"github.com/ghettovoice/gosip", []string{"rtpsidecar/cmd/sidecar-lab/..."}, false, "nothing in the daemon speaks SIP"},
	{"github.com/sirupsen/logrus", nil, false, "log/slog, handed in"},
	{"log", nil, false, "log/slog, handed in"},
}

func TestImportKeepers(t *testing.T) {
	for _, p := range packages(t) {
		for _, k := range keepers {
			if slices.ContainsFunc(k.allowed, func(a string) bool { return within(p.ImportPath, a) }) {
				continue
			}
			seen := p.Imports
			if !k.tests {
				seen = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
			}
			for _, i := range seen {
				if i == k.module || strings.Contains(k.module, ".") && strings.HasPrefix(i, k.module+"/") {
					t.Errorf("%s imports %s: %s", p.ImportPath, i, k.why)
				}
			}
		}
	}
}

func within(path, pattern string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s: no package comment", p.ImportPath)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		path, pattern string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b/c", "a/b", false},
		{"a/b", "a/b/...", true},
		{"a/b/c", "a/b/...", true},
		{"a/bc", "a/b/...", false},
	} {
		if got := within(c.path, c.pattern); got != c.want {
			t.Errorf("within(%q, %q) = %v, want %v", c.path, c.pattern, got, c.want)
		}
	}
}
