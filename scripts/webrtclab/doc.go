// Package webrtclab is a small network with a browser in it, for tests with real clients. Three network namespaces:
//
//	browser 10.77.1.2 ──veth── 10.77.1.1 relay 10.77.2.1 ──veth── 10.77.2.2 phone
//	browser 10.77.1.2 ──tun ── shaper ── tun relay          (delay and jitter: the route is switched here)
//
// The test binary runs itself again inside the browser's namespace ([Main]), so a browser's debugging port is plain
// loopback to it. The daemon runs in the relay's namespace, where nftables drops packets for the lossy tests; phones
// are sockets in the phone's namespace. Every namespace is made by the run and removed with it.
package webrtclab
