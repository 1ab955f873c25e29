package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/sidecar-lab/flaglint"
	"rtpsidecar/rtpengine"
)

func (e *env) flagsCommand() *cli.Command {
	filters := []cli.Flag{
		&cli.StringFlag{Name: "in", Usage: "only what this NG `COMMAND` reads"},
		&cli.StringFlag{Name: "tier", Usage: "only tier `A` (usual), B (common) or C (rare)"},
		&cli.BoolFlag{Name: "refused", Usage: "only what rtpsidecar refuses"},
		&cli.BoolFlag{Name: "json", Usage: "as a JSON list"},
	}
	return &cli.Command{
		Name: "flags", Usage: "what flags there are, what they do, and whether a flag string is right", Category: "flags",
		Description: examples("sidecar-lab flags search mux", "sidecar-lab flags show ICE=force", `sidecar-lab flags lint "RTP/AVP ICE=remvoe"`),
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list all commands, keys, flags and values of the protocol", Flags: filters,
				Description: examples("sidecar-lab flags list --tier A --in answer"),
				Action:      func(c *cli.Context) error { return e.listFlags(c, func(*rtpengine.FlagRow) bool { return true }) },
			},
			{
				Name: "search", Usage: "list those whose name, text or example has all the words", ArgsUsage: "WORD...", Flags: filters,
				Description: examples("sidecar-lab flags search rtcp mux", "sidecar-lab flags search --in answer codec"),
				Action: func(c *cli.Context) error {
					if c.NArg() == 0 {
						return usageError{fmt.Errorf("search needs a word")}
					}
					return e.listFlags(c, func(r *rtpengine.FlagRow) bool { return mentions(r, c.Args().Slice()) })
				},
			},
			{
				Name: "show", Usage: "tell all about one, however it is spelled", ArgsUsage: "FLAG...",
				Description:  examples("sidecar-lab flags show SDES-off", "sidecar-lab flags show codec rtcp-mux=demux"),
				BashComplete: func(c *cli.Context) { e.completeFlags(c, "") },
				Action:       e.showFlags,
			},
			{
				Name: "lint", Usage: "find mistakes in a flag string, or in each rtpengine call of a configuration", ArgsUsage: "FLAGS... | FILE...",
				Description: "An argument that names a file or a directory is read as an OpenSIPS or Kamailio configuration; all files belong\n" +
					"together. Anything else is part of one flag string. The exit status is 1 where an error was found, with --strict\n" +
					"also for a warning.\n\n" +
					examples(`sidecar-lab flags lint "RTP/AVP replace-origni ICE=remove"`,
						`sidecar-lab flags lint --command answer "rtcp-mux-demux RTP/AVP"`,
						`sidecar-lab flags lint --command offer --from phone --to browser "RTP/SAVPF ICE=force"`,
						"sidecar-lab flags lint /etc/opensips/opensips.cfg", "sidecar-lab flags lint --json /etc/kamailio/"),
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "command", Usage: "the NG `COMMAND` that carries the string; offer and answer when absent"},
					&cli.StringFlag{Name: "from", Usage: "who sends the SDP: browser or phone"},
					&cli.StringFlag{Name: "to", Usage: "who receives it: browser or phone"},
					&cli.BoolFlag{Name: "strict", Usage: "exit 1 for warnings too"},
					&cli.BoolFlag{Name: "json", Usage: "as a JSON list"},
				},
				BashComplete: func(c *cli.Context) { e.completeFlags(c, "") },
				Action:       e.lint,
			},
		},
	}
}

// mentions tells whether a row has all the words somewhere.
func mentions(r *rtpengine.FlagRow, words []string) bool {
	text := strings.ToLower(strings.Join(append([]string{r.Name, r.Of, r.Note, r.Example, written(r)}, r.Also...), " "))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, strings.ToLower(w)) })
}

// written is how a row is written in a flag string.
func written(r *rtpengine.FlagRow) string {
	open := strings.HasSuffix(r.Name, "-") || strings.HasSuffix(r.Name, ":")
	switch {
	case r.Kind == rtpengine.FlagValue && open:
		return r.Of + "=" + r.Name + "..."
	case r.Kind == rtpengine.FlagValue:
		return r.Of + "=" + r.Name
	case r.Kind == rtpengine.FlagPrefix || open:
		return r.Name + "..."
	case r.Kind == rtpengine.FlagKey:
		return r.Name + "="
	}
	return r.Name
}

// flagInfo is a row as JSON.
type flagInfo struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Also     []string `json:"also,omitempty"`
	Tier     string   `json:"tier"`
	Status   string   `json:"status"`
	Honoured string   `json:"honoured_in,omitempty"`
	Does     string   `json:"does"`
	Example  string   `json:"example,omitempty"`
}

func infoOf(r *rtpengine.FlagRow) flagInfo {
	i := flagInfo{Name: written(r), Kind: r.Kind.String(), Also: r.Also, Tier: string(r.Tier), Status: r.Effective().String(), Does: r.Note, Example: r.Example}
	if r.Kind != rtpengine.FlagCommand {
		i.Honoured = r.In.String()
	}
	return i
}

func (e *env) listFlags(c *cli.Context, keep func(*rtpengine.FlagRow) bool) error {
	var in rtpengine.Commands
	if name := c.String("in"); name != "" {
		for r := range rtpengine.FlagTable() {
			if r.Kind == rtpengine.FlagCommand && strings.EqualFold(r.Name, strings.ReplaceAll(name, "-", " ")) {
				in = r.In
			}
		}
		if in == 0 {
			return usageError{fmt.Errorf("no command %q reads flags", name)}
		}
	}
	infos := []flagInfo{}
	for r := range rtpengine.FlagTable() {
		switch {
		case !keep(r), in != 0 && r.In&in == 0, c.String("tier") != "" && !strings.EqualFold(string(r.Tier), c.String("tier")),
			c.Bool("refused") && r.Effective() != rtpengine.FlagRefused:
			continue
		}
		infos = append(infos, infoOf(r))
	}
	if c.Bool("json") {
		return e.writeJSON(infos)
	}
	if len(infos) == 0 {
		fmt.Fprintln(e.stderr, "nothing like it; see sidecar-lab flags list")
		return exitStatus(1)
	}
	t := newTable("flag", "kind", "tier", "status", "honoured in", "what it does")
	for _, i := range infos {
		t.row(cell{i.Name, cyan}, i.Kind, i.Tier, statusCell(i.Status), i.Honoured, i.Does)
	}
	t.write(e)
	return nil
}

func statusCell(status string) cell {
	switch status {
	case rtpengine.FlagRefused.String():
		return cell{status, red}
	case rtpengine.FlagDiffers.String():
		return cell{status, yellow}
	case rtpengine.FlagNoEffect.String():
		return cell{status, faint}
	}
	return cell{status, green}
}

func (e *env) showFlags(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageError{fmt.Errorf("show needs a flag")}
	}
	missing := false
	for n, text := range c.Args().Slice() {
		if n > 0 {
			fmt.Fprintln(e.stdout)
		}
		rows := lookup(text)
		if len(rows) == 0 {
			missing = true
			fmt.Fprintf(e.stderr, "the protocol has no %q", text)
			if s := rtpengine.SuggestFlag(text); s != "" {
				fmt.Fprintf(e.stderr, "; did you mean %s?", s)
			}
			fmt.Fprintln(e.stderr)
		}
		for i, r := range rows {
			if i > 0 {
				fmt.Fprintln(e.stdout)
			}
			e.showFlag(infoOf(r))
			e.showValues(r)
		}
	}
	if missing {
		return exitStatus(1)
	}
	return nil
}

// lookup finds the rows of a name: a flag and a key may share it.
func lookup(text string) (rows []*rtpengine.FlagRow) {
	name := strings.TrimSuffix(text, "=")
	if r := rtpengine.LookupFlag(name); r != nil {
		rows = append(rows, r)
	}
	for r := range rtpengine.FlagTable() {
		if (r.Kind == rtpengine.FlagKey || r.Kind == rtpengine.FlagCommand) && strings.EqualFold(r.Name, name) && !slices.Contains(rows, r) {
			rows = append(rows, r)
		}
	}
	return rows
}

func (e *env) showFlag(i flagInfo) {
	st := statusCell(i.Status)
	fmt.Fprintf(e.stdout, "%s  (%s, tier %s)\n", e.paint(bold, i.Name), i.Kind, i.Tier)
	fmt.Fprintf(e.stdout, "  %s\n", i.Does)
	fmt.Fprintf(e.stdout, "  in rtpsidecar: %s\n", e.paint(st.style, i.Status))
	if i.Honoured != "" {
		fmt.Fprintf(e.stdout, "  honoured in: %s\n", i.Honoured)
	}
	if len(i.Also) > 0 {
		fmt.Fprintf(e.stdout, "  also written: %s\n", strings.Join(i.Also, ", "))
	}
	if i.Example != "" {
		fmt.Fprintf(e.stdout, "  example: %s\n", i.Example)
	}
}

// showValues lists the values of a key.
func (e *env) showValues(key *rtpengine.FlagRow) {
	t := newTable("  value", "status", "what it does")
	for r := range rtpengine.FlagTable() {
		if key.Kind == rtpengine.FlagKey && r.Kind == rtpengine.FlagValue && r.Of == key.Name {
			t.row(cell{"  " + r.Name, cyan}, statusCell(r.Effective().String()), r.Note)
		}
	}
	if len(t.rows) > 0 {
		t.write(e)
	}
}

func (e *env) lint(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageError{fmt.Errorf("lint needs a flag string or a configuration file")}
	}
	o := flaglint.Options{Commands: c.StringSlice("command")}
	for _, command := range o.Commands {
		if !slices.Contains(flaglint.Commands(), command) {
			return usageError{fmt.Errorf("no NG command %q", command)}
		}
	}
	parties := map[string]flaglint.Party{"": flaglint.AnyParty, "browser": flaglint.Browser, "ws": flaglint.Browser, "phone": flaglint.Phone, "plain": flaglint.Phone}
	var known [2]bool
	o.From, known[0] = parties[c.String("from")]
	o.To, known[1] = parties[c.String("to")]
	if !known[0] || !known[1] {
		return usageError{fmt.Errorf("--from and --to are browser or phone")}
	}
	files, words, err := configFiles(c.Args().Slice())
	if err != nil {
		return err
	}
	findings := flaglint.Config(files)
	if len(words) > 0 {
		findings = append(flaglint.Flags(strings.Join(words, " "), o), findings...)
	}
	if c.Bool("json") {
		if err := e.writeJSON(append([]flaglint.Finding{}, findings...)); err != nil {
			return err
		}
	} else {
		e.writeFindings(findings, len(files))
	}
	if slices.ContainsFunc(findings, func(f flaglint.Finding) bool { return f.Severity == flaglint.Error || c.Bool("strict") }) {
		return exitStatus(1)
	}
	return nil
}

// configFiles reads the arguments that name files or directories; the rest are words.
func configFiles(args []string) (files []flaglint.File, words []string, err error) {
	for _, a := range args {
		info, serr := os.Stat(a)
		switch {
		case serr != nil:
			words = append(words, a)
		case info.IsDir():
			err = filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(path, ".cfg") && !strings.HasSuffix(path, ".inc") {
					return err
				}
				return read(path, &files)
			})
		default:
			err = read(a, &files)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return files, words, nil
}

func read(path string, files *[]flaglint.File) error {
	b, err := os.ReadFile(path)
	*files = append(*files, flaglint.File{Name: path, Text: string(b)})
	return err
}

// writeFindings prints each finding as a compiler would, with the string and a mark under the word.
func (e *env) writeFindings(findings []flaglint.Finding, files int) {
	for _, f := range findings {
		st := yellow
		if f.Severity == flaglint.Error {
			st = red
		}
		place := ""
		if f.File != "" {
			place = fmt.Sprintf("%s:%d: %s: ", f.File, f.Line, f.Function)
		}
		fmt.Fprintf(e.stdout, "%s%s\n", e.paint(bold, place), strings.Replace(f.String(), f.Severity.String(), e.paint(st, f.Severity.String()), 1))
		if f.Flags != "" && !strings.ContainsAny(f.Flags, "\t\n\r") {
			fmt.Fprintf(e.stdout, "    %s\n    %s%s\n", f.Flags, strings.Repeat(" ", f.Pos), e.paint(st, strings.Repeat("^", max(1, len(f.Word)))))
		}
	}
	errors := 0
	for _, f := range findings {
		if f.Severity == flaglint.Error {
			errors++
		}
	}
	switch {
	case len(findings) > 0:
		fmt.Fprintf(e.stdout, "%d errors, %d warnings\n", errors, len(findings)-errors)
	case files > 0:
		fmt.Fprintf(e.stdout, "%d files, nothing to complain about\n", files)
	default:
		fmt.Fprintln(e.stdout, "nothing to complain about")
	}
}
