// Command kwikykonf serves a video conference for the browser: one page, full mesh, every call set up by a SIP proxy and
// carried by its relay.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/kwikykonf/conference"
)

// env is what the program takes from its surroundings.
type env struct {
	stdout, stderr io.Writer
	args           []string // with the program's name
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, env{os.Stdout, os.Stderr, os.Args})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwikykonf:", err)
	}
	os.Exit(conference.ExitCode(err))
}

// run serves until ctx ends.
func run(ctx context.Context, env env) error {
	command := conference.Command("kwikykonf")
	app := &cli.App{
		Name: command.Name, Usage: command.Usage, Description: command.Description,
		Flags: command.Flags, Action: command.Action, OnUsageError: command.OnUsageError,
		HideHelpCommand: true, HideVersion: true,
		Writer: env.stdout, ErrWriter: env.stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // main does
	}
	return app.RunContext(ctx, env.args)
}
