// Package dtls agrees on SRTP keys with a far end by DTLS-SRTP (RFC 5763, RFC 5764).
//
// A [Keyer] runs one association over datagrams that others receive and send for it; [Certificates] keeps our identity.
// The DTLS itself is pion/dtls v3, which only this package sees. DTLS 1.2 is spoken, sessions are never resumed, and
// both sides present a certificate, whose digest must be one that signalling announced.
package dtls

import "errors"

var (
	// ErrFingerprint is a certificate of the far end that has none of the announced digests.
	ErrFingerprint = errors.New("dtls: certificate matches no announced fingerprint")
	// ErrNoProfile is a far end that does not want SRTP.
	ErrNoProfile = errors.New("dtls: no SRTP protection profile agreed")
	// ErrClosed is a Keyer closed from our side.
	ErrClosed = errors.New("dtls: closed")
	// ErrPeerClosed is an association that the far end ended, by close_notify or a fatal alert.
	ErrPeerClosed = errors.New("dtls: closed by the far end")
	// ErrStarted is a second Start.
	ErrStarted = errors.New("dtls: started before")
)
