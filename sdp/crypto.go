package sdp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// maxMKI is the longest master key identifier in bytes, RFC 4568 section 6.1.
const maxMKI = 128

// ParseCrypto reads the value of an a=crypto line. Suite and key length are the caller's to judge. Of several inline
// keys the first is taken: it is the one in use from the start. Source: RFC 4568 section 9.
func ParseCrypto(value string) (c Crypto, err error) {
	var tag, keys, word string
	tag, value = field(value)
	c.Suite, value = field(value)
	keys, value = field(value)
	n, ok := parseUint(tag, 999_999_999) // nine digits, RFC 4568 section 4.1
	if !ok {
		return Crypto{}, fmt.Errorf("crypto tag %q", clip(tag))
	}
	c.Tag = int(n)
	keys, _, _ = strings.Cut(keys, ";")
	method, keys, _ := strings.Cut(keys, ":")
	if !strings.EqualFold(method, "inline") {
		return Crypto{}, errors.New("crypto without an inline key")
	}
	key, more, _ := strings.Cut(keys, "|")
	if c.KeySalt, c.Pad, err = decodeKey(key); err != nil {
		return Crypto{}, err
	}
	for more != "" {
		word, more, _ = strings.Cut(more, "|")
		if id, length, isMKI := strings.Cut(word, ":"); !isMKI {
			c.Lifetime = word
		} else if c.MKI, err = parseMKI(id, length); err != nil {
			return Crypto{}, err
		}
	}
	for value != "" {
		word, value = field(value)
		c.Params = append(c.Params, word)
	}
	return c, nil
}

// AppendCrypto appends the value of an a=crypto line.
func AppendCrypto(dst []byte, c Crypto) []byte {
	dst = append(strconv.AppendInt(dst, int64(c.Tag), 10), ' ')
	dst = append(append(dst, c.Suite...), " inline:"...)
	if c.Pad {
		dst = base64.StdEncoding.AppendEncode(dst, c.KeySalt)
	} else {
		dst = base64.RawStdEncoding.AppendEncode(dst, c.KeySalt)
	}
	if c.Lifetime != "" {
		dst = append(append(dst, '|'), c.Lifetime...)
	}
	if len(c.MKI) > 0 {
		dst = append(dst, '|')
		dst = new(big.Int).SetBytes(c.MKI).Append(dst, 10)
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, int64(len(c.MKI)), 10)
	}
	for _, p := range c.Params {
		dst = append(append(dst, ' '), p...)
	}
	return dst
}

// decodeKey reads base64 with or without its padding; padded tells which.
func decodeKey(s string) (key []byte, padded bool, err error) {
	bare := strings.TrimRight(s, "=")
	if key, err = base64.RawStdEncoding.DecodeString(bare); err != nil {
		return nil, false, errors.New("crypto key is not base64") // the key itself stays out of logs
	}
	if len(key) == 0 {
		return nil, false, errors.New("crypto key is empty")
	}
	return key, len(bare) != len(s), nil
}

func parseMKI(id, length string) ([]byte, error) {
	n, ok := parseUint(length, maxMKI)
	if !ok || n == 0 {
		return nil, fmt.Errorf("crypto MKI length %q", clip(length))
	}
	// 2^1024 has 309 digits: refuse more before doing arithmetic on them.
	if len(id) > 309 || id == "" || strings.Trim(id, "0123456789") != "" {
		return nil, fmt.Errorf("crypto MKI %q", clip(id))
	}
	v, _ := new(big.Int).SetString(id, 10)
	if v.BitLen() > int(n)*8 {
		return nil, fmt.Errorf("crypto MKI %q does not fit %d bytes", clip(id), n)
	}
	return v.FillBytes(make([]byte, n)), nil
}
