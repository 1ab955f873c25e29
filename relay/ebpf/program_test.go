//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// hook is a program and what it returns.
type hook struct {
	name           string
	program        func(*kernelTable) *ebpf.Program
	up, drop, sent uint32
}

var hooks = []hook{
	{"tc", func(t *kernelTable) *ebpf.Program { return t.objs.RelayTc }, ^uint32(0), 2, 7},
	{"xdp", func(t *kernelTable) *ebpf.Program { return t.objs.RelayXdp }, 2, 1, 3},
}

// xdpContext is struct xdp_md.
type xdpContext struct{ Data, End, Meta, Ingress, Queue, Egress uint32 }

// options are those of a run with frame, which has come by the interface that leads to the far ends.
func (h hook) options(t testing.TB, frame []byte) *ebpf.RunOptions {
	t.Helper()
	o := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	if h.name == "xdp" {
		o.Context = xdpContext{End: uint32(len(frame)), Ingress: bench.v0}
	}
	return o
}

// run gives frame to the program. What XDP passes unchanged goes to the classifier, as it does in the kernel.
func (h hook) run(t testing.TB, table *kernelTable, frame []byte) (code uint32, out []byte) {
	t.Helper()
	o := h.options(t, frame)
	var err error
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in(t, bench.ns, func() { code, err = h.program(table).Run(o) })
	if err != nil {
		t.Fatal(err)
	}
	if h.name == "xdp" && code == h.up && bytes.Equal(o.DataOut, frame) {
		tc := hooks[0]
		code, out = tc.run(t, table, frame)
		switch code {
		case tc.up:
			code = h.up
		case tc.drop:
			code = h.drop
		}
		return code, out
	}
	return code, o.DataOut
}

const testSSRC = 0x11223344

func newParams(t testing.TB, suite string) srtp.Params {
	t.Helper()
	if suite == "" {
		return srtp.Params{}
	}
	p, err := srtp.NewParams(srtp.SuiteByName(suite), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sender makes RTP packets as a strange phone would.
type sender struct {
	rnd   *mathrand.Rand
	index uint64 // of the next packet
	out   *srtp.Context
	sent  [][]byte
}

// next is a packet as it comes from the network. It may be anything.
func (s *sender) next() []byte {
	r := s.rnd
	switch r.IntN(40) {
	case 0:
		s.index += uint64(r.IntN(200)) // a gap
	case 1:
		s.index += 8000 // a long one, and soon a wrap
	case 2: // an old one again
		if n := len(s.sent); n > 0 {
			return bytes.Clone(s.sent[n-1-r.IntN(min(n, 200))])
		}
	case 3: // not RTP
		b := make([]byte, r.IntN(80))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	b := s.make(s.index)
	s.index++
	s.sent = append(s.sent, b)
	b = bytes.Clone(b)
	switch r.IntN(40) {
	case 0: // forged
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	case 1: // cut
		b = b[:r.IntN(len(b))]
	case 2: // with an MKI that nobody agreed on
		b = append(b, 1, 2, 3, 4)
	case 3: // longer than any buffer
		b = append(b, make([]byte, 1600)...)
	}
	return b
}

func (s *sender) make(index uint64) []byte {
	r := s.rnd
	pt := uint8(8)
	if r.IntN(10) == 0 {
		pt = uint8(r.IntN(128))
	}
	seq := uint16(index)
	b := rtp.AppendHeader(nil, rtp.Header{PT: pt, Marker: r.IntN(2) == 0, Seq: seq, Timestamp: r.Uint32(), SSRC: testSSRC})
	if r.IntN(4) == 0 {
		n := r.IntN(16)
		b[0] |= byte(n)
		for range n {
			b = binary.BigEndian.AppendUint32(b, r.Uint32())
		}
	}
	if r.IntN(4) == 0 {
		b[0] |= 0x10
		n := r.IntN(20)
		b = binary.BigEndian.AppendUint16(b, 0xbede)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		b = append(b, make([]byte, 4*n)...)
	}
	n := 160
	if r.IntN(3) == 0 {
		n = r.IntN(1300)
	}
	for range n {
		b = append(b, byte(r.Uint32()))
	}
	if n > 0 && r.IntN(4) == 0 {
		b[0] |= 0x20
		b[len(b)-1] = byte(1 + r.IntN(min(n, 255)))
	}
	if s.out != nil {
		c := append(make([]byte, 0, len(b)+srtp.MaxOverhead), b...)
		c, err := s.out.ProtectRTP(c)
		if err == nil {
			return c
		}
		// Its index was used: a context of its own gives it once more, as a cheat would.
		o, _ := resume(s.out.Params(), testSSRC, srtp.Progress{Started: true, Highest: index - 1})
		c, _ = o.ProtectRTP(append(make([]byte, 0, len(b)+srtp.MaxOverhead), b...))
		return c
	}
	return b
}

// TestAgainstGo sends long random streams through the program and the model, and compares every packet, byte for byte.
func TestAgainstGo(t *testing.T) { againstGo(t, Config{Mode: ModeXDP}) }

// TestKernelAES is TestAgainstGo with the kernel's AES.
func TestKernelAES(t *testing.T) {
	needKernelAES(t)
	againstGo(t, Config{Mode: ModeXDP, KernelAES: true})
}

func againstGo(t *testing.T, cfg Config) {
	const sha80, sha32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
	remap := new([128]uint8)
	for i := range remap {
		remap[i] = uint8(i)
	}
	remap[8], remap[0] = 97, 101
	tests := []struct {
		name    string
		in, out string
		raw     bool
		ptMap   *[128]uint8
		v6in    bool
		v6out   bool
	}{
		{name: "plain"},
		{name: "plain IPv6", v6in: true, v6out: true},
		{name: "IPv4 to IPv6", v6out: true},
		{name: "IPv6 to IPv4", v6in: true},
		{name: "payload types", ptMap: remap},
		{name: "encrypt 80", out: sha80},
		{name: "encrypt 32", out: sha32},
		{name: "encrypt 192", out: "AES_192_CM_HMAC_SHA1_80"},
		{name: "encrypt 256/80", out: "AES_256_CM_HMAC_SHA1_80", ptMap: remap},
		{name: "encrypt 256/32 IPv6", out: "AES_256_CM_HMAC_SHA1_32", v6in: true, v6out: true},
		{name: "encrypt null", out: "NULL_HMAC_SHA1_80"},
		{name: "encrypt IPv4 to IPv6", out: sha80, v6out: true},
		{name: "decrypt 80", in: sha80},
		{name: "decrypt 32", in: sha32, ptMap: remap},
		{name: "decrypt 192", in: "AES_192_CM_HMAC_SHA1_32"},
		{name: "decrypt 256", in: "AES_256_CM_HMAC_SHA1_80"},
		{name: "decrypt null", in: "NULL_HMAC_SHA1_32"},
		{name: "decrypt IPv6 to IPv4", in: sha80, v6in: true},
		{name: "both", in: sha80, out: sha80},
		{name: "both, other suites", in: "AES_256_CM_HMAC_SHA1_80", out: sha32},
		{name: "both IPv6", in: sha32, out: "AES_256_CM_HMAC_SHA1_32", v6in: true, v6out: true},
		{name: "raw", raw: true},
		{name: "raw but verified", in: sha80, raw: true},
	}
	table := benchTable(t, cfg)
	for i, tt := range tests {
		for j, h := range hooks {
			t.Run(h.name+" "+tt.name, func(t *testing.T) {
				rnd := mathrand.New(mathrand.NewPCG(uint64(i), 7))
				local, peer := at(us4, uint16(30000+4*i+2*j)), peer4
				sinkFrom, sinkTo := at(us4, uint16(40000+4*i+2*j)), far4
				if tt.v6in {
					local, peer = at(us6, local.Port()), peer6
				}
				if tt.v6out {
					sinkFrom, sinkTo = at(us6, sinkFrom.Port()), far6
				}
				start := uint64(65536*3 + 65000)
				begun := srtp.Progress{Started: true, Highest: start - 1, Window: [2]uint64{1, 0}}
				act := Action{Peer: peer, PTs: [2]uint64{1<<8 | 1, 1 << 33}, In: newParams(t, tt.in), ClockRateHz: 8000,
					Sources: []Source{{SSRC: testSSRC, In: begun, Out: []srtp.Progress{begun}}},
					Sinks:   []Sink{{Local: sinkFrom, Remote: sinkTo, TOS: 184, Raw: tt.raw, PTMap: tt.ptMap, Out: newParams(t, tt.out)}},
				}
				s := &sender{rnd: rnd, index: start}
				if tt.in != "" {
					var err error
					if s.out, err = resume(act.In, testSSRC, srtp.Progress{Started: true, Highest: start - 1}); err != nil {
						t.Fatal(err)
					}
				}
				key := FlowKey{local}
				fake := NewFake()
				fake.Eager, fake.MaxPayload = true, 1450
				for _, tab := range []Table{table, fake} {
					if err := tab.Put(key, act); err != nil {
						t.Fatal(err)
					}
				}
				hitsBefore := map[uint32]uint64{}
				for _, r := range table.flows[key].rings {
					hitsBefore[r.id] = table.ahead.rings[r.id].Hits
				}
				seen := map[Verdict]int{}
				for n := range 2500 {
					if n%(i%3+2) == 0 {
						table.ahead.fill() // so that some packets find their key stream and some do not
					}
					payload := s.next()
					d := datagram{from: peer, to: local, payload: payload, noChecksum: !tt.v6in && !tt.v6out && n%7 == 0}
					if n%50 == 0 {
						d.from = at(peer, 1)
					}
					seen[compare(t, table, h, fake, d)]++
					if t.Failed() {
						t.Fatalf("packet %d: %x", n, payload)
					}
				}
				if seen[Sent] < 1200 || seen[Up] < 50 {
					t.Errorf("verdicts %v", seen)
				}
				for _, r := range table.flows[key].rings {
					if hits := table.ahead.rings[r.id].Hits - hitsBefore[r.id]; hits < 300 || hits > uint64(seen[Sent]) {
						t.Errorf("%d packets of %d found key stream", hits, seen[Sent])
					}
				}
				got, err := table.Delete(key)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := fake.Delete(key)
				sameCounters(t, got, want)
			})
		}
	}
}

// sameCounters compares what the two tables counted. Up and WrongSource differ where the model rejects a malformed packet
// earlier, or knows no path.
func sameCounters(t *testing.T, got, want Counter) {
	t.Helper()
	for i := range got.Sources {
		g, w := &got.Sources[i], &want.Sources[i]
		if g.In != w.In || fmt.Sprint(g.Out) != fmt.Sprint(w.Out) || g.Packets != w.Packets || g.PT != w.PT || g.Timestamp != w.Timestamp {
			t.Errorf("source %d:\n got %+v\nwant %+v", i, *g, *w)
		}
	}
	if got.Packets != want.Packets || got.Bytes != want.Bytes || got.BadTag != want.BadTag ||
		got.Replayed != want.Replayed || fmt.Sprint(got.Sinks) != fmt.Sprint(want.Sinks) {
		t.Errorf("counters:\n got %+v\nwant %+v", got, want)
	}
	if got.Packets > 0 && time.Since(got.Last).Abs() > time.Minute {
		t.Errorf("last packet at %v", got.Last)
	}
}

// compare gives one packet to both tables.
func compare(t *testing.T, table *kernelTable, h hook, fake *Fake, d datagram) Verdict {
	t.Helper()
	frame := d.bytes()
	code, out := h.run(t, table, frame)
	verdict, sent := fake.Receive(d.to, d.from, d.payload)
	switch {
	case verdict == Up:
		if code != h.up || !bytes.Equal(out, frame) {
			t.Errorf("code %d, wanted up and untouched", int32(code))
		}
	case len(sent) == 0:
		if code != h.drop {
			t.Errorf("code %d, wanted a drop", int32(code))
		}
	default:
		if code != h.sent {
			t.Fatalf("code %d, wanted it sent", int32(code))
		}
		sameFrame(t, out, sent[0], d)
	}
	return verdict
}

func sameFrame(t *testing.T, out []byte, want Packet, in datagram) {
	t.Helper()
	got, err := readFrame(out)
	if err != nil {
		t.Error(err)
		return
	}
	if got.from != want.From || got.to != want.To || got.tos != want.TOS || got.hops != 64 || got.dmac != farMAC ||
		got.noChecksum != in.noChecksum {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.from.Addr().Is4() && got.fragment != 0x4000 {
		t.Errorf("fragment field %#x", got.fragment)
	}
	if !bytes.Equal(got.payload, want.Payload) {
		t.Errorf("payload of %d bytes\n got %x\nwant %x", len(in.payload), got.payload, want.Payload)
	}
}
