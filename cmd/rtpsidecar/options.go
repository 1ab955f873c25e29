package main

import "strings"

// option is one row of the option table: a long option of `serve`, which is also a key of the config file.
type option struct {
	name   string
	short  string // one letter, or empty
	kind   kind
	arg    string // what --help calls the value; empty: the kind's own word
	def    string // as it would be written; empty: none or off
	tier   byte   // 'A' every install needs it, 'B' common, 'C' rare; 0: ours alone
	status status
	help   string

	// into is where the value goes: a *bool, *int, *float64, *string, *[]string or *time.Duration. Supported options only.
	into func(*settings) any
}

// kind is the form of an option's value.
type kind uint8

const (
	boolean kind = iota
	integer
	float
	text
	list    // may be given several times; in the file one line separated by ";"
	seconds // an integer
	millis  // an integer
)

// word names a value of kind k in --help.
func (k kind) word() string {
	switch k {
	case integer:
		return "INT"
	case float:
		return "NUMBER"
	case seconds:
		return "SECONDS"
	case millis:
		return "MILLISECONDS"
	}
	return "TEXT"
}

// status says what `serve` does with an option.
type status uint8

const (
	supported status = iota
	// accepted options are parsed and then named in one warning: calls work the same without them.
	accepted
	// refused options stop the start: a call or an operator would miss what they ask for.
	refused
)

func (s status) String() string {
	return [...]string{"supported", "accepted with a warning", "refused"}[s]
}

// optionByName finds a row.
var optionByName = func() map[string]*option {
	m := make(map[string]*option, len(options))
	for i := range options {
		m[options[i].name] = &options[i]
	}
	return m
}()

// with builds rows that share everything but the name.
func with(o option, names string) []option {
	var rows []option
	for name := range strings.FieldsSeq(names) {
		row := o
		row.name = name
		rows = append(rows, row)
	}
	return rows
}

// concat joins parts of the table.
func concat(parts ...[]option) []option {
	var all []option
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
