package hep

import (
	"encoding/binary"
	"encoding/json"
	"strings"

	"rtpsidecar/relay/rtp"
)

// rtcpMessage is a compound in the JSON that Homer reads: the keys and units are those which the reference sends
// (observed), so "usec" of an NTP timestamp is its fraction in 2^-32 s.
type rtcpMessage struct {
	Sender      *senderInfo   `json:"sender_information,omitempty"`
	SSRC        uint32        `json:"ssrc"`
	Type        uint8         `json:"type"` // 200: sender report, 201: receiver report
	ReportCount int           `json:"report_count"`
	Reports     []reportBlock `json:"report_blocks"`
	SDESCount   int           `json:"sdes_report_count,omitempty"`
	SDES        []sdesItem    `json:"sdes_information,omitempty"`
}

type senderInfo struct {
	Seconds   uint32 `json:"ntp_timestamp_sec"`
	Fraction  uint32 `json:"ntp_timestamp_usec"`
	Octets    uint32 `json:"octets"`
	Timestamp uint32 `json:"rtp_timestamp"`
	Packets   uint32 `json:"packets"`
}

type reportBlock struct {
	Source       uint32 `json:"source_ssrc"`
	HighestSeq   uint32 `json:"highest_seq_no"`
	FractionLost uint8  `json:"fraction_lost"`
	Jitter       uint32 `json:"ia_jitter"`
	Lost         int32  `json:"packets_lost"` // below zero with duplicates, RFC 3550 section 6.4.1
	LastSR       uint32 `json:"lsr"`
	Delay        uint32 `json:"dlsr"`
}

type sdesItem struct {
	SSRC uint32 `json:"sdes_chunk_ssrc"`
	Type uint8  `json:"type"`
	Text string `json:"text"`
}

// reportJSON is an RTCP compound for Homer. Nil: it has neither a sender nor a receiver report, or is malformed; Homer
// has no form for feedback alone. The blocks of further reports join those of the first.
func reportJSON(compound []byte) []byte {
	m := rtcpMessage{Reports: []reportBlock{}}
	for len(compound) > 0 {
		p, rest, err := rtp.ParsePacket(compound)
		if err != nil {
			return nil
		}
		compound = rest
		switch p.Type {
		case rtp.TypeSR, rtp.TypeRR:
			m.report(p)
		case rtp.TypeSDES:
			m.sdes(p)
		}
	}
	if m.Type == 0 {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil // integers and strings always have a form
	}
	return b
}

func (m *rtcpMessage) report(p rtp.Packet) {
	ssrc, ok := p.SSRC()
	if !ok {
		return
	}
	if m.Type == 0 {
		m.Type, m.SSRC = p.Type, ssrc
		if i, ok := p.SenderInfo(); ok {
			m.Sender = &senderInfo{uint32(i.NTP >> 32), uint32(i.NTP), i.Octets, i.Timestamp, i.Packets}
		}
	}
	for i := range p.NumReports() {
		r := p.Report(i)
		m.Reports = append(m.Reports, reportBlock{r.SSRC, r.HighestSeq, r.FractionLost, r.Jitter, r.Lost, r.LastSR, r.Delay})
	}
	m.ReportCount = len(m.Reports)
}

// sdes reads the chunks of a source description: an SSRC, items of type, length and text, and zeros up to the next
// multiple of four bytes. Source: RFC 3550 section 6.5.
func (m *rtcpMessage) sdes(p rtp.Packet) {
	b := p.Bytes[4:]
	for range p.Count {
		if len(b) < 4 {
			return
		}
		ssrc, at := binary.BigEndian.Uint32(b), 4
		for at+2 <= len(b) && b[at] != 0 {
			end := at + 2 + int(b[at+1])
			if end > len(b) {
				return
			}
			m.SDES = append(m.SDES, sdesItem{ssrc, b[at], strings.ToValidUTF8(string(b[at+2:end]), "\uFFFD")})
			at = end
		}
		m.SDESCount++
		b = b[min(at/4*4+4, len(b)):]
	}
}
