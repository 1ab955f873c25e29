package tape

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"rtpsidecar/ng"
)

// maxClients bounds the sockets towards the daemon: one for each process of the proxy.
const maxClients = 1024

// Recorder stands between a proxy and its daemon on UDP. Datagrams pass untouched in both directions; what is written is a
// copy. Whatever happens to the writing, the traffic goes on.
type Recorder struct {
	conn    *net.UDPConn
	daemon  netip.AddrPort
	scrub   *Scrubber
	entries chan<- Entry
	started time.Time

	mu      sync.Mutex
	clients map[netip.AddrPort]*client
	dropped int // entries for which there was no room
	passed  int // datagrams that are no NG message
	wg      sync.WaitGroup
}

// client is one process of the proxy.
type client struct {
	addr    netip.AddrPort
	conn    *net.UDPConn        // towards the daemon
	pending map[string]*pending // by cookie
}

// pending is a request whose reply is due.
type pending struct {
	entry Entry
	at    time.Time
}

// NewRecorder listens for the proxy. entries gets each exchange; when it is full they are counted and dropped.
func NewRecorder(listen, daemon netip.AddrPort, entries chan<- Entry) (*Recorder, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
	if err != nil {
		return nil, err
	}
	return &Recorder{conn: conn, daemon: daemon, scrub: NewScrubber(), entries: entries, started: time.Now(),
		clients: map[netip.AddrPort]*client{}}, nil
}

// Addr is where the recorder listens.
func (r *Recorder) Addr() netip.AddrPort { return r.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Dropped tells how many exchanges were not written because the writer was too slow, and how many datagrams were no NG
// messages.
func (r *Recorder) Dropped() (entries, datagrams int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped, r.passed
}

// Run passes traffic until ctx ends, and then hands in the requests that were never answered.
func (r *Recorder) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = r.conn.Close() })
	defer stop()
	buf := make([]byte, 1<<16)
	var err error
	for {
		var n int
		var from netip.AddrPort
		if n, from, err = r.conn.ReadFromUDPAddrPort(buf); err != nil {
			if errors.Is(err, net.ErrClosed) {
				break
			}
			continue
		}
		r.request(buf[:n], from)
	}
	_ = r.conn.Close()
	r.mu.Lock()
	for _, c := range r.clients {
		_ = c.conn.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
	for _, c := range r.clients {
		for _, p := range c.pending {
			r.put(p.entry)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// request passes a datagram on to the daemon and notes what is in it.
func (r *Recorder) request(b []byte, from netip.AddrPort) {
	now := time.Now()
	c := r.client(from)
	if c == nil {
		return
	}
	// The lock is held across the sending, so that the reply finds its request; replies are passed on without it.
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = c.conn.Write(b) // a daemon that is away is silent, with or without us
	cookie, d, wire := parse(b)
	if d == nil {
		r.passed++
		return
	}
	if p := c.pending[cookie]; p != nil {
		p.entry.Repeats++
		return
	}
	c.pending[cookie] = &pending{at: now, entry: Entry{AtMS: ms(now.Sub(r.started)), Client: from.String(), Wire: wire,
		Request: ng.AppendJSON(nil, ng.DictValue(r.scrub.Dict(d)))}}
}

// client is the state of one process of the proxy, made when it is first heard; nil when there are too many.
func (r *Recorder) client(from netip.AddrPort) *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[from]; c != nil {
		return c
	}
	if len(r.clients) >= maxClients {
		return nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.daemon))
	if err != nil {
		return nil
	}
	c := &client{addr: from, conn: conn, pending: map[string]*pending{}}
	r.clients[from] = c
	r.wg.Add(1)
	go r.replies(c)
	return c
}

// replies passes the daemon's datagrams back until the socket is closed.
func (r *Recorder) replies(c *client) {
	defer r.wg.Done()
	buf := make([]byte, 1<<16)
	for {
		n, err := c.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error: the daemon is away
		}
		now := time.Now()
		_, _ = r.conn.WriteToUDPAddrPort(buf[:n], c.addr)
		cookie, d, _ := parse(buf[:n])
		r.mu.Lock()
		p := c.pending[cookie]
		delete(c.pending, cookie)
		r.mu.Unlock()
		if p == nil || d == nil {
			continue
		}
		p.entry.TookMS = ms(now.Sub(p.at))
		p.entry.Reply = ng.AppendJSON(nil, ng.DictValue(r.scrub.Dict(d)))
		r.put(p.entry)
	}
}

func (r *Recorder) put(e Entry) {
	select {
	case r.entries <- e:
	default:
		r.mu.Lock()
		r.dropped++
		r.mu.Unlock()
	}
}

// parse reads a datagram; d is nil when it is no NG message.
func parse(b []byte) (cookie string, d *ng.Dict, wire string) {
	cookie, payload, ok := ng.SplitCookie(string(b))
	if !ok {
		return "", nil, ""
	}
	var v ng.Value
	var err error
	if wire = "bencode"; strings.HasPrefix(payload, "{") {
		wire = "json"
		v, err = ng.ParseJSON([]byte(payload))
	} else {
		v, _, err = ng.ParseBencode([]byte(payload))
	}
	if err != nil {
		return cookie, nil, wire
	}
	return cookie, v.Dict(), wire
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
