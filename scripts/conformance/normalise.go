package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/ng"
)

// symbols replaces what a daemon chooses at random by names that tell only what matters: that a value is its own and not
// the other party's, and where else it stands. The first own ufrag of a sequence becomes <ufrag1> wherever it appears, so
// a re-offer that must keep it is compared too. There is one table per daemon and sequence.
type symbols struct {
	portMin, portMax int
	sent             strings.Builder // all bodies sent so far: a value from there is nobody's choice and stays
	calls            map[string]bool // the sequence's call-ids; a list may show those of earlier ones
	masks            map[string]bool // addresses that stand for any own one: media-address, the zero address
	receiver         string          // the tag to which the next body goes
	names            map[string]string
	count            map[string]int
}

func newSymbols(portMin, portMax int) *symbols {
	return &symbols{portMin: portMin, portMax: portMax, names: map[string]string{}, count: map[string]int{},
		calls: map[string]bool{}, masks: map[string]bool{"0.0.0.0": true, "::": true}}
}

// learn makes the values of a message that is about to be sent known.
func (s *symbols) learn(st step) {
	s.sent.WriteString(st.Body)
	if id, ok := st.value("call-id").(string); ok {
		s.calls[id] = true
	}
	if mask, ok := st.value("media-address").(string); ok {
		s.masks[mask] = true
	}
	receiver := "to-tag"
	if st.command() == "answer" {
		receiver = "from-tag"
	}
	tag, _ := st.value(receiver).(string)
	s.receiver = cmp.Or(tag, "callee") // the first offer names nobody
}

// behind tells the ports of own addresses apart that are printed as one: those of two parties, and of one party those of
// candidates of another preference than the first. Each own address has a range of its own, so that their ports may be
// equal by chance.
func (s *symbols) behind(addr string, preference, first int) string {
	if !s.masks[addr] {
		return addr
	}
	addr += " to " + s.receiver
	if preference != first {
		addr += " of preference " + strconv.Itoa(preference)
	}
	return addr
}

// name is the symbol of a value of this kind.
func (s *symbols) name(kind, value string) string {
	if value == "" || strings.Contains(s.sent.String(), value) {
		return value
	}
	key := kind + " " + value
	if _, ok := s.names[key]; !ok {
		s.count[kind]++
		s.names[key] = fmt.Sprintf("<%s%d>", kind, s.count[kind])
	}
	return s.names[key]
}

// port is the symbol of a port at addr, if it is of the daemon's range. An RTCP port next to a known RTP port is named
// after it, unless it is an RTP port itself; that the RTP port of such a pair is even is part of the bargain.
func (s *symbols) port(addr, text string, rtcp bool) string {
	n, err := strconv.Atoi(text)
	if err != nil || n < s.portMin || n > s.portMax {
		return text
	}
	key := func(n int) string { return fmt.Sprintf("port %s %d", addr, n) }
	own, known := s.names[key(n)]
	if known { // also of an RTCP line: muxed, though another media may have got the port below by chance
		return own
	}
	if pair, ok := s.names[key(n-1)]; rtcp && ok {
		if n&1 == 0 {
			return pair + "+1, odd pair"
		}
		return pair + "+1"
	}
	s.count["port"]++
	s.names[key(n)] = fmt.Sprintf("<port%d>", s.count["port"])
	return s.names[key(n)]
}

// lineForms finds the random parts of a line; the named groups say what they are.
var lineForms = []*regexp.Regexp{
	regexp.MustCompile(`^m=\S+ (?P<port>\d+)`),
	regexp.MustCompile(`^a=rtcp:(?P<rtcp>\d+)`),
	regexp.MustCompile(`^a=candidate:(?P<foundation>\S+) 1 \S+ (?P<priority>\d+) (?P<address>\S+) (?P<port>\d+)(?: typ \S+)?(?: raddr \S+ rport (?P<port>\d+))?`),
	regexp.MustCompile(`^a=candidate:(?P<foundation>\S+) 2 \S+ (?P<priority>\d+) (?P<address>\S+) (?P<rtcp>\d+)(?: typ \S+)?(?: raddr \S+ rport (?P<rtcp>\d+))?`),
	regexp.MustCompile(`^a=crypto:\d+ \S+ inline:(?P<key>[^| ]+)`),
	regexp.MustCompile(`^a=ice-ufrag:(?P<ufrag>\S+)`),
	regexp.MustCompile(`^a=ice-pwd:(?P<pwd>\S+)`),
	regexp.MustCompile(`^a=fingerprint:\S+ (?P<fingerprint>\S+)`),
	regexp.MustCompile(`^a=tls-id:(?P<tlsid>\S+)`),
	regexp.MustCompile(`^a=rtpengine:(?P<instance>\S+)`),
	regexp.MustCompile(`^o=\S+ (?P<session>\d+) (?P<version>\d+) `),
	regexp.MustCompile(`^s=(?P<software>(?:rtpengine|rtpsidecar)\S*)$`),
}

// line replaces the random parts of one SDP line; addr is the address of its section's c= line, first the preference of
// its first candidate.
func (s *symbols) line(line, addr string, first int) string {
	preference := first
	for _, re := range lineForms {
		at := re.FindStringSubmatchIndex(line)
		if at == nil {
			continue
		}
		var b strings.Builder
		last := 0
		for i, kind := range re.SubexpNames() {
			if kind == "" || at[2*i] < 0 {
				continue
			}
			from, to := at[2*i], at[2*i+1]
			switch kind {
			case "priority":
				preference = localPreference(line[from:to])
				continue
			case "address":
				addr = line[from:to]
				continue
			}
			b.WriteString(line[last:from])
			b.WriteString(s.value(kind, line[from:to], s.behind(addr, preference, first)))
			last = to
		}
		b.WriteString(line[last:])
		return b.String()
	}
	return line
}

// value replaces one random part; where a length belongs to the form (RFC 8839 section 5.4, the key of a suite in
// RFC 4568 section 6.1) it stays visible.
func (s *symbols) value(kind, text, addr string) string {
	switch kind {
	case "port", "rtcp":
		return s.port(addr, text, kind == "rtcp")
	case "version": // small numbers are counted, not drawn
		if len(text) < 6 {
			return text
		}
	case "ufrag", "pwd", "key", "tlsid", "foundation", "instance":
		if name := s.name(kind, text); name != text {
			return fmt.Sprintf("%s:%d", name, len(text))
		}
		return text
	}
	return s.name(kind, text)
}

// section is one part of an SDP body: "session" or "audio 1".
type section struct {
	Name  string
	Lines []string
}

// sections splits a body and replaces what is random.
func (s *symbols) sections(body string) []section {
	out := []section{{Name: "session"}}
	// A foundation only groups the candidates of one body, RFC 8445 section 5.1.1.3.
	s.count["foundation"] = 0
	maps.DeleteFunc(s.names, func(key, _ string) bool { return strings.HasPrefix(key, "foundation ") })
	for line := range strings.SplitSeq(strings.TrimRight(body, "\r\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if kind, ok := strings.CutPrefix(line, "m="); ok {
			kind, _, _ = strings.Cut(kind, " ")
			out = append(out, section{Name: fmt.Sprintf("%s %d", kind, len(out))})
		}
		cur := &out[len(out)-1]
		cur.Lines = append(cur.Lines, line)
	}
	session := connection(out[0].Lines)
	for i := range out {
		addr, first := cmp.Or(connection(out[i].Lines), session), 0
		if m := firstCandidate.FindStringSubmatch(strings.Join(out[i].Lines, "\n")); m != nil {
			first = localPreference(m[1])
		}
		for k, line := range out[i].Lines {
			out[i].Lines[k] = s.line(line, addr, first)
		}
	}
	return out
}

var firstCandidate = regexp.MustCompile(`(?m)^a=candidate:\S+ \S+ \S+ (\d+)`)

// localPreference is what a candidate's priority tells of its address, RFC 8445 section 5.1.2.1.
func localPreference(priority string) int {
	n, err := strconv.Atoi(priority)
	if err != nil {
		return 0
	}
	return n >> 8 & 0xffff
}

// connection is the address of a section's c= line.
func connection(lines []string) string {
	for _, l := range lines {
		if l, ok := strings.CutPrefix(l, "c="); ok {
			return local(l[strings.LastIndexByte(l, ' ')+1:])
		}
	}
	return ""
}

// local is the address behind an advertised one, which is what the query reply names.
func local(addr string) string {
	for _, i := range interfaces {
		if own, advertised, ok := strings.Cut(i, "!"); ok && advertised == addr {
			return own[strings.IndexByte(own, '/')+1:]
		}
	}
	return addr
}

// clocks are the reply keys that hold a time or depend on one; of the others the value is compared.
var clocks = map[string]bool{
	"created": true, "created_us": true, "created_ts": true, "last signal": true, "last packet": true,
	"last user packet": true, "last kernel packet": true, "last redis update": true,
}

// reply flattens everything but the SDP into lines "path = value". With shape only the kinds of the values are told.
func (s *symbols) reply(path string, v ng.Value, shape bool) []string {
	return s.flatten(path, v, shape, "")
}

// flatten is reply; addr is the value of "local address" beside v.
func (s *symbols) flatten(path string, v ng.Value, shape bool, addr string) []string {
	key := path[strings.LastIndexByte(path, '.')+1:]
	n, isInt := v.Int()
	switch {
	case v.Kind() == ng.KindDict:
		var out []string
		// By key: symbols are numbered as they come, and the order of the parties has no meaning.
		entries := slices.Clone(v.Dict().Entries())
		slices.SortStableFunc(entries, func(a, b ng.Entry) int { return strings.Compare(a.Key, b.Key) })
		for _, e := range entries {
			if path == "" && e.Key == "sdp" {
				continue
			}
			out = append(out, s.flatten(strings.TrimPrefix(path+"."+e.Key, "."), e.Value, shape,
				v.Dict().Value("local address").Str())...)
		}
		if out == nil && path != "" {
			out = []string{path + " = {}"}
		}
		return out
	case v.Kind() == ng.KindList && unordered[key]:
		var out []string
		for _, e := range v.List() {
			if key != "calls" || s.calls[e.Str()] {
				out = append(out, fmt.Sprintf("%s has %q", path, e.Str()))
			}
		}
		return out
	case v.Kind() == ng.KindList && len(v.List()) > 0:
		var out []string
		for i, e := range v.List() {
			out = append(out, s.flatten(path+"."+strconv.Itoa(i), e, shape, "")...)
		}
		return out
	case v.Kind() == ng.KindList:
		return []string{path + " = []"}
	case v.Kind() == ng.KindString && shape:
		return []string{path + " = <string>"}
	case v.Kind() == ng.KindString:
		return []string{fmt.Sprintf("%s = %q", path, v.Str())}
	case isInt && shape:
		return []string{path + " = <int>"}
	case isInt && clocks[key] && n == 0:
		return []string{path + " = never"}
	case isInt && clocks[key]:
		return []string{path + " = <time>"}
	case isInt && counters[key]:
		return []string{path + " = <count>"}
	case isInt && key == "local port":
		return []string{path + " = " + s.port(addr, strconv.FormatInt(n, 10), strings.HasSuffix(path, ".streams.1.local port"))}
	}
	return []string{fmt.Sprintf("%s = %d", path, n)}
}

// counters depend on how many datagrams of a handshake have gone out when the query comes.
var counters = map[string]bool{"packets": true, "bytes": true, "errors": true}

// unordered are the lists of words that are sets: a line for each member.
var unordered = map[string]bool{"flags": true, "calls": true}
