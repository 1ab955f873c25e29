package rtpengine

import (
	"io"
	"slices"

	"rtpsidecar/relay/ice"
	"rtpsidecar/sdp"
)

// hearICEOffer: credentials in an offer start ICE, others than before restart it, none end it.
func hearICEOffer(l *leg, s *sdp.Session, m *sdp.Media, f *Flags, r rules) {
	if f.RejectICE {
		l.ICE = legICE{Refused: true}
		return
	}
	remote := ice.Credentials{Ufrag: m.ICE.Ufrag, Pwd: m.ICE.Pwd}
	if remote.Ufrag == "" || remote.Pwd == "" {
		l.ICE.On = false
		return
	}
	i := &l.ICE
	restart := i.Remote.Ufrag != "" && i.Remote != remote
	if i.Local.Ufrag == "" || restart {
		i.Local = newCredentials(r.rand)
	}
	if !i.On || restart {
		i.Controlling = s.ICELite // a lite agent cannot control, RFC 8445 section 6.1.1
	}
	i.On, i.Refused = true, false
	i.Remote = remote
	i.hearRest(s, m)
	i.Lite = f.ICELite == LiteBackward || f.ICELite == LiteBoth || i.Lite && f.ICELite != LiteOff && f.ICELite != LiteForward
}

// hearICEAnswer: an answer completes what was offered. Changed credentials count only where nothing was agreed yet.
func hearICEAnswer(l *leg, s *sdp.Session, m *sdp.Media, r rules) {
	i := &l.ICE
	remote := ice.Credentials{Ufrag: m.ICE.Ufrag, Pwd: m.ICE.Pwd}
	if !i.On {
		return
	}
	if remote.Ufrag == "" || remote.Pwd == "" {
		i.On, i.Refused = false, true
		i.Remote = ice.Credentials{}
		return
	}
	if i.Remote.Ufrag == "" {
		i.Remote = remote
	}
	i.Refused = false
	i.hearRest(s, m)
}

func (i *legICE) hearRest(s *sdp.Session, m *sdp.Media) {
	i.RemoteLite = s.ICELite
	if i.RemoteLite {
		i.Controlling = true
	}
	i.Trickle = slices.Contains(m.ICE.Options, "trickle")
	i.ICE2 = slices.Contains(m.ICE.Options, "ice2")
	i.Ended = m.ICE.EndOfCandidates
}

// proposeICE decides about ICE in the offer to b.
func proposeICE(a, b *leg, f *Flags, r rules) {
	i := &b.ICE
	heard := a.In.ICE.Ufrag != "" && a.In.ICE.Pwd != ""
	mode := f.ICE
	if !b.rtp() && mode != ICERemove {
		mode = ICEDefault // a fax or a data channel has it when it came with it
	}
	on := false
	switch mode {
	case ICERemove:
	case ICEForce:
		on = true
	case ICEForceRelay:
		on = heard
	case ICEOptional:
		on = true
		if !heard {
			mode = ICEForce
		}
	default:
		on = heard && !i.Refused
		if b.Seen && !f.Reset {
			on = i.On // it has said whether it wants ICE
		}
		mode = ICEForce
	}
	if !on {
		if !i.Refused {
			*i = legICE{}
		}
		i.On = false
		return
	}
	if i.Local.Ufrag == "" || !i.On && !b.Seen {
		i.Local = newCredentials(r.rand)
	}
	if !i.On {
		i.Controlling = true
		i.Remote = ice.Credentials{}
	}
	i.On, i.Mode = true, mode
	i.Trickle = i.Trickle || f.TrickleICE
	i.ICE2 = i.ICE2 || f.ICE2
	switch f.ICELite {
	case LiteForward, LiteBoth:
		i.Lite = true
	case LiteBackward, LiteOff:
		i.Lite = false
	}
}

// Lengths of our credentials in characters, as the reference makes them; RFC 8445 section 5.3 asks for 24 and 128
// bits of randomness, and these are 47 and 154.
const (
	ufragLen = 8
	pwdLen   = 26
)

const alphanumerics = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func newCredentials(rand io.Reader) ice.Credentials {
	return ice.Credentials{Ufrag: randomText(rand, ufragLen), Pwd: randomText(rand, pwdLen)}
}

// randomText is n random letters and digits.
func randomText(rand io.Reader, n int) string {
	const limit = 256 - 256%len(alphanumerics) // bytes above it would favour the first letters
	out := make([]byte, 0, n)
	buf := make([]byte, n+n/2)
	for len(out) < n {
		readFull(rand, buf)
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphanumerics[int(b)%len(alphanumerics)])
			}
		}
	}
	return string(out)
}

// randomBytes is n random bytes.
func randomBytes(rand io.Reader, n int) []byte {
	b := make([]byte, n)
	readFull(rand, b)
	return b
}

// readFull fills b. The system's source of randomness does not fail (crypto/rand ends the program instead).
func readFull(rand io.Reader, b []byte) {
	if _, err := io.ReadFull(rand, b); err != nil {
		panic("rtpengine: no randomness: " + err.Error())
	}
}
