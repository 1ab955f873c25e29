package relay

// Transport is the local end of one media section, or of a bundle of them: for each local address an RTP port and,
// unless single, an RTCP port; the ICE agent, the DTLS associations and the SRTP state that run on them.
type Transport struct{}
