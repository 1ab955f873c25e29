package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rtpsidecar/cmd/sidecar-lab/load"
	"rtpsidecar/relay/srtp"
	"rtpsidecar/scripts/internal/daemon"
)

// The relays of the lab.
const (
	subjectReflect = "reflect"     // no relay: the packets are bounced
	subjectKernel  = "ours-kernel" // ours with --kernel=require
	subjectPeer    = "peer"        // the reference, in userspace
	subjectUser    = "ours"        // ours, in userspace
)

var subjects = []string{subjectKernel, subjectPeer, subjectUser}

// labRun is one measurement. Times are in us.
type labRun struct {
	Rate           int    // packets a second, both directions together
	Burst          string // the sender's tick
	Media          string // plain, or srtp: the callee's leg
	Subject        string
	Relay, Reflect labCost   // while the relay had the packets, and while they were bounced
	Above          []labCost // by pair of slices, the relay's less the other's
	Daemon         float64   // its threads, per packet; those of userspace while far hosts dropped what arrived
	Sent, Received int
	All            int     // sent to the relay, warm-up included
	InKernel       int64   // of all, those that the kernel forwarded
	Late           float64 // the sender, at worst
}

// labCost is what a packet takes.
type labCost struct {
	Machine  float64 // of all processors: on a machine that does nothing else
	Threads  float64 // of the daemon, the bench and the kernel's packet threads
	P50, P99 float64 // latency
}

// labData is what is recorded.
type labData struct {
	Peer, Go, Kernel string
	CPUs             int
	Time             string
	Warm, Measure    string
	Slice            string
	Runs             []labRun
}

const (
	labSuite = "AES_CM_128_HMAC_SHA1_80"
	perCall  = 100 // packets a second, both directions together
)

// lab measures in network namespaces what a relay costs the whole machine.
func (o options) lab(ctx context.Context, w io.Writer, dir, version string) (ok bool, err error) {
	runtime.GOMAXPROCS(8)  // see load.Traffic.Pinned
	runtime.LockOSThread() // for good: it stays in the relay's namespace, and daemons started from it live as long as it
	n, err := newLabNet()
	if err != nil {
		return false, err
	}
	defer n.close()
	data := labData{Peer: version, Go: runtime.Version(), Kernel: kernelRelease(), CPUs: runtime.NumCPU(),
		Time: time.Now().UTC().Format(time.RFC3339), Warm: o.warm.String(), Measure: o.measure.String(), Slice: o.slice.String()}
	for round := range o.rounds {
		for rate := range strings.SplitSeq(o.rates, ",") {
			for burst := range strings.SplitSeq(o.bursts, ",") {
				for media := range strings.SplitSeq(o.media, ",") {
					for who := range strings.SplitSeq(o.relays, ",") {
						r := labRun{Burst: burst, Media: media, Subject: who}
						if r.Rate, err = strconv.Atoi(rate); err != nil {
							return false, err
						}
						fmt.Fprintf(os.Stderr, "round %d of %d: %s/s, %s, %s, %s ...\n", round+1, o.rounds, rate, burst, media, who)
						if err := o.labRun(ctx, n, &r, filepath.Join(dir, who+".log")); err != nil {
							return false, fmt.Errorf("%s: %w", who, err)
						}
						fmt.Fprintf(os.Stderr, "    above reflect, by pair: %s\n", r.pairs())
						data.Runs = append(data.Runs, r)
					}
				}
			}
		}
	}
	return o.report(w, &data)
}

// report writes, records and draws what was measured.
func (o options) report(w io.Writer, d *labData) (ok bool, err error) {
	ok = d.table(w)
	if o.json != "" {
		if err := record(o.json, d); err != nil {
			return ok, err
		}
	}
	if o.picture != "" {
		return ok, draw(d, o.picture)
	}
	return ok, nil
}

// recorded reads what runs of the lab on the same machine have recorded, as one.
func recorded(files []string) (*labData, error) {
	all := new(labData)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d, runs := new(labData), all.Runs
		if err := json.Unmarshal(b, d); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if len(runs) > 0 && (d.Peer != all.Peer || d.Kernel != all.Kernel || d.CPUs != all.CPUs || d.Slice != all.Slice) {
			return nil, fmt.Errorf("%s: another reference, kernel, machine or slice than before", file)
		}
		all, d.Runs = d, append(runs, d.Runs...)
	}
	return all, nil
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func (o options) labRun(ctx context.Context, n *labNet, r *labRun, log string) (err error) {
	t := &load.Traffic{Warm: o.warm, Pinned: true, Calls: make([]load.Call, max(r.Rate/perCall, 1))}
	if t.Burst, err = time.ParseDuration(r.Burst); err != nil {
		return err
	}
	err = errors.Join(
		n.in(n.callerNS, func() (err error) { t.Callers, err = load.Open(n.caller); return err }),
		n.in(n.calleeNS, func() (err error) { t.Callees, err = load.Open(n.callee); return err }))
	if err != nil {
		return err
	}
	defer t.Close()
	crypto, err := secure(t.Calls, r.Media)
	if err != nil {
		return err
	}
	pid, kernel := 0, func() (int64, error) { return 0, nil }
	if r.Subject == subjectReflect {
		undo, err := n.reflect()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, undo()) }()
		for i := range t.Calls {
			at := netip.AddrPortFrom(n.relay, uint16(20000+2*i))
			t.Calls[i].ToCallee, t.Calls[i].ToCaller = at, at
		}
	} else {
		cfg := o.config(r.Subject, log)
		cfg.Interfaces = []string{n.relay.String()}
		d, err := daemon.Start(ctx, cfg)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
		pid = d.PID()
		for i := range t.Calls {
			c, err := setUp(d, fmt.Sprintf("lab-%d", i), t.Callers.Addr(), t.Callees.Addr(), crypto, false)
			if err != nil {
				return err
			}
			t.Calls[i].ToCallee, t.Calls[i].ToCaller = c.ToCallee, c.ToCaller
		}
		kernel = func() (int64, error) { return inKernel(d) }
	}
	relayed, err := o.slices(ctx, n, t, pid, r)
	if err != nil {
		return err
	}
	r.Sent, r.Received, r.All, r.Late = int(t.Sent.Load()), int(t.Received.Load()), int(t.Warmup)+relayed, micro(t.Late)
	r.InKernel, err = kernel()
	return err
}

// pairs is what the pairs of slices say.
func (r *labRun) pairs() string {
	var m, t []float64
	for _, p := range r.Above {
		m, t = append(m, p.Machine), append(t, p.Threads)
	}
	return fmt.Sprintf("machine %s, threads %s, daemon %.2f; p50 %.1f and %.1f, p99 %.1f and %.1f", spread(m, 2), spread(t, 2), r.Daemon,
		r.Relay.P50, r.Reflect.P50, r.Relay.P99, r.Reflect.P99)
}

// secure gives the callees a key, and returns it as SDP has it; "" for plain media.
func secure(calls []load.Call, kind string) (crypto string, err error) {
	if kind == "plain" {
		return "", nil
	}
	key, err := srtp.NewParams(srtp.SuiteByName(labSuite), rand.Reader)
	if err != nil {
		return "", err
	}
	for i := range calls {
		c, err := srtp.New(key)
		if err != nil {
			return "", err
		}
		calls[i].Protect = c.ProtectRTP
	}
	return labSuite + " inline:" + base64.StdEncoding.EncodeToString(append(key.Key, key.Salt...)), nil
}

// inKernel is how many packets the daemon says that its kernel part has forwarded.
func inKernel(d *daemon.Daemon) (int64, error) {
	reply, err := d.Ask(message("statistics", ""))
	if err != nil {
		return 0, fmt.Errorf("statistics: %w", err)
	}
	n, ok := reply.Value("statistics").Dict().Value("totalstatistics").Dict().Value("relayedpackets_kernel").Int()
	if !ok {
		return 0, errors.New("statistics: no relayedpackets_kernel")
	}
	return n, nil
}

func interfaceIndex(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}
