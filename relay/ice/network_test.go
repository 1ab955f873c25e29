package ice

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// network joins agents in memory on a clock of its own. Everything random comes from one seed.
type network struct {
	t     *testing.T
	now   time.Time
	rng   *rand.Rand
	queue []event
	order int
	nodes []*node
	sent  int

	loss               float64
	minDelay, maxDelay time.Duration
	verdict            func(n int) int                    // copies of the n-th datagram to deliver; nil: one
	late               func(n int) time.Duration          // what the n-th datagram is held back; nil: nothing
	cut                func(src, dst netip.AddrPort) bool // datagrams that vanish
}

type event struct {
	at    time.Time
	order int
	do    func()
}

// node is an agent with its sockets.
type node struct {
	*Agent
	name       string
	net        *network
	addrs      []netip.AddrPort
	nat        *nat
	aggressive bool // USE-CANDIDATE is put into all checks
	selected   [3]Action
	picks      []Action // SelectedPair, in order
	states     []State
	lost       []time.Time
}

// nat is a translator in front of a node.
type nat struct {
	kind  natKind
	ext   netip.Addr
	ports map[string]netip.AddrPort // inside address, or inside and outside address → outside address
	back  map[netip.AddrPort]netip.AddrPort
	open  map[string]bool
}

type natKind int

const (
	fullCone natKind = iota + 1
	restricted
	portRestricted
	symmetric
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func newNetwork(t *testing.T, seed uint64) *network {
	return &network{
		t: t, now: start, rng: rand.New(rand.NewPCG(seed, 1)),
		minDelay: 5 * time.Millisecond, maxDelay: 5 * time.Millisecond,
	}
}

type rngReader struct{ *rand.Rand }

func (r rngReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return len(b), nil
}

// node adds an agent with a host candidate on each address; the component is the port's last digit.
func (n *network) node(name string, cfg Config, addrs ...string) *node {
	x := &node{name: name, net: n}
	for i, s := range addrs {
		ap := netip.MustParseAddrPort(s)
		c := int(ap.Port() % 10)
		x.addrs = append(x.addrs, ap)
		cfg.Locals = append(cfg.Locals, Candidate{
			Foundation: ap.Addr().String(), Component: c, Addr: ap, Priority: Priority(Host, i, c),
		})
	}
	cfg.Rand = rngReader{n.rng}
	cfg.Local = NewCredentials(cfg.Rand)
	x.Agent = New(cfg)
	n.nodes = append(n.nodes, x)
	return x
}

func (n *network) at(d time.Duration, do func()) {
	n.order++
	n.queue = append(n.queue, event{n.now.Add(d), n.order, do})
}

// remote is what signalling tells about x.
func (x *node) remote() Remote {
	return Remote{Credentials: x.Local(), Lite: x.cfg.Lite, Candidates: x.cfg.Locals, End: true}
}

// setRemote tells x about y.
func (x *node) setRemote(r Remote) {
	x.SetRemote(x.net.now, r)
	x.drain()
}

// drain carries out what the agent asks for.
func (x *node) drain() {
	n := x.net
	for _, act := range x.Actions() {
		switch act.Kind {
		case Send:
			x.send(x.addrs[act.Local], act.Remote, slices.Clone(act.Packet))
		case SelectedPair:
			if act.Remote.Addr().Is4() != x.addrs[act.Local].Addr().Is4() {
				n.t.Errorf("%s selected a pair of two families: %+v", x.name, act)
			}
			x.picks = append(x.picks, act)
			x.selected[act.Component] = act
		case StateChanged:
			x.states = append(x.states, act.State)
		case ConsentLost:
			x.lost = append(x.lost, n.now)
			x.selected[act.Component] = Action{}
		}
	}
}

func (x *node) send(src, dst netip.AddrPort, pkt []byte) {
	n := x.net
	if x.aggressive {
		pkt = n.addUseCandidate(x, pkt)
	}
	if x.nat != nil {
		src = x.nat.out(src, dst)
	}
	copies := 1
	if n.verdict != nil {
		copies = n.verdict(n.sent)
	}
	held := time.Duration(0)
	if n.late != nil {
		held = n.late(n.sent)
	}
	n.sent++
	if n.cut != nil && n.cut(src, dst) {
		return
	}
	for range copies {
		if n.rng.Float64() < n.loss {
			continue
		}
		delay := n.minDelay + held
		if d := n.maxDelay - n.minDelay; d > 0 {
			delay += time.Duration(n.rng.Int64N(int64(d)))
		}
		n.at(delay, func() { n.deliver(src, dst, pkt) })
	}
}

// nominateAll makes an aggressive peer use the best pair that it has proven, for all of them are nominated.
func (x *node) nominateAll() {
	if !x.aggressive || !x.Controlling() {
		return
	}
	for c := range x.components {
		if p, _ := x.best(x.net.now, c); p != nil {
			if p != x.components[c].selected {
				p.lastNominated = x.net.now
			}
			x.choose(x.net.now, p, true)
		}
	}
	x.updateState(x.net.now)
}

func (n *network) deliver(src, dst netip.AddrPort, pkt []byte) {
	for _, x := range n.nodes {
		to := dst
		if x.nat != nil {
			var ok bool
			if to, ok = x.nat.in(src, dst); !ok {
				continue
			}
		}
		if i := slices.Index(x.addrs, to); i >= 0 {
			x.Input(n.now, i, src, pkt)
			x.nominateAll()
			x.drain()
			return
		}
	}
}

// run lets time pass until done says so; it reports whether that was before the limit.
func (n *network) run(limit time.Duration, done func() bool) bool {
	n.t.Helper()
	end := n.now.Add(limit)
	stuck := 0
	for {
		if done != nil && done() {
			return true
		}
		at, who, what := end, (*node)(nil), -1
		for i, e := range n.queue {
			if e.at.Before(at) || what >= 0 && e.at.Equal(at) && e.order < n.queue[what].order {
				at, what = e.at, i
			}
		}
		for _, x := range n.nodes {
			if d := x.NextDeadline(); !d.IsZero() && d.Before(at) {
				at, who, what = d, x, -1
			}
		}
		if at.After(n.now) {
			n.now, stuck = at, 0
		} else if stuck++; stuck > 5000 {
			n.t.Fatalf("the clock stands still: %v wants to run at %v again and again", who, at)
		}
		switch {
		case who != nil:
			who.Tick(n.now)
			who.drain()
		case what >= 0:
			e := n.queue[what]
			n.queue = slices.Delete(n.queue, what, what+1)
			e.do()
		default:
			return done == nil
		}
	}
}

// addUseCandidate makes a regular nominator an aggressive one.
func (n *network) addUseCandidate(x *node, pkt []byte) []byte {
	m := &stun.Message{Raw: pkt}
	if m.Decode() != nil || m.Type != stun.BindingRequest || m.Contains(stun.AttrUseCandidate) ||
		!m.Contains(stun.AttrICEControlling) {
		return pkt
	}
	r, _ := x.Remote()
	return rebuild(m, r.Pwd, stun.RawAttribute{Type: stun.AttrUseCandidate})
}

// rebuild copies a message with more attributes and signs it anew.
func rebuild(m *stun.Message, pwd string, extra ...stun.RawAttribute) []byte {
	out := new(stun.Message)
	out.Type, out.TransactionID = m.Type, m.TransactionID
	out.WriteHeader()
	for _, a := range m.Attributes {
		if a.Type != stun.AttrMessageIntegrity && a.Type != stun.AttrFingerprint {
			out.Add(a.Type, a.Value)
		}
	}
	for _, a := range extra {
		out.Add(a.Type, a.Value)
	}
	_ = stun.NewShortTermIntegrity(pwd).AddTo(out)
	_ = stun.Fingerprint.AddTo(out)
	return out.Raw
}

func newNAT(kind natKind, ext string) *nat {
	return &nat{
		kind: kind, ext: netip.MustParseAddr(ext), ports: map[string]netip.AddrPort{},
		back: map[netip.AddrPort]netip.AddrPort{}, open: map[string]bool{},
	}
}

func (t *nat) out(src, dst netip.AddrPort) netip.AddrPort {
	key := src.String()
	if t.kind == symmetric {
		key += dst.String()
	}
	ext, ok := t.ports[key]
	if !ok {
		ext = netip.AddrPortFrom(t.ext, uint16(50000+len(t.ports)))
		t.ports[key], t.back[ext] = ext, src
	}
	t.open[t.filter(ext, dst)] = true
	return ext
}

func (t *nat) in(src, dst netip.AddrPort) (netip.AddrPort, bool) {
	in, ok := t.back[dst]
	return in, ok && (t.kind == fullCone || t.open[t.filter(dst, src)])
}

func (t *nat) filter(ext, peer netip.AddrPort) string {
	if t.kind == restricted {
		return fmt.Sprint(ext, peer.Addr())
	}
	return fmt.Sprint(ext, peer)
}

// pairOf is the selected pair as its owner sees it.
func (x *node) pairOf(c int) string {
	return fmt.Sprintf("%v>%v", x.addrs[x.selected[c].Local], x.selected[c].Remote)
}

// agree fails unless both ends selected the same pair for a component; NATs are looked through.
func agree(t *testing.T, a, b *node, c int) {
	t.Helper()
	x, y := a.selected[c], b.selected[c]
	if x.Kind != SelectedPair || y.Kind != SelectedPair || !x.Nominated || !y.Nominated {
		t.Errorf("component %d: %s has %+v, %s has %+v", c, a.name, x, b.name, y)
		return
	}
	inside := func(n *node, at netip.AddrPort) netip.AddrPort {
		if n.nat != nil {
			return n.nat.back[at]
		}
		return at
	}
	if inside(b, x.Remote) != b.addrs[y.Local] || inside(a, y.Remote) != a.addrs[x.Local] {
		t.Errorf("component %d: %s selected %s, %s selected %s", c, a.name, a.pairOf(c), b.name, b.pairOf(c))
	}
}

func completed(nodes ...*node) func() bool {
	return func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return n.State() != StateCompleted })
	}
}

func (n *network) dump() {
	for _, x := range n.nodes {
		n.t.Logf("%v %s: state %v controlling %v stats %+v", n.now.Sub(start), x.name, x.State(), x.Controlling(), x.Stats())
		ps := x.AppendPairs(nil)
		slices.SortFunc(ps, func(a, b PairStatus) int { return cmp.Compare(b.Priority, a.Priority) })
		for _, p := range ps {
			n.t.Logf("  %d %v > %v %v sel %v nom %v checks %d", p.Component, x.addrs[p.Local], p.Remote, p.State,
				p.Selected, p.Nominated, p.Checks)
		}
	}
}
