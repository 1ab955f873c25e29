package relay

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"rtpsidecar/relay/ice"
)

// Drops counts the datagrams of a component that came and did not count as media, by reason, for those who ask why a
// call is silent. They are errors of Counters too, but for STUN, which never was media, and Short.
type Drops struct {
	Source    uint64         // from an address that the learning rules, or ICE, do not accept
	Auth      uint64         // SRTP that did not authenticate; while Passed it went on nevertheless, and is no error
	Passed    bool           // the newest packet is one of Auth that went on as it came, see passOn
	Early     uint64         // SRTP before the keys were agreed
	Malformed uint64         // neither of the protocols, or broken
	Unrouted  uint64         // RTP that belongs to no section of the bundle
	STUN      uint64         // STUN where no ICE was agreed
	Short     uint64         // RTP of fewer bytes than usual, see ShortSet
	DTLS      uint64         // DTLS where none was agreed, or from an address that ICE does not know
	From      netip.AddrPort // of the newest in Source
	AuthFrom  netip.AddrPort // of the newest in Auth
	AuthSince time.Time      // of the first in Auth after the last good packet
}

// drops is where the worker counts them: only on branches that drop the datagram anyhow.
type drops struct {
	source, auth, early, malformed, unrouted, stun, dtls, short atomic.Uint64

	from, authFrom addrCell
	authSince      atomic.Int64 // Unix nanoseconds
	passed         atomic.Int64 // when the newest one of auth went on; Unix nanoseconds
}

// dropped is where c's are counted. Only for the worker.
func (c *component) dropped() *drops {
	if c.drops.Load() == nil {
		c.drops.Store(new(drops))
	}
	return c.drops.Load()
}

func (d *drops) load() Drops {
	if d == nil {
		return Drops{}
	}
	out := Drops{
		Source: d.source.Load(), Auth: d.auth.Load(), Early: d.early.Load(), Malformed: d.malformed.Load(),
		Unrouted: d.unrouted.Load(), STUN: d.stun.Load(), DTLS: d.dtls.Load(), Short: d.short.Load(),
		From: d.from.load(), AuthFrom: d.authFrom.load(),
	}
	if ns := d.authSince.Load(); ns != 0 {
		out.AuthSince = time.Unix(0, ns)
	}
	return out
}

// refused counts a packet from a wrong source.
func (d *drops) refused(from netip.AddrPort) {
	d.source.Add(1)
	d.from.store(from)
}

// unauthentic counts a packet that SRTP did not accept; last is when the last good one came, in Unix nanoseconds.
func (d *drops) unauthentic(k *recvKeys, from netip.AddrPort, last int64, at time.Time) {
	if k.ctx == nil {
		d.early.Add(1)
		return
	}
	d.auth.Add(1)
	d.authFrom.store(from)
	if since := d.authSince.Load(); since == 0 || last > since {
		d.authSince.Store(at.UnixNano())
	}
}

// addrCell holds an address that the worker writes and all may read, without allocating. Its parts are written one
// after the other, so a reader may see a mixture of two: good enough to show to people.
type addrCell struct {
	high, low, port atomic.Uint64
}

func (c *addrCell) store(a netip.AddrPort) {
	b := a.Addr().As16()
	c.high.Store(binary.BigEndian.Uint64(b[:8]))
	c.low.Store(binary.BigEndian.Uint64(b[8:]))
	c.port.Store(uint64(a.Port()))
}

func (c *addrCell) load() netip.AddrPort {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], c.high.Load())
	binary.BigEndian.PutUint64(b[8:], c.low.Load())
	port := uint16(c.port.Load())
	if port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), port)
}

// ICEReport is what the agent of a transport knows, for people.
type ICEReport struct {
	State ice.State
	Stats ice.Stats
	Pairs []ice.PairStatus // in no order; Local counts through LocalCandidates
}

// ICE tells about the agent; false: there is none.
func (t *Transport) ICE() (ICEReport, bool) {
	g := &t.agent
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice == nil {
		return ICEReport{}, false
	}
	return ICEReport{State: g.ice.State(), Stats: g.ice.Stats(), Pairs: g.ice.AppendPairs(nil)}, true
}
