package rtpengine

import (
	"context"
	"log/slog"
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

// callHandler passes everything on while its call is being debugged.
type callHandler struct {
	slog.Handler
	debug *atomic.Bool
}

func (h callHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.debug.Load() || h.Handler.Enabled(ctx, level)
}

func (h callHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return callHandler{h.Handler.WithAttrs(attrs), h.debug}
}

func (h callHandler) WithGroup(name string) slog.Handler {
	return callHandler{h.Handler.WithGroup(name), h.debug}
}
