package sdp

import (
	"slices"
	"strconv"
	"strings"
)

// staticCodecs are the payload types that need no rtpmap, RFC 3551 tables 4 and 5.
var staticCodecs = [35]struct {
	name     string
	clockHz  int
	channels int
}{
	0:  {"PCMU", 8000, 1},
	3:  {"GSM", 8000, 1},
	4:  {"G723", 8000, 1},
	5:  {"DVI4", 8000, 1},
	6:  {"DVI4", 16000, 1},
	7:  {"LPC", 8000, 1},
	8:  {"PCMA", 8000, 1},
	9:  {"G722", 8000, 1},
	10: {"L16", 44100, 2},
	11: {"L16", 44100, 1},
	12: {"QCELP", 8000, 1},
	13: {"CN", 8000, 1},
	14: {"MPA", 90000, 1},
	15: {"G728", 8000, 1},
	16: {"DVI4", 11025, 1},
	17: {"DVI4", 22050, 1},
	18: {"G729", 8000, 1},
	25: {"CelB", 90000, 1},
	26: {"JPEG", 90000, 1},
	28: {"nv", 90000, 1},
	31: {"H261", 90000, 1},
	32: {"MPV", 90000, 1},
	33: {"MP2T", 90000, 1},
	34: {"H263", 90000, 1},
}

// StaticCodec is the codec that RFC 3551 gives a payload type; false when it gives none.
func StaticCodec(pt uint8) (Codec, bool) {
	if int(pt) >= len(staticCodecs) || staticCodecs[pt].name == "" {
		return Codec{PT: pt, Channels: 1}, false
	}
	row := &staticCodecs[pt]
	return Codec{PT: pt, Name: row.name, ClockHz: row.clockHz, Channels: row.channels, Static: true}, true
}

// setRtpmap reads the encoding of an a=rtpmap line, "name/clock/channels", into c. What is not of that form is kept
// whole as the name.
func (c *Codec) setRtpmap(encoding string) {
	encoding = trim(encoding)
	name, rest, _ := strings.Cut(encoding, "/")
	clock, params, more := strings.Cut(rest, "/")
	c.Name, c.ClockHz, c.Channels, c.Params, c.Static = trim(name), 0, 1, "", false
	hz, ok := parseUint(trim(clock), 1<<31-1)
	if !ok || hz == 0 || c.Name == "" {
		c.Name = encoding
		return
	}
	c.ClockHz = int(hz)
	if !more {
		return
	}
	params = trim(params)
	if n, ok := parseUint(params, 255); ok && n > 0 {
		c.Channels = int(n)
	} else {
		c.Params = params
	}
}

func (c *Codec) appendRtpmap(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, uint64(c.PT), 10), ' ')
	dst = append(dst, c.Name...)
	if c.ClockHz == 0 {
		return dst
	}
	dst = strconv.AppendInt(append(dst, '/'), int64(c.ClockHz), 10)
	if c.Params != "" {
		return append(append(dst, '/'), c.Params...)
	}
	if c.Channels > 1 {
		dst = strconv.AppendInt(append(dst, '/'), int64(c.Channels), 10)
	}
	return dst
}

// FmtpParam looks up a parameter in the codec's fmtp lines, "name=value; name=value". The name's case does not count.
func (c *Codec) FmtpParam(name string) (value string, ok bool) {
	for _, line := range c.Fmtp {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			key, v, _ := strings.Cut(trim(pair), "=")
			if strings.EqualFold(trim(key), name) {
				return trim(v), true
			}
		}
	}
	return "", false
}

// SameEncoding tells whether a and b are the same codec by name, clock rate and channels, whatever their numbers.
// Names compare without regard to case, RFC 4855 section 3. A codec without a name equals nothing.
func SameEncoding(a, b *Codec) bool {
	return a.Name != "" && strings.EqualFold(a.Name, b.Name) && a.ClockHz == b.ClockHz &&
		max(a.Channels, 1) == max(b.Channels, 1) && a.Params == b.Params
}

// decisive are the fmtp parameters that make one encoding two codecs: who can decode one value cannot decode the
// other. The value is what an absent parameter means. Others (rates, annexes, hints) do not matter for a match.
var decisive = map[string][]struct{ name, absent string }{
	"AMR":           {{"octet-align", "0"}, {"interleaving", ""}, {"crc", "0"}, {"robust-sorting", "0"}}, // RFC 4867 section 8.3.1
	"AMR-WB":        {{"octet-align", "0"}, {"interleaving", ""}, {"crc", "0"}, {"robust-sorting", "0"}},
	"H264":          {{"packetization-mode", "0"}},                                  // RFC 6184 section 8.2.2; profile: h264Profile
	"H265":          {{"profile-id", "1"}, {"tier-flag", "0"}, {"tx-mode", "SRST"}}, // RFC 7798 section 7.2.2
	"VP9":           {{"profile-id", "0"}},                                          // RFC 9628 section 6
	"AV1":           {{"profile", "0"}},                                             // AV1 RTP specification section 7.2.3
	"G7221":         {{"bitrate", ""}},                                              // RFC 5577 section 4.1
	"MPEG4-GENERIC": {{"mode", ""}},                                                 // RFC 3640 section 4.1
}

// Matches tells whether a and b are the same codec and agree in those fmtp parameters without which one side could not
// decode the other: H.264 packetization mode and profile (its level may differ), AMR framing and the like.
func Matches(a, b *Codec) bool {
	if !SameEncoding(a, b) {
		return false
	}
	if slices.Equal(a.Fmtp, b.Fmtp) {
		return true
	}
	name := strings.ToUpper(a.Name)
	for _, p := range decisive[name] {
		x, ok := a.FmtpParam(p.name)
		if !ok {
			x = p.absent
		}
		y, ok := b.FmtpParam(p.name)
		if !ok {
			y = p.absent
		}
		if !strings.EqualFold(x, y) {
			return false
		}
	}
	return name != "H264" || h264Profile(a) == h264Profile(b)
}

// h264Profile is the profile of profile-level-id: profile_idc and the constraint bits that name a profile together
// with it, RFC 6184 table 5. An absent parameter means Baseline, section 8.1.
func h264Profile(c *Codec) uint64 {
	const baseline, constrainedBaseline = 0x42 << 8, 0x42<<8 | 0x40
	s, _ := c.FmtpParam("profile-level-id")
	v, err := strconv.ParseUint(s, 16, 24)
	if err != nil || len(s) != 6 {
		return baseline
	}
	idc, iop := v>>16, v>>8&0xff
	switch {
	case idc == 0x42 && iop&0x4f == 0x40, idc == 0x4d && iop&0x8f == 0x80, idc == 0x58 && iop&0xcf == 0xc0:
		return constrainedBaseline
	case idc == 0x42 && iop&0x4f == 0, idc == 0x58 && iop&0xcf == 0x80:
		return baseline
	case idc == 0x4d || idc == 0x58:
		return idc << 8
	}
	return idc<<8 | iop&0xff
}

// MatchAnswer finds for each answered codec the offered one that it stands for: index into offer, or -1. An offered
// codec is used once. The same payload type wins over the same encoding under another number, which some devices
// answer with although RFC 3264 section 6.1 forbids it. Retransmission and FEC follow the codec that they repair.
func MatchAnswer(offer, answer []Codec) []int {
	match := make([]int, len(answer))
	used := make([]bool, len(offer))
	left := len(answer)
	for i := range match {
		match[i] = -1
	}
	try := func(repair bool, fits func(a, o *Codec) bool) {
		if left == 0 {
			return
		}
		for i := range answer {
			if match[i] >= 0 || isRepair(&answer[i]) != repair {
				continue
			}
			for j := range offer {
				if !used[j] && fits(&answer[i], &offer[j]) {
					match[i], used[j] = j, true
					left--
					break
				}
			}
		}
	}
	try(false, func(a, o *Codec) bool { return a.PT == o.PT && (Matches(a, o) || a.Name == "" && o.Name == "") })
	try(false, Matches)
	try(false, func(a, o *Codec) bool { return a.PT == o.PT && SameEncoding(a, o) })
	// A static number is one codec (RFC 3551 table 4), whatever a device calls it: Cisco SPA phones say G729a.
	try(false, func(a, o *Codec) bool { return a.PT == o.PT && a.PT < 35 })
	try(true, func(a, o *Codec) bool {
		if !SameEncoding(a, o) {
			return false
		}
		x, y := aptIndex(answer, a), aptIndex(offer, o)
		return x >= 0 && y >= 0 && match[x] == y
	})
	return match
}

// isRepair tells codecs that only make sense with the payload type in their apt parameter, RFC 4588 section 8.6.
func isRepair(c *Codec) bool {
	_, ok := c.FmtpParam("apt")
	return ok
}

// aptIndex is the index in list of the codec that c repairs, -1 when there is none.
func aptIndex(list []Codec, c *Codec) int {
	apt, _ := c.FmtpParam("apt")
	pt, ok := parseUint(apt, 127)
	if !ok {
		return -1
	}
	for i := range list {
		if list[i].PT == uint8(pt) {
			return i
		}
	}
	return -1
}
