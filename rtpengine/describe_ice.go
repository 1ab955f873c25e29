package rtpengine

import (
	"net/netip"
	"slices"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// printICE prints our side of ICE towards p.bm's party.
func (n *negotiation) printICE(m *sdp.Media, p *pair, locals []relay.Local, at relay.Local, offer bool) {
	l := &p.bm.leg
	m.ICE.Ufrag, m.ICE.Pwd = l.ICE.Local.Ufrag, l.ICE.Local.Pwd
	if l.ICE.Trickle || n.f.TrickleICE {
		m.ICE.Options = append(m.ICE.Options, "trickle")
		m.ICE.EndOfCandidates = true
	}
	if n.f.ICE2 {
		m.ICE.Options = append(m.ICE.Options, "ice2")
	}
	components := 2
	if !l.rtp() || l.Mux.Require || !offer && l.Mux.On || at.Ports[relay.RTCP] == 0 {
		components = 1
	}
	// The address that c= shows comes first, whatever the order of the sockets.
	order := append([]relay.Local{at}, slices.DeleteFunc(slices.Clone(locals), func(x relay.Local) bool {
		return x.Addr == at.Addr
	})...)
	kept, remote := n.selected(p, components)
	if offer && len(kept) > 0 {
		order = slices.DeleteFunc(order, func(x relay.Local) bool { return !slices.Contains(kept, x.Addr) })
		if l.ICE.Controlling {
			m.ICE.RemoteCandidates = remote
		}
	}
	for i, local := range order {
		for comp := range components {
			port := local.Ports[comp]
			if port == 0 {
				continue
			}
			addr := n.shown(local)
			m.ICE.Candidates = append(m.ICE.Candidates, sdp.Candidate{
				Foundation: n.call.engine.foundation(local.Addr), Component: comp + 1, Transport: "UDP",
				Priority: hostPriority(i, comp+1), Address: addr.String(), Addr: addr, Port: port, Type: "host",
			})
		}
	}
}

// selected are the local addresses and remote candidates of the pairs in use; nothing until each component has one.
func (n *negotiation) selected(p *pair, components int) (locals []netip.Addr, remote []sdp.RemoteCandidate) {
	if !p.bm.leg.Seen {
		return nil, nil
	}
	st := p.bm.transport().Status()
	for comp := range components {
		pr := st.Pairs[comp]
		if !pr.Nominated {
			return nil, nil
		}
		locals = append(locals, pr.Local.Addr())
		remote = append(remote, sdp.RemoteCandidate{Component: comp + 1, Addr: pr.Remote})
	}
	return locals, remote
}

// hostPriority is the priority of the n-th local address, counted from 0, RFC 8445 section 5.1.2.1.
func hostPriority(n, component int) uint32 {
	const host = 126
	return host<<24 | uint32(65535-n)<<8 | uint32(256-component)
}

// foundation is the foundation of candidates on a local address, the same for the life of the process.
func (e *Engine) foundation(a netip.Addr) string {
	if f, ok := e.foundations.Load(a); ok {
		return f.(string)
	}
	f, _ := e.foundations.LoadOrStore(a, randomText(e.rand, 16))
	return f.(string)
}
