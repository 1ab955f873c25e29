package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:generate go run . docs options -o ../../docs/options.md

// sortedOptions are the rows of one status by name.
func sortedOptions(want status) []option {
	var rows []option
	for _, o := range options {
		if o.status == want {
			rows = append(rows, o)
		}
	}
	slices.SortFunc(rows, func(a, b option) int { return cmp.Compare(a.name, b.name) })
	return rows
}

// usage is the option as written on a command line.
func (o *option) usage() string {
	var b strings.Builder
	if o.short != "" {
		b.WriteString("-" + o.short + ", ")
	}
	b.WriteString("--" + o.name)
	if o.kind != boolean {
		b.WriteString("=" + cmp.Or(o.arg, o.kind.word()))
	}
	return b.String()
}

// writeHelp prints the options that have an effect and names the rest.
func writeHelp(w io.Writer) {
	fmt.Fprintf(w, "Usage: rtpsidecar serve [OPTION]...\n       rtpengine [OPTION]...\n\n"+
		"Relays media for SIP proxies that speak the NG protocol. Each long option is also a key of the config file.\n\n")
	for _, o := range sortedOptions(supported) {
		help := o.help
		if o.def != "" {
			help += " [" + o.def + "]"
		}
		fmt.Fprintf(w, "  %s\n        %s\n", o.usage(), help)
	}
	fmt.Fprintf(w, "\nAccepted without effect yet: %s\n", optionNames(accepted))
	fmt.Fprintf(w, "\nNot supported yet: %s\n", optionNames(refused))
}

func optionNames(want status) string {
	var names []string
	for _, o := range sortedOptions(want) {
		names = append(names, o.name)
	}
	return strings.Join(names, ", ")
}

// writeMarkdown prints the option table for docs/options.md.
func writeMarkdown(w io.Writer) {
	fmt.Fprint(w, `# Options of the daemon

Generated from the option table by `+"`rtpsidecar docs options`"+`; do not edit.

Every option can be given on the command line of `+"`rtpsidecar serve`"+` (or of the daemon started under the name
`+"`rtpengine`"+`) and, by its long name, in the config file. The command line wins. Options that may be given several times
are lists in the file, separated by semicolons. Truth values are `+"`true` and `false`"+` there.

The tier says who needs the option: A every installation, B many, C few.
`)
	for _, part := range []struct {
		status status
		title  string
	}{
		{supported, "## Supported\n"},
		{accepted, "## Accepted with a warning\n\nThese are parsed and then named in one warning: calls are relayed the same without them.\n"},
		{refused, "## Refused\n\nThese stop the start with exit status 2, since somebody relies on what they ask for.\n"},
	} {
		fmt.Fprintf(w, "\n%s\n| Option | Default | Tier | Meaning |\n|---|---|---|---|\n", part.title)
		for _, o := range sortedOptions(part.status) {
			def, tier := "", "–"
			if o.def != "" {
				def = "`" + o.def + "`"
			}
			if o.tier != 0 {
				tier = string(rune(o.tier))
			}
			fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", strings.ReplaceAll(o.usage(), "|", `\|`), def, tier, strings.ReplaceAll(o.help, "|", `\|`))
		}
	}
}
