package ng

import (
	"strings"
	"sync"
	"time"
)

const (
	// generationTime: there are two generations of replies, so one is remembered for 30 to 60 s, as by the
	// reference. Proxies repeat a request for about 5 s.
	generationTime = 30 * time.Second

	// A generation also ends when it holds this much. 5 s of 3,000 messages a second fit.
	generationReplies = 1 << 15
	generationBytes   = 32 << 20
)

// replyCache remembers replies by cookie, so that a repeated request gets the same bytes and is not run again.
// Nothing but the cookie takes part: the same cookie with another command gets the old reply.
// The zero value is ready; stop it when done.
type replyCache struct {
	mu       sync.Mutex
	running  map[string]*pendingReply
	new, old map[string][]byte
	bytes    int         // in new
	timer    *time.Timer // ends the generation; nil while both are empty
	stopped  bool
}

type pendingReply struct {
	done  chan struct{} // closed when reply is set; nil: nobody waits
	reply []byte
}

// do returns the reply remembered for cookie, or runs run and remembers what it returns. A repeat that comes while run
// still runs waits for it. run must not panic. The reply must not be changed.
func (c *replyCache) do(cookie string, run func() []byte) []byte {
	c.mu.Lock()
	reply, ok := c.new[cookie]
	if !ok {
		reply, ok = c.old[cookie]
	}
	if ok {
		c.mu.Unlock()
		return reply
	}
	if p := c.running[cookie]; p != nil {
		if p.done == nil {
			p.done = make(chan struct{})
		}
		c.mu.Unlock()
		<-p.done
		return p.reply
	}
	p := &pendingReply{}
	if c.running == nil {
		c.running = make(map[string]*pendingReply)
	}
	c.running[cookie] = p
	c.mu.Unlock()

	p.reply = run()

	c.mu.Lock()
	delete(c.running, cookie)
	c.remember(cookie, p.reply)
	done := p.done // nobody finds p any more
	c.mu.Unlock()
	if done != nil {
		close(done)
	}
	return p.reply
}

// remember needs c.mu held.
func (c *replyCache) remember(cookie string, reply []byte) {
	if c.stopped {
		return
	}
	if len(c.new) >= generationReplies || c.bytes >= generationBytes {
		c.turn()
	}
	if c.new == nil {
		c.new = make(map[string][]byte)
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(generationTime, c.expire)
	}
	c.new[strings.Clone(cookie)] = reply // else the key would keep the whole request
	c.bytes += len(cookie) + len(reply)
}

// turn drops the old generation and begins a new one. It needs c.mu held.
func (c *replyCache) turn() {
	c.old, c.new, c.bytes = c.new, nil, 0
}

func (c *replyCache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn()
	switch {
	case c.stopped:
	case c.old == nil:
		c.timer = nil
	default:
		c.timer.Reset(generationTime)
	}
}

// stop forgets everything; do still runs requests but remembers none.
func (c *replyCache) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.new, c.old = nil, nil
	if c.timer != nil {
		c.timer.Stop()
	}
}
