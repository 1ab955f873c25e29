package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rtpsidecar/cmd/sidecar-lab/load"
	"rtpsidecar/scripts/internal/daemon"
)

// streamsRate is how many packets a second the streams load has, however many streams they belong to.
const streamsRate = 20000

// flat is what a packet of many streams may cost, to one of few.
const flat = 1.1

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
		growth = append(growth, &figure{Name: c.name(o.growth()), Digits: 2, Limit: flat})
		losses = append(losses, &figure{Name: c.name(streamLost), Unit: "packets", Limit: math.SmallestNonzeroFloat64})
	}
	return append(append(list, growth...), losses...), nil
}

// Several daemons take turns, one for each number of streams: one daemon differs more from one minute to the next than by its
// streams. The first half of a turn is not measured: as the others' packets have emptied the caches, each stream of 10,000 has a
// packet before.
const (
	streamTurn   = time.Second
	streamSettle = 500 * time.Millisecond
)

// allStreams spreads the same packets over ever more streams: whatever a stream costs that has nothing to do, and memory that
// the one before has driven out of the caches, shows in the CPU time per packet.
func (o options) allStreams(ctx context.Context, cfg daemon.Config, res result) error {
	cases, err := o.streamCases()
	if err != nil {
		return err
	}
	if o.measure < 2*streamTurn {
		return fmt.Errorf("--measure=%v: two turns take %v", o.measure, 2*streamTurn)
	}
	for media := range strings.SplitSeq(o.media, ",") {
		of := slices.DeleteFunc(slices.Clone(cases), func(c streamCase) bool { return c.media != media })
		if err := o.inTurns(ctx, cfg, of, res); err != nil {
			return err
		}
	}
	return nil
}

// inTurns measures cases of the same media, each with a daemon and an address of its own. What is said of a case is the median of
// its turns, and of what they took to those of the first case just before.
func (o options) inTurns(ctx context.Context, cfg daemon.Config, cases []streamCase, res result) (err error) {
	spreads := make([]*spreadMedia, len(cases))
	for i, c := range cases {
		s, serr := o.spread(ctx, cfg, i, c)
		if serr != nil {
			return fmt.Errorf("%d streams: %w", c.streams, serr)
		}
		defer func() { err = errors.Join(err, s.close()) }()
		spreads[i] = s
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer cancel(nil)
	begin := time.Now().Add(streamTurn)
	every := time.Duration(len(spreads)) * streamTurn
	for i, s := range spreads {
		s.Turn = load.Turn{First: begin.Add(time.Duration(i) * streamTurn), Length: streamTurn, Every: every}
		senders.Go(func() {
			if err := s.Run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	for n := range int((o.warm + o.measure) / streamTurn) {
		for _, s := range spreads {
			if err := s.turn(ctx, n); err != nil {
				return err
			}
		}
	}
	senders.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for _, s := range spreads {
		if s.Received.Load() == 0 {
			return fmt.Errorf("%d streams: nothing came back", s.streams)
		}
		res[s.name(streamCPU)], res[s.name(streamLost)] = median(s.used), float64(s.Lost())
		if s != spreads[0] {
			growth := make([]float64, len(s.used))
			for n := range growth {
				growth[n] = s.used[n] / spreads[0].used[n]
			}
			res[s.name(o.growth())] = median(growth)
		}
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

// spreadMedia are the calls of a case and their daemon.
type spreadMedia struct {
	streamCase
	*load.Traffic
	daemon *daemon.Daemon
	used   []float64 // CPU time of the daemon in us per packet, by turn
}

// spread sets up the calls of a case. RTCP is muxed, so that a stream is a socket: those of 5,000 calls without it are more than
// the 20,000 descriptors that some machines allow.
func (o options) spread(ctx context.Context, cfg daemon.Config, n int, c streamCase) (_ *spreadMedia, err error) {
	if err := needFiles(3*c.streams/2 + 1000); err != nil {
		return nil, err
	}
	host := netip.AddrFrom4([4]byte{127, 0, 0, byte(n + 2)}) // 127.0.0.1 is found faster
	cfg.Listen = netip.AddrPortFrom(host, cfg.Listen.Port())
	cfg.Interfaces = []string{host.String()}
	cfg.PortMax = 65534 // a call has four ports until the answer, whoever muxes
	s := &spreadMedia{streamCase: c}
	if s.daemon, err = daemon.Start(ctx, cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.Traffic, err = load.New(host); err != nil {
		return nil, err
	}
	s.Warm, s.Measure, s.Burst = o.warm, o.measure, o.burst
	s.Interval = time.Duration(c.streams) * time.Second / streamsRate
	s.Calls = make([]load.Call, c.streams/2)
	crypto, err := secure(s.Calls, c.media)
	if err != nil {
		return nil, err
	}
	return s, o.each(ctx, len(s.Calls), func(n int) error {
		made, err := setUp(s.daemon, call(n), s.Callers.Addr(), s.Callees.Addr(), crypto, true)
		s.Calls[n].ToCallee, s.Calls[n].ToCaller = made.ToCallee, made.ToCaller
		return err
	})
}

func (s *spreadMedia) close() (err error) {
	if s.Traffic != nil {
		err = s.Traffic.Close()
	}
	return errors.Join(err, s.daemon.Close())
}

// turn measures a turn of the daemon's, and waits for its end. Those of the warm-up do not count.
func (s *spreadMedia) turn(ctx context.Context, n int) error {
	begin := s.Turn.Begin(n)
	from, sent, err := s.look(ctx, begin.Add(streamSettle))
	if err != nil {
		return err
	}
	to, all, err := s.look(ctx, begin.Add(streamTurn))
	if err != nil || streamTurn*time.Duration(n) < s.Warm {
		return err
	}
	if all == sent {
		return fmt.Errorf("%d streams: nothing was sent for %v", s.streams, streamTurn-streamSettle)
	}
	s.used = append(s.used, micro(to-from)/float64(all-sent))
	return nil
}

// look tells, at a time, what the daemon has used so far, and for how many packets.
func (s *spreadMedia) look(ctx context.Context, at time.Time) (used time.Duration, sent uint64, err error) {
	select {
	case <-time.After(time.Until(at)):
	case <-ctx.Done():
		return 0, 0, context.Cause(ctx)
	}
	used, err = cpuTime(s.daemon.PID())
	return used, s.Sent.Load(), err
}
