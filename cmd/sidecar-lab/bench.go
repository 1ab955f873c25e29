package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/sidecar-lab/load"
	"rtpsidecar/cmd/sidecar-lab/media"
	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

func (e *env) benchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "load a daemon with calls and media, and measure", Category: "calls",
		Description: "Sets calls up at a rate, lets their media run both ways, and takes them down. Plain RTP comes from two sockets for all calls\n" +
			"and costs little; SDES and WebRTC have two full ends for each call, which cost more than the relay does, so a few hundred\n" +
			"calls are what one machine makes. Do not run it against a daemon with live calls. The exit status is 1 where a request\n" +
			"failed or more than 1 % of the packets were lost.\n\n" +
			examples("sidecar-lab bench --calls 500 --duration 30s", "sidecar-lab bench --media webrtc --calls 50", "sidecar-lab bench --media none --calls 5000 --parallel 16"),
		Flags: append(e.targetFlags(),
			&cli.IntFlag{Name: "calls", Value: 100, Usage: "how many calls"},
			&cli.Float64Flag{Name: "rate", Usage: "set up so many calls a second; 0: as fast as the daemon answers"},
			&cli.IntFlag{Name: "parallel", Value: 4, Usage: "requests under way at once"},
			&cli.StringFlag{Name: "media", Value: "plain", Usage: "plain, sdes, webrtc, or none"},
			&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, Value: 10 * time.Second, Usage: "of the media"},
			&cli.StringFlag{Name: "address", Value: "127.0.0.1", Usage: "where the ends take media"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as JSON"}),
		Action: e.bench,
	}
}

// benchResult is what a load came to. Times are in milliseconds.
type benchResult struct {
	Target       string  `json:"target"`
	Media        string  `json:"media"`
	Calls        int     `json:"calls"`
	Failed       int     `json:"failed"`
	FirstError   string  `json:"first_error,omitempty"`
	SetupRate    float64 `json:"setups_per_second"`
	Offer        spread  `json:"offer_ms"`
	Answer       spread  `json:"answer_ms"`
	Delete       spread  `json:"delete_ms"`
	Sent         uint64  `json:"sent"`
	Received     uint64  `json:"received"`
	LossPercent  float64 `json:"loss_percent"`
	Latency      spread  `json:"latency_ms"`     // plain only: through the relay, one way
	FirstMedia   spread  `json:"first_media_ms"` // other kinds: after set-up
	Jitter       spread  `json:"jitter_ms"`      // other kinds
	MOS          float64 `json:"mos,omitempty"`  // other kinds: median
	SenderLateMS float64 `json:"sender_late_ms"` // plain only: the worst the generator fell behind
	Silent       int     `json:"silent_ends"`    // other kinds: ends that heard nothing
}

// spread is a median and a 99th percentile.
type spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	slices.Sort(v)
	return spread{v[len(v)/2], v[len(v)*99/100]}
}

func (s spread) String() string { return fmt.Sprintf("%.2f / %.2f ms", s.P50, s.P99) }

// since is a caller and when its call was up.
type since struct {
	caller media.End
	at     time.Time
}

// loader is the state of one bench.
type loader struct {
	e        *env
	client   *ng.Client
	kind     string
	addr     netip.Addr
	parallel int
	prefix   string
	plain    *load.Traffic // nil: another kind

	mu                    sync.Mutex
	offers, answers, byes []float64
	up                    []since
	ends                  []media.End
	failed                int
	err                   error
	done                  atomic.Int64
}

func (e *env) bench(c *cli.Context) error {
	kind := c.String("media")
	if kind != "none" {
		if _, err := media.ParseKind(kind); err != nil {
			return usageError{err}
		}
	}
	addr, err := netip.ParseAddr(c.String("address"))
	if err != nil {
		return usageError{fmt.Errorf("--address: %w", err)}
	}
	if c.Int("calls") < 1 || c.Int("parallel") < 1 {
		return usageError{errors.New("--calls and --parallel are at least 1")}
	}
	client, err := dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	l := &loader{e: e, client: client, kind: kind, addr: addr, parallel: c.Int("parallel"), prefix: fmt.Sprintf("bench-%d-", time.Now().UnixNano())}
	defer l.close()
	if kind == "plain" {
		if l.plain, err = load.New(addr); err != nil {
			return err
		}
	}
	res := benchResult{Target: c.String("target"), Media: kind, Calls: c.Int("calls")}
	begin := time.Now()
	l.each(c.Context, "set up", res.Calls, c.Float64("rate"), l.setUp)
	res.SetupRate = float64(res.Calls) / time.Since(begin).Seconds()
	if c.Context.Err() == nil && l.failed < res.Calls {
		err = l.run(c.Context, c.Duration("duration"), &res)
	}
	l.each(context.WithoutCancel(c.Context), "taken down", res.Calls, 0, l.tearDown)
	e.clearLine()
	if err != nil {
		return err
	}
	res.Failed, res.Offer, res.Answer, res.Delete = l.failed, spreadOf(l.offers), spreadOf(l.answers), spreadOf(l.byes)
	if l.err != nil {
		res.FirstError = l.err.Error()
	}
	if c.Bool("json") {
		err = e.writeJSON(res)
	} else {
		e.writeBench(res)
	}
	if err == nil && (res.Failed > 0 || res.LossPercent > 1 || res.Silent > 0) {
		return exitStatus(1)
	}
	return errors.Join(err, c.Context.Err())
}

func (e *env) clearLine() {
	if isTerminal(e.stderr) {
		fmt.Fprint(e.stderr, "\r\x1b[K")
	}
}

// progress prints a line over the last one, five times a second, until stop is called.
func (e *env) progress(line func() string) (stop func()) {
	if !isTerminal(e.stderr) {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(200 * time.Millisecond):
				fmt.Fprintf(e.stderr, "\r\x1b[K%s", line())
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// each does something for every call, some at once, at a rate.
func (l *loader) each(ctx context.Context, what string, n int, rate float64, do func(ctx context.Context, i int) error) {
	l.done.Store(0)
	begin := time.Now()
	defer l.e.progress(func() string {
		done := l.done.Load()
		return fmt.Sprintf("%d of %d calls %s, %.0f a second, %d failed", done, n, what, float64(done)/time.Since(begin).Seconds(), l.failures())
	})()
	next := make(chan int)
	var workers sync.WaitGroup
	for range l.parallel {
		workers.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					l.fail(err)
				}
				l.done.Add(1)
			}
		})
	}
	for i := range n {
		if rate > 0 {
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second))))):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
}

func (l *loader) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *loader) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
	if l.err == nil {
		l.err = err
	}
}

// timed asks and notes how long the answer took.
func (l *loader) timed(ctx context.Context, into *[]float64, flags string, pairs ...string) (string, error) {
	begin := time.Now()
	reply, err := ask(ctx, l.client, flags, pairs...)
	took := ms(time.Since(begin))
	if err != nil {
		return "", fmt.Errorf("%s: %w", pairs[1], err)
	}
	l.mu.Lock()
	*into = append(*into, took)
	l.mu.Unlock()
	return reply.Value("sdp").Str(), nil
}

// The bodies of calls whose media, if any, come from the two sockets.
func benchBody(at netip.AddrPort) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n", at.Addr(), at.Port())
}

// setUp makes one call.
func (l *loader) setUp(ctx context.Context, i int) error {
	id := fmt.Sprint(l.prefix, i)
	if l.kind == "plain" || l.kind == "none" {
		caller, callee := netip.AddrPortFrom(l.addr, 9000), netip.AddrPortFrom(l.addr, 9002)
		if l.plain != nil {
			caller, callee = l.plain.Callers.Addr(), l.plain.Callees.Addr()
		}
		toCallee, err := l.timed(ctx, &l.offers, toPhone, "command", "offer", "call-id", id, "from-tag", "a", "sdp", benchBody(caller))
		if err != nil {
			return err
		}
		toCaller, err := l.timed(ctx, &l.answers, toPhone, "command", "answer", "call-id", id, "from-tag", "a", "to-tag", "b", "sdp", benchBody(callee))
		if err != nil {
			return err
		}
		// What the callee was offered is where the callee sends.
		calleeSends, err1 := mediaAddr(toCallee)
		callerSends, err2 := mediaAddr(toCaller)
		if err := errors.Join(err1, err2); err != nil || l.plain == nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.plain.Calls = append(l.plain.Calls, load.Call{ToCallee: callerSends, ToCaller: calleeSends})
		return nil
	}
	return l.fullCall(ctx, id)
}

func mediaAddr(body string) (netip.AddrPort, error) {
	s, err := sdp.Parse(body)
	if err != nil || len(s.Media) == 0 || !s.Media[0].RTPAddr().IsValid() {
		return netip.AddrPort{}, fmt.Errorf("no media address in %.60q: %w", body, err)
	}
	return s.Media[0].RTPAddr(), nil
}

// fullCall makes a call with two ends of its own.
func (l *loader) fullCall(ctx context.Context, id string) error {
	var pair [2]media.End
	for k := range pair {
		end, err := media.New(media.Config{Kind: media.Kind(l.kind), Addr: l.addr, Source: &media.Tone{Hz: 440}})
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.ends = append(l.ends, end)
		l.mu.Unlock()
		pair[k] = end
	}
	flags := map[string]string{"sdes": "ICE=remove replace-origin", "webrtc": "ICE=force replace-origin"}[l.kind]
	offer, err := pair[0].Offer(ctx)
	if err != nil {
		return err
	}
	made, err := l.timed(ctx, &l.offers, flags, "command", "offer", "call-id", id, "from-tag", "a", "sdp", offer)
	if err != nil {
		return err
	}
	answer, err := pair[1].Answer(ctx, made)
	if err != nil {
		return err
	}
	made, err = l.timed(ctx, &l.answers, flags, "command", "answer", "call-id", id, "from-tag", "a", "to-tag", "b", "sdp", answer)
	if err != nil {
		return err
	}
	if err := pair[0].Accept(ctx, made); err != nil {
		return err
	}
	l.mu.Lock()
	l.up = append(l.up, since{pair[0], time.Now()})
	l.mu.Unlock()
	return nil
}

func (l *loader) tearDown(ctx context.Context, i int) error {
	_, err := l.timed(ctx, &l.byes, "delete-delay=0", "command", "delete", "call-id", fmt.Sprint(l.prefix, i))
	return err
}

// run lets the media flow.
func (l *loader) run(ctx context.Context, duration time.Duration, res *benchResult) error {
	begin := time.Now()
	switch {
	case l.kind == "none":
		return nil
	case l.plain != nil:
		t := l.plain
		t.Measure, t.Burst = duration, time.Millisecond // enough calls in one system call, and still spread
		stop := l.e.progress(func() string {
			return fmt.Sprintf("%3.0f s of media: %d packets sent, %d received", time.Since(begin).Seconds(), t.Sent.Load(), t.Received.Load())
		})
		err := t.Run(ctx)
		stop()
		res.Sent, res.Received, res.LossPercent = t.Sent.Load(), t.Received.Load(), percent(t.Lost(), t.Sent.Load())
		res.Latency, res.SenderLateMS = spread{ms(t.P50), ms(t.P99)}, ms(t.Late)
		return err
	}
	defer l.e.progress(func() string {
		s, _, _ := l.sum()
		return fmt.Sprintf("%3.0f s of media: %d packets sent, %d received, %d lost", time.Since(begin).Seconds(), s.Sent, s.Received, s.Lost)
	})()
	select {
	case <-time.After(duration):
	case <-ctx.Done():
	}
	s, jitter, mos := l.sum()
	res.Sent, res.Received, res.LossPercent = s.Sent, s.Received, percent(s.Lost, s.Lost+s.Received)
	var first []float64
	for _, u := range l.up {
		if at := u.caller.Stats().First; !at.IsZero() {
			first = append(first, ms(at.Sub(u.at)))
		}
	}
	res.FirstMedia, res.Jitter, res.MOS = spreadOf(first), spreadOf(jitter), median(mos)
	for _, end := range l.ends {
		if end.Stats().Received == 0 {
			res.Silent++
		}
	}
	return nil
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// sum adds up what all ends have measured.
func (l *loader) sum() (total media.Stats, jitter, mos []float64) {
	l.mu.Lock()
	ends := slices.Clone(l.ends)
	l.mu.Unlock()
	for _, end := range ends {
		s := end.Stats()
		total.Sent, total.Received, total.Lost = total.Sent+s.Sent, total.Received+s.Received, total.Lost+s.Lost
		jitter, mos = append(jitter, ms(s.Jitter)), append(mos, s.MOS())
	}
	return total, jitter, mos
}

// close ends everything that was opened.
func (l *loader) close() {
	if l.plain != nil {
		_ = l.plain.Close()
	}
	var wg sync.WaitGroup
	for _, end := range l.ends {
		wg.Go(func() { _ = end.Close() })
	}
	wg.Wait()
}

func (e *env) writeBench(r benchResult) {
	t := newTable("figure", "value")
	t.row("daemon", r.Target)
	t.row("calls", fmt.Sprintf("%d with %s media, %.0f set up a second", r.Calls, r.Media, r.SetupRate))
	st := green
	if r.Failed > 0 {
		st = red
	}
	t.row("failed", cell{fmt.Sprint(r.Failed), st})
	if r.FirstError != "" {
		t.row("first error", cell{r.FirstError, red})
	}
	t.row("offer p50 / p99", r.Offer)
	t.row("answer p50 / p99", r.Answer)
	t.row("delete p50 / p99", r.Delete)
	if r.Media != "none" {
		st = green
		if r.LossPercent > 1 {
			st = red
		}
		t.row("packets", fmt.Sprintf("%d sent, %d received", r.Sent, r.Received))
		t.row("loss", cell{fmt.Sprintf("%.3f %%", r.LossPercent), st})
	}
	if r.Media == "plain" {
		t.row("latency p50 / p99", r.Latency)
		t.row("sender late at worst", fmt.Sprintf("%.2f ms", r.SenderLateMS))
	}
	if r.MOS > 0 {
		t.row("first media p50 / p99", r.FirstMedia)
		t.row("jitter p50 / p99", r.Jitter)
		t.row("MOS", fmt.Sprintf("%.2f", r.MOS))
	}
	if r.Silent > 0 {
		t.row("ends that heard nothing", cell{fmt.Sprint(r.Silent), red})
	}
	t.write(e)
}
