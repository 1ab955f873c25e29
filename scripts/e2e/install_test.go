package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// releases are /etc/os-release files as the systems have them.
var releases = map[string]string{
	"debian 12": "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
	"debian 13": "PRETTY_NAME=\"Debian GNU/Linux 13\"\nID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n",
	"rocky 9":   "PRETTY_NAME=\"Rocky Linux 9\"\nID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.6\"\n",
	"alpine":    "PRETTY_NAME=Alpine\nID=alpine\nVERSION_ID=3.22\n",
}

// install runs the installer with a root directory of the test's own; path is put before PATH.
func install(t *testing.T, root, release, path string, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(file, []byte(release), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("../install.sh", append([]string{"--yes", "--domain", "sip.test", "--user", "alice", "--address", "192.0.2.1!203.0.113.1"}, args...)...)
	cmd.Env = append(os.Environ(), "ROOT="+root, "OS_RELEASE="+file, "PATH="+path+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInstallDryRun(t *testing.T) {
	for _, c := range []struct {
		system string
		want   []string // lines of what would be done
		fails  bool
	}{
		{"debian 12", []string{"taking the OpenSIPS project's, release 4.0", "https://apt.opensips.org/opensips-org.gpg", "opensips-wss-module", "rtpsidecar-proxy.service"}, false},
		{"rocky 9", []string{"https://yum.opensips.org/4.0/releases/el/9/", "dnf -y -q install", "rtpsidecar.service"}, false},
		{"alpine", []string{"neither like Debian nor like RHEL"}, true},
	} {
		t.Run(c.system, func(t *testing.T) {
			if _, err := exec.LookPath("opensips"); err == nil && !c.fails {
				t.Log("NOT TESTED HERE: where the packages come from, since OpenSIPS is installed")
				return
			}
			root := t.TempDir()
			out, err := install(t, root, releases[c.system], "", "--dry-run", "--opensips-release", "4.0", "--binary", "/bin/true")
			if (err != nil) != c.fails {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("does not say %q:\n%s", w, out)
				}
			}
			if f := filesBelow(t, root); len(f) != 0 {
				t.Errorf("a dry run wrote %v", f)
			}
		})
	}
}

// proxyStub stands in for a proxy that takes every configuration; the rendered ones are checked elsewhere.
const proxyStub = "#!/bin/sh\n[ \"$1\" != -V ] || echo 'version: opensips 4.0.1 (x86_64/linux)'\n"

func buildRelay(t *testing.T) string {
	t.Helper()
	relay := filepath.Join(t.TempDir(), "rtpsidecar")
	if out, err := exec.Command("go", "build", "-o", relay, "rtpsidecar/cmd/rtpsidecar").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return relay
}

// TestInstall installs for real below a directory, again, with a change, and removes it.
func TestInstall(t *testing.T) {
	tools, root, relay := t.TempDir(), filepath.Join(t.TempDir(), "root"), buildRelay(t)
	proxy := filepath.Join(tools, "opensips")
	if err := os.WriteFile(proxy, []byte(proxyStub), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"--binary", relay, "--opensips", proxy}
	run := func(more ...string) string {
		t.Helper()
		out, err := install(t, root, releases["debian 13"], tools, append(args, more...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	out := run()
	first := filesBelow(t, root)
	for file, want := range map[string]string{
		"/etc/rtpsidecar/values.yaml":                       `name: "conf.sip.test", registration: open`,
		"/etc/rtpsidecar/relay.conf":                        "interface = pub/192.0.2.1!203.0.113.1\n",
		"/etc/rtpsidecar/opensips/globals.cfg":              "socket=wss:192.0.2.1:7443 AS 203.0.113.1:7443",
		"/etc/rtpsidecar/tls/cert.pem":                      "BEGIN CERTIFICATE",
		"/etc/systemd/system/rtpsidecar.service":            "NoNewPrivileges=yes",
		"/etc/systemd/system/rtpsidecar-proxy.service":      "ExecStart=" + proxy,
		"/etc/systemd/system/rtpsidecar-conference.service": "--domain conf.sip.test",
		"/usr/local/bin/rtpsidecar":                         "",
	} {
		if content, ok := first[file]; !ok || !strings.Contains(content, want) {
			t.Errorf("%s: there: %v, want %q in it\n%s", file, ok, want, out)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "etc/rtpsidecar/values.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("values.yaml: %v, %v", info.Mode(), err)
	}
	if !strings.Contains(out, "https://203.0.113.1:8443/") {
		t.Errorf("does not print the conference's address:\n%s", out)
	}

	if out := run(); strings.Contains(out, "wrote") {
		t.Errorf("the second run wrote something:\n%s", out)
	}
	for file, content := range filesBelow(t, root) {
		if first[file] != content {
			t.Errorf("the second run changed %s", file)
		}
	}

	local := filepath.Join(root, "etc/rtpsidecar/local.yaml")
	if err := os.WriteFile(local, []byte("optional: {recordHeader: X-Tape}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("--no-conference")
	if !strings.Contains(filesBelow(t, root)["/etc/rtpsidecar/opensips/admission.cfg"], "X-Tape") {
		t.Error("local.yaml has no effect")
	}
	if err := os.Remove(local); err != nil {
		t.Fatal(err)
	}

	if out, err := install(t, root, releases["debian 13"], tools, "--uninstall"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left := filesBelow(t, root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if out, err := install(t, root, releases["debian 13"], tools, "--uninstall"); err == nil {
		t.Errorf("uninstalled twice:\n%s", out)
	}
}

func TestInstallRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"option", "--frobnicate", []string{"--frobnicate"}},
		{"value", "--domain", []string{"--domain"}},
		{"domain", "a b", []string{"--domain", "a b", "--dry-run"}},
		{"user", "x@y", []string{"--user", "x@y", "--dry-run"}},
		{"release", "2.4", []string{"--opensips-release", "2.4"}},
		{"certificate", "nowhere.pem", []string{"--cert", "nowhere.pem", "--key", "nowhere.pem"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := install(t, t.TempDir(), releases["debian 13"], "", c.args...)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
