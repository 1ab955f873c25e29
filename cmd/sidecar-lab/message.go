package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/sidecar-lab/flaglint"
	"rtpsidecar/cmd/sidecar-lab/sdpdiff"
	"rtpsidecar/ng"
	"rtpsidecar/rtpengine"
)

// targetFlags say which daemon is asked and how.
func (e *env) targetFlags() []cli.Flag {
	target := e.getenv("SIDECAR_LAB_TARGET")
	if target == "" {
		target = "udp:127.0.0.1:2223"
	}
	return []cli.Flag{
		&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Value: target, Usage: "the daemon: udp:, tcp:, http: or ws: `ADDRESS`"},
		&cli.DurationFlag{Name: "timeout", Value: time.Second, Usage: "wait so long for a reply, then repeat the datagram"},
		&cli.IntFlag{Name: "tries", Value: 3, Usage: "send a datagram so often"},
		&cli.BoolFlag{Name: "json-wire", Usage: "speak JSON instead of bencode to the daemon"},
	}
}

// dial connects to the daemon of a command.
func dial(c *cli.Context) (*ng.Client, error) {
	client, err := ng.Dial(c.Context, c.String("target"), ng.ClientConfig{
		Timeout: c.Duration("timeout"), Attempts: c.Int("tries"), JSON: c.Bool("json-wire"),
	})
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// messageCommands are one command for each NG command, and raw.
func (e *env) messageCommands() []*cli.Command {
	var commands []*cli.Command
	for row := range rtpengine.FlagTable() {
		if row.Kind == rtpengine.FlagCommand {
			commands = append(commands, e.messageCommand(row))
		}
	}
	return append(commands, e.rawCommand())
}

// verb is the name of an NG command on the command line.
func verb(command string) string { return strings.ToLower(strings.ReplaceAll(command, " ", "-")) }

// withBody are the commands that carry an SDP body.
var withBody = []string{"offer", "answer", "publish", "subscribe answer", "create answer"}

// withoutCall are the commands that name no call.
var withoutCall = []string{"ping", "list", "statistics", "mesh", "cli"}

// verbExamples are for the help of the usual commands.
var verbExamples = map[string][]string{
	"offer": {
		`sidecar-lab offer --sdp chrome "RTP/AVP replace-origin ICE=remove rtcp-mux-demux"`,
		`sidecar-lab offer --sdp chrome --explain "RTP/AVP ICE=remove"`,
		`sidecar-lab offer --sdp phone --body "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer" > to-browser.sdp`,
		`sidecar-lab offer --sdp - --json ICE=force < offer.sdp`,
	},
	"answer": {
		`sidecar-lab offer --sdp chrome "RTP/AVP ICE=remove rtcp-mux-demux" && sidecar-lab answer --sdp phone-answer --explain "RTP/AVP ICE=remove"`,
	},
	"delete":     {"sidecar-lab delete delete-delay=0"},
	"query":      {"sidecar-lab query", "sidecar-lab query --call-id 3848276298220188511@example.org --json"},
	"list":       {"sidecar-lab list limit=100"},
	"ping":       {"sidecar-lab ping --target ws://127.0.0.1:2225/"},
	"statistics": {"sidecar-lab statistics --json | jq .reply.statistics.currentstatistics"},
	"cli":        {"sidecar-lab cli list totals"},
}

func (e *env) messageCommand(row *rtpengine.FlagRow) *cli.Command {
	command := row.Name
	flags := e.targetFlags()
	if !slices.Contains(withoutCall, command) {
		flags = append(flags,
			&cli.StringFlag{Name: "call-id", Value: "sidecar-lab", Usage: "the call"},
			&cli.StringFlag{Name: "from-tag", Value: defaultTag(command, "from"), Usage: "the party that the SDP is from, or that is meant; empty: not sent"},
			&cli.StringFlag{Name: "to-tag", Value: defaultTag(command, "to"), Usage: "the other party; empty: not sent"})
	}
	if slices.Contains(withBody, command) {
		flags = append(flags,
			&cli.StringFlag{Name: "sdp", Usage: "`BODY`: a file, - for standard input, or a sample (see samples)"},
			&cli.BoolFlag{Name: "explain", Aliases: []string{"e"}, Usage: "say for each change which flag and which RFC is behind it"},
			&cli.BoolFlag{Name: "body", Usage: "print the rewritten body and nothing else"},
			&cli.BoolFlag{Name: "diff", Usage: "print the comparison and nothing else (but for --explain)"},
			&cli.BoolFlag{Name: "no-lint", Usage: "do not check the flags first"})
	}
	flags = append(flags, &cli.BoolFlag{Name: "json", Usage: "print all of it as one JSON object"})
	lines := verbExamples[command]
	if lines == nil {
		lines = []string{"sidecar-lab " + verb(command)}
	}
	usage, argsUsage := row.Note, "[FLAGS...]"
	if command == "cli" {
		argsUsage = "LINE..."
	}
	if row.Effective() == rtpengine.FlagRefused {
		usage = "refused by rtpsidecar: " + usage
	}
	return &cli.Command{
		Name: verb(command), Usage: usage, ArgsUsage: argsUsage, Category: "messages", Flags: flags, Description: examples(lines...),
		BashComplete: func(c *cli.Context) { e.completeFlags(c, command) },
		Action:       func(c *cli.Context) error { return e.message(c, command) },
	}
}

// defaultTag lets offer, answer and delete in a row be one call.
func defaultTag(command, side string) string {
	switch {
	case (command == "offer" || command == "answer") && side == "from", command == "subscribe request" && side == "from":
		return "caller"
	case command == "answer":
		return "callee"
	}
	return ""
}

// request is the message that a command line asks for.
func (e *env) request(c *cli.Context, command, body string) *ng.Dict {
	d := new(ng.Dict)
	d.AddString("command", command)
	flags := flagString(c)
	if command == "cli" { // the console's line, not flags
		d.AddString("body", flags)
		return d
	}
	words, _ := flaglint.Split(flags)
	given := func(key string) bool {
		return slices.ContainsFunc(words, func(w flaglint.Word) bool { return strings.HasPrefix(w.Text, key+"=") })
	}
	for _, key := range []string{"call-id", "from-tag", "to-tag"} {
		if v := c.String(key); v != "" && !given(key) {
			d.AddString(key, v)
		}
	}
	if body != "" {
		d.AddString("sdp", body)
	}
	d.AddScriptFlags(flags)
	return d
}

func flagString(c *cli.Context) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(strings.Join(c.Args().Slice(), " "))
}

// result is what --json prints.
type result struct {
	Command   string             `json:"command"`
	Target    string             `json:"target"`
	ElapsedMS float64            `json:"elapsed_ms"`
	Request   json.RawMessage    `json:"request"`
	Reply     json.RawMessage    `json:"reply,omitempty"`
	Error     string             `json:"error,omitempty"`
	Lint      []flaglint.Finding `json:"lint,omitempty"`
	Diff      []sdpdiff.Line     `json:"diff,omitempty"`
	Changes   []sdpdiff.Change   `json:"changes,omitempty"`
}

func (e *env) message(c *cli.Context, command string) error {
	var body, source string
	if name := c.String("sdp"); name != "" {
		var err error
		if body, source, err = e.body(name); err != nil {
			return err
		}
	} else if command == "offer" || command == "answer" {
		return usageError{fmt.Errorf("%s needs --sdp: a file, - or a sample: %s", command, strings.Join(sampleNames(), " "))}
	}
	req := e.request(c, command, body)
	res := result{Command: command, Target: c.String("target"), Request: jsonOf(req)}
	if slices.Contains(withBody, command) && !c.Bool("no-lint") {
		res.Lint = flaglint.Flags(flagString(c), flaglint.Options{Commands: []string{command}})
		if !c.Bool("json") {
			for _, f := range res.Lint {
				fmt.Fprintf(e.stderr, "flags: %s\n", f)
			}
		}
	}
	client, err := dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	begin := time.Now()
	reply, err := client.Do(c.Context, req)
	elapsed := time.Since(begin)
	res.ElapsedMS = float64(elapsed.Microseconds()) / 1e3
	if reply != nil {
		res.Reply = jsonOf(reply)
	}
	if err != nil {
		res.Error = err.Error()
	}
	made := reply.Value("sdp").Str()
	if body != "" && made != "" {
		res.Diff = sdpdiff.Diff(body, made)
		res.Changes = sdpdiff.Explain(command, flagString(c), body, made)
	}
	if c.Bool("json") {
		if werr := e.writeJSON(res); werr != nil {
			return werr
		}
		return failed(err)
	}
	if err != nil && !errors.As(err, new(*ng.ReplyError)) {
		return err
	}
	switch {
	case c.Bool("body"):
		fmt.Fprint(e.stdout, made)
	case c.Bool("diff"):
		e.writeDiff(res.Diff)
		if c.Bool("explain") {
			e.heading("why")
			e.writeChanges(res.Changes)
		}
	default:
		e.writeReply(c, res, reply, made, source, elapsed)
	}
	return failed(err)
}

// failed is the exit status of an error that has been shown.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return exitStatus(1)
}

func jsonOf(d *ng.Dict) json.RawMessage { return ng.AppendJSON(nil, ng.DictValue(d)) }

func (e *env) writeJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// writeReply prints a reply for people: the body, how it differs, why, and whatever else was in it.
func (e *env) writeReply(c *cli.Context, res result, reply *ng.Dict, made, source string, elapsed time.Duration) {
	outcome := e.paint(green, reply.Value("result").Str())
	if res.Error != "" {
		outcome = e.paint(red, "error: "+res.Error)
	}
	fmt.Fprintf(e.stdout, "%s %s %s\n", e.paint(bold, fmt.Sprintf("== %s to %s:", res.Command, res.Target)), outcome,
		e.paint(faint, "in "+elapsed.Round(10*time.Microsecond).String()))
	if made != "" {
		fmt.Fprint(e.stdout, strings.ReplaceAll(made, "\r\n", "\n"))
	}
	if res.Diff != nil {
		added, gone := count(res.Diff, "+"), count(res.Diff, "-")
		e.heading("compared with %s: %d lines new, %d gone", source, added, gone)
		e.writeDiff(res.Diff)
	}
	if c.Bool("explain") && res.Diff != nil {
		e.heading("why")
		e.writeChanges(res.Changes)
	}
	for _, entry := range reply.Entries() {
		if entry.Key != "sdp" && entry.Key != "result" && entry.Key != "error-reason" {
			e.writeValue(entry.Key, entry.Value, 0)
		}
	}
}

func count(lines []sdpdiff.Line, op string) (n int) {
	for _, l := range lines {
		if l.Op == op {
			n++
		}
	}
	return n
}

// writeChanges prints a line for each change.
func (e *env) writeChanges(changes []sdpdiff.Change) {
	section := ""
	for _, ch := range changes {
		if ch.Section != section {
			section = ch.Section
			fmt.Fprintln(e.stdout, e.paint(bold, section))
		}
		st := cyan
		if ch.Cause == sdpdiff.DaemonDefault {
			st = faint
		}
		rfc := ""
		if ch.RFC != "" {
			rfc = e.paint(faint, " ["+ch.RFC+"]")
		}
		fmt.Fprintf(e.stdout, "  %s; %s: %s%s\n", ch.Headline(), e.paint(st, ch.Cause), ch.Why, rfc)
	}
}

// writeValue prints a value of a reply, what is inside it indented.
func (e *env) writeValue(key string, v ng.Value, depth int) {
	in := strings.Repeat("  ", depth)
	name := e.paint(cyan, key)
	n, isInt := v.Int()
	switch v.Kind() {
	case ng.KindDict:
		fmt.Fprintf(e.stdout, "%s%s:\n", in, name)
		for _, entry := range v.Dict().Entries() {
			e.writeValue(entry.Key, entry.Value, depth+1)
		}
	case ng.KindList:
		if !slices.ContainsFunc(v.List(), func(item ng.Value) bool { return item.Kind() == ng.KindDict || item.Kind() == ng.KindList }) {
			var items []string
			for _, item := range v.List() {
				items = append(items, scalar(item))
			}
			fmt.Fprintf(e.stdout, "%s%s: [%s]\n", in, name, strings.Join(items, ", "))
			return
		}
		fmt.Fprintf(e.stdout, "%s%s:\n", in, name)
		for i, item := range v.List() {
			e.writeValue(fmt.Sprintf("%d", i+1), item, depth+1)
		}
	case ng.KindInt:
		if isInt && (key == "created" || key == "last signal" || key == "reported at" || strings.HasPrefix(key, "last ") && n > 1e9 && n < 1e11) {
			fmt.Fprintf(e.stdout, "%s%s: %d %s\n", in, name, n, e.paint(faint, time.Unix(n, 0).UTC().Format(time.DateTime)+" UTC"))
			return
		}
		fmt.Fprintf(e.stdout, "%s%s: %d\n", in, name, n)
	default:
		text := scalar(v)
		if strings.Contains(text, "\n") {
			fmt.Fprintf(e.stdout, "%s%s:\n%s\n", in, name, strings.TrimRight(text, "\r\n"))
			return
		}
		fmt.Fprintf(e.stdout, "%s%s: %s\n", in, name, text)
	}
}

func scalar(v ng.Value) string {
	if n, ok := v.Int(); ok && v.Kind() == ng.KindInt {
		return fmt.Sprint(n)
	}
	return v.Str()
}

// rawCommand sends a dictionary as it is.
func (e *env) rawCommand() *cli.Command {
	return &cli.Command{
		Name: "raw", Usage: "send a dictionary, JSON or bencode, as it is, and print the reply's", ArgsUsage: "DICTIONARY|-", Category: "messages",
		Flags: append(e.targetFlags(), &cli.BoolFlag{Name: "bencode", Usage: "print the reply as bencode"}),
		Description: examples(`sidecar-lab raw '{"command":"ping"}'`, `sidecar-lab raw 'd7:command4:pinge'`,
			`jq -n '{command:"query","call-id":"abc"}' | sidecar-lab raw -`),
		Action: e.raw,
	}
}

func (e *env) raw(c *cli.Context) error {
	text := strings.Join(c.Args().Slice(), " ")
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(e.stdin, 1<<20))
		if err != nil {
			return err
		}
		text = string(b)
	}
	req, err := parseDict(strings.TrimSpace(text))
	if err != nil {
		return usageError{err}
	}
	client, err := dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	reply, err := client.Do(c.Context, req)
	if reply == nil {
		return err
	}
	if c.Bool("bencode") {
		fmt.Fprintf(e.stdout, "%s\n", ng.AppendBencode(nil, ng.DictValue(reply)))
		return failed(err)
	}
	if werr := e.writeJSON(jsonOf(reply)); werr != nil {
		return werr
	}
	return failed(err)
}

// parseDict reads a dictionary, JSON or bencode.
func parseDict(text string) (*ng.Dict, error) {
	var v ng.Value
	var err error
	switch {
	case strings.HasPrefix(text, "{"):
		v, err = ng.ParseJSON([]byte(text))
	case strings.HasPrefix(text, "d"):
		v, _, err = ng.ParseBencode([]byte(text))
	default:
		err = errors.New("a dictionary begins with { (JSON) or d (bencode)")
	}
	if err == nil && v.Kind() != ng.KindDict {
		err = errors.New("not a dictionary")
	}
	return v.Dict(), err
}

// ask sends one message made of key and value pairs and returns the reply.
func ask(ctx context.Context, client *ng.Client, flags string, pairs ...string) (*ng.Dict, error) {
	d := new(ng.Dict)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			d.AddString(pairs[i], pairs[i+1])
		}
	}
	d.AddScriptFlags(flags)
	return client.Do(ctx, d)
}
