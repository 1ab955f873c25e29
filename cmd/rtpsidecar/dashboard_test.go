package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"rtpsidecar/ng"
)

// TestDashboard: every metric that the dashboard asks for is one that we have.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana/rtpsidecar.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatal("the dashboard is no JSON")
	}
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--listen-http=127.0.0.1:0")
	client, err := ng.Dial(t.Context(), "udp:"+d.NG[0], ng.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	q := new(ng.Dict)
	q.AddString("command", "ping")
	if _, err := client.Do(t.Context(), q); err != nil { // requests are counted from the first on
		t.Fatal(err)
	}
	metrics := get(t, "http://"+d.HTTP[0]+"/metrics")
	names := regexp.MustCompile(`\b(rtpengine|go|process)_[a-z0-9_]+`).FindAllString(string(b), -1)
	if len(names) < 30 {
		t.Errorf("only %d metrics", len(names))
	}
	for _, name := range names {
		if !strings.Contains(metrics, "\n# TYPE "+name+" ") {
			t.Errorf("the dashboard asks for %s, which is not exposed", name)
		}
	}
}
