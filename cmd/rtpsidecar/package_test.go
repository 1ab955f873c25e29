package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestPackaged: the command lines and the configuration file that the packages bring are ones that we take.
func TestPackaged(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("../../scripts/package", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var pods struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct{ Args []string }
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read("kubernetes.yaml")), &pods); err != nil {
		t.Fatal(err)
	}
	unit := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/rtpsidecar serve (.*)$`).FindStringSubmatch(read("rtpsidecar.service"))
	image := regexp.MustCompile(`(?m)^ENTRYPOINT \["/usr/bin/rtpsidecar", "serve", "(.*)"\]$`).FindStringSubmatch(read("Containerfile"))
	if unit == nil || image == nil || len(pods.Spec.Template.Spec.Containers) != 1 {
		t.Fatal("a command line is not where it was")
	}
	conf, err := filepath.Abs("../../scripts/package/rtpsidecar.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string // of listen-ng
	}{
		{"unit", strings.Fields(strings.Replace(unit[1], "/etc/rtpsidecar/rtpsidecar.conf", conf, 1)), "127.0.0.1:2223"},
		{"image", strings.Fields(image[1]), ""},
		{"DaemonSet", append(strings.Fields(image[1]), pods.Spec.Template.Spec.Containers[0].Args...), "192.0.2.1:2223"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.args {
				tt.args[i] = strings.ReplaceAll(tt.args[i], "$(NODE_IP)", "192.0.2.1")
			}
			s, err := parseOptions(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.check(); err != nil || strings.Join(s.listenNG, " ") != tt.want {
				t.Errorf("listen-ng %q, %v; want %q", s.listenNG, err, tt.want)
			}
		})
	}
}
