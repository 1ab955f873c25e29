package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netns"
)

// labNet is three hosts: caller c0 --- relay --- d0 callee. The calling thread is in the relay's namespace for good.
type labNet struct {
	callerNS, calleeNS    netns.NsHandle
	relay, caller, callee netip.Addr
}

func newLabNet() (*labNet, error) {
	l := &labNet{relay: netip.MustParseAddr("10.78.1.1"), caller: netip.MustParseAddr("10.78.1.2"), callee: netip.MustParseAddr("10.78.2.2")}
	for _, ns := range []*netns.NsHandle{&l.callerNS, &l.calleeNS} {
		var err error
		if *ns, err = netns.New(); err != nil {
			return nil, fmt.Errorf("network namespace: %w", err)
		}
	}
	ours, err := netns.New()
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	defer ours.Close() // the thread keeps it
	err = errors.Join(
		lines("ip link set lo up"),
		cable(l.callerNS, "c0", "10.78.1.1/24"), cable(l.calleeNS, "d0", "10.78.2.1/24"),
		l.in(l.callerNS, func() error {
			return lines("ip link set lo up", "ip addr add 10.78.1.2/24 dev r0", "ip link set r0 up", "ip route add default via 10.78.1.1")
		}),
		l.in(l.calleeNS, func() error {
			return lines("ip link set lo up", "ip addr add 10.78.2.2/24 dev r0", "ip link set r0 up", "ip route add default via 10.78.2.1")
		}))
	return l, err
}

func (l *labNet) close() {
	l.callerNS.Close()
	l.calleeNS.Close()
}

func cable(ns netns.NsHandle, name, addr string) error {
	return lines(fmt.Sprintf("ip link add %s type veth peer name r0 netns /proc/%d/fd/%d", name, os.Getpid(), int(ns)),
		"ip addr add "+addr+" dev "+name, "ip link set "+name+" up")
}

// in runs f in another namespace.
func (l *labNet) in(ns netns.NsHandle, f func() error) error {
	ours, err := netns.Get()
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := netns.Set(ns); err != nil {
		return err
	}
	return errors.Join(f(), netns.Set(ours))
}

func lines(list ...string) error {
	for _, line := range list {
		args := strings.Fields(line)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}

// reflect bounces all UDP at both of the relay's interfaces before any relay sees it, as the cheapest relay would: addresses and ports change
// places. What that costs is the cost of making packets, of the cables and of receiving.
func (l *labNet) reflect() (undo func() error, err error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, License: "GPL", Instructions: bounce()})
	if err != nil {
		return nil, fmt.Errorf("reflect: %w", err)
	}
	undo = prog.Close
	for _, name := range []string{"c0", "d0"} {
		at, err := first(prog, name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reflect: %w", err), undo())
		}
		undo = both(at.Close, undo)
	}
	return undo, nil
}

// sink drops what arrives at the far hosts, before their stacks see it; undo adds how much that was.
func (l *labNet) sink(count *atomic.Uint64) (undo func() error, err error) {
	sum, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, License: "GPL", Instructions: drop(sum)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sink: %w", err), sum.Close())
	}
	undo = both(prog.Close, func() error {
		var n uint64
		err := sum.Lookup(uint32(0), &n)
		count.Add(n)
		return errors.Join(err, sum.Close())
	})
	for _, ns := range []netns.NsHandle{l.callerNS, l.calleeNS} {
		err := l.in(ns, func() error {
			at, err := first(prog, "r0")
			if err == nil {
				undo = both(at.Close, undo)
			}
			return err
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sink: %w", err), undo())
		}
	}
	return undo, nil
}

// first puts a program before all others at an interface.
func first(prog *ebpf.Program, name string) (link.Link, error) {
	index, err := interfaceIndex(name)
	if err != nil {
		return nil, err
	}
	at, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return at, nil
}

// both does one after the other.
func both(a, b func() error) func() error {
	return func() error {
		err := a()
		return errors.Join(err, b())
	}
}

// drop is the program of sink.
func drop(sum *ebpf.Map) asm.Instructions {
	const protocol, shot, next = 16, 2, -1 // in struct __sk_buff; TC_ACT_SHOT; the next program
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, protocol, asm.Word),
		asm.JNE.Imm(asm.R2, 0x0008, "next"), // IPv4, in network order
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, sum.FD()),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, shot),
		asm.Return(),
		asm.Mov.Imm(asm.R0, next).WithSymbol("next"),
		asm.Return(),
	}
}

// bounce is the program: frame[0:42] is read onto the stack, and its parts are stored where they belong on the way back.
func bounce() asm.Instructions {
	const frame, up = -48, -1 // where it lies on the stack; what leaves a packet to the stack of the host
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, frame),
		asm.Mov.Imm(asm.R4, 42),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "up"),
		asm.LoadMem(asm.R1, asm.R10, frame+12, asm.Half),
		asm.JNE.Imm(asm.R1, 0x0008, "up"), // IPv4, in network order
		asm.LoadMem(asm.R1, asm.R10, frame+23, asm.Byte),
		asm.JNE.Imm(asm.R1, 17, "up"),
	}
	for _, m := range []struct{ to, from, size int32 }{{0, 6, 6}, {6, 0, 6}, {26, 30, 4}, {30, 26, 4}, {34, 36, 2}, {36, 34, 2}} {
		insns = append(insns,
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, m.to),
			asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, frame+m.from),
			asm.Mov.Imm(asm.R4, m.size),
			asm.Mov.Imm(asm.R5, 0),
			asm.FnSkbStoreBytes.Call(),
		)
	}
	const ifindex = 40 // in struct __sk_buff
	return append(insns,
		asm.LoadMem(asm.R1, asm.R6, ifindex, asm.Word),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, up).WithSymbol("up"),
		asm.Return(),
	)
}
