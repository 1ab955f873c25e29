package rtpengine

import (
	"cmp"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// usualPTime is the packet time of audio that nothing is said about, RFC 3551 section 4.2.
const usualPTime = 20 * time.Millisecond

// packetTime is how long the packets are that the party is to get.
func (l *leg) packetTime() time.Duration { return cmp.Or(l.PTimeWish, l.PTime, usualPTime) }

// framing is what makes the receiver's packets of the source's, where the keys ptime or ptime-reverse asked for a packet
// time towards one of the two and the other has another. It stays while its task does, with what it holds back.
func (s *subscription) framing() *relay.Framer {
	from, to := &s.from.leg, &s.to.leg
	frame := to.packetTime()
	if from.PTimeWish == 0 && to.PTimeWish == 0 || frame == from.packetTime() {
		s.framer = nil
		return nil
	}
	var pts relay.PTSet
	for _, list := range [][]sdp.Codec{from.Codecs, from.Shown} {
		for i := range list {
			if framed(&list[i]) {
				pts.Add(list[i].PT)
			}
		}
	}
	if pts.Empty() {
		s.framer = nil
	} else if s.framer == nil || !s.framer.Makes(pts, frame) {
		s.framer = relay.NewFramer(pts, frame)
	}
	return s.framer
}

// framed tells codecs with eight bytes in each millisecond that can be cut anywhere.
func framed(c *sdp.Codec) bool {
	return c.ClockHz == 8000 && c.Channels <= 1 && (otherLaw(c) != "" || upperName(c) == "G722")
}
