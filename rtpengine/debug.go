package rtpengine

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// DebugCall logs a call in full, whatever the daemon's level is, or no longer. False: there is no call with this id.
func (e *Engine) DebugCall(callID string, on bool) bool {
	c := e.lockCall(callID)
	if c == nil {
		return false
	}
	defer e.unlock(c)
	c.debug.Store(on)
	return true
}

// callHandler passes everything on while its call is being debugged. It hands its attributes on with each record: most
// calls log less often than they would prepare their loggers.
type callHandler struct {
	base  slog.Handler
	attrs []slog.Attr
	debug *atomic.Bool
}

func (h callHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.debug.Load() || h.base.Enabled(ctx, level)
}

func (h callHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.base.WithAttrs(h.attrs).Handle(ctx, r)
}

func (h callHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

func (h callHandler) WithGroup(name string) slog.Handler {
	return callHandler{h.base.WithAttrs(h.attrs).WithGroup(name), nil, h.debug}
}
