package tape

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"strings"

	"rtpsidecar/ng"
)

// Scrubber takes secrets out of messages: SRTP keys, ICE passwords, k= lines, DTMF digits, recordings. Each is replaced by
// something of the same form, so that the tape can be played, and the same secret always by the same, so that a re-INVITE
// that keeps its key still does. The replacements follow from a salt that is never written down.
type Scrubber struct{ salt [32]byte }

// NewScrubber draws a salt.
func NewScrubber() *Scrubber {
	s := &Scrubber{}
	_, _ = rand.Read(s.salt[:]) // never fails
	return s
}

// Dict is a message without its secrets.
func (s *Scrubber) Dict(d *ng.Dict) *ng.Dict {
	out := new(ng.Dict)
	command := d.Value("command").Str()
	for _, e := range d.Entries() {
		out.Add(e.Key, s.value(command, strings.ToLower(e.Key), e.Value))
	}
	return out
}

func (s *Scrubber) value(command, key string, v ng.Value) ng.Value {
	switch v.Kind() {
	case ng.KindDict:
		out := new(ng.Dict)
		for _, e := range v.Dict().Entries() {
			out.Add(e.Key, s.value(command, strings.ToLower(e.Key), e.Value))
		}
		return ng.DictValue(out)
	case ng.KindList:
		var items []ng.Value
		for _, item := range v.List() {
			items = append(items, s.value(command, key, item))
		}
		return ng.List(items...)
	case ng.KindString:
		return ng.String(s.text(key, v.Str()))
	case ng.KindInt:
		if digitKeys[key] {
			return ng.Int(0)
		}
	}
	return v
}

// digitKeys hold DTMF digits: a caller's PIN, for all we know.
var digitKeys = map[string]bool{"code": true, "digit": true, "trigger": true, "trigger-end": true, "end-trigger": true, "end trigger": true}

func (s *Scrubber) text(key, text string) string {
	switch {
	case digitKeys[key]:
		return strings.Repeat("0", len(text))
	case key == "blob" || key == "blob64":
		return "removed"
	case strings.Contains(text, "a=") || strings.Contains(text, "k="):
		return s.SDP(text)
	}
	return text
}

var secretLines = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^(a=crypto:\d+ \S+ )(.*)$`),
	regexp.MustCompile(`(?m)^(a=ice-pwd:)([^\r\n]+)`),
	regexp.MustCompile(`(?m)^(k=[a-z0-9]+:)([^\r\n]+)`),
	regexp.MustCompile(`(?m)^(a=key-mgmt:\S+ )([^\r\n]+)`),
}

var inline = regexp.MustCompile(`inline:([A-Za-z0-9+/=]+)`)

// SDP is a body without its secrets.
func (s *Scrubber) SDP(body string) string {
	for i, re := range secretLines {
		body = re.ReplaceAllStringFunc(body, func(line string) string {
			m := re.FindStringSubmatch(line)
			switch i {
			case 0:
				return m[1] + inline.ReplaceAllStringFunc(m[2], func(k string) string { return "inline:" + s.key(k[len("inline:"):]) })
			case 1:
				return m[1] + s.letters(m[2])
			}
			return m[1] + "removed"
		})
	}
	return body
}

// key replaces base64 by base64 of as many bytes, padded or not as it was.
func (s *Scrubber) key(text string) string {
	bare := strings.TrimRight(text, "=")
	b, err := base64.RawStdEncoding.DecodeString(bare)
	if err != nil {
		return s.letters(text)
	}
	return base64.RawStdEncoding.EncodeToString(s.bytes(bare, len(b))) + text[len(bare):]
}

// letters replaces text by as many letters and digits.
func (s *Scrubber) letters(text string) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := s.bytes(text, len(text))
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// bytes makes n bytes that only one who has the salt can make of the secret.
func (s *Scrubber) bytes(secret string, n int) []byte {
	var out []byte
	for i := uint32(0); len(out) < n; i++ {
		mac := hmac.New(sha256.New, s.salt[:])
		mac.Write(binary.BigEndian.AppendUint32(nil, i))
		mac.Write([]byte(secret))
		out = mac.Sum(out)
	}
	return out[:n]
}
