package rtpengine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"rtpsidecar/ng"
)

// exchange is one request on its way through a command. It is used again for others: nobody keeps it or its flags.
type exchange struct {
	req   *ng.Request
	flags Flags
	reply ng.Dict
	res   string // ng.Reply.Result
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// command is a row of the command table.
type command struct {
	name  string
	short string // in the statistics' key names
	run   func(*Engine, *exchange) error
}

// commands are all commands, in the order of the statistics; commandIndex finds one by its name. They are filled by
// init because commands such as statistics read the table that they stand in.
var (
	commands     []command
	commandIndex map[string]int
)

func init() {
	commands = commandTable()
	commandIndex = make(map[string]int, len(commands)+1)
	for i, c := range commands {
		commandIndex[c.name] = i
	}
	commandIndex["CLI"] = commandIndex["cli"]
}

func commandTable() []command {
	return []command{
		{"ping", "ping", (*Engine).ping},
		{"offer", "offer", (*Engine).offer},
		{"answer", "answer", (*Engine).answer},
		{"delete", "delete", (*Engine).delete},
		{"query", "query", (*Engine).query},
		{"list", "list", (*Engine).list},
		{"start recording", "startrec", refuse},
		{"stop recording", "stoprec", refuse},
		{"pause recording", "pauserec", refuse},
		{"start forwarding", "startfwd", (*Engine).startForwarding},
		{"stop forwarding", "stopfwd", (*Engine).stopForwarding},
		{"block DTMF", "blkdtmf", (*Engine).blockDTMF},
		{"unblock DTMF", "unblkdtmf", (*Engine).unblockDTMF},
		{"block media", "blkmedia", (*Engine).blockMedia},
		{"unblock media", "unblkmedia", (*Engine).unblockMedia},
		{"play media", "playmedia", refuse},
		{"stop media", "stopmedia", refuse},
		{"play DTMF", "playdtmf", refuse},
		{"statistics", "stats", (*Engine).statistics},
		{"silence media", "slnmedia", (*Engine).silenceMedia},
		{"unsilence media", "unslnmedia", (*Engine).unsilenceMedia},
		{"publish", "pub", (*Engine).publish},
		{"subscribe request", "subreq", (*Engine).subscribeRequest},
		{"subscribe answer", "subans", (*Engine).subscribeAnswer},
		{"unsubscribe", "unsub", (*Engine).unsubscribe},
		{"inject start", "injstart", refuse},
		{"inject stop", "injstop", refuse},
		{"connect", "conn", (*Engine).connect},
		{"cli", "cli", (*Engine).cli},
		{"transform", "trnsfm", refuse},
		{"create", "create", (*Engine).create},
		{"create answer", "crtansw", (*Engine).createAnswer},
		{"mesh", "mesh", (*Engine).mesh},
	}
}

// refuse answers commands of the protocol that this build has no part for.
func refuse(_ *Engine, x *exchange) error {
	return reason("Command not supported: " + x.req.Command)
}

// HandleNG runs one request. Errors become replies here and nowhere else.
func (e *Engine) HandleNG(_ context.Context, req *ng.Request) (reply ng.Reply) {
	start := time.Now()
	i, known := commandIndex[req.Command]
	if !known {
		e.log.Warn("unknown command", "command", clip(req.Command), "client", req.Source)
		return ng.Reply{Error: string(errUnknownCommand)}
	}
	x := exchanges.Get().(*exchange)
	x.req = req
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("request crashed", "command", req.Command, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			reply = ng.Reply{Error: string(errInternal)}
		} else {
			*x = exchange{}
			exchanges.Put(x)
		}
		e.control.count(proxyName(req), i, time.Since(start), reply.Error != "")
	}()
	flags := &x.flags
	err := flags.parse(req.Command, req.Dict, e.adjustable.Load().Templates)
	e.unknown.report(e.log, flags)
	if err == nil {
		e.routePeers(flags)
		err = commands[i].run(e, x)
	}
	if err == nil {
		return ng.Reply{Dict: x.reply, Result: x.res}
	}
	if limit, ok := errors.AsType[loadLimit](err); ok && flags.SupportsLoadLimit {
		x.reply.AddString("message", string(limit))
		return ng.Reply{Dict: x.reply, Result: "load limit"}
	}
	e.log.Log(context.Background(), errorLevel(err), "request refused", "callid", flags.CallID, "command", req.Command,
		"client", req.Source, "err", err)
	return ng.Reply{Dict: x.reply, Error: ngReason(err)}
}

// errorLevel: a lack of ports or room wants the operator, the rest is the client's affair.
func errorLevel(err error) slog.Level {
	if _, ok := errors.AsType[loadLimit](err); ok || ngReason(err) == string(errNoPorts) || ngReason(err) == string(errInternal) {
		return slog.LevelError
	}
	return slog.LevelWarn
}

func (e *Engine) ping(x *exchange) error {
	x.res = "pong"
	return nil
}

// proxyName is how a client is named in statistics: by address, since its port changes.
func proxyName(req *ng.Request) string {
	if !req.Source.IsValid() {
		return "local"
	}
	return req.Source.Addr().Unmap().String()
}

// clip shortens a client's text for the log.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
