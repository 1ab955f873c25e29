// Command sidecar-lab tries a media relay that speaks the NG protocol, without a phone: it sends single messages and shows
// what became of the SDP and why, checks flag strings and whole proxy configurations, plays both ends of calls through the
// relay, registers and calls through a live proxy, records the NG traffic of one and replays it, and loads a daemon.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// version is set by the linker in releases.
var version = ""

// env is what the program takes from its surroundings.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	args           []string // with the program's name

	colour bool // of stdout
}

// helpFlag is --help without the state that cli's own keeps in a global, so that several runs may go on in one process.
type helpFlag struct{ *cli.BoolFlag }

// Apply defines the flag in a set.
func (h helpFlag) Apply(set *flag.FlagSet) error {
	for _, name := range h.Names() {
		set.Bool(name, false, h.Usage)
	}
	return nil
}

func init() {
	cli.HelpFlag = helpFlag{&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}}
}

// exitStatus ends the program with this status; the reason has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a mistake in the arguments; the exit status is 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, args: os.Args})
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// exitCode says what went wrong and returns the exit status: 1 when the daemon, a check or a call failed, 2 for a mistake in
// the arguments.
func exitCode(err error, stderr io.Writer) int {
	var code exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(stderr, "sidecar-lab:", err)
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

// run runs one command until it is done or ctx ends.
func run(ctx context.Context, e *env) error {
	e.colour = wantsColour(e.stdout, e.getenv)
	app := e.app()
	return app.RunContext(ctx, permute(app, e.args))
}

// app is the command line.
func (e *env) app() *cli.App {
	app := &cli.App{
		Name:  "sidecar-lab",
		Usage: "try a media relay that speaks the NG protocol, without a phone",
		Description: "Most commands talk to the daemon that --target names: udp:HOST:PORT, tcp:HOST:PORT, http://HOST:PORT/ng or\n" +
			"ws://HOST:PORT/. Without it the environment's SIDECAR_LAB_TARGET counts, else udp:127.0.0.1:2223.\n\n" +
			"Flags are written exactly as in a proxy's script, in one argument or several.",
		Writer:               e.stdout,
		ErrWriter:            e.stderr,
		Reader:               e.stdin,
		HideVersion:          true,
		HideHelpCommand:      true, // cli's is one for all apps of the process
		EnableBashCompletion: true,
		ExitErrHandler:       func(*cli.Context, error) {}, // main does
		OnUsageError:         misplacedOption,
		BashComplete:         func(c *cli.Context) { e.complete(c) },
		Action: func(c *cli.Context) error {
			if c.Args().First() == "help" && c.NArg() > 1 {
				return cli.ShowCommandHelp(c, c.Args().Get(1))
			}
			if c.NArg() > 0 && c.Args().First() != "help" {
				return usageError{fmt.Errorf("unknown command %q; see sidecar-lab --help", c.Args().First())}
			}
			return cli.ShowAppHelp(c)
		},
	}
	app.Commands = append(app.Commands, e.messageCommands()...)
	app.Commands = append(app.Commands, e.samplesCommand(), e.flagsCommand(), e.matrixCommand(), e.callCommand(), e.recordCommand(), e.replayCommand(), e.benchCommand())
	app.Commands = append(app.Commands, e.docCommands()...)
	e.finish(app.Commands)
	return app
}

// finish gives all commands what cli asks each by itself: exit status 2 for wrong options, and completion.
func (e *env) finish(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand = onUsageError, true
		if c.BashComplete == nil {
			c.BashComplete = func(c *cli.Context) { e.complete(c) }
		}
		e.finish(c.Subcommands)
	}
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError{err} }

// misplacedOption is for an option before the command.
func misplacedOption(_ *cli.Context, err error, _ bool) error {
	return usageError{fmt.Errorf("%w; options go behind a command, as in sidecar-lab ping --target=udp:127.0.0.1:2223", err)}
}

// examples is the last part of a command's help.
func examples(lines ...string) string { return "Examples:\n\n   " + strings.Join(lines, "\n   ") }

// permute moves the options of a command before its other arguments, where cli looks for them, so that they may also stand
// behind a flag string. What follows "--" stays.
func permute(app *cli.App, args []string) []string {
	if n := len(args) - 1; args[n] == completeFlag {
		return append(permute(app, args[:n:n]), completeFlag)
	}
	commands, at := app.Commands, 1
	var flags []cli.Flag
	for at < len(args) {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[at]) })
		if i < 0 {
			break
		}
		flags, commands = commands[i].Flags, commands[i].Subcommands
		at++
	}
	takesValue := func(name string) bool {
		for _, f := range flags {
			if _, isBool := f.(*cli.BoolFlag); slices.Contains(f.Names(), name) {
				return !isBool
			}
		}
		return false
	}
	var options, others []string
	for i := at; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			others = append(others, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			others = append(others, a)
			continue
		}
		options = append(options, a)
		if !strings.Contains(a, "=") && takesValue(strings.TrimLeft(a, "-")) && i+1 < len(args) {
			i++
			options = append(options, args[i])
		}
	}
	if len(others) > 0 && at > 1 && strings.HasPrefix(others[0], "-") && others[0] != "-" {
		options = append(options, "--")
	}
	return slices.Concat(args[:at], options, others)
}

// printVersion names the release, or the commit that a build outside a release was made from.
func printVersion(w io.Writer) {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	fmt.Fprintf(w, "sidecar-lab %s\n", v)
}
