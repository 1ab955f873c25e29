package sdp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CodecSpec is a codec as a flag names it: "name/clock/channels/bitrate/ptime/fmtp/options". Parts may be missing or
// empty; they are zero.
type CodecSpec struct {
	Name     string
	ClockHz  int
	Channels int // 1 when a clock rate is given without it
	Bitrate  int // bits per second
	PTime    time.Duration
	Fmtp     string
	Options  string // for the encoder
}

// ParseCodecSpec reads a codec specification. Numbers must be numbers; anything goes as name, fmtp and options.
func ParseCodecSpec(text string) (s CodecSpec, err error) {
	var clock, channels, bitrate, ptime string
	parts := []*string{&s.Name, &clock, &channels, &bitrate, &ptime, &s.Fmtp}
	rest := text
	for _, part := range parts {
		*part, rest, _ = strings.Cut(rest, "/")
	}
	s.Options = rest
	number := func(to *int, s string, limit uint64, what string) {
		n, ok := parseUint(s, limit)
		if !ok && s != "" && err == nil {
			err = fmt.Errorf("codec %q: %s %q", clip(text), what, clip(s))
		}
		*to = int(n)
	}
	var ms int
	number(&s.ClockHz, clock, 1<<31-1, "clock rate")
	number(&s.Channels, channels, 255, "channels")
	number(&s.Bitrate, bitrate, 1<<31-1, "bit rate")
	number(&ms, ptime, 10000, "packet time")
	if err != nil {
		return CodecSpec{}, err
	}
	s.PTime = time.Duration(ms) * time.Millisecond
	if s.ClockHz > 0 && s.Channels == 0 {
		s.Channels = 1
	}
	return s, nil
}

// String is the specification as ParseCodecSpec reads it, without empty parts at its end.
func (s CodecSpec) String() string {
	parts := []string{s.Name, decimal(s.ClockHz), decimal(s.Channels), decimal(s.Bitrate),
		decimal(int(s.PTime.Milliseconds())), s.Fmtp, s.Options}
	return strings.TrimRight(strings.Join(parts, "/"), "/")
}

// Match tells whether c is the codec of the specification. What is not given matches anything; a clock rate without
// channels means one channel, so opus/48000 is not opus/48000/2 (observed: rtpengine 26). Bit rate, ptime and options
// belong to encoders and play no part. The parameters of a given fmtp must stand in the codec's with the same values.
func (s *CodecSpec) Match(c *Codec) bool {
	if s.Name != "" && !strings.EqualFold(s.Name, c.Name) ||
		s.ClockHz != 0 && s.ClockHz != c.ClockHz ||
		s.Channels != 0 && s.Channels != max(c.Channels, 1) {
		return false
	}
	for wanted := s.Fmtp; wanted != ""; {
		var pair string
		pair, wanted, _ = strings.Cut(wanted, ";")
		key, value, _ := strings.Cut(trim(pair), "=")
		if trim(pair) == "" {
			continue
		}
		if v, ok := c.FmtpParam(trim(key)); !ok || !strings.EqualFold(v, trim(value)) {
			return false
		}
	}
	return true
}

// decimal is n in digits, "" for 0.
func decimal(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
