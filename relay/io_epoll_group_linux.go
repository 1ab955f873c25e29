package relay

import (
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// epollGroup is sockets that one worker reads at a time.
type epollGroup struct {
	key     uint64
	worker  int
	leaving bool // its worker has been asked to part with it
	sockets []*epollSocket
}

// leave asks a worker to hand its group to another one.
type leave struct {
	group *epollGroup
	to    int
}

// join has a socket read, by the worker of its group.
func (e *epollIO) join(key uint64, s *epollSocket) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	g := e.groups[key]
	if g == nil {
		g = &epollGroup{key: key, worker: e.room()}
	}
	w := e.workers[g.worker]
	if err := w.add(s); err != nil {
		return err
	}
	if len(g.sockets) == 0 {
		e.groups[key] = g
		w.groups++
		e.start()
	}
	s.group = g
	g.sockets = append(g.sockets, s)
	w.sockets++
	return nil
}

// room is the worker for a new group. e.mu is held.
func (e *epollIO) room() int {
	if e.balance == Pack {
		return roomiest(e.busy)
	}
	least := 0
	for i, w := range e.workers {
		if w.sockets < e.workers[least].sockets {
			least = i
		}
	}
	return least
}

// quit ends that.
func (e *epollIO) quit(s *epollSocket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := s.group
	w := e.workers[g.worker]
	w.mu.Lock()
	w.drop(s.slot) // the kernel forgets it with its only descriptor
	w.mu.Unlock()
	w.sockets--
	if g.sockets = slices.DeleteFunc(g.sockets, func(o *epollSocket) bool { return o == s }); len(g.sockets) == 0 {
		delete(e.groups, g.key)
		w.groups--
	}
}

func (w *epollWorker) remove(s *epollSocket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(s.slot)
	if !w.done {
		unix.EpollCtl(w.epfd, unix.EPOLL_CTL_DEL, s.fd, nil)
	}
}

// reserve takes a place for a socket that another worker still reads: nothing is reported of it yet.
func (w *epollWorker) reserve(s *epollSocket) (slot uint32, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return 0, net.ErrClosed
	}
	slot = w.take()
	if err := unix.EpollCtl(w.epfd, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Fd: int32(slot)}); err != nil {
		w.drop(slot)
		return 0, fmt.Errorf("epoll: %w", err)
	}
	return slot, nil
}

// begin reads a socket from now on. What waits in it is reported too.
func (w *epollWorker) begin(s *epollSocket, slot uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.slot = slot
	w.slots[slot] = s
	unix.EpollCtl(w.epfd, unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(slot)})
}

// partBatch is how many groups are handed over in one round: 5 us for each (BenchmarkMove), in which packets wait.
const partBatch = 16

// part hands groups over. The worker does it itself, between two rounds, so that it is done with their packets; the other
// one sees what it has left behind, as it takes its own lock before it reads them.
func (w *epollWorker) part() {
	e := w.io
	e.mu.Lock()
	defer e.mu.Unlock()
	w.mu.Lock()
	n := min(len(w.leaves), partBatch)
	now := w.leaves[:n:n]
	w.leaves = w.leaves[n:]
	w.mu.Unlock()
	for _, l := range now {
		l.group.leaving = false
		e.move(l.group, l.to)
	}
}

// move is for the worker of g. Without a place for all of its sockets it stays. e.mu is held.
func (e *epollIO) move(g *epollGroup, to int) {
	from, next := e.workers[g.worker], e.workers[to]
	var slots [8]uint32
	places := slots[:0]
	for _, s := range g.sockets {
		slot, err := next.reserve(s)
		if err != nil {
			for i, slot := range places {
				next.mu.Lock()
				next.drop(slot)
				unix.EpollCtl(next.epfd, unix.EPOLL_CTL_DEL, g.sockets[i].fd, nil)
				next.mu.Unlock()
			}
			return
		}
		places = append(places, slot)
	}
	for _, s := range g.sockets {
		from.remove(s)
	}
	for i, s := range g.sockets {
		next.begin(s, places[i])
	}
	n := len(g.sockets)
	from.sockets -= n
	next.sockets += n
	if n > 0 { // else it has been closed meanwhile
		from.groups--
		next.groups++
	}
	g.worker = to
}

// lookEvery is how often the load of the workers is measured.
const lookEvery = time.Second

// start measures from now on. e.mu is held.
func (e *epollIO) start() {
	if e.clock == nil || e.armed {
		return
	}
	e.measure()
	clear(e.busy)
	clear(e.bursts)
	e.hasten()
	e.armed = true
	e.clock.Reset(lookEvery)
}

// look measures, and draws the conclusions.
func (e *epollIO) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.armed = !e.closed && len(e.groups) > 0; !e.armed {
		return
	}
	e.measure()
	e.hasten()
	e.shift()
	e.clock.Reset(lookEvery)
}

// hasten has a worker that suffices for all calls run before other threads, which do not wait long for it: then a packet
// goes on as soon as it is there. Where many come at once it costs less to let some come together. e.mu is held.
func (e *epollIO) hasten() {
	reading := 0
	for _, w := range e.workers {
		if w.groups > 0 {
			reading++
		}
	}
	for i, w := range e.workers {
		w.urgent.Store(e.realtime && reading == 1 && w.groups > 0 && e.busy[i] <= full && e.bursts[i] <= few)
	}
}

// shift moves groups between the workers, as far as that is worth while. e.mu is held.
func (e *epollIO) shift() {
	groups := make([]int, len(e.workers))
	for i, w := range e.workers {
		groups[i] = w.groups
	}
	for _, s := range pack(e.busy, groups) {
		n := int(s.share * float64(groups[s.from]))
		w := e.workers[s.from]
		w.mu.Lock()
		for _, g := range e.groups {
			if n == 0 {
				break
			}
			if g.worker == s.from && !g.leaving {
				g.leaving = true
				w.leaves = append(w.leaves, leave{g, s.to})
				n--
			}
		}
		w.mu.Unlock()
	}
}

// measure tells what the workers have had to do since the last time. That they had to wait for a processor counts: then two
// get more of them than one. e.mu is held.
func (e *epollIO) measure() {
	now := time.Now()
	for i, w := range e.workers {
		was := e.before[i]
		is := progress{worked: w.worked.Load(), ready: w.ready.Load(), rests: w.rests.Load()}
		e.busy[i] = float64(is.worked-was.worked) / float64(now.Sub(e.measured))
		e.bursts[i] = float64(is.ready-was.ready) / float64(max(is.rests-was.rests, 1))
		e.before[i] = is
	}
	e.measured = now
}
