package ice

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// maxRemotes bounds what a peer can make us check; the reference reads as many. maxReflexive bounds the sources
	// that an authenticated peer can make us learn, maxEarly those remembered before its credentials are known.
	maxRemotes   = 100
	maxReflexive = 32
	maxEarly     = 32

	// patience is the time for which an agent without a pair keeps hoping, RFC 8863 section 4: the time that one
	// STUN transaction with default timers takes. It covers peers that learn our candidates late.
	patience = 39500 * time.Millisecond
)

// Config is what a new agent knows of its own side. Locals is kept and must not be changed afterwards.
type Config struct {
	Local       Credentials // empty: drawn from Rand
	Controlling bool
	Lite        bool   // we only answer checks, RFC 8445 section 2.5
	TieBreaker  uint64 // 0: drawn from Rand
	// Locals are the host candidates, each one the address of a socket. Several sockets of one component differ in
	// priority, see Priority. Their index is what Input and Action call local.
	Locals   []Candidate
	Software string    // SOFTWARE attribute, at most 128 characters; empty: none is sent
	Rand     io.Reader // nil: crypto/rand
}

// Remote is what signalling says of the peer.
type Remote struct {
	Credentials
	Lite       bool
	Candidates []Candidate
	Trickle    bool // candidates may follow: do not give up for want of them before End
	End        bool // a=end-of-candidates
}

// generation is one pair of credentials: an ICE session. A restart begins another, while the selected pairs of the
// one before live on.
type generation struct {
	local, remote       Credentials
	localKey, remoteKey stun.MessageIntegrity
	username            []byte // of our requests
	known               bool   // remote is set
}

func (g *generation) setRemote(c Credentials) {
	g.remote, g.known = c, true
	g.remoteKey = stun.MessageIntegrity(c.Pwd)
	g.username = []byte(c.Ufrag + ":" + g.local.Ufrag)
}

// newGeneration draws missing credentials: an empty password would let everybody in.
func (a *Agent) newGeneration(local Credentials) *generation {
	if local.Ufrag == "" || local.Pwd == "" {
		local = NewCredentials(a.cfg.Rand)
	}
	return &generation{local: local, localKey: stun.MessageIntegrity(local.Pwd)}
}

// component is the choice made for one component.
type component struct {
	active     bool  // has local candidates and was not dropped
	wanted     bool  // the peer has candidates for it, or sent checks
	selected   *pair // carries media; during a restart one of the old generation
	nominating *pair // controlling: the check with USE-CANDIDATE is under way
	insisting  bool  // controlling: a nomination was given up that the peer may have taken
	firstValid time.Time
	lost       bool // consent was lost and no pair has followed
}

// early is the last check from one source that came before the credentials of its sender.
type early struct {
	local      int
	from       netip.AddrPort
	ufrag      string
	priority   uint32
	nomination uint32
	useCand    bool
	leads      bool // ICE-CONTROLLING
}

// Agent is one ICE agent. Make it with New; see the package documentation for how to drive it.
type Agent struct {
	cfg         Config
	controlling bool
	tieBreaker  uint64
	remoteLite  bool
	trickle     bool // the peer may still add candidates
	selective   bool // the peer leads and has sent checks that do not nominate
	state       State
	started     time.Time // first remote credentials of the current generation

	gen, old   *generation // old: only while a selected pair belongs to it
	components [3]component
	remotes    []*remoteCandidate
	pairs      []*pair
	triggered  []*pair
	txs        []transaction
	early      []early
	mayThaw    bool      // pairs came or went since thaw was last called
	lastCheck  time.Time // when the last check was started
	now        time.Time // of the last call
	reflexives int       // numbers foundations
	stats      Stats

	actions []Action
	arena   []byte
	drained bool

	in, out  stun.Message
	msg      message
	xor      stun.XORMappedAddress
	xorOut   stun.XORMappedAddress
	software []byte
	scratch  [64]byte
}

// New makes an agent in StateNew. It answers checks at once and sends its own after SetRemote.
func New(cfg Config) *Agent {
	cfg.Software = cfg.Software[:min(len(cfg.Software), 128)]
	a := &Agent{
		cfg: cfg, controlling: cfg.Controlling && !cfg.Lite, tieBreaker: cfg.TieBreaker,
		software: []byte(cfg.Software),
	}
	a.gen = a.newGeneration(cfg.Local)
	if a.tieBreaker == 0 {
		a.tieBreaker = a.random64()
	}
	for i := range cfg.Locals {
		if c := cfg.Locals[i].Component; c == 1 || c == 2 {
			a.components[c].active = true
		}
	}
	return a
}

// SetRemote tells the peer's credentials and candidates and starts the checks. Candidates handed to AddRemote before
// are kept. Other credentials than before restart the session towards the peer, as Restart does for our side, with
// the selected pairs kept until new ones are nominated; the same credentials again only add the candidates, as do
// empty ones.
func (a *Agent) SetRemote(now time.Time, r Remote) {
	if r.Ufrag == "" || r.Pwd == "" {
		a.AddRemote(now, r.End, r.Candidates...)
		return
	}
	if a.gen.known && a.gen.remote != r.Credentials {
		a.renew(a.gen.local)
	}
	first := !a.gen.known
	if first {
		a.gen.setRemote(r.Credentials)
		a.started = now
	}
	a.remoteLite = r.Lite
	a.trickle = r.Trickle && !r.End
	if r.Lite && !a.cfg.Lite {
		a.setControlling(true)
	}
	for i := range r.Candidates {
		a.addRemote(&r.Candidates[i])
	}
	if first {
		for _, c := range a.remotes {
			a.pairRemote(c)
		}
		a.replayEarly(now)
	}
	a.run(now)
}

// AddRemote adds trickled candidates of the current session; end means that none will follow. It may come before
// SetRemote, never with candidates that belong to other credentials.
func (a *Agent) AddRemote(now time.Time, end bool, candidates ...Candidate) {
	for i := range candidates {
		a.addRemote(&candidates[i])
	}
	if end {
		a.trickle = false
	}
	a.run(now)
}

// Restart begins a new session with new local credentials on the same sockets; SetRemote must follow. The selected
// pairs stay, and the old session keeps its consent and its answers, until pairs of the new one are nominated.
// Source: RFC 8445 section 9.
func (a *Agent) Restart(now time.Time, local Credentials, controlling bool) {
	a.renew(local)
	a.trickle = false
	a.setControlling(controlling && !a.cfg.Lite)
	a.run(now)
}

// renew replaces the generation, keeping of the old one what carries media.
func (a *Agent) renew(local Credentials) {
	before := a.gen
	sameLocal := before.local == local
	a.gen = a.newGeneration(local)
	a.remotes, a.pairs, a.triggered = nil, nil, nil
	a.selective = false
	a.txs = slices.DeleteFunc(a.txs, func(t transaction) bool { return !t.consent })
	for c := range a.components {
		comp := &a.components[c]
		comp.nominating, comp.insisting, comp.firstValid, comp.lost, comp.wanted = nil, false, time.Time{}, false, false
		if comp.selected != nil && comp.selected.gen == before {
			a.old = before
		}
	}
	if !sameLocal {
		a.early = a.early[:0]
	}
	a.started = time.Time{}
	a.forgetOld()
}

// forgetOld lets go of the old generation once nothing belongs to it.
func (a *Agent) forgetOld() {
	for c := range a.components {
		if s := a.components[c].selected; s != nil && s.gen == a.old {
			return
		}
	}
	a.old = nil
}

// DropComponent gives a component up, as when rtcp-mux was agreed on. Checks to its sockets are still answered.
func (a *Agent) DropComponent(now time.Time, c int) {
	if c < 1 || c > 2 {
		return
	}
	a.components[c] = component{}
	a.removePairs(func(p *pair) bool { return p.component == c })
	a.forgetOld()
	a.run(now)
}

// Tick does what is due. Calling it early or late is harmless.
func (a *Agent) Tick(now time.Time) { a.run(now) }

// setControlling changes the role and with it all pair priorities.
func (a *Agent) setControlling(on bool) {
	if a.controlling == on {
		return
	}
	a.controlling = on
	for c := range a.components {
		a.components[c].nominating = nil
	}
	for _, p := range a.pairs {
		if p.queuedUse {
			a.unqueue(p)
		}
		a.setPriority(p)
	}
	for c := range a.components {
		// Who leads nominates, once more if need be: what the peer nominated it may not know for nominated, for it led no
		// more when our answer came. Who follows again before that keeps what was nominated until something else is.
		if a.nominated(c) {
			s := a.components[c].selected
			s.nominated, s.wanted = !on, on
		}
	}
	a.act(Action{Kind: RoleChanged, Controlling: on})
}

// addRemote takes in a signalled candidate.
func (a *Agent) addRemote(c *Candidate) {
	if !c.usable() || c.Component < 1 || c.Component > 2 {
		a.stats.CandidatesIgnored++
		return
	}
	comp := &a.components[c.Component]
	if !comp.active {
		return
	}
	comp.wanted = true
	addr := normal(c.Addr)
	if known := a.remoteAt(c.Component, addr); known != nil {
		if known.Type == PeerReflexive && c.Type != PeerReflexive {
			// Now we know what it is. Its priority and foundation are those signalled, RFC 8838 section 11.
			known.Type, known.Priority, known.Foundation, known.learned = c.Type, c.Priority, c.Foundation, false
			for _, p := range a.pairs {
				if p.remote == known {
					a.setPriority(p)
				}
			}
		}
		return
	}
	if a.count(func(r *remoteCandidate) bool { return !r.learned }) >= maxRemotes {
		a.stats.CandidatesIgnored++
		return
	}
	r := &remoteCandidate{Candidate: *c}
	r.Addr = addr
	a.remotes = append(a.remotes, r)
	if a.gen.known && !a.nominated(c.Component) {
		a.pairRemote(r)
	}
}

func (a *Agent) count(f func(*remoteCandidate) bool) (n int) {
	for _, r := range a.remotes {
		if f(r) {
			n++
		}
	}
	return n
}

// remoteAt finds a remote candidate. A link-local one may have been signalled without the zone that sources have.
func (a *Agent) remoteAt(component int, addr netip.AddrPort) *remoteCandidate {
	for _, r := range a.remotes {
		if r.Component == component && r.Addr.Port() == addr.Port() &&
			(r.Addr == addr || r.Addr.Addr().WithZone("") == addr.Addr().WithZone("")) {
			return r
		}
	}
	return nil
}

// replayEarly treats the checks that came before SetRemote as if they came now.
func (a *Agent) replayEarly(now time.Time) {
	kept := a.early[:0]
	for _, e := range a.early {
		if e.ufrag != a.gen.remote.Ufrag {
			kept = append(kept, e)
			continue
		}
		a.checked(now, &e)
	}
	a.early = kept
}

func (a *Agent) random64() uint64 {
	fill(a.cfg.Rand, a.scratch[:8])
	return binary.BigEndian.Uint64(a.scratch[:])
}

func (a *Agent) newID() (id [stun.TransactionIDSize]byte) {
	fill(a.cfg.Rand, a.scratch[:len(id)])
	copy(id[:], a.scratch[:])
	return id
}
