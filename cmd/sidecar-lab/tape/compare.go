package tape

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/ng"
)

// Compare tells in what a reply differs from the one on the tape, once all that a daemon chooses by itself is named alike:
// ports, addresses, keys, credentials, fingerprints, ids, times and counters. Lines of a section may stand in any order.
// Differences are lines that begin with "-" (only on the tape) or "+" (only now).
func Compare(request, taped, now *ng.Dict) []string {
	body := request.Value("sdp").Str()
	command := request.Value("command").Str()
	return diff(flatten(taped, body, command), flatten(now, body, command))
}

func diff(a, b []string) (out []string) {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	for _, s := range a {
		if left[s] > 0 {
			left[s]--
			continue
		}
		out = append(out, "- "+s)
	}
	extra := map[string]int{}
	for _, s := range a {
		extra[s]++
	}
	for _, s := range b {
		if extra[s] > 0 {
			extra[s]--
			continue
		}
		out = append(out, "+ "+s)
	}
	return out
}

// flatten is a reply as comparable lines.
func flatten(d *ng.Dict, body, command string) (lines []string) {
	for _, e := range d.Entries() {
		switch {
		case e.Key == "sdp" && e.Value.Kind() == ng.KindString:
			lines = append(lines, Normal(e.Value.Str(), body)...)
		case e.Key == "result" || e.Key == "error-reason" || e.Key == "message":
			lines = append(lines, fmt.Sprintf("%s = %s", e.Key, e.Value.Str()))
		case command == "list", command == "statistics":
			lines = append(lines, e.Key)
		case e.Key == "SSRC":
		default:
			lines = append(lines, slices.DeleteFunc(paths(e.Key, e.Value), ofMedia)...)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// paths are the keys of a value, one line for each; what is counted or drawn has no value in it.
func paths(path string, v ng.Value) (out []string) {
	switch v.Kind() {
	case ng.KindDict:
		for _, e := range v.Dict().Entries() {
			key := e.Key
			if _, err := strconv.ParseUint(key, 10, 32); err == nil {
				key = "<ssrc>"
			}
			out = append(out, paths(path+"."+key, e.Value)...)
		}
		return out
	case ng.KindList:
		for _, item := range v.List() {
			out = append(out, paths(path+"[]", item)...)
		}
		return out
	case ng.KindString:
		if last := path[strings.LastIndexByte(path, '.')+1:]; words[strings.TrimSuffix(last, "[]")] {
			return []string{path + " = " + v.Str()}
		}
	}
	return []string{path}
}

// ofMedia tells what only a call with media has; a replay sends none.
func ofMedia(path string) bool {
	for _, part := range []string{"ingress SSRCs", "egress SSRCs", ".codec", "streams[].SSRC", "crypto suite", "flags[]", "last packet", "last user packet", "last kernel packet", "recording"} {
		if strings.Contains(path, part) {
			return true
		}
	}
	return false
}

// words are the reply keys whose values are words of the protocol.
var words = map[string]bool{"type": true, "protocol": true, "tag": true, "family": true, "mode": true}

var (
	candidate   = regexp.MustCompile(`^a=candidate:\S+ (\d+) (\S+) \d+ \S+ \d+ typ (\S+).*`)
	crypto      = regexp.MustCompile(`^a=crypto:(\d+) (\S+) inline:[^| ]+(.*)`)
	mediaLine   = regexp.MustCompile(`^m=(\S+) (\d+)(?:/\d+)? (.*)`)
	rtcpLine    = regexp.MustCompile(`^a=rtcp:\d+(?: IN IP[46] \S+)?`)
	fingerprint = regexp.MustCompile(`^a=fingerprint:(\S+) .*`)
	chosen      = regexp.MustCompile(`^a=(ice-ufrag|ice-pwd|tls-id|rtpengine):.*`)
	connection  = regexp.MustCompile(`^c=IN (IP[46]) (\S+)`)
	origin      = regexp.MustCompile(`^o=(\S+) (\S+) (\S+) IN (IP[46]) (\S+)`)
)

// Normal is an SDP body as lines "section: line" without what a daemon chooses by itself. What also stands in the body that
// was sent is nobody's choice and stays.
func Normal(body, sent string) (out []string) {
	section, n := "session", 0
	keep := func(value, name string) string {
		if value != "" && strings.Contains(sent, value) {
			return value
		}
		return name
	}
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if m := mediaLine.FindStringSubmatch(line); m != nil {
			n++
			section = fmt.Sprintf("%s %d", m[1], n)
			port := "PORT"
			if m[2] == "0" {
				port = "0"
			}
			line = fmt.Sprintf("m=%s %s %s", m[1], port, m[3])
		}
		switch {
		case strings.HasPrefix(line, "a=candidate:"):
			line = candidate.ReplaceAllString(strings.ReplaceAll(line, " udp ", " UDP "), "a=candidate:ID $1 $2 PRIORITY ADDRESS PORT typ $3")
		case strings.HasPrefix(line, "a=crypto:"):
			line = crypto.ReplaceAllString(line, "a=crypto:$1 $2 inline:KEY$3")
		case strings.HasPrefix(line, "a=rtcp:"):
			line = rtcpLine.ReplaceAllString(line, "a=rtcp:PORT")
		case strings.HasPrefix(line, "a=fingerprint:"):
			line = fingerprint.ReplaceAllString(line, "a=fingerprint:$1 DIGEST")
		case strings.HasPrefix(line, "c="):
			if m := connection.FindStringSubmatch(line); m != nil {
				line = fmt.Sprintf("c=IN %s %s", m[1], keep(m[2], "ADDRESS"))
			}
		case strings.HasPrefix(line, "o="):
			if m := origin.FindStringSubmatch(line); m != nil {
				line = fmt.Sprintf("o=%s %s %s IN %s %s", m[1], keep(m[2], "ID"), keep(m[3], "VERSION"), m[4], keep(m[5], "ADDRESS"))
			}
		case strings.HasPrefix(line, "s=rtpengine"), strings.HasPrefix(line, "s=rtpsidecar"):
			line = "s=SOFTWARE"
		default:
			line = chosen.ReplaceAllString(line, "a=$1:CHOSEN")
		}
		out = append(out, section+": "+line)
	}
	return out
}
