package relay

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"rtpsidecar/relay/dtls"
	"rtpsidecar/relay/srtp"
)

// association is the DTLS association of one component.
type association struct {
	c     *component
	cfg   DTLS
	keyer *dtls.Keyer
	begun bool      // started; Transport.mu
	role  dtls.Role // since then
	early bool      // without the far side's fingerprints, which are owed to keyer

	hold atomic.Bool            // cfg.Hold
	peer atomic.Pointer[target] // where the newest datagram came from, while the handshake goes on
	done atomic.Bool            // keys are installed
	err  atomic.Pointer[error]
}

// renews reports whether going from a to b asks for a new association (RFC 8842 section 4). What becomes known for the
// first time changes nothing.
func (a *DTLS) renews(b *DTLS) bool {
	return a.Generation != b.Generation ||
		a.TLSID != b.TLSID && a.TLSID != "" && b.TLSID != "" ||
		len(a.Fingerprints) > 0 && len(b.Fingerprints) > 0 && !slices.EqualFunc(a.Fingerprints, b.Fingerprints,
			func(x, y Fingerprint) bool {
				return strings.EqualFold(x.Hash, y.Hash) && bytes.Equal(x.Digest, y.Digest)
			})
}

// reversed reports whether role is the other one than a has started with. Once there are keys nobody can reverse it.
func (a *association) reversed(role SetupRole) bool {
	return a.begun && !a.done.Load() && role != RoleUndecided && (role == RoleActive) != (a.role == dtls.Client)
}

// associate brings the associations to what s says: one for each component in use. t.mu is held.
func (t *Transport) associate(s *Settings) error {
	for i := range t.comps {
		c := &t.comps[i]
		old := c.assoc.Load()
		if s.DTLS == nil || !t.has(c.id) || c.id == RTCP && s.Muxed {
			if old != nil {
				c.associate(nil)
				t.host.retire(old.keyer.Close)
			}
			continue
		}
		failed := old != nil && old.err.Load() != nil && s.Signalling != t.applied.Signalling
		if old != nil && !old.cfg.renews(s.DTLS) && !old.reversed(s.DTLS.Role) && !failed {
			old.cfg = *s.DTLS
			continue
		}
		a, err := c.newAssociation(s.DTLS)
		if err != nil {
			return err
		}
		c.associate(a)
		if old != nil {
			t.host.retire(func() error { old.keyer.Abandon(); return nil })
		}
	}
	return nil
}

func (c *component) newAssociation(cfg *DTLS) (*association, error) {
	t := c.t
	a := &association{c: c, cfg: *cfg}
	var err error
	a.keyer, err = dtls.New(dtls.Config{
		Certificate: t.cert, Send: a.send, OnResult: a.result, OnClose: a.closed,
		MTU: t.host.cfg.DTLSMTU, StrictOrder: t.host.cfg.StrictProfiles, Logger: t.log,
	})
	return a, err
}

// associate replaces the association; after it the old one can install no keys.
func (c *component) associate(a *association) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assoc.Store(a)
}

// has reports whether the transport has sockets for a component.
func (t *Transport) has(c Component) bool { return len(t.addrs) > 0 && t.addrs[0].ports[c] != nil }

// startDTLS starts the associations that can: those with a role and fingerprints. A client only makes ready before there
// is somewhere to send to. A server needs no address, it answers. Whoever proved by ICE that it got our offer may come
// before its answer does; its fingerprints are looked at when they are there. t.mu is held.
func (t *Transport) startDTLS() {
	for i := range t.comps {
		c := &t.comps[i]
		a := c.assoc.Load()
		if a == nil {
			continue
		}
		a.hold.Store(a.cfg.Hold)
		if a.begun && !a.early {
			c.releaseDTLS()
			continue
		}
		list := make([]dtls.Fingerprint, len(a.cfg.Fingerprints))
		for i, f := range a.cfg.Fingerprints {
			list[i] = dtls.Fingerprint{Hash: f.Hash, Digest: f.Digest}
		}
		if a.begun {
			if len(list) > 0 {
				a.early = false
				a.keyer.Expect(list)
			}
			continue
		}
		early := false
		switch {
		case a.cfg.Role == RoleUndecided:
			peer := a.peer.Load()
			if early = len(list) == 0 && peer != nil && c.vouched(peer.addr); !early {
				continue
			}
		case len(list) == 0:
			continue
		case a.cfg.Role == RoleActive:
			if !t.applied.RemoteSeen && !t.applied.Early {
				continue
			}
			a.begun, a.role = true, dtls.Client
			if err := a.keyer.Prepare(context.Background(), list); err != nil {
				a.fail(err)
			}
			c.releaseDTLS()
			continue
		}
		a.begun, a.role, a.early = true, dtls.Server, early
		if err := a.keyer.Start(context.Background(), dtls.Server, list); err != nil {
			a.fail(err)
		}
	}
}

// releaseDTLS sends the ClientHello that waits for somewhere to send to and leave to do so. It may be called from a worker: each goroutine
// that would have to wake up first costs a tenth of a millisecond.
func (c *component) releaseDTLS() {
	if a := c.assoc.Load(); a != nil && !a.hold.Load() && c.target.Load() != nil && !c.checking() {
		a.keyer.Release()
	}
}

// vouched reports whether the owner of an address proved by ICE that it has our SDP.
func (c *component) vouched(from netip.AddrPort) bool {
	v := c.pair.Load()
	return v != nil && v.heard() && c.proven(from)
}

// wakeDTLS has the associations looked at soon; it may be called from a worker.
func (t *Transport) wakeDTLS(now time.Time) { t.host.timers.arm(&t.handshake, now) }

func (t *Transport) runDTLS(time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.startDTLS()
	}
}

// dtls hands a datagram to the association. While there is none, or no role yet, the Keyer keeps the first ones.
func (p *port) dtls(b []byte, from netip.AddrPort) {
	a := p.comp.assoc.Load()
	if a == nil || !p.comp.proven(from) {
		p.refused()
		p.comp.dropped().dtls.Add(1)
		return
	}
	if !a.done.Load() {
		if to := a.peer.Load(); to == nil || to.addr != from || to.port != p {
			a.peer.Store(p.to(from, false))
			if p.comp.vouched(from) {
				p.comp.t.wakeDTLS(p.comp.t.host.now())
			}
		}
	}
	a.keyer.Deliver(b)
}

// send puts a datagram of the handshake on the wire: to where the far side's came from, so that one behind a NAT is
// reached, else to where media goes.
func (a *association) send(b []byte) {
	to := a.peer.Load()
	if to == nil || a.done.Load() || a.c.selected() {
		if media := a.c.target.Load(); media != nil {
			to = media
		}
	}
	if to != nil {
		to.sock.Send(b, to.addr)
	}
}

// result installs the keys. It runs in the Keyer's goroutine and takes no lock that Close of the Keyer is called under.
func (a *association) result(r dtls.Result) {
	var before *sendKeys
	if r.Err == nil {
		before, r.Err = a.install(r)
	}
	if r.Err != nil {
		a.fail(r.Err)
		return
	}
	t := a.c.t
	t.changed()
	t.host.events.emit(EventDTLSConnected, t, a.c.id, t.host.now(), r.Suite.Name+", "+r.RemoteFingerprintHash)
	if before != nil {
		if b := before.take(t.host.now()); b != nil {
			a.c.send(b, asRTP, nil)
		}
	}
}

// install returns the keys that media was sent with before.
func (a *association) install(r dtls.Result) (before *sendKeys, err error) {
	recv, err := srtp.New(r.Remote)
	if err != nil {
		return nil, err
	}
	send, err := srtp.New(r.Local)
	if err != nil {
		return nil, err
	}
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	if a.c.assoc.Load() != a {
		return nil, dtls.ErrClosed
	}
	a.c.recv.Store(&recvKeys{ctx: recv})
	before = a.c.sendKeys.Swap(&sendKeys{ctx: send})
	a.done.Store(true)
	a.teach()
	return before, nil
}

// teach sends media to where the handshake came from, as long as no media has said better: a far end behind a NAT may
// have nothing to send. c.mu is held.
func (a *association) teach() {
	c := a.c
	r := &c.t.live.Load().rules[c.id]
	peer, to := a.peer.Load(), c.target.Load()
	if peer == nil || c.pair.Load() != nil || r.hold || r.asymmetric || r.mode == LearnOff || to != nil && to.confirmed {
		return
	}
	c.target.Store(peer)
}

// fail remembers why there are no keys. One that was replaced or closed by us is nobody's business.
func (a *association) fail(err error) {
	a.err.Store(&err)
	if t := a.c.t; a.c.assoc.Load() == a {
		t.host.events.emit(EventDTLSFailed, t, a.c.id, t.host.now(), err.Error())
	}
}

// closed is told that the association ended. Its keys stay: SRTP does not end with it.
func (a *association) closed(err error) {
	a.c.t.log.Debug("DTLS association ended", "component", int(a.c.id)+1, "err", err)
}
