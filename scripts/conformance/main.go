package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/scripts/internal/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.StringVar(&o.peer, "peer", "rtpengine", "the reference's `binary`")
	flag.StringVar(&o.ours, "ours", "", "our `binary`; built when not given")
	flag.StringVar(&o.only, "only", "", "run the sequences whose name matches this `expression`")
	flag.BoolVar(&o.self, "self", false, "compare the peer with itself, without rules: the tool's own test")
	flag.BoolVar(&o.all, "all", false, "also print what is explained")
	flag.BoolVar(&o.show, "show", false, "print both sides' replies in full")
	flag.IntVar(&o.random, "random", 0, "add so many generated `sequences`")
	flag.Uint64Var(&o.seed, "seed", ciSeed, "of the generated sequences")
	flag.IntVar(&o.basePort, "base-port", 20000, "first `port` of the 8002 used")
	flag.Parse()
	sum, err := o.compareAll(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	if !sum.ok() {
		os.Exit(1)
	}
}

// The generated sequences that CI runs. Rules for generated sequences must explain something in these; another seed may
// never meet what they are about.
const (
	ciGenerated = 500
	ciSeed      = 1
)

type options struct {
	peer, ours, only string
	self, all, show  bool
	random           int
	seed             uint64
	basePort         int
}

// summary counts sequences.
type summary struct {
	Equal, Explained, Different int
	Unused                      []string // rules that explained nothing
	Version                     string
}

func (s summary) ok() bool { return s.Different == 0 && len(s.Unused) == 0 }

func (s summary) String() string {
	text := fmt.Sprintf("peer %s: %d equal, %d explained, %d different", s.Version, s.Equal, s.Explained, s.Different)
	if len(s.Unused) > 0 {
		text += "\nrules that explained nothing: " + strings.Join(s.Unused, ", ")
	}
	return text
}

// compareAll starts both daemons, runs all sequences and writes what differs to w.
func (o options) compareAll(ctx context.Context, w io.Writer) (sum summary, err error) {
	seqs, err := o.sequences()
	if err != nil {
		return sum, err
	}
	if o.peer, err = exec.LookPath(o.peer); err != nil {
		return sum, err
	}
	if sum.Version, err = daemon.Version(ctx, o.peer); err != nil {
		return sum, err
	}
	major, _, _ := strings.Cut(sum.Version, ".")
	var rules []*rule
	if !o.self {
		if rules, err = loadRules(major); err != nil {
			return sum, err
		}
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return sum, err
	}
	defer os.RemoveAll(dir)
	ours, peer, err := o.start(ctx, dir, major)
	if err != nil {
		return sum, err
	}
	defer func() {
		for _, d := range []*daemon.Daemon{ours, peer} {
			if cerr := d.Close(); err == nil {
				err = cerr
			}
		}
	}()
	for _, seq := range seqs {
		if ctx.Err() != nil {
			return sum, ctx.Err()
		}
		out := run(seq, ours, peer, rules, major != "10" || o.self)
		switch {
		case out.Err != nil || out.open() > 0:
			sum.Different++
		case out.explained():
			sum.Explained++
		default:
			sum.Equal++
		}
		fmt.Fprint(w, out.report(o.all))
		if o.show {
			out.print(w)
		}
		for _, d := range []**daemon.Daemon{&ours, &peer} {
			if !(*d).Alive() { // one sequence is one finding; go on with the others
				if *d, err = daemon.Start(ctx, (*d).Config); err != nil {
					return sum, err
				}
			}
		}
	}
	if o.only == "" && !o.self {
		sum.Unused = unused(rules, o.random >= ciGenerated && o.seed == ciSeed)
	}
	fmt.Fprintln(w, sum)
	return sum, nil
}

func (o options) sequences() ([]sequence, error) {
	sdp, err := loadBodies()
	if err != nil {
		return nil, err
	}
	seqs, err := loadSequences(sdp)
	if err != nil {
		return nil, err
	}
	generated, err := generate(o.seed, o.random, sdp)
	if err != nil {
		return nil, err
	}
	seqs = append(seqs, generated...)
	if o.only == "" {
		return seqs, nil
	}
	re, err := regexp.Compile(o.only)
	if err != nil {
		return nil, err
	}
	var kept []sequence
	for _, s := range seqs {
		if re.MatchString(s.Name) {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// start runs both daemons with the same options, apart from the ports.
func (o options) start(ctx context.Context, dir, major string) (ours, peer *daemon.Daemon, err error) {
	oursPath := o.ours
	if o.self {
		oursPath = o.peer
	}
	if oursPath == "" {
		if oursPath, err = daemon.Build(ctx, dir); err != nil {
			return nil, nil, err
		}
	}
	const ports = 4000 // each: more than the longest sequence needs while freed ports rest
	config := func(n int, path string) daemon.Config {
		first := o.basePort + 2 + n*ports
		cfg := daemon.Config{
			Path:       path,
			Listen:     netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(o.basePort+n)),
			Interfaces: usable(),
			PortMin:    first, PortMax: first + ports - 1,
			Args:    []string{"--log-level=4"},
			LogFile: filepath.Join(dir, strconv.Itoa(n)+".log"),
		}
		if major == "10" { // ours follows the newer version's default; tell both
			cfg.Args = append(cfg.Args, "--endpoint-learning=heuristic")
		}
		return cfg
	}
	if ours, err = daemon.Start(ctx, config(0, oursPath)); err != nil {
		return nil, nil, err
	}
	if peer, err = daemon.Start(ctx, config(1, o.peer)); err != nil {
		_ = ours.Close()
		return nil, nil, err
	}
	return ours, peer, nil
}

// interfaces are three logical ones on loopback: the default with both families, a second, and one behind a NAT.
var interfaces = []string{"pub/127.0.0.1", "pub/::1", "priv/127.0.0.2", "adv/127.0.0.3!203.0.113.3"}

// usable is the interfaces without IPv6 where the machine has none; said aloud, as it tests less.
func usable() []string {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		_ = l.Close()
		return interfaces
	}
	fmt.Fprintln(os.Stderr, "conformance: no ::1 here, both daemons run without IPv6")
	return slices.DeleteFunc(slices.Clone(interfaces), func(i string) bool { return strings.HasSuffix(i, "::1") })
}

// print writes both sides' replies of all steps.
func (o *outcome) print(w io.Writer) {
	for i, both := range o.Replies {
		for k, who := range []string{"ours", "peer"} {
			fmt.Fprintf(w, "--- %s, step %d %s: %s\n", o.Seq.Name, i+1, o.Seq.Steps[i].command(), who)
			for _, s := range both[k].Sections {
				for _, l := range s.Lines {
					fmt.Fprintf(w, "%-10s %s\n", s.Name, l)
				}
			}
		}
	}
}
