//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"structs"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
)

// kernelTable is the table in the kernel. It holds programs, maps and links for as long as it is referenced.
type kernelTable struct {
	objs  rtpObjects
	log   *slog.Logger
	eager bool // Config.eager
	watch *watcher
	ahead *aheads

	contexts *contexts // nil: the program has tables
	keys     []uint32  // free in transforms, likewise

	mu     sync.Mutex
	closed bool
	flows  map[FlowKey]*entry
	free   []uint32 // slots, the one that has rested longest first: a program that runs may have found one of late
	gen    uint32   // of the flow put in last
	paths  *paths
	attach *attacher
	look   rtpState // of counter, which would make a new one for each source each second
}

// entry is one flow in the table.
type entry struct {
	sources []slot
	order   []int // sink of the kernel -> sink of the action
	paths   []uint32
	rings   []*ring
	keys    []uint32
}

// slot is where the state of one source is.
type slot struct {
	ssrc, index, gen uint32
}

// The kinds of a sink, and Mismatch, as in rtp.c.
const (
	sinkRaw = iota
	sinkPlain
	sinkSRTP
)

// Put implements Table.
func (t *kernelTable) Put(key FlowKey, act Action) error {
	if err := act.Validate(key); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case t.flows[key] != nil:
		return ErrExists
	case len(t.free) < len(act.Sources):
		return ErrFull
	}
	e := &entry{}
	flow, err := t.compile(e, &act)
	if err == nil {
		err = t.install(key, e, &act, flow)
	}
	if err != nil {
		t.drop(key, e)
		return fmt.Errorf("fast path: %w", err)
	}
	t.flows[key] = e
	return nil
}

// compile makes the program's form of act. Raw sinks come first: they are sent before the payload changes.
func (t *kernelTable) compile(e *entry, act *Action) (*rtpFlow, error) {
	f := &rtpFlow{Peer: words(act.Peer.Addr()), PeerPort: port(act.Peer), Policy: uint8(act.Mismatch),
		ClockHz: act.ClockRateHz, Pts: act.PTs}
	var err error
	if f.In, err = t.makeKey(e, act.In); err != nil {
		return nil, err
	}
	f.Copy = f.In.On
	for _, raw := range []bool{true, false} {
		for i := range act.Sinks {
			if act.Sinks[i].Raw == raw {
				e.order = append(e.order, i)
			}
		}
	}
	for _, i := range e.order {
		s := &act.Sinks[i]
		k := &f.Sinks[f.SinksLen]
		f.SinksLen++
		k.Sport, k.Dport = port(s.Local), port(s.Remote)
		k.Family = 6
		if s.Local.Addr().Is4() {
			k.Family = 4
		}
		k.Tos = s.TOS
		pairs, err := s.ptPairs(act.PTs)
		if err != nil {
			return nil, err
		}
		for j, p := range pairs {
			k.PtFrom[j], k.PtTo[j] = p[0], p[1]
		}
		k.PtPairs = uint8(len(pairs))
		switch {
		case s.Raw:
			k.Kind = sinkRaw
		case s.protects():
			k.Kind = sinkSRTP
		default:
			k.Kind = sinkPlain
		}
		if k.Kind == sinkSRTP || len(pairs) > 0 {
			f.Copy = 1
		}
		if k.Out, err = t.makeKey(e, s.Out); err != nil {
			return nil, err
		}
		if k.Path, err = t.paths.acquire(pair{s.Local.Addr(), s.Remote.Addr()}); err != nil {
			return nil, err
		}
		e.paths = append(e.paths, k.Path)
	}
	return f, nil
}

// install puts each source's state and then its flow into the maps.
func (t *kernelTable) install(key FlowKey, e *entry, act *Action, f *rtpFlow) (err error) {
	for i := range act.Sources {
		s := &act.Sources[i]
		if t.gen++; t.gen == 0 {
			t.gen = 1 // 0 means closed
		}
		sl := slot{ssrc: s.SSRC, index: t.free[0], gen: t.gen}
		t.free = t.free[1:]
		e.sources = append(e.sources, sl)

		st := rtpState{Gen: sl.gen, Waits: 1}
		if t.eager {
			st.Waits = 0
		}
		setProgress(&st.In, s.In)
		for k, j := range e.order {
			if act.Sinks[j].protects() {
				setProgress(&st.Sinks[k].Out, s.Out[j])
			}
		}
		if err := t.objs.States.Put(sl.index, &st); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		f.Key, f.Gen = *flowKey(key, s.SSRC), sl.gen
		if f.In.Ahead, err = t.makeAhead(e, act.In, sl); err != nil {
			return err
		}
		for k, j := range e.order {
			if f.Sinks[k].Out.Ahead, err = t.makeAhead(e, act.Sinks[j].Out, sl); err != nil {
				return err
			}
		}
		if err := t.objs.Flows.Put(sl.index, f); err != nil {
			return fmt.Errorf("flow: %w", err)
		}
		if err := t.objs.Slots.Update(&f.Key, sl.index, ebpf.UpdateNoExist); err != nil {
			return fmt.Errorf("slot: %w", err)
		}
		if err := t.objs.Hints.Put(uint32(key.Local.Port()), sl.index); err != nil {
			return fmt.Errorf("hint: %w", err)
		}
	}
	return nil
}

// makeAhead is the ring of p for the source in s, as the program has it.
func (t *kernelTable) makeAhead(e *entry, p srtp.Params, s slot) (uint32, error) {
	r, err := t.ahead.acquire(p, s.ssrc, s.gen)
	if err != nil || r == nil {
		return 0, err
	}
	e.rings = append(e.rings, r)
	return r.id + 1, nil
}

// makeKey is p, which is supported or empty, as the program has it. The ring is missing.
func (t *kernelTable) makeKey(e *entry, p srtp.Params) (rtpProtection, error) {
	if p.Suite == nil {
		return rtpProtection{}, nil
	}
	if len(t.keys) == 0 {
		return rtpProtection{}, ErrFull
	}
	tr, err := newTransform(p)
	if err != nil {
		return rtpProtection{}, err
	}
	id := t.keys[0]
	tr.Context = id
	if t.contexts != nil && encrypts(p) {
		keys, err := p.SessionKeys()
		if err != nil {
			return rtpProtection{}, err
		}
		if err := t.contexts.set(id, keys.RTPKey); err != nil {
			return rtpProtection{}, err
		}
	}
	if err := t.objs.Transforms.Put(id, &tr); err != nil {
		return rtpProtection{}, fmt.Errorf("key: %w", err)
	}
	t.keys, e.keys = t.keys[1:], append(e.keys, id)
	return rtpProtection{On: 1, Rounds: uint8(tr.Rounds), TagLen: uint8(p.Suite.RTPTagLen), Key: id}, nil
}

// dropKey leaves the transform as it is, for a program that runs still.
func (t *kernelTable) dropKey(id uint32) error {
	t.keys = append(t.keys, id)
	if t.contexts == nil {
		return nil
	}
	return t.contexts.set(id, nil)
}

// drop undoes what Put has done, and is what Delete does before it reads the state.
func (t *kernelTable) drop(key FlowKey, e *entry) {
	for _, s := range e.sources {
		if err := t.objs.Slots.Delete(flowKey(key, s.ssrc)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			t.log.Warn("fast path flow not removed", "error", err)
		}
		if err := t.shut(s); err != nil {
			// Its slot is lost, and so is its progress since the last look: nobody may use that slot again.
			t.log.Error("fast path state not closed", "error", err)
			continue
		}
		t.free = append(t.free, s.index)
	}
	for _, id := range e.paths {
		t.paths.release(id)
	}
	for _, r := range e.rings {
		t.ahead.release(r)
	}
	for _, id := range e.keys {
		if err := t.dropKey(id); err != nil {
			t.log.Warn("fast path key not removed", "error", err)
		}
	}
}

// shut makes the state of one source ours: no program changes it from here on, not even one that is running.
func (t *kernelTable) shut(s slot) error {
	ok, err := s.run(t.objs.RelayClose, 0, nil)
	if err == nil && !ok {
		err = fmt.Errorf("state %d is not of generation %d", s.index, s.gen)
	}
	return err
}

// request is rtp.c's struct request.
type request struct {
	_         structs.HostLayout
	Ethernet  [14]uint8
	_         [2]uint8
	Slot, Gen uint32
	In        uint64
	Out       [MaxSinks]uint64
}

// run has a program change the state under its lock, and reports whether it did.
func (s slot) run(p *ebpf.Program, in uint64, out []uint64) (bool, error) {
	r := request{Slot: s.index, Gen: s.gen, In: in}
	r.Ethernet[12] = 0xff // neither IP nor anything else that the kernel would look into
	copy(r.Out[:], out)
	data, err := binary.Append(nil, binary.NativeEndian, &r)
	if err != nil {
		return false, err
	}
	verdict, err := p.Run(&ebpf.RunOptions{Data: data, Repeat: 1})
	return verdict == 0, err
}

// Start implements Table.
func (t *kernelTable) Start(key FlowKey, src Source) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil {
		return false, ErrNoFlow
	}
	i := slices.IndexFunc(e.sources, func(s slot) bool { return s.ssrc == src.SSRC })
	if i < 0 {
		return false, ErrNoFlow
	}
	var out [MaxSinks]uint64
	for k, j := range e.order {
		if j < len(src.Out) {
			out[k] = src.Out[j].Highest
		}
	}
	return e.sources[i].run(t.objs.RelayStart, src.In.Highest, out[:])
}

// Delete implements Table.
func (t *kernelTable) Delete(key FlowKey) (Counter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil {
		return Counter{}, ErrNoFlow
	}
	delete(t.flows, key)
	t.drop(key, e)
	return t.counter(key, e, time.Now(), monotonic())
}

// Counter implements Table.
func (t *kernelTable) Counter(key FlowKey) (Counter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil {
		return Counter{}, ErrNoFlow
	}
	return t.counter(key, e, time.Now(), monotonic())
}

// Counters implements Table.
func (t *kernelTable) Counters(dst []Counter) ([]Counter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return dst, ErrClosed
	}
	now, mono := time.Now(), monotonic()
	var errs []error
	for key, e := range t.flows {
		c, err := t.counter(key, e, now, mono)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		dst = append(dst, c)
	}
	return dst, errors.Join(errs...)
}

// counter reads the state of all sources of e, each as a whole.
func (t *kernelTable) counter(key FlowKey, e *entry, now time.Time, mono uint64) (Counter, error) {
	c := Counter{Key: key, Sinks: make([]SinkCounter, len(e.order)), Sources: make([]SourceCounter, len(e.sources))}
	for i, s := range e.sources {
		st := &t.look
		if err := t.objs.States.LookupWithFlags(s.index, st, ebpf.LookupLock); err != nil {
			return c, fmt.Errorf("fast path state: %w", err)
		}
		src := &c.Sources[i]
		*src = SourceCounter{SSRC: s.ssrc, Packets: st.Packets, Bytes: st.Bytes, Timestamp: st.Timestamp, PT: uint8(st.Pt),
			JitterUnits: float64(st.Jitter) / 16, In: getProgress(&st.In), Out: make([]srtp.Progress, len(e.order))}
		if st.LastNs != 0 {
			src.Last = now.Add(-time.Duration(mono - st.LastNs))
			if src.Last.After(c.Last) {
				c.Last = src.Last
			}
		}
		c.Packets += st.Packets
		c.Bytes += st.Bytes
		c.Up += st.Up
		c.WrongSource += st.WrongSource
		c.BadTag += st.BadTag
		c.Replayed += st.Replayed
		for k, j := range e.order {
			o := &st.Sinks[k]
			c.Sinks[j].Packets += o.Packets
			c.Sinks[j].Bytes += o.Bytes
			c.Sinks[j].Errors += o.Errors
			src.Out[j] = getProgress(&o.Out)
		}
	}
	return c, nil
}

// Status implements Table.
func (t *kernelTable) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := Status{Mode: t.attach.mode, Flows: len(t.flows)}
	for _, at := range t.attach.at {
		st.Interfaces = append(st.Interfaces, at.name)
		if at.xdp {
			st.XDP = append(st.XDP, at.name)
		}
	}
	var perCPU []rtpGuard
	if err := t.objs.Guards.Lookup(uint32(0), &perCPU); err == nil {
		for _, g := range perCPU {
			st.GuardPassed += g.Passed
			st.GuardDropped += g.Dropped
		}
	}
	return st
}

// Close implements Table.
func (t *kernelTable) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.attach.close()
	for key, e := range t.flows {
		t.drop(key, e)
	}
	clear(t.flows)
	t.mu.Unlock()
	t.watch.close()
	t.ahead.close()
	t.paths.nl.Close()
	return errors.Join(t.contexts.close(), t.objs.Close())
}

// beat tells the program that we live.
func (t *kernelTable) beat() error {
	return t.objs.Pulse.Put(uint32(0), monotonic())
}

// progress is the program's form of srtp.Progress.
type progress = struct {
	_       structs.HostLayout
	Highest uint64
	Window  [2]uint64
	Given   [2]uint64
	Floor   uint64
	Started uint64
}

func setProgress(dst *progress, p srtp.Progress) {
	if !p.Started {
		return
	}
	dst.Started, dst.Highest, dst.Window, dst.Floor = 1, p.Highest, p.Window, p.Highest
}

func getProgress(p *progress) srtp.Progress {
	return srtp.Progress{Started: p.Started != 0, Highest: p.Highest, Window: p.Window}
}

// words is an address as it lies in memory, IPv4 as ::ffff:0:0/96; zero for none.
func words(a netip.Addr) (w [4]uint32) {
	if !a.IsValid() {
		return w
	}
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// port is a port as it lies in memory.
func port(a netip.AddrPort) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], a.Port())
	return binary.NativeEndian.Uint16(b[:])
}

func flowKey(key FlowKey, ssrc uint32) *rtpFlowKey {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ssrc)
	return &rtpFlowKey{Addr: words(key.Local.Addr()), Port: port(key.Local), Ssrc: binary.NativeEndian.Uint32(b[:])}
}

// monotonic is the clock that the program has.
func monotonic() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano())
}
