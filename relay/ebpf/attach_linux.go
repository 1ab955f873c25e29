//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attacher holds the programs at the interfaces. It belongs to the table's mutex.
type attacher struct {
	nl     *netlink.Handle
	log    *slog.Logger
	mode   Mode     // decided: never ModeAuto
	clsact bool     // in place of TCX
	names  []string // wanted; empty: all that are fit
	tc     *ebpf.Program
	xdp    *ebpf.Program // nil: not wanted
	veth   bool          // a veth is fit for XDP
	owner  owner
	at     map[int]*attachment // by interface index
}

// attachment is what sits at one interface. The links must stay referenced: the garbage collector closes others.
type attachment struct {
	name   string
	links  []link.Link
	xdp    bool // one of the links is native XDP
	clsact bool // a filter stands at its ingress
	qdisc  bool // we made the clsact discipline
}

// fit reports whether packets can be forwarded from and to a link.
func fit(l netlink.Link) bool {
	a := l.Attrs()
	return a.Flags&net.FlagUp != 0 && (a.EncapType == "ether" || a.EncapType == "loopback")
}

// reconcile attaches to interfaces that have come and forgets those that have gone.
func (a *attacher) reconcile(links map[int]netlink.Link) error {
	for index, at := range a.at {
		l, ok := links[index]
		if ok && l.Attrs().Name == at.name {
			continue
		}
		if !ok {
			at.clsact = false // gone with the interface
		}
		a.detach(index, at)
	}
	var errs []error
	for index, l := range links {
		if a.at[index] != nil || !a.wanted(l) {
			continue
		}
		at, err := a.attach(l)
		if err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", l.Attrs().Name, err))
			continue
		}
		a.at[index] = at
		a.log.Debug("fast path attached", "interface", at.name, "mode", a.mode.String())
	}
	return errors.Join(errs...)
}

// wanted reports whether a program belongs at l.
func (a *attacher) wanted(l netlink.Link) bool {
	if !fit(l) {
		return false
	}
	for _, name := range a.names {
		if name == l.Attrs().Name {
			return true
		}
	}
	if len(a.names) > 0 {
		return false
	}
	addrs, err := a.nl.AddrList(l, netlink.FAMILY_ALL)
	return err == nil && len(addrs) > 0
}

func (a *attacher) attach(l netlink.Link) (*attachment, error) {
	at := &attachment{name: l.Attrs().Name}
	index := l.Attrs().Index
	if a.xdp != nil {
		x, err := a.attachXDP(l)
		if err != nil {
			a.log.Info("fast path without native XDP", "interface", at.name, "reason", err)
		} else {
			at.links = append(at.links, x)
			at.xdp = true
		}
	}
	if a.clsact {
		if err := a.attachClsact(l, at); err != nil {
			a.detach(index, at)
			return nil, fmt.Errorf("clsact: %w", err)
		}
		return at, nil
	}
	t, err := link.AttachTCX(link.TCXOptions{Program: a.tc, Interface: index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		a.detach(index, at)
		return nil, fmt.Errorf("tcx: %w", err)
	}
	at.links = append(at.links, t)
	return at, nil
}

// attachXDP puts the program where the driver hands frames over, if that can do it. A veth says that it can, and loses what the
// program sends unless its peer has such a program too.
func (a *attacher) attachXDP(l netlink.Link) (link.Link, error) {
	switch {
	case l.Attrs().EncapType != "ether":
		return nil, errors.New("no Ethernet")
	case l.Type() == "veth" && !a.veth:
		return nil, errors.New("veth delivers only to peers with XDP")
	}
	return link.AttachXDP(link.XDPOptions{Program: a.xdp, Interface: l.Attrs().Index, Flags: link.XDPDriverMode})
}

// attachClsact is for kernels before 6.6.
func (a *attacher) attachClsact(l netlink.Link, at *attachment) error {
	index := l.Attrs().Index
	err := a.nl.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	at.qdisc = err == nil
	a.sweep(l)
	err = a.nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Protocol: unix.ETH_P_ALL},
		Fd:          a.tc.FD(), Name: a.owner.name, DirectAction: true,
	})
	if err != nil {
		return err
	}
	at.clsact = true
	return nil
}

// filters are our filters at the ingress of l, or those of all owners; others is how many more filters there are.
func (a *attacher) filters(l netlink.Link, mine func(name string) bool) (found []*netlink.BpfFilter, others int) {
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		all, err := a.nl.FilterList(l, parent)
		if err != nil {
			continue
		}
		for _, f := range all {
			if b, ok := f.(*netlink.BpfFilter); ok && parent == netlink.HANDLE_MIN_INGRESS && mine(b.Name) {
				found = append(found, b)
			} else {
				others++
			}
		}
	}
	return found, others
}

// sweep removes the filters of owners that died.
func (a *attacher) sweep(l netlink.Link) {
	dead, _ := a.filters(l, func(name string) bool { return strings.HasPrefix(name, ownerPrefix) && !alive(name) })
	for _, f := range dead {
		if err := a.nl.FilterDel(f); err == nil {
			a.log.Info("fast path removed the filter of a process that is gone", "interface", l.Attrs().Name)
		}
	}
}

// detach removes what is at an interface.
func (a *attacher) detach(index int, at *attachment) {
	delete(a.at, index)
	for _, l := range at.links {
		if err := l.Close(); err != nil {
			a.log.Warn("fast path not detached", "interface", at.name, "error", err)
		}
	}
	if !at.clsact && !at.qdisc {
		return
	}
	l, err := a.nl.LinkByIndex(index)
	if err != nil {
		return // gone, and all with it
	}
	mine, others := a.filters(l, func(name string) bool { return name == a.owner.name })
	for _, f := range mine {
		if err := a.nl.FilterDel(f); err != nil {
			a.log.Warn("fast path not detached", "interface", at.name, "error", err)
		}
	}
	if at.qdisc && others == 0 {
		_ = a.nl.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		}})
	}
}

func (a *attacher) close() {
	for index, at := range a.at {
		a.detach(index, at)
	}
	a.owner.close()
}

// ownerPrefix begins the names of filters of this program.
const ownerPrefix = "rtpsidecar-"

// owner tells the others in this network namespace that a filter's process lives: it holds an abstract socket with the
// filter's name, which ends with the process, however it ends.
type owner struct {
	name string
	fd   int
}

func newOwner() (owner, error) {
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return owner{}, err
	}
	o := owner{name: ownerPrefix + hex.EncodeToString(id[:])}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return owner{}, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + o.name}); err != nil {
		unix.Close(fd)
		return owner{}, err
	}
	o.fd = fd
	return o, nil
}

func (o *owner) close() {
	if o.name != "" {
		unix.Close(o.fd)
	}
}

// alive reports whether the owner of a filter still runs. Doubt counts for it.
func alive(name string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + name}) != nil
}
