package sdp

import "slices"

// Clone is a deep copy: changing either leaves the other alone. Strings are shared.
func (s *Session) Clone() *Session {
	c := *s
	c.Info = slices.Clone(s.Info)
	c.Connection = clonePtr(s.Connection)
	c.Bandwidth = slices.Clone(s.Bandwidth)
	c.Timing = slices.Clone(s.Timing)
	c.Unknown = slices.Clone(s.Unknown)
	c.LoopMarks = slices.Clone(s.LoopMarks)
	c.Groups = slices.Clone(s.Groups)
	for i := range c.Groups {
		c.Groups[i].MIDs = slices.Clone(c.Groups[i].MIDs)
	}
	c.Rest = slices.Clone(s.Rest)
	c.Skipped = slices.Clone(s.Skipped)
	c.Media = slices.Clone(s.Media)
	for i, m := range c.Media {
		c.Media[i] = m.Clone()
	}
	return &c
}

// Clone is a deep copy of the media. Strings are shared.
func (m *Media) Clone() *Media {
	c := *m
	c.Formats = slices.Clone(m.Formats)
	c.Connections = slices.Clone(m.Connections)
	c.Bandwidth = slices.Clone(m.Bandwidth)
	c.Unknown = slices.Clone(m.Unknown)
	c.Codecs = slices.Clone(m.Codecs)
	for i := range c.Codecs {
		c.Codecs[i].Fmtp = slices.Clone(c.Codecs[i].Fmtp)
		c.Codecs[i].Feedback = slices.Clone(c.Codecs[i].Feedback)
	}
	c.Extmaps = slices.Clone(m.Extmaps)
	c.Rest = slices.Clone(m.Rest)
	if m.RTCP != nil {
		c.RTCP = &RTCPAttr{Port: m.RTCP.Port, Conn: clonePtr(m.RTCP.Conn)}
	}
	c.Cryptos = slices.Clone(m.Cryptos)
	for i := range c.Cryptos {
		k := &c.Cryptos[i]
		k.KeySalt, k.MKI, k.Params = slices.Clone(k.KeySalt), slices.Clone(k.MKI), slices.Clone(k.Params)
	}
	c.Fingerprints = slices.Clone(m.Fingerprints)
	for i := range c.Fingerprints {
		c.Fingerprints[i].Digest = slices.Clone(c.Fingerprints[i].Digest)
	}
	c.ICE = m.ICE.clone()
	c.Order = slices.Clone(m.Order)
	return &c
}

func (ice *ICE) clone() ICE {
	c := *ice
	c.Options = slices.Clone(ice.Options)
	c.Candidates = slices.Clone(ice.Candidates)
	for i := range c.Candidates {
		c.Candidates[i].Extra = slices.Clone(c.Candidates[i].Extra)
	}
	c.RemoteCandidates = slices.Clone(ice.RemoteCandidates)
	return c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
