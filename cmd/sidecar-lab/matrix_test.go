package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMatrix calls through the daemon in all cells of the built-in tables, with real media.
func TestMatrix(t *testing.T) {
	l := newLab(t)
	for _, table := range []string{"modern", "2015", "kinds"} {
		out, errOut, status := l.run("matrix", "--table", table, "--json", "--listen", "600ms")
		var results []cellResult
		if err := json.Unmarshal([]byte(out), &results); err != nil || status != 0 || len(results) != len(tables[table]) {
			t.Errorf("%s: status %d, %v\n%s%s", table, status, err, out, errOut)
		}
		for _, r := range results {
			o := r.Outcomes[0]
			if !o.ok() || o.SetupMS <= 0 || o.Caller.Pair == "" || o.Callee.Pair == "" {
				t.Errorf("%s %s: %+v", table, r.Name, o)
			}
		}
	}
	if out := l.must("list", "limit=10000"); strings.Contains(out, "matrix-") {
		t.Errorf("calls are left: %s", out)
	}
}

func TestMatrixTable(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "table.yaml")
	text := "cells:\n- name: right\n  caller: plain\n  callee: sdes\n  offer: RTP/SAVP ICE=remove\n  answer: RTP/AVP\n" +
		"- name: wrong\n  caller: plain\n  callee: webrtc\n  offer: RTP/AVP ICE=remove\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, status := l.run("matrix", "--table", file, "--listen", "600ms", "--against", l.target)
	if status != 1 {
		t.Errorf("status %d", status)
	}
	wants(t, out, "A = udp:", "B = udp:", "800 Hz", "AES_CM_128_HMAC_SHA1_80", "callee: the offer is RTP/AVP; browsers speak UDP/TLS/RTP/SAVPF", "remote")
	wants(t, l.must("matrix", "--table", file, "--only", "right", "--listen", "600ms"), "right")
	for _, bad := range []string{"- caller: car\n  callee: plain\n", "- caler: plain\n", "x", ""} {
		if cells, err := parseTable([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, cells)
		}
	}
	if _, errOut, status := l.run("matrix", "--table", "none"); status != 2 {
		t.Errorf("status %d: %s", status, errOut)
	}
}
