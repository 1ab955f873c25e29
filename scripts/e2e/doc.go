// Package e2e tests calls as users make them: a real SIP proxy with the configuration that this project renders, the
// daemon as its media relay, a browser page with SIP.js over WebSocket, and plain telephones, some of them sipp. They
// live in the network of scripts/webrtclab; every flow is judged by the media that arrives.
//
// The proxy is each OpenSIPS that OPENSIPS_34, OPENSIPS_36 and OPENSIPS_40 name, or the one in PATH. Where there is none,
// the same flows run through Kamailio with a small configuration of equal meaning, and that is said.
package e2e
