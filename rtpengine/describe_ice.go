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
	if l.ICE.Trickle || offer && n.f.TrickleICE { // to an offerer who does not trickle it means nothing
		m.ICE.Options = append(m.ICE.Options, "trickle")
		m.ICE.EndOfCandidates = true
	}
	if l.ICE.ICE2 || n.f.ICE2 {
		m.ICE.Options = append(m.ICE.Options, "ice2")
	}
	components := 2
	if !l.rtp() || l.Mux.Require || !offer && l.Mux.On || at.Ports[relay.RTCP] == 0 {
		components = 1
	}
	m.ICE.Candidates = n.hostCandidates(p, components)
	kept, remote := n.selected(p, components)
	if !offer || len(kept) == 0 {
		return
	}
	m.ICE.Candidates = slices.DeleteFunc(m.ICE.Candidates, func(c sdp.Candidate) bool {
		return !slices.ContainsFunc(locals, func(x relay.Local) bool {
			return x.Ports[c.Component-1] == c.Port && kept[c.Component-1] == x.Addr
		})
	})
	if l.ICE.Controlling {
		m.ICE.RemoteCandidates = remote
	}
}

// hostCandidates are our candidates for the first components of p.bm's transport.
func (n *negotiation) hostCandidates(p *pair, components int) []sdp.Candidate {
	var list []sdp.Candidate
	for _, c := range p.bm.transport().LocalCandidates() {
		if c.Component > components {
			continue
		}
		addr := c.Addr.Addr()
		if a, err := netip.ParseAddr(n.f.MediaAddress); err == nil {
			addr = a
		}
		if familyOf(addr) != familyOf(c.Addr.Addr()) {
			continue // media-address stands for the addresses of its family
		}
		list = append(list, sdp.Candidate{
			Foundation: c.Foundation, Component: c.Component, Transport: "UDP", Priority: c.Priority,
			Address: addr.String(), Addr: addr, Port: c.Addr.Port(), Type: "host",
		})
	}
	// The reference's order, which some scripts take for granted: RTP on every address, then RTCP.
	slices.SortStableFunc(list, func(a, b sdp.Candidate) int { return a.Component - b.Component })
	return list
}

// lastResort are our candidates for a section that passes as it came: below all of the party's own. For force-relay
// they look like relayed ones.
func (n *negotiation) lastResort(p *pair) []sdp.Candidate {
	components := 2
	if p.b.Mux.Require || p.a.Seen && p.b.Seen && p.b.In != nil && p.b.In.RTCPMux && p.sec.RTCPMux {
		components = 1
	}
	relayed := n.f.ICE == ICEForceRelay
	level := uint32(126<<16 | 65535) // type and local preference
	if relayed {
		level = 65535
	}
	for _, c := range p.sec.ICE.Candidates {
		if c.IsUDP() {
			level = min(level, c.Priority>>8)
		}
	}
	if len(p.sec.ICE.Candidates) > 0 && level > 0 && level != 65535 {
		level--
	}
	list := n.hostCandidates(p, components)
	for i := range list {
		c := &list[i]
		below := uint32(126<<16|65535) - c.Priority>>8 // how far this address stands behind the first
		c.Priority = (level-min(below, level))<<8 | uint32(256-c.Component)
		if relayed {
			c.Type, c.RelAddr, c.RelPort = "relay", c.Address, c.Port
		}
	}
	return list
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
