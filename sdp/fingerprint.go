package sdp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// digestLen is the digest length in bytes of the hash functions of RFC 8122 section 5.
var digestLen = map[string]int{
	"md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64,
}

// ParseFingerprint reads the value of an a=fingerprint line. A hash without a name in RFC 8122 may have any length.
func ParseFingerprint(value string) (Fingerprint, error) {
	hash, text := field(value)
	text = trim(text)
	f := Fingerprint{Hash: strings.ToLower(hash)}
	if hash == "" || len(text)%3 != 2 {
		return Fingerprint{}, errors.New("fingerprint not of the form hash AB:CD:…")
	}
	f.Digest = make([]byte, 0, (len(text)+1)/3)
	for i := 0; i < len(text); i += 3 {
		hi, lo := unhex(text[i]), unhex(text[i+1])
		if hi|lo > 0xf || i+2 < len(text) && text[i+2] != ':' {
			return Fingerprint{}, errors.New("fingerprint digest is not hexadecimal")
		}
		f.Digest = append(f.Digest, hi<<4|lo)
	}
	if n, known := digestLen[f.Hash]; known && n != len(f.Digest) {
		return Fingerprint{}, fmt.Errorf("fingerprint %s of %d bytes", f.Hash, len(f.Digest))
	}
	return f, nil
}

func (f *Fingerprint) equal(o *Fingerprint) bool {
	return f.Hash == o.Hash && bytes.Equal(f.Digest, o.Digest)
}

// AppendFingerprint appends the value of an a=fingerprint line.
func AppendFingerprint(dst []byte, f Fingerprint) []byte {
	dst = append(append(dst, f.Hash...), ' ')
	for i, b := range f.Digest {
		if i > 0 {
			dst = append(dst, ':')
		}
		start := len(dst)
		dst = hex.AppendEncode(dst, []byte{b})
		for j := start; j < len(dst); j++ {
			if dst[j] >= 'a' {
				dst[j] -= 'a' - 'A'
			}
		}
	}
	return dst
}

// unhex is the value of a hexadecimal digit, more than 15 when c is none.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

var setupNames = [...]string{SetupActPass: "actpass", SetupActive: "active", SetupPassive: "passive", SetupHoldConn: "holdconn"}

// String is the role as written in a=setup, "" for SetupNone.
func (s Setup) String() string { return setupNames[s] }

// parseSetup is the role that s names, SetupNone when it names none.
func parseSetup(s string) Setup {
	for role, name := range setupNames {
		if name != "" && strings.EqualFold(name, s) {
			return Setup(role)
		}
	}
	return SetupNone
}
