package rtpengine

import (
	"net/netip"
	"time"

	"rtpsidecar/relay"
)

// QualityReport is what a receiver said about the packets of one source, for those who keep such figures.
type QualityReport struct {
	CallID, Party string // the party that sent the packets
	At            time.Time
	SSRC          uint32 // of the packets
	Reporter      uint32 // SSRC of the receiver; 0: it sends none
	HighestSeq    uint32 // extended, as seen here
	FractionLost  uint8  // of 256
	Lost          int32
	JitterUnits   uint32
	RoundTrip     time.Duration // of the receiver's leg
	MOS           float64
	From, To      netip.AddrPort // of the receiver, and where its report came to
}

// tell hands a new report to Config.Report.
func (c *Call) tell(m *Media, src *relay.SSRCStatus, r *relay.ReceptionReport, mos float64) {
	report := c.engine.cfg.Report
	if report == nil {
		return
	}
	q := QualityReport{
		CallID: c.ID, Party: m.party.name(), At: r.At, SSRC: src.SSRC, HighestSeq: src.LastSeq, FractionLost: r.FractionLost,
		Lost: r.Lost, JitterUnits: r.JitterUnits, RoundTrip: r.RoundTrip, MOS: mos,
	}
	for _, s := range m.sinks {
		t := s.to.transport()
		if t == nil {
			continue
		}
		st := t.Status()
		comp := relay.RTCP
		if s.to.leg.Mux.On || !st.Streams[relay.RTCP].Local.IsValid() {
			comp = relay.RTP
		}
		q.From, q.To, q.Reporter = st.Streams[comp].Endpoint, st.Streams[comp].Local, st.Streams[relay.RTP].LastSSRC
		break
	}
	report(q)
}
