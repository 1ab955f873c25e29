package relay

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"rtpsidecar/relay/ice"
)

// handoverGrace is how long packets of the pair selected before are still taken: they were under way when it changed.
const handoverGrace = 3 * time.Second

// minTick keeps one agent that is always due from having the timers to itself. Its own pace is 20 ms.
const minTick = time.Millisecond

// agent is a transport's ICE agent. Its lock is taken for STUN and signalling, never for media.
type agent struct {
	t *Transport

	mu    sync.Mutex
	ice   *ice.Agent
	ports []*port // by the agent's number of a local candidate
	pairs []ice.PairStatus
	timer timer
	had   bool // EventICEConnected was sent
	early bool // Settings.Early: the far side may not be ready

	restart int             // Settings.Signalling of our last restart
	before  ice.Credentials // the far side's at that time
}

// pairView is what the packet path knows of ICE, as an immutable snapshot; nil: ICE is not in use.
type pairView struct {
	remote    netip.AddrPort // of the selected pair; zero: none yet
	nominated bool
	since     time.Time      // when that was selected
	previous  netip.AddrPort // of the pair selected before
	until     time.Time      // until when that one is heard
	proven    []netip.AddrPort
	fallback  bool // the far side does no ICE after all
}

// heard reports whether the far side does ICE at all, as far as we know.
func (v *pairView) heard() bool { return v.remote.IsValid() || len(v.proven) > 0 }

// from reports whether media may come from this address: that of the selected pair and any other that the far side has
// proven to have, with its password (RFC 8445 section 12.2). Until it has been heard of by ICE, only the address of its
// SDP will do.
func (v *pairView) from(addr, advertised netip.AddrPort, at time.Time) bool {
	if !v.heard() {
		return addr == advertised
	}
	return addr == v.remote || addr == v.previous && at.Before(v.until) || slices.Contains(v.proven, addr)
}

// follow selects another proven pair when the far side has moved its media there, at most once in this time, as the
// reference does. A source that has proven nothing is never followed.
const followEvery = 3 * time.Second

func (c *component) follow(v *pairView, p *port, from netip.AddrPort, at time.Time) {
	if !v.nominated || from == v.remote || !slices.Contains(v.proven, from) || at.Sub(v.since) < followEvery {
		return
	}
	next := *v
	next.previous, next.until = v.remote, at.Add(handoverGrace)
	next.remote, next.since = from, at
	if c.pair.CompareAndSwap(v, &next) {
		if c.steer(p.to(from, true)) && c.t.fast != nil {
			c.t.fast.moved = true // we are the worker
		}
	}
}

// proven reports whether a handshake may come from this address.
func (c *component) proven(from netip.AddrPort) bool {
	v := c.pair.Load()
	return v == nil || !v.heard() || from == v.remote || slices.Contains(v.proven, from)
}

// checking reports whether ICE has yet to find out where the far side is.
func (c *component) checking() bool {
	v := c.pair.Load()
	return v != nil && !v.remote.IsValid() && !v.fallback
}

// selected reports whether ICE has chosen where to send.
func (c *component) selected() bool {
	v := c.pair.Load()
	return v != nil && v.remote.IsValid()
}

// LocalCandidates are the host candidates of all addresses, with what is advertised of them. They are sorted by address,
// the primary one first, then by component.
func (t *Transport) LocalCandidates() []ice.Candidate {
	var list []ice.Candidate
	for n, a := range t.addrs {
		for c, p := range a.ports {
			if p != nil {
				list = append(list, ice.Candidate{
					Foundation: a.iface.foundation, Component: c + 1, Priority: ice.Priority(ice.Host, n, c+1),
					Addr: netip.AddrPortFrom(a.iface.Advertised, p.local.Port()), Type: ice.Host,
				})
			}
		}
	}
	return list
}

// SelectedPair is the pair that a component uses; false: none yet. Local is the bound address.
func (t *Transport) SelectedPair(c Component) (Pair, bool) {
	g := &t.agent
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.selectedPair(c)
}

func (g *agent) selectedPair(c Component) (Pair, bool) {
	if g.ice == nil {
		return Pair{}, false
	}
	s, ok := g.ice.Selected(int(c) + 1)
	if !ok {
		return Pair{}, false
	}
	return Pair{Local: g.ports[s.Local].local, Remote: s.Remote, Nominated: s.Nominated}, true
}

// status fills in what concerns ICE.
func (g *agent) status(st *Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice == nil {
		return
	}
	st.ICEState = g.ice.State().String()
	for c := range st.Pairs {
		st.Pairs[c], _ = g.selectedPair(Component(c))
	}
}

// lastGood is when the far side last proved that it is there.
func (g *agent) lastGood() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice == nil {
		return time.Time{}
	}
	return g.ice.Stats().LastGood
}

// AddCandidates adds candidates that came by trickle ICE; end says that none will follow. They belong to the remote
// credentials applied last. Without ICE they are ignored.
func (t *Transport) AddCandidates(end bool, list ...ice.Candidate) {
	g := &t.agent
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice != nil {
		now := t.host.now()
		g.ice.AddRemote(now, end, list...)
		g.act(now)
	}
}

// configure brings the agent to what s says. Transport.mu is held.
func (g *agent) configure(s, prev *Settings, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.ICE == nil {
		g.stop()
		return
	}
	was := prev.ICE
	if g.ice != nil && was.Lite != s.ICE.Lite {
		g.stop()
	}
	if g.ice != nil && g.early && s.RemoteSeen && !g.heard() {
		g.stop() // nothing that was tried until now says that it would not work now
	}
	g.early = s.Early && !s.RemoteSeen
	fresh := g.ice == nil
	switch {
	case fresh:
		g.start(s.ICE)
	case was.Local != s.ICE.Local:
		g.ice.Restart(now, s.ICE.Local, s.ICE.Controlling)
		g.restart, g.before = s.Signalling, was.Remote
		g.reopen()
	}
	if s.Muxed && (fresh || !prev.Muxed) {
		g.ice.DropComponent(now, int(RTCP)+1)
	}
	// After a restart of ours the old credentials say nothing until the far side has spoken again.
	stale := s.ICE.Remote == g.before && s.Signalling == g.restart
	remote, known := g.ice.Remote()
	if (s.RemoteSeen || s.Early) && s.ICE.Remote.Pwd != "" && !stale && (!known || !was.sameRemote(s.ICE)) {
		if known && remote != s.ICE.Remote {
			g.reopen()
		}
		g.ice.SetRemote(now, ice.Remote{
			Credentials: s.ICE.Remote, Lite: s.ICE.RemoteLite, Candidates: s.ICE.Candidates,
			Trickle: s.ICE.Trickle, End: !s.ICE.Trickle,
		})
	}
	g.act(now)
}

// heard reports whether the far side has shown any sign of ICE.
func (g *agent) heard() bool {
	for i := range g.t.comps {
		if v := g.t.comps[i].pair.Load(); v != nil && v.heard() {
			return true
		}
	}
	return false
}

// reopen hears all proven addresses again, until a pair of the new session is nominated.
func (g *agent) reopen() {
	for i := range g.t.comps {
		c := &g.t.comps[i]
		v := *c.pair.Load()
		v.nominated = false
		c.pair.Store(&v)
	}
}

// sameRemote reports whether nothing new is said about the far side.
func (a *ICE) sameRemote(b *ICE) bool {
	return a != nil && a.Remote == b.Remote && a.RemoteLite == b.RemoteLite && a.Trickle == b.Trickle &&
		slices.Equal(a.Candidates, b.Candidates)
}

func (g *agent) start(cfg *ICE) {
	t := g.t
	g.ports = g.ports[:0]
	for _, a := range t.addrs {
		for _, p := range a.ports {
			if p != nil {
				p.path = len(g.ports)
				g.ports = append(g.ports, p)
			}
		}
	}
	g.ice = ice.New(ice.Config{
		Local: cfg.Local, Controlling: cfg.Controlling, Lite: cfg.Lite,
		Locals: t.LocalCandidates(), Software: t.host.cfg.Software,
	})
	for i := range t.comps {
		t.comps[i].pair.Store(&pairView{})
	}
}

func (g *agent) stop() {
	g.ice, g.had, g.before = nil, false, ice.Credentials{}
	g.t.host.timers.arm(&g.timer, time.Time{})
	for i := range g.t.comps {
		g.t.comps[i].pair.Store(nil)
	}
}

// tick is the timer.
func (g *agent) tick(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice != nil {
		g.ice.Tick(now)
		g.act(now)
	}
}

// stun takes a STUN datagram, in the worker of its socket.
func (p *port) stun(b []byte, from netip.AddrPort, at time.Time) {
	g := &p.comp.t.agent
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice == nil {
		p.comp.dropped().stun.Add(1)
		return // who asks without having agreed on ICE gets no answer, and STUN is never media
	}
	g.ice.Input(at, p.path, from, b)
	g.act(at)
	if v := p.comp.pair.Load(); v != nil && !v.nominated {
		g.prove(p.comp, v)
	}
}

// prove updates which addresses the far side has proven.
func (g *agent) prove(c *component, v *pairView) {
	g.pairs = g.ice.AppendPairs(g.pairs[:0])
	var proven []netip.AddrPort
	for i := range g.pairs {
		p := &g.pairs[i]
		if p.Component == int(c.id)+1 && (p.State == ice.Succeeded || !p.LastRequest.IsZero()) && !slices.Contains(proven, p.Remote) {
			proven = append(proven, p.Remote)
		}
	}
	g.ice.Early(func(local int, from netip.AddrPort) {
		if g.ports[local].comp == c && !slices.Contains(proven, from) {
			proven = append(proven, from)
		}
	})
	if !slices.Equal(proven, v.proven) {
		next := *v
		next.proven = proven
		c.pair.Store(&next)
	}
}

// act does what the agent wants done. What is due at once, such as the check that answers a check, does not wait for
// the timer.
func (g *agent) act(now time.Time) {
	g.perform(now)
	if at := g.ice.NextDeadline(); !at.IsZero() && !at.After(now) {
		g.ice.Tick(now)
		g.perform(now)
	}
	at := g.ice.NextDeadline()
	if soonest := now.Add(minTick); !at.IsZero() && at.Before(soonest) {
		at = soonest
	}
	g.t.host.timers.arm(&g.timer, at)
}

func (g *agent) perform(now time.Time) {
	for _, a := range g.ice.Actions() {
		switch a.Kind {
		case ice.Send:
			g.ports[a.Local].sock.Send(a.Packet, a.Remote)
		case ice.SelectedPair:
			g.choose(now, &g.t.comps[a.Component-1], g.ports[a.Local].to(a.Remote, a.Nominated))
		case ice.ConsentLost:
			c := &g.t.comps[a.Component-1]
			if c.steer(nil) {
				g.t.changed()
			}
			c.noConsent.Store(true)
			g.emit(EventConsentLost, c.id, now, a.Remote.String())
		case ice.StateChanged:
			g.changed(now, a.State)
		}
	}
}

// choose has a component use a pair.
func (g *agent) choose(now time.Time, c *component, to *target) {
	c.noConsent.Store(false)
	v := *c.pair.Load()
	if v.remote.IsValid() && v.remote != to.addr {
		v.previous, v.until = v.remote, now.Add(handoverGrace)
	}
	v.remote, v.nominated, v.since = to.addr, to.confirmed, now
	c.pair.Store(&v)
	if c.steer(to) {
		g.t.changed()
	}
	c.releaseDTLS()
	g.t.wakeDTLS(now)
}

func (g *agent) changed(now time.Time, s ice.State) {
	switch s {
	case ice.StateConnected, ice.StateCompleted:
		if !g.had {
			g.had = true
			p, _ := g.selectedPair(RTP)
			g.emit(EventICEConnected, RTP, now, p.Local.String()+" "+p.Remote.String())
		}
	case ice.StateFailed:
		if g.early {
			return
		}
		g.had = false
		g.emit(EventICEFailed, RTP, now, "")
		g.giveUp()
	}
}

// giveUp does without ICE where the far side has announced it but was never heard of by it: some gateways copy the
// attributes of others.
func (g *agent) giveUp() {
	for i := range g.t.comps {
		c := &g.t.comps[i]
		if v := c.pair.Load(); !v.heard() {
			next := *v
			next.fallback = true
			c.pair.Store(&next)
		}
	}
}

func (g *agent) emit(kind EventKind, c Component, now time.Time, detail string) {
	g.t.host.events.emit(kind, g.t, c, now, detail)
}
