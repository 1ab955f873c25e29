package srtp

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
)

// MaxMKILen is the longest master key identifier in bytes that is appended to packets.
const MaxMKILen = 255

// MaxOverhead is the most that protecting adds to a packet: GCM tag, SRTCP index and MKI.
const MaxOverhead = 16 + 4 + MaxMKILen

// Params are one master key and the session parameters of RFC 4568 section 6.3 that go with it. They print without the
// key.
type Params struct {
	Suite *Suite
	Key   []byte // Suite.KeyLen bytes
	Salt  []byte // Suite.SaltLen bytes
	MKI   []byte // appended to packets as it is; empty: none

	UnencryptedRTP  bool // GCM then authenticates the payload as it stands
	UnencryptedRTCP bool // for sending; receiving follows the E flag of each packet
	// UnauthenticatedRTP leaves the tag away, and with it the protection against replays and the care with which an
	// SSRC is believed. GCM has no such mode and ignores it.
	UnauthenticatedRTP bool
}

// NewParams draws a fresh master key and salt from random, which is crypto/rand.Reader except in tests.
func NewParams(s *Suite, random io.Reader) (Params, error) {
	key := make([]byte, s.KeyLen+s.SaltLen)
	if _, err := io.ReadFull(random, key); err != nil {
		return Params{}, fmt.Errorf("master key: %w", err)
	}
	return Params{Suite: s, Key: key[:s.KeyLen:s.KeyLen], Salt: key[s.KeyLen:]}, nil
}

// Validate checks the lengths.
func (p Params) Validate() error {
	switch {
	case p.Suite == nil:
		return fmt.Errorf("srtp: no crypto suite")
	case len(p.Key) != p.Suite.KeyLen:
		return fmt.Errorf("srtp: %s with a master key of %d bytes, not %d", p.Suite, len(p.Key), p.Suite.KeyLen)
	case len(p.Salt) != p.Suite.SaltLen:
		return fmt.Errorf("srtp: %s with a master salt of %d bytes, not %d", p.Suite, len(p.Salt), p.Suite.SaltLen)
	case len(p.MKI) > MaxMKILen:
		return fmt.Errorf("srtp: MKI of %d bytes, more than %d", len(p.MKI), MaxMKILen)
	}
	return nil
}

// Equal tells whether packets protected under p are also packets protected under q, so that they may pass unchanged.
func (p Params) Equal(q Params) bool {
	return p.Suite == q.Suite && bytes.Equal(p.Key, q.Key) && bytes.Equal(p.Salt, q.Salt) && bytes.Equal(p.MKI, q.MKI) &&
		p.UnencryptedRTP == q.UnencryptedRTP && p.UnencryptedRTCP == q.UnencryptedRTCP &&
		p.UnauthenticatedRTP == q.UnauthenticatedRTP
}

// String names the suite and nothing secret.
func (p Params) String() string { return p.Suite.String() }

// GoString is String: keys never appear, whatever the verb.
func (p Params) GoString() string { return p.String() }

// LogValue keeps keys out of logs.
func (p Params) LogValue() slog.Value { return slog.StringValue(p.String()) }

// SessionKeys are the keys derived from a master key, for one who transforms packets elsewhere. The authentication keys
// have 20 bytes; they are nil for GCM. NULL suites have the cipher keys nevertheless.
type SessionKeys struct {
	RTPKey, RTPAuth, RTPSalt    []byte
	RTCPKey, RTCPAuth, RTCPSalt []byte
}

// The labels of RFC 3711 section 4.3.1; RTCP's are three higher than RTP's (section 4.3.2).
const (
	labelKey   = 0
	labelAuth  = 1
	labelSalt  = 2
	labelsRTCP = 3
)

// authKeyLen is the length in bytes of an HMAC-SHA1 session key, RFC 3711 section 5.2.
const authKeyLen = 20

// SessionKeys derives the session keys. The key derivation rate is 0: they last as long as the master key.
// Source: RFC 3711 section 4.3, RFC 6188 section 3, RFC 7714 section 11.
func (p Params) SessionKeys() (SessionKeys, error) {
	if err := p.Validate(); err != nil {
		return SessionKeys{}, err
	}
	prf, err := aes.NewCipher(p.Key)
	if err != nil {
		return SessionKeys{}, err
	}
	derive := func(label byte, n int) []byte {
		var in [aes.BlockSize]byte
		copy(in[:], p.Salt) // a salt of 12 bytes is padded on the right
		in[7] ^= label
		out := make([]byte, 0, n+aes.BlockSize)
		for block := uint16(0); len(out) < n; block++ {
			binary.BigEndian.PutUint16(in[14:], block)
			prf.Encrypt(out[len(out):len(out)+aes.BlockSize], in[:])
			out = out[:len(out)+aes.BlockSize]
		}
		return out[:n:n]
	}
	k := SessionKeys{
		RTPKey:   derive(labelKey, p.Suite.KeyLen),
		RTPSalt:  derive(labelSalt, p.Suite.SaltLen),
		RTCPKey:  derive(labelsRTCP+labelKey, p.Suite.KeyLen),
		RTCPSalt: derive(labelsRTCP+labelSalt, p.Suite.SaltLen),
	}
	if p.Suite.Cipher != AEAD {
		k.RTPAuth = derive(labelAuth, authKeyLen)
		k.RTCPAuth = derive(labelsRTCP+labelAuth, authKeyLen)
	}
	return k, nil
}
