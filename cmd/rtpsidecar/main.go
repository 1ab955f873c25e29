// Command rtpsidecar is a media relay for SIP proxies that speak the NG protocol.
//
// `rtpsidecar serve` is the daemon, `rtpsidecar ctl` its client. Started under the name rtpengine it is the daemon with
// the reference's options.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/kwikykonf/conference"
)

// version is set by the linker in releases.
var version = ""

// env is what the program takes from its surroundings.
type env struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	args           []string // with the program's name
	network        network
}

// exitStatus ends the program with this status; the reason has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, env{os.Stdout, os.Stderr, os.Getenv, os.Args, systemNetwork})
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// exitCode says what went wrong and returns the exit status.
func exitCode(err error, stderr io.Writer) int {
	var code exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(stderr, "rtpsidecar:", err)
	if errors.As(err, new(usageError)) || errors.As(err, new(conference.UsageError)) {
		return 2
	}
	return 1
}

// run runs the program until it is done or ctx ends.
func run(ctx context.Context, env env) error {
	if filepath.Base(env.args[0]) == "rtpengine" {
		return serve(ctx, env, env.args[1:], true)
	}
	app := &cli.App{
		Name:        "rtpsidecar",
		Usage:       "media relay for SIP proxies that speak the NG protocol",
		Writer:      env.stdout,
		ErrWriter:   env.stderr,
		HideVersion: true,
		// A comma belongs to the value: to a password, a file's name, a list in YAML.
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // main does
		OnUsageError:              misplacedOption,
		Commands: []*cli.Command{
			{
				Name: "serve", Usage: "run the daemon in the foreground", SkipFlagParsing: true, HideHelp: true,
				Action: func(c *cli.Context) error { return serve(c.Context, env, c.Args().Slice(), false) },
			},
			ctlCommand(),
			opensipsCommand(env.network),
			conference.Command("conference"),
			{
				Name: "version", Usage: "print the version",
				Action: func(*cli.Context) error { printVersion(env.stdout); return nil },
			},
			{
				Name: "docs", Usage: "print documentation made from the program's own tables",
				Subcommands: []*cli.Command{{
					Name: "options", Usage: "the daemon's options as Markdown", Action: writeOptions,
					Flags: []cli.Flag{&cli.StringFlag{Name: "o", Usage: "write to `FILE`"}},
				}},
			},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usageError{fmt.Errorf("unknown command %q", c.Args().First())}
			}
			return cli.ShowAppHelp(c)
		},
	}
	markUsageErrors(app.Commands)
	return app.RunContext(ctx, env.args)
}

// markUsageErrors gives wrong flags of all commands the exit status 2; cli asks each command by itself.
func markUsageErrors(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		markUsageErrors(c.Subcommands)
	}
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError{err} }

// misplacedOption is for an option before the command: the reference has no commands.
func misplacedOption(_ *cli.Context, err error, _ bool) error {
	return usageError{fmt.Errorf("%w; options go behind a command, the daemon's as in rtpsidecar serve --listen-ng=2223", err)}
}

func writeOptions(c *cli.Context) error {
	var b bytes.Buffer
	writeMarkdown(&b)
	if name := c.String("o"); name != "" {
		return os.WriteFile(name, b.Bytes(), 0o644)
	}
	_, err := b.WriteTo(c.App.Writer)
	return err
}

// versionText names the release, or the commit that a build outside a release was made from.
func versionText() string {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	return v
}

func printVersion(w io.Writer) { fmt.Fprintf(w, "rtpsidecar %s\n", versionText()) }
