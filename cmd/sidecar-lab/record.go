package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/sidecar-lab/tape"
	"rtpsidecar/ng"
)

func (e *env) recordCommand() *cli.Command {
	return &cli.Command{
		Name: "record", Usage: "stand between a live proxy and its daemon and write their NG traffic to a file", ArgsUsage: "FILE", Category: "tapes",
		Description: "Point the proxy's rtpengine_sock at --listen. Datagrams pass untouched; the file gets a copy, one JSON object a line,\n" +
			"without SRTP keys, ICE passwords and DTMF digits. Ends with Ctrl-C, --duration or --count.\n\n" +
			examples("sidecar-lab record --listen 127.0.0.1:2222 --target udp:127.0.0.1:2223 calls.jsonl", "sidecar-lab record --duration 1h calls.jsonl"),
		Flags: append(e.targetFlags()[:1:1],
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:2222", Usage: "`ADDRESS` for the proxy"},
			&cli.DurationFlag{Name: "duration", Usage: "end after this time"},
			&cli.IntFlag{Name: "count", Usage: "end after so many exchanges"}),
		Action: e.record,
	}
}

func (e *env) record(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageError{errors.New("record needs one file")}
	}
	listen, err := resolve(c.Context, c.String("listen"))
	if err != nil {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	host, isUDP := strings.CutPrefix(c.String("target"), "udp:")
	if !isUDP {
		return usageError{errors.New("only UDP is recorded; --target is udp:HOST:PORT")}
	}
	daemon, err := resolve(c.Context, host)
	if err != nil {
		return usageError{fmt.Errorf("--target: %w", err)}
	}
	f, err := os.OpenFile(c.Args().First(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	w, err := tape.NewWriter(out, tape.Head{Started: time.Now().UTC(), Daemon: c.String("target"), Note: "keys, passwords and digits are replaced"})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	if d := c.Duration("duration"); d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	entries := make(chan tape.Entry, 4096)
	rec, err := tape.NewRecorder(listen, daemon, entries)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	fmt.Fprintf(e.stderr, "recording: proxy -> %s -> %s, into %s\n", rec.Addr(), c.String("target"), f.Name())
	done := make(chan error, 1)
	go func() { // ends when the recorder has ended
		err := rec.Run(ctx)
		close(entries)
		done <- err
	}()
	n, werr := e.writeTape(c, w, out, entries, cancel)
	err = errors.Join(<-done, werr, out.Flush(), f.Close())
	dropped, passed := rec.Dropped()
	fmt.Fprintf(e.stderr, "%d exchanges written, %d too many at once, %d datagrams were no NG messages\n", n, dropped, passed)
	return err
}

// writeTape writes entries until there are no more; after --count it ends the recording.
func (e *env) writeTape(c *cli.Context, w *tape.Writer, out *bufio.Writer, entries <-chan tape.Entry, stop func()) (n int, err error) {
	for entry := range entries {
		if err == nil {
			err = w.Write(entry)
			n++
		}
		if len(entries) == 0 && err == nil {
			err = out.Flush()
			if isTerminal(e.stderr) {
				fmt.Fprintf(e.stderr, "\r\x1b[K%d exchanges", n)
			}
		}
		if err != nil || n == c.Int("count") {
			stop()
		}
	}
	return n, err
}

// resolve reads HOST:PORT, where the host may be a name.
func resolve(ctx context.Context, addr string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return ap, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(n)), err
}

func (e *env) replayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", Usage: "send a recorded file's requests to a daemon and compare its replies with those recorded", ArgsUsage: "FILE", Category: "tapes",
		Description: "What a daemon chooses by itself (ports, keys, ids, times) is named alike before the comparison, and the order of lines in\n" +
			"a section does not count. The exit status is 1 where replies differ.\n\n" +
			examples("sidecar-lab replay calls.jsonl --target udp:127.0.0.1:22222", "sidecar-lab replay --ignore 'tls-id|ptime' --show 100 calls.jsonl",
				"sidecar-lab replay --speed 1 calls.jsonl"),
		Flags: append(e.targetFlags(),
			&cli.Float64Flag{Name: "speed", Usage: "1 keeps the recorded pace, 2 doubles it, 0 goes as fast as the daemon answers"},
			&cli.StringFlag{Name: "ignore", Usage: "differences that match this `REGEXP` do not count"},
			&cli.IntFlag{Name: "show", Value: 20, Usage: "show so many kinds of differences"},
			&cli.BoolFlag{Name: "json", Usage: "print all as one JSON object"}),
		Action: e.replay,
	}
}

// replayResult is what --json prints.
type replayResult struct {
	Target      string           `json:"target"`
	Recorded    tape.Head        `json:"recorded"`
	Commands    []commandResult  `json:"commands"`
	Differences []differenceKind `json:"differences"`
}

// commandResult sums up the exchanges of one command.
type commandResult struct {
	Command   string  `json:"command"`
	Exchanges int     `json:"exchanges"`
	Same      int     `json:"same"`
	Different int     `json:"different"`
	Silent    int     `json:"silent"`
	TapeMS    float64 `json:"tape_ms"` // medians
	NowMS     float64 `json:"now_ms"`

	tape, now []float64
}

// differenceKind is one difference and how often it was seen.
type differenceKind struct {
	Command string `json:"command"`
	Line    string `json:"line"`
	Times   int    `json:"times"`
	CallID  string `json:"call_id"` // of the first
}

func (e *env) replay(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageError{errors.New("replay needs one file")}
	}
	var ignore *regexp.Regexp
	if c.String("ignore") != "" {
		var err error
		if ignore, err = regexp.Compile(c.String("ignore")); err != nil {
			return usageError{err}
		}
	}
	f, err := os.Open(c.Args().First())
	if err != nil {
		return err
	}
	head, entries, err := tape.Read(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	client, err := dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	p := player{client: client, ignore: ignore, speed: c.Float64("speed"), commands: map[string]*commandResult{}, kinds: map[[2]string]*differenceKind{}}
	if isTerminal(e.stderr) {
		p.progress = e.stderr
	}
	if err := p.run(c.Context, entries); err != nil {
		return err
	}
	res := replayResult{Target: c.String("target"), Recorded: head, Commands: p.summary(), Differences: p.differences()}
	if c.Bool("json") {
		if err := e.writeJSON(res); err != nil {
			return err
		}
	} else {
		e.writeReplay(res, c.Int("show"))
	}
	if slices.ContainsFunc(res.Commands, func(r commandResult) bool { return r.Same != r.Exchanges }) {
		return exitStatus(1)
	}
	return nil
}

// player sends a tape's requests in their order.
type player struct {
	client   *ng.Client
	ignore   *regexp.Regexp
	speed    float64
	progress io.Writer // nil: none
	commands map[string]*commandResult
	kinds    map[[2]string]*differenceKind
}

func (p *player) run(ctx context.Context, entries []tape.Entry) error {
	begin := time.Now()
	open := map[string]bool{}
	defer func() { p.clean(ctx, open) }()
	slices.SortStableFunc(entries, func(a, b tape.Entry) int { return cmp.Compare(a.AtMS, b.AtMS) })
	for i, entry := range entries {
		if p.speed > 0 {
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(entry.AtMS / p.speed * float64(time.Millisecond))))):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p.progress != nil {
			fmt.Fprintf(p.progress, "\r\x1b[K%d of %d", i+1, len(entries))
		}
		req, err := tape.Dict(entry.Request)
		if err != nil {
			return err
		}
		if id := req.Value("call-id").Str(); id != "" {
			open[id] = req.Value("command").Str() != "delete"
		}
		p.exchange(ctx, entry, req)
	}
	if p.progress != nil {
		fmt.Fprint(p.progress, "\r\x1b[K")
	}
	return nil
}

// clean ends the calls that the tape leaves open.
func (p *player) clean(ctx context.Context, open map[string]bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, id := range slices.Sorted(maps.Keys(open)) {
		if open[id] {
			_, _ = ask(ctx, p.client, "delete-delay=0", "command", "delete", "call-id", id)
		}
	}
}

func (p *player) exchange(ctx context.Context, entry tape.Entry, req *ng.Dict) {
	command := req.Value("command").Str()
	r := p.commands[command]
	if r == nil {
		r = &commandResult{Command: command}
		p.commands[command] = r
	}
	r.Exchanges++
	begin := time.Now()
	reply, err := p.client.Do(ctx, req)
	took := ms(time.Since(begin))
	if reply == nil {
		if len(entry.Reply) == 0 {
			r.Same++ // silence then and now
			return
		}
		r.Silent++
		p.note(command, fmt.Sprintf("no reply: %v", err), req)
		return
	}
	r.now = append(r.now, took)
	var lines []string
	if taped, err := tape.Dict(entry.Reply); err != nil {
		lines = []string{"+ a reply; the tape has none"}
	} else {
		r.tape = append(r.tape, entry.TookMS)
		lines = tape.Compare(req, taped, reply)
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return p.ignore != nil && p.ignore.MatchString(l) })
	if len(lines) == 0 {
		r.Same++
		return
	}
	r.Different++
	for _, l := range lines {
		p.note(command, l, req)
	}
}

func (p *player) note(command, line string, req *ng.Dict) {
	key := [2]string{command, line}
	if p.kinds[key] == nil {
		p.kinds[key] = &differenceKind{Command: command, Line: line, CallID: req.Value("call-id").Str()}
	}
	p.kinds[key].Times++
}

func (p *player) summary() []commandResult {
	out := []commandResult{}
	for _, name := range slices.Sorted(maps.Keys(p.commands)) {
		r := *p.commands[name]
		r.TapeMS, r.NowMS = median(r.tape), median(r.now)
		out = append(out, r)
	}
	return out
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(v))[len(v)/2]
}

func (p *player) differences() []differenceKind {
	out := []differenceKind{}
	for _, k := range p.kinds {
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b differenceKind) int {
		return cmp.Or(cmp.Compare(a.Command, b.Command), b.Times-a.Times, cmp.Compare(a.Line, b.Line))
	})
	return out
}

func (e *env) writeReplay(res replayResult, show int) {
	t := newTable("command", "exchanges", "same", "different", "silent", "then", "now")
	for _, r := range res.Commands {
		st := green
		if r.Same != r.Exchanges {
			st = red
		}
		t.row(r.Command, r.Exchanges, cell{fmt.Sprint(r.Same), st}, r.Different, r.Silent, fmt.Sprintf("%.2f ms", r.TapeMS), fmt.Sprintf("%.2f ms", r.NowMS))
	}
	t.write(e)
	command := ""
	for i, d := range res.Differences {
		if i == show {
			fmt.Fprintf(e.stdout, "and %d more kinds of differences; --show %d shows them\n", len(res.Differences)-show, len(res.Differences))
			break
		}
		if d.Command != command {
			command = d.Command
			e.heading("%s: - recorded, + now", command)
		}
		st := green
		if strings.HasPrefix(d.Line, "-") {
			st = red
		}
		fmt.Fprintf(e.stdout, "%s %s\n", e.paint(st, d.Line), e.paint(faint, fmt.Sprintf("(%d times, first in %s)", d.Times, d.CallID)))
	}
}
