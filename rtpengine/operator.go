package rtpengine

import "time"

// SessionInfo is one call in an operator's list.
type SessionInfo struct {
	CallID  string
	Created time.Time
	Proxy   string // who created it
	Deleted bool   // it lives on for the delete delay only
}

// Sessions lists the calls of this moment.
func (e *Engine) Sessions() []SessionInfo {
	calls := e.snapshot()
	list := make([]SessionInfo, 0, len(calls))
	for _, c := range calls {
		c.mu.Lock()
		if !c.dead {
			list = append(list, SessionInfo{CallID: c.ID, Created: c.created, Proxy: c.proxy, Deleted: !c.deleteAt.IsZero()})
		}
		e.unlock(c)
	}
	return list
}

// NumSessions is the number of calls.
func (e *Engine) NumSessions() int { return int(e.calls.Load()) }

// Terminate ends a call at once; false: there is none with this id.
func (e *Engine) Terminate(callID string) bool {
	c := e.lockCall(callID)
	if c == nil {
		return false
	}
	e.destroy(c, closedForced)
	e.unlock(c)
	return true
}

// TerminateAll ends all calls and returns how many there were.
func (e *Engine) TerminateAll() int {
	n := 0
	for _, c := range e.snapshot() {
		if e.Terminate(c.ID) {
			n++
		}
	}
	return n
}
