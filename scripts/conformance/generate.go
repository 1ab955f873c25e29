package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A factor is one thing that a generated sequence may vary. Value 0 of each leaves it out.
type factor struct {
	name   string
	values []any
}

// factors of a generated call: who offers what to whom, with which keys, and how it goes on. The bodies of a call are the
// offer, an answer that takes it as it is, and whether it is one audio section, so that another answer may fit better to
// what the flags make of it.
var factors = []factor{
	{"call", words(single("plain-caller", "plain-callee"), list("chrome-audio", "chrome-audio-answer"), single("chrome-audio", "asterisk-sip"),
		list("firefox-audio", "firefox-audio-answer"), single("firefox-audio", "plain-callee"), list("safari-audio", "safari-answer-passive"),
		list("chrome-av", "chrome-av-answer"), single("linphone-audio", "asterisk-sip"), list("linphone-av", "chrome-video-answer"),
		single("linphone-sdes", "sdes-answer"), single("linphone-ice", "baresip-ice"), single("linphone-dtls", "dtls-answer-active"),
		list("asterisk-pjsip", "freeswitch-webrtc"), single("freeswitch", "polycom-vvx"), single("freeswitch-srtp", "sdes-answer-32"),
		single("cisco-cucm", "plain-callee"), list("cisco-telepresence", "cisco-telepresence"), list("polycom-video", "grandstream-video"),
		single("grandstream-gxp", "plain-callee"), single("yealink-srtp", "sdes-answer"), single("yealink-srtp", "plain-callee"),
		list("snom-osrtp", "snom-osrtp"), list("snom-osrtp", "plain-callee"), single("teams-direct", "sdes-answer"),
		list("volte-amr", "volte-amr"), single("ip6-ice", "baresip-ice"), single("plain-caller", "ip6-audio"),
		list("t38-with-audio", "t38-rejects-audio"), single("mux-caller", "mux-callee"), single("mux-caller", "plain-callee"),
		list("two-audio", "two-audio"), list("audio-video", "video-rejected"), list("audio-video", "audio-video-callee"),
		list("media-connections", "media-connections"), list("plain-caller", "plain-avpf"))},
	{"transport-protocol", words(nil, "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")},
	{"ICE", words(nil, "force", "remove")},
	{"rtcp-mux", words(nil, list("offer"), list("require"), list("demux"), list("accept"), list("reject"), list("offer", "reject"))},
	{"DTLS", words(nil, "off", "passive")},
	{"SDES", words(nil, list("pad"), list("lifetime"), list("no-AES_CM_128_HMAC_SHA1_80", "no-AEAD_AES_256_GCM"))},
	{"replace", words(nil, list("origin"), list("origin", "session-connection"), list("SDP-version"), list("username", "session-name"))},
	{"flags", words(nil, list("trust-address"), list("SIP-source-address"), list("generate-mid"), list("no-rtcp-attribute"),
		list("full-rtcp-attribute"), list("trickle-ICE"), list("port-latching"), list("original-sendrecv"), list("reject-ICE"),
		list("strict-source", "asymmetric"), list("loop-protect"))},
	{"direction", words(nil, list("pub", "priv"), list("priv", "adv"), list("adv", "pub"))},
	{"address-family", words(nil, "IP4", "IP6")},
	{"media-address", words(nil, "192.0.2.5")},
	{"codec", words(nil, map[string]any{"strip": list("PCMU")}, map[string]any{"mask": list("PCMA")},
		map[string]any{"strip": list("all"), "offer": list("PCMA", "telephone-event")})},
	{"answer ICE", words(nil, "force", "remove")},
	{"then", words(nil, "query", "same-offer", "callee-offer", "hold", "moved", "restart", "delete")},
}

func words(v ...any) []any         { return v }
func list(v ...any) []any          { return v }
func single(offer, answer any) any { return list(offer, answer, true) }

// answerFor is a body that a device could give to what the call offers it.
func (c choiceOf) answerFor(sdp bodies) string {
	call := c.value("call").([]any)
	answer := call[1].(string)
	if len(call) < 3 {
		return answer
	}
	protocol, ok := c.value("transport-protocol").(string)
	if !ok {
		protocol = offeredProtocol(sdp[call[0].(string)])
	}
	secure := strings.Contains(protocol, "SAVP")
	switch {
	case !secure && (strings.HasPrefix(answer, "sdes-") || strings.HasPrefix(answer, "dtls-")):
		return "plain-callee"
	case secure && (!strings.HasPrefix(protocol, "UDP/TLS") || c.value("DTLS") == "off"):
		if answer == "sdes-answer-32" {
			return answer
		}
		return "sdes-answer"
	case secure:
		return "dtls-answer-active"
	}
	return answer
}

func offeredProtocol(body string) string {
	_, rest, _ := strings.Cut(body, "m=audio ")
	if words := strings.Fields(rest); len(words) > 1 {
		return words[1]
	}
	return ""
}

// choiceOf is a generated sequence: for each factor the index of its value.
type choiceOf []int

// generate makes n sequences from a seed: first such that every pair of values of two factors occurs in one of them, as
// far as n reaches, then at random. The same seed and n give the same sequences.
func generate(seed uint64, n int, sdp bodies) ([]sequence, error) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	type pair struct{ f, v, g, w int }
	open := map[pair]bool{}
	for f := range factors {
		for g := f + 1; g < len(factors); g++ {
			for v := range factors[f].values {
				for w := range factors[g].values {
					open[pair{f, v, g, w}] = true
				}
			}
		}
	}
	gain := func(c choiceOf, visit func(pair)) (n int) {
		for f := range c {
			for g := f + 1; g < len(c); g++ {
				if p := (pair{f, c[f], g, c[g]}); open[p] {
					n++
					visit(p)
				}
			}
		}
		return n
	}
	const candidates = 60 // the best of so many: about as short a cover as a careful search would find
	var out []sequence
	for i := range n {
		var best choiceOf
		bestGain := -1
		for range candidates {
			c := make(choiceOf, len(factors))
			for f := range c {
				c[f] = rnd.IntN(len(factors[f].values))
			}
			if g := gain(c, func(pair) {}); g > bestGain {
				best, bestGain = c, g
			}
		}
		gain(best, func(p pair) { delete(open, p) })
		seq, err := best.sequence(fmt.Sprintf("generated-%d-%03d", seed, i+1), sdp)
		if err != nil {
			return nil, err
		}
		out = append(out, seq)
	}
	return out, nil
}

func (c choiceOf) value(name string) any {
	i := slices.IndexFunc(factors, func(f factor) bool { return f.name == name })
	return factors[i].values[c[i]]
}

func (c choiceOf) sequence(name string, sdp bodies) (sequence, error) {
	seq := sequence{Name: name, Generated: true}
	call := c.value("call").([]any)
	answered := c.answerFor(sdp)
	offer := []entry{{"command", "offer"}, {"sdp", call[0]}, {"received-from", list("IP4", "198.51.100.250")}}
	answer := []entry{{"command", "answer"}, {"sdp", answered}, {"received-from", list("IP4", "203.0.113.250")}}
	for _, f := range factors {
		v := c.value(f.name)
		key, forAnswer := strings.CutPrefix(f.name, "answer ")
		switch {
		case v == nil || f.name == "call" || f.name == "then":
		case key == "media-address" && c.value("direction") != nil: // ports of two interfaces behind one address look related
		case forAnswer:
			answer = append(answer, entry{key, v})
		default:
			offer = append(offer, entry{key, v})
			if key == "flags" || key == "replace" || key == "media-address" {
				answer = append(answer, entry{key, v})
			}
		}
	}
	steps := [][]entry{offer, answer}
	again := func(edit map[string]any) {
		steps = append(steps, append(slices.Clone(offer), entry{"to-tag", "callee"}, entry{"_edit", edit}), answer)
	}
	body := sdp[call[0].(string)]
	switch c.value("then") {
	case "query":
		steps = append(steps, []entry{{"command", "query"}})
	case "same-offer":
		again(nil)
	case "hold":
		again(firstOf(body, map[string]string{"a=sendrecv": "a=sendonly", "RTP/": "RTP/"}))
	case "moved":
		if _, rest, ok := strings.Cut(body, "m=audio "); ok {
			port, _, _ := strings.Cut(rest, " ")
			again(map[string]any{"m=audio " + port: "m=audio 9990"})
		}
	case "restart":
		if _, rest, ok := strings.Cut(body, "a=ice-ufrag:"); ok {
			ufrag, _, _ := strings.Cut(rest, "\r")
			again(map[string]any{"a=ice-ufrag:" + ufrag: "a=ice-ufrag:restarted"})
		}
	case "callee-offer":
		tags := []entry{{"from-tag", "callee"}, {"to-tag", "caller"}}
		steps = append(steps,
			append([]entry{{"command", "offer"}, {"sdp", answered}}, tags...),
			append([]entry{{"command", "answer"}, {"sdp", call[0]}}, tags...))
	case "delete":
		steps = append(steps, []entry{{"command", "delete"}, {"from-tag", "caller"}, {"to-tag", "callee"}}, []entry{{"command", "query"}})
	}
	for _, given := range steps {
		s, err := buildStep(given, name, sdp)
		if err != nil {
			return seq, fmt.Errorf("%s: %w", name, err)
		}
		seq.Steps = append(seq.Steps, s)
	}
	return seq, nil
}

// firstOf is the edit whose text is in the body.
func firstOf(body string, edits map[string]string) map[string]any {
	for _, old := range sortedKeys(edits) {
		if strings.Contains(body, old) {
			return map[string]any{old: edits[old]}
		}
	}
	return nil
}
