//go:build linux && (amd64 || arm64)

package ebpf

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"rtpsidecar/relay/srtp"
)

// TestAhead has the program find every state that a stretch of key stream can be in. All packets have to come out right,
// whether it served or not.
func TestAhead(t *testing.T) {
	needBPF(t)
	t.Run("table", func(t *testing.T) { testAhead(t, Config{Mode: ModeXDP, noAhead: true}) })
	t.Run("kernel", func(t *testing.T) {
		needKernelAES(t)
		testAhead(t, Config{Mode: ModeXDP, KernelAES: true, noAhead: true})
	})
}

func testAhead(t *testing.T, cfg Config) {
	const start, size = 1000, 160
	fill := func(a *aheads, r *ring) { a.fill() }
	tests := []struct {
		name    string
		size    int // of the payload
		prepare func(a *aheads, r *ring)
		hits    uint64
		gap     uint64 // packets lost before
		stuck   bool   // so are the stretches behind
	}{
		{name: "nothing known yet", size: size},
		{name: "ready", size: size, prepare: fill, hits: 1},
		{name: "used before", size: size, prepare: func(a *aheads, r *ring) { fill(a, r); claim(&a.rings[r.id].At[(start+1)%stretches].Tag) }},
		{name: "of another generation", size: size, prepare: func(a *aheads, r *ring) {
			r.gen++
			fill(a, r)
			r.gen--
		}, stuck: true},
		{name: "of another index", size: size, prepare: func(a *aheads, r *ring) { fill(a, r); a.rings[r.id].At[(start+1)%stretches].Tag++ }},
		{name: "in use", size: size, prepare: func(a *aheads, r *ring) {
			a.rings[r.id].At[(start+1)%stretches].Tag = stretchTaken
			fill(a, r)
		}},
		{name: "shorter than the payload", size: 1000, prepare: fill, hits: 1},
		{name: "a block too short", size: size, prepare: func(a *aheads, r *ring) { fill(a, r); a.rings[r.id].At[(start+1)%stretches].Blocks-- }, hits: 1},
		{name: "longer than the payload", size: 20, prepare: fill, hits: 1},
		{name: "the last one made", size: size, prepare: fill, gap: uint64(stretches) - 1, hits: 1},
		{name: "behind a gap", size: size, prepare: fill, gap: uint64(stretches)},
		{name: "all was made", size: size, prepare: func(a *aheads, r *ring) { fill(a, r); r.last = 0; fill(a, r) }, hits: 1},
	}
	table := benchTable(t, cfg)
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32"} {
		for _, decrypt := range []bool{false, true} {
			for i, tt := range tests {
				for j, h := range hooks {
					key := FlowKey{at(us4, uint16(20000+4*i+2*j))}
					sink := at(us4, uint16(40000+4*i+2*j))
					act := Action{Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: testSSRC, In: begun(start - 1), Out: []srtp.Progress{begun(start - 1)}}},
						Sinks: []Sink{{Local: sink, Remote: far4}}}
					var ctx *srtp.Context
					if decrypt {
						act.In = newParams(t, suite)
						ctx, _ = resume(act.In, testSSRC, begun(start-1))
					} else {
						act.Sinks[0].Out = newParams(t, suite)
					}
					fake := NewFake()
					fake.Eager = true
					for _, tab := range []Table{table, fake} {
						if err := tab.Put(key, act); err != nil {
							t.Fatal(err)
						}
					}
					send := func(index uint64, size int) {
						t.Helper()
						p := voice(index, size)
						if ctx != nil {
							p, _ = ctx.ProtectRTP(p)
						}
						if v := compare(t, table, h, fake, datagram{from: peer4, to: key.Local, payload: p}); v != Sent {
							t.Errorf("%s, %s: verdict %v", h.name, tt.name, v)
						}
					}
					r := table.flows[key].rings[0]
					shared := &table.ahead.rings[r.id]
					send(start, size)
					if tt.prepare != nil {
						tt.prepare(table.ahead, r)
					}
					before := shared.Hits
					send(start+1+tt.gap, tt.size)
					if hits := shared.Hits - before; hits != tt.hits {
						t.Errorf("%s, %s, %s: %d packets found key stream, want %d", h.name, suite, tt.name, hits, tt.hits)
					}
					if tag := shared.At[(start+1+tt.gap)%uint64(stretches)].Tag; tt.hits > 0 && tag != 0 {
						t.Errorf("%s, %s: tag %#x is left", h.name, tt.name, tag)
					}
					before = shared.Hits
					table.ahead.fill()
					send(start+2+tt.gap, size) // it goes on after each of them
					if hits := shared.Hits - before; (hits == 1) == tt.stuck {
						t.Errorf("%s, %s, %s: and then %d packets", h.name, suite, tt.name, hits)
					}
					for n := range shared.At {
						if shared.At[n].Tag == stretchTaken {
							shared.At[n].Tag = 0
						}
					}
					if _, err := table.Delete(key); err != nil {
						t.Fatal(err)
					}
					for n := range shared.At {
						if tag := shared.At[n].Tag; tag != 0 {
							t.Errorf("%s, %s: stretch %d is left with tag %#x", h.name, tt.name, n, tag)
						}
					}
				}
			}
		}
	}
}

// TestAheadRuns has the table make key stream by itself, and rest afterwards.
func TestAheadRuns(t *testing.T) {
	table := benchTable(t, Config{})
	act := Action{Peer: peer4, PTs: anyPT, Sources: []Source{{SSRC: testSSRC, Out: []srtp.Progress{begun(99)}}},
		Sinks: []Sink{{Local: at(us4, 40000), Remote: far4, Out: newParams(t, "AES_CM_128_HMAC_SHA1_80")}}}
	for round := range 2 {
		if err := table.Put(FlowKey{us4}, act); err != nil {
			t.Fatal(err)
		}
		shared := &table.ahead.rings[table.flows[FlowKey{us4}].rings[0].id]
		index, before := uint64(100), shared.Hits
		eventually(t, "packets find key stream", func() bool {
			if _, err := table.objs.RelayTc.Run(&ebpf.RunOptions{Data: datagram{from: peer4, to: us4, payload: voice(index, 160)}.bytes()}); err != nil {
				t.Fatal(err)
			}
			index++
			time.Sleep(20 * time.Millisecond)
			return shared.Hits >= before+5
		})
		if _, err := table.Delete(FlowKey{us4}); err != nil {
			t.Fatal(round, err)
		}
	}
	// A ring for each transform, and none for those that encrypt nothing.
	act.In = newParams(t, "NULL_HMAC_SHA1_80")
	act.Sources[0].In = begun(99)
	if err := table.Put(FlowKey{us4}, act); err != nil {
		t.Fatal(err)
	}
	if n := len(table.ahead.used); n != 1 {
		t.Errorf("%d rings, want 1", n)
	}
}
