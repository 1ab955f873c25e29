package ng

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxDepth is how deep lists and dictionaries may nest. The deepest real requests (rtpp-flags dictionaries) use four.
const maxDepth = 32

// Parse errors; they are wrapped with the byte offset where reading stopped.
var (
	ErrTruncated = errors.New("message ends too early")
	ErrSyntax    = errors.New("syntax error")
	ErrDepth     = errors.New("nested too deeply")
)

// ParseBencode reads one value from the front of b and returns it with the rest of b.
//
// All strings of the value share one private copy of b, so strings.Clone what is to live long after the others.
// Keys may come in any order and repeat. The last "e" of an outermost dictionary may be missing, as the reference
// tolerates. Nesting stops at 32. The cost is O(len(b)), whatever lengths b claims.
// Errors wrap [ErrTruncated], [ErrSyntax] or [ErrDepth] with the byte offset. Source: BEP 3, "bencoding".
func ParseBencode(b []byte) (v Value, rest []byte, err error) {
	v, n, err := parseBencode(string(b))
	if err != nil {
		return Value{}, nil, err
	}
	return v, b[n:], nil
}

// parseBencode is ParseBencode on a string, which the value's strings alias; n is the number of bytes read.
func parseBencode(s string) (v Value, n int, err error) {
	p := parsers.Get().(*bencodeParser)
	defer p.release()
	p.s = s
	v, err = p.value(0)
	if err != nil {
		return Value{}, 0, fmt.Errorf("bencode: %w at byte %d", err, p.pos)
	}
	return v, p.pos, nil
}

var parsers = sync.Pool{New: func() any { return new(bencodeParser) }}

// release gives the parser back without what it has read.
func (p *bencodeParser) release() {
	clear(p.values[:cap(p.values)])
	clear(p.entries[:cap(p.entries)])
	*p = bencodeParser{values: p.values[:0], entries: p.entries[:0]}
	if cap(p.values)+cap(p.entries) <= maxKept {
		parsers.Put(p)
	}
}

// maxKept bounds the stacks that are kept for the next message.
const maxKept = 1024

// bencodeParser collects the members of open lists and dictionaries on two stacks; a container that closes takes
// its members off in one slice of the right size.
type bencodeParser struct {
	s       string
	pos     int
	values  []Value
	entries []Entry
}

func (p *bencodeParser) value(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, ErrDepth
	}
	if p.pos >= len(p.s) {
		return Value{}, ErrTruncated
	}
	switch c := p.s[p.pos]; {
	case c >= '0' && c <= '9':
		s, err := p.str()
		return String(s), err
	case c == 'i':
		return p.integer()
	case c == 'l':
		p.pos++
		return p.list(depth)
	case c == 'd':
		p.pos++
		return p.dict(depth)
	}
	return Value{}, ErrSyntax
}

func (p *bencodeParser) str() (string, error) {
	digits := 0
	for p.pos+digits < len(p.s) && p.s[p.pos+digits] >= '0' && p.s[p.pos+digits] <= '9' {
		digits++
	}
	if p.pos+digits == len(p.s) {
		return "", ErrTruncated
	}
	if digits == 0 || p.s[p.pos+digits] != ':' || digits > 1 && p.s[p.pos] == '0' {
		return "", ErrSyntax
	}
	n, err := strconv.Atoi(p.s[p.pos : p.pos+digits])
	start := p.pos + digits + 1
	if err != nil || n > len(p.s)-start {
		return "", ErrTruncated
	}
	p.pos = start + n
	return p.s[start:p.pos], nil
}

func (p *bencodeParser) integer() (Value, error) {
	n := strings.IndexByte(p.s[p.pos:], 'e')
	if n < 0 {
		return Value{}, ErrTruncated
	}
	text := p.s[p.pos+1 : p.pos+n]
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || digits[0] == '+' || len(digits) > 1 && digits[0] == '0' {
		return Value{}, ErrSyntax
	}
	num, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return Value{}, ErrSyntax
	}
	p.pos += n + 1
	return Int(num), nil
}

func (p *bencodeParser) list(depth int) (Value, error) {
	mark := len(p.values)
	for !p.end() {
		v, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		p.values = append(p.values, v)
	}
	v := List(slices.Clone(p.values[mark:])...)
	p.values = p.values[:mark]
	return v, nil
}

func (p *bencodeParser) dict(depth int) (Value, error) {
	mark := len(p.entries)
	for !p.end() {
		if depth == 0 && p.pos == len(p.s) {
			break // the missing last "e"
		}
		key, err := p.str()
		if err != nil {
			return Value{}, err
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		p.entries = append(p.entries, Entry{key, v})
	}
	d := &Dict{entries: slices.Clone(p.entries[mark:])}
	p.entries = p.entries[:mark]
	return DictValue(d), nil
}

// end consumes the "e" of the open container, if it is next.
func (p *bencodeParser) end() bool {
	if p.pos < len(p.s) && p.s[p.pos] == 'e' {
		p.pos++
		return true
	}
	return false
}

// AppendBencode appends v to dst, dictionaries in their own order. An absent value is written as the empty string,
// or left out together with its key inside a dictionary.
func AppendBencode(dst []byte, v Value) []byte {
	switch v.kind {
	case KindInt:
		dst = append(dst, 'i')
		dst = strconv.AppendInt(dst, v.num, 10)
		return append(dst, 'e')
	case KindList:
		dst = append(dst, 'l')
		for _, item := range v.List() {
			dst = AppendBencode(dst, item)
		}
		return append(dst, 'e')
	case KindDict:
		dst = append(dst, 'd')
		for _, e := range v.Dict().Entries() {
			if e.Value.kind != KindNone {
				dst = appendBencodeString(dst, e.Key)
				dst = AppendBencode(dst, e.Value)
			}
		}
		return append(dst, 'e')
	}
	return appendBencodeString(dst, v.Str())
}

func appendBencodeString(dst []byte, s string) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	return append(dst, s...)
}
