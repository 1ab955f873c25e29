package rtpengine

import (
	"slices"
	"strings"

	"rtpsidecar/sdp"
)

// proposeCodecs decides which codecs the receiver of an offer gets to see.
func (n *negotiation) proposeCodecs(p *pair) {
	if !p.b.rtp() {
		p.b.Shown = nil
		return
	}
	o := offerCodecs(p.sec.Codecs, p.b.agreed(), &n.f.Codec)
	p.b.Shown = o.List
	if o.Refuse {
		p.b.Rejected = true
	}
	n.lack(p, o.Missing)
}

// concludeCodecs decides what the offerer gets to see of the answer.
func (n *negotiation) concludeCodecs(p *pair) {
	if !p.b.rtp() {
		p.b.Shown = nil
		return
	}
	a := answerCodecs(p.b.Codecs, p.sec.Codecs, &p.b.wishes().Codec, &n.f.Codec)
	p.b.Shown, p.b.Agreed, p.a.Agreed = a.List, a.List, p.sec.Codecs
	n.lack(p, a.Missing)
}

// lack notes what would need transcoding. That exists for audio: for other media the same words ask for nothing.
func (n *negotiation) lack(p *pair, words []string) {
	if !strings.EqualFold(p.sec.Type, "audio") {
		return
	}
	for _, w := range words {
		if !slices.Contains(n.missing, w) {
			n.missing = append(n.missing, w)
		}
	}
}

// warning is what the reply says about codecs and flags that ask for transcoding in vain, "" when there are none. The
// log says it too: scripts of proxies do not see the key.
func (n *negotiation) warning() string {
	if len(n.missing) == 0 {
		return ""
	}
	words := strings.Join(n.missing, ", ")
	n.call.log.Warn("no transcoding", "asked", clip(words))
	return "no transcoding: " + words
}

// isDTMF tells the events of RFC 4733.
func isDTMF(c *sdp.Codec) bool { return strings.EqualFold(c.Name, "telephone-event") }

func upperName(c *sdp.Codec) string { return strings.ToUpper(c.Name) }
