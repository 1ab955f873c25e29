package rtpengine

import (
	"strings"
	"time"

	"rtpsidecar/sdp"
)

// proposeCodecs decides which codecs the receiver of an offer gets to see.
func (n *negotiation) proposeCodecs(p *pair) {
	if !p.b.rtp() {
		p.b.Shown = nil
		return
	}
	o := offerCodecs(p.sec.Codecs, p.b.Shown, &n.f.Codec)
	p.b.Shown = o.List
	if o.Refuse {
		p.b.Rejected = true
	}
	n.missing = append(n.missing, o.Missing...)
}

// concludeCodecs decides what the offerer gets to see of the answer.
func (n *negotiation) concludeCodecs(p *pair) {
	if !p.b.rtp() {
		p.b.Shown = nil
		return
	}
	a := answerCodecs(p.b.Codecs, p.sec.Codecs, p.b.Shown, &p.b.wishes().Codec, &n.f.Codec)
	p.b.Shown, p.b.Agreed, p.a.Agreed = a.List, a.List, p.sec.Codecs
	n.missing = append(n.missing, a.Missing...)
}

// isDTMF tells the events of RFC 4733.
func isDTMF(c *sdp.Codec) bool { return strings.EqualFold(c.Name, "telephone-event") }

func upperName(c *sdp.Codec) string { return strings.ToUpper(c.Name) }

// firstDuration is the first that is set.
func firstDuration(list ...time.Duration) time.Duration {
	for _, d := range list {
		if d != 0 {
			return d
		}
	}
	return 0
}
