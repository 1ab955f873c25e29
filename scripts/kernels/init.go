package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What init tells the outside, in lines of the console.
const (
	saysKernel = "KERNEL UNDER TEST: "
	saysResult = "RESULT: "
	passed     = "passed"
)

// beInit is the first process inside: it loads the modules, runs the tests and switches off.
func beInit() {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail
	fmt.Println(saysKernel + unix.ByteSliceToString(u.Release[:]))
	if err := runTests(); err != nil {
		fmt.Println(saysResult + err.Error())
	} else {
		fmt.Println(saysResult + passed)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // the machine is going
}

func runTests() error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := errors.Join(os.MkdirAll(m.at, 0o755), unix.Mount(m.kind, m.at, m.kind, 0, "")); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	modules, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(modules)
	for _, name := range modules {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Close()
	}
	args := []string{"-test.v", "-test.timeout=1h"}
	if b, err := os.ReadFile("/proc/cmdline"); err == nil {
		for _, word := range strings.Fields(string(b)) {
			if v, ok := strings.CutPrefix(word, "RUN="); ok {
				args = append(args, "-test.run="+v)
			}
		}
	}
	cmd := exec.Command("/ebpf.test", args...)
	cmd.Env = []string{"PATH=/sbin:/bin", "TMPDIR=/tmp"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
