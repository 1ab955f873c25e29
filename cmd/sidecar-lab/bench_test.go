package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBench(t *testing.T) {
	l := newLab(t)
	for _, kind := range []string{"plain", "sdes", "webrtc", "none"} {
		out, errOut, status := l.run("bench", "--media", kind, "--calls", "5", "--duration", "1200ms", "--json")
		var r benchResult
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
			t.Errorf("%s: status %d, %v\n%s%s", kind, status, err, out, errOut)
			continue
		}
		if r.Failed != 0 || r.Offer.P50 <= 0 || r.Answer.P99 < r.Answer.P50 || r.Delete.P50 <= 0 || r.SetupRate <= 0 {
			t.Errorf("%s: %+v", kind, r)
		}
		if kind != "none" && (r.Sent < 400 || r.Received < r.Sent*9/10) {
			t.Errorf("%s: %d of %d packets", kind, r.Received, r.Sent)
		}
		if kind == "plain" && r.Latency.P50 <= 0 || kind == "sdes" && r.MOS < 1 {
			t.Errorf("%s: %+v", kind, r)
		}
	}
	wants(t, l.must("bench", "--media", "none", "--calls", "20", "--rate", "400"), "20 with none media", "offer p50 / p99", "failed")
	if out := l.must("list", "limit=10000"); strings.Contains(out, "bench-") {
		t.Errorf("calls are left: %s", out)
	}
	out, _, status := l.run("bench", "--media", "none", "--calls", "2", "--target", "udp:127.0.0.1:9", "--timeout", "1ms", "--tries", "1")
	wants(t, out, "no reply")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	for _, args := range [][]string{{"--media", "smoke"}, {"--calls", "0"}, {"--address", "here"}} {
		if _, _, status := l.run(append([]string{"bench"}, args...)...); status != 2 {
			t.Errorf("%q: status %d", args, status)
		}
	}
}
