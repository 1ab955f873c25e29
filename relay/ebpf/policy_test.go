//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"rtpsidecar/relay/srtp"
)

// begun is the progress of a stream whose last packet had this index.
func begun(index uint64) srtp.Progress {
	return srtp.Progress{Started: true, Highest: index, Window: [2]uint64{1, 0}}
}

// TestPolicy gives single frames to a plain flow.
func TestPolicy(t *testing.T) {
	table := benchTable(t, Config{Mode: ModeXDP})
	good := datagram{from: peer4, to: us4, payload: voice(100, 160)}
	good6 := datagram{from: peer6, to: us6, payload: voice(100, 160)}
	change := func(d datagram, f func(*datagram)) datagram { d.payload = bytes.Clone(d.payload); f(&d); return d }
	type verdict = Verdict
	tests := []struct {
		name  string
		frame datagram
		act   func(*Action)
		want  verdict
		count func(Counter) uint64 // has to be 1
	}{
		{name: "good", frame: good, want: Sent},
		{name: "good IPv6", frame: good6, want: Sent},
		{name: "Ethernet padding", frame: change(good, func(d *datagram) { d.payload = voice(1, 1); d.trailer = 5 }), want: Sent},
		{name: "longest", frame: change(good, func(d *datagram) { d.payload = voice(1, 1500-28-12) }), want: Sent},
		{name: "longer than the path", frame: change(good, func(d *datagram) { d.payload = voice(1, 1501-28-12) }), want: Up,
			count: func(c Counter) uint64 { return c.Up }},
		{name: "unknown port", frame: change(good, func(d *datagram) { d.to = at(us4, 29999) }), want: Up},
		{name: "source mismatch", frame: change(good, func(d *datagram) { d.from = at(peer4, 1) }), want: Up,
			count: func(c Counter) uint64 { return c.WrongSource }},
		{name: "source mismatch, drop", frame: change(good, func(d *datagram) { d.from = at(peer4, 1) }),
			act: func(a *Action) { a.Mismatch = MismatchDrop }, want: Drop, count: func(c Counter) uint64 { return c.WrongSource }},
		{name: "source mismatch, ignore", frame: change(good, func(d *datagram) { d.from = at(far4, 1) }),
			act: func(a *Action) { a.Mismatch = MismatchIgnore; a.Peer = addr("0.0.0.0:0") }, want: Sent},
		{name: "payload type", frame: good, act: func(a *Action) { a.PTs = [2]uint64{1 << 7, ^uint64(0)} }, want: Up,
			count: func(c Counter) uint64 { return c.Up }},
		{name: "SSRC", frame: good, act: func(a *Action) { a.Sources[0].SSRC++ }, want: Up},
		{name: "second SSRC", frame: good, act: func(a *Action) { a.Sources = append([]Source{{SSRC: 5}}, a.Sources...) }, want: Sent},
		{name: "no sink", frame: good, act: func(a *Action) { a.Sinks = nil }, want: Drop, count: func(c Counter) uint64 { return c.Packets }},
		{name: "no route", frame: good, act: func(a *Action) { a.Sinks[0].Remote = addr("203.0.113.1:9") }, want: Up,
			count: func(c Counter) uint64 { return c.Up }},
		{name: "first fragment", frame: change(good, func(d *datagram) { d.fragment = 0x2000 }), want: Up},
		{name: "last fragment", frame: change(good, func(d *datagram) { d.fragment = 0x0010 }), want: Up},
		{name: "do not fragment", frame: change(good, func(d *datagram) { d.fragment = 0x4000 }), want: Sent},
		{name: "options", frame: change(good, func(d *datagram) { d.options = true }), want: Up},
		{name: "IPv6 options", frame: change(good6, func(d *datagram) { d.options = true }), want: Up},
		{name: "UDP length too short", frame: change(good, func(d *datagram) { d.udpLenBias = -1 }), want: Up},
		{name: "UDP length too long", frame: change(good, func(d *datagram) { d.udpLenBias = 1 }), want: Up},
		{name: "IP length too long", frame: change(good, func(d *datagram) { d.ipLenBias = 1 }), want: Up},
		{name: "IP length too short", frame: change(good, func(d *datagram) { d.ipLenBias = -1 }), want: Up},
		{name: "wrong IPv4 checksum", frame: change(good, func(d *datagram) { d.wrongIPv4Sum = true }), want: Up},
		{name: "no checksum", frame: change(good, func(d *datagram) { d.noChecksum = true }), want: Sent},
		{name: "no checksum, to IPv6", frame: change(good, func(d *datagram) { d.noChecksum = true }),
			act: func(a *Action) { a.Sinks[0].Local, a.Sinks[0].Remote = us6, far6 }, want: Up},
		{name: "no checksum in IPv6", frame: change(good6, func(d *datagram) { d.noChecksum = true }), want: Up},
		{name: "multicast frame", frame: change(good, func(d *datagram) { d.dmac = [6]byte{1, 0, 0x5e, 0, 0, 1} }), want: Up},
		{name: "RTCP", frame: change(good, func(d *datagram) { d.payload[1] = 200 }), want: Up},
		{name: "STUN", frame: change(good, func(d *datagram) { d.payload[0] = 0 }), want: Up},
		{name: "DTLS", frame: change(good, func(d *datagram) { d.payload[0] = 22 }), want: Up},
		{name: "version 3", frame: change(good, func(d *datagram) { d.payload[0] = 0xc0 }), want: Up},
		{name: "11 bytes", frame: change(good, func(d *datagram) { d.payload = d.payload[:11] }), want: Up},
		{name: "12 bytes", frame: change(good, func(d *datagram) { d.payload = d.payload[:12] }), want: Sent},
		{name: "header longer than the packet", frame: change(good, func(d *datagram) { d.payload = voice(1, 8); d.payload[0] |= 3 }), want: Up,
			count: func(c Counter) uint64 { return c.Up }},
		{name: "extension longer than the packet", frame: change(good, func(d *datagram) {
			d.payload = voice(1, 8)
			d.payload[0] |= 0x10
			d.payload[15] = 2
		}), want: Up, count: func(c Counter) uint64 { return c.Up }},
		{name: "not longer than userspace's floor", frame: good, act: func(a *Action) {
			a.Sinks[0].Out = newParams(t, "AES_CM_128_HMAC_SHA1_80")
			a.Sources[0].Out = []srtp.Progress{begun(100)}
		}, want: Up, count: func(c Counter) uint64 { return c.Up }},
		{name: "above userspace's floor", frame: good, act: func(a *Action) {
			a.Sinks[0].Out = newParams(t, "AES_CM_128_HMAC_SHA1_80")
			a.Sources[0].Out = []srtp.Progress{begun(99)}
		}, want: Sent},
		{name: "beyond the last index", frame: good, act: func(a *Action) {
			a.Sinks[0].Out = newParams(t, "AES_CM_128_HMAC_SHA1_80")
			a.Sources[0].Out = []srtp.Progress{begun(1<<48 - 1)}
		}, want: Up},
	}
	for _, tt := range tests {
		for _, h := range hooks {
			d := tt.frame
			d.payload = bytes.Clone(d.payload)
			act := Action{Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: testSSRC}}, Sinks: []Sink{{Local: at(us4, 40000), Remote: far4}}}
			key := FlowKey{us4}
			if d.from.Addr().Is6() {
				act.Peer, key = peer6, FlowKey{us6}
			}
			if tt.act != nil {
				tt.act(&act)
			}
			if err := table.Put(key, act); err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			frame := d.bytes()
			code, out := h.run(t, table, frame)
			want := map[Verdict]uint32{Up: h.up, Drop: h.drop, Sent: h.sent}[tt.want]
			if code != want {
				t.Errorf("%s, %s: code %d, want %d", h.name, tt.name, int32(code), int32(want))
			}
			if code == h.up && !bytes.Equal(out, frame) {
				t.Errorf("%s, %s: went up changed", h.name, tt.name)
			}
			if code == h.sent {
				if got, err := readFrame(out); err != nil || act.Sinks[0].Out.Suite == nil && !bytes.Equal(got.payload, d.payload) {
					t.Errorf("%s, %s: %v", h.name, tt.name, err)
				}
			}
			c, err := table.Delete(key)
			if err != nil {
				t.Fatal(err)
			}
			if tt.count != nil && tt.count(c) != 1 {
				t.Errorf("%s, %s: counted %+v", h.name, tt.name, c)
			}
			if code, out := h.run(t, table, frame); code != h.up || !bytes.Equal(out, frame) {
				t.Errorf("%s, %s: code %d when the flow is gone", h.name, tt.name, int32(code))
			}
		}
	}
	// A VLAN tag in the packet means that it came from below the VLAN's interface.
	if err := table.Put(FlowKey{us4}, Action{Mismatch: MismatchIgnore, PTs: anyPT, Sources: []Source{{SSRC: testSSRC}}}); err != nil {
		t.Fatal(err)
	}
	f := good.bytes()
	f = append(append(append([]byte(nil), f[:12]...), 0x81, 0, 0, 5), f[12:]...)
	for _, h := range hooks {
		if code, _ := h.run(t, table, f); code != h.up {
			t.Errorf("%s, VLAN: code %d", h.name, int32(code))
		}
	}
}

// TestSharedPort has the two families share a port: a hint is right for one of them.
func TestSharedPort(t *testing.T) {
	table := benchTable(t, Config{Mode: ModeXDP})
	acts := map[netip.AddrPort]Action{
		us4: {Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: testSSRC}}, Sinks: []Sink{{Local: at(us4, 40000), Remote: far4}}},
		us6: {Peer: peer6, PTs: anyPT, Sources: []Source{{SSRC: testSSRC}}, Sinks: []Sink{{Local: at(us6, 40000), Remote: far6}}},
	}
	put := func(us netip.AddrPort) {
		t.Helper()
		if err := table.Put(FlowKey{us}, acts[us]); err != nil {
			t.Fatal(err)
		}
	}
	index := uint64(100)
	check := func(step string, us netip.AddrPort, sent bool) {
		t.Helper()
		for _, h := range hooks {
			index++
			code, _ := h.run(t, table, datagram{from: acts[us].Peer, to: us, payload: voice(index, 160)}.bytes())
			if code != map[bool]uint32{true: h.sent, false: h.up}[sent] {
				t.Errorf("%s, %s, %s: code %d", step, h.name, us, int32(code))
			}
		}
	}
	if us4.Port() != us6.Port() {
		t.Fatal("the ports differ")
	}
	put(us4)
	check("one", us4, true)
	check("one", us6, false)
	put(us6)
	check("both", us4, true)
	check("both", us6, true)
	if _, err := table.Delete(FlowKey{us6}); err != nil {
		t.Fatal(err)
	}
	check("one gone", us4, true)
	check("one gone", us6, false)
	put(us6)
	check("one back", us4, true)
	check("one back", us6, true)
}

func TestErrorsOfPut(t *testing.T) {
	table := benchTable(t, Config{MaxFlows: 3})
	act := Action{Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: 1}, {SSRC: 2}}}
	if err := table.Put(FlowKey{us4}, act); err != nil {
		t.Fatal(err)
	}
	if err := table.Put(FlowKey{us4}, act); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if err := table.Put(FlowKey{at(us4, 2)}, act); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if all, err := table.Counters(nil); err != nil || len(all) != 1 || len(all[0].Sources) != 2 {
		t.Error(all, err)
	}
	if _, err := table.Delete(FlowKey{us4}); err != nil {
		t.Error(err)
	}
	if _, err := table.Delete(FlowKey{us4}); !errors.Is(err, ErrNoFlow) {
		t.Error(err)
	}
	if _, err := table.Counter(FlowKey{us4}); !errors.Is(err, ErrNoFlow) {
		t.Error(err)
	}
	// Many rounds leak neither slots nor paths.
	for i := range 200 {
		act.Sinks = []Sink{{Local: at(us4, uint16(1000+i)), Remote: at(far4, uint16(1000+i))}}
		if err := table.Put(FlowKey{us4}, act); err != nil {
			t.Fatal(i, err)
		}
		if _, err := table.Delete(FlowKey{us4}); err != nil {
			t.Fatal(i, err)
		}
	}
	if len(table.free) != 3 || len(table.paths.byID) != 0 || len(table.paths.byPair) != 0 {
		t.Errorf("%d slots, %d paths", len(table.free), len(table.paths.byID))
	}
	it, n := table.objs.Slots.Iterate(), 0
	var k, v []byte
	for it.Next(&k, &v) {
		n++
	}
	if n != 0 {
		t.Errorf("%d entries left in slots", n)
	}
	var paths []rtpPath
	var cursor ebpf.MapBatchCursor
	paths = make([]rtpPath, table.objs.Paths.MaxEntries())
	if _, err := table.objs.Paths.BatchLookup(&cursor, make([]uint32, len(paths)), paths, nil); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Fatal(err)
	}
	for id, p := range paths {
		if p != (rtpPath{}) {
			t.Errorf("path %d is left: %+v", id, p)
		}
	}
	if err := table.Close(); err != nil {
		t.Error(err)
	}
	if err := table.Put(FlowKey{us4}, act); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestDeleteIsExact takes flows out while packets run on other CPUs: no index is used that the counter does not know,
// and none twice.
func TestDeleteIsExact(t *testing.T) {
	table := benchTable(t, Config{})
	params := newParams(t, "AES_CM_128_HMAC_SHA1_80")
	key := FlowKey{us4}
	next := uint64(1000)
	used := make(map[uint64]bool)
	for range 30 {
		err := table.Put(key, Action{Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: testSSRC, Out: []srtp.Progress{begun(next)}}},
			Sinks: []Sink{{Local: at(us4, 40000), Remote: far4, Out: params}}})
		if err != nil {
			t.Fatal(err)
		}
		// Both senders send the same indices: one of them is told that it comes second.
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		sent := make([][]uint64, 2)
		for s := range sent {
			wg.Go(func() {
				for i := next + 1; ctx.Err() == nil; i++ {
					frame := datagram{from: peer4, to: us4, payload: voice(i, 160)}.bytes()
					code, _, err := table.objs.RelayTc.Test(frame)
					if err != nil {
						t.Error(err)
						return
					}
					if code == hooks[0].sent {
						sent[s] = append(sent[s], i)
					}
				}
			})
		}
		for {
			if c, err := table.Counter(key); err != nil || c.Packets > 50 {
				break
			}
		}
		c, err := table.Delete(key)
		stop()
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		top := c.Sources[0].Out[0].Highest
		n := uint64(0)
		for _, list := range sent {
			for _, i := range list {
				if used[i] {
					t.Fatalf("index %d used twice", i)
				}
				if i > top {
					t.Fatalf("index %d used, the counter says %d", i, top)
				}
				used[i] = true
				n++
			}
		}
		if n != c.Sinks[0].Packets {
			t.Fatalf("%d sent, %d counted", n, c.Sinks[0].Packets)
		}
		next = top
	}
}

func TestFloodGuard(t *testing.T) {
	table := benchTable(t, Config{FloodGuard: 5, PortMin: 30000, PortMax: 31000})
	known := socket(t, us4.Addr(), 30500)
	for name, d := range map[string]datagram{
		"a socket's port":       {from: peer4, to: local(known), payload: []byte("x")},
		"a port of other use":   {from: peer4, to: at(us4, 53), payload: []byte("x")},
		"just above the range":  {from: peer4, to: at(us4, 31001), payload: voice(1, 20)},
		"a stranger's address":  {from: peer4, to: at(far4, 53), payload: nil},
		"RTP to a socket's":     {from: peer4, to: local(known), payload: voice(1, 20)},
		"IPv6, port of another": {from: peer6, to: at(us6, 53), payload: []byte("x")},
	} {
		for range 10 {
			if code, _, err := table.objs.RelayTc.Test(d.bytes()); err != nil || code != hooks[0].up {
				t.Fatalf("%s: code %d, %v", name, int32(code), err)
			}
		}
	}
	const n = 400
	dropped := 0
	start := time.Now()
	for i := range n {
		d := datagram{from: peer4, to: at(us4, 30002), payload: voice(uint64(i), 20)}
		switch i % 3 {
		case 1:
			d.payload = nil
		case 2:
			d.from, d.to = peer6, at(us6, 30002)
		}
		code, _, err := table.objs.RelayTc.Test(d.bytes())
		if err != nil {
			t.Fatal(err)
		}
		if code == hooks[0].drop {
			dropped++
		}
	}
	st := table.Status()
	most := 5 * 2 * (2 + int(time.Since(start)/time.Second)) // by CPU and second
	if passed := n - dropped; passed > most || passed == 0 || int(st.GuardDropped) != dropped || int(st.GuardPassed) != passed {
		t.Errorf("%d dropped, %d passed, status %+v", dropped, passed, st)
	}
}

func TestPulse(t *testing.T) {
	table := benchTable(t, Config{Mode: ModeClsact})
	err := table.Put(FlowKey{us4}, Action{Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: testSSRC}}, Sinks: []Sink{{Local: us4, Remote: far4}}})
	if err != nil {
		t.Fatal(err)
	}
	frame := datagram{from: peer4, to: us4, payload: voice(1, 160)}.bytes()
	for _, tt := range []struct {
		age  time.Duration
		want uint32
	}{{0, hooks[0].sent}, {pulseLimit / 2, hooks[0].sent}, {pulseLimit * 2, hooks[0].up}} {
		table.mu.Lock() // against the pulse itself
		if err := table.objs.Pulse.Put(uint32(0), monotonic()-uint64(tt.age)); err != nil {
			t.Fatal(err)
		}
		code, _, err := table.objs.RelayTc.Test(frame)
		table.mu.Unlock()
		if err != nil || code != tt.want {
			t.Errorf("silent for %v: code %d, %v", tt.age, int32(code), err)
		}
	}
}

// TestStart: a flow waits until userspace has handled the newest packet that went up, each source for itself.
func TestStart(t *testing.T) {
	table := benchTable(t, Config{Mode: ModeXDP})
	table.eager = false
	for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
		for _, h := range hooks {
			key, fake := FlowKey{us4}, NewFake()
			source := func(ssrc uint32, index uint64) Source {
				return Source{SSRC: ssrc, In: begun(index), Out: []srtp.Progress{begun(index)}}
			}
			act := Action{Peer: peer4, PTs: anyPT, Sources: []Source{source(testSSRC, 99), source(5, 99)},
				Sinks: []Sink{{Local: at(us4, 40000), Remote: far4, Out: newParams(t, suite)}}}
			for _, tab := range []Table{table, fake} {
				if err := tab.Put(key, act); err != nil {
					t.Fatal(err)
				}
			}
			start := func(ssrc uint32, index uint64, want bool) {
				t.Helper()
				for _, tab := range []Table{table, fake} {
					if got, err := tab.Start(key, source(ssrc, index)); err != nil || got != want {
						t.Errorf("%s %s: start at %d: %v, %v", h.name, suite, index, got, err)
					}
				}
			}
			send := func(index uint64, want Verdict) {
				t.Helper()
				if got := compare(t, table, h, fake, datagram{from: peer4, to: us4, payload: voice(index, 160)}); got != want {
					t.Errorf("%s %s: packet %d: %v, want %v", h.name, suite, index, got, want)
				}
			}
			start(testSSRC, 99, false) // nothing is known of what may be on its way
			send(100, Up)
			start(5, 100, false)
			start(testSSRC, 99, false) // that one is on its way
			send(102, Up)
			send(101, Up)
			start(testSSRC, 101, false)
			start(testSSRC, 102, true)
			start(testSSRC, 102, false) // it has
			send(103, Sent)
			if suite != "" {
				send(100, Up) // userspace's index
			}
			send(104, Sent)
			if _, err := table.Start(key, source(6, 0)); !errors.Is(err, ErrNoFlow) {
				t.Error(err)
			}
			got, err := table.Delete(key)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := fake.Delete(key)
			sameCounters(t, got, want)
			if got.Up != want.Up {
				t.Errorf("%d went up, want %d", got.Up, want.Up)
			}
			if _, err := table.Start(key, source(5, 0)); !errors.Is(err, ErrNoFlow) {
				t.Error(err)
			}
		}
	}
}
