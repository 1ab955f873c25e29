package rtpengine

import (
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/sdp"
)

// Codec lists: what of an offer is shown to the receiver, and what of its answer to the offerer. Only the two
// laws of G.711 are turned into each other (g711.go); else only codecs that both sides name can be in use, and flags that
// ask for more are counted in missing.
//
// Where the rules are not in RFC 3264 they are observed behaviour of rtpengine 26.

// codecOffer is what offerCodecs decides.
type codecOffer struct {
	List    []sdp.Codec // to show to the receiver
	Refuse  bool        // nothing is left and allow-no-codec-media: the section gets port 0, List is as offered
	Missing []string    // codecs and flags that would need transcoding, as they were spelled
}

// offerCodecs applies the flags of an offer to the codecs offered. previous is what was last agreed with the receiver, or
// what it has offered itself, nil at first. The arguments stay as they are.
//
//	strip, mask, consume   remove what they name
//	… of all or full       remove everything but what offer and except name
//	offer                  bring back in this order, behind the codecs kept and before telephone-event and the like
//	reuse, static          order of, or nothing besides, previous
//
// telephone-event, CN and red go with the last codec of their clock rate, and rtx with the codec it repairs. When
// nothing is left the list is as offered.
func offerCodecs(offered, previous []sdp.Codec, f *CodecFlags) (o codecOffer) {
	hidden := slices.Concat(f.Strip, f.Mask, f.Consume)
	keep := f.Offer
	if !slices.ContainsFunc(hidden, isFull) {
		// With "full" a codec to transcode to is never one that was offered.
		keep = slices.Concat(f.Offer, f.Transcode)
	}
	o.List = filterCodecs(offered, hidden, keep, f.Offer, f.Except)
	for _, want := range f.Transcode {
		if c, ok := lawWanted(want, offered); ok && !matchesAny(o.List, want) {
			o.List = withLaw(o.List, c, offered, func(c *sdp.Codec) bool {
				all := slices.ContainsFunc(hidden, isAll)
				return specsMatch(slices.Concat(keep, f.Except), c) || !all && !specsMatch(hidden, c)
			})
		}
	}
	switch {
	case f.Static && previous != nil:
		if kept := onlyAs(o.List, previous); usable(kept) {
			o.List = kept
		} else {
			o.Missing = append(o.Missing, "static-codecs")
		}
	case f.Reuse:
		o.List = orderAs(o.List, previous)
	}
	if o.List == nil && len(offered) > 0 {
		o.List, o.Refuse = offered, f.AllowNone
	}
	for _, want := range f.Transcode {
		if !matchesAny(o.List, want) {
			o.Missing = append(o.Missing, want)
		}
	}
	if f.AlwaysTranscode && !onlyLaws(o.List) {
		o.Missing = append(o.Missing, "always-transcode")
	}
	if f.ForceTranscoding {
		o.Missing = append(o.Missing, "force-transcoding")
	}
	return o
}

// codecAnswer is what answerCodecs decides.
type codecAnswer struct {
	List    []sdp.Codec // to show to the offerer
	Missing []string    // codecs that were to be accepted and would need transcoding, as the flags spell them
}

// answerCodecs is what to answer to the offerer: what of offered the answer has, in the answer's order and with its
// parameters, under the numbers of the offer unless allow-asymmetric-codecs. offer are the flags of the offer, answer
// those of the answer; of the latter strip with its exceptions, single-codec, reuse and allow-asymmetric-codecs count.
// The events of a clock rate that strip takes a codec from come last. With reuse the order is the offer's.
// An answer that has nothing of the offer is passed on as it is. The arguments stay as they are.
func answerCodecs(offered, answered []sdp.Codec, offer, answer *CodecFlags) (a codecAnswer) {
	known := offered
	if len(offer.Ignore) > 0 {
		known = slices.DeleteFunc(slices.Clone(offered), func(c sdp.Codec) bool { return specsMatch(offer.Ignore, &c) })
		if !usable(known) {
			known = offered
		}
	}
	var numbers [128]uint8
	for i := range numbers {
		numbers[i] = uint8(i)
	}
	list := make([]sdp.Codec, 0, len(answered))
	for i, j := range sdp.MatchAnswer(known, answered) {
		if j < 0 {
			continue
		}
		c := answered[i]
		if !answer.AllowAsymmetric {
			numbers[c.PT&127], c.PT = known[j].PT, known[j].PT
		}
		list = append(list, c)
	}
	law, accepted := acceptedLaw(known, answered, offer, answer)
	if !accepted && !usable(list) {
		law, accepted = firstLaw(known, answered)
	}
	if accepted {
		list = append([]sdp.Codec{law}, slices.DeleteFunc(list, func(c sdp.Codec) bool { return !isSupplement(&c) })...)
	}
	if !usable(list) && usable(answered) {
		list = answered
	} else if !answer.AllowAsymmetric {
		for i := range list {
			list[i].Fmtp = renumber(&list[i], &numbers)
		}
	}
	if left := filterCodecs(list, answer.Strip, answer.Offer, answer.Offer, answer.Except); left != nil && len(left) < len(list) {
		list = supplementsLast(left, list)
	}
	if answer.Single {
		list = firstCodec(list)
	}
	if answer.Reuse {
		list = orderAs(list, offered)
	}
	a.List = list
	for _, want := range slices.Concat(offer.Accept, answer.Accept) {
		if matchesAny(offered, want) && !matchesAny(list, want) {
			a.Missing = append(a.Missing, want)
		}
	}
	return a
}

// filterCodecs removes from list what hide names. Of what is hidden by name, only insist comes back; of what is hidden
// by "all" or "full", except stays where it is and keep comes back. It is nil when no codec is left that carries media
// by itself.
func filterCodecs(list []sdp.Codec, hide, keep, insist, except []string) []sdp.Codec {
	if len(hide) == 0 {
		if len(list) == 0 {
			return nil
		}
		return list
	}
	all := slices.ContainsFunc(hide, isAll)
	if !all {
		keep = insist
	}
	var before, after []sdp.Codec // the first supplement stands between them
	split := false
	kept := make([]bool, len(list))
	for i := range list {
		c := &list[i]
		kept[i] = !specsMatch(hide, c) && (!all || specsMatch(except, c))
		// A red that goes still marks the place (observed).
		split = split || isSupplement(c) && (kept[i] || strings.EqualFold(c.Name, "red"))
		switch {
		case kept[i] && split:
			after = append(after, *c)
		case kept[i]:
			before = append(before, *c)
		}
	}
	var back []uint8
	for _, spec := range keep {
		for i := range list {
			if kept[i] || !specsMatch([]string{spec}, &list[i]) {
				continue
			}
			kept[i] = true
			back = append(back, list[i].PT)
			if !split && isSupplement(&list[i]) {
				after, split = append(after, list[i]), true
				continue
			}
			before = append(before, list[i])
		}
	}
	out := dropOrphans(slices.Concat(before, after), list)
	// A supplement comes back for the clock rates that are left, also where none went with a codec (observed).
	out = slices.DeleteFunc(out, func(c sdp.Codec) bool {
		return isSupplement(&c) && slices.Contains(back, c.PT) && !hasClock(out, c.ClockHz)
	})
	if !usable(out) && (usable(list) || len(out) == 0) {
		return nil
	}
	return out
}

// dropOrphans removes from list the supplements whose clock rate was's other codecs had and list's have not, and the
// repair formats of codecs that are gone.
func dropOrphans(list, was []sdp.Codec) []sdp.Codec {
	return slices.DeleteFunc(list, func(c sdp.Codec) bool {
		if isSupplement(&c) {
			return hasClock(was, c.ClockHz) && !hasClock(list, c.ClockHz)
		}
		apt, ok := c.FmtpParam("apt")
		if !ok {
			return false
		}
		repairs := func(c sdp.Codec) bool { return strconv.Itoa(int(c.PT)) == apt }
		return slices.ContainsFunc(was, repairs) && !slices.ContainsFunc(list, repairs)
	})
}

// hasClock tells whether list has a codec of this clock rate that carries media by itself.
func hasClock(list []sdp.Codec, hz int) bool {
	return slices.ContainsFunc(list, func(c sdp.Codec) bool {
		return c.ClockHz == hz && c.Name != "" && !isSupplement(&c) && !isRetransmission(&c)
	})
}

// firstCodec keeps the first codec with the supplements and what repairs it.
func firstCodec(list []sdp.Codec) []sdp.Codec {
	first := slices.IndexFunc(list, func(c sdp.Codec) bool { return !isSupplement(&c) && !isRetransmission(&c) })
	if first < 0 {
		return list
	}
	number := strconv.Itoa(int(list[first].PT))
	var out []sdp.Codec
	for i := range list {
		if apt, _ := list[i].FmtpParam("apt"); i == first || isSupplement(&list[i]) || apt == number {
			out = append(out, list[i])
		}
	}
	return out
}

// supplementsLast puts the supplements of those clock rates at the end that lost a codec between was and list, CN
// before telephone-event.
func supplementsLast(list, was []sdp.Codec) []sdp.Codec {
	moves := func(c sdp.Codec) bool {
		return isSupplement(&c) && slices.ContainsFunc(was, func(w sdp.Codec) bool {
			gone := !slices.ContainsFunc(list, func(l sdp.Codec) bool { return l.PT == w.PT })
			return gone && w.ClockHz == c.ClockHz && !isSupplement(&w)
		})
	}
	var stay, move []sdp.Codec
	for _, c := range list {
		if moves(c) {
			move = append(move, c)
		} else {
			stay = append(stay, c)
		}
	}
	slices.SortStableFunc(move, func(a, b sdp.Codec) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return append(stay, move...)
}

// orderAs sorts list as previous is: its codecs first in its order, then the others.
func orderAs(list, previous []sdp.Codec) []sdp.Codec {
	out := onlyAs(list, previous)
	if len(out) == 0 {
		return list
	}
	for _, c := range list {
		if !slices.ContainsFunc(out, func(o sdp.Codec) bool { return o.PT == c.PT }) {
			out = append(out, c)
		}
	}
	return out
}

// onlyAs are the codecs of list that previous has too, in its order.
func onlyAs(list, previous []sdp.Codec) []sdp.Codec {
	var out []sdp.Codec
	for _, j := range sdp.MatchAnswer(list, previous) {
		if j >= 0 {
			out = append(out, list[j])
		}
	}
	return out
}

// payloadMap translates payload types for packets that go to a party with the codecs in to: what the sender calls by a
// number of one of from goes by the number of the same codec in to. Of several lists the first that knows a number
// wins. It is nil when nothing changes; unknown numbers stay.
func payloadMap(to []sdp.Codec, from ...[]sdp.Codec) *[128]uint8 {
	var m [128]uint8
	var known [128]bool
	changed := false
	for i := range m {
		m[i] = uint8(i)
	}
	for _, list := range from {
		for i, j := range sdp.MatchAnswer(to, list) {
			if pt := list[i].PT & 127; j >= 0 && !known[pt] {
				known[pt], m[pt] = true, to[j].PT
				changed = changed || m[pt] != pt
			}
		}
	}
	if !changed {
		return nil
	}
	out := m // most calls need none, and so no memory for it
	return &out
}

// renumber is c's fmtp with the payload types in it replaced: that of apt (RFC 4588 section 8.1) and the list of red
// (RFC 2198 section 5).
func renumber(c *sdp.Codec, numbers *[128]uint8) []string {
	number := func(s string) string {
		if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 7); err == nil {
			return strconv.Itoa(int(numbers[n]))
		}
		return s
	}
	isRed := strings.EqualFold(c.Name, "red")
	if !isRed && !isRetransmission(c) {
		return c.Fmtp
	}
	out := make([]string, len(c.Fmtp))
	for i, line := range c.Fmtp {
		if isRed && !strings.Contains(line, "=") {
			parts := strings.Split(line, "/")
			for j := range parts {
				parts[j] = number(parts[j])
			}
			out[i] = strings.Join(parts, "/")
			continue
		}
		pairs := strings.Split(line, ";")
		for j, pair := range pairs {
			key, v, ok := strings.Cut(pair, "=")
			if ok && strings.EqualFold(strings.TrimSpace(key), "apt") {
				pairs[j] = key + "=" + number(v)
			}
		}
		out[i] = strings.Join(pairs, ";")
	}
	return out
}

// isSupplement tells formats that carry no media by themselves and belong to the codecs of their clock rate.
func isSupplement(c *sdp.Codec) bool {
	for _, name := range [...]string{"telephone-event", "CN", "red", "ulpfec", "flexfec-03"} {
		if strings.EqualFold(c.Name, name) {
			return true
		}
	}
	return false
}

// isRetransmission tells formats that belong to the codec in their apt parameter.
func isRetransmission(c *sdp.Codec) bool {
	_, ok := c.FmtpParam("apt")
	return ok
}

// usable tells whether a list has a codec that carries media by itself.
func usable(list []sdp.Codec) bool {
	return slices.ContainsFunc(list, func(c sdp.Codec) bool { return !isSupplement(&c) && !isRetransmission(&c) })
}

func isAll(spec string) bool  { return strings.EqualFold(spec, "all") || isFull(spec) }
func isFull(spec string) bool { return strings.EqualFold(spec, "full") }

// specsMatch tells whether one of the specifications names c.
func specsMatch(specs []string, c *sdp.Codec) bool {
	for _, spec := range specs {
		if name, _, _ := strings.Cut(spec, "/"); name == "" || !strings.EqualFold(name, c.Name) {
			continue
		}
		if s, err := sdp.ParseCodecSpec(spec); err == nil && s.Match(c) {
			return true
		}
	}
	return false
}

// matchesAny tells whether spec names a codec of list.
func matchesAny(list []sdp.Codec, spec string) bool {
	return slices.ContainsFunc(list, func(c sdp.Codec) bool { return specsMatch([]string{spec}, &c) })
}
