package ng

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseJSON reads b as one JSON value, with nothing but white space around it. Objects keep their order and repeated
// keys; true and false become 1 and 0, null an absent value. A number that is no signed 64-bit integer becomes a
// string of its literal. Nesting stops at 32. Errors wrap [ErrSyntax], [ErrTruncated] or [ErrDepth].
// Source: RFC 8259.
func ParseJSON(b []byte) (Value, error) { return parseJSON(string(b)) }

func parseJSON(s string) (Value, error) {
	p := jsonParser{json.NewDecoder(strings.NewReader(s))}
	p.dec.UseNumber()
	v, err := p.next(0)
	if err == nil {
		_, err = p.dec.Token()
		switch {
		case errors.Is(err, io.EOF):
			return v, nil
		case err == nil:
			err = ErrSyntax // a second value
		default:
			err = jsonError(err)
		}
	}
	return Value{}, fmt.Errorf("json: %w at byte %d", err, p.dec.InputOffset())
}

type jsonParser struct{ dec *json.Decoder }

// jsonError turns the decoder's many errors into ours.
func jsonError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return ErrSyntax
}

func (p jsonParser) next(depth int) (Value, error) {
	tok, err := p.dec.Token()
	if err != nil {
		return Value{}, jsonError(err)
	}
	return p.value(tok, depth)
}

func (p jsonParser) value(tok json.Token, depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, ErrDepth
	}
	switch t := tok.(type) {
	case string:
		return String(t), nil
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return Int(n), nil
		}
		return String(t.String()), nil
	case bool:
		if t {
			return Int(1), nil
		}
		return Int(0), nil
	case json.Delim:
		if t == '{' {
			return p.object(depth)
		}
		return p.array(depth) // the decoder has paired the brackets
	}
	return Value{}, nil // null
}

func (p jsonParser) array(depth int) (Value, error) {
	var vs []Value
	for p.dec.More() {
		v, err := p.next(depth + 1)
		if err != nil {
			return Value{}, err
		}
		vs = append(vs, v)
	}
	return List(vs...), p.close()
}

func (p jsonParser) object(depth int) (Value, error) {
	d := new(Dict)
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return Value{}, jsonError(err)
		}
		key, ok := tok.(string)
		if !ok {
			return Value{}, ErrSyntax
		}
		v, err := p.next(depth + 1)
		if err != nil {
			return Value{}, err
		}
		d.Add(key, v)
	}
	return DictValue(d), p.close()
}

// close reads the bracket that More saw coming.
func (p jsonParser) close() error {
	if _, err := p.dec.Token(); err != nil {
		return jsonError(err)
	}
	return nil
}

// AppendJSON appends v to dst as JSON, objects in their own order. Bytes that are no UTF-8 become U+FFFD, since JSON
// has no other text.
func AppendJSON(dst []byte, v Value) []byte {
	switch v.kind {
	case KindString:
		return appendJSONString(dst, v.Str())
	case KindInt:
		return strconv.AppendInt(dst, v.num, 10)
	case KindList:
		dst = append(dst, '[')
		for i, item := range v.List() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSON(dst, item)
		}
		return append(dst, ']')
	case KindDict:
		dst = append(dst, '{')
		for i, e := range v.Dict().Entries() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, e.Key)
			dst = append(dst, ':')
			dst = AppendJSON(dst, e.Value)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r) // RuneError is U+FFFD
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}
