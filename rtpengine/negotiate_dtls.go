package rtpengine

import (
	"encoding/hex"
	"io"
	"slices"

	"rtpsidecar/sdp"
)

const defaultHash = "sha-256"

// hearDTLSOffer: whatever the flags want for the other side, a fingerprint with a usable setup role offers DTLS. Another
// fingerprint or tls-id than before asks for a new association, RFC 8842 section 5.3; an ICE restart alone does not.
func hearDTLSOffer(l *leg, m *sdp.Media, f *Flags) {
	d := &l.DTLS
	usable := len(m.Fingerprints) > 0 && m.Setup != sdp.SetupNone && m.Setup != sdp.SetupHoldConn
	if !usable || m.Protocol.IsRTP() && !m.Protocol.IsSRTP() && !l.OSRTP {
		// Who offers SDES alone is not offered DTLS later, unless it is asked for.
		*d = legDTLS{LocalID: d.LocalID, Generation: d.Generation, Refused: len(m.Cryptos) > 0 && len(m.Fingerprints) == 0}
		return
	}
	d.Begun, d.Foreseen = false, false
	if !sameFingerprints(d.Remote, m.Fingerprints) || d.RemoteID != m.TLSID {
		d.Decided = false
		if len(d.Remote) > 0 {
			d.LocalID = "" // a new association has a new name
		}
	}
	d.On, d.Refused = true, false
	d.Remote, d.RemoteID = m.Fingerprints, m.TLSID
	d.chooseHash("")
	d.Passive = f.DTLS == DTLSPassive || f.DTLSReverse == DTLSPassive
}

// foreseeDTLS fixes our role towards a as soon as a has offered, so that the handshake is ready when the answer is there.
// With UDP/TLS/RTP/* it begins then: an offerer has no fingerprint of ours before, and what it gets too early it may lose
// (pion) and wait for the repetition. With the older RTP/SAVP* it begins at once, as the reference does.
// Where SDES or plain RTP may still be chosen instead, nothing is foreseen.
func foreseeDTLS(a *leg, r rules) {
	d := &a.DTLS
	d.Foreseen = d.On && !d.Decided && a.secure() && !a.OSRTP && len(a.In.Cryptos) == 0
	if d.Foreseen {
		d.Active = activeTowards(a.In.Setup, d.Passive || r.dtlsPassive)
	}
}

// activeTowards is our role towards an offerer that wrote setup.
func activeTowards(setup sdp.Setup, passive bool) bool {
	switch setup {
	case sdp.SetupActive:
		return false
	case sdp.SetupPassive:
		return true
	}
	return !passive
}

// hearDTLSAnswer: the answer to an offered association fixes the roles.
func hearDTLSAnswer(l *leg, m *sdp.Media) {
	d := &l.DTLS
	if !d.On {
		return
	}
	if len(m.Fingerprints) == 0 || m.Setup == sdp.SetupHoldConn {
		d.On, d.Refused, d.Decided = false, true, false
		d.Remote, d.RemoteID = nil, ""
		return
	}
	d.Refused, d.Foreseen = false, false
	d.Remote, d.RemoteID = m.Fingerprints, m.TLSID
	d.Active = m.Setup == sdp.SetupPassive // without the line the answerer is active, RFC 4145 section 4.1
	d.Decided = true
}

// proposeDTLS decides about DTLS in the offer to b.
func proposeDTLS(a, b *leg, f *Flags, r rules) {
	d := &b.DTLS
	if !b.secure() || f.DTLS == DTLSOff || d.Refused && !b.Protocol.IsDTLS() {
		*d = legDTLS{Refused: d.Refused, LocalID: d.LocalID}
		return
	}
	if d.Hash == "" || f.DTLSFingerprint != "" {
		d.chooseHash(f.DTLSFingerprint) // the far side's own choice for its answer is no reason to change ours
	}
	d.localID(f, r.rand)
	d.On, d.Offered = true, true
}

// concludeDTLS decides our role towards a, who offered.
//
// A handshake that has begun meanwhile, and that the far side takes part in, is not taken back by a flag.
func concludeDTLS(a *leg, f *Flags, r rules) {
	d := &a.DTLS
	if (f.DTLS == DTLSOff || a.wishes().SDES.Prefer) && len(a.In.Cryptos) > 0 {
		d.On = false
	}
	if !d.On {
		return
	}
	d.localID(f, r.rand)
	if d.Decided {
		return
	}
	if !d.Begun {
		d.Active = activeTowards(a.In.Setup, d.Passive || f.DTLS == DTLSPassive || r.dtlsPassive && f.DTLS != DTLSActive)
	}
	d.Decided, d.Foreseen = true, false
}

// chooseHash takes the digest asked for, else the one the other side uses, else the default.
func (d *legDTLS) chooseHash(wish string) {
	switch {
	case wish != "":
		d.Hash = wish
	case len(d.Remote) > 0 && knownHash(d.Remote[0].Hash):
		d.Hash = d.Remote[0].Hash
	case d.Hash == "":
		d.Hash = defaultHash
	}
}

// localID makes our tls-id, 128 random bits, where it is wanted and missing.
func (d *legDTLS) localID(f *Flags, rand io.Reader) {
	if f.NoTLSID {
		d.LocalID = ""
	} else if d.LocalID == "" {
		d.LocalID = hex.EncodeToString(randomBytes(rand, 16))
	}
}

func knownHash(h string) bool {
	switch h {
	case "sha-1", "sha-224", "sha-256", "sha-384", "sha-512":
		return true
	}
	return false
}

func sameFingerprints(a, b []sdp.Fingerprint) bool {
	return slices.EqualFunc(a, b, func(x, y sdp.Fingerprint) bool {
		return x.Hash == y.Hash && slices.Equal(x.Digest, y.Digest)
	})
}

// setup is the role printed to a party: ours.
func (d *legDTLS) setup(offer bool) sdp.Setup {
	switch {
	case offer:
		return sdp.SetupActPass
	case d.Active:
		return sdp.SetupActive
	}
	return sdp.SetupPassive
}
