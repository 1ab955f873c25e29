package rtpengine

import (
	"net/netip"
	"slices"
)

// directional tells whether a from-tag counts in commands that may also be about a whole call: with the flag of that name,
// since some clients send the tag along with everything. Kamailio, whom we know by what it says to support, keeps the flag
// to itself and sends the tag only when its script had the flag (observed of 5.6).
func (f *Flags) directional() bool { return f.Directional || f.SupportsLoadLimit && f.FromTag != "" }

// selection finds the parties that a command is about: by label, by address, by from-tag, or all of them. A directional
// command honours the from-tag only where it is meant.
func (c *Call) selection(f *Flags, directional bool) ([]*Participant, error) {
	switch {
	case f.Label != "":
		for _, p := range c.alive() {
			if p.Label == f.Label {
				return []*Participant{p}, nil
			}
		}
		return nil, errNoLabel
	case f.HasAddress && !f.Address.IsValid():
		return nil, errBadAddress
	case f.HasAddress:
		for _, p := range c.alive() {
			if p.sends(f.Address) {
				return []*Participant{p}, nil
			}
		}
		return nil, errNoAddress
	case f.FromTag != "" && (!directional || f.directional()):
		p := c.participant(f.FromTag)
		if p == nil || p.deleted {
			return nil, errNoSuchFromTag
		}
		return []*Participant{p}, nil
	}
	return c.alive(), nil
}

// sends tells whether the party's SDP names the address.
func (p *Participant) sends(a netip.Addr) bool {
	return p.in != nil && slices.ContainsFunc(p.Medias, func(m *Media) bool {
		return m.leg.In != nil && connectionAddr(p.in, m.leg.In) == a
	})
}

// receiver is the party of to-tag or to-label that a single flow goes to; nil without either.
func (c *Call) receiver(f *Flags) (*Participant, error) {
	switch {
	case f.ToTag != "":
		if p := c.participant(f.ToTag); p != nil && !p.deleted {
			return p, nil
		}
		return nil, errFlowToTag
	case f.ToLabel != "":
		for _, p := range c.alive() {
			if p.Label == f.ToLabel {
				return p, nil
			}
		}
		return nil, errFlowToLabel
	}
	return nil, nil
}

// counts tells whether a subscription belongs to the kind that the key all names.
func (a AllMode) counts(s *subscription) bool {
	switch a {
	case AllOfferAnswer:
		return s.offerAnswer
	case AllExceptOfferAnswer:
		return !s.offerAnswer
	}
	return true
}

// living is the party with this tag that has not been deleted, nil when there is none.
func (c *Call) living(tag string) *Participant {
	if p := c.participant(tag); p != nil && !p.deleted {
		return p
	}
	return nil
}

// flowsTo are the subscriptions through which to hears p; nil stands for everyone.
func (p *Participant) flowsTo(to *Participant) []*subscription {
	var list []*subscription
	p.eachFlow(to, AllFlows, func(s *subscription) { list = append(list, s) })
	return list
}

// withCall runs do on the request's call, locked.
func (e *Engine) withCall(f *Flags, do func(*Call) error) error {
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCall
	}
	defer e.unlock(c)
	return do(c)
}
