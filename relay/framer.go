package relay

import (
	"encoding/binary"
	"sync"
	"time"

	"rtpsidecar/relay/rtp"
)

// Framer makes packets of one length out of what a source sends, for a receiver with another packet time: of codecs with
// eight bytes each millisecond that can be cut anywhere (G.711, G.722). Less than one packet is held back until more
// comes; there is no timer. The receiver sees sequence numbers, and after a leap of the source timestamps, of its own.
// Safe for concurrent use.
type Framer struct {
	pts  PTSet // received payload types that are cut
	size int   // payload of each packet made

	mu    sync.Mutex
	begun bool
	ssrc  uint32
	last  uint16 // received sequence number of what was taken last
	next  uint32 // received timestamp of what follows it
	seq   uint16 // of the next packet to send
	shift uint32 // from received timestamps to sent ones

	buf    []byte // header, the held bytes, and Tailroom
	held   int
	at     uint32 // sent timestamp of the first held byte
	pt     uint8
	marker bool

	early     []byte // a packet that came before the one in front of it
	earlyHead rtp.Header
}

// framerBytes is how many bytes a millisecond has.
const framerBytes = 8

// The limits of packet times; the upper one keeps packets below any MTU.
const (
	minFrame = 5 * time.Millisecond
	maxFrame = 150 * time.Millisecond
)

// maxEarly is the longest packet that is kept for the one in front of it: what fits into an Ethernet frame.
const maxEarly = 1500

// maxPause is the longest pause, in samples, that shows in the sent timestamps: ten minutes of silence.
const maxPause = 600 * 8000

// NewFramer makes packets of frame out of those payload types; frame is rounded to the limits and to milliseconds.
func NewFramer(pts PTSet, frame time.Duration) *Framer {
	size := frameSize(frame)
	return &Framer{pts: pts, size: size, buf: make([]byte, rtp.MinHeaderLen+size+Tailroom), early: make([]byte, 0, maxEarly+Tailroom)}
}

// Makes tells whether f is what NewFramer would make: such a one can stay, with what it holds.
func (f *Framer) Makes(pts PTSet, frame time.Duration) bool {
	return f.pts == pts && f.size == frameSize(frame)
}

func frameSize(frame time.Duration) int {
	return framerBytes * int(min(max(frame, minFrame), maxFrame)/time.Millisecond)
}

// sendFramed takes one plain packet of the source, which it may change.
func (s *Sink) sendFramed(b []byte, h rtp.Header, m *Meta) {
	f := s.Framer
	f.mu.Lock()
	defer f.mu.Unlock()
	switch d := h.Seq - f.last; {
	case !f.begun || h.SSRC != f.ssrc:
		f.begin(h)
	case d == 0 || d > -maxMisorder&0xffff:
		return // again, or too late
	case d == 2 && len(f.early) == 0 && len(b) <= maxEarly:
		f.early, f.earlyHead = append(f.early, b...), h
		return
	case d != 1 && len(f.early) > 0:
		s.takeEarly(m) // the one in front of it is lost
		if h.Seq == f.last {
			return
		}
	}
	s.take(b, h, m)
	if len(f.early) > 0 && f.earlyHead.Seq == h.Seq+1 {
		s.takeEarly(m)
	}
}

// begin starts with another source; what is held of the old one is gone.
func (f *Framer) begin(h rtp.Header) {
	f.begun, f.ssrc = true, h.SSRC
	f.last, f.seq = h.Seq-1, h.Seq
	f.next, f.shift = h.Timestamp, 0
	f.held, f.early = 0, f.early[:0]
}

func (s *Sink) takeEarly(m *Meta) {
	b := s.Framer.early
	s.Framer.early = b[:0]
	s.take(b, s.Framer.earlyHead, m)
}

// take is the next packet in order. It may be one of another codec, or an event: that goes on as it is, under its number.
func (s *Sink) take(b []byte, h rtp.Header, m *Meta) {
	f := s.Framer
	payload, err := h.Payload(b)
	if err != nil {
		return
	}
	lost := h.Seq - f.last - 1
	f.last = h.Seq
	if !f.pts.Has(h.PT) {
		s.flush(m)
		rtp.SetSeq(b, f.seq)
		rtp.SetTimestamp(b, h.Timestamp+f.shift)
		f.seq++
		s.deliver(b, h, m)
		return
	}
	switch gap := h.Timestamp - f.next; {
	case lost <= maxDropout && gap > 0 && gap < maxPause:
		s.flush(m)
		if lost > 0 {
			f.seq += uint16(max(1, min(int(gap)/f.size, maxDropout)))
		}
	case gap != 0:
		f.shift -= gap // a new beginning: the receiver sees none
	}
	f.next = h.Timestamp + uint32(len(payload))
	if f.held > 0 && f.pt != h.PT {
		s.flush(m)
	}
	f.pt = h.PT
	for ts := h.Timestamp + f.shift; len(payload) > 0; {
		if f.held == 0 {
			f.at, f.marker = ts, h.Marker && ts == h.Timestamp+f.shift
		}
		n := copy(f.buf[rtp.MinHeaderLen+f.held:rtp.MinHeaderLen+f.size], payload)
		payload, ts = payload[n:], ts+uint32(n)
		if f.held += n; f.held == f.size {
			s.flush(m)
		}
	}
}

// flush sends what is held.
func (s *Sink) flush(m *Meta) {
	f := s.Framer
	if f.held == 0 {
		return
	}
	b := f.buf[:rtp.MinHeaderLen+f.held]
	b[0], b[1] = 0x80, f.pt
	rtp.SetMarker(b, f.marker)
	rtp.SetSeq(b, f.seq)
	rtp.SetTimestamp(b, f.at)
	binary.BigEndian.PutUint32(b[8:], f.ssrc)
	f.seq++
	f.held = 0
	if h, err := rtp.ParseHeader(b); err == nil {
		s.deliver(b, h, m)
	}
}
