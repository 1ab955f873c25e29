package rtpengine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"rtpsidecar/relay"
)

// BenchmarkSweep is what the engine's timer takes for each call whose sample is due, of so many calls that received a packet in
// either direction since the last one. The packets drive what the sweep needs out of the processor's caches, or a part of it.
func BenchmarkSweep(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			io := &handIO{takes: map[netip.AddrPort]relay.Deliver{}}
			e := loopback(b, func(c *Config) {
				c.Log, c.DeleteDelay, c.PortMin, c.PortMax = nil, 0, 10000, 65000
				for i := range c.Interfaces {
					c.Interfaces[i].PortMin, c.Interfaces[i].PortMax = c.PortMin, c.PortMax
				}
				c.IO = func(int, func() time.Time) (relay.PacketIO, error) { return io, nil }
			})
			e.Adjust(func(a *Adjustable) { a.Timeout, a.SilentTimeout, a.OfferTimeout = 0, 0, 0 })
			phone := body("127.0.0.1", audio(5004))
			for i := range n {
				id := fmt.Sprint("call", i)
				must(b, e, "offer", "call-id", id, "from-tag", "A", "sdp", phone)
				must(b, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", phone)
			}
			m := &relay.Meta{At: time.Now(), Scratch: make([]byte, relay.ScratchLen)}
			seq, now := uint16(0), e.now()
			takes := slices.Collect(maps.Values(io.takes))
			packets := func() {
				seq++
				for _, take := range takes {
					pkt := make([]byte, 172, 172+relay.Tailroom)
					pkt[0], pkt[2], pkt[3] = 0x80, byte(seq>>8), byte(seq)
					take(pkt, netip.MustParseAddrPort("127.0.0.1:5004"), m)
				}
			}
			packets()
			for b.Loop() {
				b.StopTimer()
				packets()
				now = now.Add(qualityPeriod)
				b.StartTimer()
				e.sweep(now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/call")
		})
	}
}

// TestSweepFootprint has what a sweep needs of a call in the call's footprint, and what follows it after a command.
func TestSweepFootprint(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	must(t, e, "offer", "call-id", "x", "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port())))
	toA := mustSDP(t, e, "answer", "call-id", "x", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())))
	talk(t, a, toA.Media[0], b, "one")
	look := func() *Call {
		e.sweep(e.now().Add(2 * qualityPeriod))
		return e.lockCall("x")
	}
	c := look()
	expect := func() {
		t.Helper()
		lines := map[string]unsafe.Pointer{"call": unsafe.Pointer(c), "sample": unsafe.Pointer(&c.sampled)}
		c.medias(func(m *Media) {
			lines["party"], lines["doom"] = unsafe.Pointer(m.party), unsafe.Pointer(&m.party.deleteAt)
			lines["port"], lines["trace"], lines["codec"] = unsafe.Pointer(m.local), unsafe.Pointer(&m.trace), unsafe.Pointer(&m.leg.Codecs[0])
			for name, at := range lines {
				if !c.footprint.Has(at) {
					t.Errorf("%s of %s: not in the footprint", name, m.party.Tag)
				}
			}
		})
	}
	expect()
	if c.footprint.Full() {
		t.Error("there is no room for more than a call of two phones")
	}
	c.looked = 1000
	e.release(c)
	must(t, e, "offer", "call-id", "x", "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port()+2)))
	if c = look(); c.looked > 10 { // the engine's own timer may have looked too
		t.Errorf("looked %d times since the command", c.looked)
	}
	expect()
	e.release(c)
}

// TestLooks has calls come and go, more than a row has room for: each is due from its time on, and what has gone is due no more.
func TestLooks(t *testing.T) {
	var s looks
	now := time.Unix(1000, 0)
	calls := make([]*Call, 600)
	for i := range calls {
		calls[i] = new(Call)
		calls[i].look = s.take(calls[i])
	}
	due := func(at time.Time) (n int) {
		for _, c := range s.due(at, nil) {
			if c.look.at.Load() > at.UnixNano() {
				t.Errorf("due at %v", c.look.at.Load())
			}
			n++
		}
		return n
	}
	if n := due(now); n != 0 {
		t.Errorf("%d new calls are due", n)
	}
	for i, c := range calls {
		c.look.at.Store(now.Add(time.Duration(i) * time.Second).UnixNano())
	}
	calls[599].look.at.Store(atOnce)
	for _, tt := range []struct{ after, want int }{{-1, 1}, {0, 2}, {299, 301}, {598, 600}} {
		if n := due(now.Add(time.Duration(tt.after) * time.Second)); n != tt.want {
			t.Errorf("%d due after %d s, want %d", n, tt.after, tt.want)
		}
	}
	for _, c := range calls[:400] {
		s.give(c.look)
	}
	if n := due(now.Add(time.Hour)); n != 200 {
		t.Errorf("%d due, want the 200 that are left", n)
	}
	list := make([]*Call, 0, len(calls))
	if n := testing.AllocsPerRun(10, func() { fetchRows(s.due(now.Add(time.Hour), list)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	rows := len(s.rows)
	for range 400 {
		c := new(Call)
		c.look = s.take(c)
	}
	if n := due(now.Add(time.Hour)); n != 200 || len(s.rows) != rows {
		t.Errorf("%d due, want 200; %d rows, want %d", n, len(s.rows), rows)
	}
}

// handIO has no wire: packets are handed to takes.
type handIO struct {
	takes map[netip.AddrPort]relay.Deliver
}

func (io *handIO) Close() error { return nil }

func (io *handIO) Open(local netip.AddrPort, _ uint64, deliver relay.Deliver) (relay.Socket, error) {
	if local.Port()%2 == 0 {
		io.takes[local] = deliver
	}
	return nowhere{}, nil
}

// nowhere is a socket that sends nothing.
type nowhere struct{}

func (nowhere) Send([]byte, netip.AddrPort) error { return nil }
func (nowhere) SetTOS(uint8) error                { return nil }
func (nowhere) Close() error                      { return nil }
