package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed cases/*.yaml sdp/*.sdp rules.yaml
var data embed.FS

// fileCase is a case as it stands in a file. It makes a sequence for every combination of a row with one value of each
// list in Cross; a step's string "$X" becomes the value of X.
type fileCase struct {
	Name  string
	About string
	Rows  []map[string]any
	Cross yaml.Node // mapping of lists; a node, to keep its order
	Steps []yaml.Node
}

// sequence is what is sent to both daemons, step by step.
type sequence struct {
	Name      string
	Steps     []step
	Generated bool
}

// step is one message. Its keys go into the dictionary in the order of the file, after the usual ones: call-id, from-tag
// "caller", in answers to-tag "callee". A key with a null value is left out.
type step struct {
	Keys []entry
	Body string // the SDP, already in Keys under "sdp"; empty where there is none

	// Directives: keys of the file that start with an underscore.
	JSON   bool   // _json: send as JSON
	Cookie string // _cookie: this cookie, with the sequence's name behind it, instead of a fresh one
	Raw    string // _raw: these bytes instead of a dictionary; "\(cookie)" stands for a fresh cookie
	Silent bool   // _silent: no reply is due
}

type entry struct {
	Key   string
	Value any
}

// value is what stands under key, or nil.
func (s *step) value(key string) any {
	for _, e := range s.Keys {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// command is the step's name in the report.
func (s *step) command() string {
	if c, ok := s.value("command").(string); ok {
		return c
	}
	return "raw"
}

// bodies are the SDP files by name, with CRLF.
type bodies map[string]string

func loadBodies() (bodies, error) {
	names, err := fs.Glob(data, "sdp/*.sdp")
	if err != nil {
		return nil, err
	}
	out := bodies{}
	for _, name := range names {
		b, err := data.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(path.Base(name), ".sdp")] = strings.ReplaceAll(string(b), "\n", "\r\n")
	}
	return out, nil
}

// loadSequences reads every case file. Names are unique and each SDP file is used, or it is an error.
func loadSequences(sdp bodies) ([]sequence, error) {
	files, err := fs.Glob(data, "cases/*.yaml")
	if err != nil {
		return nil, err
	}
	var out []sequence
	var errs []error
	used := map[string]bool{}
	for _, name := range files {
		b, err := data.ReadFile(name)
		if err != nil {
			return nil, err
		}
		seqs, err := parseCases(b, sdp, used)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		out = append(out, seqs...)
	}
	for name := range sdp {
		if !used[name] {
			errs = append(errs, fmt.Errorf("sdp/%s.sdp: no case uses it", name))
		}
	}
	seen := map[string]bool{}
	for _, s := range out {
		if seen[s.Name] {
			errs = append(errs, fmt.Errorf("%s: name used twice", s.Name))
		}
		seen[s.Name] = true
	}
	return out, errors.Join(errs...)
}

func parseCases(b []byte, sdp bodies, used map[string]bool) ([]sequence, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var cases []fileCase
	if err := dec.Decode(&cases); err != nil {
		return nil, err
	}
	var out []sequence
	for _, c := range cases {
		seqs, err := c.expand(sdp, used)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		out = append(out, seqs...)
	}
	return out, nil
}

// choice is one value of a row or of a cross, with its name.
type choice struct {
	name  string
	value any
}

func (c *fileCase) expand(sdp bodies, used map[string]bool) ([]sequence, error) {
	variants, err := c.variants()
	if err != nil {
		return nil, err
	}
	var out []sequence
	names := map[string]int{}
	for _, vars := range variants {
		seq := sequence{Name: c.Name}
		if label := labelOf(vars); label != "" {
			seq.Name += "/" + label
		}
		if names[seq.Name]++; names[seq.Name] > 1 {
			seq.Name += fmt.Sprintf("#%d", names[seq.Name])
		}
		for i := range c.Steps {
			s, err := makeStep(&c.Steps[i], vars, seq.Name, sdp, used)
			if err != nil {
				return nil, fmt.Errorf("step %d: %w", i+1, err)
			}
			seq.Steps = append(seq.Steps, s)
		}
		out = append(out, seq)
	}
	return out, nil
}

// variants is the product of the rows and of the lists to cross.
func (c *fileCase) variants() ([][]choice, error) {
	out := [][]choice{nil}
	if len(c.Rows) > 0 {
		out = nil
	}
	for _, row := range c.Rows {
		var vars []choice
		for name, v := range row {
			vars = append(vars, choice{name, v})
		}
		slices.SortFunc(vars, func(a, b choice) int { return strings.Compare(a.name, b.name) })
		out = append(out, vars)
	}
	for i := 0; i+1 < len(c.Cross.Content); i += 2 {
		name := c.Cross.Content[i].Value
		var values []any
		if err := c.Cross.Content[i+1].Decode(&values); err != nil {
			return nil, fmt.Errorf("cross %s: %w", name, err)
		}
		var next [][]choice
		for _, vars := range out {
			for _, v := range values {
				next = append(next, append(slices.Clip(vars), choice{name, v}))
			}
		}
		out = next
	}
	return out, nil
}

func labelOf(vars []choice) string {
	var parts []string
	for _, v := range vars {
		word := unprintable.ReplaceAllString(text(v.value), "_")
		parts = append(parts, word[:min(len(word), 48)])
	}
	return strings.Join(parts, ",")
}

var unprintable = regexp.MustCompile(`[^!-~]+`)

// text is a value in one word.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		return v
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, text(e))
		}
		return strings.Join(parts, "+")
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func makeStep(node *yaml.Node, vars []choice, seq string, sdp bodies, used map[string]bool) (step, error) {
	var given []entry
	if err := decodeEntries(node, vars, &given); err != nil {
		return step{}, err
	}
	for _, e := range given {
		if name, ok := e.Value.(string); ok && e.Key == "sdp" {
			used[name] = true
		}
	}
	return buildStep(given, seq, sdp)
}

// buildStep makes a step of what a file or the generator says about it.
func buildStep(given []entry, seq string, sdp bodies) (step, error) {
	var s step
	var edits []entry
	newlines := "\r\n"
	for _, e := range given {
		var ok bool
		switch e.Key {
		case "_json":
			s.JSON, ok = e.Value.(bool)
		case "_cookie":
			s.Cookie, ok = e.Value.(string)
		case "_raw":
			s.Raw, ok = e.Value.(string)
		case "_silent":
			s.Silent, ok = e.Value.(bool)
		case "_lf":
			ok, newlines = true, "\n"
		case "_edit": // ordered by key, as a YAML mapping is read into a Go map
			m, isMap := e.Value.(map[string]any)
			for old, new := range m {
				edits = append(edits, entry{old, new})
			}
			slices.SortFunc(edits, func(a, b entry) int { return strings.Compare(a.Key, b.Key) })
			ok = isMap
		default:
			ok = !strings.HasPrefix(e.Key, "_")
		}
		if !ok {
			return step{}, fmt.Errorf("directive %s: not understood", e.Key)
		}
	}
	if s.Raw != "" {
		return s, nil
	}
	s.Keys = usualKeys(given, seq)
	for i, e := range s.Keys {
		name, ok := e.Value.(string)
		if e.Key != "sdp" || !ok {
			continue
		}
		body, found := sdp[name]
		if !found {
			if !strings.ContainsAny(name, " \r\n=") && name != "" {
				return step{}, fmt.Errorf("no SDP named %q", name)
			}
			body = name // written out in the case
		}
		for _, ed := range edits {
			if !strings.Contains(body, ed.Key) {
				return step{}, fmt.Errorf("_edit: %q is not in %s", ed.Key, name)
			}
			body = strings.ReplaceAll(body, ed.Key, text(ed.Value))
		}
		s.Body = strings.ReplaceAll(body, "\r\n", newlines)
		s.Keys[i].Value = s.Body
	}
	return s, nil
}

func usualKeys(given []entry, seq string) []entry {
	command := ""
	for _, e := range given {
		if e.Key == "command" {
			command, _ = e.Value.(string)
		}
	}
	var keys []entry
	switch command {
	case "ping", "list", "statistics":
	case "offer":
		keys = []entry{{"call-id", seq}, {"from-tag", "caller"}}
	case "answer":
		keys = []entry{{"call-id", seq}, {"from-tag", "caller"}, {"to-tag", "callee"}}
	default:
		keys = []entry{{"call-id", seq}}
	}
	for _, e := range given {
		if strings.HasPrefix(e.Key, "_") {
			continue
		}
		keys = slices.DeleteFunc(keys, func(k entry) bool { return k.Key == e.Key })
		if e.Value != nil {
			keys = append(keys, e)
		}
	}
	return keys
}

// decodeEntries reads a mapping in its order, variables put in. The mapping under "_with" adds its own entries.
func decodeEntries(node *yaml.Node, vars []choice, out *[]entry) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a step is a mapping", node.Line)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		var v any
		if err := node.Content[i+1].Decode(&v); err != nil {
			return err
		}
		v, err := substitute(v, vars)
		if err != nil {
			return fmt.Errorf("line %d: %w", node.Content[i+1].Line, err)
		}
		if key != "_with" {
			*out = append(*out, entry{key, v})
			continue
		}
		if v == nil {
			continue
		}
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: _with wants a mapping", node.Line)
		}
		for _, k := range sortedKeys(m) {
			*out = append(*out, entry{k, m[k]})
		}
	}
	return nil
}

func substitute(v any, vars []choice) (any, error) {
	switch v := v.(type) {
	case string:
		if !strings.HasPrefix(v, "$") {
			return v, nil
		}
		for _, c := range vars {
			if c.name == v[1:] {
				return c.value, nil
			}
		}
		return nil, fmt.Errorf("no variable %s", v)
	case []any:
		for i := range v {
			var err error
			if v[i], err = substitute(v[i], vars); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			k, err := substitute(key, vars)
			if err != nil {
				return nil, err
			}
			if out[text(k)], err = substitute(member, vars); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
