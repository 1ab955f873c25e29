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

// emit tells that something happened to a component.
func (e *events) emit(kind EventKind, t *Transport, c Component, at time.Time, detail string) {
	e.put(Event{Kind: kind, Owner: t.cfg.Owner, Component: c, At: at, Detail: detail})
}

// digit tells of an event of RFC 4733.
func (e *events) digit(t *Transport, at time.Time, d Digit) {
	e.put(Event{Kind: EventDigit, Owner: t.cfg.Owner, At: at, Digit: d})
}

// put never waits: a full queue means that the event is counted and forgotten.
func (e *events) put(ev Event) {
	select {
	case e.queue <- ev:
	default:
		e.dropped.Add(1)
	}
}
