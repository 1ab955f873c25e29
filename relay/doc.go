// Package relay moves packets. It knows interfaces, ports, transports and streams; it never knows a call, a tag or an
// SDP body. The engine describes what a transport should be ([Settings]) and where its packets go ([Plan]); the relay
// brings that about, learns endpoints, runs ICE, DTLS and SRTP, and reports back through one bounded queue of [Event].
//
// A packet's path: worker of io_*.go -> forward.go, told by demux.go what it is -> srtp unprotect -> learn.go and stats.go
// -> the routes of the plan -> srtp protect -> send in stream.go. STUN leaves it for agent.go, DTLS for association.go.
// Nothing on it allocates, logs, waits or takes a call's lock.
package relay
