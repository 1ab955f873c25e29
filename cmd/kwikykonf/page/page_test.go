package page

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBuild installs the locked packages in a copy of the sources, checks the types, runs the page's own unit tests and
// compares what the build gives with dist.
func TestBuild(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed, the committed page is not compared with its sources", tool)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "tsconfig.json", "build.mjs"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"src", "test"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"ci"}, {"run", "check"}, {"test"}, {"run", "build"}} {
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	built := os.DirFS(filepath.Join(dir, "dist"))
	for _, name := range names(t, built, Files()) {
		want, errWant := fs.ReadFile(built, name)
		got, errGot := fs.ReadFile(Files(), name)
		if errWant != nil || errGot != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what the sources give (%v, %v): run go generate here", name, errGot, errWant)
		}
	}
}

func names(t *testing.T, systems ...fs.FS) (all []string) {
	t.Helper()
	for _, s := range systems {
		err := fs.WalkDir(s, ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestSelfContained: the page loads nothing from elsewhere and carries no inline script or style, which its
// Content-Security-Policy would refuse; the lock file names no registry.
func TestSelfContained(t *testing.T) {
	index, err := fs.ReadFile(Files(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for what, pattern := range map[string]string{
		"an address elsewhere": `(src|href)="(https?:)?//`,
		"an inline script":     `<script[^>]*>[^<]`,
		"an inline style":      `<style|style="`,
		"an inline handler":    ` on[a-z]+="`,
	} {
		if m := regexp.MustCompile(pattern).Find(index); m != nil {
			t.Errorf("index.html has %s: %q", what, m)
		}
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(lock, []byte("://")) {
		t.Error("package-lock.json names a host")
	}
}
