// Kernels runs the tests of the kernel's part on kernels that are not running here: those of Debian's packages, in qemu.
//
//	go run ./scripts/kernels                          # the newest that apt offers as it is configured
//	go run ./scripts/kernels --suites trixie,sid      # those of other suites, from the same mirror
//	go run ./scripts/kernels --deb FILE.deb --run .   # one package, all tests
//
// It needs apt-get, dpkg-deb, xz, ip, tc, ldd and qemu-system-x86_64, and no root. Each kernel prints one line; the exit status
// is 1 where a test has failed.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// quick are the tests that say whether a kernel takes the programs, attaches them, and they do what they should.
const quick = "^(TestAgainstGo|TestSharedPort|TestKernelAES|TestAhead|TestPolicy|TestStart|TestErrorsOfPut|TestLeavesNothing|TestLoopback)$"

type options struct {
	suites, deb, run, accel string
	limit                   time.Duration
	verbose                 bool
}

func main() {
	if os.Getpid() == 1 {
		beInit()
		return
	}
	var o options
	flag.StringVar(&o.suites, "suites", "", "Debian `suites` to take kernels from; none: as apt is configured")
	flag.StringVar(&o.deb, "deb", "", "a kernel's package as `file`, instead of a download")
	flag.StringVar(&o.accel, "accel", "tcg", "qemu's `accelerator`; kvm is faster, but hangs inside some virtual machines")
	flag.StringVar(&o.run, "run", quick, "`expression` of the tests of relay/ebpf to run")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "time for one kernel")
	flag.BoolVar(&o.verbose, "v", false, "show what the kernel and the tests print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.all(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func (o *options) all(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tests, err := build(ctx, dir)
	if err != nil {
		return err
	}
	suites := strings.Split(o.suites, ",")
	if o.deb != "" {
		suites = []string{o.deb}
	}
	var failed []error
	for i, suite := range suites {
		work := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(work, 0o755); err != nil {
			return err
		}
		debs := []string{o.deb}
		if o.deb == "" {
			debs, err = download(ctx, work, suite)
		}
		if err == nil {
			err = o.boot(ctx, work, debs, tests)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", filepath.Base(cmp.Or(suite, "this machine's")), err))
		}
	}
	return errors.Join(failed...)
}

// build makes what runs inside: this program, which is init there, and the tests.
func build(ctx context.Context, dir string) (files map[string]string, err error) {
	files = map[string]string{"init": filepath.Join(dir, "init"), "ebpf.test": filepath.Join(dir, "ebpf.test")}
	for _, args := range [][]string{
		{"build", "-o", files["init"], "rtpsidecar/scripts/kernels"},
		{"test", "-c", "-o", files["ebpf.test"], "rtpsidecar/relay/ebpf"},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, out)
		}
	}
	return files, nil
}

// apt runs one of its programs, with directories of its own for a suite that is not configured.
func apt(ctx context.Context, dir string, own bool, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if own {
		cmd.Args = append([]string{args[0], "-o", "Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"), "-o", "Dir::Etc::sourceparts=-",
			"-o", "Dir::State=" + dir, "-o", "Dir::Cache=" + dir, "-o", "Debug::NoLocking=1"}, args[1:]...)
	}
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// download fetches the packages of a suite's newest kernel into dir and returns their names.
func download(ctx context.Context, dir, suite string) ([]string, error) {
	const newest = "linux-image-cloud-amd64" // depends on the kernel itself
	if suite != "" {
		uri, err := mirror(ctx, dir)
		if err != nil {
			return nil, err
		}
		for _, sub := range []string{"lists/partial", "archives/partial"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				return nil, err
			}
		}
		line := fmt.Sprintf("deb %s %s main\n", uri, suite)
		if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(line), 0o644); err != nil {
			return nil, err
		}
		if _, err := apt(ctx, dir, true, "apt-get", "update"); err != nil {
			return nil, err
		}
	}
	names, err := kernelDepends(ctx, dir, suite != "", newest, "linux-image-")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s depends on no kernel", newest)
	}
	parts, err := kernelDepends(ctx, dir, suite != "", names[0], "linux-binary-", "linux-modules-") // of newer packages
	if err != nil {
		return nil, err
	}
	if _, err := apt(ctx, dir, suite != "", append([]string{"apt-get", "download", names[0]}, parts...)...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(dir, "*.deb"))
}

// kernelDepends are the packages with these beginnings that a package depends on.
func kernelDepends(ctx context.Context, dir string, own bool, name string, begins ...string) (list []string, err error) {
	out, err := apt(ctx, dir, own, "apt-cache", "depends", name)
	for line := range strings.Lines(out) {
		on, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		if ok && slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(on, b) }) {
			list = append(list, on)
		}
	}
	return list, err
}

// mirror is where apt takes Debian from.
func mirror(ctx context.Context, dir string) (string, error) {
	out, err := apt(ctx, dir, false, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
	uri, _, _ := strings.Cut(out, "\n")
	if err == nil && uri == "" {
		err = errors.New("apt knows no mirror")
	}
	return uri, err
}

// boot runs the tests on the kernel of these packages and prints how it went.
func (o *options) boot(ctx context.Context, dir string, debs []string, tests map[string]string) error {
	root := filepath.Join(dir, "root")
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, root).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb: %w: %s", err, out)
		}
	}
	older, err1 := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	newer, err2 := filepath.Glob(filepath.Join(root, "usr/lib/modules/*/vmlinuz"))
	images := append(older, newer...)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if len(images) != 1 {
		return fmt.Errorf("%v have kernels %v", debs, images)
	}
	initrd := filepath.Join(dir, "initrd")
	if err := archive(ctx, initrd, root, tests); err != nil {
		return fmt.Errorf("initrd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", o.accel, "-cpu", "max", "-m", "1536", "-smp", "2",
		"-nographic", "-no-reboot", "-nic", "none", "-kernel", images[0], "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 RUN="+o.run)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	var log io.Writer = &said
	if o.verbose {
		log = io.MultiWriter(&said, os.Stderr)
	}
	result, version := "", ""
	for in := bufio.NewScanner(out); in.Scan(); {
		line := strings.TrimRight(in.Text(), "\r")
		fmt.Fprintln(log, line)
		if _, v, ok := strings.Cut(line, saysKernel); ok {
			version = v
		}
		if _, r, ok := strings.Cut(line, saysResult); ok {
			result = r
		}
	}
	err = cmd.Wait()
	if result == "" {
		return fmt.Errorf("no result: %w\n%s", errors.Join(err, ctx.Err()), said.String())
	}
	fmt.Printf("%s: %s in %d s\n", version, result, int(time.Since(start).Seconds()))
	if result != passed {
		return fmt.Errorf("%s\n%s", result, said.String())
	}
	return nil
}
