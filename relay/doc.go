// Package relay moves packets. It knows interfaces, ports, transports and streams; it never knows a call, a tag or an
// SDP body. The engine describes what a transport should be ([Settings]) and where its packets go ([Plan]); the relay
// brings that about, learns endpoints, runs ICE, DTLS and SRTP, and reports back through one bounded queue of [Event].
//
// A packet's path: worker of io_*.go -> port.go -> demux.go -> learn.go -> srtp unprotect -> forward.go -> srtp
// protect -> send. STUN and DTLS leave it at demux.go. Nothing on it allocates, logs, waits or takes a call's lock.
package relay
