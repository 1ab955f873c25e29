package relay

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rtpsidecar/relay/dtls"
)

// Transport is the local end of one media section, or of a bundle of them: for each local address an RTP port and,
// unless single, an RTCP port; the ICE agent, the DTLS associations and the SRTP state that run on them.
//
// All its sockets are read by one worker at a time, which owns what is about received packets. The methods are for the engine and
// safe for concurrent use; what they change reaches the worker through atomic pointers.
type Transport struct {
	// What each packet needs, in few lines of a cache.
	live    atomic.Pointer[live]
	plan    atomic.Pointer[Plan]
	fast    *flow // nil: the Host has no table
	sources sources
	comps   [2]component

	host  *Host
	cfg   TransportConfig
	log   *slog.Logger
	group uint64       // for PacketIO
	addrs []*localAddr // the first is primary; fixed once Open has returned

	agent agent
	cert  *dtls.Certificate

	mu        sync.Mutex // serialises Apply, timers and Close; never taken for packets
	closed    bool
	applied   Settings
	gen       uint64
	tos       int // of the sockets
	sdes      sdesKeys
	dummies   timer // pierce-NAT
	reports   timer // of our own RTCP
	handshake timer // armed when an association may be able to start
}

// localAddr is one bound address of a transport.
type localAddr struct {
	iface *iface
	ports [2]*port // RTCP is nil in a single-component transport
}

// live is the part of the settings that the packet path needs, as an immutable snapshot.
type live struct {
	gen      uint64 // changes when endpoint learning begins anew
	opaque   bool
	muxed    bool
	natWait  bool
	dropIn   bool
	consumes bool // RTCP ends here
	measured bool // Settings.Measured
	tos      uint8
	rules    [2]rules
}

var emptyPlan = &Plan{}

func newTransport(h *Host, cfg TransportConfig) *Transport {
	t := &Transport{host: h, cfg: cfg, log: cfg.Log, tos: h.cfg.TOS}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	for i := range t.comps {
		t.comps[i].t = t
		t.comps[i].id = Component(i)
	}
	t.live.Store(&live{})
	t.plan.Store(emptyPlan)
	if h.fast != nil {
		t.fast = &flow{fp: h.fast, t: t}
	}
	t.agent.t, t.agent.timer.run = t, t.agent.tick
	t.dummies.run = t.pierce
	t.reports.run = t.report
	t.handshake.run = t.runDTLS
	return t
}

// bind opens the ports on one address. Ports that others hold are skipped.
func (t *Transport) bind(f *iface) error {
	n := 2
	if t.cfg.Single {
		n = 1
	}
	var taken []int // by others: they stay marked until the search is over, then rest
	defer func() { f.pool.release(taken...) }()
	for {
		first, ok := f.pool.take(&f.ports, n)
		if !ok {
			return fmt.Errorf("interface %s, address %s, ports %d-%d: %w", f.Name, f.Local, f.PortMin, f.PortMax, ErrNoPorts)
		}
		a := &localAddr{iface: f}
		err := t.bindPorts(a, first, n)
		if err == nil {
			t.addrs = append(t.addrs, a)
			return nil
		}
		for i := range n {
			if a.ports[i] != nil {
				a.ports[i].sock.Close()
			}
			taken = append(taken, first+i)
		}
		if !portTaken(err) {
			return fmt.Errorf("interface %s: %w", f.Name, err)
		}
	}
}

func (t *Transport) bindPorts(a *localAddr, first, n int) error {
	for i := range n {
		p := &port{comp: &t.comps[i], local: netip.AddrPortFrom(a.iface.Local, uint16(first+i))}
		p.take = p.receive
		if t.fast != nil {
			p.take = p.receiveFast
		}
		var err error
		if p.sock, err = t.host.io.Open(p.local, t.group, p.take); err != nil {
			return err
		}
		if tos := t.host.cfg.TOS; tos > 0 {
			p.sock.SetTOS(uint8(tos))
		}
		a.ports[i] = p
	}
	return nil
}

// Certificate is what this transport presents in its handshakes; it is fixed when the transport is opened.
func (t *Transport) Certificate() Certificate { return t.cert }

// Locals lists the bound addresses, the primary one first.
func (t *Transport) Locals() []Local {
	list := make([]Local, len(t.addrs))
	for i, a := range t.addrs {
		list[i] = Local{Interface: &a.iface.Interface, Addr: a.iface.Local, Advertised: a.iface.Advertised}
		for c, p := range a.ports {
			if p != nil {
				list[i].Ports[c] = p.local.Port()
			}
		}
	}
	return list
}

// SetPlan says where received packets go from now on; p must not be changed afterwards. Nil: nowhere.
func (t *Transport) SetPlan(p *Plan) {
	if p == nil {
		p = emptyPlan
	}
	if t.fast == nil {
		t.plan.Store(p)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.fast.fp.replan(t, p)
	}
}

// Apply brings the transport to what s says, changing only what differs. s and what it refers to must not be changed
// afterwards. On an error nothing has changed; net.ErrClosed after Close.
func (t *Transport) Apply(s Settings) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	for i, r := range s.Remote {
		s.Remote[i] = netip.AddrPortFrom(r.Addr().Unmap(), r.Port())
	}
	if i := s.ICE; i != nil && i.Lite && i.RemoteLite {
		s.ICE = nil // neither would send a check (RFC 8445 section 6.1.1), so nothing could ever be proven
	}
	now := t.host.now()
	prev := t.applied
	first := t.gen == 0
	sdes, err := t.sdes.next(s.SDES)
	if err != nil {
		return err
	}
	t.sdes = sdes
	if err := t.associate(&s); err != nil {
		return err
	}
	t.secure(&s)
	if first || relearns(&prev, &s) {
		t.gen++
	}
	t.live.Store(t.snapshot(&s, now))
	t.agent.configure(&s, &prev, now)
	for i := range t.comps {
		c := &t.comps[i]
		moved := first || s.Remote[i] != prev.Remote[i] || s.Muxed != prev.Muxed || (s.ICE == nil) != (prev.ICE == nil)
		c.restart(t.gen, moved, t.advertised(&s, c.id))
	}
	t.setTOS(s.TOS)
	t.applied = s
	t.configureReports(s.Reports, prev.Reports, now)
	t.changed()
	t.startDTLS()
	if s.PierceNAT && (first || !prev.PierceNAT || s.Remote != prev.Remote) {
		t.host.timers.arm(&t.dummies, now)
	}
	return nil
}

// relearns reports whether learning must begin anew.
func relearns(a, b *Settings) bool {
	return a.Signalling != b.Signalling || a.Remote != b.Remote || a.RemoteSeen != b.RemoteSeen ||
		a.Learning != b.Learning || a.Asymmetric != b.Asymmetric || a.Muxed != b.Muxed ||
		(a.ICE == nil) != (b.ICE == nil)
}

// snapshot makes the packet path's view of s. The learning window begins now, unless it goes on. t.mu is held.
func (t *Transport) snapshot(s *Settings, now time.Time) *live {
	lv := &live{gen: t.gen, opaque: s.Opaque, muxed: s.Muxed, natWait: s.NATWait, dropIn: s.DropIn, consumes: s.Reports > 0, measured: s.Measured,
		tos: uint8(t.wantedTOS(s.TOS))}
	until := now.Add(learnWindow)
	if old := t.live.Load(); old.gen == t.gen {
		until = old.rules[RTP].until
	}
	mode := s.Learning
	if s.ICE != nil && mode != LearnOff {
		mode = LearnImmediate // for as long as the far side shows no sign of ICE
	}
	for i := range lv.rules {
		lv.rules[i] = rules{
			mode: mode, seen: s.RemoteSeen, hold: s.ICE == nil && held(s.Remote[i]), asymmetric: s.Asymmetric,
			strict: s.StrictSource, handover: s.Handover, advertised: s.Remote[i], until: until,
		}
	}
	return lv
}

// held reports whether an address from SDP asks for nothing to be sent.
func held(a netip.AddrPort) bool { return a.IsValid() && (a.Addr().IsUnspecified() || a.Port() == 0) }

// advertised is how to send to where signalling says, from the first local address of that family; nil: not at all.
func (t *Transport) advertised(s *Settings, c Component) *target {
	remote := s.Remote[c]
	if !remote.IsValid() || held(remote) || c == RTCP && s.Muxed {
		return nil
	}
	for _, a := range t.addrs {
		if p := a.ports[c]; p != nil && a.iface.Local.Is4() == remote.Addr().Is4() {
			return p.to(remote, false)
		}
	}
	return nil
}

// wantedTOS is what Settings.TOS means.
func (t *Transport) wantedTOS(tos int) int {
	if tos < 0 {
		return t.host.cfg.TOS
	}
	return tos
}

// setTOS marks what is sent. t.mu is held.
func (t *Transport) setTOS(tos int) {
	if tos = t.wantedTOS(tos); tos == t.tos {
		return
	}
	t.tos = tos
	for _, a := range t.addrs {
		for _, p := range a.ports {
			if p != nil {
				if err := p.sock.SetTOS(uint8(tos)); err != nil {
					t.log.Warn("type of service not set", "port", p.local.Port(), "tos", tos, "err", err)
				}
			}
		}
	}
}

// dummyInterval is how often pierce-NAT repeats itself, as observed of the reference.
const dummyInterval = time.Second

// dummy is the packet that opens a pinhole: version 2, the payload type 127 that nobody uses, sequence number 0xffff.
var dummy = [12]byte{0x80, 0x7f, 0xff, 0xff}

// pierce sends dummies to those who were not heard yet, and comes again while there are any.
func (t *Transport) pierce(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.applied.PierceNAT {
		return
	}
	again := false
	for i := range t.comps {
		c := &t.comps[i]
		if tg := c.target.Load(); tg != nil && !c.heard.Load() {
			tg.sock.Send(dummy[:], tg.addr)
			again = true
		}
	}
	if again {
		t.host.timers.arm(&t.dummies, now.Add(dummyInterval))
	}
}

// Close closes the sockets; their ports go to rest. Sinks that still point here send into nothing. It may be repeated.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.host.timers.arm(&t.dummies, time.Time{})
	t.host.timers.arm(&t.reports, time.Time{})
	t.host.timers.arm(&t.handshake, time.Time{})
	t.agent.mu.Lock()
	t.agent.stop()
	t.agent.mu.Unlock()
	if t.fast != nil {
		t.fast.fp.replan(t, emptyPlan)
		t.fast.close()
	} else {
		t.plan.Store(emptyPlan)
	}
	for i := range t.comps {
		if a := t.comps[i].assoc.Swap(nil); a != nil {
			a.keyer.Close() // says good-bye, so it comes before the target goes
		}
		t.comps[i].stop()
	}
	t.changed()
	t.mu.Unlock()
	for _, a := range t.addrs {
		var ports []int
		for _, p := range a.ports {
			if p != nil {
				p.sock.Close()
				ports = append(ports, int(p.local.Port()))
			}
		}
		a.iface.pool.release(ports...)
	}
	t.host.forget(t)
	return nil
}
