package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"rtpsidecar/ng"
)

// ctlCommand is the operator's client: each sub-command sends one NG request and prints the reply as JSON.
func ctlCommand() *cli.Command {
	tags := []cli.Flag{
		&cli.StringFlag{Name: "from-tag", Usage: "only the party with this tag"},
		&cli.StringFlag{Name: "to-tag", Usage: "only the dialogue with this tag"},
	}
	return &cli.Command{
		Name:  "ctl",
		Usage: "ask a running daemon",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Value: "udp:" + defaultListenNG, Usage: "`ADDRESS` of the daemon: udp:HOST:PORT, tcp:HOST:PORT, http://HOST:PORT/ng or ws://HOST:PORT/"},
			&cli.DurationFlag{Name: "timeout", Value: time.Second, Usage: "wait this long for each of 5 attempts"},
		},
		Subcommands: []*cli.Command{
			{Name: "ping", Usage: "is it there?", Action: ctl("ping", false)},
			{Name: "list", Usage: "the ids of its calls", Action: ctl("list", false), Flags: []cli.Flag{
				&cli.StringFlag{Name: "limit", Value: "1000", Usage: "at most this many"}}},
			{Name: "statistics", Usage: "its counters", Action: ctl("statistics", false)},
			{Name: "query", Usage: "one call", ArgsUsage: "CALL-ID", Action: ctl("query", true), Flags: tags},
			{Name: "delete", Usage: "end one call", ArgsUsage: "CALL-ID", Action: ctl("delete", true), Flags: append(tags,
				&cli.StringFlag{Name: "delete-delay", Usage: "after this many seconds instead of the daemon's default"})},
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
			return err
		}
		defer func() { _ = client.Close() }()
		reply, err := client.Do(c.Context, req)
		if err != nil {
			return err
		}
		return printJSON(c.App.Writer, reply)
	}
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
