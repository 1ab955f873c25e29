package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"rtpsidecar/ng"
)

// console answers the operator's commands, in the words of the reference's tool.
type console struct {
	handler ng.Handler
	level   *logLevel
}

// maxLine bounds a command line; call-ids may be long.
const maxLine = 4096

// cliTimeout is how long a client may take to send its line and to read the answer.
const cliTimeout = 10 * time.Second

// serve answers the one line of a connection and closes it.
func (c *console) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(cliTimeout)) // fails only on a closed connection, as Read then does
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxLine), 512).ReadString('\n')
	if err != nil && line == "" {
		return
	}
	_, _ = io.WriteString(conn, c.run(ctx, strings.TrimRight(line, "\r\n"))) // a client that has gone needs no answer
}

// consoleCommand is a row of the command table; words that do not match a row's name are its arguments.
type consoleCommand struct {
	name string
	args int // at least
	run  func(c *console, ctx context.Context, args []string) string
}

var consoleCommands = []consoleCommand{
	{"list numsessions", 0, (*console).numSessions},
	{"list sessions", 1, (*console).sessions},
	{"list jsonstats", 0, (*console).jsonStats},
	{"list loglevel", 0, (*console).listLogLevel},
	{"set loglevel", 1, (*console).setLogLevel},
	{"terminate", 1, (*console).terminate},
}

// run answers one line.
func (c *console) run(ctx context.Context, line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "More parameters required.\n"
	}
	if words[0] == "get" {
		words[0] = "list"
	}
	short := false
	for _, cmd := range consoleCommands {
		name := strings.Fields(cmd.name)
		n := 0
		for n < len(name) && n < len(words) && name[n] == words[n] {
			n++
		}
		switch {
		case n == len(name) && len(words) >= n+cmd.args:
			return cmd.run(c, ctx, words[n:])
		case n > 0 && n == len(words) || n == len(name):
			short = true
		}
	}
	if short {
		return "More parameters required.\n"
	}
	return "Unknown command: " + words[len(words)-1] + "\n"
}

// do runs an NG command.
func (c *console) do(ctx context.Context, command string, kv ...string) ng.Reply {
	req := new(ng.Dict)
	req.AddString("command", command)
	for i := 0; i+1 < len(kv); i += 2 {
		req.AddString(kv[i], kv[i+1])
	}
	return c.handler.HandleNG(ctx, &ng.Request{Command: command, Dict: req, Received: time.Now()})
}

// calls are the ids of all calls.
func (c *console) calls(ctx context.Context) []ng.Value {
	reply := c.do(ctx, "list", "limit", strconv.Itoa(1<<30))
	return reply.Dict.Value("calls").List()
}

func (c *console) numSessions(ctx context.Context, _ []string) string {
	n := len(c.calls(ctx))
	return fmt.Sprintf("Current sessions own: %d\nCurrent sessions foreign: 0\nCurrent sessions total: %d\n", n, n)
}

func (c *console) sessions(ctx context.Context, args []string) string {
	switch args[0] {
	case "all", "own":
		var b strings.Builder
		for _, id := range c.calls(ctx) {
			reply := c.do(ctx, "query", "call-id", id.Str())
			created, _ := reply.Dict.Value("created").Int()
			fmt.Fprintf(&b, "ID:%-60s | creat:%d\n", id.Str(), created)
		}
		return b.String()
	case "foreign":
		return ""
	}
	reply := c.do(ctx, "query", "call-id", args[0])
	if reply.Error != "" {
		return notFound(args[0])
	}
	return string(ng.AppendJSON(nil, ng.DictValue(&reply.Dict))) + "\n"
}

func notFound(id string) string { return "\nCall ID not found (" + id + ").\n\n" }

func (c *console) jsonStats(ctx context.Context, _ []string) string {
	reply := c.do(ctx, "statistics")
	return string(ng.AppendJSON(nil, reply.Dict.Value("statistics"))) + "\n"
}

func (c *console) listLogLevel(context.Context, []string) string {
	return fmt.Sprintf("%d\n", c.level.move(0))
}

func (c *console) setLogLevel(_ context.Context, args []string) string {
	n, err := strconv.Atoi(args[len(args)-1])
	if err != nil || n < 0 || n > 7 {
		return fmt.Sprintf("Invalid log level '%s'\n", args[len(args)-1])
	}
	c.level.move(n - c.level.move(0))
	return fmt.Sprintf("Success setting loglevel to %d\n", n)
}

func (c *console) terminate(ctx context.Context, args []string) string {
	ids := []ng.Value{ng.String(args[0])}
	switch args[0] {
	case "all", "own":
		ids = c.calls(ctx)
	case "foreign":
		ids = nil
	}
	for _, id := range ids {
		reply := c.do(ctx, "delete", "call-id", id.Str(), "delete-delay", "0")
		if reply.Error != "" || reply.Dict.Value("warning").Kind() != ng.KindNone {
			return notFound(id.Str())
		}
	}
	return fmt.Sprintf("%d session(s) terminated\n", len(ids))
}
