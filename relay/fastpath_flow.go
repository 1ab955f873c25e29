package relay

import (
	"net/netip"

	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/srtp"
)

// describe is the flow of this port as it is now. Nil: it cannot be in the table, for that reason; an empty one passes.
func (f *flow) describe(p *port, from netip.AddrPort, ssrcs []uint32) (*flow, ebpf.Action, string) {
	t := f.t
	lv, plan := t.live.Load(), t.plan.Load()
	act := ebpf.Action{Peer: from, PTs: [2]uint64{^uint64(0), ^uint64(0)}}
	n := &flow{key: ebpf.FlowKey{Local: p.local}, recv: p.comp.recv.Load()}
	if reason := offloadable(lv, plan); reason != "" {
		return nil, act, reason
	}
	route := &plan.Routes[0]
	act.ClockRateHz = route.clockRate(f.packet.pt)
	if n.recv != nil {
		if n.recv.ctx == nil {
			return nil, act, ""
		}
		act.In = n.recv.ctx.Params()
	}
	for i := range route.Sinks {
		s := &route.Sinks[i]
		if s.MuteRTP {
			continue
		}
		out, sink, reason := f.sink(s)
		if out == nil {
			return nil, act, reason
		}
		for pt := range uint8(128) {
			if s.PTMap != nil && s.PTMap[pt] == 0xff {
				act.PTs[pt/64] &^= 1 << (pt % 64) // userspace drops it
			}
			if route.Digits.Has(pt) || s.Digits != nil && s.Digits.PTs.Has(pt) {
				act.PTs[pt/64] &^= 1 << (pt % 64) // userspace tells or rewrites it
			}
		}
		n.outs = append(n.outs, *out)
		act.Sinks = append(act.Sinks, sink)
	}
	if len(act.Sinks) == 0 {
		return nil, act, "no receiver"
	}
	for _, ssrc := range ssrcs {
		if s, ok := n.source(t, ssrc); ok {
			act.Sources = append(act.Sources, s)
		} else if ssrc == f.packet.ssrc {
			return nil, act, ""
		}
	}
	return n, act, ""
}

// offloadable names what of a transport's settings and plan the table cannot do; "": nothing.
func offloadable(lv *live, plan *Plan) string {
	switch {
	case lv.opaque:
		return "not RTP"
	case len(plan.Routes) == 0:
		return "no receiver"
	case len(plan.Routes) > 1:
		return "bundle"
	case lv.dropIn || plan.Routes[0].Discard:
		return "media is discarded"
	case plan.Routes[0].Silence != nil:
		return "media is silenced"
	case plan.Routes[0].Short != nil:
		return "short packets are blocked"
	case plan.Routes[0].LoopCheck:
		return "loop check"
	}
	return ""
}

// sink is what the table shall do for s. Nil: it cannot, for that reason; an empty one passes.
func (f *flow) sink(s *Sink) (*flowOut, ebpf.Sink, string) {
	to := &s.To.comps[RTP]
	target, lv := to.target.Load(), s.To.live.Load()
	var reason string
	switch {
	case s.To == f.t:
		reason = "echo"
	case s.Framer != nil:
		reason = "packets get another length"
	case s.Recode != nil:
		reason = "payload is recoded"
	case s.ExtMap != nil:
		reason = "header extensions are rewritten"
	case s.MIDExt != 0:
		reason = "receiver is bundled"
	case s.Silence != nil:
		reason = "media is silenced"
	}
	if reason != "" || target == nil || lv.natWait && !to.heard.Load() {
		return nil, ebpf.Sink{}, reason
	}
	out := &flowOut{port: target.port}
	sink := ebpf.Sink{Local: target.port.local, Remote: target.addr, TOS: lv.tos, PTMap: s.PTMap, Raw: s.Passthrough}
	if k := to.sendKeys.Load(); k != nil && !s.Passthrough {
		if k.ctx == nil {
			return nil, sink, ""
		}
		if f.fp.sendersTo(s.To) > 1 {
			return nil, sink, "receiver has several senders" // who may use one SSRC, and with it the same indices
		}
		out.keys, sink.Out = k, k.ctx.Params()
	}
	return out, sink, ""
}

// source is the progress of one SSRC in n; false: not all of it is known yet.
func (n *flow) source(t *Transport, ssrc uint32) (ebpf.Source, bool) {
	s := ebpf.Source{SSRC: ssrc, Out: make([]srtp.Progress, len(n.outs))}
	src := t.sources.find(ssrc)
	if src == nil {
		return s, false
	}
	s.In = src.progress()
	if n.recv != nil {
		st, _ := n.recv.ctx.State(ssrc)
		if s.In = st.RTP; !s.In.Started {
			return s, false
		}
	}
	for i, o := range n.outs {
		if o.keys == nil {
			continue
		}
		o.keys.mu.Lock()
		st, _ := o.keys.ctx.State(ssrc)
		o.keys.mu.Unlock()
		if s.Out[i] = st.RTP; !s.Out[i].Started {
			return s, false
		}
	}
	return s, true
}
