// Package srtp protects and unprotects RTP and RTCP packets in place.
//
// A [Suite] is one row of the table of crypto suites, [Params] one master key with its session parameters, and a
// [Context] the state of one direction under that key. Nothing here opens a socket, starts a goroutine or reads a clock,
// and no call on a packet allocates, except once for an SSRC not seen before.
//
// Sources: RFC 3711 (SRTP), RFC 6188 (AES-192 and AES-256), RFC 7714 (AEAD GCM), RFC 4568 (session parameters).
package srtp

import "errors"

// What can be wrong with a packet. A malformed RTP header gives the errors of package rtp instead. All are returned as
// they are, for counting.
var (
	// ErrShort is a packet too short for its trailer, or an RTCP packet without a sender.
	ErrShort = errors.New("srtp: packet too short")
	// ErrAuth is a tag that does not verify.
	ErrAuth = errors.New("srtp: authentication failed")
	// ErrMKI is a master key identifier other than ours.
	ErrMKI = errors.New("srtp: unknown master key identifier")
	// ErrReplay is an index that was used before or is too old to know.
	ErrReplay = errors.New("srtp: index used before")
	// ErrBuffer is a packet to protect whose slice has no room for the trailer.
	ErrBuffer = errors.New("srtp: no room for the trailer")
	// ErrLifetime is a master key used for as many packets as it may be (2^48 RTP or 2^31 RTCP).
	ErrLifetime = errors.New("srtp: master key used up")
)
