package rtpengine

import "rtpsidecar/ng"

// defaultListLimit is how many call-ids list returns without a limit of its own.
const defaultListLimit = 32

// list names calls, in no particular order.
func (e *Engine) list(x *exchange) error {
	limit := int64(defaultListLimit)
	if x.flags.Limit != nil {
		limit = *x.flags.Limit
	}
	if limit < 0 {
		return errLimit
	}
	var ids []ng.Value
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		for id := range s.calls {
			if int64(len(ids)) == limit {
				break
			}
			ids = append(ids, ng.String(id))
		}
		s.mu.Unlock()
	}
	x.reply.Add("calls", ng.List(ids...))
	return nil
}
