//go:build linux && (amd64 || arm64)

package ebpf

import (
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
)

// BenchmarkProgram reports the program's own run time for a packet with 160 bytes of payload, as the kernel counts it:
// ns/packet, the best 200 packets in a row, since a machine is never idle. What the kernel does before and after is not in it; ns/op is the cost of a test run and says nothing.
func BenchmarkProgram(b *testing.B) {
	b.Run("table", func(b *testing.B) { benchmarkProgram(b, Config{Mode: ModeXDP, noAhead: true}) })
	b.Run("kernel", func(b *testing.B) {
		needKernelAES(b)
		benchmarkProgram(b, Config{Mode: ModeXDP, KernelAES: true, noAhead: true})
	})
}

func benchmarkProgram(b *testing.B, cfg Config) {
	const sha80, aes256 = "AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"
	tests := []struct {
		name    string
		in, out string
		stun    bool
		ahead   bool // key stream is made ahead
	}{
		{name: "not ours", stun: true},
		{name: "plain"},
		{name: "null", out: "NULL_HMAC_SHA1_80"},
		{name: "encrypt", out: sha80},
		{name: "encrypt ahead", out: sha80, ahead: true},
		{name: "decrypt", in: sha80},
		{name: "decrypt ahead", in: sha80, ahead: true},
		{name: "both", in: sha80, out: sha80},
		{name: "both ahead", in: sha80, out: sha80, ahead: true},
		{name: "encrypt 256", out: aes256},
	}
	table := benchTable(b, cfg)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	for _, tt := range tests {
		for _, h := range hooks {
			b.Run(h.name+"/"+tt.name, func(b *testing.B) {
				act := Action{Peer: peer4, PTs: anyPT, In: newParams(b, tt.in),
					Sources: []Source{{SSRC: testSSRC, In: begun(99), Out: []srtp.Progress{begun(99)}}},
					Sinks:   []Sink{{Local: at(us4, 40000), Remote: far4, Out: newParams(b, tt.out)}}}
				if err := table.Put(FlowKey{us4}, act); err != nil {
					b.Fatal(err)
				}
				frames := make([][]byte, b.N)
				var ctx *srtp.Context
				if tt.in != "" {
					ctx, _ = resume(act.In, testSSRC, begun(99))
				}
				for i := range frames {
					p := voice(uint64(i)+100, 160)
					if tt.stun {
						p[0] = 0
					}
					if ctx != nil {
						p, _ = ctx.ProtectRTP(p)
					}
					frames[i] = datagram{from: peer4, to: us4, payload: p}.bytes()
				}
				runtime.LockOSThread() // for good: the thread ends with the goroutine
				if err := netns.Set(bench.ns); err != nil {
					b.Fatal(err)
				}
				prog := h.program(table)
				best := 0.0
				b.ResetTimer()
				for len(frames) > 0 {
					n := min(len(frames), 200)
					before, err := prog.Stats()
					if err != nil {
						b.Fatal(err)
					}
					for i, f := range frames[:n] {
						if tt.ahead && i%(stretches/2) == 0 {
							table.ahead.fill()
						}
						if _, err := prog.Run(h.options(b, f)); err != nil {
							b.Fatal(err)
						}
					}
					after, err := prog.Stats()
					if err != nil {
						b.Fatal(err)
					}
					each := float64(after.Runtime-before.Runtime) / float64(after.RunCount-before.RunCount)
					if n == 200 && (best == 0 || each < best) {
						best = each
					}
					frames = frames[n:]
				}
				b.StopTimer()
				b.ReportMetric(best, "ns/packet")
				c, err := table.Delete(FlowKey{us4})
				if err != nil {
					b.Fatal(err)
				}
				if !tt.stun && c.Packets != uint64(b.N) {
					b.Fatalf("%d of %d packets: %+v", c.Packets, b.N, c)
				}
			})
		}
	}
}

// BenchmarkPutDelete is the time to hand a flow over and back, its path known or not.
func BenchmarkPutDelete(b *testing.B) {
	table := benchTable(b, Config{})
	act := Action{Peer: peer4, PTs: anyPT, In: newParams(b, "AES_CM_128_HMAC_SHA1_80"),
		Sources: []Source{{SSRC: testSSRC, In: begun(99), Out: []srtp.Progress{begun(99)}}},
		Sinks:   []Sink{{Local: at(us4, 40000), Remote: far4, Out: newParams(b, "AES_CM_128_HMAC_SHA1_80")}}}
	for _, known := range []bool{false, true} {
		name := "new path"
		if known {
			name = "known path"
			if err := table.Put(FlowKey{at(us4, 1)}, act); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := table.Put(FlowKey{us4}, act); err != nil {
					b.Fatal(err)
				}
				if _, err := table.Delete(FlowKey{us4}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAhead is the time to make key stream for one packet with 160 bytes of payload.
func BenchmarkAhead(b *testing.B) {
	table := benchTable(b, Config{noAhead: true})
	r, err := table.ahead.acquire(newParams(b, "AES_CM_128_HMAC_SHA1_80"), testSSRC, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer table.ahead.release(r)
	shared := &table.ahead.rings[r.id]
	b.ReportAllocs()
	for index := uint64(0); b.Loop(); index++ {
		shared.Last = index<<8 | 10
		r.fill(shared)
	}
}
