package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"gopkg.in/ini.v1"

	"rtpsidecar/rtpengine"
)

// usageError is a mistake in the options; the exit status is 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// given is one option as it was written.
type given struct {
	opt   *option
	value string
}

// parseOptions reads the options of `serve` from args and from the config file; args win. All errors are usage errors.
func parseOptions(args []string) (*settings, error) {
	s, err := parseAll(args)
	if err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

func parseAll(args []string) (*settings, error) {
	s := &settings{engine: rtpengine.DefaultConfig()}
	for i := range options {
		if o := &options[i]; o.into != nil && o.def != "" && o.kind != list {
			if err := o.set(s, o.def); err != nil {
				return nil, err // the table is wrong; a test would see it
			}
		}
	}
	fromArgs, err := readArgs(args)
	if err != nil {
		return nil, err
	}
	if err := assign(s, fromArgs); err != nil {
		return nil, err
	}
	if s.help || s.version {
		return s, nil
	}
	fromFile, err := readFile(s, fromArgs)
	if err != nil {
		return nil, err
	}
	if err := assign(s, fromFile); err != nil {
		return nil, fmt.Errorf("%s: %w", s.configFile, err)
	}
	s.chooseKernel(fromArgs, fromFile)
	return s, report(s, slices.Concat(fromArgs, fromFile))
}

// readArgs reads the command line: --name=value, --name value, -nvalue, -n value, and joined letters.
func readArgs(args []string) ([]given, error) {
	var got []given
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for i := range options {
		o := &options[i]
		f := flags.VarPF(recorder{o, &got}, o.name, o.short, o.help)
		if o.kind == boolean {
			f.NoOptDefVal = "true"
		}
	}
	if err := flags.Parse(args); err != nil {
		complaint := strings.NewReplacer("unknown flag:", "unknown option", "unknown shorthand flag:", "unknown option",
			"flag needs", "option needs", "flag:", "option:").Replace(err.Error())
		return nil, errors.New(complaint + optionHint(complaint))
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return got, nil
}

// recorder is the pflag.Value of an option: it checks a value and notes it.
type recorder struct {
	opt *option
	got *[]given
}

func (r recorder) String() string { return "" }
func (r recorder) Type() string   { return r.opt.kind.word() }

func (r recorder) Set(value string) error {
	if err := r.opt.check(value); err != nil {
		return err
	}
	*r.got = append(*r.got, given{r.opt, value})
	return nil
}

// check reports whether value has the form of the option's kind.
func (o *option) check(value string) error {
	var err error
	switch o.kind {
	case boolean:
		_, err = strconv.ParseBool(value)
	case integer:
		_, err = parseInt(value)
	case float:
		_, err = strconv.ParseFloat(value, 64)
	case seconds, millis:
		var n int
		if n, err = parseInt(value); err == nil && n < 0 {
			return fmt.Errorf("%d is negative", n)
		}
	}
	if err != nil {
		return fmt.Errorf("%q is not a %s", value, map[kind]string{boolean: "truth value", integer: "whole number", float: "number",
			seconds: "whole number of seconds", millis: "whole number of milliseconds"}[o.kind])
	}
	return nil
}

// parseInt reads a whole number as C programs do: 0x for hexadecimal, 0 for octal.
func parseInt(value string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 0, 0)
	return int(n), err
}

// set stores one value, which adds to a list. Options without a place are only checked.
func (o *option) set(s *settings, value string) error {
	if err := o.check(value); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if o.into == nil {
		return nil
	}
	n, _ := parseInt(value) // checked above for the kinds that use it
	switch target := o.into(s).(type) {
	case *bool:
		*target, _ = strconv.ParseBool(value)
	case *int:
		*target = n
	case *float64:
		*target, _ = strconv.ParseFloat(value, 64)
	case *string:
		*target = value
	case *[]string:
		*target = append(*target, value)
	case *time.Duration:
		unit := time.Second
		if o.kind == millis {
			unit = time.Millisecond
		}
		*target = time.Duration(n) * unit
	}
	return nil
}

func assign(s *settings, values []given) error {
	for _, g := range values {
		if err := g.opt.set(s, g.value); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads the config file, as far as the command line says nothing else. The sections for templates and
// interfaces go straight into s.
func readFile(s *settings, fromArgs []given) ([]given, error) {
	if s.configFile == "none" {
		return nil, nil
	}
	explicit := slices.ContainsFunc(fromArgs, func(g given) bool { return strings.HasPrefix(g.opt.name, "config-") })
	text, err := os.ReadFile(s.configFile)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	// Key files of the reference know comments of whole lines only, and no continuation.
	file, err := ini.LoadSources(ini.LoadOptions{
		IgnoreInlineComment: true, IgnoreContinuation: true, PreserveSurroundedQuote: true, KeyValueDelimiters: "=",
	}, text)
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w", s.configFile, err)
	}
	section, err := file.GetSection(s.configSection)
	if err != nil {
		if explicit {
			return nil, fmt.Errorf("config file %s: no section [%s]", s.configFile, s.configSection)
		}
		return nil, nil
	}
	s.configRead = true
	var got []given
	var unknown []string
	for _, key := range section.Keys() {
		o := optionByName[key.Name()]
		if o == nil || o.name == "help" || o.name == "version" || strings.HasPrefix(o.name, "config-") {
			unknown = append(unknown, key.Name())
			continue
		}
		if slices.ContainsFunc(fromArgs, func(g given) bool { return g.opt == o }) {
			continue
		}
		values := []string{unescape(key.Value())}
		if o.kind == list {
			values = splitList(key.Value())
		}
		for _, v := range values {
			got = append(got, given{o, v})
		}
	}
	if len(unknown) > 0 {
		s.warnings = append(s.warnings, warning{"unknown keys in the config file are ignored", unknown})
	}
	s.readSections(file, slices.Concat(got, fromArgs))
	return got, nil
}

// readSections reads the sections that options name.
func (s *settings) readSections(file *ini.File, values []given) {
	for _, g := range values {
		switch g.opt.name {
		case "templates":
			section, err := file.GetSection(g.value)
			if err != nil {
				s.warnings = append(s.warnings, warning{"the config file lacks the section of templates", []string{g.value}})
				continue
			}
			s.engine.Templates = make(map[string]string)
			for _, key := range section.Keys() {
				s.engine.Templates[key.Name()] = unescape(key.Value())
			}
		case "interfaces-config":
			for _, section := range file.Sections() {
				if name, ok := strings.CutPrefix(section.Name(), g.value+"-"); ok {
					s.sections = append(s.sections, newInterfaceSection(name, section))
				}
			}
		}
	}
}

// splitList cuts the value of a list at ";"; a last one may be left out.
func splitList(value string) []string {
	var items []string
	for item := range strings.SplitSeq(value, ";") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, unescape(item))
		}
	}
	return items
}

// unescape replaces the escapes of key files.
func unescape(value string) string { return keyFileEscapes.Replace(value) }

var keyFileEscapes = strings.NewReplacer(`\s`, " ", `\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`)

// report refuses what is not supported and notes what has no effect. An option at its default asks for nothing.
func report(s *settings, values []given) error {
	var names [refused + 1][]string
	for _, g := range values {
		off := g.value == g.opt.def || g.opt.kind == boolean && !truth(g.value)
		if !off && !slices.Contains(names[g.opt.status], g.opt.name) {
			names[g.opt.status] = append(names[g.opt.status], g.opt.name)
		}
	}
	if len(names[refused]) > 0 {
		return fmt.Errorf("not supported yet: --%s", strings.Join(names[refused], ", --"))
	}
	if len(names[accepted]) > 0 {
		s.warnings = append(s.warnings, warning{"options without effect yet", names[accepted]})
	}
	return nil
}

func truth(value string) bool {
	b, _ := strconv.ParseBool(value)
	return b
}
