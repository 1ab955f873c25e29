package relay

import (
	"net/netip"
	"testing"
	"time"
)

func TestLearn(t *testing.T) {
	var (
		sdp   = netip.MustParseAddrPort("192.0.2.1:4000")
		port2 = netip.MustParseAddrPort("192.0.2.1:4001") // same address
		port3 = netip.MustParseAddrPort("192.0.2.1:4002")
		nat   = netip.MustParseAddrPort("198.51.100.7:4000")
		other = netip.MustParseAddrPort("198.51.100.7:5555")
		none  netip.AddrPort
	)
	type packet struct {
		at     time.Duration
		from   netip.AddrPort
		want   verdict
		source netip.AddrPort
	}
	on := rules{seen: true, advertised: sdp}
	with := func(edit func(*rules)) rules { r := on; edit(&r); return r }
	mode := func(m Learning) rules { return with(func(r *rules) { r.mode = m }) }
	for _, tt := range []struct {
		name    string
		rules   rules
		packets []packet
	}{
		{"not seen yet", with(func(r *rules) { r.seen = false }), []packet{{0, other, pass, none}, {5 * time.Second, other, pass, none}}},
		{"hold", with(func(r *rules) { r.hold = true }), []packet{{0, other, pass, none}}},
		{"immediate", mode(LearnImmediate), []packet{{0, other, confirmed, other}, {0, sdp, pass, other}}},
		{"off", mode(LearnOff), []packet{{0, other, confirmed, sdp}, {0, other, pass, sdp}}},
		{"off, strict", with(func(r *rules) { r.mode, r.strict = LearnOff, true }), []packet{{0, other, drop, sdp}, {0, sdp, pass, sdp}}},
		{"asymmetric, strict: the SDP says nothing about the source", with(func(r *rules) { r.asymmetric, r.strict = true, true }), []packet{
			{4 * time.Second, other, confirmed, other}, {4 * time.Second, sdp, drop, other}, {4 * time.Second, other, pass, other},
		}},
		{"off, nothing advertised", with(func(r *rules) { r.mode, r.advertised = LearnOff, none }), []packet{{0, other, pass, none}}},
		{"off, handover", with(func(r *rules) { r.mode, r.handover = LearnOff, true }), []packet{{0, other, confirmed, sdp}, {0, other, pass, sdp}}},
		{"delayed", mode(LearnDelayed), []packet{
			{0, nat, learnt, nat},
			{time.Second, nat, pass, nat},
			{2 * time.Second, other, learnt, other},
			{2 * time.Second, sdp, learnt, sdp},
			{3 * time.Second, nat, confirmed, nat},
			{4 * time.Second, other, pass, nat},
		}},
		{"heuristic, exact is final at once", mode(LearnHeuristic), []packet{{0, other, learnt, other}, {0, sdp, confirmed, sdp}, {0, other, pass, sdp}}},
		{"heuristic, better ones win", mode(LearnHeuristic), []packet{
			{0, other, learnt, other},
			{0, nat, learnt, nat},
			{0, other, pass, nat},
			{0, port2, learnt, port2},
			{0, nat, pass, port2},
			{4 * time.Second, port2, confirmed, port2},
		}},
		{"heuristic, the best is final even if another ends the window", mode(LearnHeuristic), []packet{
			{0, port2, learnt, port2}, {4 * time.Second, other, confirmed, port2}, {5 * time.Second, other, pass, port2},
		}},
		{"heuristic, the newest of equals", mode(LearnHeuristic), []packet{{0, port2, learnt, port2}, {0, port3, learnt, port3}, {0, port2, learnt, port2}}},
		{"heuristic, late first packet", mode(LearnHeuristic), []packet{{9 * time.Second, other, confirmed, other}}},
		{"heuristic, strict drops worse ones while learning", with(func(r *rules) { r.strict = true }), []packet{
			{0, other, learnt, other}, {0, port2, learnt, port2}, {0, nat, drop, port2}, {4 * time.Second, nat, drop, port2}, {4 * time.Second, port2, confirmed, port2},
		}},
		{"strict", with(func(r *rules) { r.mode, r.strict = LearnImmediate, true }), []packet{
			{0, nat, confirmed, nat}, {0, other, drop, nat}, {0, sdp, pass, nat}, {0, nat, pass, nat},
		}},
		{"handover", with(func(r *rules) { r.mode, r.handover = LearnImmediate, true }), []packet{
			{0, nat, confirmed, nat}, {9 * time.Second, other, learnt, other}, {9 * time.Second, other, pass, other},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1000, 0)
			tt.rules.until = start.Add(learnWindow)
			var l learner
			for i, p := range tt.packets {
				if got := l.judge(&tt.rules, p.from, start.Add(p.at)); got != p.want || l.source != p.source {
					t.Errorf("packet %d from %s after %s: verdict %d, source %s; want %d, %s", i, p.from, p.at, got, l.source, p.want, p.source)
				}
			}
		})
	}
}
