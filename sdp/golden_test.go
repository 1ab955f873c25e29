package sdp

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write want.sdp of the golden cases anew")

// golden calls f with the name and the body of each case under testdata.
func golden(tb testing.TB, f func(name string, in []byte)) {
	files, err := filepath.Glob("testdata/*/in.sdp")
	if err != nil || len(files) == 0 {
		tb.Fatal("no golden cases", err)
	}
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		f(filepath.Base(filepath.Dir(file)), in)
	}
}

func TestGolden(t *testing.T) {
	golden(t, func(name string, in []byte) {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			got := Append(nil, s)
			file := filepath.Join("testdata", name, "want.sdp")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("printed body (-want +got):\n%s", diff)
			}
			if again := reprint(t, string(got)); again != string(got) {
				t.Errorf("not a fixed point:\n%s", cmp.Diff(string(got), again))
			}
			if clone := s.Clone().String(); clone != string(got) {
				t.Errorf("clone:\n%s", cmp.Diff(string(got), clone))
			}
		})
	})
}

// reprint reads a printed body and prints it.
func reprint(tb testing.TB, body string) string {
	tb.Helper()
	s, err := Parse(body)
	if err != nil {
		tb.Fatalf("own body refused: %v\n%s", err, body)
	}
	return s.String()
}
