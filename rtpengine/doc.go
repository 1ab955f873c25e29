// Package rtpengine is the engine: calls, participants and media, what the flags of a request ask for, and the
// decisions that follow. It reads SDP through package sdp, moves packets through package relay and answers package ng;
// it opens no socket and knows no key stream.
//
// A request's path: dispatch.go -> flags_parse.go -> offer.go, answer.go, … (one command a file) -> negotiate.go
// (pure decisions) -> apply.go (to the relay) -> describe.go (to an SDP body) -> reply.
package rtpengine
