package rtpengine

import "rtpsidecar/sdp"

// proposeBundle decides about sharing one transport among the sections of an offer.
func (n *negotiation) proposeBundle() {}

// concludeBundle decides it for the answer.
func (n *negotiation) concludeBundle() {}

// groups prints a=group lines.
func (n *negotiation) groups(_ *sdp.Session, _ bool) {}
