// Kernels runs the tests of the kernel's part on kernels that are not running here: those of Debian's packages, in qemu.
//
//	go run ./scripts/kernels                               # the newest that apt offers as it is configured
//	go run ./scripts/kernels --suites trixie,sid           # those of other suites, from the same mirror
//	go run ./scripts/kernels --suites trixie-backports --all  # the newest of each 6.x and 7.x that the suite has
//	go run ./scripts/kernels --deb FILE.deb --run .        # one package, all tests
//	go run ./scripts/kernels --image bzImage               # any kernel that has built in what the tests need
//
// It needs apt-get, dpkg-deb, xz, ip, tc, ldd and qemu-system-x86_64, and no root. Each kernel prints one line; the exit status
// is 1 where a test has failed.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// quick are the tests that say whether a kernel takes the programs, attaches them, they do what they should, and what a refusal
// says.
const quick = "^(TestAgainstGo|TestSharedPort|TestKernelAES|TestAhead|TestPolicy|TestStart|TestErrorsOfPut|TestLeavesNothing|TestLoopback|TestXDP|TestXDPPasses|TestCapabilities|TestOldKernel)$"

type options struct {
	suites, deb, image, run string
	accels                  []string
	limit                   time.Duration
	all, verbose            bool
}

func main() {
	if os.Getpid() == 1 {
		beInit()
		return
	}
	var o options
	flag.StringVar(&o.suites, "suites", "", "Debian `suites` to take kernels from; none: as apt is configured")
	flag.BoolVar(&o.all, "all", false, "the newest kernel of each minor version, not only the newest of all")
	flag.StringVar(&o.deb, "deb", "", "a kernel's package as `file`, or its parts with commas between them, instead of a download")
	flag.StringVar(&o.image, "image", "", "a kernel as `file`, with veth, sch_ingress and cls_bpf built in, instead of a package")
	accels := flag.String("accel", "kvm,tcg", "qemu's `accelerators`: the next is taken where one brings no kernel up")
	flag.StringVar(&o.run, "run", quick, "`expression` of the tests of relay/ebpf to run")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "time for one kernel")
	flag.BoolVar(&o.verbose, "v", false, "show what the kernel and the tests print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.accels = strings.Split(*accels, ",")
	if err := o.kernels(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func (o *options) kernels(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tests, err := build(ctx, dir)
	if err != nil {
		return err
	}
	if file := cmp.Or(o.image, o.deb); file != "" {
		return o.kernel(ctx, filepath.Join(dir, "one"), tests, filepath.Base(file), func(string) ([]string, error) { return strings.Split(o.deb, ","), nil })
	}
	var failed []error
	for i, suite := range strings.Split(o.suites, ",") {
		a := &apt{dir: filepath.Join(dir, fmt.Sprint("apt", i)), suite: suite}
		names, err := a.kernels(ctx, o.all)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", cmp.Or(suite, "this machine's"), err))
		}
		for j, name := range names {
			work := filepath.Join(dir, fmt.Sprint(i, "-", j))
			failed = append(failed, o.kernel(ctx, work, tests, name, func(to string) ([]string, error) { return a.download(ctx, to, name) }))
		}
	}
	return errors.Join(failed...)
}

// kernel runs the tests on one kernel, in a directory that does not outlive it.
func (o *options) kernel(ctx context.Context, dir string, tests map[string]string, name string, packages func(dir string) ([]string, error)) (err error) {
	defer os.RemoveAll(dir)
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	image := o.image
	if image == "" {
		debs, err := packages(dir)
		if err != nil {
			return err
		}
		if image, err = unpack(ctx, root, debs); err != nil {
			return err
		}
	}
	initrd := filepath.Join(dir, "initrd")
	if err := archive(ctx, initrd, root, tests); err != nil {
		return fmt.Errorf("initrd: %w", err)
	}
	return o.boot(ctx, image, initrd)
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
