package flaglint

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/rtpengine"
)

// Severity tells how bad a finding is.
type Severity uint8

// The severities. A warning says that a word does nothing or that the result may surprise; an error that the string cannot
// do what it says.
const (
	Warning Severity = iota
	Error
)

// String names the severity as compilers do.
func (s Severity) String() string { return [...]string{"warning", "error"}[s] }

// MarshalText makes JSON read "error".
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one mistake.
type Finding struct {
	File     string   `json:"file,omitempty"` // of a configuration
	Line     int      `json:"line,omitempty"`
	Function string   `json:"function,omitempty"`
	Flags    string   `json:"flags,omitempty"` // the whole string
	Word     string   `json:"word"`
	Pos      int      `json:"pos"` // of the word in Flags, bytes
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Text     string   `json:"text"`
	Suggest  string   `json:"suggest,omitempty"`
}

// String is the finding as one line, without its place.
func (f Finding) String() string {
	s := f.Severity.String() + ": " + f.Text
	if f.Suggest != "" {
		s += "; did you mean " + f.Suggest + "?"
	}
	return s + " [" + f.Rule + "]"
}

// Party is what is known of one side of a call.
type Party uint8

// The parties.
const (
	AnyParty Party = iota
	Browser
	Phone
)

// Options is the situation of a flag string.
type Options struct {
	Commands []string // NG commands that may carry it; none: offer and answer
	From, To Party    // who sends the SDP, who receives it
	Part     bool     // the string is joined with others: nothing is missed in it
}

// check is the state of one run.
type check struct {
	o        Options
	flags    string
	effects  []Effect
	names    map[string][]Effect
	findings []Finding
}

// Flags finds the mistakes of one flag string, in the order of their words.
func Flags(flags string, o Options) []Finding {
	if len(o.Commands) == 0 {
		o.Commands = []string{"offer", "answer"}
	}
	c := &check{o: o, flags: flags, names: map[string][]Effect{}}
	words, open := Split(flags)
	c.shape(words, open)
	effects, problems := Effects(words)
	for _, p := range problems {
		c.problem(p)
	}
	c.effects = Explicit(effects)
	for _, e := range c.effects {
		c.names[e.Name] = append(c.names[e.Name], e)
	}
	c.values()
	c.commands()
	c.status()
	c.choices()
	c.pairs()
	c.codecs()
	c.browser()
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(a.Pos-b.Pos, int(b.Severity)-int(a.Severity))
	})
	return c.findings
}

func (c *check) find(sev Severity, rule string, w Word, format string, args ...any) *Finding {
	c.findings = append(c.findings, Finding{Flags: c.flags, Word: w.Text, Pos: w.Pos, Severity: sev, Rule: rule, Text: fmt.Sprintf(format, args...)})
	return &c.findings[len(c.findings)-1]
}

func (c *check) has(name string) bool { return len(c.names[name]) > 0 }

// first is the first effect with one of the names.
func (c *check) first(names ...string) (Effect, bool) {
	for _, e := range c.effects {
		if slices.Contains(names, e.Name) {
			return e, true
		}
	}
	return Effect{}, false
}

// only tells whether nothing but this command carries the string.
func (c *check) only(command string) bool {
	return len(c.o.Commands) == 1 && c.o.Commands[0] == command
}

// shape looks at brackets and repetition.
func (c *check) shape(words []Word, open int) {
	if open >= 0 {
		w := words[len(words)-1]
		c.find(Error, "bracket", w, "the bracket in %q is never closed", w.Text)
	}
	if len(c.flags) > 4096 {
		c.find(Error, "bracket", Word{Text: c.flags[:20]}, "%d bytes; the OpenSIPS module stops reading at 4096", len(c.flags))
	}
	seen := map[string]bool{}
	for _, w := range words {
		if n := strings.Count(w.Text, "]") - strings.Count(w.Text, "["); n > 0 {
			c.find(Error, "bracket", w, "%q closes a bracket that was not opened", w.Text)
		}
		if depth(w.Text) > 8 {
			c.find(Error, "bracket", w, "brackets nest deeper than 8, where the modules stop")
		}
		if seen[w.Text] && !w.opaque() && !twice[w.Text] {
			c.find(Warning, "repeated", w, "%s stands twice", w.Text)
		}
		seen[w.Text] = true
	}
}

// twice are the words that mean something new each time.
var twice = map[string]bool{"internal": true, "external": true}

func depth(s string) (deepest int) {
	now := 0
	for i := range len(s) {
		switch s[i] {
		case '[':
			now++
			deepest = max(deepest, now)
		case ']':
			now--
		}
	}
	return deepest
}

func (c *check) problem(p Problem) {
	text := p.Text
	switch key, value, ok := strings.Cut(text, "="); {
	case ok && value == "":
		c.find(Error, "value", p.Word, "%s has no value; write it like %s", key, cmp.Or(p.Hint, key+"=…"))
	case strings.ContainsAny(text, ",;") && !ok:
		c.find(Error, "unknown", p.Word, "%q is one word to the relay: flags are separated by blanks", text)
	case ok && keyRow(key) != nil:
		c.find(Error, "unknown", p.Word, "%s has no value %q", keyRow(key).Name, value).Suggest = p.Hint
	default:
		c.find(Error, "unknown", p.Word, "the protocol has no %q", text).Suggest = p.Hint
	}
}

// Keys whose values have a form.
var (
	numberKeys  = []string{"TOS", "ptime", "ptime-reverse", "delete-delay", "delay-buffer", "limit", "sip-code", "repeat-times", "repeat-duration", "DTMF-delay", "duration", "repacketize", "trigger-end-time", "trigger-end-digits"}
	addressKeys = []string{"media-address", "received-from", "address", "inbound-peer", "outbound-peer", "peer", "xmlrpc-callback"}
)

func (c *check) values() {
	for _, e := range c.effects {
		switch {
		case slices.Contains(numberKeys, e.Name):
			if _, err := strconv.Atoi(e.Rest); err != nil {
				c.find(Error, "value", e.Word, "%s wants a whole number, not %q", e.Name, e.Rest)
			}
		case slices.Contains(addressKeys, e.Name):
			if _, err := netip.ParseAddr(strings.Trim(e.Rest, "[]")); err != nil && !isFamily(e.Rest) {
				c.find(Error, "value", e.Word, "%s wants an IP address, not %q", e.Name, e.Rest)
			}
		case e.Name == "SDES=no-" || e.Name == "SDES=only-":
			c.suite(e, e.Rest)
		case e.Name == "SDES=order:" || e.Name == "SDES=offerer_pref:":
			for s := range strings.FieldsFuncSeq(e.Rest, func(r rune) bool { return r == ';' || r == ',' }) {
				c.suite(e, s)
			}
		}
	}
}

func isFamily(s string) bool { return s == "IP4" || s == "IP6" }

// suiteNames are the crypto suites of RFC 4568, 5669, 6188 and 7714 that relays know.
var suiteNames = []string{
	"AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80",
	"AES_192_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_32",
	"NULL_HMAC_SHA1_80", "NULL_HMAC_SHA1_32",
}

func (c *check) suite(e Effect, name string) {
	upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if slices.Contains(suiteNames, upper) {
		return
	}
	f := c.find(Error, "value", e.Word, "there is no crypto suite %s", name)
	fewest := 5
	for _, s := range suiteNames {
		if n := Distance(upper, s); n < fewest {
			f.Suggest, fewest = s, n
		}
	}
}

// offerOnly are effects that the table lets into any body but that only an offer reads, with where they belong to.
var offerOnly = map[string]string{
	"rtcp-mux=offer": "", "rtcp-mux=require": "", "rtcp-mux=demux": "", "rtcp-mux=accept": "", "rtcp-mux=reject": "",
	"OSRTP=offer": "", "generate-mid": "", "bundle=offer": "", "bundle=require": "", "bundle=strict": "", "bundle=reject": "",
	"SDES=no-": "", "SDES=only-": "", "SDES=nonew": "", "SDES=order:": "", "SDES=offerer_pref:": "", "trickle-ICE": "",
}

// commands finds words that the command does not read.
func (c *check) commands() {
	reported := map[Word]bool{}
	for _, e := range c.effects {
		if e.Row == nil || e.Implied || reported[e.Word] || moduleWords[e.Name] {
			continue
		}
		in := e.Row.In
		if _, offer := offerOnly[e.Name]; offer {
			in &^= rtpengine.InAnswer
		}
		if c.readBy(in) {
			continue
		}
		reported[e.Word] = true
		where := in.String()
		c.find(Warning, "no-effect", e.Word, "%s has no effect in %s; it belongs to: %s", e.Word.Text, article(c.o.Commands), where)
	}
}

func article(commands []string) string {
	name := strings.Join(commands, " or ")
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// readBy tells whether one of the commands reads what belongs to the set.
func (c *check) readBy(in rtpengine.Commands) bool {
	for _, command := range c.o.Commands {
		row := commandRow(command)
		if row == nil || row.In == 0 || row.In&in != 0 {
			return true
		}
	}
	return false
}

func commandRow(name string) *rtpengine.FlagRow {
	for row := range rtpengine.FlagTable() {
		if row.Kind == rtpengine.FlagCommand && row.Name == name {
			return row
		}
	}
	return nil
}

// status finds words that the daemon refuses. Commands that it refuses as a whole are the caller's matter.
func (c *check) status() {
	for _, e := range c.effects {
		if e.Row != nil && e.Row.Status == rtpengine.FlagRefused && c.readBy(e.Row.In) && !slices.Contains(offWords, e.Rest) {
			c.find(Error, "refused", e.Word, "rtpsidecar answers %s with an error: %s", e.Word.Text, e.Row.Note)
		}
	}
}

var offWords = []string{"off", "no", "0", "false", "disable", "disabled"}

// Commands lists the NG commands of the protocol.
func Commands() []string {
	var names []string
	for row := range rtpengine.FlagTable() {
		if row.Kind == rtpengine.FlagCommand {
			names = append(names, row.Name)
		}
	}
	return names
}
