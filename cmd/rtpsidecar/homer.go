package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"

	"rtpsidecar/cmd/rtpsidecar/hep"
	"rtpsidecar/ng"
	"rtpsidecar/rtpengine"
)

// homer tells a collector about calls: reception reports and, if wanted, the control protocol.
type homer struct {
	ng.Handler
	exporter *hep.Exporter
	agent    uint32
	proto    byte           // of NG messages
	local    netip.AddrPort // where NG messages come to
}

// report is Config.Report: a reception report in the JSON form that Homer shows.
func (h *homer) report(r rtpengine.QualityReport) {
	payload, err := json.Marshal(map[string]any{
		"type": 201, "ssrc": r.Reporter, "report_count": 1, // RTCP receiver report
		"report_blocks": []map[string]any{{
			"source_ssrc": r.SSRC, "fraction_lost": r.FractionLost, "packets_lost": r.Lost,
			"highest_seq_no": r.HighestSeq, "ia_jitter": r.JitterUnits, "lsr": 0, "dlsr": 0,
		}},
		"mos": r.MOS, "rtt_us": r.RoundTrip.Microseconds(), "party": r.Party, "call_id": r.CallID,
	})
	if err != nil {
		return // a MOS that is no number; there is none
	}
	h.exporter.Export(&hep.Packet{From: r.From, To: r.To, At: r.At, Protocol: hep.RTCP, Agent: h.agent, Correlation: r.CallID, Payload: payload})
}

// HandleNG passes a request on and tells the collector about it and its reply.
func (h *homer) HandleNG(ctx context.Context, req *ng.Request) ng.Reply {
	id := req.Dict.Value("call-id").Str()
	if id == "" {
		return h.Handler.HandleNG(ctx, req) // pings and the like are no part of a call
	}
	packet := func(from, to netip.AddrPort, d *ng.Dict) *hep.Packet {
		return &hep.Packet{From: from, To: to, At: req.Received, Protocol: h.proto, Agent: h.agent, Correlation: strings.Clone(id),
			Payload: ng.AppendJSON(nil, ng.DictValue(d))}
	}
	h.exporter.Export(packet(req.Source, h.local, req.Dict))
	reply := h.Handler.HandleNG(ctx, req)
	d := &ng.Dict{}
	for _, e := range reply.Dict.Entries() {
		d.Add(e.Key, e.Value)
	}
	switch {
	case reply.Error != "":
		d.AddString("result", "error")
		d.AddString("error-reason", reply.Error)
	case reply.Result != "":
		d.AddString("result", reply.Result)
	default:
		d.AddString("result", "ok")
	}
	h.exporter.Export(packet(h.local, req.Source, d))
	return reply
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
