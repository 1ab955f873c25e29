package relay

import (
	"net/netip"
	"time"

	"rtpsidecar/relay/rtp"
)

// Digit is an event of RFC 4733 that has ended: a key of a phone.
type Digit struct {
	Route    uint64 // the media section that it came in
	Code     uint8  // 0-9, 10 "*", 11 "#", 12-15 "A" to "D"
	Volume   uint8  // of the tone, -dBm0
	Duration time.Duration
	From     netip.Addr
}

// DigitEdit puts other digits into the events of RFC 4733 that a sink gets.
type DigitEdit struct {
	PTs    PTSet  // received payload types that are events
	Digit  uint8  // that stands for all
	Seed   uint64 // not 0: instead of Digit one of 0-9 for each event, the same in all of its packets
	Volume uint8  // 0: unchanged
}

// maxDigit is the last event that a phone's keys send, RFC 4733 section 3.2.
const maxDigit = 15

// eventPayload is the payload of one event, RFC 4733 section 2.3; nil: b has none that is a digit.
func eventPayload(b []byte, h rtp.Header) []byte {
	payload, err := h.Payload(b)
	if err != nil || len(payload) < 4 || payload[0] > maxDigit {
		return nil
	}
	return payload
}

// digit reports an event at its first packet with the end bit; there are three of them, RFC 4733 section 2.5.1.4.
func (c *component) digit(r *Route, b []byte, h rtp.Header, from netip.AddrPort, at time.Time) {
	e := eventPayload(b, h)
	if e == nil || e[1]&0x80 == 0 {
		return
	}
	if id := uint64(h.SSRC)<<32 | uint64(h.Timestamp); c.lastDigit.Swap(id) == id {
		return
	}
	hz := max(r.clockRate(h.PT), 1)
	units := time.Duration(e[2])<<8 | time.Duration(e[3])
	c.t.host.events.digit(c.t, at, Digit{
		Route: r.ID, Code: e[0], Volume: e[1] & 0x3f, Duration: units * time.Second / time.Duration(hz), From: from.Addr(),
	})
}

// edit changes the digit in the plain packet b.
func (d *DigitEdit) edit(b []byte, h rtp.Header) {
	e := eventPayload(b, h)
	if e == nil {
		return
	}
	e[0] = d.Digit
	if d.Seed != 0 {
		e[0] = uint8(mix(d.Seed^uint64(h.SSRC)<<32^uint64(h.Timestamp)) % 10)
	}
	if d.Volume != 0 {
		e[1] = e[1]&^0x3f | d.Volume&0x3f
	}
}

// mix is the finaliser of SplitMix64: what nobody can guess of the seed, nobody can of the digits, nor needs it a state.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
