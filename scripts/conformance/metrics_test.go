package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// noMetricsOfOurs are the reference's metrics of parts that do not exist here.
var noMetricsOfOurs = regexp.MustCompile(`^rtpengine_(poller_|transcoder_)`)

// TestMetrics scrapes both daemons after the same call: what the reference exposes, by name, type and labels, has to be
// there too, or dashboards made for it stay empty.
func TestMetrics(t *testing.T) {
	needPeer(t)
	ctx := t.Context()
	peer, err := exec.LookPath("rtpengine")
	if err != nil {
		t.Fatal(err)
	}
	ours := os.Getenv("CONFORMANCE_OURS")
	if ours == "" {
		if ours, err = daemon.Build(ctx, t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	want, got := scrape(t, ctx, peer, 28100), scrape(t, ctx, ours, 28200)
	if len(want) < 50 {
		t.Errorf("only %d series of the reference", len(want))
	}
	for _, series := range slices.Sorted(maps.Keys(want)) {
		if kind, ok := got[series]; noMetricsOfOurs.MatchString(series) {
			continue
		} else if !ok {
			t.Errorf("%s is missing", series)
		} else if kind != want[series] {
			t.Errorf("%s is a %s, want a %s", series, kind, want[series])
		}
	}
}

// scrape starts a daemon, makes a call and returns the type of each series, name with labels, that it exposes then.
func scrape(t *testing.T, ctx context.Context, path string, base int) map[string]string {
	t.Helper()
	web := fmt.Sprintf("127.0.0.1:%d", base+1)
	d, err := daemon.Start(ctx, daemon.Config{
		Path: path, Listen: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(base)), Interfaces: []string{"pub/127.0.0.1"},
		PortMin: base + 10, PortMax: base + 50, Args: []string{"--listen-http=" + web, "--delete-delay=0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	const body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 8\r\n"
	for _, command := range []string{"offer", "answer", "delete"} {
		q := new(ng.Dict)
		q.AddString("command", command)
		q.AddString("call-id", "metrics")
		q.AddString("from-tag", "A")
		if command == "answer" {
			q.AddString("to-tag", "B")
		}
		if command != "delete" {
			q.AddString("sdp", body)
		}
		if _, err := d.Ask(q); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+web+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	series, kinds := map[string]string{}, map[string]string{}
	label := regexp.MustCompile(`\w+="[^"]*"`)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 4 && f[1] == "TYPE" {
			kinds[f[2]] = f[3]
		} else if line := lines.Text(); line != "" && line[0] != '#' {
			end := strings.LastIndexByte(line, ' ') // label values may have spaces
			name, _, _ := strings.Cut(line[:end], "{")
			labels := label.FindAllString(line[:end], -1)
			slices.Sort(labels)
			series[name+"{"+strings.Join(labels, ",")+"}"] = kinds[name]
		}
	}
	return series
}
