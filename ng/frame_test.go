package ng

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSplitCookie(t *testing.T) {
	tests := []struct {
		in, cookie, payload string
		ok                  bool
	}{
		{"c de", "c", "de", true},
		{"c ", "c", "", true},
		{"c  de", "c", " de", true},
		{"c", "c", "", false},
		{" de", "", "de", false},
		{"", "", "", false},
	}
	for _, tt := range tests {
		cookie, payload, ok := SplitCookie(tt.in)
		if cookie != tt.cookie || payload != tt.payload || ok != tt.ok {
			t.Errorf("SplitCookie(%q) = %q, %q, %v, want %q, %q, %v", tt.in, cookie, payload, ok, tt.cookie, tt.payload, tt.ok)
		}
	}
	if got := string(AppendFrame(nil, "c", []byte("de"))); got != "c de" {
		t.Errorf("AppendFrame = %q, want %q", got, "c de")
	}
}

func messages(r io.Reader) ([]string, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxMessage)
	s.Split(new(splitter).Split)
	var got []string
	for s.Scan() {
		got = append(got, s.Text())
	}
	return got, s.Err()
}

func TestSplitter(t *testing.T) {
	big := "b d3:sdp100000:" + strings.Repeat("x", 100_000) + "e"
	huge := "b {\"" + strings.Repeat("x", maxMessage)
	tests := []struct {
		name, in string
		want     []string
		err      error
	}{
		{name: "nothing", in: ""},
		{name: "one", in: "c d7:command4:pinge", want: []string{"c d7:command4:pinge"}},
		{name: "two without separator", in: "c dec2 de", want: []string{"c de", "c2 de"}},
		{name: "new lines between", in: "\r\nc de\nc2 de\n", want: []string{"c de", "c2 de"}},
		{name: "nested", in: "c d1:ad1:bl1:ei-5eeeec2 de", want: []string{"c d1:ad1:bl1:ei-5eeee", "c2 de"}},
		{name: "bytes inside strings do not count", in: "c d1:a3:eeeec2 de", want: []string{"c d1:a3:eeee", "c2 de"}},
		{name: "json", in: `c {"a":{"b":"}\"}\\"}}c2 de`, want: []string{`c {"a":{"b":"}\"}\\"}}`, "c2 de"}},
		{name: "json then json", in: `c {} c2 {}`, want: []string{`c {}`, `c2 {}`}},
		{name: "big", in: big + "c de", want: []string{big, "c de"}},
		{name: "end of stream in a message", in: "c d7:command4:ping", want: []string{"c d7:command4:ping"}},
		{name: "end of stream in a cookie", in: "c de abc", want: []string{"c de", "abc"}},
		{name: "neither form", in: "c xyz c2 de", want: []string{"c xyz c2 de"}},
		{name: "two spaces", in: "c  de", want: []string{"c  de"}},
		{name: "bad bencode", in: "c d1:ax", want: []string{"c d1:ax"}},
		{name: "bad length", in: "c d99999999999:x", want: []string{"c d99999999999:x"}},
		{name: "length beyond a message", in: "c d1048577:x", want: []string{"c d1048577:x"}},
		{name: "endless number", in: "c di" + strings.Repeat("1", 30), want: []string{"c di" + strings.Repeat("1", 30)}},
		{name: "too long", in: huge, err: bufio.ErrTooLong},
	}
	for _, tt := range tests {
		for how, r := range map[string]io.Reader{
			"whole":       strings.NewReader(tt.in),
			"byte wise":   iotest.OneByteReader(strings.NewReader(tt.in)),
			"with errors": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				got, err := messages(r)
				if tt.err == nil && how == "byte wise" && len(got) > 0 { // what is broken is passed on at its first bad byte
					last, want := got[len(got)-1], tt.want[len(tt.want)-1]
					if strings.HasPrefix(want, last) {
						got[len(got)-1] = want
					}
				}
				if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
					t.Errorf("messages of %.60q = %.60q, %v, want %.60q, %v", tt.in, got, err, tt.want, tt.err)
				}
			})
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{"c d7:command4:pingec2 de", "c {\"a\":\"}\"}\nc2 de", "c i5e", " ", "c d9999:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := messages(bytes.NewReader(in))
		if err != nil {
			t.Fatalf("messages(%q): %v", in, err)
		}
		single, err := messages(iotest.OneByteReader(bytes.NewReader(in)))
		if err != nil {
			t.Fatalf("messages(%q) byte by byte: %v", in, err)
		}
		// Only the last may differ: bad input is passed on as far as it was read.
		if len(whole) != len(single) || len(whole) > 0 && !slices.Equal(whole[:len(whole)-1], single[:len(single)-1]) {
			t.Fatalf("messages(%q) = %q, byte by byte %q", in, whole, single)
		}
		for _, m := range whole {
			if cookie, payload, ok := SplitCookie(m); ok {
				decode(payload)
				if cookie == "" {
					t.Fatalf("empty cookie in %q", m)
				}
			}
		}
	})
}
