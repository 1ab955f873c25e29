package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// readyEnv names the descriptor on which a daemon that was started in the background says that it is ready.
const readyEnv = "RTPSIDECAR_READY_FD"

// background starts this program again as a daemon and returns when it is ready. The daemon keeps our stderr until
// then, and for good if it logs there. If it ends early its exit status is ours.
func background(ctx context.Context, env env) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer func() { _ = ready.Close() }()
	cmd := exec.Command(exe)
	cmd.Args = env.args
	cmd.Env = append(os.Environ(), readyEnv+"=3")
	cmd.Stderr = env.stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	if n, _ := ready.Read(make([]byte, 1)); n == 1 {
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitStatus(exit.ExitCode())
	}
	return errors.Join(errors.New("the daemon ended before it was ready"), err)
}

// tellParent says on the descriptor of readyEnv, if there is one, that the daemon is ready.
func tellParent(getenv func(string) string) error {
	if getenv(readyEnv) != "3" {
		return nil
	}
	f := os.NewFile(3, "ready")
	_, err := f.Write([]byte{1})
	return errors.Join(err, f.Close())
}

// dropStderr points our stderr to nowhere: whoever started us may wait for its end.
func dropStderr() error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	return syscall.Dup3(int(null.Fd()), 2, 0)
}
