package rtpengine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

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

// TestFetching reads what is there of calls at every stage, waits for none that is in use, and leaves all as they were.
func TestFetching(t *testing.T) {
	e := loopback(t)
	must(t, e, "offer", "call-id", "offered", "from-tag", "A", "sdp", body("127.0.0.1", plainAudio, "m=audio 0 RTP/AVP\n"))
	for _, id := range []string{"talking", "in use"} {
		a, b := newPhone(t), newPhone(t)
		must(t, e, "offer", "call-id", id, "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port())))
		toA := mustSDP(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())))
		talk(t, a, toA.Media[0], b, "one")
	}
	held := e.lockCall("in use")
	calls := e.snapshot()
	var f fetching
	soon := func(done func() bool) bool { // the engine's own timer may have a call for a moment
		for range 500 {
			if done() {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	}
	if !soon(func() bool { f.fetch(calls); return cap(f.calls) >= 2 && cap(f.transports) >= 3 }) || f.seen == 0 {
		t.Errorf("read %d, of %d calls and %d transports", f.seen, cap(f.calls), cap(f.transports))
	}
	for _, c := range calls {
		free := func() bool {
			ok := c.mu.TryLock()
			if ok {
				c.mu.Unlock()
			}
			return ok
		}
		switch {
		case c == held && free():
			t.Errorf("%s is free", c.ID)
		case c != held && !soon(free):
			t.Errorf("%s is not free", c.ID)
		}
	}
	if n := testing.AllocsPerRun(10, func() { f.fetch(calls) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	e.unlock(held)
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
