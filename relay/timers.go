package relay

import (
	"container/heap"
	"sync"
	"time"
)

// timers runs what is due, one after the other, in one goroutine for the whole Host: ICE checks, keepalives, dummies.
// It is a heap and not a wheel of slots, so that a Host without ICE never wakes. What it runs must not wait.
type timers struct {
	now  func() time.Time
	wake chan struct{}
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	heap timerHeap
}

// timer is one thing to do. Its fields belong to timers.
type timer struct {
	run func(now time.Time)
	at  time.Time
	pos int // in the heap, from 1; 0: not armed
}

func newTimers(now func() time.Time) *timers {
	s := &timers{now: now, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.wg.Go(s.loop)
	return s
}

// close stops the goroutine and waits for it.
func (s *timers) close() {
	close(s.done)
	s.wg.Wait()
}

// arm runs t at the given moment, once; a zero moment disarms it. An earlier arming is replaced.
func (s *timers) arm(t *timer, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case at.IsZero():
		if t.pos > 0 {
			heap.Remove(&s.heap, t.pos-1)
		}
		return
	case t.pos > 0:
		t.at = at
		heap.Fix(&s.heap, t.pos-1)
	default:
		t.at = at
		heap.Push(&s.heap, t)
	}
	if t.pos == 1 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *timers) loop() {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		clock.Reset(s.runDue())
		select {
		case <-s.done:
			return
		case <-s.wake:
		case <-clock.C:
		}
	}
}

// runDue runs what is due and returns how long to sleep.
func (s *timers) runDue() time.Duration {
	for {
		now := s.now()
		s.mu.Lock()
		if len(s.heap) == 0 {
			s.mu.Unlock()
			return time.Hour
		}
		if wait := s.heap[0].at.Sub(now); wait > 0 {
			s.mu.Unlock()
			return wait
		}
		t := heap.Pop(&s.heap).(*timer)
		s.mu.Unlock()
		t.run(now)
	}
}

type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.pos = len(*h)
}
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.pos = 0
	return t
}
