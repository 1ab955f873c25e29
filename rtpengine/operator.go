package rtpengine

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"rtpsidecar/relay"
)

// SessionInfo is one call in an operator's list.
type SessionInfo struct {
	CallID  string
	Created time.Time
	Proxy   string // who created it: address and port
	Deleted bool   // it lives on for the delete delay only
}

// Sessions lists the calls of this moment, the oldest first.
func (e *Engine) Sessions() []SessionInfo {
	list := make([]SessionInfo, 0, e.calls.Load())
	e.each(func(c *Call) {
		list = append(list, SessionInfo{CallID: c.ID, Created: c.created, Proxy: c.proxy, Deleted: !c.deleteAt.IsZero()})
	})
	slices.SortFunc(list, func(a, b SessionInfo) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.CallID, b.CallID)
	})
	return list
}

// NumSessions is the number of calls.
func (e *Engine) NumSessions() int { return int(e.calls.Load()) }

// LiveSessions is the number of calls that were not deleted.
func (e *Engine) LiveSessions() (n int) {
	for _, s := range e.Sessions() {
		if !s.Deleted {
			n++
		}
	}
	return n
}

// Families counts the calls by the address families of the ports that they use.
func (e *Engine) Families() (ipv4, ipv6, mixed int) {
	e.each(func(c *Call) {
		four, six := false, false
		c.medias(func(m *Media) {
			t := m.transport()
			if t == nil || m.leg.Rejected {
				return
			}
			if a := t.Status().Streams[relay.RTP].Local.Addr(); a.Is4() {
				four = true
			} else if a.IsValid() {
				six = true
			}
		})
		switch {
		case four && six:
			mixed++
		case four:
			ipv4++
		case six:
			ipv6++
		}
	})
	return ipv4, ipv6, mixed
}

// Terminate ends a call at once; false: there is none with this id.
func (e *Engine) Terminate(callID string) bool {
	c := e.lockCall(callID)
	if c == nil {
		return false
	}
	e.destroy(c, closedForced)
	e.unlock(c)
	return true
}

// TerminateAll ends all calls and returns how many there were.
func (e *Engine) TerminateAll() int {
	n := 0
	for _, c := range e.snapshot() {
		if e.Terminate(c.ID) {
			n++
		}
	}
	return n
}

// Adjusted is what is in force of the settings that may change.
func (e *Engine) Adjusted() Adjustable { return *e.adjustable.Load() }

// Adjust changes settings of the running engine: f gets a copy of those in force and changes that. Calls of today feel
// it at once.
func (e *Engine) Adjust(f func(*Adjustable)) {
	for {
		old := e.adjustable.Load()
		next := *old
		f(&next)
		if e.adjustable.CompareAndSwap(old, &next) {
			break
		}
	}
	e.each(func(c *Call) {
		c.aliveUntil = time.Time{} // it was worked out from the old timeouts
		c.look.at.Store(atOnce)
	})
}

// Drain refuses new calls from now on, or takes them again.
func (e *Engine) Drain(on bool) { e.draining.Store(on) }

// Draining tells whether new calls are refused.
func (e *Engine) Draining() bool { return e.draining.Load() }

// InterfaceUse tells the use of the media interfaces, and what is known of the quality of their calls.
func (e *Engine) InterfaceUse() []InterfaceUse {
	use := e.host.Use()
	list := make([]InterfaceUse, len(use))
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	for i, u := range use {
		v := e.stats.of(ifaceKey{u.Interface.Name, u.Interface.Local})
		list[i] = InterfaceUse{
			InterfaceUse: u, Lost: v.lost, Duplicates: v.duplicates,
			MOS: v.mos.average(), Loss: v.loss.average(), Jitter: v.jitter.average(), Measured: v.measured.average(),
			RTTE2E: v.rttE2E.average(), RTTLeg: v.rttLeg.average(),
		}
	}
	return list
}

// InterfaceUse is one media interface; averages are 0 where nothing was measured.
type InterfaceUse struct {
	relay.InterfaceUse
	Lost, Duplicates uint64
	MOS              float64
	Loss             float64 // percent
	Jitter, Measured float64 // ms
	RTTE2E, RTTLeg   float64 // µs
}

// ControlUse is one client of the control protocol: its requests by the short names of the commands.
type ControlUse struct {
	Client string
	Counts []CommandCount
	Errors uint64
}

// CommandCount is the number of requests of one command.
type CommandCount struct {
	Command string // short name, as in the keys of the statistics
	N       uint64
}

// ControlUse tells who asked for what, in the order of the command table.
func (e *Engine) ControlUse() []ControlUse {
	var list []ControlUse
	for _, p := range e.control.snapshot() {
		u := ControlUse{Client: p.proxy, Errors: p.errors}
		for i, n := range p.counts {
			u.Counts = append(u.Counts, CommandCount{commands[i].short, n})
		}
		list = append(list, u)
	}
	return list
}

// SessionDetail is one call as the console shows it.
type SessionDetail struct {
	SessionInfo
	TOS        int
	LastSignal time.Time
	Parties    []PartyDetail
}

// PartyDetail is one party of a SessionDetail.
type PartyDetail struct {
	Tag, Label, Branch string
	Offerer            bool // it made the first offer
	Duration           time.Duration
	Subscribed         []string // tags that it hears, with index
	Medias             []MediaDetail
}

// MediaDetail is one section of a PartyDetail.
type MediaDetail struct {
	Index                 int
	Type, Protocol, Codec string
	Streams               []StreamDetail
}

// StreamDetail is one port of a MediaDetail.
type StreamDetail struct {
	Local, Remote netip.AddrPort
	RTCP          bool
	SSRC          uint32
	In            relay.Counters
	Last          time.Time
}

// Session shows a call; false: there is none with this id.
func (e *Engine) Session(callID string) (SessionDetail, bool) {
	c := e.lockCall(callID)
	if c == nil {
		return SessionDetail{}, false
	}
	defer e.unlock(c)
	d := SessionDetail{
		SessionInfo: SessionInfo{CallID: c.ID, Created: c.created, Proxy: c.proxy, Deleted: !c.deleteAt.IsZero()},
		TOS:         max(c.tos, 0), LastSignal: c.lastSignal,
	}
	r := reporter{call: c, now: e.now()}
	for i, p := range c.participants {
		pd := PartyDetail{Tag: p.Tag, Label: p.Label, Branch: p.ViaBranch, Offerer: i == 0, Duration: e.now().Sub(p.created)}
		for _, o := range p.assoc {
			pd.Subscribed = append(pd.Subscribed, o.Tag)
		}
		for _, m := range p.Medias {
			pd.Medias = append(pd.Medias, c.mediaDetail(&r, m))
		}
		d.Parties = append(d.Parties, pd)
	}
	return d, true
}

func (c *Call) mediaDetail(r *reporter, m *Media) MediaDetail {
	st := r.statusOf(m.port())
	d := MediaDetail{Index: m.Index, Type: m.Type, Protocol: first(m.leg.Protocol.String(), m.leg.ProtoText), Codec: m.codecInUse(st)}
	for comp, s := range st.Streams {
		if !s.Local.IsValid() {
			continue
		}
		x := StreamDetail{Local: s.Local, Remote: s.Endpoint, RTCP: comp == int(relay.RTCP), SSRC: s.LastSSRC, In: s.In, Last: s.LastPacket}
		if !x.Remote.IsValid() {
			x.Remote = m.leg.Remote[comp]
		}
		if x.Last.IsZero() {
			x.Last = c.created
		}
		d.Streams = append(d.Streams, x)
	}
	return d
}
