package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rtpsidecar/scripts/internal/daemon"
)

type options struct {
	peer, ours, only, json string
	body                   string
	rounds, calls, setups  int
	parallel               int
	warm, measure, burst   time.Duration
	slice                  time.Duration
	check, same            bool
	crowd                  float64

	rates, bursts, media, relays, picture, from string

	streams     string
	oursOptions []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.StringVar(&o.peer, "peer", "rtpengine", "the reference's `binary`")
	flag.StringVar(&o.ours, "ours", "", "our `binary`; built when not given")
	flag.Func("ours-option", "one more `option` of our daemon's, as in --ours-option=--kernel=auto; may be repeated", func(v string) error {
		o.oursOptions = append(o.oursOptions, v)
		return nil
	})
	flag.StringVar(&o.only, "only", "rtp,calls,request,memory", "`loads` to run")
	flag.StringVar(&o.body, "body", "sdp/testdata/webrtc-four-media/in.sdp", "the SDP `file` of the request load")
	flag.StringVar(&o.json, "json", "", "write all rounds to this `file`")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds per daemon, in turns")
	flag.IntVar(&o.calls, "calls", 200, "calls of the rtp load")
	flag.IntVar(&o.setups, "setups", 2000, "calls of the calls and memory loads, messages of the request load")
	flag.IntVar(&o.parallel, "parallel", 8, "requests in flight of the calls and memory loads: a proxy's workers")
	flag.DurationVar(&o.warm, "warm", 4*time.Second, "media before measuring: endpoint learning lasts 3 s")
	flag.DurationVar(&o.measure, "measure", 10*time.Second, "media while measuring")
	flag.DurationVar(&o.burst, "burst", 200*time.Microsecond, "the sender's tick; the calls are spread over the ticks of 20 ms")
	flag.BoolVar(&o.check, "check", false, "exit 1 where a limit is exceeded")
	flag.DurationVar(&o.slice, "slice", 160*time.Millisecond, "media between two changes of relay and reflection in the lab")
	flag.Float64Var(&o.crowd, "crowd", 0.02, "share of the machine in the hands of others at which a pair of slices is measured again")
	flag.BoolVar(&o.same, "same", false, "never reflect in the lab: what its method makes of no difference")
	flag.StringVar(&o.rates, "rates", "20000,80000", "packets a second of the lab")
	flag.StringVar(&o.bursts, "bursts", "200us,1ms", "the sender's ticks in the lab")
	flag.StringVar(&o.media, "media", "plain,srtp", "media of the lab and the streams load")
	flag.StringVar(&o.streams, "streams", "200,2000,10000", "streams of the streams load, the first for comparison")
	flag.StringVar(&o.relays, "relays", strings.Join(subjects, ","), "relays of the lab; reflect is one too, which costs nothing")
	flag.StringVar(&o.picture, "picture", "", "draw what the lab has recorded into this SVG `file`")
	flag.StringVar(&o.from, "from", "", "measure nothing: tell what is recorded in these JSON `files`, as of one run")
	flag.Parse()
	ok, err := o.run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if o.check && !ok {
		os.Exit(1)
	}
}

// figure is one thing measured.
type figure struct {
	Name, Unit string
	// RatioLimit and Limit are what our figure may be at most: as a share of the peer's, and by itself. 0: no limit.
	RatioLimit, Limit float64
	Ours, Peer        []float64 // by round
	Digits            int       `json:",omitempty"` // 0: one
}

var figures = []*figure{
	{Name: "rtp: CPU per packet", Unit: "us", RatioLimit: 0.8},
	{Name: "rtp: latency p50", Unit: "us"},
	{Name: "rtp: latency p99", Unit: "us", RatioLimit: 1},
	{Name: "rtp: lost", Unit: "packets", Limit: math.SmallestNonzeroFloat64},
	{Name: "rtp: sender late at worst", Unit: "us"},
	{Name: "calls: CPU per offer or answer", Unit: "us", RatioLimit: 0.5},
	{Name: "calls: CPU per delete", Unit: "us"},
	{Name: "calls: descriptors left", Unit: "", Limit: math.SmallestNonzeroFloat64},
	{Name: "request: CPU per message", Unit: "us", RatioLimit: 0.5},
	{Name: "memory: idle", Unit: "MiB", Limit: 30},
	{Name: "memory: per call", Unit: "KiB", Limit: 40},
}

type result map[string]float64

func (o options) run(ctx context.Context, w io.Writer) (ok bool, err error) {
	if o.from != "" {
		return o.again(w, strings.Split(o.from, ","))
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if o.peer, err = exec.LookPath(o.peer); err != nil {
		return false, err
	}
	if o.ours == "" {
		if o.ours, err = daemon.Build(ctx, dir); err != nil {
			return false, err
		}
	}
	version, err := daemon.Version(ctx, o.peer)
	if err != nil {
		return false, err
	}
	if o.only == "lab" {
		return o.lab(ctx, w, dir, version)
	}
	if slices.Contains(strings.Split(o.only, ","), "streams") {
		more, err := o.streamFigures()
		if err != nil {
			return false, err
		}
		figures = append(figures, more...)
	}
	for round := range o.rounds {
		for _, who := range []string{subjectPeer, subjectUser} {
			fmt.Fprintf(os.Stderr, "\rround %d of %d: %s ...   ", round+1, o.rounds, who)
			res, err := o.round(ctx, who, filepath.Join(dir, who+".log"))
			if err != nil {
				return false, fmt.Errorf("%s: %w", who, err)
			}
			for _, f := range figures {
				v, measured := res[f.Name]
				switch {
				case !measured:
				case who == subjectUser:
					f.Ours = append(f.Ours, v)
				default:
					f.Peer = append(f.Peer, v)
				}
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r")
	return o.tell(w, &roundData{Peer: version, Go: runtime.Version(), CPUs: runtime.NumCPU(), Time: time.Now().UTC().Format(time.RFC3339),
		Rounds: o.rounds, Calls: o.calls, Setups: o.setups, Parallel: o.parallel, Burst: o.burst.String(), Figures: figures})
}

// round measures one daemon. Every load gets a fresh one.
func (o options) round(ctx context.Context, who, log string) (result, error) {
	res := result{}
	loads := map[string]func(*daemon.Daemon) error{
		"rtp":     func(d *daemon.Daemon) error { return o.relayMedia(ctx, d, res) },
		"calls":   func(d *daemon.Daemon) error { return o.setUps(ctx, d, res) },
		"memory":  func(d *daemon.Daemon) error { return o.memory(ctx, d, res) },
		"request": func(d *daemon.Daemon) error { return o.requests(ctx, d, res) },
	}
	for name := range strings.SplitSeq(o.only, ",") {
		var err error
		if load, known := loads[name]; known {
			err = fresh(ctx, o.config(who, log), load)
		} else if name == "streams" {
			err = o.allStreams(ctx, o.config(who, log), res)
		} else {
			return nil, fmt.Errorf("no load %q", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return res, nil
}

// config is how a relay is started.
func (o options) config(who, log string) daemon.Config {
	cfg := daemon.Config{
		Path: o.ours, LogFile: log,
		Listen:     netip.MustParseAddrPort("127.0.0.1:9998"),
		Interfaces: []string{"127.0.0.1"},
		PortMin:    10000, PortMax: 32000, // below the usual ephemeral ports
		Args: append([]string{"--log-level=3"}, o.oursOptions...),
	}
	switch who {
	case subjectPeer:
		cfg.Path, cfg.Args = o.peer, cfg.Args[:1]
	case subjectKernel:
		cfg.Args = append(cfg.Args, "--kernel=require")
	}
	return cfg
}

// fresh has a daemon of its own for a load.
func fresh(ctx context.Context, cfg daemon.Config, load func(*daemon.Daemon) error) error {
	d, err := daemon.Start(ctx, cfg)
	if err != nil {
		return err
	}
	err = load(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// setUps makes calls and ends them.
func (o options) setUps(ctx context.Context, d *daemon.Daemon, res result) error {
	files, err := openFiles(d.PID())
	if err != nil {
		return err
	}
	t0, err := cpuTime(d.PID())
	if err != nil {
		return err
	}
	if err := o.establish(ctx, d); err != nil {
		return err
	}
	t1, err := cpuTime(d.PID())
	if err != nil {
		return err
	}
	if err := o.each(ctx, o.setups, func(n int) error { return tearDown(d, call(n)) }); err != nil {
		return err
	}
	t2, err := cpuTime(d.PID())
	if err != nil {
		return err
	}
	res["calls: CPU per offer or answer"] = micro((t1 - t0) / time.Duration(2*o.setups))
	res["calls: CPU per delete"] = micro((t2 - t1) / time.Duration(o.setups))
	left := 0
	for range 50 { // sockets may be closed a moment after the reply
		now, err := openFiles(d.PID())
		if err != nil {
			return err
		}
		if left = now - files; left <= 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	res["calls: descriptors left"] = float64(max(left, 0))
	return nil
}

// establish makes the calls of the calls and memory loads.
func (o options) establish(ctx context.Context, d *daemon.Daemon) error {
	return o.each(ctx, o.setups, func(n int) error {
		_, err := setUp(d, call(n), netip.MustParseAddrPort("127.0.0.1:9000"), netip.MustParseAddrPort("127.0.0.1:9002"), "", false)
		return err
	})
}

// call is the call-id of call n.
func call(n int) string { return "bench-" + strconv.Itoa(n) }

// each runs f for 0 to count-1, for some of them at a time, as a proxy's workers do.
func (o options) each(ctx context.Context, count int, f func(n int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range o.parallel {
		workers.Go(func() {
			for n := range numbers {
				if err := f(n); err != nil {
					cancel(err)
				}
			}
		})
	}
	for n := range count {
		select {
		case numbers <- n:
		case <-ctx.Done():
		}
	}
	close(numbers)
	workers.Wait()
	return context.Cause(ctx)
}

func (o options) memory(ctx context.Context, d *daemon.Daemon, res result) error {
	time.Sleep(time.Second) // what a start leaves to collect is collected
	idle, err := residentBytes(d.PID())
	if err != nil {
		return err
	}
	if err := o.establish(ctx, d); err != nil {
		return err
	}
	full, err := residentBytes(d.PID())
	if err != nil {
		return err
	}
	res["memory: idle"] = float64(idle) / (1 << 20)
	res["memory: per call"] = float64(full-idle) / 1024 / float64(o.setups)
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func spread(v []float64, digits int) string {
	if len(v) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f [%.*f-%.*f]", digits, median(v), digits, slices.Min(v), digits, slices.Max(v))
}
