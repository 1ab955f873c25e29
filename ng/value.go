package ng

import (
	"strconv"
	"unsafe"
)

// Kind tells what a [Value] holds.
type Kind uint8

// The kinds. JSON true and false are read as the integers 1 and 0, JSON null as KindNone.
const (
	KindNone Kind = iota
	KindString
	KindInt
	KindList
	KindDict
)

// Value is one bencode or JSON value. The zero value is absent (KindNone). Values are immutable once built.
//
// A request has dozens of them and a reply hundreds, so they are kept small: at refers to the bytes of a string, the
// items of a list or the dictionary, num is the number, or how many bytes or items there are.
type Value struct {
	at   unsafe.Pointer
	num  int64
	kind Kind
}

// String, Int, List and DictValue build values. List and DictValue keep their argument, they do not copy it.
func String(s string) Value {
	return Value{kind: KindString, at: unsafe.Pointer(unsafe.StringData(s)), num: int64(len(s))}
}
func Int(n int64) Value { return Value{kind: KindInt, num: n} }
func List(vs ...Value) Value {
	return Value{kind: KindList, at: unsafe.Pointer(unsafe.SliceData(vs)), num: int64(len(vs))}
}
func DictValue(d *Dict) Value   { return Value{kind: KindDict, at: unsafe.Pointer(d)} }
func Strings(ss []string) Value { return List(stringValues(ss)...) }

func stringValues(ss []string) []Value {
	vs := make([]Value, len(ss))
	for i, s := range ss {
		vs[i] = String(s)
	}
	return vs
}

// Kind names what v holds.
func (v Value) Kind() Kind { return v.kind }

// Str is the string held, or "" for any other kind.
func (v Value) Str() string {
	if v.kind != KindString {
		return ""
	}
	return unsafe.String((*byte)(v.at), v.num)
}

// List is the list held, or nil. It belongs to v: read only.
func (v Value) List() []Value {
	if v.kind != KindList {
		return nil
	}
	return unsafe.Slice((*Value)(v.at), v.num)
}

// Dict is the dictionary held, or nil. It belongs to v: read only.
func (v Value) Dict() *Dict {
	if v.kind != KindDict {
		return nil
	}
	return (*Dict)(v.at)
}

// String is v as JSON, for people to read.
func (v Value) String() string { return string(AppendJSON(nil, v)) }

// Int is the integer held; a decimal string counts as one, as proxies send most numbers as strings.
// ok is false for anything else.
func (v Value) Int() (n int64, ok bool) {
	switch v.kind {
	case KindInt:
		return v.num, true
	case KindString:
		n, err := strconv.ParseInt(v.Str(), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// Entry is one key with its value.
type Entry struct {
	Key   string
	Value Value
}

// Dict is a dictionary that keeps its order: replies are written in the order of insertion, never sorted.
// The zero value is empty. Not safe for concurrent changes.
type Dict struct {
	entries []Entry
}

// NewDict is an empty dictionary with room for n entries.
func NewDict(n int) *Dict { return &Dict{entries: make([]Entry, 0, n)} }

// Entries are the dictionary's entries in order; they belong to d: read only.
func (d *Dict) Entries() []Entry {
	if d == nil {
		return nil
	}
	return d.entries
}

// Value is the value of the first entry with exactly this key, or the zero Value.
func (d *Dict) Value(key string) Value {
	for _, e := range d.Entries() {
		if e.Key == key {
			return e.Value
		}
	}
	return Value{}
}

// Add appends an entry.
func (d *Dict) Add(key string, v Value) {
	if d.entries == nil {
		d.entries = make([]Entry, 0, 8) // few have less; growing from one would copy three times
	}
	d.entries = append(d.entries, Entry{key, v})
}

// AddString, AddInt append an entry of that kind.
func (d *Dict) AddString(key, s string)       { d.Add(key, String(s)) }
func (d *Dict) AddInt(key string, n int64)    { d.Add(key, Int(n)) }
func (d *Dict) AddDict(key string, sub *Dict) { d.Add(key, DictValue(sub)) }
