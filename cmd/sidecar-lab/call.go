package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/sidecar-lab/media"
	"rtpsidecar/cmd/sidecar-lab/phone"
)

func (e *env) callCommand() *cli.Command {
	return &cli.Command{
		Name: "call", Usage: "register and call through a live proxy, or wait for a call, and tell what was heard", ArgsUsage: "ADDRESS", Category: "calls",
		Description: "Proves an installation from end to end: a SIP user agent that registers over UDP, TCP, TLS, WS or WSS, offers plain RTP,\n" +
			"SDES or WebRTC media, plays a tone or a WAV file, records what comes back, and prints loss, jitter and MOS. With --answer\n" +
			"it takes one call instead of making one. The exit status is 1 where the call failed or nothing was heard.\n\n" +
			examples("sidecar-lab call --proxy udp:192.0.2.1 --as alice@example.org --password secret bob@example.org",
				"sidecar-lab call --proxy wss://sip.example.org/ws --as alice@example.org --media webrtc --record heard.wav bob@example.org",
				"sidecar-lab call --answer --proxy tls:sip.example.org --ca lab.pem --as bob@example.org --media sdes"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "proxy", Usage: "udp:, tcp:, tls: `HOST[:PORT]`, or ws:// or wss://HOST:PORT/PATH"},
			&cli.StringFlag{Name: "as", Usage: "who you are: `USER@DOMAIN`"},
			&cli.StringFlag{Name: "password", Usage: "for digest authentication; SIDECAR_LAB_PASSWORD keeps it out of the process list", Value: e.getenv("SIDECAR_LAB_PASSWORD"), DefaultText: "from the environment"},
			&cli.StringFlag{Name: "auth-user", Usage: "user of the digest, where it is another than yours"},
			&cli.BoolFlag{Name: "no-register", Usage: "do not register"},
			&cli.BoolFlag{Name: "answer", Usage: "wait for a call"},
			&cli.DurationFlag{Name: "wait", Value: time.Minute, Usage: "wait so long for a call, or for the answer"},
			&cli.StringFlag{Name: "media", Value: "plain", Usage: "plain, sdes or webrtc"},
			&cli.StringFlag{Name: "address", Usage: "where media are received; the `IP` that the proxy is reached from when absent"},
			&cli.Float64Flag{Name: "tone", Value: 440, Usage: "play a tone of so many `HZ`"},
			&cli.StringFlag{Name: "play", Usage: "play this WAV `FILE` over and over instead"},
			&cli.StringFlag{Name: "record", Usage: "write what is heard to this WAV `FILE`"},
			&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, Value: 5 * time.Second, Usage: "hang up after this time"},
			&cli.StringFlag{Name: "ca", Usage: "trust the certificates in this PEM `FILE`"},
			&cli.BoolFlag{Name: "insecure", Usage: "trust any certificate"},
			&cli.BoolFlag{Name: "trace", Usage: "print the SIP messages to standard error"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as JSON"},
		},
		Action: e.call,
	}
}

// callResult is what a call came to.
type callResult struct {
	Peer         string  `json:"peer"`
	CallID       string  `json:"call_id"`
	Media        string  `json:"media"`
	RingingMS    float64 `json:"ringing_ms,omitempty"`
	SetupMS      float64 `json:"setup_ms"`
	FirstMediaMS float64 `json:"first_media_ms"` // after set-up
	Seconds      float64 `json:"seconds"`
	EndedBy      string  `json:"ended_by"` // us, peer
	Sent         uint64  `json:"sent"`
	Received     uint64  `json:"received"`
	Lost         uint64  `json:"lost"`
	LossPercent  float64 `json:"loss_percent"`
	JitterMS     float64 `json:"jitter_ms"`
	RTTMS        float64 `json:"rtt_ms,omitempty"`
	MOS          float64 `json:"mos"`
	LevelDB      float64 `json:"level_dbov"` // of what was heard, -96 for silence
	ToneHz       float64 `json:"tone_hz,omitempty"`
	Codec        string  `json:"codec,omitempty"`
	Suite        string  `json:"suite,omitempty"`
	Pair         string  `json:"pair,omitempty"`
	Recording    string  `json:"recording,omitempty"`
}

func (e *env) call(c *cli.Context) error {
	if c.NArg() != 1 && !c.Bool("answer") || c.NArg() > 0 && c.Bool("answer") {
		return usageError{errors.New("call needs one address, or --answer")}
	}
	if c.String("proxy") == "" || c.String("as") == "" {
		return usageError{errors.New("call needs --proxy and --as")}
	}
	kind, err := media.ParseKind(c.String("media"))
	if err != nil {
		return usageError{err}
	}
	source, err := soundOf(c)
	if err != nil {
		return err
	}
	conf, err := tlsOf(c)
	if err != nil {
		return err
	}
	cfg := phone.Config{Proxy: c.String("proxy"), AOR: c.String("as"), AuthUser: c.String("auth-user"), Password: c.String("password"), TLS: conf}
	if c.Bool("trace") {
		cfg.Trace = e.stderr
	}
	var address netip.Addr
	if a := c.String("address"); a != "" {
		if address, err = netip.ParseAddr(a); err != nil {
			return usageError{fmt.Errorf("--address: %w", err)}
		}
	}
	dialling, cancel := context.WithTimeout(c.Context, 10*time.Second)
	defer cancel()
	p, err := phone.Dial(dialling, cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	if !address.IsValid() {
		address = p.Local()
	}
	if !c.Bool("no-register") {
		if err := e.register(c.Context, p); err != nil {
			return err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), 3*time.Second)
			defer cancel()
			_ = p.Register(ctx, 0) // it expires by itself where this fails
		}()
	}
	var end media.End
	open := func() (media.End, error) {
		var err error
		end, err = media.New(media.Config{Kind: kind, Addr: address, Source: source, Record: c.String("record") != ""})
		return end, err
	}
	defer func() {
		if end != nil {
			_ = end.Close()
		}
	}()
	d, err := e.connect(c, p, open)
	if err != nil {
		return err
	}
	res, err := e.talk(c, d, end)
	res.Media = string(kind)
	if err := errors.Join(err, e.keep(c, end, &res)); err != nil {
		return err
	}
	if c.Bool("json") {
		err = e.writeJSON(res)
	} else {
		e.writeCall(res)
	}
	if err == nil && res.Received == 0 {
		fmt.Fprintln(e.stderr, "sidecar-lab: nothing was heard")
		return exitStatus(1)
	}
	return err
}

// register gives a proxy that has just been started some time.
func (e *env) register(ctx context.Context, p *phone.Phone) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Register(ctx, 10*time.Minute); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

// connect makes the call, or waits for one.
func (e *env) connect(c *cli.Context, p *phone.Phone, open func() (media.End, error)) (*phone.Dialog, error) {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("wait"))
	defer cancel()
	if c.Bool("answer") {
		fmt.Fprintf(e.stderr, "waiting for a call to %s\n", c.String("as"))
		d, err := p.Wait(ctx, open)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("nobody called in %v", c.Duration("wait"))
		}
		return d, err
	}
	end, err := open()
	if err != nil {
		return nil, err
	}
	d, err := p.Call(ctx, c.Args().First(), end)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %v", c.Duration("wait"))
	}
	if err != nil {
		return nil, fmt.Errorf("call to %s: %w", c.Args().First(), err)
	}
	return d, nil
}

// talk waits for the end of a call and hangs up.
func (e *env) talk(c *cli.Context, d *phone.Dialog, end media.End) (callResult, error) {
	up := time.Now()
	res := callResult{Peer: d.Peer, CallID: d.CallID, RingingMS: ms(d.Ringing), SetupMS: ms(d.Setup), EndedBy: "us"}
	timer := time.NewTimer(c.Duration("duration"))
	defer timer.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
talking:
	for {
		select {
		case <-d.Done():
			res.EndedBy = "peer"
			break talking
		case <-timer.C:
			break talking
		case <-c.Context.Done():
			break talking
		case <-tick.C:
			if s := end.Stats(); isTerminal(e.stderr) {
				fmt.Fprintf(e.stderr, "\r\x1b[K%3.0f s  sent %d  received %d  lost %d  jitter %.1f ms  MOS %.2f", time.Since(up).Seconds(), s.Sent, s.Received, s.Lost, ms(s.Jitter), s.MOS())
			}
		}
	}
	if isTerminal(e.stderr) {
		fmt.Fprint(e.stderr, "\r\x1b[K")
	}
	s := end.Stats()
	res.Seconds = time.Since(up).Seconds()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), 5*time.Second)
	defer cancel()
	err := d.Hangup(ctx)
	res.Sent, res.Received, res.Lost, res.LossPercent = s.Sent, s.Received, s.Lost, 100*s.Loss()
	res.JitterMS, res.RTTMS, res.MOS = ms(s.Jitter), ms(s.RTT), math.Round(100*s.MOS())/100
	res.Codec, res.Suite, res.Pair = s.Codec, s.Suite, s.Pair
	if !s.First.IsZero() {
		res.FirstMediaMS = ms(s.First.Sub(up))
	}
	return res, err
}

// keep judges and writes down what was heard.
func (e *env) keep(c *cli.Context, end media.End, res *callResult) error {
	heard := end.Heard()
	last := heard[max(0, len(heard)-8000):]
	var sum float64
	for _, s := range last {
		sum += float64(s) * float64(s)
	}
	res.LevelDB = -96
	if sum > 0 {
		res.LevelDB = math.Round(100*math.Log10(sum/float64(len(last))/(32768*32768))) / 10
	}
	for hz := 200.0; hz <= 2000; hz += 10 {
		if media.Strength(last[max(0, len(last)-4000):], hz) > 0.8 {
			res.ToneHz = hz
			break
		}
	}
	name := c.String("record")
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	res.Recording = name
	return errors.Join(media.WriteWAV(f, heard), f.Close())
}

func (e *env) writeCall(r callResult) {
	t := newTable("call", r.CallID)
	row := func(name, format string, args ...any) { t.row(name, fmt.Sprintf(format, args...)) }
	row("peer", "%s", r.Peer)
	if r.RingingMS > 0 {
		row("ringing after", "%.0f ms", r.RingingMS)
	}
	row("up after", "%.0f ms", r.SetupMS)
	row("first media", "%.0f ms later", r.FirstMediaMS)
	row("lasted", "%.1f s, ended by %s", r.Seconds, r.EndedBy)
	row("packets", "%d sent, %d received, %d lost (%.1f %%)", r.Sent, r.Received, r.Lost, r.LossPercent)
	row("jitter", "%.1f ms", r.JitterMS)
	if r.RTTMS > 0 {
		row("round trip", "%.1f ms", r.RTTMS)
	}
	st := green
	if r.MOS < 3.6 { // below it many users are dissatisfied, ITU-T G.107 annex B
		st = red
	}
	t.row("MOS", cell{fmt.Sprintf("%.2f", r.MOS), st})
	heard := fmt.Sprintf("%.0f dBov", r.LevelDB)
	if r.ToneHz > 0 {
		heard += fmt.Sprintf(", a tone of %.0f Hz", r.ToneHz)
	}
	row("heard", "%s", heard)
	row("media", "%s %s %s", r.Media, r.Codec, r.Suite)
	row("addresses", "%s", r.Pair)
	if r.Recording != "" {
		row("recording", "%s", r.Recording)
	}
	t.write(e)
}

// soundOf is what --tone or --play asks for.
func soundOf(c *cli.Context) (media.Source, error) {
	if c.String("play") == "" {
		return &media.Tone{Hz: c.Float64("tone")}, nil
	}
	f, err := os.Open(c.String("play"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	pcm, err := media.ReadWAV(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return &media.Loop{PCM: pcm}, nil
}

// tlsOf is what --ca and --insecure ask for.
func tlsOf(c *cli.Context) (*tls.Config, error) {
	conf := &tls.Config{InsecureSkipVerify: c.Bool("insecure")}
	if name := c.String("ca"); name != "" {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s has no certificate", name)
		}
	}
	return conf, nil
}
