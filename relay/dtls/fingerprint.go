package dtls

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"strings"
)

// Fingerprint is one a=fingerprint of signalling, RFC 8122 section 5.
type Fingerprint struct {
	Hash   string // "sha-256"; compared without regard to case
	Digest []byte
}

// hashes are the functions we know, RFC 8122 section 5. Its MD2 and MD5 "MUST NOT be used", and nobody does.
var hashes = map[string]func(der []byte) []byte{
	"sha-1":   func(b []byte) []byte { d := sha1.Sum(b); return d[:] },
	"sha-224": func(b []byte) []byte { d := sha256.Sum224(b); return d[:] },
	"sha-256": func(b []byte) []byte { d := sha256.Sum256(b); return d[:] },
	"sha-384": func(b []byte) []byte { d := sha512.Sum384(b); return d[:] },
	"sha-512": func(b []byte) []byte { d := sha512.Sum512(b); return d[:] },
}

// match is the hash function of the first fingerprint that the certificate has, "" when it has none of them.
func match(der []byte, fingerprints []Fingerprint) string {
	for _, f := range fingerprints {
		name := strings.ToLower(f.Hash)
		if sum := hashes[name]; sum != nil && bytes.Equal(sum(der), f.Digest) {
			return name
		}
	}
	return ""
}

// known tells whether at least one fingerprint could ever match.
func known(fingerprints []Fingerprint) bool {
	for _, f := range fingerprints {
		if hashes[strings.ToLower(f.Hash)] != nil {
			return true
		}
	}
	return false
}
