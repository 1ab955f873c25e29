package rtpengine

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// control counts requests: by client and command, with the time they took.
type control struct {
	mu      sync.Mutex
	proxies map[string]*proxyStats
}

// proxyStats are one client's requests; the arrays are indexed as commands is.
type proxyStats struct {
	proxy    string
	counts   []uint64
	duration []time.Duration
	errors   uint64
}

// maxProxies bounds the table: a client is an address that anyone may forge where the control port is open.
const maxProxies = 1024

// otherProxies gathers the clients beyond maxProxies.
const otherProxies = "other"

// count takes one request in.
func (c *control) count(proxy string, command int, took time.Duration, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.proxies[proxy]
	if p == nil {
		if c.proxies == nil {
			c.proxies = map[string]*proxyStats{}
		}
		if len(c.proxies) >= maxProxies {
			proxy = otherProxies
		}
		if p = c.proxies[proxy]; p == nil {
			p = &proxyStats{proxy: proxy, counts: make([]uint64, len(commands)), duration: make([]time.Duration, len(commands))}
			c.proxies[proxy] = p
		}
	}
	p.counts[command]++
	p.duration[command] += took
	if failed {
		p.errors++
	}
}

// snapshot copies the table, sorted by client.
func (c *control) snapshot() []proxyStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]proxyStats, 0, len(c.proxies))
	for _, p := range c.proxies {
		list = append(list, proxyStats{p.proxy, slices.Clone(p.counts), slices.Clone(p.duration), p.errors})
	}
	slices.SortFunc(list, func(a, b proxyStats) int {
		if a.proxy < b.proxy {
			return -1
		}
		return 1
	})
	return list
}

// unknownWords logs each unknown word of the control protocol once and counts them all.
type unknownWords struct {
	total atomic.Uint64

	mu   sync.Mutex
	seen map[string]bool
}

// maxWords bounds the memory of words seen; beyond it they are only counted.
const maxWords = 1024

func (u *unknownWords) report(log *slog.Logger, f *Flags) {
	if len(f.Unknown) == 0 {
		return
	}
	u.total.Add(uint64(len(f.Unknown)))
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range f.Unknown {
		if w = clip(w); u.seen[w] || len(u.seen) >= maxWords {
			continue
		}
		if u.seen == nil {
			u.seen = map[string]bool{}
		}
		u.seen[w] = true
		log.Warn("unknown word ignored", "callid", f.CallID, "word", w)
	}
}
