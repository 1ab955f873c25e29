package rtpengine

import (
	"slices"
	"strings"

	"rtpsidecar/sdp"
)

// The two laws of G.711 are turned into each other byte by byte: same clock, same packet, same length. It is the one
// conversion of codecs that needs neither a decoder's state nor an encoder's.

// recodeTable turns a payload of one law into the other, byte by byte.
type recodeTable = [256]byte

var aToMu, muToA = lawTables()

// lawTables builds both tables: each code becomes the nearest one of the other law, of two that are equally near the
// one of the smaller magnitude. Source: ITU-T G.711 tables 1a to 2b for the levels.
func lawTables() (toMu, toA *recodeTable) {
	var a, mu [256]int
	for c := range 256 {
		a[c], mu[c] = levelA(byte(c)), levelMu(byte(c))
	}
	nearest := func(x int, negative bool, levels *[256]int) byte {
		best, found := 0, false
		for c, l := range levels {
			if (c&0x80 == 0) != negative {
				continue
			}
			d, was := magnitude(l-x), magnitude(levels[best]-x)
			if !found || d < was || d == was && magnitude(l) < magnitude(levels[best]) {
				best, found = c, true
			}
		}
		return byte(best)
	}
	toMu, toA = new(recodeTable), new(recodeTable)
	for c := range 256 {
		toMu[c] = nearest(a[c], c&0x80 == 0, &mu)
		toA[c] = nearest(mu[c], c&0x80 == 0, &a)
	}
	return toMu, toA
}

func magnitude(x int) int { return max(x, -x) }

// levelA is the level of an A-law code in units of a 16-bit sample; bit 7 set is positive.
func levelA(c byte) int {
	x := c ^ 0x55
	segment, step := int(x>>4&7), int(x&15)
	l := step<<4 + 8
	if segment > 0 {
		l = (l + 0x100) << (segment - 1)
	}
	if x&0x80 == 0 {
		l = -l
	}
	return l
}

// levelMu is the level of a µ-law code in units of a 16-bit sample; bit 7 set is positive.
func levelMu(c byte) int {
	x := ^c
	l := (int(x&15)<<3+0x84)<<(x>>4&7) - 0x84
	if x&0x80 != 0 {
		l = -l
	}
	return l
}

// otherLaw is the law that c's can be turned into, "" when c is neither.
func otherLaw(c *sdp.Codec) string {
	if c.ClockHz != 8000 || c.Channels > 1 {
		return ""
	}
	switch {
	case strings.EqualFold(c.Name, "PCMU"):
		return "PCMA"
	case strings.EqualFold(c.Name, "PCMA"):
		return "PCMU"
	}
	return ""
}

// recoding is the table that turns c into its other law.
func recoding(c *sdp.Codec) *recodeTable {
	if strings.EqualFold(c.Name, "PCMA") {
		return aToMu
	}
	return muToA
}

// lawWanted is the law that spec names, if the codecs offered have one to make it of.
func lawWanted(spec string, offered []sdp.Codec) (sdp.Codec, bool) {
	for _, pt := range []uint8{0, 8} {
		if c, _ := sdp.StaticCodec(pt); specsMatch([]string{spec}, &c) {
			c.Name, _, _ = strings.Cut(spec, "/") // in the operator's spelling
			return c, slices.ContainsFunc(offered, func(o sdp.Codec) bool { return otherLaw(&o) != "" })
		}
	}
	return sdp.Codec{}, false
}

// convertible tells whether c itself or its other law is in list.
func convertible(c *sdp.Codec, list []sdp.Codec) bool {
	other := otherLaw(c)
	return slices.ContainsFunc(list, func(o sdp.Codec) bool {
		return sdp.SameEncoding(c, &o) || other != "" && strings.EqualFold(o.Name, other) && otherLaw(&o) != ""
	})
}

// withLaw adds c to list, behind the codecs that carry media by themselves. It brings the supplements of its clock rate
// back that went with another codec of that rate.
func withLaw(list []sdp.Codec, c sdp.Codec, offered []sdp.Codec, shown func(*sdp.Codec) bool) []sdp.Codec {
	at := slices.IndexFunc(list, func(o sdp.Codec) bool { return isSupplement(&o) })
	if at < 0 {
		at = len(list)
	}
	list = slices.Insert(slices.Clone(list), at, c)
	for i := range offered {
		o := &offered[i]
		in := slices.ContainsFunc(list, func(x sdp.Codec) bool { return x.PT == o.PT })
		if isSupplement(o) && o.ClockHz == c.ClockHz && !in && shown(o) {
			list = append(list, *o)
		}
	}
	return list
}

// acceptedLaw is the offered codec that the flags want answered although the answer may have only its other law: it
// stands alone then.
func acceptedLaw(offered, answered []sdp.Codec, offer, answer *CodecFlags) (sdp.Codec, bool) {
	wanted := slices.Concat(offer.Accept, answer.Accept, offer.Consume)
	always := offer.AlwaysTranscode || answer.AlwaysTranscode || slices.ContainsFunc(wanted, isAll)
	for i := range offered {
		c := &offered[i]
		if !isSupplement(c) && !isRetransmission(c) && (always || specsMatch(wanted, c)) {
			return *c, otherLaw(c) != "" && convertible(c, answered)
		}
	}
	return sdp.Codec{}, false
}

// recode adds to the payload map m what has to change its law: codecs of from that the receiver has agreed to only in
// the other one. tables is by the sender's payload type, nil when there is nothing to do.
func recode(m *[128]uint8, to []sdp.Codec, from ...[]sdp.Codec) (_ *[128]uint8, tables *[128]*recodeTable) {
	var known [128]bool
	for _, list := range from {
		for i := range list {
			c := &list[i]
			law, pt := otherLaw(c), c.PT&0x7f
			if known[pt] {
				continue
			}
			known[pt] = true
			if law == "" || slices.ContainsFunc(to, func(o sdp.Codec) bool { return sdp.SameEncoding(c, &o) }) {
				continue
			}
			j := slices.IndexFunc(to, func(o sdp.Codec) bool { return strings.EqualFold(o.Name, law) && otherLaw(&o) != "" })
			if j < 0 {
				continue
			}
			if m == nil {
				m = identityMap()
			}
			if tables == nil {
				tables = new([128]*recodeTable)
			}
			m[pt], tables[pt] = to[j].PT, recoding(c)
		}
	}
	return m, tables
}

// firstLaw is the first codec offered that the answer has in its other law.
func firstLaw(offered, answered []sdp.Codec) (sdp.Codec, bool) {
	for i := range offered {
		if otherLaw(&offered[i]) != "" && convertible(&offered[i], answered) {
			return offered[i], true
		}
	}
	return sdp.Codec{}, false
}

// onlyLaws tells whether all codecs that carry media are of G.711.
func onlyLaws(list []sdp.Codec) bool {
	return !slices.ContainsFunc(list, func(c sdp.Codec) bool { return !isSupplement(&c) && otherLaw(&c) == "" })
}
