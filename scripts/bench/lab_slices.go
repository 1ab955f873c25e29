package main

import (
	"context"
	"errors"
	"runtime"
	"time"

	"rtpsidecar/cmd/sidecar-lab/load"
)

// settle is how long a change is left alone: the fast path's key stream has to catch up, and queues to run empty.
const settle = 70 * time.Millisecond

// The ways of the packets.
const (
	relayed = iota
	reflected
	sunk // through the relay, and dropped as they arrive
)

// slice is a while in which the packets had one way.
type slice struct {
	load.Span
	machine, threads, daemon float64 // us per packet
	others                   float64 // share of the machine that others have had
}

// slices has media flow without a break, half of the time through the relay and half of the time bounced before it, in slices
// of which each second pair has the other order. So what disturbs the machine for longer than a slice is in both. A relay in
// userspace has a third slice with each pair, in which the far hosts drop what arrives: at a veth the sender's thread does their
// part too, which is not to count as the daemon's. It returns how many packets the relay was sent after the warm-up. The
// caller's thread is in the relay's namespace.
func (o options) slices(ctx context.Context, n *labNet, t *load.Traffic, pid int, r *labRun) (sent int, err error) {
	pairs := max(int(o.measure/o.slice), 1)
	t.Measure = time.Duration(6*pairs+1) * (o.slice + 4*settle) // it is stopped before
	warm := make(chan struct{})
	t.Clock = func() error {
		select {
		case <-warm:
		default:
			close(warm)
		}
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- t.Run(ctx) }()
	select {
	case <-warm:
	case err := <-done:
		return 0, errors.Join(err, ctx.Err(), errors.New("no media"))
	}
	ways, own := []int{relayed, reflected}, relayed
	if r.Subject == subjectPeer || r.Subject == subjectUser {
		ways, own = append(ways, sunk), sunk
	}
	sent, of, err := o.alternate(ctx, n, t, pid, pairs, ways)
	stop()
	if err = errors.Join(err, <-done); err != nil {
		return 0, err
	}
	var all [sunk + 1]slice
	var spans [sunk + 1][]load.Span
	pairs = len(of)
	for _, s := range of {
		for _, k := range ways {
			all[k].machine += s[k].machine / float64(pairs)
			all[k].threads += s[k].threads / float64(pairs)
			all[k].daemon += s[k].daemon / float64(pairs)
			spans[k] = append(spans[k], s[k].Span)
		}
		r.Above = append(r.Above, labCost{Machine: s[relayed].machine - s[reflected].machine, Threads: s[relayed].threads - s[reflected].threads})
	}
	for k, c := range []*labCost{&r.Relay, &r.Reflect} {
		p50, p99 := t.Latency(spans[k]...)
		*c = labCost{all[k].machine, all[k].threads, micro(p50), micro(p99)}
	}
	r.Daemon = all[own].daemon
	if t.Received.Load() == 0 {
		return 0, errors.New("nothing came back")
	}
	return sent, nil
}

// alternate measures slices, one of each way at a time.
func (o options) alternate(ctx context.Context, n *labNet, t *load.Traffic, pid, pairs int, ways []int) (sent int, of [][sunk + 1]slice, err error) {
	none := func() error { return nil }
	undo := none
	defer func() { err = errors.Join(err, undo()) }()
	var since uint64
	now := relayed
	turn := func(way int) (err error) {
		if o.same && way == reflected {
			way = relayed
		}
		if way == now {
			return nil
		}
		end := undo
		undo = none
		if err := end(); err != nil {
			return err
		}
		if now == reflected {
			since = t.Sent.Load()
		}
		now = way
		var begun func() error
		switch way {
		case reflected:
			begun, err = n.reflect()
			sent += int(t.Sent.Load() - since)
		case sunk:
			begun, err = n.sink(&t.Received)
		}
		if begun != nil {
			undo = begun
		}
		return err
	}
	for tries := 0; len(of) < pairs && tries < 2*pairs; tries++ {
		var all [sunk + 1]slice
		alone := true
		for k := range ways {
			way := ways[k]
			if tries&1 == 1 {
				way = ways[len(ways)-1-k]
			}
			if err := turn(way); err != nil {
				return 0, of, err
			}
			time.Sleep(settle)
			s, err := o.one(ctx, t, pid)
			if err != nil {
				return 0, of, err
			}
			if way == reflected && !o.same { // what the daemon does without packets is a relay's too
				s.machine, s.threads = s.machine-s.daemon, s.threads-s.daemon
			}
			all[way], alone = s, alone && s.others < o.crowd
		}
		if alone {
			of = append(of, all)
		}
	}
	if now != reflected {
		sent += int(t.Sent.Load() - since)
	}
	if len(of) == 0 {
		return 0, of, errors.New("the machine is never ours alone")
	}
	return sent, of, nil
}

// one measures one slice.
func (o options) one(ctx context.Context, t *load.Traffic, pid int) (s slice, err error) {
	others, err := othersTime(pid)
	if err != nil {
		return s, err
	}
	before := t.Sent.Load()
	start, err := look(pid)
	if err != nil {
		return s, err
	}
	select {
	case <-ctx.Done():
		return s, ctx.Err()
	case <-time.After(o.slice):
	}
	sent := t.Sent.Load() - before
	stop, err := look(pid)
	if err != nil {
		return s, err
	}
	if sent == 0 {
		return s, errors.New("nothing was sent")
	}
	s.Span = load.Span{From: start.at, To: stop.at}
	all := stop.at.Sub(start.at) * time.Duration(runtime.NumCPU())
	each := func(d time.Duration) float64 { return micro(d) / float64(sent) }
	s.machine, s.threads, s.daemon = each(all-(stop.idle-start.idle)), each(stop.threads-start.threads), each(stop.daemon-start.daemon)
	then, err := othersTime(pid)
	s.others = float64(then-others) / float64(all)
	return s, err
}
