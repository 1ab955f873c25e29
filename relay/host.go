package relay

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"rtpsidecar/relay/dtls"
	"rtpsidecar/relay/ebpf"
)

// Config is what a Host is made from.
type Config struct {
	Interfaces []Interface
	Workers    int           // media threads; 0: one per CPU, or per each of CPUs
	CPUs       []int         // that the workers are bound to, in turn; empty: any. Linux only
	Balance    Balance       // of the workers. Linux only
	NoRealtime bool          // workers run like all other threads, also one that alone suffices. Linux only
	NoRaw      bool          // each packet goes out by its port's own socket. Linux only
	Rest       time.Duration // how long a closed port is not reused; 0: DefaultRest; negative: not at all
	TOS        int           // of transports whose Settings.TOS is negative; 0 leaves the system's default
	CNAME      string        // in RTCP of our own
	Software   string        // STUN SOFTWARE; empty: none
	Log        *slog.Logger  // nil: none

	CertCipher     string // of the DTLS certificate: "prime256v1" (also when empty) or "RSA"
	RSABits        int    // 0: 2048
	DTLSMTU        int    // bytes of a handshake datagram; 0: 1200
	StrictProfiles bool   // as DTLS server take the strongest profile, not the one that the fast path knows

	Now func() time.Time                                          // nil: time.Now
	IO  func(workers int, now func() time.Time) (PacketIO, error) // nil: the system's sockets

	// Table forwards what needs no userspace; nil: everything does. It stays the caller's, who closes it after the Host.
	Table ebpf.Table
}

// Host owns the local interfaces, their ports, the workers and the timers. It is safe for concurrent use.
type Host struct {
	cfg    Config
	log    *slog.Logger
	now    func() time.Time
	io     PacketIO
	ifaces []*iface
	events events
	timers *timers
	fast   *fastPath // nil: none
	certs  *dtls.Certificates

	handled handled

	retiring sync.WaitGroup // associations that were replaced and say good-bye

	mu         sync.Mutex
	closed     bool
	transports map[*Transport]struct{}
	lone       uint64 // transports without an affinity so far
}

// iface is one Interface with its share of a port pool.
type iface struct {
	Interface
	foundation string // of candidates on this address, for the life of the process
	ports      portRange
	pool       *portPool

	in, out Counters // of closed transports; Host.mu
}

// cpus is how many processors the Go scheduler had at the start; waiting workers add some later.
var cpus = runtime.GOMAXPROCS(0)

// New starts the workers. The caller closes the Host.
func New(cfg Config) (*Host, error) {
	cfg.Workers = cmp.Or(max(cfg.Workers, 0), len(cfg.CPUs), cpus)
	cfg.Rest = max(cmp.Or(cfg.Rest, DefaultRest), 0)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.IO == nil {
		cfg.IO = systemIO(cfg)
	}
	h := &Host{
		cfg: cfg, log: cfg.Log, now: cfg.Now,
		events:     events{queue: make(chan Event, eventQueue)},
		transports: map[*Transport]struct{}{},
	}
	if err := h.addInterfaces(cfg.Interfaces); err != nil {
		return nil, err
	}
	certs := dtls.CertificateConfig{RSABits: cfg.RSABits, Now: cfg.Now}
	switch cfg.CertCipher {
	case "", "prime256v1":
	case "RSA":
		certs.Key = dtls.RSA
	default:
		return nil, fmt.Errorf("unknown certificate cipher %q", cfg.CertCipher)
	}
	var err error
	if h.certs, err = dtls.NewCertificates(certs); err != nil {
		return nil, err
	}
	if h.io, err = cfg.IO(cfg.Workers, cfg.Now); err != nil {
		return nil, fmt.Errorf("media sockets: %w", err)
	}
	h.timers = newTimers(cfg.Now)
	if cfg.Table != nil {
		h.fast = newFastPath(h, cfg.Table)
	}
	return h, nil
}

func (h *Host) addInterfaces(list []Interface) error {
	if len(list) == 0 {
		return errors.New("no interface")
	}
	pools := map[netip.Addr]*portPool{}
	for _, i := range list {
		i.Local = i.Local.Unmap()
		if !i.Local.IsValid() {
			return fmt.Errorf("interface %s: no local address", i.Name)
		}
		if !i.Advertised.IsValid() {
			i.Advertised = i.Local
		}
		if i.PortMin == 0 || i.PortMin > i.PortMax {
			return fmt.Errorf("interface %s: port range %d-%d is empty", i.Name, i.PortMin, i.PortMax)
		}
		pool := pools[i.Local]
		if pool == nil {
			pool = newPortPool(h.cfg.Rest, h.now)
			pools[i.Local] = pool
		}
		f := &iface{
			Interface:  i,
			foundation: randomName(16),
			ports:      portRange{min: int(i.PortMin), max: int(i.PortMax), excluded: new(portSet)},
			pool:       pool,
		}
		for _, p := range i.Exclude {
			f.ports.excluded.add(int(p))
		}
		h.ifaces = append(h.ifaces, f)
	}
	return nil
}

// randomName is n random letters and digits.
func randomName(n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	for i := range b {
		k, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet)))) // crypto/rand never fails
		b[i] = alphabet[k.Int64()]
	}
	return string(b)
}

// Close closes all transports and ends all goroutines before it returns. The channel of Events stays open.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	open := make([]*Transport, 0, len(h.transports))
	for t := range h.transports {
		open = append(open, t)
	}
	h.mu.Unlock()
	for _, t := range open {
		t.Close()
	}
	h.retiring.Wait()
	h.timers.close()
	return h.io.Close()
}

// retire ends what may take a moment. Close waits for it.
func (h *Host) retire(end func() error) { h.retiring.Go(func() { end() }) }

// Certificate is what transports opened now present; it is replaced by a new one every 15 days. What a transport has is
// [Transport.Certificate].
func (h *Host) Certificate() Certificate {
	c, err := h.certs.Current()
	if err != nil {
		h.log.Error("no DTLS certificate", "err", err)
		return nil
	}
	return c
}

// Events is the queue of what happened. One goroutine should drain it; see [Event].
func (h *Host) Events() <-chan Event { return h.events.queue }

// Open binds the ports of a new transport. Errors are ErrNoPorts, net.ErrClosed, an unknown interface, and those of the
// system. An address beside the primary one that has no ports left, or has left the machine, is done without.
func (h *Host) Open(cfg TransportConfig) (*Transport, error) {
	ifaces := h.choose(cfg.Interface, cfg.Family)
	if len(ifaces) == 0 {
		return nil, fmt.Errorf("unknown interface %q", cfg.Interface)
	}
	if cfg.PrimaryOnly {
		ifaces = ifaces[:1]
	}
	t := newTransport(h, cfg)
	var err error
	if t.cert, err = h.certs.Current(); err != nil {
		return nil, err
	}
	t.group = h.group(cfg.Affinity)
	for i, f := range ifaces {
		err := t.bind(f)
		if err == nil {
			continue
		}
		if i == 0 {
			t.Close()
			return nil, err
		}
		t.log.Warn("no port on further address", "address", f.Local, "err", err)
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.transports[t] = struct{}{}
	}
	h.mu.Unlock()
	if closed {
		t.Close()
		return nil, net.ErrClosed
	}
	return t, nil
}

// choose lists the addresses of a logical interface, the wanted family's first one in front.
func (h *Host) choose(name string, wish FamilyWish) []*iface {
	var list []*iface
	for _, f := range h.ifaces {
		if f.Name == name {
			list = append(list, f)
		}
	}
	if wish != AnyFamily {
		slices.SortStableFunc(list, func(a, b *iface) int {
			wrong := func(f *iface) int {
				if f.Local.Is4() == (wish == WantIPv4) {
					return 0
				}
				return 1
			}
			return wrong(a) - wrong(b)
		})
	}
	return list
}

// group is what an affinity is called for PacketIO; none is a group of its own.
func (h *Host) group(affinity uint64) uint64 {
	if affinity != 0 {
		return affinity
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lone++
	return h.lone | 1<<63
}

// forget takes out a transport, once, when it is closed, and keeps its counters.
func (h *Host) forget(t *Transport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.transports, t)
	for _, a := range t.addrs {
		a.addTo(&a.iface.in, &a.iface.out)
	}
}

// InterfaceUse is the use of one Interface so far, in the order of Config.Interfaces.
type InterfaceUse struct {
	Interface  Interface
	Ports      int // in the range, without those excluded
	Used       int
	LastPort   int // handed out last; 0: none yet
	In, Out    Counters
	Transports int // open ones
}

// Use tells the use of all interfaces. It costs a look at each open transport and disturbs no worker.
func (h *Host) Use() []InterfaceUse {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := make(map[*iface]int, len(h.ifaces))
	use := make([]InterfaceUse, len(h.ifaces))
	for i, f := range h.ifaces {
		at[f] = i
		u := &use[i]
		u.Interface, u.In, u.Out = f.Interface, f.in, f.out
		u.Ports, u.Used, u.LastPort = f.pool.count(&f.ports)
	}
	for t := range h.transports {
		for _, a := range t.addrs {
			u := &use[at[a.iface]]
			u.Transports++
			a.addTo(&u.In, &u.Out)
		}
	}
	return use
}

// Totals are counters over the life of a Host.
type Totals struct {
	User          Counters // received and handled by the workers; Errors are packets dropped as wrong
	Kernel        Counters // forwarded by the fast path
	EventsDropped uint64
	Flows         int    // in the fast path now
	FlowsEntered  uint64 // the fast path so far
	GuardPassed   uint64 // to media ports without socket, while the fast path guards them
	GuardDropped  uint64
	Refused       map[string]uint64 // how often streams were kept from the fast path, by reason; their number is bounded
}

// Totals sums up. It costs no look at the transports.
func (h *Host) Totals() Totals {
	var sum Totals
	if h.fast != nil {
		sum.Kernel = h.fast.kernel.load()
		sum.Flows, sum.Refused = h.fast.use()
		sum.FlowsEntered = h.fast.serial.Load()
		st := h.fast.table.Status()
		sum.GuardPassed, sum.GuardDropped = st.GuardPassed, st.GuardDropped
	}
	sum.User = h.handled.load()
	if io, ok := h.io.(interface{ failures() uint64 }); ok {
		sum.User.Errors += io.failures()
	}
	sum.EventsDropped = h.events.dropped.Load()
	return sum
}
