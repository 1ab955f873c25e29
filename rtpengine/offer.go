package rtpengine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rtpsidecar/sdp"
)

// offer handles an SDP offer: it comes from the party of from-tag and is passed on to the party of to-tag, or to one
// that has no tag yet.
func (e *Engine) offer(x *exchange) error {
	f := &x.flags
	if f.FragmentBody {
		return e.trickle(x)
	}
	s, err := e.readSDP(f)
	if err != nil {
		return err
	}
	if f.LoopProtect && slices.Contains(s.LoopMarks, e.cfg.InstanceID) {
		x.reply.AddString("sdp", f.SDP)
		return nil
	}
	c, created, err := e.openCall(f.CallID, x.req.Source, true)
	if err != nil {
		return err
	}
	defer e.unlock(c)
	if created {
		c.log.Info("call created", "client", x.req.Source)
	}
	c.signal(f)
	from, to := c.offerParties(f, s)
	body, warning, err := c.runOffer(from, to, s, f)
	c.noteSDP("offer", from, to, err)
	if err != nil {
		// Ports have run out, or a party cannot be reached: nothing of the call would work.
		e.destroy(c, closedError)
		return err
	}
	x.reply.AddString("sdp", string(body))
	x.warn(warning)
	return nil
}

// readSDP checks what offer and answer need and parses the body.
func (e *Engine) readSDP(f *Flags) (*sdp.Session, error) {
	switch {
	case f.SDP == "":
		return nil, errNoSDP
	case f.CallID == "":
		return nil, errNoCallID
	case f.FromTag == "":
		return nil, errNoFromTag
	}
	s, err := sdp.Parse(f.SDP)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errParseSDP, err)
	}
	for _, m := range s.Media {
		if m.Port == 0 {
			continue
		}
		switch c, ok := m.Conn(); {
		case !ok:
			return nil, errIncompleteSDP
		case !c.Addr.IsValid() && !f.ReceivedFrom.IsValid():
			return nil, fmt.Errorf("%w: address %q", errParseSDP, clip(c.Address))
		}
	}
	return s, nil
}

// signal notes that an offer or answer came: learning starts again, and a pending deletion is off.
func (c *Call) signal(f *Flags) {
	c.lastSignal = c.engine.now()
	c.deleteAt = time.Time{}
	c.signals++
	c.follow(f)
}

// offerParties finds or makes the two sides of an offer. The receiver of an offer gets its tag from its answer, not
// from the offer's to-tag: several branches may answer.
func (c *Call) offerParties(f *Flags, s *sdp.Session) (from, to *Participant) {
	now := c.lastSignal
	if from = c.participant(f.FromTag); from == nil {
		if from = c.alias(f, s); from == nil {
			from = c.addParticipant(f.FromTag, now)
		}
	}
	from.revive()
	switch {
	case f.ToTag != "":
		if o := c.participant(f.ToTag); o != nil && o != from {
			to = o
		}
	case f.ViaBranch != "":
		to = from.latest(func(o *Participant) bool { return o.ViaBranch == f.ViaBranch })
	default:
		to = from.latest(func(*Participant) bool { return true })
	}
	if to == nil {
		to = c.addParticipant("", now)
	}
	to.revive()
	if f.ViaBranch != "" {
		to.ViaBranch = f.ViaBranch
	}
	if label := first(f.SetLabel, f.Label); label != "" {
		from.Label = label
	}
	from.associate(to)
	return from, to
}

// alias is the known party that an unknown from-tag belongs to, by alias-key; it takes the tag as an alias.
func (c *Call) alias(f *Flags, s *sdp.Session) *Participant {
	if f.AliasKey == AliasNone {
		return nil
	}
	for _, p := range c.alive() {
		if p.in == nil || p.Tag == "" {
			continue
		}
		same := false
		switch f.AliasKey {
		case AliasSDP:
			same = sdp.EqualButOrigin(p.said, f.SDP) // as written: a=sendrecv is not the same as nothing (observed)
		case AliasAddress:
			same = len(p.in.Media) > 0 && len(s.Media) > 0 &&
				connectionAddr(p.in, p.in.Media[0]) == connectionAddr(s, s.Media[0])
		}
		if same {
			p.Aliases = append(p.Aliases, f.FromTag)
			c.byTag[f.FromTag] = p
			return p
		}
	}
	return nil
}

// runOffer is the offer proper: from's SDP s is heard, an offer to to decided, ports opened, and the body printed.
func (c *Call) runOffer(from, to *Participant, s *sdp.Session, f *Flags) (body []byte, warning string, err error) {
	s = from.undouble(s, f)
	from.in, from.said = s, f.SDP
	c.place(from, to, f, true)
	n := negotiation{call: c, f: f, s: s, from: from, to: to, offering: true}
	defer n.release()
	n.pairOffer()
	n.followGroups()
	n.hear(true)
	for _, p := range n.pairs {
		if p.sec == nil || p.bm == nil {
			continue
		}
		propose(&p.a, &p.b, f, c.engine.rules())
		foreseeDTLS(&p.a, c.engine.rules())
		n.proposeCodecs(p)
	}
	n.proposeBundle()
	if err := n.openPorts(); err != nil {
		return nil, "", err
	}
	n.commit()
	for _, p := range n.pairs {
		if p.bm != nil {
			p.am.echo, p.bm.echo = f.MediaEcho.effects()
		}
	}
	from.noShort = from.noShort || f.BlockShort
	if f.BlockDTMF {
		from.dtmf = c.engine.dtmfGate(f)
	}
	body = n.print(true)
	c.apply()
	from.lateFragments()
	c.save(f)
	return body, n.warning(), nil
}

// removedMedia tells whether sdp-media-remove names a section's type; "other" stands for what has no name of its own.
func removedMedia(f *Flags, kind string) bool {
	for _, t := range f.MediaRemove {
		if strings.EqualFold(t, kind) || t == "other" && !commonMedia(kind) {
			return true
		}
	}
	return false
}

func commonMedia(kind string) bool {
	switch strings.ToLower(kind) {
	case "audio", "video", "image", "message", "text", "application":
		return true
	}
	return false
}

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
