package flaglint

import (
	"cmp"
	"slices"
	"strings"

	"rtpsidecar/rtpengine"
)

// File is one file of a configuration.
type File struct{ Name, Text string }

// function is one function that a proxy's module exports.
type function struct {
	commands []string // NG commands that the flags may go to
	arg      int      // which argument the flags are
}

// functions are those of the OpenSIPS and Kamailio modules that take flags.
var functions = map[string]function{
	"rtpengine_offer":                {[]string{"offer"}, 0},
	"rtpengine_answer":               {[]string{"answer"}, 0},
	"rtpengine_manage":               {[]string{"offer", "answer", "delete"}, 0},
	"rtpengine_delete":               {[]string{"delete"}, 0},
	"rtpengine_query":                {[]string{"query"}, 0},
	"rtpengine_query_v":              {[]string{"query"}, 0},
	"rtpengine_start_recording":      {[]string{"start recording"}, 0},
	"start_recording":                {[]string{"start recording"}, 0},
	"rtpengine_stop_recording":       {[]string{"stop recording"}, 0},
	"stop_recording":                 {[]string{"stop recording"}, 0},
	"rtpengine_pause_recording":      {[]string{"pause recording"}, 0},
	"rtpengine_play_media":           {[]string{"play media"}, 0},
	"play_media":                     {[]string{"play media"}, 0},
	"rtpengine_stop_media":           {[]string{"stop media"}, 0},
	"stop_media":                     {[]string{"stop media"}, 0},
	"rtpengine_play_dtmf":            {[]string{"play DTMF"}, 1},
	"play_dtmf":                      {[]string{"play DTMF"}, 0},
	"rtpengine_block_media":          {[]string{"block media"}, 0},
	"block_media":                    {[]string{"block media"}, 0},
	"rtpengine_unblock_media":        {[]string{"unblock media"}, 0},
	"unblock_media":                  {[]string{"unblock media"}, 0},
	"silence_media":                  {[]string{"silence media"}, 0},
	"unsilence_media":                {[]string{"unsilence media"}, 0},
	"rtpengine_block_dtmf":           {[]string{"block DTMF"}, 0},
	"block_dtmf":                     {[]string{"block DTMF"}, 0},
	"rtpengine_unblock_dtmf":         {[]string{"unblock DTMF"}, 0},
	"unblock_dtmf":                   {[]string{"unblock DTMF"}, 0},
	"rtpengine_start_forwarding":     {[]string{"start forwarding"}, 0},
	"start_forwarding":               {[]string{"start forwarding"}, 0},
	"rtpengine_stop_forwarding":      {[]string{"stop forwarding"}, 0},
	"stop_forwarding":                {[]string{"stop forwarding"}, 0},
	"rtpengine_subscribe_request":    {[]string{"subscribe request"}, 0},
	"rtpengine_subscribe_answer":     {[]string{"subscribe answer"}, 0},
	"rtpengine_unsubscribe":          {[]string{"unsubscribe"}, 0},
	"rtpengine_info":                 {[]string{"offer", "answer"}, 0},
	"rtpengine_use_set":              {},
	"rtpengine_ping":                 {},
	"rtpengine_enable":               {},
	"rtpengine_reload":               {},
	"rtpengine_show":                 {},
	"rtpengine_teardown":             {},
	"rtpengine_set_store":            {},
	"rtpengine_api":                  {},
	"rtpengine_notification_handler": {},
}

// Config finds the mistakes in the rtpengine calls of a configuration, whatever files it is split into, in the order of
// files and lines. Flags that a call takes from variables are looked up where the variables are set, in any of the files.
func Config(files []File) []Finding {
	p := &program{defines: map[string][]piece{}, assigns: map[string][]assignment{}, uses: map[place]*use{}}
	var calls []call
	for _, f := range files {
		s := scanner{file: f.Name, text: f.Text, line: 1, program: p}
		s.run()
		calls = append(calls, s.calls...)
	}
	var findings []Finding
	for _, c := range calls {
		findings = append(findings, p.call(c)...)
	}
	for _, u := range p.uses {
		o := Options{Commands: u.commands, Part: u.part}
		for _, f := range Flags(u.lit.text, o) {
			f.File, f.Function = u.lit.file, u.function
			f.Line = u.lit.line + strings.Count(u.lit.text[:min(f.Pos, len(u.lit.text))], "\n")
			findings = append(findings, f)
		}
	}
	order := map[string]int{}
	for i, f := range files {
		order[f.Name] = i
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Pos-b.Pos, strings.Compare(a.Rule, b.Rule))
	})
	return findings
}

// place is where a string literal stands.
type place struct {
	file string
	off  int
}

// piece is one operand of an expression: a literal, a variable, or something that only the proxy knows.
type piece struct {
	file, text string
	line, off  int
	kind       pieceKind
}

type pieceKind uint8

const (
	literal pieceKind = iota
	variable
	unknown
)

// assignment is what a variable is set to.
type assignment []piece

// call is one function call: its arguments are expressions.
type call struct {
	file, name string
	line       int
	args       [][]piece
}

// use is a literal and what it is used for.
type use struct {
	lit      piece
	function string
	commands []string
	part     bool
}

// program is what the files of one configuration say together.
type program struct {
	defines map[string][]piece
	assigns map[string][]assignment
	uses    map[place]*use
}

// call notes the literals that reach a call, and says what is wrong with the call itself.
func (p *program) call(c call) []Finding {
	fn, known := functions[c.name]
	if !known {
		f := Finding{File: c.file, Line: c.line, Function: c.name, Word: c.name, Severity: Error, Rule: "function", Text: "the modules have no function " + c.name}
		f.Suggest = nearestFunction(c.name)
		return []Finding{f}
	}
	if len(fn.commands) == 0 {
		return nil
	}
	arg := fn.arg
	if c.name == "rtpengine_play_dtmf" && len(c.args) == 1 {
		return nil // the digit alone
	}
	var findings []Finding
	for _, command := range fn.commands {
		if row := commandRow(command); row != nil && row.Status == rtpengine.FlagRefused {
			findings = append(findings, Finding{File: c.file, Line: c.line, Function: c.name, Word: c.name, Severity: Warning, Rule: "refused",
				Text: "rtpsidecar answers the command " + command + " with an error: " + row.Note})
		}
	}
	if arg < len(c.args) {
		p.reach(c.args[arg], fn.commands, c.name, false, nil)
	}
	return findings
}

// reach follows an expression to its literals. part: it is joined with something else.
func (p *program) reach(expr []piece, commands []string, function string, part bool, via []string) {
	part = part || len(expr) > 1
	for _, x := range expr {
		switch x.kind {
		case literal:
			inner := embedded(x)
			if len(inner) == 1 && strings.TrimSpace(x.text) == inner[0].text {
				p.reach(inner, commands, function, part, via)
				continue
			}
			p.reach(inner, commands, function, true, via)
			part := part || len(inner) > 0
			at := place{x.file, x.off}
			u := p.uses[at]
			if u == nil {
				u = &use{lit: x, function: function}
				p.uses[at] = u
			}
			for _, command := range commands {
				if !slices.Contains(u.commands, command) {
					u.commands = append(u.commands, command)
				}
			}
			u.part = u.part || part
		case variable:
			if slices.Contains(via, x.text) {
				continue
			}
			via := append(slices.Clone(via), x.text)
			for _, a := range p.assigns[x.text] {
				p.reach(a, commands, function, part, via)
			}
			if d := p.defines[x.text]; d != nil {
				p.reach(d, commands, function, part, via)
			}
		}
	}
}

// embedded lists the variables inside a string literal; proxies expand them.
func embedded(lit piece) (vars []piece) {
	s := scanner{file: lit.file, text: lit.text, line: lit.line}
	for s.pos < len(s.text) {
		if s.text[s.pos] != '$' {
			s.step(1)
			continue
		}
		v := piece{file: lit.file, line: s.line, off: lit.off + 1 + s.pos, kind: variable}
		v.text = s.variableName()
		vars = append(vars, v)
	}
	return vars
}

// nearestFunction is the exported function that differs least from name.
func nearestFunction(name string) string {
	best, fewest := "", 4
	for f := range functions {
		if n := Distance(name, f); n < fewest || n == fewest && f < best {
			best, fewest = f, n
		}
	}
	return best
}

// Distance counts the letters to insert, delete or replace.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			corner, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, corner+cost)
		}
	}
	return row[len(b)]
}

// functionLike tells names that only the rtpengine modules have.
func functionLike(name string) bool {
	_, known := functions[name]
	return known || strings.HasPrefix(name, "rtpengine_")
}
