package ebpf

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rtpsidecar/relay/srtp"
)

var at0 netip.AddrPort

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// TestMerge checks every bit against sets of indices.
func TestMerge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var all []srtp.Progress
		used := make(map[uint64]bool)
		for range 2 {
			top := 1000 + rnd.Uint64N(300)
			p := srtp.Progress{Started: true, Highest: top, Window: [2]uint64{rnd.Uint64() | 1, rnd.Uint64()}}
			for i := range uint64(128) {
				if p.Window[i/64]>>(i%64)&1 == 1 {
					used[top-i] = true
				}
			}
			all = append(all, p)
		}
		got := Merge(all[0], all[1])
		if got != Merge(all[1], all[0]) {
			t.Fatalf("not symmetric: %+v", all)
		}
		if got.Highest != max(all[0].Highest, all[1].Highest) {
			t.Fatalf("highest %d of %+v", got.Highest, all)
		}
		for i := range uint64(128) {
			if (got.Window[i/64]>>(i%64)&1 == 1) != used[got.Highest-i] {
				t.Fatalf("index %d of %+v: %+v", got.Highest-i, all, got)
			}
		}
	}
	one := srtp.Progress{Started: true, Highest: 5, Window: [2]uint64{1, 0}}
	if Merge(one, srtp.Progress{}) != one || Merge(srtp.Progress{}, one) != one {
		t.Error("with nothing")
	}
}

func TestSupported(t *testing.T) {
	for _, s := range srtp.Suites() {
		want := !strings.HasPrefix(s.Name, "AEAD") && !strings.HasPrefix(s.Name, "F8")
		if Supported(s) != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
	if Supported(nil) {
		t.Error("no suite")
	}
}

func TestValidate(t *testing.T) {
	begun := srtp.Progress{Started: true, Highest: 7}
	key := func(suite string) srtp.Params {
		s := srtp.SuiteByName(suite)
		return srtp.Params{Suite: s, Key: make([]byte, s.KeyLen), Salt: make([]byte, s.SaltLen)}
	}
	const sha80 = "AES_CM_128_HMAC_SHA1_80"
	tests := []struct {
		name   string
		change func(*Action, *FlowKey)
		want   string // part of the error; empty: none
	}{
		{"good", func(*Action, *FlowKey) {}, ""},
		{"no source address", func(a *Action, _ *FlowKey) { a.Peer = at0 }, "no source to expect"},
		{"none needed", func(a *Action, _ *FlowKey) { a.Peer, a.Mismatch = at0, MismatchIgnore }, ""},
		{"unspecified local address", func(_ *Action, k *FlowKey) { k.Local = addr("0.0.0.0:5") }, "local address"},
		{"link-local", func(_ *Action, k *FlowKey) { k.Local = addr("[fe80::1%eth0]:5") }, "local address"},
		{"IPv4 in IPv6", func(_ *Action, k *FlowKey) { k.Local = addr("[::ffff:10.0.0.1]:5") }, "local address"},
		{"no SSRC", func(a *Action, _ *FlowKey) { a.Sources = nil }, "0 sources"},
		{"five SSRCs", func(a *Action, _ *FlowKey) { a.Sources = make([]Source, 5) }, "5 sources"},
		{"one SSRC twice", func(a *Action, _ *FlowKey) { a.Sources = []Source{{SSRC: 1}, {SSRC: 1}} }, "twice"},
		{"nine sinks", func(a *Action, _ *FlowKey) { a.Sinks = make([]Sink, 9) }, "9 sinks"},
		{"no sink", func(a *Action, _ *FlowKey) { a.Sinks = nil }, ""},
		{"families mixed in a sink", func(a *Action, _ *FlowKey) { a.Sinks[0].Remote = addr("[2001:db8::1]:5") }, "addresses"},
		{"families mixed between legs", func(a *Action, _ *FlowKey) {
			a.Sinks[0].Local, a.Sinks[0].Remote = addr("[2001:db8::2]:5"), addr("[2001:db8::1]:5")
		}, ""},
		{"to itself", func(a *Action, k *FlowKey) { a.Sinks[0].Remote = k.Local }, "come back"},
		{"decrypt", func(a *Action, _ *FlowKey) { a.In, a.Sources[0].In = key(sha80), begun }, ""},
		{"decrypt without progress", func(a *Action, _ *FlowKey) { a.In = key(sha80) }, "no inbound progress"},
		{"GCM", func(a *Action, _ *FlowKey) { a.In, a.Sources[0].In = key("AEAD_AES_128_GCM"), begun }, "AEAD_AES_128_GCM"},
		{"F8", func(a *Action, _ *FlowKey) { a.Sinks[0].Out = key("F8_128_HMAC_SHA1_80") }, "F8_128"},
		{"MKI", func(a *Action, _ *FlowKey) {
			a.In, a.Sources[0].In = key(sha80), begun
			a.In.MKI = []byte{1}
		}, "master key identifier"},
		{"unauthenticated", func(a *Action, _ *FlowKey) {
			a.In, a.Sources[0].In = key(sha80), begun
			a.In.UnauthenticatedRTP = true
		}, "UNAUTHENTICATED_SRTP"},
		{"unencrypted", func(a *Action, _ *FlowKey) {
			a.In, a.Sources[0].In = key(sha80), begun
			a.In.UnencryptedRTP = true
		}, ""},
		{"encrypt", func(a *Action, _ *FlowKey) {
			a.Sinks[0].Out, a.Sources[0].Out = key(sha80), []srtp.Progress{begun}
		}, ""},
		{"encrypt without progress", func(a *Action, _ *FlowKey) { a.Sinks[0].Out = key(sha80) }, "no outbound progress"},
		{"encrypt raw", func(a *Action, _ *FlowKey) { a.Sinks[0].Raw, a.Sinks[0].Out = true, key(sha80) }, "key for raw"},
		{"map raw", func(a *Action, _ *FlowKey) { a.Sinks[0].Raw, a.Sinks[0].PTMap = true, new([128]uint8) }, "raw"},
		{"too many payload types", func(a *Action, _ *FlowKey) { a.Sinks[0].PTMap = new([128]uint8) }, "127 payload types change"},
		{"few of them forwarded", func(a *Action, _ *FlowKey) {
			a.Sinks[0].PTMap = new([128]uint8)
			a.PTs = [2]uint64{1<<8 | 1<<9 | 1<<10 | 1<<11 | 1, 0}
		}, ""},
		{"payload type removed", func(a *Action, _ *FlowKey) {
			a.Sinks[0].PTMap = &[128]uint8{8: 0xff}
			a.PTs = [2]uint64{1 << 8, 0}
		}, "removed"},
	}
	for _, tt := range tests {
		k := FlowKey{addr("192.0.2.1:30000")}
		a := Action{Peer: addr("192.0.2.9:5000"), PTs: [2]uint64{^uint64(0), ^uint64(0)}, Sources: []Source{{SSRC: 5}},
			Sinks: []Sink{{Local: addr("192.0.2.1:30002"), Remote: addr("192.0.2.8:6000")}}}
		tt.change(&a, &k)
		err := a.Validate(k)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if putErr := NewFake().Put(k, a); (putErr == nil) != (err == nil) {
			t.Errorf("%s: the fake says %v", tt.name, putErr)
		}
	}
}

func TestNull(t *testing.T) {
	var table Table = Null{}
	if err := table.Put(FlowKey{}, Action{}); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	if err := (Null{Reason: ErrPermission}).Put(FlowKey{}, Action{}); !errors.Is(err, ErrPermission) {
		t.Error(err)
	}
	if _, err := table.Start(FlowKey{}, Source{}); !errors.Is(err, ErrNoFlow) {
		t.Error(err)
	}
	if _, err := table.Delete(FlowKey{}); !errors.Is(err, ErrNoFlow) {
		t.Error(err)
	}
	if _, err := table.Counter(FlowKey{}); !errors.Is(err, ErrNoFlow) {
		t.Error(err)
	}
	if all, err := table.Counters(nil); err != nil || all != nil {
		t.Error(all, err)
	}
	if table.Status().Mode != ModeAuto || table.Close() != nil {
		t.Error("status or close")
	}
}

// TestHandover moves a stream between userspace and a table, with packets late, early and doubled: each goes out once,
// and no index under two payloads.
func TestHandover(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	now := time.Unix(1e9, 0)
	fake := NewFake()
	fake.Now = func() time.Time { return now }
	params := srtp.Params{Suite: srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), Key: make([]byte, 16), Salt: make([]byte, 14)}
	user, err := srtp.New(params)
	if err != nil {
		t.Fatal(err)
	}
	key, peer := FlowKey{addr("192.0.2.1:30000")}, addr("192.0.2.9:5000")
	sent := make(map[uint16][]byte)
	by := map[Verdict]int{}
	take := func(out []byte) {
		seq := uint16(out[2])<<8 | uint16(out[3])
		if before, ok := sent[seq]; ok {
			t.Fatalf("%d sent twice: %x and %x", seq, before[:16], out[:16])
		}
		sent[seq] = out
	}
	userspace := func(b []byte) {
		if out, err := user.ProtectRTP(append(make([]byte, 0, len(b)+srtp.MaxOverhead), b...)); err == nil {
			take(out)
		} else if !errors.Is(err, srtp.ErrReplay) {
			t.Fatal(err)
		}
	}
	packet := func(seq uint64) []byte {
		return append([]byte{0x80, 8, byte(seq >> 8), byte(seq), 0, 0, 0, 0, 0, 0, 0, 5}, bytes.Repeat([]byte{byte(seq)}, 20)...)
	}
	const first, last = 1000, 1000 + 60000
	installed, started := false, false
	queue := []uint64(nil) // in userspace's socket
	highest := uint64(0)   // that userspace has handled
	progress := func() Source {
		st, _ := user.State(5)
		return Source{SSRC: 5, In: srtp.Progress{Started: true, Highest: highest}, Out: []srtp.Progress{st.RTP}}
	}
	handle := func() {
		seq := queue[0]
		queue = queue[1:]
		userspace(packet(seq))
		highest = max(highest, seq)
		if installed && !started {
			var err error
			if started, err = fake.Start(key, progress()); err != nil {
				t.Fatal(err)
			}
		}
	}
	receive := func(seq uint64) {
		verdict, out := fake.Receive(key.Local, peer, packet(seq))
		by[verdict]++
		for _, p := range out {
			take(p.Payload)
		}
		if verdict == Up {
			queue = append(queue, seq)
		}
	}
	for seq := uint64(first); seq < last; seq++ {
		switch {
		case rnd.IntN(300) == 0 && !installed && seq > first+10:
			act := Action{Peer: peer, PTs: [2]uint64{1 << 8, 0}, Sources: []Source{progress()},
				Sinks: []Sink{{Local: addr("192.0.2.1:30002"), Remote: addr("192.0.2.8:6000"), Out: params}}}
			if err := fake.Put(key, act); err != nil {
				t.Fatal(err)
			}
			installed, started = true, false
		case rnd.IntN(300) == 0 && installed:
			c, err := fake.Delete(key)
			if err != nil {
				t.Fatal(err)
			}
			st, _ := user.State(5)
			st.RTP = Merge(st.RTP, c.Sources[0].Out[0])
			user.SetState(st)
			highest = max(highest, c.Sources[0].In.Highest)
			installed = false
		}
		receive(seq)
		if rnd.IntN(5) == 0 && seq > first+100 {
			receive(seq - rnd.Uint64N(60)) // a double, or a cheat
		}
		// Userspace is late now and then, by up to 60 packets.
		for len(queue) > 0 && (len(queue) > 60 || rnd.IntN(20) > 0) {
			handle()
		}
	}
	for len(queue) > 0 {
		handle()
	}
	if len(sent) != last-first {
		t.Errorf("%d sent of %d", len(sent), last-first)
	}
	if by[Sent] < 10000 || by[Up] < 10000 {
		t.Errorf("verdicts %v", by)
	}
	if st := fake.Status(); st.Flows > 1 {
		t.Errorf("status %+v", st)
	}
}
