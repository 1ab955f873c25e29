package rtpengine

import (
	"rtpsidecar/sdp"
)

// answer handles an SDP answer: it comes from the party of to-tag, and the reply is for the party of from-tag, which
// made the offer.
func (e *Engine) answer(x *exchange) error {
	f := &x.flags
	s, err := e.readSDP(f)
	if err != nil {
		return err
	}
	if f.ToTag == "" {
		return errNoToTag
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		return errUnknownCallID
	}
	defer e.unlock(c)
	c.signal(f)
	offerer, answerer, err := c.answerParties(f)
	if err != nil {
		return err
	}
	body, warning, err := c.runAnswer(answerer, offerer, s, f)
	c.noteSDP("answer", answerer, offerer, err)
	if err != nil {
		e.destroy(c, closedError)
		return err
	}
	x.reply.AddString("sdp", string(body))
	x.warn(warning)
	return nil
}

// answerParties finds who made the offer and who answers it, and names the latter by the to-tag.
func (c *Call) answerParties(f *Flags) (offerer, answerer *Participant, err error) {
	now := c.lastSignal
	offerer = c.participant(f.FromTag)
	if offerer == nil {
		// Its offer never came here. The answer is served like any other; media cannot flow before an offer.
		offerer = c.addParticipant(f.FromTag, now)
	}
	offerer.revive()
	answerer = c.participant(f.ToTag)
	if answerer == offerer {
		return nil, nil, errDialogue
	}
	if answerer == nil {
		answerer = c.nameAnswerer(offerer, f)
	}
	answerer.revive()
	if f.SIPMessage == SIPReply && f.SIPCode >= 200 && !f.Provisional {
		answerer.final = true
	}
	if label := first(f.SetLabel, f.Label); label != "" {
		answerer.Label = label
	}
	offerer.associate(answerer)
	return offerer, answerer, nil
}

// nameAnswerer picks the party that an unknown to-tag names: the pending one of the same branch, the last pending one,
// or the last to have answered, which then has changed its tag; else a new one.
func (c *Call) nameAnswerer(offerer *Participant, f *Flags) *Participant {
	pending := func(o *Participant) bool { return o.Tag == "" }
	var p *Participant
	if f.ViaBranch != "" {
		branch := func(o *Participant) bool { return o.ViaBranch == f.ViaBranch }
		if p = offerer.latest(func(o *Participant) bool { return branch(o) && pending(o) }); p == nil {
			p = c.renamed(offerer.latest(branch), f)
		}
	}
	if p == nil && (f.ViaBranch == "" || !offerer.hasBranches()) {
		if p = offerer.latest(pending); p == nil {
			p = c.renamed(offerer.latest(func(*Participant) bool { return true }), f)
		}
	}
	if p == nil {
		p = c.addParticipant("", c.lastSignal)
		p.ViaBranch = f.ViaBranch
		p.place = offerer.latestPlace()
		offerer.offerAgain(p)
	}
	c.nameParticipant(p, f.ToTag)
	return p
}

// renamed is p if its to-tag may change: forked phones behind one branch answer with tags of their own, and the last
// one counts, until a final response is seen.
func (c *Call) renamed(p *Participant, f *Flags) *Participant {
	if p == nil || f.NewBranch || p.final {
		return nil
	}
	for _, m := range p.Medias {
		m.leg.forget()
	}
	return p
}

// runAnswer is the answer proper: from's SDP s is heard, the answer to to decided, and the body printed.
func (c *Call) runAnswer(from, to *Participant, s *sdp.Session, f *Flags) (body []byte, warning string, err error) {
	s = from.undouble(s, f)
	n := negotiation{call: c, f: f, s: s, from: from, to: to}
	defer n.release()
	from.in, from.said = s, f.SDP
	c.place(from, to, f, false)
	n.pairAnswer()
	n.hear(false)
	for _, p := range n.pairs {
		if p.sec == nil || p.bm == nil {
			continue
		}
		if p.b.In == nil {
			p.b.imagine(p.a.In)
		}
		if p.b.DTLS.Foreseen {
			t := p.bm.transport()
			p.b.DTLS.Begun = t != nil && t.Status().DTLSHeard
		}
		conclude(&p.b, &p.a, f, c.engine.rules())
		n.concludeCodecs(p)
	}
	n.concludeBundle()
	if err := n.openPorts(); err != nil {
		return nil, "", err
	}
	n.commit()
	n.unfork()
	c.answers++
	from.noShort = from.noShort || f.BlockShort
	if f.BlockDTMF {
		from.dtmf = c.engine.dtmfGate(f)
	}
	body = n.print(false)
	c.apply()
	from.lateFragments()
	c.save(f)
	return body, n.warning(), nil
}
