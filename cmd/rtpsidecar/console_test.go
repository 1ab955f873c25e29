package main

import (
	"context"
	"testing"

	"rtpsidecar/ng"
)

// twoCalls is an engine with two calls.
type twoCalls struct{ deleted []string }

func (h *twoCalls) HandleNG(_ context.Context, req *ng.Request) (reply ng.Reply) {
	id := req.Dict.Value("call-id").Str()
	known := id == "a" || id == "b"
	switch {
	case req.Command == "list":
		reply.Dict.Add("calls", ng.Strings([]string{"a", "b"}))
	case req.Command == "statistics":
		sub := new(ng.Dict)
		sub.AddInt("x", 1)
		reply.Dict.AddDict("statistics", sub)
	case req.Command == "query" && known:
		reply.Dict.AddInt("created", 17)
	case req.Command == "delete" && known:
		h.deleted = append(h.deleted, id)
	case req.Command == "delete":
		reply.Dict.AddString("warning", "Call-ID not found or tags didn't match")
	default:
		reply.Error = "Unknown call-id"
	}
	return reply
}

func TestConsole(t *testing.T) {
	const pad = "                                                           "
	tests := []struct{ line, want string }{
		{"list numsessions", "Current sessions own: 2\nCurrent sessions foreign: 0\nCurrent sessions total: 2\n"},
		{"get numsessions", "Current sessions own: 2\nCurrent sessions foreign: 0\nCurrent sessions total: 2\n"},
		{"list sessions all", "ID:a" + pad + " | creat:17\nID:b" + pad + " | creat:17\n"},
		{"list sessions foreign", ""},
		{"list sessions a", "{\"created\":17}\n"},
		{"list sessions x", "\nCall ID not found (x).\n\n"},
		{"list jsonstats", "{\"x\":1}\n"},
		{"terminate a", "1 session(s) terminated\n"},
		{"terminate all", "2 session(s) terminated\n"},
		{"terminate foreign", "0 session(s) terminated\n"},
		{"terminate x", "\nCall ID not found (x).\n\n"},
		{"list loglevel", "6\n"},
		{"set loglevel 9", "Invalid log level '9'\n"},
		{"set loglevel 6", "Success setting loglevel to 6\n"},
		{"", "More parameters required.\n"},
		{"list", "More parameters required.\n"},
		{"list sessions", "More parameters required.\n"},
		{"terminate", "More parameters required.\n"},
		{"nonsense", "Unknown command: nonsense\n"},
		{"list nonsense", "Unknown command: nonsense\n"},
	}
	c := &console{handler: new(twoCalls), level: &logLevel{severity: 6}}
	for _, tt := range tests {
		if got := c.run(t.Context(), tt.line); got != tt.want {
			t.Errorf("%q = %q, want %q", tt.line, got, tt.want)
		}
	}
}
