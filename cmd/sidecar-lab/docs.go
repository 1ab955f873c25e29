package main

import (
	"fmt"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/urfave/cli/v2"

	"rtpsidecar/rtpengine"
)

// completeFlag is the last argument with which the shell's script asks for words; cli knows it by this name.
const completeFlag = "--generate-bash-completion"

// complete prints what may follow: options of the command where one is begun, else its subcommands and more.
func (e *env) complete(c *cli.Context, more ...string) {
	last := ""
	if n := len(e.args); n > 2 {
		last = e.args[n-2]
	}
	flags, commands := c.Command.Flags, c.Command.Subcommands
	if c.Command.Name == "" || c.Command.Name == c.App.Name {
		commands = c.App.Commands
	}
	if last == "--sdp" {
		fmt.Fprintln(e.stdout, strings.Join(sampleNames(), "\n"))
		return
	}
	if strings.HasPrefix(last, "-") {
		for _, f := range flags {
			fmt.Fprintln(e.stdout, "--"+f.Names()[0])
		}
		return
	}
	for _, c := range commands {
		if !c.Hidden {
			fmt.Fprintln(e.stdout, c.Name)
		}
	}
	for _, w := range more {
		fmt.Fprintln(e.stdout, w)
	}
}

// completeFlags offers the words of the protocol that a command reads; "" stands for all commands.
func (e *env) completeFlags(c *cli.Context, command string) {
	var in rtpengine.Commands
	for r := range rtpengine.FlagTable() {
		if r.Kind == rtpengine.FlagCommand && r.Name == command {
			in = r.In
		}
	}
	var words []string
	for r := range rtpengine.FlagTable() {
		if r.Kind == rtpengine.FlagCommand || in != 0 && r.In&in == 0 {
			continue
		}
		words = append(words, strings.TrimSuffix(written(r), "..."))
	}
	e.complete(c, words...)
}

// completions are the scripts that connect a shell's completion with the program, which prints the words itself.
var completions = map[string]string{
	"bash": `_sidecar_lab() {
	local cur words
	cur="${COMP_WORDS[COMP_CWORD]}"
	words=("${COMP_WORDS[@]:0:COMP_CWORD}")
	case "$cur" in -*) words+=("$cur") ;; esac
	COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
	[ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
	case "${COMPREPLY[0]:-}" in *= | *-) compopt -o nospace ;; esac
}
complete -o bashdefault -o default -F _sidecar_lab sidecar-lab
`,
	"zsh": `#compdef sidecar-lab
_sidecar_lab() {
	local -a found
	local cur=${words[CURRENT]}
	if [[ $cur == -* ]]; then
		found=("${(@f)$(${words[1,CURRENT-1]} $cur --generate-bash-completion 2>/dev/null)}")
	else
		found=("${(@f)$(${words[1,CURRENT-1]} --generate-bash-completion 2>/dev/null)}")
	fi
	compadd -- ${found%%:*} || _files
}
compdef _sidecar_lab sidecar-lab
`,
	"fish": `function __sidecar_lab
	set -l words (commandline -opc)
	set -l cur (commandline -ct)
	string match -q -- '-*' $cur; and set words $words $cur
	$words --generate-bash-completion 2>/dev/null
end
complete -c sidecar-lab -a '(__sidecar_lab)'
`,
}

// docCommands are completion, manual page and version.
func (e *env) docCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh|fish", Category: "about",
			Description:  examples("sidecar-lab completion bash > /etc/bash_completion.d/sidecar-lab", "source <(sidecar-lab completion bash)"),
			BashComplete: func(c *cli.Context) { e.complete(c, "bash", "zsh", "fish") },
			Action: func(c *cli.Context) error {
				script, ok := completions[c.Args().First()]
				if !ok {
					return usageError{fmt.Errorf("completion is for bash, zsh or fish")}
				}
				_, err := fmt.Fprint(e.stdout, script)
				return err
			},
		},
		{
			Name: "man", Usage: "print the manual page", Category: "about",
			Description: examples("sidecar-lab man > /usr/share/man/man1/sidecar-lab.1", "sidecar-lab man | man -l -"),
			Flags:       []cli.Flag{&cli.BoolFlag{Name: "markdown", Usage: "as Markdown"}},
			Action:      e.manual,
		},
		{
			Name: "version", Usage: "print the version", Category: "about", Description: examples("sidecar-lab version"),
			Action: func(*cli.Context) error { printVersion(e.stdout); return nil },
		},
	}
}

// manual writes the page that cli makes of the commands, and the examples of all of them.
func (e *env) manual(c *cli.Context) error {
	app := e.app()
	app.Setup()
	page, err := app.ToMarkdown()
	if err != nil {
		return err
	}
	page = strings.TrimSpace(page) + "\n\n# EXAMPLES\n"
	for _, command := range app.Commands {
		for _, sub := range append([]*cli.Command{command}, command.Subcommands...) {
			if _, lines, ok := strings.Cut(sub.Description, "Examples:\n\n"); ok {
				page += "\n```\n" + strings.ReplaceAll(lines, "\n   ", "\n")[3:] + "\n```\n"
			}
		}
	}
	if !c.Bool("markdown") {
		page = string(md2man.Render([]byte("% sidecar-lab 1\n\n" + page)))
	}
	_, err = fmt.Fprint(e.stdout, page)
	return err
}
