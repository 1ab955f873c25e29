package rtpengine

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/sdp"
)

// publish takes the offer of a party that only sends and answers it here. Others subscribe to it.
func (e *Engine) publish(x *exchange) error {
	f := &x.flags
	given := *f
	if f.CallID == "" {
		f.CallID = e.newTag()
	}
	if f.FromTag == "" {
		f.FromTag = e.newTag()
	}
	s, err := e.readSDP(f)
	if err != nil {
		*f = given
		return err
	}
	c, _, err := e.openCall(f.CallID, x.req.Source, true)
	if err != nil {
		return err
	}
	defer e.unlock(c)
	c.signal(f)
	p := c.participant(f.FromTag)
	if p == nil {
		p = c.addParticipant(f.FromTag, c.lastSignal)
	}
	p.revive()
	if label := first(f.SetLabel, f.Label); label != "" {
		p.Label = label
	}
	p.in = s
	p.placeOn(first(f.Interface, f.Direction[0]), f.AddressFamily, sdpFamily(s))
	body, err := c.answerHere(p, s, f)
	if err != nil {
		e.destroy(c, closedError)
		return err
	}
	x.reply.AddString("call-id", f.CallID)
	x.reply.AddString("from-tag", f.FromTag)
	x.reply.AddString("sdp", string(body))
	return nil
}

// answerHere answers p's offer s without another party: we receive, and send too if that is wanted.
func (c *Call) answerHere(p *Participant, s *sdp.Session, given *Flags) ([]byte, error) {
	e := c.engine
	copied := *given
	copied.Transport = sdp.ProtocolUnknown // an answer has the offer's
	f := &copied
	n := negotiation{call: c, f: f, s: e.ownSession(p), from: nil, to: p}
	heard := negotiation{call: c, f: f, s: s, from: p}
	for i, sec := range s.Media {
		h := &pair{am: p.media(i, sec.Type), sec: sec}
		h.a = h.am.leg
		heard.pairs = append(heard.pairs, h)
	}
	heard.followGroups()
	heard.hear(true)
	dir := sdp.RecvOnly
	if f.Bidirectional {
		dir = sdp.SendRecv
	}
	for _, h := range heard.pairs {
		us := leg{Seen: true, Protocol: h.a.Protocol, ProtoText: h.a.ProtoText, Dir: dir, Mux: legMux{Heard: true}, Rejected: h.a.Rejected}
		h.a.PTime = h.sec.PTime
		conclude(&h.a, &us, f, e.rules())
		h.a.Shown = published(h.sec.Codecs, f.Codec.Accept)
		h.a.Agreed = h.a.Shown
		us.Codecs = h.a.Shown
		answer := &sdp.Media{Type: h.sec.Type, Port: h.sec.Port, Protocol: h.sec.Protocol, ProtoText: h.sec.ProtoText,
			Formats: h.sec.Formats, MID: h.sec.MID, Codecs: h.a.Shown, Direction: dir, Extmaps: h.sec.Extmaps}
		h.a.Told = true
		h.am.Type = h.sec.Type
		h.am.leg = h.a
		if h.aHead != nil {
			h.am.join(h.aHead, func(x *pair) *Media { return x.am })
		}
		h.am.grouped = h.aHead != nil
		pr := &pair{bm: h.am, b: h.a, a: us, sec: answer, inGroup: h.aHead != nil}
		n.pairs = append(n.pairs, pr)
		if h.a.Rejected {
			h.am.release()
		} else if h.am.bundle == nil {
			if err := h.am.ensure(n.wish(&h.a, &us)); err != nil {
				return nil, err
			}
		}
	}
	body := n.print(false)
	c.apply()
	return body, nil
}

// published are the codecs to accept, as the reference does: one, with what belongs to it, or all that it knows. Which one is
// the first that the wishes name, else the first that is known, or with any the first. Where none is known the first is
// better than none, as nothing is decoded here.
func published(offered []sdp.Codec, wishes []string) []sdp.Codec {
	wish := func(word string) bool {
		return slices.ContainsFunc(wishes, func(w string) bool { return strings.EqualFold(w, word) })
	}
	taken := func(c *sdp.Codec) bool { return !isSupplement(c) && !isRetransmission(c) }
	known := func(c *sdp.Codec) bool { return wish("any") || isKnown(c) }
	if wish("all") {
		var out []sdp.Codec
		for i := range offered {
			if c := &offered[i]; known(c) || !taken(c) {
				out = append(out, *c)
			}
		}
		if slices.ContainsFunc(out, func(c sdp.Codec) bool { return taken(&c) }) {
			return out
		}
	}
	pick := -1
	find := func(f func(*sdp.Codec) bool) {
		if pick < 0 {
			pick = slices.IndexFunc(offered, func(c sdp.Codec) bool { return f(&c) })
		}
	}
	for _, w := range wishes {
		find(func(c *sdp.Codec) bool { return !strings.EqualFold(w, "any") && specsMatch([]string{w}, c) })
	}
	find(func(c *sdp.Codec) bool { return taken(c) && known(c) })
	find(taken)
	if pick < 0 {
		return offered
	}
	out := []sdp.Codec{offered[pick]}
	for i, c := range offered {
		if i != pick && isSupplement(&c) && c.ClockHz == offered[pick].ClockHz {
			out = append(out, c)
		}
	}
	return out
}

// isKnown tells whether the reference, as Debian has it, both decodes and encodes an audio codec. Of video it knows none and
// refuses it without any; here it may be published.
func isKnown(c *sdp.Codec) bool {
	switch upperName(c) {
	case "PCMU", "PCMA", "G722", "G723", "G726-16", "G726-24", "G726-32", "G726-40", "G729", "G729A", "GSM", "L16", "X-L16",
		"OPUS", "SPEEX":
		return true
	}
	return c.ClockHz == videoClockHz
}

// videoClockHz is the clock of every video format, RFC 3551 section 5.
const videoClockHz = 90000

// ownSession is the session level of a body that is made here.
func (e *Engine) ownSession(p *Participant) *sdp.Session {
	o := sdp.Origin{Username: "-", SessionID: e.newNumber(), Version: e.newNumber(), Family: sdp.IP4, Address: "0.0.0.0"}
	for _, in := range e.cfg.Interfaces {
		if in.Alias == "" && in.Name == p.place.iface && (p.place.family == "" || familyOf(in.Advertised) == p.place.family) {
			o.Family, o.Address = familyOf(in.Advertised), in.Advertised.String()
			break
		}
	}
	if p.out.seen {
		o = p.out.origin
	}
	return &sdp.Session{Origin: o, Name: e.cfg.SoftwareID, Timing: []string{"0 0"}}
}

// newTag makes a tag or call-id: 32 random bytes as hex digits, as the reference does.
func (e *Engine) newTag() string { return hex.EncodeToString(randomBytes(e.rand, 32)) }

// newNumber makes a session id, 31 random bits: every parser has room for that.
func (e *Engine) newNumber() string {
	b := randomBytes(e.rand, 4)
	return strconv.FormatUint(uint64(b[0]&0x7f)<<24|uint64(b[1])<<16|uint64(b[2])<<8|uint64(b[3]), 10)
}
