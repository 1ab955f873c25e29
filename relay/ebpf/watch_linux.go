//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// watcher keeps a table up to date. It has two goroutines, which end by close.
type watcher struct {
	t     *kernelTable
	sock  *nl.NetlinkSocket
	netns *os.File // the namespace of Open: interfaces are looked up in that of the calling thread
	dirty chan struct{}
	stop  chan struct{}
	wg    sync.WaitGroup
}

func newWatcher(t *kernelTable) (*watcher, error) {
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		return nil, err
	}
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		sock.Close()
		return nil, err
	}
	w := &watcher{t: t, sock: sock, netns: netns, dirty: make(chan struct{}, 1), stop: make(chan struct{})}
	w.wg.Go(w.read)
	w.wg.Go(w.run)
	return w, nil
}

func (w *watcher) close() {
	close(w.stop)
	w.sock.Close()
	w.wg.Wait()
	w.netns.Close()
}

// read takes events. Neighbours are dealt with at once; all else asks for a look at everything.
func (w *watcher) read() {
	for {
		msgs, _, err := w.sock.Receive()
		if err != nil {
			if errors.Is(err, unix.ENOBUFS) {
				w.look() // events were lost
				continue
			}
			return
		}
		for _, m := range msgs {
			switch m.Header.Type {
			case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
				n, err := netlink.NeighDeserialize(m.Data)
				if err != nil {
					continue
				}
				w.t.mu.Lock()
				if !w.t.closed {
					if err := w.t.paths.neighbourChanged(n, m.Header.Type == unix.RTM_NEWNEIGH); err != nil {
						w.t.log.Warn("fast path neighbour", "error", err)
					}
				}
				w.t.mu.Unlock()
			default:
				w.look()
			}
		}
	}
}

func (w *watcher) look() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *watcher) run() {
	// The thread ends with the goroutine, which may have changed its namespace.
	runtime.LockOSThread()
	if err := w.enter(); err != nil {
		w.t.log.Error("fast path cannot follow its interfaces", "error", err)
	}
	beat, poke := time.NewTicker(pulsePeriod), time.NewTicker(pokePeriod)
	defer beat.Stop()
	defer poke.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-w.stop:
			return
		case <-w.dirty:
			if settled == nil {
				settled = time.After(settle)
			}
		case <-settled:
			settled = nil
			if err := w.t.sync(); err != nil {
				w.t.log.Warn("fast path", "error", err)
			}
		case <-beat.C:
			w.t.mu.Lock()
			if err := w.t.beat(); err != nil {
				w.t.log.Warn("fast path pulse", "error", err)
			}
			w.t.mu.Unlock()
		case <-poke.C:
			w.t.mu.Lock()
			if !w.t.closed {
				w.t.paths.pokeAll()
			}
			w.t.mu.Unlock()
		}
	}
}

// enter brings the thread into the namespace of Open, which needs no capability where it is there already.
func (w *watcher) enter() error {
	want, err := w.netns.Stat()
	if err != nil {
		return err
	}
	have, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	if os.SameFile(want, have) {
		return nil
	}
	return unix.Setns(int(w.netns.Fd()), unix.CLONE_NEWNET)
}

// sync looks at everything anew.
func (t *kernelTable) sync() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	if err := t.paths.reload(); err != nil {
		return err
	}
	return t.attach.reconcile(t.paths.links)
}
