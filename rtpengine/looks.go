package rtpengine

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// looks say for all calls when a sweep next has to look at them. They lie side by side, four in a line of memory, as most calls
// have nothing due: those are passed over without a touch of theirs.
type looks struct {
	mu   sync.Mutex
	rows []*[256]look // grows only
	free []*look
}

// look is one of them.
type look struct {
	at   atomic.Int64 // Unix nanoseconds
	call *Call        // nil: free; looks.mu
}

const (
	atOnce = 0
	never  = math.MaxInt64
)

// take is the look of a new call, for which nothing is due yet.
func (s *looks) take(c *Call) *look {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		row := new([256]look)
		s.rows = append(s.rows, row)
		for i := len(row) - 1; i >= 0; i-- {
			s.free = append(s.free, &row[i])
		}
	}
	l := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	l.call = c
	l.at.Store(never)
	return l
}

// give takes it back. Nobody may set it any more.
func (s *looks) give(l *look) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.call = nil
	s.free = append(s.free, l)
}

// due appends the calls to list at which it is time to look.
func (s *looks) due(now time.Time, list []*Call) []*Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.rows {
		for i := range row {
			if l := &row[i]; l.call != nil && l.at.Load() <= now.UnixNano() {
				list = append(list, l.call)
			}
		}
	}
	return list
}
