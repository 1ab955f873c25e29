package rtpengine

import "time"

// fragments keeps trickled candidates of parties that do not exist yet.
type fragments struct{}

func (fr *fragments) expire(time.Time) {}

// trickle handles an offer whose body is a trickle-ICE fragment.
func (e *Engine) trickle(x *exchange) error { return nil }
