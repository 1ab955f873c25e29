//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needBPF skips where programs may not be loaded or namespaces made, and on kernels that the programs are not for; whatever fails
// after it is a failure.
func needBPF(t testing.TB) {
	t.Helper()
	if before(minKernel) {
		t.Skip("THIS KERNEL IS TOO OLD")
	}
	var hdr unix.CapUserHeader
	var data [2]unix.CapUserData
	hdr.Version = unix.LINUX_CAPABILITY_VERSION_3
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		t.Skip("CAPABILITIES UNKNOWN:", err)
	}
	for name, bit := range map[string]int{"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN} {
		if data[bit/32].Effective>>(bit%32)&1 == 0 {
			t.Skipf("NEEDS %s", name)
		}
	}
}

// newNamespace gives the test's thread a network namespace of its own, with the loopback interface up.
func newNamespace(t testing.TB) {
	t.Helper()
	needBPF(t)
	runtime.LockOSThread()
	old, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := netns.New()
	if err != nil {
		old.Close()
		runtime.UnlockOSThread()
		if errors.Is(err, os.ErrPermission) {
			t.Skip("NAMESPACES ARE NOT ALLOWED HERE: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Set(old); err != nil {
			t.Error(err)
			return // the thread stays locked and ends with the goroutine
		}
		old.Close()
		runtime.UnlockOSThread()
	})
	run(t, quiet)
}

// quiet is what every namespace begins with. Without it IPv6 addresses are of no use for seconds.
const quiet = `
	sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
	ip link set lo up`

// needMode skips where the kernel does not have a way to attach.
func needMode(t testing.TB, mode Mode) {
	t.Helper()
	if mode == ModeTCX && !haveTCX() {
		t.Skip("THIS KERNEL HAS NO TCX")
	}
	if mode == ModeXDP && before(minXDP) {
		t.Skip("THIS KERNEL DOES TOO LITTLE XDP")
	}
}

// needKernelAES skips where the kernel has no AES for programs.
func needKernelAES(t testing.TB) {
	t.Helper()
	needBPF(t)
	if err := kernelAES(); err != nil {
		t.Skip("NOT TESTED HERE: ", err)
	}
}

// run runs commands, one a line, in the thread's namespace.
func run(t testing.TB, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.TrimSpace(line), err, out)
		}
	}
}

// The addresses of bench tests: we have one, the peers two and three.
var (
	us4, peer4, far4 = addr("10.9.0.1:30000"), addr("10.9.0.2:4000"), addr("10.9.0.3:6000")
	us6, peer6, far6 = addr("[2001:db8:9::1]:30000"), addr("[2001:db8:9::2]:4000"), addr("[2001:db8:9::3]:6000")
	farMAC           = [6]byte{2, 0, 0, 0, 0, 3}
)

// at is a with another port.
func at(a netip.AddrPort, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), port) }

// bench is where the last benchTable is.
var bench struct {
	ns netns.NsHandle
	v0 uint32 // the interface that leads to the far ends
}

// benchTable is a table that is attached nowhere, for test runs, in a namespace where peers are to be reached.
func benchTable(t testing.TB, cfg Config) *kernelTable {
	t.Helper()
	newNamespace(t)
	run(t, `
		ip link add v0 type veth peer name v1
		ip addr add 10.9.0.1/24 dev v0
		ip addr add 2001:db8:9::1/64 dev v0 nodad
		ip link set v0 up
		ip link set v1 up
		ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev v0
		ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:03 dev v0
		ip neigh add 2001:db8:9::2 lladdr 02:00:00:00:00:02 dev v0
		ip neigh add 2001:db8:9::3 lladdr 02:00:00:00:00:03 dev v0
	`)
	var err error
	if bench.ns, err = netns.Get(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bench.ns.Close() })
	v0, err := net.InterfaceByName("v0")
	if err != nil {
		t.Fatal(err)
	}
	bench.v0 = uint32(v0.Index)
	passAll(t, bench.ns, "v0") // otherwise it has no XDP queue for frames to come by
	cfg.Interfaces = []string{"absent0"}
	cfg.eager = true
	if before(minXDP) {
		cfg.Mode, hooks = ModeAuto, hooks[:1]
	}
	table, err := Open(cfg)
	if cfg.KernelAES && errors.Is(err, ErrUnsupported) {
		t.Skip("NOT TESTED HERE: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table.(*kernelTable)
}
