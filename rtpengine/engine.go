package rtpengine

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rtpsidecar/relay"
)

// Engine holds the calls and answers NG requests. It is an ng.Handler, safe for concurrent use.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	rand    io.Reader
	host    *relay.Host
	ifaces  *interfaces
	store   Store
	started time.Time

	seed   maphash.Seed
	shards [shardCount]shard
	calls  atomic.Int64 // ids in the table
	merged atomic.Bool  // a call has had several ids: the table may list it twice

	nextAffinity  atomic.Uint64
	nextTransport atomic.Uint64

	stats    counters
	looks    looks
	control  control
	unknown  unknownWords
	load     loadMeter
	fragment fragments

	sweeping sync.Mutex
	due      []*Call // of a sweep; sweeping

	adjustable atomic.Pointer[Adjustable]
	draining   atomic.Bool
	ended      endedCalls

	stop    chan struct{}
	done    sync.WaitGroup
	closing sync.Once
	closed  error
}

// shardCount spreads the call table over locks; a power of two well above the number of CPUs.
const shardCount = 64

// shard is a part of the call table. Its mutex is taken before a call's, never after.
type shard struct {
	mu    sync.Mutex
	calls map[string]*Call
}

// New opens the media interfaces and starts the engine's goroutines. The caller closes it.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Route == nil {
		cfg.Route = relay.SourceTowards
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.InstanceID == "" {
		cfg.InstanceID = hex.EncodeToString(randomBytes(rand.Reader, 6))
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log, now: cfg.Now, rand: rand.Reader,
		ifaces: newInterfaces(cfg.Interfaces),
		store:  cfg.Store,
		seed:   maphash.MakeSeed(),
		stop:   make(chan struct{}),
	}
	if e.store == nil {
		e.store = noStore{}
	}
	e.started = e.now()
	e.adjustable.Store(&cfg.Adjustable)
	for i := range e.shards {
		e.shards[i].calls = map[string]*Call{}
	}
	host, err := openRelay(&cfg)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	e.host = host
	e.done.Add(2)
	go e.drainEvents()
	go e.runTimers()
	return e, nil
}

// Close ends all calls, closes their ports and returns when the engine's goroutines have ended.
// It may be repeated.
func (e *Engine) Close() error {
	e.closing.Do(func() { e.closed = e.close() })
	return e.closed
}

func (e *Engine) close() error {
	close(e.stop)
	for _, c := range e.snapshot() {
		c.mu.Lock()
		e.destroy(c, closedShutdown)
		e.unlock(c)
	}
	err := errors.Join(e.host.Close(), e.store.Close())
	e.done.Wait()
	return err
}

func (e *Engine) shard(id string) *shard {
	return &e.shards[maphash.String(e.seed, id)%shardCount]
}

// lockCall is the call with this id, locked, or nil.
func (e *Engine) lockCall(id string) *Call {
	s := e.shard(id)
	for {
		s.mu.Lock()
		c := s.calls[id]
		s.mu.Unlock()
		if c == nil {
			return nil
		}
		c.mu.Lock()
		if !c.dead {
			c.via = id
			return c
		}
		e.unlock(c)
	}
}

// unlock ends a command on c, which the next sweep looks at again.
func (e *Engine) unlock(c *Call) {
	if !c.dead {
		c.look.at.Store(atOnce)
	}
	e.release(c)
}

// release unlocks c. A call that has ended leaves the table only now: the table's mutex comes before a call's.
func (e *Engine) release(c *Call) {
	dead, ids := c.dead, c.ids
	c.mu.Unlock()
	if !dead {
		return
	}
	for _, id := range ids {
		e.dropID(c, id)
	}
}

// openCall is the call with this id, locked; made when there is none and the limits allow one more.
func (e *Engine) openCall(id string, client netip.AddrPort, limited bool) (c *Call, created bool, err error) {
	s := e.shard(id)
	for {
		s.mu.Lock()
		if c = s.calls[id]; c == nil {
			if limited {
				if err := e.admit(); err != nil {
					s.mu.Unlock()
					e.stats.rejected.Add(1)
					return nil, false, err
				}
			}
			c = newCall(e, id, e.now())
			c.proxy = address(client)
			c.mu.Lock() // nobody else knows it yet
			c.via = id
			s.calls[id] = c
			e.calls.Add(1)
			s.mu.Unlock()
			return c, true, nil
		}
		s.mu.Unlock()
		c.mu.Lock()
		if !c.dead {
			c.via = id
			return c, false, nil
		}
		e.unlock(c)
	}
}

// destroy closes everything that c, which is locked, has, but leaves it as it was for those who ask what happened.
// unlock takes it out of the table.
func (e *Engine) destroy(c *Call, why closeReason) {
	if c.dead {
		return
	}
	if why != closedShutdown {
		c.freeze()
		e.remember(c, why)
	}
	c.die()
	e.store.Delete(c.ID)
	e.stats.closed(c, why, e.now())
	c.ports(func(l *localPort) { l.close(c) })
	c.log.Info("call ended", "reason", why.String(), "duration", e.now().Sub(c.created).Round(time.Millisecond))
}

// snapshot lists the calls of this moment.
func (e *Engine) snapshot() []*Call {
	list := make([]*Call, 0, e.calls.Load())
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		for _, c := range s.calls {
			list = append(list, c)
		}
		s.mu.Unlock()
	}
	if e.merged.Load() {
		slices.SortFunc(list, func(a, b *Call) int { return cmp.Compare(a.affinity, b.affinity) })
		list = slices.Compact(list)
	}
	return list
}

// each calls f with each call, locked. It is no command: what f changes that a sweep goes by, it has to tell by Call.look.
func (e *Engine) each(f func(*Call)) {
	for _, c := range e.snapshot() {
		c.mu.Lock()
		if !c.dead {
			f(c)
		}
		e.release(c)
	}
}

func (e *Engine) rules() rules {
	return rules{sipSource: e.cfg.SIPSource, dtlsPassive: e.cfg.DTLSPassive, rand: e.rand, own: e.ifaces.own}
}

// defaultTOS is the daemon's setting in the relay's terms.
func (e *Engine) defaultTOS() int {
	if e.cfg.TOS == 0 {
		return -1
	}
	return e.cfg.TOS
}
