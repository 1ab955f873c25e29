package ng

import (
	"context"
	"net/netip"
	"time"
)

// Request is one decoded message. It belongs to the handler. Its strings share one copy of the message: clone those
// (strings.Clone) that are kept longer than the request.
type Request struct {
	Command  string // the value of "command", verbatim
	Dict     *Dict
	Source   netip.AddrPort // the client; the zero value where there is none (tests, templates)
	Received time.Time
}

// Reply is a handler's answer; it belongs to whom it is given. Its keys are written in their order, then "result", then
// "error-reason".
type Reply struct {
	Dict   Dict   // without "result" and "error-reason"
	Result string // "" means "ok"
	Error  string // not "": result is "error" and this is "error-reason"
}

// Handler runs one request. It must be safe for concurrent use and must not keep ctx.
type Handler interface {
	HandleNG(ctx context.Context, req *Request) Reply
}
