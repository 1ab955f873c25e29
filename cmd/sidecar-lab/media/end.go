// Package media plays the ends of calls: it makes and reads SDP, sends sound as a phone or a browser would, and measures what
// it hears. Plain RTP and SDES are this project's own packets and SRTP; WebRTC is pion/webrtc, an independent stack.
package media

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Kind is what an end speaks.
type Kind string

// The kinds.
const (
	Plain  Kind = "plain"  // RTP/AVP
	SDES   Kind = "sdes"   // RTP/SAVP, keys in the SDP
	WebRTC Kind = "webrtc" // UDP/TLS/RTP/SAVPF, ICE, rtcp-mux
)

// ParseKind reads a kind; ws and phone are other words for WebRTC and plain.
func ParseKind(s string) (Kind, error) {
	switch s {
	case "plain", "phone", "rtp":
		return Plain, nil
	case "sdes", "srtp":
		return SDES, nil
	case "webrtc", "ws", "browser":
		return WebRTC, nil
	}
	return "", fmt.Errorf("%q is no kind of media; there are plain, sdes and webrtc", s)
}

// Config makes an end.
type Config struct {
	Kind   Kind
	Addr   netip.Addr // where media are received; its family is the SDP's
	Source Source     // what is sent; nil: silence
	Record bool       // keep all that is heard
	// Suites limits and orders what an SDES end offers; nil: AES_CM_128 with 80 and 32 bits.
	Suites []string
}

// End is one side of a call. Offer and Accept make it the caller, Answer the callee; from then on it sends, 50 packets a
// second. Methods are called one after the other; Stats at any time.
type End interface {
	// Offer is the SDP to call with.
	Offer(ctx context.Context) (string, error)
	// Answer takes an offer and returns the SDP to answer with.
	Answer(ctx context.Context, offer string) (string, error)
	// Accept takes the answer to an offer.
	Accept(ctx context.Context, answer string) error
	Stats() Stats
	// Heard is the last second of sound, or all of it for an end that records.
	Heard() []int16
	io.Closer
}

// Stats is what an end has measured so far.
type Stats struct {
	Kind           Kind
	Sent, Received uint64 // RTP packets
	Lost           uint64 // by sequence numbers, RFC 3550 appendix A.3
	Refused        uint64 // packets that were no RTP or failed authentication
	Jitter         time.Duration
	RTT            time.Duration // from RTCP; 0: not known
	First          time.Time     // of the first packet; zero: none came
	Codec          string
	Suite          string // of what is received; "" for plain RTP
	Pair           string // local and remote address in use
}

// New makes an end and opens its sockets.
func New(cfg Config) (End, error) {
	if !cfg.Addr.IsValid() {
		cfg.Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if cfg.Source == nil {
		cfg.Source = &Loop{}
	}
	if cfg.Kind == WebRTC {
		return newBrowser(cfg)
	}
	return newPhone(cfg)
}

// Loss is the share of packets that did not come, 0 to 1.
func (s Stats) Loss() float64 {
	if s.Received+s.Lost == 0 {
		return 0
	}
	return float64(s.Lost) / float64(s.Received+s.Lost)
}

// MOS estimates how a listener would judge G.711 sound with this loss, jitter and delay, 1 to 4.5, by the E-model with its
// default values: R0 93.2, the delay impairment of ITU-T G.107 in the usual piecewise form, the loss impairment of G.113 for
// G.711 without concealment (Ie 0, Bpl 4.3). It is 0 where nothing was heard.
func (s Stats) MOS() float64 {
	if s.Received == 0 {
		return 0
	}
	// A jitter buffer costs about twice the jitter, and each packet 20 ms.
	delay := float64(s.RTT/2+2*s.Jitter+20*time.Millisecond) / float64(time.Millisecond)
	id := 0.024 * delay
	if delay > 177.3 {
		id += 0.11 * (delay - 177.3)
	}
	loss := 100 * s.Loss()
	r := 93.2 - id - 95*loss/(loss+4.3)
	switch {
	case r <= 0:
		return 1
	case r > 100:
		return 4.5
	}
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}
