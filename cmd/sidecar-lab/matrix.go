package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"

	"rtpsidecar/cmd/sidecar-lab/media"
	"rtpsidecar/ng"
)

// tableCell is one row of a matrix: who calls whom, and what the proxy's script says to the relay.
type tableCell struct {
	Name   string `yaml:"name" json:"name"`
	Caller string `yaml:"caller" json:"caller"`
	Callee string `yaml:"callee" json:"callee"`
	Offer  string `yaml:"offer" json:"offer"`
	Answer string `yaml:"answer" json:"answer"`
}

// The flags that the tables share.
const (
	toBrowser = "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer SDES-off replace-origin"
	toPhone   = "RTP/AVP ICE=remove replace-origin"
	classic   = "RTP/AVP replace-session-connection replace-origin ICE=remove"
)

// tables are the built-in matrices. 2015 is the classic table with the rtcp-mux words that browsers have asked for since.
var tables = map[string][]tableCell{
	"modern": {
		{"ws-ws", "webrtc", "webrtc", "ICE=force replace-origin", "ICE=force replace-origin"},
		{"ws-plain", "webrtc", "plain", "RTP/AVP ICE=remove rtcp-mux-demux replace-origin", "UDP/TLS/RTP/SAVPF ICE=force replace-origin"},
		{"plain-ws", "plain", "webrtc", toBrowser, toPhone},
		{"plain-plain", "plain", "plain", toPhone, toPhone},
	},
	"2015": {
		{"ws-ws", "webrtc", "webrtc", "ICE=force-relay DTLS=passive", "ICE=force-relay DTLS=passive"},
		{"ws-plain", "webrtc", "plain", classic + " rtcp-mux-demux", "UDP/TLS/RTP/SAVPF ICE=force"},
		{"plain-ws", "plain", "webrtc", "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer", classic},
		{"plain-plain", "plain", "plain", classic, classic},
	},
	"kinds": kindsTable(),
}

// kindsTable crosses all kinds of media.
func kindsTable() (cells []tableCell) {
	offers := map[media.Kind]string{media.Plain: toPhone + " rtcp-mux-demux", media.SDES: "RTP/SAVP ICE=remove replace-origin rtcp-mux-demux", media.WebRTC: toBrowser}
	answers := map[media.Kind]string{media.Plain: toPhone, media.SDES: "RTP/SAVP ICE=remove replace-origin", media.WebRTC: "UDP/TLS/RTP/SAVPF ICE=force replace-origin"}
	kinds := []media.Kind{media.Plain, media.SDES, media.WebRTC}
	for _, a := range kinds {
		for _, b := range kinds {
			cell := tableCell{string(a + "-" + b), string(a), string(b), offers[b], answers[a]}
			if a == media.WebRTC && b == media.WebRTC {
				cell.Offer, cell.Answer = "ICE=force replace-origin", "ICE=force replace-origin"
			}
			cells = append(cells, cell)
		}
	}
	return cells
}

func (e *env) matrixCommand() *cli.Command {
	return &cli.Command{
		Name: "matrix", Usage: "call through a daemon in every cell of a flag table, with real media both ways", Category: "calls",
		Description: "Plays both ends of each call itself: plain RTP, SDES, or WebRTC with ICE and DTLS (pion, an independent stack). Each end\n" +
			"sends a tone of its own and listens for the other's. --table is modern, 2015, kinds, or a YAML file:\n\n" +
			"   - name: browser calls phone\n     caller: webrtc        # webrtc, plain or sdes\n     callee: plain\n" +
			"     offer: RTP/AVP ICE=remove rtcp-mux-demux replace-origin\n     answer: UDP/TLS/RTP/SAVPF ICE=force replace-origin\n\n" +
			"The exit status is 1 where a tone was not heard.\n\n" +
			examples("sidecar-lab matrix", "sidecar-lab matrix --table kinds --json",
				"sidecar-lab matrix --table mine.yaml --against udp:127.0.0.1:22222"),
		Flags: append(e.targetFlags(),
			&cli.StringFlag{Name: "table", Value: "modern", Usage: "the `TABLE`"},
			&cli.StringFlag{Name: "against", Usage: "a second `DAEMON`, for a comparison side by side"},
			&cli.StringFlag{Name: "only", Usage: "only the cells whose name contains `TEXT`"},
			&cli.StringFlag{Name: "address", Value: "127.0.0.1", Usage: "where the ends take media"},
			&cli.DurationFlag{Name: "listen", Value: time.Second, Usage: "listen so long once both hear something"},
			&cli.DurationFlag{Name: "patience", Value: 8 * time.Second, Usage: "wait so long for the first packet"},
			&cli.BoolFlag{Name: "json", Usage: "print all figures as JSON"}),
		Action: e.matrix,
	}
}

// side is what one end of a cell measured.
type side struct {
	Heard   bool    `json:"heard"`
	Tone    float64 `json:"tone"` // share of the other's tone in what was heard
	Packets uint64  `json:"packets"`
	Lost    uint64  `json:"lost"`
	FirstMS float64 `json:"first_media_ms"` // from the answer's arrival; may be negative
	Jitter  float64 `json:"jitter_ms"`
	RTT     float64 `json:"rtt_ms,omitempty"`
	Suite   string  `json:"suite,omitempty"`
	Pair    string  `json:"pair,omitempty"`
}

// outcome is one cell with one daemon.
type outcome struct {
	Target  string  `json:"target"`
	SetupMS float64 `json:"setup_ms"` // offer and answer, with the ends' part
	Caller  side    `json:"caller"`
	Callee  side    `json:"callee"`
	Error   string  `json:"error,omitempty"`
}

func (o outcome) ok() bool { return o.Error == "" && o.Caller.Heard && o.Callee.Heard }

// cellResult is one row of the result.
type cellResult struct {
	tableCell
	Outcomes []outcome `json:"outcomes"`
}

func (e *env) matrix(c *cli.Context) error {
	cells, err := readTable(c.String("table"))
	if err != nil {
		return usageError{err}
	}
	addr, err := netip.ParseAddr(c.String("address"))
	if err != nil {
		return usageError{fmt.Errorf("--address: %w", err)}
	}
	targets := []string{c.String("target")}
	if c.String("against") != "" {
		targets = append(targets, c.String("against"))
	}
	var results []cellResult
	good := true
	for _, cell := range cells {
		if !strings.Contains(cell.Name, c.String("only")) {
			continue
		}
		r := cellResult{tableCell: cell}
		for _, target := range targets {
			if isTerminal(e.stderr) {
				fmt.Fprintf(e.stderr, "\r\x1b[K%s through %s ...", cell.Name, target)
			}
			m := matrixCall{cell: cell, target: target, addr: addr, listen: c.Duration("listen"), patience: c.Duration("patience"),
				client: ng.ClientConfig{Timeout: c.Duration("timeout"), Attempts: c.Int("tries"), JSON: c.Bool("json-wire")}}
			o := m.run(c.Context)
			r.Outcomes = append(r.Outcomes, o)
		}
		good = good && r.Outcomes[0].ok()
		results = append(results, r)
	}
	if isTerminal(e.stderr) {
		fmt.Fprint(e.stderr, "\r\x1b[K")
	}
	if len(results) == 0 {
		return usageError{errors.New("no cell of the table is left to run")}
	}
	if c.Bool("json") {
		if err := e.writeJSON(results); err != nil {
			return err
		}
	} else {
		e.writeMatrix(results, targets)
	}
	if !good {
		return exitStatus(1)
	}
	return nil
}

// readTable is a built-in table or one from a file.
func readTable(name string) ([]tableCell, error) {
	if t := tables[name]; t != nil {
		return t, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a table (modern, 2015, kinds) nor a file: %w", name, err)
	}
	return parseTable(b)
}

// parseTable reads a list of cells, or a mapping whose key cells has it. Unknown keys are errors.
func parseTable(b []byte) ([]tableCell, error) {
	var cells []tableCell
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	dec.KnownFields(true)
	if err := dec.Decode(&cells); err != nil {
		var wrapped struct{ Cells []tableCell }
		again := yaml.NewDecoder(strings.NewReader(string(b)))
		again.KnownFields(true)
		if again.Decode(&wrapped) != nil || wrapped.Cells == nil {
			return nil, fmt.Errorf("table: %w", err)
		}
		cells = wrapped.Cells
	}
	for i, c := range cells {
		for _, kind := range []string{c.Caller, c.Callee} {
			if _, err := media.ParseKind(kind); err != nil {
				return nil, fmt.Errorf("cell %d %q: %w", i+1, c.Name, err)
			}
		}
		if c.Name == "" {
			cells[i].Name = c.Caller + "-" + c.Callee
		}
	}
	return cells, nil
}

// matrixCall is one call through one daemon.
type matrixCall struct {
	cell             tableCell
	target           string
	client           ng.ClientConfig
	addr             netip.Addr
	listen, patience time.Duration
}

// The tones of the two ends, far enough apart for half a second of sound to tell them from each other.
const (
	callerHz = 440
	calleeHz = 800
)

func (m matrixCall) run(ctx context.Context) (o outcome) {
	o.Target = m.target
	if err := m.call(ctx, &o); err != nil {
		o.Error = err.Error()
	}
	return o
}

func (m matrixCall) call(ctx context.Context, o *outcome) error {
	client, err := ng.Dial(ctx, m.target, m.client)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	end := func(kind string, hz float64) (media.End, error) {
		k, err := media.ParseKind(kind)
		if err != nil {
			return nil, err
		}
		return media.New(media.Config{Kind: k, Addr: m.addr, Source: &media.Tone{Hz: hz}})
	}
	caller, err := end(m.cell.Caller, callerHz)
	if err != nil {
		return fmt.Errorf("caller: %w", err)
	}
	defer func() { _ = caller.Close() }()
	callee, err := end(m.cell.Callee, calleeHz)
	if err != nil {
		return fmt.Errorf("callee: %w", err)
	}
	defer func() { _ = callee.Close() }()
	id := fmt.Sprintf("matrix-%s-%d", m.cell.Name, time.Now().UnixNano())
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_, _ = ask(ctx, client, "delete-delay=0", "command", "delete", "call-id", id) // the call is over, whatever it says
	}()

	offer, err := caller.Offer(ctx)
	if err != nil {
		return fmt.Errorf("caller: %w", err)
	}
	begin := time.Now()
	reply, err := ask(ctx, client, m.cell.Offer, "command", "offer", "call-id", id, "from-tag", "caller", "sdp", offer)
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	answer, err := callee.Answer(ctx, reply.Value("sdp").Str())
	if err != nil {
		return fmt.Errorf("callee: %w", err)
	}
	reply, err = ask(ctx, client, m.cell.Answer, "command", "answer", "call-id", id, "from-tag", "caller", "to-tag", "callee", "sdp", answer)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := caller.Accept(ctx, reply.Value("sdp").Str()); err != nil {
		return fmt.Errorf("caller: %w", err)
	}
	up := time.Now()
	o.SetupMS = ms(up.Sub(begin))
	m.hear(ctx, caller, callee)
	o.Caller, o.Callee = judge(caller, calleeHz, up), judge(callee, callerHz, up)
	return nil
}

// hear waits until both ends hear something, or for as long as its patience lasts, and then a while longer.
func (m matrixCall) hear(ctx context.Context, ends ...media.End) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(m.patience)
	for both := false; !both && time.Now().Before(deadline) && ctx.Err() == nil; <-tick.C {
		both = true
		for _, e := range ends {
			both = both && !e.Stats().First.IsZero()
		}
	}
	select {
	case <-time.After(m.listen):
	case <-ctx.Done():
	}
}

// judge listens for a tone.
func judge(e media.End, hz float64, up time.Time) side {
	s, heard := e.Stats(), e.Heard()
	strength := media.Strength(heard[max(0, len(heard)-4000):], hz)
	out := side{Heard: strength > 0.8, Tone: strength, Packets: s.Received, Lost: s.Lost, Jitter: ms(s.Jitter), RTT: ms(s.RTT), Suite: s.Suite, Pair: s.Pair}
	if !s.First.IsZero() {
		out.FirstMS = ms(s.First.Sub(up))
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// writeMatrix prints a row for each cell, and with two daemons one for each of them.
func (e *env) writeMatrix(results []cellResult, targets []string) {
	head := []string{"cell", "caller hears", "callee hears", "setup", "first media", "suites", "lost", "error"}
	if len(targets) > 1 {
		for i, t := range targets {
			fmt.Fprintf(e.stdout, "%c = %s\n", 'A'+i, t)
		}
		head = append([]string{"cell", ""}, head[1:]...)
	}
	t := newTable(head...)
	pairs := newTable("cell", "", "end", "local", "remote")
	for _, r := range results {
		for i, o := range r.Outcomes {
			name := r.Name
			if i > 0 {
				name = ""
			}
			fields := []any{name}
			mark := ""
			if len(targets) > 1 {
				mark = string(rune('A' + i))
				fields = append(fields, mark)
			}
			if o.Error != "" {
				t.row(append(fields, "", "", "", "", "", "", cell{o.Error, red})...)
				continue
			}
			fields = append(fields, heardCell(o.Caller, calleeHz), heardCell(o.Callee, callerHz), fmt.Sprintf("%.1f ms", o.SetupMS),
				firstMedia(o.Caller)+" / "+firstMedia(o.Callee), suiteName(o.Caller)+" / "+suiteName(o.Callee), fmt.Sprintf("%d / %d", o.Caller.Lost, o.Callee.Lost))
			t.row(fields...)
			for n, s := range []side{o.Caller, o.Callee} {
				if n > 0 {
					name = ""
				}
				local, remote, _ := strings.Cut(s.Pair, " ")
				pairs.row(name, mark, []string{"caller", "callee"}[n], local, remote)
			}
		}
	}
	t.write(e)
	fmt.Fprintln(e.stdout)
	pairs.write(e)
}

func firstMedia(s side) string {
	if s.Packets == 0 {
		return "-"
	}
	return fmt.Sprintf("%d ms", int(s.FirstMS))
}

func suiteName(s side) string {
	if s.Suite == "" {
		return "none"
	}
	return s.Suite
}

func heardCell(s side, hz int) cell {
	switch {
	case s.Heard:
		return cell{fmt.Sprintf("%d Hz %.0f %%", hz, 100*s.Tone), green}
	case s.Packets > 0:
		return cell{fmt.Sprintf("%d packets, no tone", s.Packets), red}
	}
	return cell{"nothing", red}
}
