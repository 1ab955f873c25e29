package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rtpsidecar/cmd/sidecar-lab/load"
	"rtpsidecar/scripts/internal/daemon"
)

// streamsRate is how many packets a second the streams load has, however many streams they belong to.
const streamsRate = 20000

// streamCase is one case of the streams load.
type streamCase struct {
	media   string
	streams int
}

// streamCases are all, the first number of streams before the others.
func (o options) streamCases() (list []streamCase, err error) {
	for media := range strings.SplitSeq(o.media, ",") {
		for count := range strings.SplitSeq(o.streams, ",") {
			n, err := strconv.Atoi(count)
			if err != nil || n < 2 || n%2 != 0 {
				return nil, fmt.Errorf("%q streams: a call has two", count)
			}
			list = append(list, streamCase{media, n})
		}
	}
	return list, nil
}

func (c streamCase) name(figure string) string {
	return fmt.Sprintf("%d streams, %s: %s", c.streams, kind(c.media), figure)
}

const (
	streamCPU  = "CPU per packet"
	streamLost = "lost"
)

// growth is a name too, of what the packets of more streams take to what those of the first case do.
func (o options) growth() string {
	first, _, _ := strings.Cut(o.streams, ",")
	return "CPU / that with " + first
}

// streamFigures are the figures of the streams load.
func (o options) streamFigures() (list []*figure, err error) {
	cases, err := o.streamCases()
	if err != nil {
		return nil, err
	}
	var growth, losses []*figure
	for _, c := range cases {
		list = append(list, &figure{Name: c.name(streamCPU), Unit: "us"})
		growth = append(growth, &figure{Name: c.name(o.growth()), Digits: 2})
		losses = append(losses, &figure{Name: c.name(streamLost), Unit: "packets", Limit: math.SmallestNonzeroFloat64})
	}
	return append(append(list, growth...), losses...), nil
}

// allStreams spreads the same packets over ever more streams: whatever a stream costs that has nothing to do, and memory that
// the one before has driven out of the caches, shows in the CPU time per packet.
func (o options) allStreams(ctx context.Context, cfg daemon.Config, res result) error {
	cases, err := o.streamCases()
	if err != nil {
		return err
	}
	cfg.PortMax = 65534 // a call has four ports until the answer, whoever muxes
	first := map[string]float64{}
	for _, c := range cases {
		if err := needFiles(3*c.streams/2 + 1000); err != nil {
			return fmt.Errorf("%d streams: %w", c.streams, err)
		}
		var used time.Duration
		if err := fresh(ctx, cfg, func(d *daemon.Daemon) (err error) {
			used, err = o.spreadMedia(ctx, d, c, res)
			return err
		}); err != nil {
			return fmt.Errorf("%d streams: %w", c.streams, err)
		}
		if _, there := first[c.media]; there {
			res[c.name(o.growth())] = micro(used) / first[c.media]
		} else {
			first[c.media] = micro(used)
		}
		res[c.name(streamCPU)] = micro(used)
	}
	return nil
}

// needFiles gives the daemon to come as many descriptors, without which it would refuse calls. A muxed call keeps three.
func needFiles(n int) error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil || have.Cur >= uint64(n) {
		return err
	}
	have.Cur = uint64(n)
	have.Max = max(have.Max, have.Cur)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return fmt.Errorf("%d descriptors: %w", n, err)
	}
	return nil
}

// spreadMedia sets up the calls of a case and measures the daemon's CPU time per packet. RTCP is muxed, so that a stream is a
// socket: those of 5,000 calls without it are more than the 20,000 descriptors that some machines allow.
func (o options) spreadMedia(ctx context.Context, d *daemon.Daemon, c streamCase, res result) (time.Duration, error) {
	t, err := load.New(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		return 0, err
	}
	defer t.Close()
	t.Warm, t.Measure, t.Burst = o.warm, o.measure, o.burst
	t.Interval = time.Duration(c.streams) * time.Second / streamsRate
	t.Calls = make([]load.Call, c.streams/2)
	crypto, err := secure(t.Calls, c.media)
	if err != nil {
		return 0, err
	}
	err = o.each(ctx, len(t.Calls), func(n int) error {
		made, err := setUp(d, call(n), t.Callers.Addr(), t.Callees.Addr(), crypto, true)
		t.Calls[n].ToCallee, t.Calls[n].ToCaller = made.ToCallee, made.ToCaller
		return err
	})
	if err != nil {
		return 0, err
	}
	used, err := carry(ctx, t, d.PID())
	res[c.name(streamLost)] = float64(t.Lost())
	return used.daemon, errors.Join(err, ctx.Err())
}
