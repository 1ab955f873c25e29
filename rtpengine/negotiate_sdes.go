package rtpengine

import (
	"slices"
	"strings"

	"rtpsidecar/relay/srtp"
	"rtpsidecar/sdp"
)

// hearSDESAnswer agrees on the line that the answer took up. A tag that we did not offer is looked for by its suite.
func hearSDESAnswer(l *leg, m *sdp.Media) {
	s := &l.SDES
	s.Chosen = false
	if l.DTLS.On || len(s.Sent) == 0 {
		return
	}
	for _, c := range m.Cryptos {
		recv, ok := cryptoParams(c)
		if !ok {
			continue
		}
		i := slices.IndexFunc(s.Sent, func(o sdp.Crypto) bool { return o.Tag == c.Tag && strings.EqualFold(o.Suite, c.Suite) })
		if i < 0 {
			i = slices.IndexFunc(s.Sent, func(o sdp.Crypto) bool { return strings.EqualFold(o.Suite, c.Suite) })
		}
		if i < 0 {
			continue
		}
		send, ok := cryptoParams(s.Sent[i])
		if !ok {
			continue
		}
		s.sdesAgreed, s.Chosen = &sdesAgreed{recv, send, c}, true
		return
	}
}

// proposeSDES makes the crypto lines of the offer to b: a's lines with their tags and keys, so that packets can pass
// as they come, then the suites that a lacks with keys of our own.
func proposeSDES(a, b *leg, f *Flags, r rules) {
	s := &b.SDES
	w := &f.SDES
	dtlsOnly := b.Seen && b.In.Protocol.IsSRTP() && len(b.In.Cryptos) == 0 && len(s.Sent) == 0 && b.DTLS.On
	if !b.secure() || w.Off || dtlsOnly {
		s.Sent, s.Chosen = nil, false
		return
	}
	var sent []sdp.Crypto
	next := 1
	if a.secure() {
		for _, c := range a.In.Cryptos {
			if _, ok := cryptoParams(c); !ok {
				continue
			}
			if w.allows(c.Suite) {
				next = max(next, c.Tag+1)
				sent = append(sent, c)
			}
		}
	}
	if c, ok := s.agreed(); ok && w.allows(c.Suite) && !slices.ContainsFunc(sent, func(o sdp.Crypto) bool { return o.Suite == c.Suite }) {
		c.Tag = max(next, c.Tag) // nothing new: it is in use
		next = c.Tag + 1
		sent = append(sent, c)
	}
	if !w.NoNew {
		for _, suite := range srtp.Suites() {
			if !w.allows(suite.Name) || slices.ContainsFunc(sent, func(c sdp.Crypto) bool { return c.Suite == suite.Name }) {
				continue
			}
			sent = append(sent, s.line(suite, next, r))
			next++
		}
	}
	for i := range sent {
		sent[i].Pad, sent[i].Lifetime = w.Pad, lifetime(w)
		sent[i].Params = w.params(sent[i].Params)
	}
	s.Sent, s.Answer = w.sorted(sent), false
}

// agreed is the line with the key that we send with now; a re-offer begins with it, so that the key can stay.
func (s *legSDES) agreed() (sdp.Crypto, bool) {
	if !s.Chosen {
		return sdp.Crypto{}, false
	}
	i := slices.IndexFunc(s.Sent, func(c sdp.Crypto) bool { return strings.EqualFold(c.Suite, s.Line.Suite) })
	if i < 0 {
		return sdp.Crypto{}, false
	}
	return s.Sent[i], true
}

// line is a line of our own for suite: with the key that we printed before, or with a new one.
func (s *legSDES) line(suite *srtp.Suite, tag int, r rules) sdp.Crypto {
	for _, c := range s.Sent {
		if !s.Answer && c.Suite == suite.Name && len(c.KeySalt) == suite.KeyLen+suite.SaltLen {
			c.Tag = tag
			return c
		}
	}
	return sdp.Crypto{Tag: tag, Suite: suite.Name, KeySalt: randomBytes(r.rand, suite.KeyLen+suite.SaltLen)}
}

// concludeSDES chooses the line of a's offer that is answered: the one that b took, with b's key, where a offered it;
// else the first that is usable, with a key of our own.
func concludeSDES(a, b *leg, f *Flags, r rules) {
	s := &a.SDES
	w := &a.wishes().SDES
	if a.DTLS.On {
		s.Sent, s.Chosen = nil, false
		return
	}
	var usable, first []sdp.Crypto
	for _, c := range a.In.Cryptos {
		if _, ok := cryptoParams(c); !ok {
			continue
		}
		if len(first) == 0 {
			first = append(first, c)
		}
		if w.allows(c.Suite) {
			usable = append(usable, c)
		}
	}
	if len(usable) == 0 {
		usable = first
	}
	if len(usable) == 0 {
		s.Sent, s.Chosen = nil, false
		return
	}
	offer := s.choose(usable, w, b, f)
	answer := sdp.Crypto{Tag: offer.Tag, Suite: offer.Suite, Params: knownParams(offer.Params)}
	recv, _ := cryptoParams(offer)
	switch {
	case b.SDES.Chosen && b.SDES.Line.Suite == offer.Suite && !a.Flags.Recrypt && !f.Recrypt:
		answer.KeySalt, answer.MKI, answer.Params = b.SDES.Line.KeySalt, b.SDES.Line.MKI, b.SDES.Line.Params
	case s.Chosen && s.Answer && s.Recv.Equal(recv) && len(s.Sent) == 1 && s.Sent[0].Tag == answer.Tag:
		answer.KeySalt = s.Sent[0].KeySalt
	default:
		suite := srtp.SuiteByName(offer.Suite)
		answer.KeySalt = randomBytes(r.rand, suite.KeyLen+suite.SaltLen)
	}
	send, ok := cryptoParams(answer)
	if !ok {
		s.Sent, s.Chosen = nil, false
		return
	}
	answer.Pad, answer.Lifetime = f.SDES.Pad || w.Pad, lifetime(&f.SDES)
	s.Sent, s.Answer = []sdp.Crypto{answer}, true
	s.sdesAgreed, s.Chosen = &sdesAgreed{recv, send, offer}, true
}

// choose is the line of the offer to be answered.
func (s *legSDES) choose(usable []sdp.Crypto, w *SDESFlags, b *leg, f *Flags) sdp.Crypto {
	bySuite := func(name string) (sdp.Crypto, bool) {
		i := slices.IndexFunc(usable, func(c sdp.Crypto) bool { return strings.EqualFold(c.Suite, name) })
		if i < 0 {
			return sdp.Crypto{}, false
		}
		return usable[i], true
	}
	if (f.SDES.Static || w.Static) && s.Chosen && s.Answer {
		if c, ok := bySuite(s.Recv.Suite.Name); ok {
			return c
		}
	}
	for _, name := range w.OffererPref {
		if c, ok := bySuite(name); ok {
			return c
		}
	}
	if b.SDES.Chosen {
		for _, c := range usable {
			if c.Tag == b.SDES.Line.Tag && strings.EqualFold(c.Suite, b.SDES.Line.Suite) {
				return c
			}
		}
		if c, ok := bySuite(b.SDES.Line.Suite); ok {
			return c
		}
	}
	return usable[0]
}

// allows tells whether the lists leave suite in.
func (w *SDESFlags) allows(suite string) bool {
	if len(w.Only) > 0 && !w.NoNew {
		return slices.Contains(w.Only, suite)
	}
	return w.NoNew || !slices.Contains(w.No, suite)
}

// sorted brings the lines into the wanted order; tags stay.
func (w *SDESFlags) sorted(lines []sdp.Crypto) []sdp.Crypto {
	rank := func(c sdp.Crypto) int {
		if i := slices.Index(w.Order, c.Suite); i >= 0 {
			return i
		}
		return len(w.Order)
	}
	slices.SortStableFunc(lines, func(x, y sdp.Crypto) int { return rank(x) - rank(y) })
	return lines
}

func lifetime(w *SDESFlags) string {
	if w.Lifetime {
		return "2^31"
	}
	return ""
}

// Session parameters of RFC 4568 section 6.3, in the order in which they are printed.
const (
	paramPlainRTP  = "UNENCRYPTED_SRTP"
	paramPlainRTCP = "UNENCRYPTED_SRTCP"
	paramNoAuth    = "UNAUTHENTICATED_SRTP"
)

// params adds and removes session parameters.
func (w *SDESFlags) params(have []string) []string {
	var out []string
	for _, p := range []struct {
		name string
		wish OnOff
	}{{paramPlainRTP, w.UnencryptedRTP}, {paramPlainRTCP, w.UnencryptedRTCP}, {paramNoAuth, w.UnauthenticatedRTP}} {
		if decide(p.wish, slices.Contains(have, p.name)) {
			out = append(out, p.name)
		}
	}
	return out
}

// knownParams are the parameters among have that we follow.
func knownParams(have []string) []string { return (&SDESFlags{}).params(have) }

// cryptoParams turns a line into keys. ok is false for an unknown suite, a key of the wrong length, and for session
// parameters that would have to be followed and cannot.
func cryptoParams(c sdp.Crypto) (p srtp.Params, ok bool) {
	suite := srtp.SuiteByName(c.Suite)
	if suite == nil || len(c.KeySalt) != suite.KeyLen+suite.SaltLen {
		return p, false
	}
	p = srtp.Params{
		Suite: suite, Key: c.KeySalt[:suite.KeyLen], Salt: c.KeySalt[suite.KeyLen:], MKI: c.MKI,
		UnencryptedRTP:     slices.Contains(c.Params, paramPlainRTP),
		UnencryptedRTCP:    slices.Contains(c.Params, paramPlainRTCP),
		UnauthenticatedRTP: slices.Contains(c.Params, paramNoAuth),
	}
	for _, param := range c.Params {
		if v, isKDR := strings.CutPrefix(param, "KDR="); isKDR && v != "0" {
			return p, false
		}
	}
	return p, true
}
