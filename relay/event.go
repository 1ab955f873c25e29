package relay

import (
	"sync/atomic"
	"time"
)

// eventQueue bounds what the engine may be behind by.
const eventQueue = 4096

type events struct {
	queue   chan Event
	dropped atomic.Uint64
}

// emit never waits: a full queue means that the event is counted and forgotten.
func (e *events) emit(kind EventKind, t *Transport, c Component, at time.Time, detail string) {
	select {
	case e.queue <- Event{Kind: kind, ID: t.cfg.ID, Component: c, At: at, Detail: detail}:
	default:
		e.dropped.Add(1)
	}
}
