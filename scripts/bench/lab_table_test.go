package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs has the documentation show what its data says.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	d, err := recorded([]string{"../../docs/kernel.json"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	d.table(&b)
	_, table, _ := strings.Cut(b.String(), "\n\n")
	if !strings.Contains(string(text), table) {
		t.Errorf("docs/performance.md has not the table of docs/kernel.json:\n%s", table)
	}
	picture := filepath.Join(t.TempDir(), "kernel.svg")
	if err := draw(d, picture); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(picture)
	if want, err := os.ReadFile("../../docs/kernel.svg"); err != nil || string(got) != string(want) {
		t.Errorf("docs/kernel.svg is not drawn from docs/kernel.json: %v", err)
	}
}

// round is a run whose pairs cost what is given, in all clocks.
func round(subject string, daemon float64, above ...float64) labRun {
	r := labRun{Rate: 20000, Burst: "1ms", Media: "srtp", Subject: subject, Daemon: daemon, Sent: 10, Received: 10, All: 20, InKernel: 19,
		Reflect: labCost{P50: 5, P99: 9}, Relay: labCost{P50: 5 + above[0], P99: 9 + above[0]}}
	for _, v := range above {
		r.Above = append(r.Above, labCost{Machine: v, Threads: v})
	}
	return r
}

func TestTable(t *testing.T) {
	peer := []labRun{round(subjectPeer, 20, 20, 18), round(subjectPeer, 10, 20, 22)}
	for _, tt := range []struct {
		name string
		runs []labRun
		ok   bool
		want []string
		not  []string
	}{
		{"pairs of all rounds are pooled", append([]labRun{round(subjectKernel, 0, 1, 5), round(subjectKernel, 0, 2, 2)}, peer...), true, []string{
			"medians of 4 pairs", "| | 20k/s, 1 ms | limit |\n|---|---|---|\n",
			"| reference, SRTP: machine above reflect, us | 20.00 +- 1.02 | |\n",
			"| kernel, SRTP: threads above reflect, us | 2.00 +- 1.09 | |\n",
			"| **kernel, SRTP: machine, ours / reference** | 0.100 +- 0.055 | 0.2 |\n",
			"| kernel, SRTP: p50 above reflect, ours / reference | 0.075 | 0.25 |\n",
			"| kernel, SRTP: forwarded in the kernel at worst, %, warm-up included | 95 | |\n",
		}, []string{"userspace", "reflect, SRTP", "EXCEEDED"}},
		{"one round above its limit, both below", append([]labRun{round(subjectKernel, 0, 1, 9), round(subjectKernel, 0, 1, 1)}, peer...), true,
			[]string{"0.050 +- 0.125 | 0.2 |"}, []string{"EXCEEDED"}},
		{"above the limit", append([]labRun{round(subjectKernel, 0, 1, 5, 5)}, peer...), false, []string{
			"medians of 3 to 4 pairs", "+- 0.085 EXCEEDED | 0.2 |\n"}, nil},
		{"loss", append([]labRun{{Rate: 20000, Burst: "1ms", Media: "srtp", Subject: subjectKernel, Sent: 2, Received: 1, Above: []labCost{{}, {}}}}, peer...), false,
			[]string{"packets lost at worst | 1 EXCEEDED | 0 |\n"}, nil},
		{"userspace by round", append([]labRun{round(subjectUser, 10, 1, 1), round(subjectUser, 6, 1, 1)}, peer...), true,
			[]string{"CPU time of the daemon, ours / reference | 0.55 [0.50-0.60] | 0.6 |\n"}, []string{"kernel, SRTP"}},
		{"reference that costs nothing", []labRun{round(subjectPeer, 1, 0, 0), round(subjectKernel, 1, 0, 0)}, false, []string{"NaN +- NaN EXCEEDED"}, nil},
		{"no difference", []labRun{round(subjectReflect, 0, 0.5, -0.5, 0.3)}, false,
			[]string{"| reflect, SRTP: machine above reflect, us | 0.30 +- 0.38 | |\n"}, []string{"ours / reference"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if ok := (&labData{Runs: tt.runs}).table(&b); ok != tt.ok {
				t.Errorf("limits hold: %v, want %v", ok, tt.ok)
			}
			for _, s := range tt.want {
				if !strings.Contains(b.String(), s) {
					t.Errorf("no %q", s)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(b.String(), s) {
					t.Errorf("%q is there", s)
				}
			}
			if t.Failed() {
				t.Log(b.String())
			}
		})
	}
}

func TestRecorded(t *testing.T) {
	dir := t.TempDir()
	write := func(name, kernel string, runs ...labRun) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := record(name, &labData{Kernel: kernel, Runs: runs}); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a, b := write("a", "6.18", round(subjectPeer, 1, 1, 2)), write("b", "6.18", round(subjectPeer, 3, 3))
	d, err := recorded([]string{a, b})
	if err != nil {
		t.Fatal(err)
	}
	c := d.cases()
	if len(c) != 1 || len(d.Runs) != 2 {
		t.Fatalf("loads %v of %d runs", c, len(d.Runs))
	}
	if got := pooled(d.pairs(c[0], subjectPeer, machine)); got.value != 2 || math.Abs(got.err-0.7236) > 1e-3 {
		t.Errorf("pooled %v", got)
	}
	for _, files := range [][]string{{a, write("c", "6.1", round(subjectPeer, 1, 1))}, {filepath.Join(dir, "none")}} {
		if _, err := recorded(files); err == nil {
			t.Errorf("%q: no error", files)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, of := range map[float64][]float64{3: {3}, 2: {1, 3}, 5: {9, 5, 1}, 4: {1, 7, 3, 5}} {
		if got := median(of); got != want {
			t.Errorf("median of %v: %v, want %v", of, got, want)
		}
	}
}
