package ng

import "testing"

func TestValueInt(t *testing.T) {
	tests := []struct {
		in   Value
		want int64
		ok   bool
	}{
		{Int(5), 5, true},
		{String("-5"), -5, true},
		{String("x"), 0, false},
		{String(""), 0, false},
		{List(), 0, false},
		{Value{}, 0, false},
	}
	for _, tt := range tests {
		if got, ok := tt.in.Int(); got != tt.want || ok != tt.ok {
			t.Errorf("%v.Int() = %d, %v, want %d, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestDict(t *testing.T) {
	d := dict("a", 1, "b", List(String("x")), "a", 2)
	if n, _ := d.Value("a").Int(); n != 1 {
		t.Errorf("first of two = %d, want 1", n)
	}
	if got := d.Value("b").List()[0].Str(); got != "x" {
		t.Errorf("list item = %q, want x", got)
	}
	if k := d.Value("c").Kind(); k != KindNone {
		t.Errorf("absent key has kind %v", k)
	}
	if got := (*Dict)(nil).Value("a"); got.Kind() != KindNone {
		t.Errorf("nil dictionary holds %v", got)
	}
}
