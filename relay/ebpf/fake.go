package ebpf

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// Fake is a table in memory that does with packets what the kernel would: for tests of handover without privileges, and
// as what the program is compared with. It knows no routes, so that every address can be reached.
type Fake struct {
	// Fail, if set, is asked before each Put; its error is Put's.
	Fail func(FlowKey, Action) error
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// MaxPayload, if not 0, is the longest UDP payload taken; others go up, as those over a path's MTU.
	MaxPayload int
	// Eager flows do not wait for Start.
	Eager bool

	mu     sync.Mutex
	closed bool
	flows  map[FlowKey]*fakeFlow
}

type fakeFlow struct {
	act     Action
	counter Counter
	sources []fakeSource
}

type fakeSource struct {
	in    *srtp.Context // nil: plain
	plain srtp.Progress // of plain packets
	floor uint64
	outs  []fakeOut

	waits bool
	seen  *uint64 // the newest index that went up meanwhile; nil: none did
}

type fakeOut struct {
	ctx   *srtp.Context // nil: plain or raw
	floor uint64
	given map[uint64]bool // indices of packets that were left to userspace
}

// NewFake is an empty table.
func NewFake() *Fake { return &Fake{flows: make(map[FlowKey]*fakeFlow)} }

// Verdict says what became of a packet.
type Verdict uint8

// The verdicts.
const (
	Up   Verdict = iota // left to userspace, untouched
	Drop                // dropped
	Sent                // sent to the sinks returned, which may be none
)

// Packet is a packet sent by a Fake.
type Packet struct {
	Sink    int
	From    netip.AddrPort
	To      netip.AddrPort
	TOS     uint8
	Payload []byte
}

// Put implements Table.
func (f *Fake) Put(key FlowKey, act Action) error {
	if err := act.Validate(key); err != nil {
		return err
	}
	if f.Fail != nil {
		if err := f.Fail(key, act); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return ErrClosed
	case f.flows[key] != nil:
		return ErrExists
	}
	fl := &fakeFlow{act: act, counter: Counter{Key: key, Sinks: make([]SinkCounter, len(act.Sinks))}}
	for _, s := range act.Sources {
		src := fakeSource{plain: s.In, waits: !f.Eager, outs: make([]fakeOut, len(act.Sinks))}
		var err error
		if act.In.Suite != nil {
			if src.in, err = resume(act.In, s.SSRC, s.In); err != nil {
				return err
			}
			src.floor = s.In.Highest
		}
		for i := range act.Sinks {
			if !act.Sinks[i].protects() {
				continue
			}
			if src.outs[i].ctx, err = resume(act.Sinks[i].Out, s.SSRC, s.Out[i]); err != nil {
				return err
			}
			src.outs[i].floor, src.outs[i].given = s.Out[i].Highest, make(map[uint64]bool)
		}
		fl.sources = append(fl.sources, src)
		fl.counter.Sources = append(fl.counter.Sources, SourceCounter{SSRC: s.SSRC})
	}
	f.flows[key] = fl
	return nil
}

// resume is a context that goes on where another was.
func resume(p srtp.Params, ssrc uint32, at srtp.Progress) (*srtp.Context, error) {
	c, err := srtp.New(p)
	if err == nil {
		c.SetState(srtp.State{SSRC: ssrc, RTP: at})
	}
	return c, err
}

// Start implements Table.
func (f *Fake) Start(key FlowKey, s Source) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flows[key]
	if fl == nil {
		return false, ErrNoFlow
	}
	i := slices.IndexFunc(fl.act.Sources, func(o Source) bool { return o.SSRC == s.SSRC })
	if i < 0 {
		return false, ErrNoFlow
	}
	src := &fl.sources[i]
	if !src.waits || src.seen == nil || *src.seen > s.In.Highest {
		return false, nil
	}
	src.waits, src.floor = false, s.In.Highest
	for j := range src.outs {
		if src.outs[j].ctx != nil {
			src.outs[j].floor = s.Out[j].Highest
		}
	}
	return true, nil
}

// hold leaves a packet of a flow that waits to userspace.
func (src *fakeSource) hold(h rtp.Header) {
	at := src.plain
	if src.in != nil {
		at = stateOf(src.in, h.SSRC)
	}
	index := uint64(h.Seq)
	if at.Started {
		index = rtp.ExtendSeq(at.Highest, h.Seq)
	}
	if src.seen == nil || index > *src.seen {
		src.seen = &index
	}
}

// Delete implements Table.
func (f *Fake) Delete(key FlowKey) (Counter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flows[key]
	if fl == nil {
		return Counter{}, ErrNoFlow
	}
	delete(f.flows, key)
	return fl.snapshot(), nil
}

// Counter implements Table.
func (f *Fake) Counter(key FlowKey) (Counter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flows[key]
	if fl == nil {
		return Counter{}, ErrNoFlow
	}
	return fl.snapshot(), nil
}

// Counters implements Table.
func (f *Fake) Counters(dst []Counter) ([]Counter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return dst, ErrClosed
	}
	for _, fl := range f.flows {
		dst = append(dst, fl.snapshot())
	}
	return dst, nil
}

// Status implements Table.
func (f *Fake) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{Flows: len(f.flows)}
}

// Close implements Table.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	clear(f.flows)
	return nil
}

// Action is what was put in for key. False: no such flow.
func (f *Fake) Action(key FlowKey) (Action, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.flows[key]; fl != nil {
		return fl.act, true
	}
	return Action{}, false
}

func (fl *fakeFlow) snapshot() Counter {
	c := fl.counter
	c.Sinks = slices.Clone(c.Sinks)
	c.Sources = slices.Clone(c.Sources)
	for i := range c.Sources {
		s, src := &c.Sources[i], &fl.sources[i]
		s.In = src.plain
		if src.in != nil {
			s.In = stateOf(src.in, s.SSRC)
		}
		s.Out = make([]srtp.Progress, len(src.outs))
		for j, o := range src.outs {
			if o.ctx != nil {
				s.Out[j] = stateOf(o.ctx, s.SSRC)
			}
		}
	}
	return c
}

func stateOf(c *srtp.Context, ssrc uint32) srtp.Progress {
	st, _ := c.State(ssrc)
	return st.RTP
}

// Receive hands the table a UDP payload as if it had come from the network. It is not changed.
func (f *Fake) Receive(local, from netip.AddrPort, payload []byte) (Verdict, []Packet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flows[FlowKey{local}]
	if fl == nil {
		return Up, nil
	}
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	return fl.receive(from, payload, now(), f.MaxPayload > 0 && len(payload) > f.MaxPayload)
}

func (fl *fakeFlow) receive(from netip.AddrPort, payload []byte, now time.Time, refused bool) (Verdict, []Packet) {
	if len(payload) < rtp.MinHeaderLen || payload[0]>>6 != 2 || payload[1] >= 192 && payload[1] <= 223 {
		return Up, nil
	}
	n := slices.IndexFunc(fl.counter.Sources, func(s SourceCounter) bool { return s.SSRC == binary.BigEndian.Uint32(payload[8:]) })
	if n < 0 {
		return Up, nil
	}
	h, err := rtp.ParseHeader(payload)
	if err != nil {
		return Up, nil
	}
	act, c, src := &fl.act, &fl.counter, &fl.sources[n]
	if act.Mismatch != MismatchIgnore && from != act.Peer {
		c.WrongSource++
		if act.Mismatch == MismatchDrop {
			return Drop, nil
		}
		return Up, nil
	}
	if src.waits {
		src.hold(h)
		c.Up++
		return Up, nil
	}
	if refused || act.PTs[h.PT/64]>>(h.PT%64)&1 == 0 {
		c.Up++
		src.give(h)
		return Up, nil
	}
	plain := append(make([]byte, 0, len(payload)+srtp.MaxOverhead), payload...)
	if src.in != nil {
		before := stateOf(src.in, h.SSRC)
		if rtp.ExtendSeq(before.Highest, h.Seq) <= src.floor || len(payload) < h.Len+src.in.RTPOverhead() {
			c.Up++
			return Up, nil
		}
		plain, err = src.in.UnprotectRTP(plain)
		switch {
		case errors.Is(err, srtp.ErrReplay):
			c.Replayed++
			return Drop, nil
		case errors.Is(err, srtp.ErrAuth):
			c.BadTag++
			return Up, nil
		case err != nil:
			c.Up++
			return Up, nil
		}
		if fl.tooEarly(src, h) {
			src.in.SetState(srtp.State{SSRC: h.SSRC, RTP: before})
			c.Up++
			return Up, nil
		}
	} else if fl.tooEarly(src, h) {
		c.Up++
		src.give(h)
		return Up, nil
	} else {
		src.plain = Merge(src.plain, single(rtp.ExtendSeq(src.plain.Highest, h.Seq)))
	}
	c.Packets++
	c.Bytes += uint64(len(payload))
	c.Last = now
	s := &c.Sources[n]
	s.Packets++
	s.Bytes += uint64(len(payload))
	s.Last, s.Timestamp, s.PT = now, h.Timestamp, h.PT
	var sent []Packet
	for i := range act.Sinks {
		if p, ok := fl.send(src, i, payload, plain, h); ok {
			sent = append(sent, p)
		}
	}
	return Sent, sent
}

// give leaves the outgoing indices of a plain packet to userspace.
func (src *fakeSource) give(h rtp.Header) {
	for _, o := range src.outs {
		if o.ctx == nil || src.in != nil {
			continue
		}
		at := stateOf(o.ctx, h.SSRC)
		if index := rtp.ExtendSeq(at.Highest, h.Seq); index > o.floor {
			o.given[index] = true
			o.ctx.SetState(srtp.State{SSRC: h.SSRC, RTP: Merge(at, srtp.Progress{Started: true, Highest: index})})
		}
	}
}

// single is the progress after one packet.
func single(index uint64) srtp.Progress {
	return srtp.Progress{Started: true, Highest: index, Window: [2]uint64{1, 0}}
}

// tooEarly reports whether an outgoing index belongs to userspace.
func (fl *fakeFlow) tooEarly(src *fakeSource, h rtp.Header) bool {
	return slices.ContainsFunc(src.outs, func(o fakeOut) bool {
		return o.ctx != nil && rtp.ExtendSeq(stateOf(o.ctx, h.SSRC).Highest, h.Seq) <= o.floor
	})
}

func (fl *fakeFlow) send(src *fakeSource, i int, payload, plain []byte, h rtp.Header) (Packet, bool) {
	s, c := &fl.act.Sinks[i], &fl.counter.Sinks[i]
	out := plain
	if s.Raw {
		out = payload
	}
	out = append(make([]byte, 0, len(out)+srtp.MaxOverhead), out...)
	if s.PTMap != nil {
		rtp.SetPT(out, s.PTMap[h.PT])
	}
	if o := src.outs[i]; o.ctx != nil {
		if o.given[rtp.ExtendSeq(stateOf(o.ctx, h.SSRC).Highest, h.Seq)] {
			c.Errors++
			return Packet{}, false
		}
		var err error
		if out, err = o.ctx.ProtectRTP(out); err != nil {
			c.Errors++
			return Packet{}, false
		}
	}
	c.Packets++
	c.Bytes += uint64(len(out))
	return Packet{Sink: i, From: s.Local, To: s.Remote, TOS: s.TOS, Payload: out}, true
}
