package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, d any) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := record(name, d); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a := write("a", &roundData{Peer: "10.5", Rounds: 1, Figures: []*figure{{Name: "f", Unit: "us", RatioLimit: 0.8, Ours: []float64{2}, Peer: []float64{4}}}})
	b := write("b", &roundData{Peer: "10.5", Rounds: 2, Figures: []*figure{
		{Name: "f", Unit: "us", RatioLimit: 0.8, Ours: []float64{3, 7}, Peer: []float64{3, 7}}, {Name: "g", Ours: []float64{1.234}, Peer: []float64{1}, Digits: 2},
	}})
	lab := write("lab", &labData{Peer: "10.5", Runs: []labRun{round(subjectPeer, 1, 1, 2)}})
	for _, tt := range []struct {
		name  string
		files []string
		ok    bool
		want  []string
	}{
		{"one", []string{a}, true, []string{"1 rounds", "2.0 [2.0-2.0] us", "0.50 [0.50-0.50]"}},
		{"both", []string{a, b}, false, []string{"3 rounds", "3.0 [2.0-7.0] us", "1.00 [0.50-1.00]", "ratio 0.8 EXCEEDED", "1.23 [1.23-1.23]"}},
		{"lab", []string{lab}, false, []string{"2 pairs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := options{json: filepath.Join(dir, "all")}.again(&out, tt.files)
			if err != nil || ok != tt.ok {
				t.Errorf("limits hold: %v, %v, want %v", ok, err, tt.ok)
			}
			for _, s := range tt.want {
				if !strings.Contains(out.String(), s) {
					t.Errorf("no %q in\n%s", s, out.String())
				}
			}
			var copied strings.Builder
			if _, err := (options{}).again(&copied, []string{filepath.Join(dir, "all")}); err != nil || copied.String() != out.String() {
				t.Errorf("what was recorded of all says %v, %s", err, copied.String())
			}
		})
	}
	other := write("other", &roundData{Peer: "26.3", Figures: []*figure{{Name: "f"}}})
	for _, files := range [][]string{{a, other}, {filepath.Join(dir, "none")}} {
		if _, err := (options{}).again(&strings.Builder{}, files); err == nil {
			t.Errorf("%q: no error", files)
		}
	}
}
