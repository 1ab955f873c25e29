package rtpengine

import (
	"encoding/binary"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// Digits that a party sends as events of RFC 4733: who is told of them, and what others get in their place.

// DTMFSecurity is the DTMF-security key: what stands for the events of a party that is blocked.
type DTMFSecurity uint8

// The modes.
const (
	DTMFDefault DTMFSecurity = iota // DTMFDrop
	DTMFDrop
	DTMFOff
	DTMFRandom
	DTMFZero
	DTMFDigit // the key digit
)

// dtmfGate is what happens to events on their way; the zero value lets them pass.
type dtmfGate struct {
	on   bool
	keep bool // edit says what stands for them; else they are dropped
	edit relay.DigitEdit
}

// dtmfGate is what a request asks for that blocks DTMF.
func (e *Engine) dtmfGate(f *Flags) dtmfGate {
	g := dtmfGate{on: f.DTMFSecurity != DTMFOff, keep: f.DTMFSecurity > DTMFOff, edit: relay.DigitEdit{Volume: f.Volume}}
	switch f.DTMFSecurity {
	case DTMFRandom:
		g.edit.Seed = binary.LittleEndian.Uint64(randomBytes(e.rand, 8)) | 1
	case DTMFDigit:
		g.edit.Digit = f.Digit
	}
	return g
}

// apply writes the gate into a sink, whose payload types are from's.
func (g *dtmfGate) apply(k *relay.Sink, from []sdp.Codec) {
	switch {
	case !g.on:
	case !g.keep:
		k.PTMap = withoutDTMF(k.PTMap, from)
	default:
		edit := g.edit
		if edit.PTs = eventTypes(from); !edit.PTs.Empty() {
			k.Digits = &edit
		}
	}
}

// eventTypes are the payload types of RFC 4733.
func eventTypes(codecs []sdp.Codec) (s relay.PTSet) {
	for i := range codecs {
		if isDTMF(&codecs[i]) {
			s.Add(codecs[i].PT & 0x7f)
		}
	}
	return s
}

// digitNumber reads a digit as the key digit has it: a character, or the event's number in two.
func digitNumber(text string) (uint8, bool) {
	switch {
	case len(text) == 1 && text[0] >= '0' && text[0] <= '9':
		return text[0] - '0', true
	case text == "*":
		return 10, true
	case text == "#":
		return 11, true
	case len(text) == 1 && text[0]|0x20 >= 'a' && text[0]|0x20 <= 'd':
		return text[0] | 0x20 - 'a' + 12, true
	case len(text) == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5':
		return 10 + text[1] - '0', true
	}
	return 0, false
}

// tellsDigits tells whether anybody wants to know of the call's digits.
func (c *Call) tellsDigits() bool {
	return c.engine.cfg.DTMF != nil && (c.engine.cfg.DTMFAll || c.dtmfLog.IsValid())
}

// tellDigit hands out the notification of one digit.
func (e *Engine) tellDigit(o *portOwner, ev relay.Event) {
	c := o.call
	c.mu.Lock()
	to, d := c.dtmfLog, o.digitNotice(ev)
	e.unlock(c)
	e.cfg.DTMF(to, d)
}

// digitNotice is the notification, in the order of keys that the reference has. The call is locked.
func (o *portOwner) digitNotice(ev relay.Event) *ng.Dict {
	d := new(ng.Dict)
	d.AddString("callid", o.call.ID)
	d.AddString("source_tag", o.party.Tag)
	if o.party.Label != "" {
		d.AddString("source_label", o.party.Label)
	}
	var tags []string
	for _, p := range o.call.participants {
		tags = append(tags, p.name())
	}
	d.Add("tags", ng.Strings(tags))
	d.AddString("type", "DTMF")
	d.AddInt("timestamp", ev.At.Unix())
	d.AddString("source_ip", ev.Digit.From.String())
	d.AddInt("event", int64(ev.Digit.Code))
	d.AddInt("duration", int64(ev.Digit.Duration/time.Millisecond))
	d.AddInt("volume", int64(ev.Digit.Volume))
	return d
}
