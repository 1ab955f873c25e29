package relay

import (
	"bytes"
	"time"
)

const (
	// loopLimit is how many times the same packet may come in a row; a loop of calls sends it for ever.
	loopLimit = 32
	// loopPause between two of them means a new beginning.
	loopPause = time.Second
	// loopSample is how much of a packet is compared: its header, and payload enough to tell two packets apart.
	loopSample = 200
)

// loop recognises packets that come again and again. Only the worker uses it.
type loop struct {
	last [loopSample]byte
	size int // of the whole packet
	seen int // in a row
	at   time.Time
}

// loops tells whether the packet b goes round in circles.
func (c *component) loops(b []byte, at time.Time) bool {
	if c.loop == nil {
		c.loop = new(loop) // once in a component's life
	}
	return c.loop.repeats(b, at)
}

// repeats counts the packet b, as it came and decrypted, and tells whether it has come too often.
func (l *loop) repeats(b []byte, at time.Time) bool {
	n := min(len(b), loopSample)
	same := l.size == len(b) && bytes.Equal(l.last[:n], b[:n]) && at.Sub(l.at) < loopPause
	l.at = at
	if !same {
		l.size, l.seen = len(b), 0
		copy(l.last[:], b)
	}
	l.seen = min(l.seen+1, loopLimit)
	return l.seen == loopLimit
}
