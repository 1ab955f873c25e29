package rtpengine

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"rtpsidecar/relay"
)

// lastLook is what the relay said about a transport before it was closed.
type lastLook struct {
	relay.Status
	ice *relay.ICEReport // nil: no agent
}

// noStatus is that of a section without ports. Nobody writes to it.
var noStatus relay.Status

// port is the one that m's packets use; nil when there is none.
func (m *Media) port() *localPort { return m.head().local }

// status is what the relay says about l, which may be nil. It must not be changed.
func (l *localPort) status() *relay.Status {
	switch {
	case l == nil:
		return &noStatus
	case l.last != nil:
		return &l.last.Status
	}
	st := l.t.Status()
	return &st
}

// received is what status tells of the sources, appended to list, and the address that RTP uses.
func (l *localPort) received(list []relay.SSRCStatus) (at netip.Addr, _ []relay.SSRCStatus) {
	if l.last != nil {
		return l.last.Streams[relay.RTP].Local.Addr(), l.last.SSRCs
	}
	return l.t.Received(list)
}

// ice is what the relay says about l's agent; nil: it has none.
func (l *localPort) ice() *relay.ICEReport {
	if l.last != nil {
		return l.last.ice
	}
	if r, ok := l.t.ICE(); ok {
		return &r
	}
	return nil
}

// freeze takes the last look at all ports of c, which is locked and about to end: a report and what is kept of the call
// need the same, and its ports can be asked no more when the latter is written.
func (c *Call) freeze() {
	c.ports(func(l *localPort) {
		if l.last == nil {
			l.last = &lastLook{*l.status(), l.ice()}
		}
	})
}

// ports calls f for each port of the call.
func (c *Call) ports(f func(*localPort)) {
	c.medias(func(m *Media) {
		if m.local != nil {
			f(m.local)
		}
		for _, l := range m.spares {
			f(l)
		}
	})
}

// remember keeps c, which is locked, frozen and about to end, for questions that come later.
func (e *Engine) remember(c *Call, why closeReason) {
	c.note("end", nil, 0, "call ended: "+strings.ReplaceAll(why.String(), "_", " "))
	e.ended.keep(&endedCall{id: c.ID, call: c, at: e.now(), why: why})
}

// endedCall is a call that is over. What people see of it is written when somebody asks, or at the next sweep, which lets
// go of the call itself: of many that end in a second most are forgotten before.
type endedCall struct {
	id  string
	at  time.Time
	why closeReason

	once      sync.Once
	call      *Call // nil once the rest is written
	view      CallView
	diagnosis Diagnosis
}

// tell writes what people see. No call may be locked.
func (x *endedCall) tell() *endedCall {
	x.once.Do(func() {
		c := x.call
		c.mu.Lock()
		defer c.mu.Unlock()
		x.diagnosis = c.diagnose(x.at)
		x.view = c.view(x.at, x.diagnosis.Flows)
		x.diagnosis.Ended, x.view.Ended = x.why.String(), x.why.String()
		x.call = nil
	})
	return x
}

// endedCalls keeps the last ones: most questions about a call come after it.
type endedCalls struct {
	mu   sync.Mutex
	ring [endedKept]*endedCall
	next int
}

// endedKept is how many ended calls can be asked about; a call takes a few kilobytes.
const endedKept = 100

func (e *endedCalls) keep(c *endedCall) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring[e.next] = c
	e.next = (e.next + 1) % endedKept
}

// find is the latest ended call with this id, nil when there is none.
func (e *endedCalls) find(id string) *endedCall {
	for _, c := range e.all() {
		if c.id == id {
			return c.tell()
		}
	}
	return nil
}

// all are the calls kept, newest first; some may still have to tell.
func (e *endedCalls) all() []*endedCall {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*endedCall
	for i := range endedKept {
		if c := e.ring[(e.next-1-i+2*endedKept)%endedKept]; c != nil {
			list = append(list, c)
		}
	}
	return list
}

// settle lets go of the calls themselves.
func (e *endedCalls) settle() {
	for _, c := range e.all() {
		c.tell()
	}
}
