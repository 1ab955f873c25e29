package main

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"rtpsidecar/cmd/rtpsidecar/hep"
	"rtpsidecar/ng"
)

// homer tells a collector about calls: their RTCP and, if wanted, the control protocol.
type homer struct {
	exporter *hep.Exporter
	agent    uint32
	proto    byte           // of NG messages
	local    netip.AddrPort // where NG messages come to
}

// rtcp is Config.RTCP.
func (h *homer) rtcp(callID string, b []byte, from, to netip.AddrPort, at time.Time) {
	h.exporter.Export(&hep.Packet{From: from, To: to, At: at, Protocol: hep.RTCP, Agent: h.agent, Correlation: callID, Payload: bytes.Clone(b)})
}

// ng is ServerConfig.Trace. Messages without a call-id, pings and the like, are no part of a call.
func (h *homer) ng(req *ng.Request, message string, reply []byte) {
	id := req.Dict.Value("call-id").Str()
	if id == "" {
		return
	}
	p := hep.Packet{From: req.Source, To: h.local, At: req.Received, Protocol: h.proto, Agent: h.agent, Correlation: strings.Clone(id), Payload: []byte(message)}
	q := p
	q.From, q.To, q.At, q.Payload = p.To, p.From, time.Now(), reply
	h.exporter.Export(&p)
	h.exporter.Export(&q)
}

// firstAddr is the first address of a listener option, as far as it is one.
func firstAddr(specs []string) netip.AddrPort {
	for _, s := range specs {
		if a, err := netip.ParseAddrPort(s); err == nil {
			return a
		}
		if n, err := strconv.ParseUint(s, 10, 16); err == nil {
			return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n))
		}
	}
	return netip.AddrPort{}
}
