// Package tape records the NG traffic between a live proxy and its media relay, without what is secret in it, and compares
// the replies of another daemon with those on the tape.
package tape

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"rtpsidecar/ng"
)

// Version is that of the file's form.
const Version = 1

// Head is the first line of a tape.
type Head struct {
	Tape    int       `json:"tape"`
	Started time.Time `json:"started"`
	Daemon  string    `json:"daemon"`
	Note    string    `json:"note"`
}

// Entry is one exchange, a line of the tape.
type Entry struct {
	AtMS    float64         `json:"at_ms"`   // since the start
	TookMS  float64         `json:"took_ms"` // until the reply
	Client  string          `json:"client"`  // address of the proxy's process
	Wire    string          `json:"wire"`    // bencode or json
	Repeats int             `json:"repeats,omitempty"`
	Request json.RawMessage `json:"request"`
	Reply   json.RawMessage `json:"reply,omitempty"` // absent: none came
}

// Writer writes a tape; not safe for concurrent use.
type Writer struct{ enc *json.Encoder }

// NewWriter writes the head.
func NewWriter(w io.Writer, h Head) (*Writer, error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	h.Tape = Version
	return &Writer{enc}, enc.Encode(h)
}

// Write appends one exchange.
func (w *Writer) Write(e Entry) error { return w.enc.Encode(e) }

// ErrNoTape is a file that is none.
var ErrNoTape = errors.New("not a tape of sidecar-lab record")

// Read reads a tape. An error names the line.
func Read(r io.Reader) (h Head, entries []Entry, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			if json.Unmarshal(lines.Bytes(), &h) != nil || h.Tape == 0 {
				return h, nil, ErrNoTape
			}
			if h.Tape > Version {
				return h, nil, fmt.Errorf("tape of version %d; this program knows %d", h.Tape, Version)
			}
			continue
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return h, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, err := Dict(e.Request); err != nil {
			return h, nil, fmt.Errorf("line %d: request: %w", n, err)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return h, nil, err
	}
	if h.Tape == 0 {
		return h, nil, ErrNoTape
	}
	return h, entries, nil
}

// Dict is a message of a tape as a dictionary.
func Dict(raw json.RawMessage) (*ng.Dict, error) {
	v, err := ng.ParseJSON(raw)
	if err == nil && v.Kind() != ng.KindDict {
		err = errors.New("not a dictionary")
	}
	return v.Dict(), err
}
