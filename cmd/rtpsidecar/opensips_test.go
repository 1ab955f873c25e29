package main

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// renderOpenSIPS runs `opensips render` into a new directory and returns that and what was printed.
func renderOpenSIPS(t *testing.T, args ...string) (dir, out string, err error) {
	t.Helper()
	dir = t.TempDir()
	var b bytes.Buffer
	machine := network{all: func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.8")}, nil
	}}
	err = run(t.Context(), env{&b, &b, os.Getenv, append([]string{"rtpsidecar", "opensips", "render", "--out", dir}, args...), machine})
	return dir, b.String(), err
}

func TestOpenSIPSRender(t *testing.T) {
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte("domains: [{name: file.example, registration: open}]\nnat: {keepaliveSeconds: 7}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, want string
		args             []string
	}{
		{"defaults", "globals.cfg", "socket=udp:192.0.2.7:5060\n", []string{"--domain", "a.example"}},
		{"both families", "globals.cfg", "socket=ws:[2001:db8::7]:5066\n", []string{"--domain", "a.example"}},
		{"one address", "globals.cfg", "socket=tcp:198.51.100.1:5060 AS 203.0.113.1:5060\n", []string{"--domain", "a.example", "--ipv4", "198.51.100.1!203.0.113.1"}},
		{"domains", "helpers.cfg", "case \"b.example\":\n\t\t$var(domain) = \"open\";", []string{"--domain", "a.example", "--domain", "b.example=open"}},
		{"transports", "globals.cfg", "socket=udp:192.0.2.7:5070\n", []string{"--domain", "a.example", "--transports", "udp:5070,ws"}},
		{"certificate", "modules.cfg", "[here]/x/cert.pem", []string{"--domain", "a.example", "--transports", "wss", "--tls-cert", "/x/cert.pem", "--tls-key", "/x/key.pem"}},
		{"values file", "modules.cfg", "\"natping_interval\", 7)", []string{"--values", values}},
		{"set beats the file", "modules.cfg", "\"natping_interval\", 9)", []string{"--values", values, "--set", "nat.keepaliveSeconds=9"}},
		{"option beats both", "helpers.cfg", "case \"c.example\":", []string{"--values", values, "--domain", "c.example"}},
		{"user", "users.cfg", "case \"alice@a.example\":", []string{"--domain", "a.example", "--user", "alice:pw"}},
		{"user with a comma", "users.cfg", "case \"alice@a.example\":\n\t\t$var(ha1) = \"0d7a8ade8f23c365ac2310d6f0fe3bc1\"", []string{"--domain", "a.example", "--user", "alice:p,w"}},
		{"list", "users.cfg", "case \"bob@a.example\":", []string{"--domain", "a.example", "--set", "users=[{name: alice, password: a}, {name: bob, password: b}]"}},
		{"sidecars", "modules.cfg", "udp:127.0.0.1:2223=1 udp:[::1]:2224=5", []string{"--domain", "a.example", "--sidecar", "udp:127.0.0.1:2223", "--sidecar", "udp:[::1]:2224=5"}},
		{"table", "media-flags.cfg", "ICE=force-relay DTLS=passive", []string{"--domain", "a.example", "--table", "2015"}},
		{"database", "schema.sql", "create table", []string{"--domain", "a.example", "--storage", "sqlite:///var/lib/x.sqlite"}},
		{"modules", "modules.cfg", "mpath=\"/x/modules/\"", []string{"--domain", "a.example", "--modules", "/x/modules/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, out, err := renderOpenSIPS(t, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, c.file))
			if err != nil || !strings.Contains(string(b), c.want) {
				t.Errorf("%v; want %q in %s:\n%s", err, c.want, c.file, b)
			}
			if !strings.Contains(out, filepath.Join(dir, "opensips.cfg")) {
				t.Errorf("printed %q", out)
			}
		})
	}
}

func TestOpenSIPSRenderRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		usage      bool
		args       []string
	}{
		{"nothing", "domains:", false, nil},
		{"bad domain", "domains[0].name:", false, []string{"--domain", "a b"}},
		{"unknown key", "medai", true, []string{"--set", "medai.x=1"}},
		{"no file", "nowhere.yaml", true, []string{"--values", "nowhere.yaml"}},
		{"transport", "sctp", true, []string{"--transports", "sctp"}},
		{"port", "x", true, []string{"--transports", "udp:x"}},
		{"user", "alice", true, []string{"--user", "alice"}},
		{"weight", "much", true, []string{"--sidecar", "udp:127.0.0.1:2223=much"}},
		{"argument", "extra", true, []string{"extra"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := renderOpenSIPS(t, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v does not name %q", err, c.want)
			}
			if errors.As(err, new(usageError)) != c.usage {
				t.Errorf("usage error: %v", !c.usage)
			}
		})
	}
}
