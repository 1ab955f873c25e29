package ng

import (
	"sync"
	"sync/atomic"
	"time"
)

// crowdPeriod is how often a socket with work to do is looked at; a busy machine may well keep a worker waiting for half
// of it.
const crowdPeriod = 5 * time.Millisecond

// A socket whose worker is found busy crowdLimit times in a row (a second), or much more often than not, needs helpers.
const (
	crowdLimit = 200
	crowdIdle  = 4 // what being found idle once makes up for
)

// crowd decides how many workers a socket has: one, as long as that can do it. Others beside it cost a quarter of the CPU
// time of short requests: hand-overs and wake-ups for single messages, where one worker finds several. But a slow request
// must hold up nobody else, nor lasting load be left to one processor: so somebody looks from time to time, and calls
// helpers, who answer what is there and leave. An idle socket is not looked at.
type crowd struct {
	help    chan struct{}
	reading atomic.Bool   // the worker is
	read    atomic.Uint64 // messages of the worker, so that a slow one is told from many
	watched atomic.Bool

	mu    sync.Mutex
	over  bool // the socket is closed
	look  *time.Timer
	level int    // how often the worker was found busy, less what made up for it
	seen  uint64 // read, when it was last found busy
}

func (c *crowd) setUp(helpers int) {
	c.help = make(chan struct{}, helpers)
	c.look = time.AfterFunc(time.Hour, c.watch)
	c.look.Stop()
}

// wait is called by the worker before it reads, work once it has read.
func (c *crowd) wait() { c.reading.Store(true) }

func (c *crowd) work() {
	c.read.Add(1)
	c.reading.Store(false)
	if cap(c.help) > 0 && c.watched.CompareAndSwap(false, true) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lookAgain()
	}
}

// lookAgain needs c.mu held.
func (c *crowd) lookAgain() {
	if !c.over {
		c.look.Reset(crowdPeriod)
	}
}

// disband sends the helpers home.
func (c *crowd) disband() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.look.Stop()
	close(c.help)
}

// watch looks whether the worker is there to read. Two looks at the same request mean that it is slow.
func (c *crowd) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	slow := false
	switch n := c.read.Load(); {
	case c.reading.Load():
		c.level, c.seen = max(c.level-crowdIdle, 0), 0
	case c.seen == n:
		slow = true
	default:
		c.level, c.seen = min(c.level+1, crowdLimit), n
	}
	if c.level == 0 && !slow {
		c.watched.Store(false)
		if c.reading.Load() || !c.watched.CompareAndSwap(false, true) {
			return
		} // else it has begun to work meanwhile, and relied on being watched
	}
	if slow || c.level == crowdLimit {
		for range cap(c.help) - len(c.help) {
			c.help <- struct{}{}
		}
	}
	c.lookAgain()
}
