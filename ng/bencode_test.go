package ng

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// dump writes v so that two values look the same if and only if they are. (cmp.Diff takes exponential time on nesting.)
func dump(v Value) string {
	var b strings.Builder
	switch v.Kind() {
	case KindString:
		fmt.Fprintf(&b, "%q", v.Str())
	case KindInt:
		n, _ := v.Int()
		fmt.Fprint(&b, n)
	case KindList:
		b.WriteString("[")
		for _, item := range v.List() {
			b.WriteString(dump(item) + " ")
		}
		b.WriteString("]")
	case KindDict:
		b.WriteString("{")
		for _, e := range v.Dict().Entries() {
			fmt.Fprintf(&b, "%q: %s ", e.Key, dump(e.Value))
		}
		b.WriteString("}")
	}
	return b.String()
}

func dict(kv ...any) *Dict {
	d := new(Dict)
	for i := 0; i < len(kv); i += 2 {
		switch v := kv[i+1].(type) {
		case string:
			d.AddString(kv[i].(string), v)
		case int:
			d.AddInt(kv[i].(string), int64(v))
		case *Dict:
			d.AddDict(kv[i].(string), v)
		case Value:
			d.Add(kv[i].(string), v)
		}
	}
	return d
}

func TestParseBencode(t *testing.T) {
	deep := strings.Repeat("l", maxDepth+1) + strings.Repeat("e", maxDepth+1)
	tests := []struct {
		name, in string
		want     Value
		rest     string
		err      error
	}{
		{name: "string", in: "4:ping", want: String("ping")},
		{name: "empty string", in: "0:", want: String("")},
		{name: "binary string", in: "3:\x00\xff:", want: String("\x00\xff:")},
		{name: "integer", in: "i42e", want: Int(42)},
		{name: "negative", in: "i-9223372036854775808e", want: Int(-1 << 63)},
		{name: "minus zero", in: "i-0e", want: Int(0)},
		{name: "empty list", in: "le", want: List()},
		{name: "list", in: "l1:ai1elee", want: List(String("a"), Int(1), List())},
		{name: "dictionary keeps its order", in: "d1:bi1e1:ai2ee", want: DictValue(dict("b", 1, "a", 2))},
		{name: "repeated key", in: "d1:ai1e1:ai2ee", want: DictValue(dict("a", 1, "a", 2))},
		{name: "nested", in: "d1:ad1:bl1:cee1:d1:ee", want: DictValue(dict("a", dict("b", List(String("c"))), "d", "e"))},
		{name: "last e missing", in: "d1:ai1e", want: DictValue(dict("a", 1))},
		{name: "nothing but d", in: "d", want: DictValue(dict())},
		{name: "trailing bytes", in: "d1:ai1eejunk", want: DictValue(dict("a", 1)), rest: "junk"},
		{name: "empty", in: "", err: ErrTruncated},
		{name: "inner e missing", in: "d1:ad1:bi1e", err: ErrTruncated},
		{name: "list without e", in: "l1:a", err: ErrTruncated},
		{name: "key without value", in: "d1:a", err: ErrTruncated},
		{name: "key without value, e", in: "d1:ae", err: ErrSyntax},
		{name: "integer as key", in: "di1e1:ae", err: ErrSyntax},
		{name: "length that lies", in: "d99999999:ae", err: ErrTruncated},
		{name: "length beyond 64 bits", in: "99999999999999999999999:a", err: ErrTruncated},
		{name: "length only", in: "12", err: ErrTruncated},
		{name: "length with leading zero", in: "01:a", err: ErrSyntax},
		{name: "negative length", in: "-1:a", err: ErrSyntax},
		{name: "no colon", in: "4ping", err: ErrSyntax},
		{name: "open integer", in: "i42", err: ErrTruncated},
		{name: "empty integer", in: "ie", err: ErrSyntax},
		{name: "plus", in: "i+1e", err: ErrSyntax},
		{name: "two minus", in: "i--1e", err: ErrSyntax},
		{name: "integer with leading zero", in: "i05e", err: ErrSyntax},
		{name: "integer beyond 64 bits", in: "i9223372036854775808e", err: ErrSyntax},
		{name: "unknown byte", in: "x", err: ErrSyntax},
		{name: "deepest", in: deep, want: nested(maxDepth + 1)},
		{name: "too deep", in: "l" + deep + "e", err: ErrDepth},
		{name: "much too deep", in: strings.Repeat("l", 100_000), err: ErrDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, err := ParseBencode([]byte(tt.in))
			if !errors.Is(err, tt.err) {
				t.Fatalf("ParseBencode(%q) error = %v, want %v", tt.in, err, tt.err)
			}
			if got, want := dump(got), dump(tt.want); got != want {
				t.Errorf("ParseBencode(%q) = %s, want %s", tt.in, got, want)
			}
			if string(rest) != tt.rest {
				t.Errorf("ParseBencode(%q) rest = %q, want %q", tt.in, rest, tt.rest)
			}
		})
	}
}

// nested is n lists in each other.
func nested(n int) Value {
	v := List()
	for range n - 1 {
		v = List(v)
	}
	return v
}

func TestParseBencodeManyMembers(t *testing.T) {
	want := new(Dict)
	for i := range 100 {
		want.Add(fmt.Sprint(i), Strings(strings.Split(strings.Repeat("x ", i), " ")))
	}
	b := AppendBencode(nil, DictValue(want))
	got, _, err := ParseBencode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dump(got), dump(DictValue(want)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppendBencode(t *testing.T) {
	tests := []struct {
		name string
		in   Value
		want string
	}{
		{"dictionary", DictValue(dict("b", 1, "a", List(String("x"), Int(-2)))), "d1:bi1e1:al1:xi-2eee"},
		{"absent member", DictValue(dict("a", Value{}, "b", 1)), "d1:bi1ee"},
		{"absent item", List(Value{}), "l0:e"},
		{"no dictionary", DictValue(nil), "de"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AppendBencode(nil, tt.in); string(got) != tt.want {
				t.Errorf("AppendBencode(%v) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzParseBencode(f *testing.F) {
	for _, s := range []string{"d7:command4:pinge", "d7:command4:ping", "l1:ai1elee", "d3:foo99:", "i-0e", "llllllll", string(offer())} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, rest, err := ParseBencode(in)
		if err != nil {
			return
		}
		if len(rest) > len(in) {
			t.Fatalf("rest %q is longer than the input", rest)
		}
		out := AppendBencode(nil, v)
		again, rest, err := ParseBencode(out)
		if err != nil || len(rest) != 0 {
			t.Fatalf("ParseBencode(%q) = rest %q, error %v", out, rest, err)
		}
		if dump(v) != dump(again) {
			t.Fatalf("%q reads differently as %q", in, out)
		}
		if !bytes.Equal(out, AppendBencode(nil, again)) {
			t.Fatalf("AppendBencode differs for %q", out)
		}
	})
}

// offer is the "offer" of a browser with four media, about 6 KiB, and 30 flags.
func offer() []byte {
	var sdp strings.Builder
	sdp.WriteString("v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2 3\r\n")
	for mid := range 4 {
		fmt.Fprintf(&sdp, "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\n", mid)
		for i := range 30 {
			fmt.Fprintf(&sdp, "a=candidate:%d 1 udp 2122260223 192.0.2.1 5%04d typ host\r\n", i, i)
		}
	}
	var flags []string
	for i := range 30 {
		flags = append(flags, fmt.Sprintf("some-flag-%d", i))
	}
	return AppendBencode(nil, DictValue(dict("command", "offer", "call-id", "a84b4c76e66710@pc33.example.com",
		"from-tag", "1928301774", "sdp", sdp.String(), "flags", Strings(flags), "ICE", "remove",
		"replace", Strings([]string{"origin", "session-connection"}), "transport-protocol", "RTP/AVP",
		"received-from", Strings([]string{"IP4", "192.0.2.7"}))))
}

func BenchmarkParseBencode(b *testing.B) {
	in := offer()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseBencode(in); err != nil {
			b.Fatal(err)
		}
	}
}
