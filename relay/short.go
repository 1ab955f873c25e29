package relay

import "rtpsidecar/relay/rtp"

// ShortSet are the payload types whose packets are dropped where they are shorter than usual: than the first one that
// came. Only codecs that make packets of one size should be in it.
type ShortSet struct {
	PTs   PTSet
	Epoch int // a change forgets what was usual
}

// usual is how long packets of each payload type should be. It belongs to the worker.
type usual struct {
	epoch int
	size  [128]int // of the payload without padding; 0: none has come
}

// short tells whether the plain packet b is shorter than usual.
func (c *component) short(s *ShortSet, b []byte, h rtp.Header) bool {
	if !s.PTs.Has(h.PT) {
		return false
	}
	if c.usual == nil || c.usual.epoch != s.Epoch {
		c.usual = &usual{epoch: s.Epoch} // once between two answers
	}
	payload, err := h.Payload(b)
	if err != nil {
		return false
	}
	size := &c.usual.size[h.PT&0x7f]
	if *size == 0 {
		*size = len(payload)
	}
	return len(payload) < *size
}
