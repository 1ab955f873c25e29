package rtpengine

// Commands that stop or silence what a party sends: towards everyone, or in the flow to one receiver.

func (e *Engine) blockMedia(x *exchange) error     { return e.gate(x, setBlocked, true) }
func (e *Engine) unblockMedia(x *exchange) error   { return e.gate(x, setBlocked, false) }
func (e *Engine) silenceMedia(x *exchange) error   { return e.gate(x, setSilenced, true) }
func (e *Engine) unsilenceMedia(x *exchange) error { return e.gate(x, setSilenced, false) }
func (e *Engine) blockDTMF(x *exchange) error      { return e.gate(x, setDTMF(e.dtmfGate(&x.flags)), true) }
func (e *Engine) unblockDTMF(x *exchange) error    { return e.gate(x, setDTMF(dtmfGate{}), false) }

// gateSetter switches one gate: of the party when s is nil, else of one flow.
type gateSetter func(p *Participant, s *subscription, on bool)

func setBlocked(p *Participant, s *subscription, on bool) {
	if s != nil {
		s.blocked = on
	} else {
		p.blocked = on
	}
}

func setSilenced(p *Participant, s *subscription, on bool) {
	if s != nil {
		s.silenced = on
	} else {
		p.silenced = on
	}
}

func setDTMF(g dtmfGate) gateSetter {
	return func(p *Participant, s *subscription, on bool) {
		if s != nil {
			s.dtmf = g
		} else {
			p.dtmf = g
		}
	}
}

// gate runs one of the commands.
func (e *Engine) gate(x *exchange, set gateSetter, on bool) error {
	f := &x.flags
	if f.CallID == "" {
		return errNoCallID
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCall
	}
	defer e.unlock(c)
	parties, err := c.selection(f, true)
	if err != nil {
		return err
	}
	for _, p := range parties {
		c.note("command", p, 0, x.req.Command)
	}
	one := len(parties) == 1 && (f.Label != "" || f.Address.IsValid() || f.directional())
	var to *Participant
	if one {
		if to, err = c.receiver(f); err != nil {
			return err
		}
	}
	if to == nil && (f.All == AllNone || f.All == AllParties) {
		for _, p := range parties {
			set(p, nil, on)
			if !on {
				p.eachFlow(nil, AllFlows, func(s *subscription) { set(p, s, false) })
			}
		}
		c.apply()
		return nil
	}
	found := false
	for _, p := range parties {
		p.eachFlow(to, f.All, func(s *subscription) {
			set(p, s, on)
			found = true
		})
	}
	if to != nil && !found {
		return errFlowUnconnected
	}
	c.apply()
	return nil
}

// eachFlow calls f for p's flows of a kind, to one receiver or to all.
func (p *Participant) eachFlow(to *Participant, kind AllMode, f func(*subscription)) {
	for _, m := range p.Medias {
		for _, s := range m.sinks {
			if (to == nil || s.to.party == to) && kind.counts(s) {
				f(s)
			}
		}
	}
}

// noForwarding is what the replies to the forwarding commands say: the reference hands the packets to its recording
// daemon, and there is none here. Scripts that ask for it as a matter of course go on.
const noForwarding = "no recording daemon: the copy goes nowhere"

func (e *Engine) startForwarding(x *exchange) error { return e.forward(x, true) }
func (e *Engine) stopForwarding(x *exchange) error  { return e.forward(x, false) }

func (e *Engine) forward(x *exchange, on bool) error {
	f := &x.flags
	return e.withCall(f, func(c *Call) error {
		parties, err := c.selection(f, true)
		if err != nil {
			return err
		}
		for _, p := range parties {
			p.forwarded = on
		}
		if on && f.Metadata != "" {
			c.metadata = f.Metadata
		}
		if on {
			x.warn(noForwarding)
		}
		return nil
	})
}
