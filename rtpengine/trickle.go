package rtpengine

import (
	"fmt"
	"sync"
	"time"

	"rtpsidecar/sdp"
)

// fragments keeps trickled candidates whose party has not signalled yet: a fragment may overtake its offer.
type fragments struct {
	mu   sync.Mutex
	list []fragment
}

// fragment is one that waits.
type fragment struct {
	callID, tag string
	body        *sdp.Fragment
	at          time.Time
}

const (
	fragmentLife = 3 * time.Second // as the reference has it
	maxFragments = 4096
)

func (fr *fragments) put(f fragment) {
	fr.mu.Lock()
	defer fr.mu.Unlock()
	if len(fr.list) < maxFragments {
		fr.list = append(fr.list, f)
	}
}

// take removes and returns those of one party.
func (fr *fragments) take(callID, tag string) []*sdp.Fragment {
	fr.mu.Lock()
	defer fr.mu.Unlock()
	if len(fr.list) == 0 {
		return nil
	}
	var out []*sdp.Fragment
	rest := fr.list[:0]
	for _, f := range fr.list {
		if f.callID == callID && f.tag == tag {
			out = append(out, f.body)
		} else {
			rest = append(rest, f)
		}
	}
	clear(fr.list[len(rest):])
	fr.list = rest
	return out
}

func (fr *fragments) expire(now time.Time) {
	fr.mu.Lock()
	defer fr.mu.Unlock()
	rest := fr.list[:0]
	for _, f := range fr.list {
		if now.Sub(f.at) < fragmentLife {
			rest = append(rest, f)
		}
	}
	clear(fr.list[len(rest):])
	fr.list = rest
}

// trickle handles an offer whose body is a trickle-ICE fragment: candidates that came after the SDP. The reply has no
// body.
func (e *Engine) trickle(x *exchange) error {
	f := &x.flags
	switch {
	case f.SDP == "":
		return errNoSDP
	case f.CallID == "":
		return errNoCallID
	case f.FromTag == "":
		return errNoFromTag
	}
	body, err := sdp.ParseFragment(f.SDP)
	if err != nil {
		return fmt.Errorf("%w: %w", errParseSDP, err)
	}
	c := e.lockCall(f.CallID)
	if c == nil {
		e.fragment.put(fragment{f.CallID, f.FromTag, body, e.now()})
		return nil
	}
	defer e.unlock(c)
	if p := c.participant(f.FromTag); p != nil && p.answered() {
		p.trickled(body)
	} else {
		e.fragment.put(fragment{f.CallID, f.FromTag, body, e.now()})
	}
	return nil
}

// trickled hands the candidates of a fragment to the agents whose credentials it names.
func (p *Participant) trickled(body *sdp.Fragment) {
	sections := body.Media
	if len(sections) == 0 {
		sections = []sdp.FragmentMedia{{ICE: body.ICE}}
	}
	for _, s := range sections {
		for _, m := range p.Medias {
			if m.bundle != nil || m.transport() == nil || !m.leg.ICE.On {
				continue
			}
			if s.ICE.Ufrag != "" && s.ICE.Ufrag != m.leg.ICE.Remote.Ufrag {
				continue // of an earlier generation, or of another section
			}
			if s.ICE.Ufrag == "" && s.MID != "" && s.MID != m.leg.MID {
				continue
			}
			m.transport().AddCandidates(s.ICE.EndOfCandidates, iceCandidates(s.ICE.Candidates)...)
		}
	}
}

// lateFragments hands on what came before the party's SDP.
func (p *Participant) lateFragments() {
	if p.Tag == "" {
		return
	}
	for _, body := range p.call.engine.fragment.take(p.call.ID, p.Tag) {
		p.trickled(body)
	}
}
