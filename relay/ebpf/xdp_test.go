//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// passAll puts a program that passes every frame at an interface of ns: without one a veth gets nothing from its peer's.
func passAll(t testing.TB, ns netns.NsHandle, name string) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	in(t, ns, func() {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		x, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Attrs().Index, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
	})
}

// TestXDP has frames forwarded by native XDP alone.
func TestXDP(t *testing.T) {
	needMode(t, ModeTCX) // its link can be closed by itself
	for _, v6 := range []bool{false, true} {
		for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
			t.Run(map[bool]string{false: "IPv4 ", true: "IPv6 "}[v6]+suite, func(t *testing.T) {
				l := newLab(t, "one router", v6)
				passAll(t, l.router, "up0")
				in(t, l.router, func() { ethtoolSet(t, "up0", setTxChecksum, false) }) // as a wire has it
				table := openTable(t, Config{Mode: ModeXDP, Interfaces: []string{"c0"}, veth: true})
				kt := table.(*kernelTable)
				if st := table.Status(); !slices.Equal(st.XDP, []string{"c0"}) || st.Mode != ModeXDP {
					t.Fatalf("status %+v", st)
				}
				c := l.call(table, suite)
				kt.mu.Lock()
				for _, at := range kt.attach.at {
					if err := at.links[1].Close(); err != nil { // TCX: what XDP leaves goes to the sockets, which talk wants silent
						t.Error(err)
					}
					at.links = at.links[:1]
				}
				kt.mu.Unlock()
				eventually(t, "neighbours are known", kt.neighboursKnown)
				c.talk(t, 100, 50, 160)
			})
		}
	}
}

// TestXDPPasses has frames that come by XDP and leave by another interface forwarded by the classifier. What XDP has decided
// leaves no trace, or the classifier would take these packets for old ones.
func TestXDPPasses(t *testing.T) {
	needMode(t, ModeXDP)
	l := newLab(t, "direct", false)
	for _, ns := range []netns.NsHandle{l.caller, l.callee} {
		passAll(t, ns, "r0")
		in(t, ns, func() { ethtoolSet(t, "r0", setTxChecksum, false) })
	}
	table := openTable(t, Config{Mode: ModeXDP, Interfaces: []string{"c0", "d0"}, veth: true})
	if st := table.Status(); len(st.XDP) != 2 {
		t.Fatalf("status %+v", st)
	}
	c := l.call(table, "AES_CM_128_HMAC_SHA1_80")
	c.talk(t, 100, 50, 160)
	const strangers = 3
	other := socketIn(t, l.caller, l.c, 4444)
	for range strangers {
		send(t, other, local(c.a), voice(500, 160))
		arrives(t, c.a)
	}
	got, err := table.Delete(FlowKey{local(c.a)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Packets != 50 || got.WrongSource != strangers {
		t.Errorf("counted %+v", got)
	}
}

// TestNoXDP has interfaces without it served as ever.
func TestNoXDP(t *testing.T) {
	needMode(t, ModeXDP)
	l := newLab(t, "direct", false)
	var log bytes.Buffer
	table := openTable(t, Config{Mode: ModeXDP, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if st := table.Status(); len(st.XDP) != 0 || !slices.Contains(st.Interfaces, "c0") || !slices.Contains(st.Interfaces, "d0") {
		t.Errorf("status %+v", st)
	}
	for _, name := range []string{"c0", "d0", "lo"} {
		if want := "fast path without native XDP\" interface=" + name; !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, &log)
		}
	}
	l.call(table, "").talk(t, 100, 10, 160)
}
