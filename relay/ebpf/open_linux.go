//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Open loads the programs, attaches them, and keeps both up to date with interfaces, routes and neighbours of the
// calling thread's network namespace until Close. Errors wrap ErrPermission and ErrUnsupported; the text names what is
// missing.
func Open(cfg Config) (_ Table, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxFlows == 0 {
		cfg.MaxFlows = defaultMaxFlows
	}
	t := &kernelTable{log: cfg.Log, eager: cfg.eager, flows: make(map[FlowKey]*entry)}
	for i := range cfg.MaxFlows {
		t.free = append(t.free, uint32(i))
	}
	for i := range 2 * cfg.MaxFlows {
		t.keys = append(t.keys, uint32(i))
	}
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()

	mode := cfg.Mode
	if mode == ModeAuto {
		mode = ModeTCX
		if !haveTCX() {
			mode = ModeClsact
		}
	}
	clsact := mode == ModeClsact || mode == ModeXDP && !haveTCX()
	undo = append(undo, func() { t.contexts.close(); t.objs.Close() })
	if err := t.load(&cfg, mode == ModeXDP, clsact); err != nil {
		return nil, explain(err)
	}
	if t.ahead, err = newAheads(t.objs.Aheads, !cfg.noAhead); err != nil {
		return nil, fmt.Errorf("fast path: %w", err)
	}
	undo = append(undo, t.ahead.close)

	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("fast path: netlink: %w", err)
	}
	undo = append(undo, nl.Close)
	t.paths = newPaths(nl, int(t.objs.Paths.MaxEntries()))
	t.paths.put = func(id uint32, p *rtpPath) error { return t.objs.Paths.Put(id, p) }
	t.paths.remove = func(id uint32) { _ = t.objs.Paths.Put(id, &rtpPath{}) }
	t.attach = &attacher{nl: nl, log: cfg.Log, mode: mode, clsact: clsact, names: cfg.Interfaces, tc: t.objs.RelayTc, xdp: t.objs.RelayXdp,
		veth: cfg.veth, at: make(map[int]*attachment)}
	if clsact {
		if t.attach.owner, err = newOwner(); err != nil {
			return nil, fmt.Errorf("fast path: owner: %w", err)
		}
	}
	undo = append(undo, t.attach.close)
	if err := t.beat(); err != nil {
		return nil, fmt.Errorf("fast path: pulse: %w", err)
	}
	if t.watch, err = newWatcher(t); err != nil {
		return nil, fmt.Errorf("fast path: watch: %w", err)
	}
	undo = append(undo, t.watch.close)
	if err := t.sync(); err != nil {
		return nil, explain(err)
	}
	for _, name := range cfg.Interfaces {
		if !t.attached(name) {
			cfg.Log.Warn("fast path waits for an interface", "interface", name)
		}
	}
	return t, nil
}

// load puts maps and programs into the kernel.
func (t *kernelTable) load(cfg *Config, xdp, clsact bool) error {
	load := loadRtp
	if cfg.KernelAES {
		if err := kernelAES(); err != nil {
			return err
		}
		load = loadAes
	}
	if xdp && before(minXDP) {
		return unsupported("native XDP: needed is kernel 5.18")
	}
	spec, err := load()
	if err != nil {
		return err
	}
	for name, n := range map[string]int{"slots": cfg.MaxFlows, "flows": cfg.MaxFlows, "states": cfg.MaxFlows, "paths": cfg.MaxFlows + MaxSinks,
		"aheads": cfg.MaxFlows, "transforms": 2 * cfg.MaxFlows, "contexts": 2 * cfg.MaxFlows} {
		if m := spec.Maps[name]; m != nil {
			m.MaxEntries = uint32(n)
		}
	}
	set := map[string]any{
		"guard_rate": uint32(cfg.FloodGuard), "port_min": cfg.PortMin, "port_max": cfg.PortMax,
		"pulse_ns": uint64(0), "csum_v6": uint64(0),
	}
	if !cfg.KernelAES {
		set["te"] = tables
	}
	if clsact {
		set["pulse_ns"] = uint64(pulseLimit)
	}
	// A kernel before 6.16 refuses the flag and needs none where checksums leave the host.
	if v, err := features.LinuxVersionCode(); err == nil && v >= 6<<16|16<<8 {
		set["csum_v6"] = uint64(1 << 7)
	}
	for name, value := range set {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !xdp {
		delete(spec.Programs, "relay_xdp")
	}
	all, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	defer all.Close()
	if err := all.Assign(&t.objs.rtpMaps); err != nil {
		return err
	}
	t.objs.RelayTc, t.objs.RelayXdp = all.DetachProgram("relay_tc"), all.DetachProgram("relay_xdp")
	t.objs.RelayClose, t.objs.RelayStart = all.DetachProgram("relay_close"), all.DetachProgram("relay_start")
	if !cfg.KernelAES {
		return nil
	}
	t.contexts = &contexts{}
	if err := all.Assign(t.contexts); err != nil {
		return err
	}
	return t.contexts.try()
}

// haveTCX reports whether the kernel has TCX links.
func haveTCX() bool {
	_, err := link.QueryPrograms(link.QueryOptions{Target: 1, Attach: ebpf.AttachTCXIngress})
	return err == nil || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT)
}

// explain says what is missing.
func explain(err error) error {
	if errors.Is(err, ErrUnsupported) {
		return err
	}
	// Which error they lead to is up to the kernel: 6.1 without CAP_PERFMON says EFAULT, of its own verifier's confusion.
	if missing := missingCapabilities(); len(missing) > 0 {
		return fmt.Errorf("%w; missing: %s: %w", ErrPermission, strings.Join(missing, ", "), err)
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	v, e := features.LinuxVersionCode()
	if e != nil {
		v = minKernel
	}
	_, e = os.Stat("/sys/kernel/btf/vmlinux")
	return lacks(v, e == nil, err)
}

// lacks blames an error of loading on the kernel where that explains it. Without the kernel's types the verifier does not know
// the packet in functions that it checks on their own.
func lacks(version uint32, types bool, err error) error {
	switch {
	case version < minKernel:
		return unsupported("kernel %d.%d, needed is %d.%d: %v", version>>16, version>>8&0xff, minKernel>>16, minKernel>>8&0xff, err)
	case !types:
		return unsupported("the kernel was built without CONFIG_DEBUG_INFO_BTF: %v", err)
	}
	return fmt.Errorf("fast path: %w", err)
}

const (
	minKernel = 5<<16 | 15<<8 // what the programs are tested on
	minXDP    = 5<<16 | 18<<8 // has helpers to read and write frames in fragments
)

// before reports whether the kernel is known to be older than a version.
func before(version uint32) bool {
	v, err := features.LinuxVersionCode()
	return err == nil && v < version
}

// missingCapabilities are those that this thread would need.
func missingCapabilities() []string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil
	}
	has := func(bit int) bool { return data[bit/32].Effective>>(bit%32)&1 == 1 }
	var missing []string
	for _, c := range []struct {
		bit  int
		name string
	}{
		{unix.CAP_BPF, "CAP_BPF"},
		{unix.CAP_PERFMON, "CAP_PERFMON"}, // without it the verifier refuses table look-ups, for what a CPU might guess
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	} {
		if !has(c.bit) && (c.bit == unix.CAP_NET_ADMIN || !has(unix.CAP_SYS_ADMIN)) {
			missing = append(missing, c.name)
		}
	}
	return missing
}

func (t *kernelTable) attached(name string) bool {
	for _, at := range t.attach.at {
		if at.name == name {
			return true
		}
	}
	return false
}
