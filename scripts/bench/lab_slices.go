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

// slice is a while in which the packets had one way.
type slice struct {
	load.Span
	machine, threads, daemon float64 // us per packet
	others                   float64 // share of the machine that others have had
}

// slices has media flow without a break, half of the time through the relay and half of the time bounced before it, in slices
// of which each second pair has the other order. So what disturbs the machine for longer than a slice is in both. It returns
// how many packets the relay was sent after the warm-up. The caller's thread is in the relay's namespace.
func (o options) slices(ctx context.Context, n *labNet, t *load.Traffic, pid int, r *labRun) (relayed int, err error) {
	pairs := max(int(o.measure/o.slice), 1)
	t.Measure = time.Duration(4*pairs+1) * (o.slice + 4*settle) // it is stopped before
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
	relayed, of, err := o.alternate(ctx, n, t, pid, pairs)
	stop()
	if err = errors.Join(err, <-done); err != nil {
		return 0, err
	}
	var all [2]slice
	var spans [2][]load.Span
	pairs = len(of[0])
	for i := range pairs {
		for k, of := range of {
			s := of[i]
			all[k].machine += s.machine / float64(pairs)
			all[k].threads += s.threads / float64(pairs)
			all[k].daemon += s.daemon / float64(pairs)
			spans[k] = append(spans[k], s.Span)
		}
		relay, reflect := of[0][i], of[1][i]
		r.Above = append(r.Above, labCost{Machine: relay.machine - reflect.machine, Threads: relay.threads - reflect.threads})
	}
	for k, c := range []*labCost{&r.Relay, &r.Reflect} {
		p50, p99 := t.Latency(spans[k]...)
		*c = labCost{all[k].machine, all[k].threads, micro(p50), micro(p99)}
	}
	r.Daemon = all[0].daemon
	if t.Received.Load() == 0 {
		return 0, errors.New("nothing came back")
	}
	return relayed, nil
}

// alternate measures pairs of slices, one of the relay and one in which packets are bounced.
func (o options) alternate(ctx context.Context, n *labNet, t *load.Traffic, pid, pairs int) (relayed int, of [2][]slice, err error) {
	undo := func() {}
	defer func() { undo() }()
	var since uint64
	bounced := false
	turn := func(bounce bool) (err error) {
		if bounce == bounced || o.same {
			return nil
		}
		if bounced = bounce; bounce {
			undo, err = n.reflect()
			relayed += int(t.Sent.Load() - since)
			return err
		}
		undo()
		undo, since = func() {}, t.Sent.Load()
		return nil
	}
	for tries := 0; len(of[0]) < pairs && tries < 2*pairs; tries++ {
		var pair [2]slice
		alone := true
		for k := range pair {
			way := k ^ tries&1
			if err := turn(way == 1); err != nil {
				return 0, of, err
			}
			time.Sleep(settle)
			s, err := o.one(ctx, t, pid)
			if err != nil {
				return 0, of, err
			}
			if way == 1 && !o.same { // what the daemon does without packets is a relay's too
				s.machine, s.threads = s.machine-s.daemon, s.threads-s.daemon
			}
			pair[way], alone = s, alone && s.others < o.crowd
		}
		if alone {
			of[0], of[1] = append(of[0], pair[0]), append(of[1], pair[1])
		}
	}
	if !bounced {
		relayed += int(t.Sent.Load() - since)
	}
	if len(of[0]) == 0 {
		return 0, of, errors.New("the machine is never ours alone")
	}
	return relayed, of, nil
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
