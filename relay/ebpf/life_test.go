//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
)

// neighboursKnown reports whether all receivers can be sent to without a look-up.
func (t *kernelTable) neighboursKnown() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.paths.byID {
		if p.value.Kind != pathLink {
			return false
		}
	}
	return true
}

// TestFanOut sends one stream to receivers of every kind.
func TestFanOut(t *testing.T) {
	l := newLab(t, "direct", false)
	table := openTable(t, Config{})
	v6 := netip.MustParseAddr
	in, out, out2 := newParams(t, "AES_CM_128_HMAC_SHA1_80"), newParams(t, "AES_256_CM_HMAC_SHA1_80"), newParams(t, "AES_CM_128_HMAC_SHA1_32")
	ours, caller := socket(t, l.toCall, 30000), socketIn(t, l.caller, l.c, 4000)
	remap := new([128]uint8)
	for i := range remap {
		remap[i] = uint8(i)
	}
	remap[8] = 97
	sinks := []struct {
		sock *net.UDPConn
		from netip.AddrPort
		sink Sink
	}{
		{socketIn(t, l.callee, l.d, 6000), addr("10.2.0.1:40000"), Sink{}},
		{socketIn(t, l.callee, v6("fd00:2::2"), 6002), addr("[fd00:2::1]:40002"), Sink{Out: out, TOS: 46 << 2}},
		{socketIn(t, l.callee, l.d, 6004), addr("10.2.0.1:40004"), Sink{Raw: true}},
		{socketIn(t, l.callee, l.d, 6006), addr("10.2.0.1:40006"), Sink{PTMap: remap}},
		{socketIn(t, l.caller, v6("fd00:1::2"), 6008), addr("[fd00:1::1]:40008"), Sink{}},
		{socketIn(t, l.caller, l.c, 6010), addr("10.1.0.1:40010"), Sink{Out: out2, PTMap: remap}},
		{socketIn(t, l.callee, l.d, 6012), addr("10.2.0.1:40012"), Sink{Out: out}},
		{socketIn(t, l.callee, v6("fd00:2::2"), 6014), addr("[fd00:2::1]:40014"), Sink{Raw: true}},
	}
	// Every receiver has to have been spoken to once: clones are sent to known neighbours only.
	act := Action{Peer: local(caller), PTs: anyPT, In: in}
	src := Source{SSRC: testSSRC, In: begun(99)}
	for i := range sinks {
		s := &sinks[i].sink
		s.Local, s.Remote = sinks[i].from, local(sinks[i].sock)
		act.Sinks = append(act.Sinks, *s)
		src.Out = append(src.Out, begun(99))
	}
	act.Sources = []Source{src}
	fake := NewFake()
	fake.Eager = true
	for _, tab := range []Table{table, fake} {
		if err := tab.Put(FlowKey{local(ours)}, act); err != nil {
			t.Fatal(err)
		}
	}
	kt := table.(*kernelTable)
	eventually(t, "all neighbours are known", kt.neighboursKnown)
	ctx, err := resume(in, testSSRC, begun(99))
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(100); i < 200; i++ {
		pkt, err := ctx.ProtectRTP(voice(i, int(i*7%400)))
		if err != nil {
			t.Fatal(err)
		}
		verdict, want := fake.Receive(local(ours), local(caller), pkt)
		if verdict != Sent || len(want) != len(sinks) {
			t.Fatal(verdict, len(want))
		}
		send(t, caller, local(ours), pkt)
		for j, s := range sinks {
			if got, from := arrives(t, s.sock); !bytes.Equal(got, want[j].Payload) || from != s.from {
				t.Fatalf("packet %d, sink %d: got %s from %s, want %s", i, j, brief(got), from, brief(want[j].Payload))
			}
		}
	}
	silent(t, ours)
	got, err := table.Delete(FlowKey{local(ours)})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := fake.Delete(FlowKey{local(ours)})
	sameCounters(t, got, want)
}

// TestLoopback has both ends on this host.
func TestLoopback(t *testing.T) {
	needBPF(t)
	for _, mode := range []Mode{ModeTCX, ModeClsact} {
		for _, addr := range []string{"127.0.0.1", "::1"} {
			for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
				t.Run(fmt.Sprint(mode, addr, suite), func(t *testing.T) {
					needMode(t, mode)
					newNamespace(t)
					table := openTable(t, Config{Mode: mode, Interfaces: []string{"lo"}})
					ip := netip.MustParseAddr(addr)
					a, b, c, d := socket(t, ip, 4000), socket(t, ip, 6000), socket(t, ip, 30000), socket(t, ip, 30002)
					params := newParams(t, suite)
					err := table.Put(FlowKey{local(c)}, Action{Peer: local(a), PTs: anyPT,
						Sources: []Source{{SSRC: testSSRC, Out: []srtp.Progress{begun(99)}}},
						Sinks:   []Sink{{Local: local(d), Remote: local(b), Out: params}}})
					if err != nil {
						t.Fatal(err)
					}
					var ctx *srtp.Context
					if suite != "" {
						if ctx, err = srtp.New(params); err != nil {
							t.Fatal(err)
						}
					}
					for i := uint64(100); i < 200; i++ {
						send(t, a, local(c), voice(i, 160))
						got, from := arrives(t, b)
						if ctx != nil {
							if got, err = ctx.UnprotectRTP(got); err != nil {
								t.Fatal(err)
							}
						}
						if from != local(d) || !bytes.Equal(got, voice(i, 160)) {
							t.Fatalf("packet %d: %s from %s", i, brief(got), from)
						}
					}
					silent(t, c)
				})
			}
		}
	}
}

// traces are what is attached at an interface.
func traces(t *testing.T, dev string) string {
	t.Helper()
	ifi, err := net.InterfaceByName(dev)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	if haveTCX() {
		res, err := link.QueryPrograms(link.QueryOptions{Target: ifi.Index, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(res.Programs); n > 0 {
			found = append(found, fmt.Sprintf("%d TCX", n))
		}
	}
	for _, args := range []string{"qdisc show dev " + dev + " clsact", "filter show dev " + dev + " ingress"} {
		out, err := exec.Command("tc", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tc %s: %v\n%s", args, err, out)
		}
		if len(out) > 0 {
			found = append(found, strings.TrimSpace(string(out)))
		}
	}
	return strings.Join(found, ", ")
}

// TestLeavesNothing looks for what is left after Close.
func TestLeavesNothing(t *testing.T) {
	needBPF(t)
	for _, mode := range []Mode{ModeTCX, ModeClsact} {
		t.Run(mode.String(), func(t *testing.T) {
			needMode(t, mode)
			newNamespace(t)
			a, b := openTable(t, Config{Mode: mode}), openTable(t, Config{Mode: mode})
			if traces(t, "lo") == "" {
				t.Error("nothing attached")
			}
			if st := a.Status(); st.Mode != mode || fmt.Sprint(st.Interfaces) != "[lo]" {
				t.Errorf("status %+v", st)
			}
			for _, table := range []Table{b, a} {
				if err := table.Close(); err != nil {
					t.Error(err)
				}
			}
			if left := traces(t, "lo"); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	}
}

const childEnv = "RTPSIDECAR_TEST_TABLE"

// childTable keeps it from the garbage collector.
var childTable Table

// TestChild is not a test: it is the process that dies in TestDeath.
func TestChild(t *testing.T) {
	mode, ok := os.LookupEnv(childEnv)
	if !ok {
		t.Skip("runs inside TestDeath only")
	}
	cfg := Config{Interfaces: []string{"lo"}}
	if mode == ModeClsact.String() {
		cfg.Mode = ModeClsact
	}
	var err error
	if childTable, err = Open(cfg); err != nil {
		fmt.Println("refused:", errors.Is(err, ErrPermission), err)
		return
	}
	fmt.Println("attached")
	select {}
}

// TestDeath kills a process with a table.
func TestDeath(t *testing.T) {
	for _, mode := range []Mode{ModeTCX, ModeClsact} {
		t.Run(mode.String(), func(t *testing.T) {
			needMode(t, mode)
			newNamespace(t)
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
			cmd.Env = append(os.Environ(), childEnv+"="+mode.String())
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "attached"; {
			}
			if traces(t, "lo") == "" {
				t.Error("nothing attached")
			}
			living := openTable(t, Config{Mode: mode}) // leaves what lives alone
			before := traces(t, "lo")
			if err := living.Close(); err != nil {
				t.Error(err)
			}
			if now := traces(t, "lo"); now == "" || now == before {
				t.Errorf("before %q, now %q", before, now)
			}
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if mode == ModeTCX {
				eventually(t, "its links are gone", func() bool { return traces(t, "lo") == "" })
				return
			}
			next := openTable(t, Config{Mode: mode})
			if n := strings.Count(traces(t, "lo"), " "+ownerPrefix); n != 1 {
				t.Errorf("%d filters: %s", n, traces(t, "lo"))
			}
			if err := next.Close(); err != nil {
				t.Error(err)
			}
			if left := traces(t, "lo"); strings.Contains(left, ownerPrefix) {
				t.Errorf("left: %s", left)
			}
		})
	}
}

// TestCapabilities opens a table as nobody, with few capabilities and with fewer.
func TestCapabilities(t *testing.T) {
	newNamespace(t)
	dir, err := os.MkdirTemp("", "ebpf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "child")
	if err := errors.Join(os.WriteFile(binary, program, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	all := []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN}
	for _, tt := range []struct {
		name string
		caps []uintptr
		want string
	}{
		{"enough", all, "attached"},
		{"none", nil, "missing: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN:"},
		{"no CAP_BPF", all[1:], "missing: CAP_BPF:"},
		{"no CAP_PERFMON", []uintptr{all[0], all[2]}, "missing: CAP_PERFMON:"},
		{"no CAP_NET_ADMIN", all[:2], "missing: CAP_NET_ADMIN:"},
	} {
		cmd := exec.Command(binary, "-test.run=^TestChild$", "-test.v")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), childEnv+"="+ModeAuto.String())
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: tt.caps}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		got := ""
		for lines := bufio.NewScanner(out); got == "" && lines.Scan(); {
			if l := lines.Text(); l == "attached" || strings.HasPrefix(l, "refused: true") {
				got = l
			} else if strings.HasPrefix(l, "refused") {
				t.Errorf("%s: %s", tt.name, l)
				got = l
			}
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
}

// TestOldKernel has a kernel before minKernel refused by name; scripts/kernels runs it on one.
func TestOldKernel(t *testing.T) {
	if !before(minKernel) {
		t.Skip("THIS KERNEL IS NEW ENOUGH")
	}
	table, err := Open(Config{})
	if err == nil {
		t.Fatal("it does not refuse", table.Close())
	}
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "needed is 5.15") {
		t.Errorf("it says %v", err)
	}
}

func TestLacks(t *testing.T) {
	verifier := errors.New("R1 type=scalar expected=ctx")
	for _, tt := range []struct {
		name        string
		version     uint32
		types       bool
		unsupported bool
		want        string
	}{
		{"an old kernel", 5<<16 | 10<<8 | 223, true, true, "kernel 5.10, needed is 5.15: R1"},
		{"an old kernel without types", 5<<16 | 10<<8, false, true, "kernel 5.10, needed is 5.15: R1"},
		{"a kernel without types", 6<<16 | 6<<8, false, true, "without CONFIG_DEBUG_INFO_BTF: R1"},
		{"a kernel that should do", minKernel, true, false, "fast path: R1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := lacks(tt.version, tt.types, verifier)
			if errors.Is(err, ErrUnsupported) != tt.unsupported || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestTwoTables has two daemons at the same interfaces.
func TestTwoTables(t *testing.T) {
	for _, mode := range []Mode{ModeTCX, ModeClsact} {
		t.Run(mode.String(), func(t *testing.T) {
			needMode(t, mode)
			l := newLab(t, "direct", false)
			first, second := openTable(t, Config{Mode: mode}), openTable(t, Config{Mode: mode})
			one := l.call(first, "")
			one.talk(t, 100, 10, 160)
			for _, c := range []*net.UDPConn{one.caller, one.callee, one.a, one.b} {
				c.Close()
			}
			if _, err := first.Delete(FlowKey{netip.AddrPortFrom(l.toCall, 30000)}); err != nil {
				t.Fatal(err)
			}
			if _, err := first.Delete(FlowKey{netip.AddrPortFrom(l.toCalle, 30002)}); err != nil {
				t.Fatal(err)
			}
			two := l.call(second, "AES_CM_128_HMAC_SHA1_80")
			two.talk(t, 100, 10, 160)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			two.talk(t, 110, 10, 160)
		})
	}
}

// TestInterfaces takes interfaces, addresses and routes away and gives them back.
func TestInterfaces(t *testing.T) {
	for _, mode := range []Mode{ModeTCX, ModeClsact} {
		t.Run(mode.String(), func(t *testing.T) {
			needMode(t, mode)
			l := newLab(t, "direct", false)
			table := openTable(t, Config{Mode: mode})
			c := l.call(table, "")
			kt := table.(*kernelTable)
			to := func(remote netip.Addr) rtpPath {
				kt.mu.Lock()
				defer kt.mu.Unlock()
				for _, p := range kt.paths.byID {
					if p.remote == remote {
						return p.value
					}
				}
				return rtpPath{Kind: 0xff}
			}
			kind := func(remote netip.Addr) uint8 { return to(remote).Kind }
			c.talk(t, 100, 10, 160)

			run(t, "ip link set d0 down")
			eventually(t, "no path when the interface is down", func() bool { return kind(l.d) == pathNone })
			b := voice(200, 160)
			send(t, c.caller, local(c.a), b)
			if got, _ := arrives(t, c.a); !bytes.Equal(got, b) {
				t.Errorf("got %s", brief(got))
			}
			run(t, "ip link set d0 up")
			eventually(t, "a path when it is up again", func() bool { return kind(l.d) != pathNone })
			eventually(t, "attached", func() bool { return strings.Contains(fmt.Sprint(table.Status().Interfaces), "d0") })
			c.talk(t, 210, 10, 160)

			// The neighbour gets another network card.
			in(t, l.callee, func() { run(t, "ip link set r0 address 02:00:00:00:12:34") })
			run(t, "ip neigh flush dev d0")
			eventually(t, "the new address is known", func() bool {
				send(t, c.caller, local(c.a), voice(300, 160))
				p := to(l.d)
				return p.Kind == pathLink && p.Dmac == [6]uint8{2, 0, 0, 0, 0x12, 0x34}
			})
			in(t, l.callee, func() { c.callee.Close(); c.callee = socket(t, l.d, 6000) })
			c.talk(t, 310, 10, 160)

			// Our address goes, with the route, and comes back.
			run(t, "ip addr del 10.2.0.1/24 dev d0")
			eventually(t, "no path without an address", func() bool { return kind(l.d) == pathNone })
			b = voice(340, 160)
			send(t, c.caller, local(c.a), b)
			if got, _ := arrives(t, c.a); !bytes.Equal(got, b) {
				t.Errorf("got %s", brief(got))
			}
			run(t, "ip addr add 10.2.0.1/24 dev d0")
			eventually(t, "a path with the address", func() bool { return kind(l.d) != pathNone })
			eventually(t, "attached again", func() bool { return strings.Contains(fmt.Sprint(table.Status().Interfaces), "d0") })
			c.talk(t, 350, 10, 160)

			// The interface is made anew, under the name that it had.
			run(t, "ip link del d0")
			eventually(t, "no path when the interface is gone", func() bool { return kind(l.d) == pathNone })
			c.callee.Close()
			join(t, l.callee, "d0", "r0", 2)
			eventually(t, "a path by the new interface", func() bool { return kind(l.d) != pathNone })
			eventually(t, "attached to it", func() bool { return strings.Contains(fmt.Sprint(table.Status().Interfaces), "d0") })
			in(t, l.callee, func() { c.callee = socket(t, l.d, 6000) })
			c.talk(t, 400, 10, 160)
		})
	}
}
