package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"rtpsidecar/cmd/sidecar-lab/sdpdiff"
)

// style is an ANSI SGR sequence, ECMA-48 section 8.3.117.
type style string

const (
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
	bold   style = "1"
	faint  style = "2"
)

// paint colours s where the output is a terminal and NO_COLOR is not set.
func (e *env) paint(st style, s string) string {
	if !e.colour || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// wantsColour tells whether w is a terminal that may be coloured: https://no-color.org.
func wantsColour(w io.Writer, getenv func(string) string) bool {
	switch {
	case getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	case getenv("TERM") == "dumb":
		return false
	}
	return isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// heading writes a line that opens a part of the output.
func (e *env) heading(format string, args ...any) {
	fmt.Fprintln(e.stdout, e.paint(bold, "== "+fmt.Sprintf(format, args...)))
}

// writeDiff writes a comparison, a sign and a blank before each line.
func (e *env) writeDiff(lines []sdpdiff.Line) {
	for _, l := range lines {
		switch l.Op {
		case "+":
			fmt.Fprintln(e.stdout, e.paint(green, "+ "+l.Text))
		case "-":
			fmt.Fprintln(e.stdout, e.paint(red, "- "+l.Text))
		default:
			fmt.Fprintln(e.stdout, "  "+l.Text)
		}
	}
}

// table is text in columns.
type table struct {
	head []string
	rows [][]cell
}

// cell is one field of a table.
type cell struct {
	text  string
	style style
}

func newTable(head ...string) *table { return &table{head: head} }

// row adds a row of strings and cells.
func (t *table) row(fields ...any) {
	var cells []cell
	for _, f := range fields {
		switch v := f.(type) {
		case cell:
			cells = append(cells, v)
		default:
			cells = append(cells, cell{text: fmt.Sprint(v)})
		}
	}
	t.rows = append(t.rows, cells)
}

// write prints the table with columns as wide as their widest field.
func (t *table) write(e *env) {
	width := make([]int, len(t.head))
	for i, h := range t.head {
		width[i] = utf8.RuneCountInString(h)
	}
	for _, r := range t.rows {
		for i, c := range r {
			if i < len(width) {
				width[i] = max(width[i], utf8.RuneCountInString(c.text))
			}
		}
	}
	line := func(cells []cell, st style) {
		var b strings.Builder
		for i, c := range cells {
			pad := ""
			if i < len(cells)-1 {
				pad = strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2)
			}
			s := c.style
			if s == "" {
				s = st
			}
			text := c.text
			if s != "" {
				text = e.paint(s, text)
			}
			b.WriteString(text + pad)
		}
		fmt.Fprintln(e.stdout, strings.TrimRight(b.String(), " "))
	}
	var head []cell
	for _, h := range t.head {
		head = append(head, cell{text: h})
	}
	line(head, bold)
	for _, r := range t.rows {
		line(r, "")
	}
}
