package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rtpsidecar/ng"
)

// ctlCommand is the operator's client: each sub-command sends one NG request and prints the reply as JSON, or a
// line of the console and prints the answer.
func ctlCommand() *cli.Command {
	tags := []cli.Flag{
		&cli.StringFlag{Name: "from-tag", Usage: "only the party with this tag"},
		&cli.StringFlag{Name: "to-tag", Usage: "only the dialogue with this tag"},
	}
	return &cli.Command{
		Name:  "ctl",
		Usage: "ask a running daemon",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Value: "udp:" + defaultListenNG, EnvVars: []string{"RTPSIDECAR_TO"}, Usage: "`ADDRESS` of the daemon: udp:HOST:PORT, tcp:HOST:PORT, http://HOST:PORT/ng or ws://HOST:PORT/; for the console also cli:HOST:PORT"},
			&cli.DurationFlag{Name: "timeout", Value: time.Second, Usage: "wait this long for each of 5 attempts"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usageError{fmt.Errorf("ctl has no command %q; ctl --help lists them, ctl console passes any line on", c.Args().First())}
			}
			return cli.ShowSubcommandHelp(c)
		},
		Subcommands: []*cli.Command{
			{Name: "ping", Usage: "is it there?", Action: ctl("ping", false)},
			{Name: "list", Usage: "the ids of its calls", Action: ctl("list", false), Flags: []cli.Flag{
				&cli.StringFlag{Name: "limit", Value: "1000", Usage: "at most this many"}}},
			{Name: "statistics", Usage: "its counters", Action: ctl("statistics", false)},
			{Name: "query", Usage: "one call", ArgsUsage: "CALL-ID", Action: ctl("query", true), Flags: tags},
			{Name: "delete", Usage: "end one call", ArgsUsage: "CALL-ID", Action: ctl("delete", true), Flags: append(tags,
				&cli.StringFlag{Name: "delete-delay", Usage: "after this many seconds instead of the daemon's default"})},
			{Name: "why", Usage: "say in plain words why a call is silent; also one that ended lately", ArgsUsage: "CALL-ID", Action: line("why", 1)},
			{Name: "timeline", Usage: "what happened to a call, in order", ArgsUsage: "CALL-ID", Action: line("timeline", 1)},
			{Name: "sessions", Usage: "all calls, or one in detail", ArgsUsage: "[CALL-ID]", Action: func(c *cli.Context) error {
				return consoleLine(c, "list sessions "+cmp.Or(c.Args().First(), "all"))
			}},
			{Name: "totals", Usage: "counters since the start", Action: line("list totals", 0)},
			{Name: "interfaces", Usage: "ports, packets and quality of each interface", Action: line("list interfaces", 0)},
			{Name: "terminate", Usage: "end a call now, or all", ArgsUsage: "CALL-ID | all", Action: line("terminate", 1)},
			{Name: "get", Usage: "a setting, such as maxsessions, timeout or loglevel", ArgsUsage: "NAME", Action: line("list", 1)},
			{Name: "set", Usage: "change a setting of the running daemon", ArgsUsage: "NAME VALUE", Action: line("set", 2)},
			{Name: "debug", Usage: "log one call in full", ArgsUsage: "CALL-ID [on|off]", Action: line("debug", 1)},
			{Name: "drain", Usage: "take no new calls and end with the last one", ArgsUsage: "[on|off]", Action: drain, Flags: []cli.Flag{
				&cli.BoolFlag{Name: "wait", Usage: "come back when it has ended"}}},
			{Name: "console", Usage: "any line of the operator's console; usage lists them", ArgsUsage: "WORD...", Action: line("", 1)},
		},
	}
}

// ctl is the action that sends one command; its flags are keys of the request.
func ctl(command string, callID bool) cli.ActionFunc {
	return func(c *cli.Context) error {
		req := new(ng.Dict)
		req.AddString("command", command)
		switch {
		case callID && c.NArg() != 1:
			return usageError{errors.New("one call-id is needed")}
		case callID:
			req.AddString("call-id", c.Args().First())
		case c.NArg() > 0:
			return usageError{fmt.Errorf("unexpected argument %q", c.Args().First())}
		}
		for _, f := range c.Command.Flags {
			if s, ok := f.(*cli.StringFlag); ok && c.String(s.Name) != "" {
				req.AddString(s.Name, c.String(s.Name))
			}
		}
		client, err := ng.Dial(c.Context, c.String("to"), ng.ClientConfig{Timeout: c.Duration("timeout")})
		if err != nil {
			return noAnswer(c, err)
		}
		defer func() { _ = client.Close() }()
		reply, err := client.Do(c.Context, req)
		if err != nil {
			return noAnswer(c, err)
		}
		return printJSON(c.App.Writer, reply)
	}
}

// line is the action that sends a line of the console: a command with at least so many arguments.
func line(command string, args int) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() < args {
			return usageError{fmt.Errorf("%s needs %s", c.Command.Name, c.Command.ArgsUsage)}
		}
		return consoleLine(c, strings.TrimSpace(command+" "+strings.Join(c.Args().Slice(), " ")))
	}
}

// consoleLine runs a line of the daemon's console, by the NG command for that or on its CLI listener, and prints the
// answer.
func consoleLine(c *cli.Context, line string) error { return ask(c, line, c.App.Writer) }

func ask(c *cli.Context, line string, w io.Writer) error {
	if addr, ok := strings.CutPrefix(c.String("to"), "cli:"); ok {
		return dialConsole(c, addr, line, w)
	}
	req := new(ng.Dict)
	req.AddString("command", "cli")
	req.AddString("body", line)
	client, err := ng.Dial(c.Context, c.String("to"), ng.ClientConfig{Timeout: c.Duration("timeout")})
	if err != nil {
		return noAnswer(c, err)
	}
	defer func() { _ = client.Close() }()
	reply, err := client.Do(c.Context, req)
	if err != nil {
		return noAnswer(c, err)
	}
	answer := reply.Value("response").Str()
	if err := refusal(answer); err != nil {
		return err
	}
	_, err = io.WriteString(w, answer)
	return err
}

// drainPoll is how often `drain --wait` looks whether the daemon is still there.
const drainPoll = time.Second

// drain passes the line on and, if wanted, waits until nobody answers any more.
func drain(c *cli.Context) error {
	err := line("drain", 0)(c)
	if err != nil || !c.Bool("wait") {
		return err
	}
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		select {
		case <-c.Context.Done():
			return c.Context.Err()
		case <-tick.C:
			if err := ask(c, "list numsessions", io.Discard); err != nil {
				return nil // it has gone
			}
		}
	}
}

// dialConsole asks a CLI listener, ours or the reference's.
func dialConsole(c *cli.Context, addr, line string, w io.Writer) error {
	dialer := net.Dialer{Timeout: c.Duration("timeout")}
	conn, err := dialer.DialContext(c.Context, "tcp", addr)
	if err != nil {
		return noAnswer(c, err)
	}
	defer func() { _ = conn.Close() }()
	if _, err = io.WriteString(conn, line+"\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil {
		err = refusal(string(answer))
	}
	if err != nil {
		return err
	}
	_, err = w.Write(answer)
	return err
}

func printJSON(w io.Writer, d *ng.Dict) error {
	var b bytes.Buffer
	if err := json.Indent(&b, ng.AppendJSON(nil, ng.DictValue(d)), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(w)
	return err
}
