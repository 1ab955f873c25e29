package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"time"

	"rtpsidecar/rtpengine"
)

// console answers the operator's commands, in the words and forms of the reference's tool, since scripts read them.
// Words and forms are observed of version 26.
type console struct {
	engine *rtpengine.Engine
	level  *logLevel
	start  rtpengine.Adjustable // the settings at the start, for `params`

	controlTOS int
}

// maxLine bounds a command line; call-ids may be long.
const maxLine = 4096

// cliTimeout is how long a client may take to send its line and to read the answer.
const cliTimeout = 10 * time.Second

// serve answers the one line of a connection and closes it.
func (c *console) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(cliTimeout)) // fails only on a closed connection, as Read then does
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxLine), 512).ReadString('\n')
	if err != nil && line == "" {
		return
	}
	_, _ = io.WriteString(conn, c.run(strings.TrimRight(line, "\r\n"))) // a client that has gone needs no answer
}

// consoleCommand is a row of the command table; words that do not match a row's name are its arguments.
type consoleCommand struct {
	name string
	args int // at least
	form string
	help string // for `usage`; empty: another row stands for it
	run  func(c *console, args []string) string
}

// consoleCommands is filled by init: `usage` reads it.
var consoleCommands []consoleCommand

func init() {
	consoleCommands = []consoleCommand{
		{name: "usage", help: "this list", run: (*console).usage},
		{name: "help", run: (*console).usage},
		{name: "list help", run: (*console).usage},
		{name: "set help", run: (*console).usage},
		{name: "list numsessions", help: "how many calls there are", run: (*console).numSessions},
		{name: "list sessions", args: 1, form: "CALL-ID | all | own | foreign", help: "the calls, a line each, or one in detail", run: (*console).sessions},
		{name: "list totals", help: "counters since the start", run: (*console).totals},
		{name: "list counters", help: "what happens per second", run: (*console).counters},
		{name: "list jsonstats", help: "all figures as JSON", run: (*console).jsonStats},
		{name: "list interfaces", help: "ports, packets and quality of each interface", run: (*console).interfaces},
		{name: "list transcoders", help: "codecs being converted: none, ever", run: func(*console, []string) string { return "No stats entries\n" }},
		{name: "list loglevels", help: "parts that log", run: (*console).logLevels},
		{name: "list loglevel", form: "[PART]", help: "the log level", run: (*console).listLogLevel},
		{name: "set loglevel", args: 1, form: "[PART] LEVEL", help: "change it, 0 to 7", run: (*console).setLogLevel},
		{name: "terminate", args: 1, form: "CALL-ID | all | own | foreign", help: "end calls now", run: (*console).terminate},
		{name: "params start", help: "settings at the start", run: (*console).paramsStart},
		{name: "params current", help: "settings now", run: (*console).paramsCurrent},
		{name: "params diff", help: "settings that were changed", run: (*console).paramsDiff},
		{name: "params revert", help: "back to the settings of the start", run: (*console).paramsRevert},
		{name: "debug", args: 1, form: "CALL-ID [on | off]", help: "log one call at level 7", run: (*console).debug},
		{name: "call", args: 2, form: "CALL-ID info | terminate | debug on|off | tag TAG info", help: "look at or end one call", run: (*console).call},
		{name: "why", args: 1, form: "CALL-ID", help: "why a call is silent, in plain words; also one that ended lately", run: (*console).why},
		{name: "timeline", args: 1, form: "CALL-ID", help: "what happened to a call, in order", run: (*console).timeline},
		{name: "drain", form: "[on | off]", help: "take no new calls and end with the last one", run: (*console).drain},
		{name: "active", help: "calls of other nodes become ours: there are none", run: func(*console, []string) string { return "Ok, all calls set to 'owned (active)'\n" }},
		{name: "standby", help: "not possible: calls are not shared between nodes", run: unshared},
		{name: "ksadd", run: unshared},
		{name: "ksrm", run: unshared},
		{name: "kslist", run: unshared},
	}
	for i := range consoleSettings {
		s := &consoleSettings[i]
		consoleCommands = append(consoleCommands,
			consoleCommand{name: "list " + s.name, help: "setting: " + s.help, run: func(c *console, _ []string) string { return s.list(c) }},
			consoleCommand{name: "set " + s.name, args: 1, form: "VALUE", help: "change it", run: func(c *console, args []string) string { return s.change(c, args[0]) }})
	}
}

func unshared(*console, []string) string {
	return "Keyspace notification feature has not been configured.\n"
}

// run answers one line.
func (c *console) run(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "More parameters required.\n"
	}
	if words[0] == "get" {
		words[0] = "list"
	}
	short, longest := false, 0
	for _, cmd := range consoleCommands {
		name := strings.Fields(cmd.name)
		n := 0
		for n < len(name) && n < len(words) && name[n] == words[n] {
			n++
		}
		longest = max(longest, n)
		switch {
		case n == len(name) && len(words) >= n+cmd.args:
			return cmd.run(c, words[n:])
		case n > 0 && n == len(words) || n == len(name):
			short = true
		}
	}
	if short {
		return "More parameters required.\n"
	}
	return "Unknown command: " + words[min(longest, len(words)-1)] + "\n"
}

// usage lists the commands.
func (c *console) usage([]string) string {
	var b strings.Builder
	b.WriteString("\nCommands (\"get\" is another word for \"list\"):\n\n")
	for _, cmd := range consoleCommands {
		if cmd.help != "" {
			line := "  " + strings.TrimSpace(cmd.name+" "+cmd.form)
			b.WriteString(line + strings.Repeat(" ", max(1, 46-len(line))) + cmd.help + "\n")
		}
	}
	return b.String() + "\n"
}
