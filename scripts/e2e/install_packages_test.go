package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stub writes a program that appends its name and arguments to the file calls and then runs the script.
func stub(t *testing.T, dir, name, script string) {
	t.Helper()
	text := "#!/bin/sh\necho " + name + " \"$@\" >>" + filepath.Join(dir, "calls") + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestInstallPackages records what the package managers are asked for; the names and addresses are those of the OpenSIPS
// project's repositories.
func TestInstallPackages(t *testing.T) {
	if _, err := exec.LookPath("opensips"); err == nil {
		t.Log("NOT TESTED HERE: where the packages come from, since OpenSIPS is installed")
		return
	}
	relay := buildRelay(t)
	const modules = "opensips-auth-modules opensips-tls-module opensips-tls-openssl-module opensips-tlsmgm-module opensips-wss-module"
	for _, c := range []struct {
		name, system string
		stubs        map[string]string // scripts; in them $D is the directory of the stubs
		want, never  []string          // calls
		file, holds  string
	}{
		{
			"debian 13, nothing of its own", "debian 13",
			map[string]string{
				"apt-get":   `case "$*" in *install*opensips*) cp $D/made $D/opensips ;; esac`,
				"apt-cache": `case "$*" in policy*) echo "  Candidate: (none)" ;; esac`, "dpkg-query": "exit 1",
				"curl": `while [ "$1" != -o ]; do shift; done; echo key >"$2"`,
			},
			[]string{
				"curl -fsSL -o ROOT/usr/share/keyrings/opensips-org.gpg.new https://apt.opensips.org/opensips-org.gpg",
				"apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 opensips " + modules,
			}, nil,
			"/etc/apt/sources.list.d/opensips.list", "https://apt.opensips.org trixie 3.6-releases\n",
		},
		{
			"debian 12, an old one", "debian 12",
			map[string]string{
				"apt-get":   `case "$*" in *install*opensips*) cp $D/made $D/opensips ;; esac`,
				"apt-cache": `case "$*" in policy*) echo "  Candidate: 3.2.5-1" ;; esac`, "dpkg-query": "exit 1",
				"curl": `while [ "$1" != -o ]; do shift; done; echo key >"$2"`,
			},
			[]string{"curl -fsSL -o ROOT/usr/share/keyrings/opensips-org.gpg.new https://apt.opensips.org/opensips-org.gpg"}, nil,
			"/etc/apt/sources.list.d/opensips.list", "https://apt.opensips.org bookworm 3.6-releases\n",
		},
		{
			"debian 13, one of its own", "debian 13",
			map[string]string{
				"apt-get":   `case "$*" in *install*opensips*) cp $D/made $D/opensips ;; esac`,
				"apt-cache": `case "$*" in policy*) echo "  Candidate: 3.6.2-1" ;; *wss*) ;; *) exit 1 ;; esac`, "dpkg-query": "exit 1",
				"curl": "exit 1",
			},
			[]string{"apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 opensips opensips-wss-module"},
			[]string{"curl .*"},
			"/usr/local/bin/rtpsidecar", "",
		},
		{
			"rocky 9", "rocky 9",
			map[string]string{
				"dnf": `case "$*" in *install\ opensips\ *) cp $D/made $D/opensips ;; esac`, "rpm": "exit 1",
				"curl": `echo '<a href="opensips-yum-releases-3.6-5.el9.noarch.rpm"> <a href="opensips-yum-releases-3.6-10.el9.noarch.rpm">'`,
			},
			[]string{
				`dnf -y -q install https://yum.opensips.org/3.6/releases/el/9/ARCH/opensips-yum-releases-3.6-10.el9.noarch.rpm`,
				"dnf -y -q install opensips " + modules,
			}, nil,
			"/usr/local/bin/rtpsidecar", "",
		},
		{
			"rocky 9, an old one", "rocky 9",
			map[string]string{
				"dnf": `case "$*" in *list*) echo 'opensips.x86_64 1:3.2.4-1.el9 epel' ;; *install\ opensips\ *) cp $D/made $D/opensips ;; esac`, "rpm": "exit 1",
				"curl": `echo '<a href="opensips-yum-releases-3.6-6.el9.noarch.rpm">'`,
			},
			[]string{`dnf -y -q install https://yum.opensips.org/3.6/releases/el/9/ARCH/opensips-yum-releases-3.6-6.el9.noarch.rpm`}, nil,
			"/usr/local/bin/rtpsidecar", "",
		},
		{
			"rocky 9, one of its own", "rocky 9",
			map[string]string{
				"dnf": `case "$*" in *list*) echo 'opensips.x86_64 3.6.1-1.el9 epel' ;; *install\ opensips\ *) cp $D/made $D/opensips ;; esac`, "rpm": "exit 1",
				"curl": "exit 1",
			},
			[]string{"dnf -y -q install opensips " + modules}, []string{"curl .*"},
			"/usr/local/bin/rtpsidecar", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tools, root := t.TempDir(), filepath.Join(t.TempDir(), "root")
			if err := os.WriteFile(filepath.Join(tools, "made"), []byte(proxyStub), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, script := range c.stubs {
				stub(t, tools, name, "D="+tools+"\n"+script)
			}
			out, err := install(t, root, releases[c.system], tools, "--binary", relay)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			b, err := os.ReadFile(filepath.Join(tools, "calls"))
			if err != nil {
				t.Fatal(err)
			}
			machine, err := exec.Command("uname", "-m").Output()
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(b), strings.TrimSpace(string(machine)), "ARCH")
			calls := strings.Split(strings.ReplaceAll(text, root, "ROOT"), "\n")
			for _, want := range c.want {
				if !slices.Contains(calls, want) {
					t.Errorf("%q was not called, but\n%s", want, strings.Join(calls, "\n"))
				}
			}
			for _, never := range c.never {
				if slices.ContainsFunc(calls, regexp.MustCompile("^"+never).MatchString) {
					t.Errorf("%q was called:\n%s", never, strings.Join(calls, "\n"))
				}
			}
			files := filesBelow(t, root)
			if got := files[c.file]; !strings.Contains(got, c.holds) {
				t.Errorf("%s holds %q, want %q in it", c.file, got, c.holds)
			}
			if out, err := install(t, root, releases[c.system], tools, "--uninstall"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if left := filesBelow(t, root); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestInstallUnreachable: where the packages cannot be had, the installer says what to do.
func TestInstallUnreachable(t *testing.T) {
	if _, err := exec.LookPath("opensips"); err == nil {
		t.Log("NOT TESTED HERE: where the packages come from, since OpenSIPS is installed")
		return
	}
	for _, system := range []string{"debian 12", "rocky 9"} {
		t.Run(system, func(t *testing.T) {
			tools := t.TempDir()
			for _, name := range []string{"curl", "apt-get", "apt-cache", "dpkg-query", "dnf", "rpm"} {
				stub(t, tools, name, "exit 7")
			}
			out, err := install(t, filepath.Join(t.TempDir(), "root"), releases[system], tools, "--binary", "/bin/true")
			if err == nil || !strings.Contains(out, "name it with --opensips FILE") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestUnits has systemd read the units that the installer writes and judge how much they may do.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("SKIPPED: systemd-analyze is not installed")
	}
	tools, root := t.TempDir(), filepath.Join(t.TempDir(), "root")
	if err := os.WriteFile(filepath.Join(tools, "opensips"), []byte(proxyStub), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := install(t, root, releases["debian 13"], tools, "--binary", buildRelay(t), "--opensips", filepath.Join(tools, "opensips")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	units, err := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.service"))
	if err != nil || len(units) != 3 {
		t.Fatalf("units %q, %v", units, err)
	}
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		// The programs are not where they will be.
		text := regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllString(string(b), "ExecStart=/bin/true")
		if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "rtpsidecar") {
				t.Errorf("%v: %s", err, out)
			}
			// Tenths of the exposure level; below 2.0 systemd calls it OK.
			out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit).CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
