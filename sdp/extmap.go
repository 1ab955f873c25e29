package sdp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseExtmap reads the value of an a=extmap line. Source: RFC 8285 section 8.
func ParseExtmap(value string) (e Extmap, err error) {
	id, value := field(value)
	id, e.Direction, _ = strings.Cut(id, "/")
	e.URI, e.Params = field(value)
	// 4096 to 4351 offer more extensions than there are numbers, RFC 8285 section 7.
	n, ok := parseUint(id, 4351)
	if !ok || n == 0 {
		return Extmap{}, fmt.Errorf("extmap number %q", clip(id))
	}
	if e.URI == "" {
		return Extmap{}, errors.New("extmap without a name")
	}
	e.ID = int(n)
	return e, nil
}

// AppendExtmap appends the value of an a=extmap line.
func AppendExtmap(dst []byte, e Extmap) []byte {
	dst = strconv.AppendInt(dst, int64(e.ID), 10)
	if e.Direction != "" {
		dst = append(append(dst, '/'), e.Direction...)
	}
	dst = append(append(dst, ' '), e.URI...)
	if e.Params != "" {
		dst = append(append(dst, ' '), e.Params...)
	}
	return dst
}
