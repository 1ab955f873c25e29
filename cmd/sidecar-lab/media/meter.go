package media

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// meter measures received RTP and RTCP. It is safe for concurrent use.
type meter struct {
	record bool

	mu       sync.Mutex
	stats    Stats
	ssrc     uint32
	started  bool
	base     uint32 // extended sequence numbers, RFC 3550 appendix A.1
	highest  uint32
	expected uint64 // of earlier SSRCs
	of       uint64 // received of this SSRC
	transit  time.Duration
	jitter   float64 // seconds
	pcm      []int16
	lastSR   uint32 // middle of the NTP time of the last sender report
	gotSR    time.Time
}

// rtp takes one packet of G.711 sound that came at this time.
func (m *meter) rtp(pkt []byte, at time.Time) {
	if len(pkt) < 12 || pkt[0]>>6 != 2 {
		m.refuse()
		return
	}
	payload := payloadOf(pkt)
	seq, stamp, ssrc := binary.BigEndian.Uint16(pkt[2:]), binary.BigEndian.Uint32(pkt[4:]), binary.BigEndian.Uint32(pkt[8:])
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.First.IsZero() {
		m.stats.First = at
	}
	if !m.started || ssrc != m.ssrc {
		if m.started {
			m.expected += uint64(m.highest - m.base + 1)
		}
		m.started, m.ssrc, m.base, m.highest, m.of, m.transit = true, ssrc, uint32(seq), uint32(seq), 0, 0
	}
	if ahead := seq - uint16(m.highest); ahead < 0x8000 {
		m.highest += uint32(ahead)
	}
	m.of++
	m.stats.Received++
	transit := time.Duration(at.UnixNano()) - time.Duration(stamp)*time.Second/rateHz
	if m.transit != 0 {
		d := (transit - m.transit).Abs().Seconds()
		if d < 1 { // a jump is a new beginning, not jitter
			m.jitter += (d - m.jitter) / 16 // RFC 3550 appendix A.8
		}
	}
	m.transit = transit
	switch pkt[1] & 0x7f {
	case 0:
		m.stats.Codec = "PCMU"
		for _, b := range payload {
			m.pcm = append(m.pcm, ulawDecode(b))
		}
	case 8:
		m.stats.Codec = "PCMA"
		for _, b := range payload {
			m.pcm = append(m.pcm, alawDecode(b))
		}
	}
	if extra := len(m.pcm) - rateHz; extra > 0 && !m.record {
		m.pcm = append(m.pcm[:0], m.pcm[extra:]...)
	}
}

// payloadOf is a packet without header, CSRCs, extension and padding, RFC 3550 section 5.1.
func payloadOf(pkt []byte) []byte {
	n := 12 + 4*int(pkt[0]&0x0f)
	if pkt[0]&0x10 != 0 && len(pkt) >= n+4 {
		n += 4 + 4*int(binary.BigEndian.Uint16(pkt[n+2:]))
	}
	end := len(pkt)
	if pkt[0]&0x20 != 0 {
		end -= int(pkt[end-1])
	}
	if n > end {
		return nil
	}
	return pkt[n:end]
}

func (m *meter) refuse() {
	m.mu.Lock()
	m.stats.Refused++
	m.mu.Unlock()
}

// rtcp takes one compound packet: sender reports for our own reports, reception reports for the round-trip time.
func (m *meter) rtcp(pkt []byte, at time.Time) {
	packets, err := rtcp.Unmarshal(pkt)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range packets {
		var reports []rtcp.ReceptionReport
		switch p := p.(type) {
		case *rtcp.SenderReport:
			m.lastSR, m.gotSR = uint32(p.NTPTime>>16), at
			reports = p.Reports
		case *rtcp.ReceiverReport:
			reports = p.Reports
		}
		for _, r := range reports {
			if r.LastSenderReport == 0 {
				continue
			}
			// RFC 3550 section 6.4.1, in units of 1/65536 s.
			if units := uint32(ntp(at)>>16) - r.LastSenderReport - r.Delay; units < 10<<16 {
				m.stats.RTT = time.Duration(units) * time.Second >> 16
			}
		}
	}
}

// report is the reception report for the other side.
func (m *meter) report(now time.Time) []rtcp.ReceptionReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.started {
		return nil
	}
	r := rtcp.ReceptionReport{SSRC: m.ssrc, LastSequenceNumber: m.highest, Jitter: uint32(m.jitter * rateHz), LastSenderReport: m.lastSR}
	if lost := uint64(m.highest-m.base+1) - m.of; int64(lost) > 0 {
		r.TotalLost = uint32(min(lost, 1<<23-1))
	}
	if !m.gotSR.IsZero() {
		r.Delay = uint32(now.Sub(m.gotSR).Seconds() * 65536)
	}
	return []rtcp.ReceptionReport{r}
}

func (m *meter) snapshot() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Jitter = time.Duration(m.jitter * float64(time.Second))
	if m.started {
		if expected := m.expected + uint64(m.highest-m.base+1); expected > s.Received {
			s.Lost = expected - s.Received
		}
	}
	return s
}

func (m *meter) heard() []int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int16(nil), m.pcm...)
}

// ntp is a time as seconds since 1900 with a binary fraction, RFC 3550 section 4.
func ntp(t time.Time) uint64 {
	ns := uint64(t.UnixNano())
	const epoch = 2208988800
	return (ns/1e9+epoch)<<32 | (ns%1e9)<<32/1e9
}
