package rtpengine

import (
	"fmt"
	"slices"
	"strings"
)

// compatibilityHead opens the document that AppendCompatibility makes.
const compatibilityHead = `# Compatibility

Every command, key, flag and value of the NG control protocol, and what this daemon does with it. The tables are
generated from the flag table in the code: ` + "`go test ./rtpengine -run TestCompatibility -update`" + ` writes this file.

- **works**: as in the reference (version 26; where 10.5 differs, both ways of asking are understood).
- **works differently**: the note says how.
- **accepted, no effect**: taken for the sake of existing scripts; there is nothing to do.
- **refused** (also by way of a command that is refused): the request is answered with an error whose text names the word, so that nothing is done by half. A value
  that turns such a feature off is accepted.

Tier A is what a usual OpenSIPS or Kamailio installation needs, B is common, C is rare.

## How a request is read

- Keys, flags and values may be written with hyphens, spaces or underscores and in any case. Free text (tags, labels,
  addresses, codec specifications) is taken as it is.
- Every list may come as a list, as one string, or as one string with commas. Integers may come as strings.
- In items of lists ` + "`--` stands for `=` and `..`" + ` for a space, for proxies whose flag strings cannot hold these.
- A flag may stand for a value of a key (` + "`SDES-off` for `SDES=off`" + `), and ` + "`key=value`" + ` may stand among the flags.
- The order of keys and flags does not matter; of two that contradict each other the later wins. ` + "`WebRTC`" + ` gives way to
  whatever else is said. The reference applies keys in the order in which they come.
- ` + "`rtpp-flags`" + ` holds a proxy's flag string: words, ` + "`key=value`, `key=[list of words]`, `key=[name=value name=[…]]`" + `. It
  overrides the other keys.
- Signalling templates of the configuration are flag strings too: the one named ` + "`default`" + `, then the one named like the
  command, then what the key ` + "`template`" + ` names. The request's own keys are stronger than all of them.
- Words that the protocol does not have are logged and counted; they are no error.
- PCMU and PCMA are turned into each other where the flags ask for it, or where the two sides have nothing else in
  common. What would need audio to be decoded or encoded is not done by half: another codec that would have to be transcoded is not
  announced, and the reply names it in the key ` + "`warning`" + `.

## The reference's own tests

The daemon tests of rtpengine 26.3 (its file names), run by hand against this daemon on 2026-11-29; scenarios passed here and
by rtpengine itself on the same machine. What is missing needs media services (playing, recording, DTMF tones,
codecs other than G.711, T.38 gateway) unless a reason is given.

| file | here | rtpengine | what is missing |
|---|---|---|---|
| sdp-manipulations, sdp-orig-replacements, sdes-manipulations | 30, 5, 29 | 30, 5, 29 | |
| templ-def, templ-def-offer, config-file, intfs | 1, 1, 7, 3 | 1, 1, 7, 3 | |
| asymmetric, heuristic, dtls | 12, 5, 16 | 12, 5, 16 | |
| bundle | 6 | 6 | |
| rtpp-flags | 17 | 18 | T.38 |
| rtcp | 1 | 1 | |
| stats | 3 | 3 | |
| http | 0 | 1 | play media |
| codec-prefs | 5 | 14 | opus, G.722, G.723, Speex |
| rtp-ext | 51 | 51 | |
| create | 23 | 25 | play media |
| pubsub | 0 | 9 | mixing of audio, with which the file begins and where it ends here; without that part 7, the rest subscribes with other codecs |
| alias | 2 | 2 | |
| unknown-fmtp | 4 | 5 | on purpose: a codec whose fmtp the answer leaves out is not dropped |
| mos-legacy, mos-fullband, measure-rtp (with RTPENGINE_MOS_TESTS; assertions) | 81, 148, 9655 | 81, 154, 9656 | MOS of opus by G.107.2; rounding |
| audio-player, audio-player-play-media, moh, player-cache, record-egress-play-media | 1, 1, 0, 0, 0 | 3, 4, 8, 11, 2 | playing and recording |
| dtx, dtx-cn, dtx-no-shift, delay-buffer | 1, 0, 0, 0 | 6, 5, 3, 2 | comfort noise, tones, silence |
| t38, transform, transcode-config | 0, 0, 1 | 4, 3, 4 | T.38, transcoding for other nodes |
| main | 189 | 274 | on purpose: SRTP that does not verify is not followed to a new address; ` + "`recrypt`" + ` makes a key of its own for the answer; no DTLS before the answer has chosen between it and SDES; candidates of ` + "`ICE=optional`" + ` keep to the priorities of RFC 8445; ` + "`DTLS-reverse`" + ` |
`

// AppendCompatibility appends the document that lists every row of the flag table, in Markdown.
func AppendCompatibility(dst []byte) []byte {
	dst = append(dst, compatibilityHead...)
	section := func(title string, kind FlagKind, of string) {
		dst = fmt.Appendf(dst, "\n%s\n\n| %s | tier | status | honoured in | what it does | example |\n|---|---|---|---|---|---|\n", title, kind)
		for r := range FlagTable() {
			if r.Kind == kind && r.Of == of {
				dst = r.appendMarkdown(dst)
			}
		}
	}
	section("## Commands", FlagCommand, "")
	section("## Keys", FlagKey, "")
	section("## Flags", FlagWord, "")
	section("## Flags that carry a value", FlagPrefix, "")
	dst = append(dst, "\n## Values\n"...)
	var keys []string
	for r := range FlagTable() {
		if r.Kind == FlagValue && !slices.Contains(keys, r.Of) {
			keys = append(keys, r.Of)
		}
	}
	for _, key := range keys {
		section("### "+key, FlagValue, key)
	}
	return dst
}

// appendMarkdown appends the row as a row of a table.
func (r *FlagRow) appendMarkdown(dst []byte) []byte {
	names := make([]string, 0, 1+len(r.Also))
	for _, name := range append([]string{r.Name}, r.Also...) {
		if r.Kind == FlagPrefix || strings.HasSuffix(name, "-") || strings.HasSuffix(name, ":") {
			name += "…"
		}
		names = append(names, "`"+name+"`")
	}
	in := r.In.String()
	if r.Kind == FlagCommand {
		in = ""
	}
	example := ""
	if r.Example != "" {
		example = "`" + r.Example + "`"
	}
	cell := strings.NewReplacer("|", `\|`).Replace
	return fmt.Appendf(dst, "| %s | %c | %s | %s | %s | %s |\n", strings.Join(names, ", "), r.Tier, r.Effective(), in, cell(r.Note), cell(example))
}

// Effective is what becomes of the row in this build: FlagRefused too when every command that reads it is refused.
func (r *FlagRow) Effective() FlagStatus {
	if r.Kind == FlagCommand {
		return r.Status
	}
	for name := range commandsDone {
		if commandBits[name]&r.In != 0 {
			return r.Status
		}
	}
	return FlagRefused
}
