// Package rtp reads and changes RTP and RTCP packets where they lie. All functions are pure, take byte slices and
// allocate nothing; results that are slices alias their input.
//
// Errors are [ErrShort], [ErrVersion] and [ErrSyntax] themselves, never wrapped: they are counted per packet, not printed.
package rtp

import "errors"

var (
	// ErrShort is a packet that ends before its own lengths say.
	ErrShort = errors.New("rtp: packet too short")
	// ErrVersion is a packet whose version is not 2.
	ErrVersion = errors.New("rtp: version is not 2")
	// ErrSyntax is a packet whose lengths contradict each other.
	ErrSyntax = errors.New("rtp: malformed packet")
)
