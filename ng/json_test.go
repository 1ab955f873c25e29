package ng

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseJSON(t *testing.T) {
	tests := []struct {
		name, in string
		want     Value
		err      error
	}{
		{name: "request", in: `{"command":"ping"}`, want: DictValue(dict("command", "ping"))},
		{name: "white space", in: " {\"a\" : 1 }\r\n", want: DictValue(dict("a", 1))},
		{name: "order and repeats", in: `{"b":1,"a":2,"b":3}`, want: DictValue(dict("b", 1, "a", 2, "b", 3))},
		{name: "booleans", in: `[true,false]`, want: List(Int(1), Int(0))},
		{name: "null", in: `{"a":null}`, want: DictValue(dict("a", Value{}))},
		{name: "integer", in: `-9223372036854775808`, want: Int(-1 << 63)},
		{name: "fraction", in: `1.5`, want: String("1.5")},
		{name: "integer beyond 64 bits", in: `9223372036854775808`, want: String("9223372036854775808")},
		{name: "nested", in: `{"a":{"b":["c",{}]},"d":[]}`, want: DictValue(dict("a", dict("b", List(String("c"), DictValue(dict()))), "d", List()))},
		{name: "escapes", in: `"\u00e9\r\n\ud83d\ude00"`, want: String("é\r\n😀")},
		{name: "empty", in: ``, err: ErrTruncated},
		{name: "open object", in: `{"a":1`, err: ErrTruncated},
		{name: "open array", in: `[1,`, err: ErrTruncated},
		{name: "open string", in: `{"a":"b`, err: ErrTruncated},
		{name: "key is no string", in: `{1:2}`, err: ErrSyntax},
		{name: "missing colon", in: `{"a" 1}`, err: ErrSyntax},
		{name: "missing value", in: `{"a":}`, err: ErrSyntax},
		{name: "missing comma", in: `{"a":1 "b":2}`, err: ErrSyntax},
		{name: "wrong bracket", in: `[1}`, err: ErrSyntax},
		{name: "no JSON", in: `{command=ping}`, err: ErrSyntax},
		{name: "second value", in: `{} {}`, err: ErrSyntax},
		{name: "junk behind", in: `{} x`, err: ErrSyntax},
		{name: "deepest", in: strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), want: nested(maxDepth + 1)},
		{name: "too deep", in: strings.Repeat("[", 100_000), err: ErrDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseJSON([]byte(tt.in))
			if !errors.Is(err, tt.err) {
				t.Fatalf("ParseJSON(%q) error = %v, want %v", tt.in, err, tt.err)
			}
			if got, want := dump(got), dump(tt.want); got != want {
				t.Errorf("ParseJSON(%q) = %s, want %s", tt.in, got, want)
			}
		})
	}
}

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		name string
		in   Value
		want string
	}{
		{"object", DictValue(dict("b", 1, "a", List(String("x"), Int(-2), Value{}))), `{"b":1,"a":["x",-2,null]}`},
		{"escapes", String("a\"b\\c\r\n\t\x00\x1f\x7f/<é"), `"a\"b\\c\r\n\t\u0000\u001f\u007f/<é"`},
		{"no UTF-8", String("a\xffb"), "\"a\ufffdb\""},
		{"empty", List(DictValue(nil), List()), `[{},[]]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AppendJSON(nil, tt.in); string(got) != tt.want {
				t.Errorf("AppendJSON(%v) = %s, want %s", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"command":"ping"}`, `[1,1.5,true,null,"\u0000"]`, `{"a":{"a":[{}]}}`, `{"a"`, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := ParseJSON(in)
		if err != nil {
			return
		}
		if !json.Valid(in) {
			t.Fatalf("ParseJSON takes %q, which is no JSON", in)
		}
		out := AppendJSON(nil, v)
		again, err := ParseJSON(out)
		if err != nil {
			t.Fatalf("ParseJSON(%q) = %v", out, err)
		}
		if dump(v) != dump(again) {
			t.Fatalf("%q reads differently as %q", in, out)
		}
	})
}
