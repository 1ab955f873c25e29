package rtpengine

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"rtpsidecar/ng"
)

// FlagKind tells where a row of the flag table may stand in a request.
type FlagKind uint8

// The kinds.
const (
	FlagKey     FlagKind = iota // a key of the request's dictionary
	FlagWord                    // an item of the list "flags"
	FlagPrefix                  // the beginning of an item of "flags", the rest is a value
	FlagValue                   // a value of the key named by FlagRow.Of
	FlagCommand                 // a value of the key "command"
)

// String names the kind as the documentation does.
func (k FlagKind) String() string {
	return [...]string{"key", "flag", "flag prefix", "value", "command"}[k]
}

// FlagStatus tells what this build does with a key, flag or value.
type FlagStatus uint8

// The statuses.
const (
	FlagWorks    FlagStatus = iota
	FlagDiffers             // works, but not as in the reference; the note says how
	FlagNoEffect            // accepted for the sake of scripts, changes nothing
	FlagRefused             // the request is answered with an error that names it
)

// String names the status as the documentation does.
func (s FlagStatus) String() string {
	return [...]string{"works", "works differently", "accepted, no effect", "refused"}[s]
}

// Commands is a set of NG commands.
type Commands uint32

// The commands that read flags; related ones share a bit.
const (
	InOffer Commands = 1 << iota
	InAnswer
	InSubscribe
	InSubscribeAnswer
	InPublish
	InCreate
	InCreateAnswer
	InDelete
	InQuery
	InList
	InBlockMedia
	InBlockDTMF
	InForwarding
	InRecording
	InPlayMedia
	InPlayDTMF
	InConnect
	InMesh
	InInject
	InTransform
	InCLI

	inBoth = InOffer | InAnswer
	inSDP  = inBoth | InSubscribe | InSubscribeAnswer | InPublish | InCreate | InCreateAnswer
	inNew  = InOffer | InSubscribe | InPublish
	inPick = InBlockMedia | InBlockDTMF | InForwarding | InPlayMedia | InPlayDTMF | InSubscribe
	inAll  = InCLI<<1 - 1
)

// commandBits names each command of the protocol; ping, statistics and what we do not know read no flags.
var commandBits = map[string]Commands{
	"offer": InOffer, "answer": InAnswer,
	"subscribe request": InSubscribe, "subscribe answer": InSubscribeAnswer, "unsubscribe": InSubscribe,
	"publish": InPublish, "create": InCreate, "create answer": InCreateAnswer,
	"delete": InDelete, "query": InQuery, "list": InList,
	"block media": InBlockMedia, "unblock media": InBlockMedia,
	"silence media": InBlockMedia, "unsilence media": InBlockMedia,
	"block DTMF": InBlockDTMF, "unblock DTMF": InBlockDTMF,
	"start forwarding": InForwarding, "stop forwarding": InForwarding,
	"start recording": InRecording, "stop recording": InRecording, "pause recording": InRecording,
	"play media": InPlayMedia, "stop media": InPlayMedia, "play DTMF": InPlayDTMF,
	"connect": InConnect, "mesh": InMesh,
	"inject start": InInject, "inject stop": InInject, "transform": InTransform,
	"cli": InCLI, "CLI": InCLI,
}

// commandGroups are the words for sets of commands, in the order of printing.
var commandGroups = []struct {
	set  Commands
	name string
}{
	{inAll, "all"}, {inSDP, "all with SDP"}, {inPick, "selection of a party"},
	{inBoth, "offer, answer"}, {InOffer, "offer"}, {InAnswer, "answer"},
	{InSubscribe, "subscribe request"}, {InSubscribeAnswer, "subscribe answer"}, {InPublish, "publish"},
	{InCreate, "create"}, {InCreateAnswer, "create answer"}, {InDelete, "delete"}, {InQuery, "query"},
	{InList, "list"}, {InBlockMedia, "block media"}, {InBlockDTMF, "block DTMF"}, {InForwarding, "forwarding"},
	{InRecording, "recording"}, {InPlayMedia, "play media"}, {InPlayDTMF, "play DTMF"}, {InConnect, "connect"},
	{InMesh, "mesh"}, {InInject, "inject"}, {InTransform, "transform"}, {InCLI, "cli"},
}

// String lists the commands of the set.
func (c Commands) String() string {
	var names []string
	for _, g := range commandGroups {
		if c != 0 && c&g.set == g.set {
			names = append(names, g.name)
			c &^= g.set
		}
	}
	return strings.Join(names, ", ")
}

// FlagRow is one key, flag, prefix or value of the protocol. Rows are immutable.
type FlagRow struct {
	Name    string   // canonical spelling; case, space, underscore and hyphen are equal when it is read
	Also    []string // synonyms beyond that
	Of      string   // FlagValue: the key it belongs to
	Kind    FlagKind
	In      Commands // where the protocol honours it
	Tier    byte     // 'A' usual, 'B' common, 'C' rare
	Status  FlagStatus
	Note    string // what it does, or why it does not
	Example string // as in a proxy's flag string

	set setter // nil: nothing to do
}

// setter stores what one row of a request says. For keys v is the value; for prefixes, and values that end in "-"
// or ":", s is what follows; else both are empty.
type setter func(p *flagParser, s string, v ng.Value)

// flagTables is the whole table, built once from the four lists of rows. It is filled by init because the rows' setters
// read it again.
var flagTables *flagIndex

func init() { flagTables = newFlagIndex() }

// flagIndex finds rows by their folded name.
type flagIndex struct {
	rows     []*FlagRow
	keys     map[string]*FlagRow
	words    map[string]*FlagRow
	prefixes []prefixRow
	values   map[string]*valueIndex // by folded key
}

// valueIndex are the values of one key.
type valueIndex struct {
	of       string
	exact    map[string]*FlagRow
	prefixes []prefixRow
}

type prefixRow struct {
	folded string
	row    *FlagRow
}

func newFlagIndex() *flagIndex {
	x := &flagIndex{keys: map[string]*FlagRow{}, words: map[string]*FlagRow{}, values: map[string]*valueIndex{}}
	for kind, list := range [][]FlagRow{
		FlagKey: keyRows(), FlagWord: wordRows(), FlagPrefix: prefixRows(), FlagValue: valueRows(), FlagCommand: commandRows(),
	} {
		for i := range list {
			r := &list[i]
			r.Kind = FlagKind(kind)
			x.rows = append(x.rows, r)
			x.add(r, r.Name)
			for _, also := range r.Also {
				x.add(r, also)
			}
		}
	}
	longestFirst(x.prefixes)
	for _, vi := range x.values {
		longestFirst(vi.prefixes)
	}
	return x
}

func (x *flagIndex) add(r *FlagRow, name string) {
	folded := foldName(name)
	switch r.Kind {
	case FlagKey:
		addOnce(x.keys, folded, r)
	case FlagWord:
		addOnce(x.words, folded, r)
	case FlagPrefix:
		x.prefixes = append(x.prefixes, prefixRow{folded, r})
	case FlagValue:
		of := foldName(r.Of)
		vi := x.values[of]
		if vi == nil {
			vi = &valueIndex{of: r.Of, exact: map[string]*FlagRow{}}
			x.values[of] = vi
		}
		if strings.HasSuffix(folded, "-") || strings.HasSuffix(folded, ":") {
			vi.prefixes = append(vi.prefixes, prefixRow{folded, r})
			return
		}
		addOnce(vi.exact, folded, r)
	}
}

// addOnce panics when two rows claim one spelling: the table is wrong then, and no request has been read yet.
func addOnce(m map[string]*FlagRow, folded string, r *FlagRow) {
	if m[folded] != nil {
		panic("flag table: " + folded + " stands twice")
	}
	m[folded] = r
}

func longestFirst(p []prefixRow) {
	slices.SortStableFunc(p, func(a, b prefixRow) int { return len(b.folded) - len(a.folded) })
}

// FlagTable iterates over every row: keys, flags, prefixes, values, commands.
func FlagTable() iter.Seq[*FlagRow] { return slices.Values(flagTables.rows) }

// LookupFlag finds the row of a key, a flag (also one with a prefix), or a value given as "key=value", however it is
// spelled; nil when the protocol has none.
func LookupFlag(text string) *FlagRow {
	if row := lookupFlag(flagTables.words, text); row != nil {
		return row
	}
	if row := lookupFlag(flagTables.keys, text); row != nil {
		return row
	}
	if key, value, ok := strings.Cut(text, "="); ok {
		vi := flagTables.values[foldName(key)]
		if vi == nil {
			return lookupFlag(flagTables.keys, key)
		}
		if row := lookupFlag(vi.exact, value); row != nil {
			return row
		}
		row, _ := lookupFlagPrefix(vi.prefixes, value)
		return row
	}
	row, rest := lookupFlagPrefix(flagTables.prefixes, text)
	if row == nil {
		return nil
	}
	// The rest may be known better: SDES-off is the value off of SDES.
	if vi := flagTables.values[foldName(strings.TrimSuffix(row.Name, "-"))]; vi != nil {
		return LookupFlag(vi.of + "=" + rest)
	}
	return row
}

// SuggestFlag is the name nearest to a key or flag that the protocol does not know, "" when none is near. For a value
// "key=value" or a flag with a known prefix it is a value of that key.
func SuggestFlag(text string) string {
	if key, value, ok := strings.Cut(text, "="); ok {
		if vi := flagTables.values[foldName(key)]; vi != nil {
			if s := nearest(value, slices.Values(slices.Sorted(maps.Keys(vi.exact)))); s != "" {
				return vi.of + "=" + vi.exact[s].Name
			}
			return ""
		}
		if s := SuggestFlag(key); s != "" {
			return s + "=" + value
		}
		return ""
	}
	if row, rest := lookupFlagPrefix(flagTables.prefixes, text); row != nil {
		if vi := flagTables.values[foldName(strings.TrimSuffix(row.Name, "-"))]; vi != nil {
			if s := nearest(rest, slices.Values(slices.Sorted(maps.Keys(vi.exact)))); s != "" {
				return row.Name + vi.exact[s].Name
			}
		}
		return ""
	}
	return nearest(text, func(yield func(string) bool) {
		for r := range FlagTable() {
			if r.Kind != FlagValue && r.Kind != FlagCommand && !yield(r.Name) {
				return
			}
		}
		for r := range FlagTable() {
			key := foldName(r.Of)
			for _, prefix := range flagTables.prefixes {
				if r.Kind == FlagValue && prefix.folded == key+"-" && !yield(prefix.row.Name+r.Name) {
					return
				}
			}
		}
	})
}

// nearest is the candidate with the fewest slips against s, at most one for three letters; the first of equals.
func nearest(s string, candidates iter.Seq[string]) string {
	if len(s) > 64 {
		return ""
	}
	folded := foldName(s)
	best, fewest := "", max(1, len(folded)/3)+1
	for c := range candidates {
		if n := slips(folded, foldName(c)); n < fewest {
			best, fewest = c, n
		}
	}
	return best
}

// slips counts the letters to insert, delete, replace or swap with a neighbour to get from a to b.
func slips(a, b string) int {
	var older, old, now [128]int
	if len(b) >= len(now) {
		return len(b)
	}
	for j := range len(b) + 1 {
		old[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			n := min(old[j+1]+1, now[j]+1, old[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				n = min(n, older[j-1]+1)
			}
			now[j+1] = n
		}
		older, old = old, now
	}
	return old[len(b)]
}

// foldName is the spelling under which a name is looked up: lower case, with hyphens for spaces and underscores. It keeps
// the length in bytes, so a position in the folded name is one in the original. The reference accepts most of these
// spellings name by name.
func foldName(s string) string {
	if isFolded(s) {
		return s
	}
	return string(appendFold(make([]byte, 0, len(s)), s))
}

func isFolded(s string) bool {
	for i := range len(s) {
		if c := s[i]; c == ' ' || c == '_' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func appendFold(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ' ' || c == '_':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
