package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"rtpsidecar/cmd/sidecar-lab/load"
	"rtpsidecar/scripts/internal/daemon"
)

// relayMedia sets calls up on loopback, warms them up and measures for a while.
func (o options) relayMedia(ctx context.Context, d *daemon.Daemon, res result) error {
	t, err := load.New(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		return err
	}
	defer t.Close()
	t.Warm, t.Measure, t.Burst = o.warm, o.measure, o.burst
	t.Calls = make([]load.Call, o.calls)
	for i := range t.Calls {
		if t.Calls[i], err = setUp(d, fmt.Sprintf("bench-rtp-%d", i), t.Callers.Addr(), t.Callees.Addr(), "", false); err != nil {
			return err
		}
	}
	defer func() {
		for i := range t.Calls {
			_ = tearDown(d, fmt.Sprintf("bench-rtp-%d", i))
		}
	}()
	c, err := carry(ctx, t, d.PID())
	if err != nil {
		return err
	}
	res["rtp: CPU per packet"] = micro(c.daemon)
	res["rtp: latency p50"], res["rtp: latency p99"] = micro(t.P50), micro(t.P99)
	res["rtp: lost"], res["rtp: sender late at worst"] = float64(t.Lost()), micro(t.Late)
	return nil
}

// cost is what the processors have done for a packet.
type cost struct {
	daemon  time.Duration // its threads
	threads time.Duration // of the daemon, of this process and of the kernel's packet threads
	busy    time.Duration // the whole machine, whoever used it
}

// carry lets the media flow; pid is the daemon's, 0: there is none.
func carry(ctx context.Context, t *load.Traffic, pid int) (cost, error) {
	var looks []clocks
	t.Clock = func() error {
		c, err := look(pid)
		looks = append(looks, c)
		return err
	}
	if err := errors.Join(t.Run(ctx), ctx.Err()); err != nil {
		return cost{}, err
	}
	if t.Received.Load() == 0 {
		return cost{}, errors.New("nothing came back")
	}
	start, stop, sent := looks[0], looks[1], time.Duration(t.Sent.Load())
	busy := stop.at.Sub(start.at)*time.Duration(runtime.NumCPU()) - (stop.idle - start.idle)
	return cost{(stop.daemon - start.daemon) / sent, (stop.threads - start.threads) / sent, busy / sent}, nil
}

// clocks are what has been used of the processors so far.
type clocks struct {
	daemon, threads, idle time.Duration
	at                    time.Time
}

func look(pid int) (c clocks, err error) {
	if pid != 0 {
		if c.daemon, err = cpuTime(pid); err != nil {
			return c, err
		}
	}
	c.threads = c.daemon
	for _, pid := range append(softirqThreads(), os.Getpid()) {
		t, err := cpuTime(pid)
		if err != nil {
			return c, err
		}
		c.threads += t
	}
	c.idle, err = idleTime()
	c.at = time.Now()
	return c, err
}
