package rtpengine

import (
	"bufio"
	"bytes"
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write generated files anew")

const compatibilityFile = "../docs/compatibility.md"

// TestCompatibility holds the document to the table.
func TestCompatibility(t *testing.T) {
	want := AppendCompatibility(nil)
	if *update {
		if err := os.WriteFile(compatibilityFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(compatibilityFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the flag table says; run with -update\n%s", compatibilityFile,
			cmp.Diff(strings.Split(string(got), "\n"), strings.Split(string(want), "\n")))
	}
}

// TestEveryNameOfTheProtocol holds the table to a list of all names that was made apart from it.
func TestEveryNameOfTheProtocol(t *testing.T) {
	file, err := os.Open("testdata/protocol_names.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	commands := map[string]bool{}
	for r := range FlagTable() {
		if r.Kind == FlagCommand {
			commands[r.Name] = true
		}
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		kind, name, _ := strings.Cut(lines.Text(), " ")
		known := true
		switch kind {
		case "command":
			known = commands[name]
		case "key":
			known = lookupFlag(flagTables.keys, name) != nil
		case "flag":
			known = lookupFlag(flagTables.words, name) != nil
		case "prefix":
			row, _ := lookupFlagPrefix(flagTables.prefixes, name+"x")
			known = row != nil && slices.ContainsFunc(append(row.Also, row.Name), func(s string) bool { return foldName(s) == foldName(name) })
		case "value":
			key, _, _ := strings.Cut(name, "=")
			row := LookupFlag(name)
			known = row != nil && row.Kind == FlagValue && row.Of == key
		case "", "#":
		default:
			t.Fatalf("unknown kind in %q", lines.Text())
		}
		if !known {
			t.Errorf("%s %q has no row", kind, name)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestFlagRows holds each row to what its place in the table asks of it.
func TestFlagRows(t *testing.T) {
	for r := range FlagTable() {
		name := r.Kind.String() + " " + r.Of + " " + r.Name
		if r.Note == "" && r.Kind != FlagCommand {
			t.Errorf("%s: no note", name)
		}
		if !strings.ContainsRune("ABC", rune(r.Tier)) {
			t.Errorf("%s: tier %q", name, r.Tier)
		}
		if r.In == 0 && r.Kind != FlagCommand {
			t.Errorf("%s: honoured nowhere", name)
		}
		switch r.Kind {
		case FlagKey:
			if r.set == nil && (r.Status == FlagWorks || r.Status == FlagDiffers) && r.Name != "command" {
				t.Errorf("%s: nothing is set", name)
			}
		case FlagWord:
			if r.set == nil && r.Status == FlagWorks && r.Name != "WebRTC" {
				t.Errorf("%s: nothing is set", name)
			}
		case FlagPrefix:
			if r.set == nil || !strings.HasSuffix(r.Name, "-") {
				t.Errorf("%s: no prefix", name)
			}
		case FlagValue:
			if lookupFlag(flagTables.keys, r.Of) == nil {
				t.Errorf("%s: a value of no key", name)
			}
		case FlagCommand:
			if name := r.Name; name != "ping" && name != "statistics" && commandBits[name] == 0 {
				t.Errorf("command %s is in no set", name)
			}
		}
	}
}

// TestExamples: every example of the table can be read, and is what its row says.
func TestExamples(t *testing.T) {
	for r := range FlagTable() {
		if r.Example == "" || r.Kind == FlagCommand {
			continue
		}
		t.Run(r.Kind.String()+" "+r.Of+" "+r.Name, func(t *testing.T) {
			f, err := ParseFlags("offer", ParseRTPPFlags(r.Example), map[string]string{"webrtc": "WebRTC"})
			if len(f.Unknown) > 0 {
				t.Errorf("%s: unknown %q", r.Example, f.Unknown)
			}
			if refused := r.Status == FlagRefused && r.In&InOffer != 0; (err != nil) != refused && r.Kind != FlagKey {
				t.Errorf("%s: error %v", r.Example, err)
			}
		})
	}
}

func TestLookupFlag(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"trust address", "flag trust-address"},
		{"Call-ID", "key call-id"},
		{"ICE=force_relay", "value ICE force-relay"},
		{"label=x", "key label"},
		{"SDES-off", "value SDES off"},
		{"SDES=no-F8_128_HMAC_SHA1_80", "value SDES no-"},
		{"codec-strip-opus", "flag prefix codec-strip-"},
		{"rtcp-mux-what", ""},
		{"ICE=what", ""},
		{"what", ""},
		{"what=1", ""},
	} {
		got := ""
		if r := LookupFlag(tt.text); r != nil {
			got = strings.Join(strings.Fields(r.Kind.String()+" "+r.Of+" "+r.Name), " ")
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestSuggestFlag(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"trust-adress", "trust-address"},
		{"Trust_Adress", "trust-address"},
		{"generate-mdi", "generate-mid"},
		{"transport-protcol", "transport-protocol"},
		{"rtcp-mux-ofer", "rtcp-mux-offer"},
		{"SDES-of", "SDES-off"},
		{"repalce-origin", "replace-origin"},
		{"ICE=forse", "ICE=force"},
		{"ICE=zzzzz", ""},
		{"lable=caller", "label=caller"},
		{"codec-strip-opuss", ""},
		{"zebra", ""},
		{"zebra=1", ""},
		{"x", ""},
		{"", ""},
		{strings.Repeat("a", 200), ""},
	} {
		if got := SuggestFlag(tt.text); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestCommandsString(t *testing.T) {
	for _, tt := range []struct {
		in   Commands
		want string
	}{
		{0, ""},
		{inAll, "all"},
		{inBoth, "offer, answer"},
		{InOffer | InPublish, "offer, publish"},
		{inSDP | InDelete, "all with SDP, delete"},
	} {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%b: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestEveryRowDoesSomething: a word or value that works leaves a trace in the flags, or says that nothing is left to do.
func TestEveryRowDoesSomething(t *testing.T) {
	for r := range FlagTable() {
		if r.Kind != FlagWord && r.Kind != FlagValue {
			continue
		}
		text := r.Name
		if strings.HasSuffix(text, "-") || strings.HasSuffix(text, ":") {
			text += "x"
		}
		request := dict("flags", []string{text})
		switch {
		case r.Of == "codec" || r.Of == "extmap":
			request = dict(r.Of, dict(text, "x"))
		case r.Kind == FlagValue:
			request = dict(r.Of, []string{text})
		}
		f, err := ParseFlags(commandOf(r.In), request, nil)
		if len(f.Unknown) > 0 {
			t.Errorf("%s %s %s: unknown %q", r.Kind, r.Of, r.Name, f.Unknown)
		}
		if (err != nil) != (r.Status == FlagRefused && commandsDone[commandOf(r.In)]) {
			t.Errorf("%s %s %s: error %v", r.Kind, r.Of, r.Name, err)
		}
		changed := cmp.Diff(Flags{}, *f, flagCmp) != ""
		isDefault := slices.Contains([]string{"none", "default"}, r.Name)
		if r.Status == FlagWorks && !changed && !isDefault {
			t.Errorf("%s %s %s: changes nothing", r.Kind, r.Of, r.Name)
		}
	}
}

// commandOf is one command of the set, if possible one that is carried out.
func commandOf(in Commands) (command string) {
	for _, name := range slices.Sorted(maps.Keys(commandBits)) {
		if commandBits[name]&in != 0 && (command == "" || commandsDone[name]) {
			command = name
		}
	}
	return command
}

// TestCommandRows holds the table's commands to those that the engine carries out.
func TestCommandRows(t *testing.T) {
	status := map[string]FlagStatus{}
	for r := range FlagTable() {
		if r.Kind == FlagCommand {
			status[r.Name] = r.Status
		}
	}
	refused := reflect.ValueOf(refuse).Pointer()
	for _, c := range commandTable() {
		got, ok := status[c.name]
		if !ok {
			t.Errorf("%s has no row", c.name)
		}
		if isRefused := reflect.ValueOf(c.run).Pointer() == refused; isRefused != (got == FlagRefused) {
			t.Errorf("%s: %s, but the engine refuses it: %v", c.name, got, isRefused)
		}
	}
}
