package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// upLimit is how long a kernel may take to come up before the next accelerator is tried.
const upLimit = time.Minute

// stuck is what qemu says of a processor that it cannot carry on; the machine stands still then.
const stuck = "KVM internal error"

// outcome is what a machine has said.
type outcome struct {
	version, result string
	ran             int
	skipped         []string
	said            strings.Builder
	took            time.Duration
}

// boot runs the tests on a kernel and prints how it went. An accelerator that cannot carry it is not tried again: a
// virtual machine may offer KVM and then not know an instruction of the kernel's.
func (o *options) boot(ctx context.Context, image, initrd string) error {
	for {
		accel, last := o.accels[0], len(o.accels) == 1
		out, err := o.machine(ctx, image, initrd, accel, last)
		if out.result == "" {
			if last || ctx.Err() != nil {
				return fmt.Errorf("no result with %s: %w\n%s", accel, err, out.said.String())
			}
			o.accels = o.accels[1:]
			fmt.Printf("%s does not carry the kernel (%v), %s takes over\n", accel, err, o.accels[0])
			continue
		}
		fmt.Printf("%s: %s in %d s with %s: %d tests", out.version, out.result, int(out.took.Seconds()), accel, out.ran)
		if len(out.skipped) > 0 {
			fmt.Printf("; skipped %s", strings.Join(out.skipped, ", "))
		}
		fmt.Println()
		if out.result != passed {
			return fmt.Errorf("%s\n%s", out.result, out.said.String())
		}
		return nil
	}
}

// machine is one run; the error says why it has no result.
func (o *options) machine(ctx context.Context, image, initrd, accel string, last bool) (out *outcome, err error) {
	out = new(outcome)
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %s", o.limit))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, w, err := os.Pipe()
	if err != nil {
		return out, err
	}
	defer r.Close()
	if accel == "tcg" {
		accel += ",thread=single" // with a thread a processor, 6.18 has once stumbled over code that it had just patched
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", accel, "-cpu", "max", "-m", "1536", "-smp", "2",
		"-nographic", "-no-reboot", "-nic", "none", "-kernel", image, "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 RUN="+o.run)
	cmd.Stdout, cmd.Stderr = w, w
	start := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return out, err
	}
	up := time.AfterFunc(upLimit, func() { stop(fmt.Errorf("not up after %s", upLimit)) })
	defer up.Stop()
	if last {
		up.Stop()
	}
	for in := bufio.NewScanner(r); in.Scan(); {
		line := strings.TrimRight(in.Text(), "\r")
		fmt.Fprintln(&out.said, line)
		if o.verbose {
			fmt.Fprintln(os.Stderr, line)
		}
		out.read(line)
		if out.version != "" {
			up.Stop()
		}
		if strings.HasPrefix(line, stuck) {
			stop(errors.New(line))
		}
	}
	err = cmd.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err == nil && out.result == "" {
		err = errors.New("it ended by itself")
	}
	out.took = time.Since(start)
	return out, err
}

// read takes from a line what the outcome is made of.
func (out *outcome) read(line string) {
	if _, v, ok := strings.Cut(line, saysKernel); ok {
		out.version = v
	}
	if _, r, ok := strings.Cut(line, saysResult); ok {
		out.result = r
	}
	if strings.HasPrefix(line, "--- PASS: ") || strings.HasPrefix(line, "--- FAIL: ") {
		out.ran++
	}
	if name, ok := strings.CutPrefix(line, "--- SKIP: "); ok {
		name, _, _ = strings.Cut(name, " ")
		out.skipped = append(out.skipped, name)
	}
}
