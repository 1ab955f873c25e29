package relay

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"rtpsidecar/relay/prefetch"
	"rtpsidecar/relay/srtp"
)

// TestFootprint has what a packet needs in its socket's footprint, from SRTP to SRTP, and what follows it when something is replaced.
func TestFootprint(t *testing.T) {
	h, key := memHost(t), testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	from := memTransport(t, h, Settings{Learning: LearnImmediate, SDES: &SDES{Recv: key}})
	to := memTransport(t, h, Settings{SDES: &SDES{Send: testKey(t, "AES_256_CM_HMAC_SHA1_80", 2)}})
	from.SetPlan(&Plan{Routes: []Route{{LoopCheck: true, ClockRates: []ClockRate{{96, 48000}}, Sinks: []Sink{{To: to}}}}})
	ctx, err := srtp.New(key)
	if err != nil {
		t.Fatal(err)
	}
	p := from.addrs[0].ports[RTP]
	w := new(prefetch.Footprint)
	m := &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen), footprint: w}
	packets := func(n int) {
		t.Helper()
		for range n {
			in := voice()
			in[2], in[3] = byte(p.in.packets.Load()>>8), byte(p.in.packets.Load())
			pkt, err := ctx.ProtectRTP(append(make([]byte, 0, 2048), in...))
			if err != nil {
				t.Fatal(err)
			}
			was := p.in.packets.Load()
			p.receive(pkt, farRTP, m)
			if p.in.packets.Load() != was+1 {
				t.Fatal("the packet was not taken")
			}
		}
	}
	packets(footprintEvery + 1) // the first one makes what the others need
	c, out := &from.comps[RTP], &to.comps[RTP]
	plan := from.plan.Load()
	expect := func() {
		t.Helper()
		for name, at := range map[string]unsafe.Pointer{
			"port": unsafe.Pointer(p), "transport": unsafe.Pointer(&from.sources), "component": unsafe.Pointer(&c.learn),
			"loop": unsafe.Pointer(c.loop), "method": *(*unsafe.Pointer)(unsafe.Pointer(&p.take)),
			"last packet": unsafe.Pointer(&c.lastPacket), "settings": unsafe.Pointer(from.live.Load()), "plan": unsafe.Pointer(plan),
			"route": unsafe.Pointer(&plan.Routes[0]), "clock rates": unsafe.Pointer(&plan.Routes[0].ClockRates[0]),
			"sink": unsafe.Pointer(&plan.Routes[0].Sinks[0]), "source": unsafe.Pointer(from.sources.newest),
			"keys": unsafe.Pointer(c.recv.Load()), "other keys": unsafe.Pointer(out.sendKeys.Load()),
			"receiver": unsafe.Pointer(&out.target), "target": unsafe.Pointer(out.target.Load()),
			"its port": unsafe.Pointer(&out.target.Load().port.out),
		} {
			if !w.Has(at) {
				t.Errorf("%s is not in the footprint", name)
			}
		}
		for name, ctx := range map[string]*srtp.Context{"unprotecting": c.recv.Load().ctx, "protecting": out.sendKeys.Load().ctx} {
			at, size := ctx.Span()
			if size < 64 || !w.Has(at) || !w.Has(unsafe.Add(at, size-1)) {
				t.Errorf("%s: not all of %d bytes in the footprint", name, size)
			}
		}
	}
	expect()
	if w.Full() {
		t.Error("there is no room for more")
	}
	if err := to.Apply(Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{farRTCP, farRTP}, SDES: &SDES{Send: testKey(t, "AES_CM_128_HMAC_SHA1_80", 3)}}); err != nil {
		t.Fatal(err)
	}
	plan = &Plan{Routes: []Route{{ClockRates: []ClockRate{{97, 16000}}, Sinks: []Sink{{To: to}}}}}
	from.SetPlan(plan)
	packets(footprintEvery)
	expect()
	src := from.sources.newest
	w.Reset()
	from.Footprint(w)
	for name, at := range map[string]unsafe.Pointer{
		"transport": unsafe.Pointer(&from.sources), "list": unsafe.Pointer(from.sources.list.Load()), "source": unsafe.Pointer(src),
		"its end": unsafe.Pointer(&src.told), "target": unsafe.Pointer(from.comps[RTP].target.Load()), "port": unsafe.Pointer(p),
	} {
		if !w.Has(at) {
			t.Errorf("%s is not in the footprint of a sample", name)
		}
	}
	if n := testing.AllocsPerRun(100, func() { record(w, p, &plan.Routes[0], src); w.Lines() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	many := &Route{Sinks: make([]Sink, 20)}
	for i := range many.Sinks {
		many.Sinks[i].To = to
	}
	record(w, p, many, src)
	if !w.Full() {
		t.Error("there is room for more than twenty receivers")
	}
	record(w, p, nil, nil) // nowhere, and one source too many
	w.Lines()
	to.Close()
	from.Close()
	w.Lines()
}
