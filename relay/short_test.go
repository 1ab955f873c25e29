package relay

import (
	"fmt"
	"testing"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// sized is a packet of payload type pt with that many bytes of payload.
func sized(seq uint16, pt uint8, payload int) []byte {
	h := rtp.Header{PT: pt, Seq: seq, Timestamp: uint32(seq) * 160, SSRC: 7}
	return append(rtp.AppendHeader(make([]byte, 0, 12+payload+Tailroom), h), make([]byte, payload)...)
}

// What passes and what does not is as observed of rtpengine 26.3.
func TestShort(t *testing.T) {
	type packet struct {
		pt    uint8
		size  int
		pass  bool
		epoch int
	}
	padded := sized(9, 0, 160)
	padded[0] |= 1 << 5
	padded[len(padded)-1] = 4
	for _, tt := range []struct {
		name    string
		packets []packet
		last    []byte // dropped
	}{
		{"shorter than the first", []packet{{0, 160, true, 0}, {0, 80, false, 0}, {0, 159, false, 0}, {0, 160, true, 0}, {0, 161, true, 0}, {0, 240, true, 0}, {0, 160, true, 0}}, nil},
		{"a short first one", []packet{{0, 80, true, 0}, {0, 160, true, 0}, {0, 80, true, 0}, {0, 79, false, 0}}, nil},
		{"a long first one", []packet{{0, 240, true, 0}, {0, 160, false, 0}, {0, 160, false, 0}, {0, 240, true, 0}}, nil},
		{"each payload type by itself", []packet{{8, 240, true, 0}, {0, 160, true, 0}, {8, 160, false, 0}, {0, 80, false, 0}}, nil},
		{"codecs without a size", []packet{{101, 160, true, 0}, {101, 4, true, 0}, {13, 2, true, 0}, {13, 1, true, 0}}, nil},
		{"an empty one is not usual", []packet{{0, 0, true, 0}, {0, 160, true, 0}, {0, 0, false, 0}}, nil},
		{"after an answer", []packet{{0, 160, true, 0}, {0, 80, false, 0}, {0, 80, true, 1}, {0, 160, true, 1}, {0, 40, false, 1}}, nil},
		{"padding does not count", []packet{{0, 160, true, 0}}, padded},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", SRTP ", secure), func(t *testing.T) {
				h := memHost(t)
				from, to := memTransport(t, h, Settings{}), memTransport(t, h, Settings{})
				key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
				ctx, _ := srtp.New(key)
				if secure {
					from = memTransport(t, h, Settings{SDES: &SDES{Recv: key, Send: key}})
				}
				give := func(b []byte, set *ShortSet) bool {
					if secure {
						b, _ = ctx.ProtectRTP(b)
					}
					from.SetPlan(&Plan{Routes: []Route{{Short: set, Sinks: []Sink{{To: to}}}}})
					hand(from, RTP, b, farRTP)
					return len(take(to, RTP)) == 1
				}
				dropped := uint64(0)
				for i, p := range tt.packets {
					set := &ShortSet{Epoch: p.epoch}
					set.PTs.Add(0)
					set.PTs.Add(8)
					if got := give(sized(uint16(i), p.pt, p.size), set); got != p.pass {
						t.Errorf("packet %d of %d bytes passed: %v", i, p.size, got)
					}
					if !p.pass {
						dropped++
					}
				}
				if tt.last != nil {
					set := new(ShortSet)
					set.PTs.Add(0)
					if b := append(make([]byte, 0, len(tt.last)+Tailroom), tt.last...); give(b, set) {
						t.Error("the last one passed")
					}
					dropped++
				}
				st := from.Status().Streams[RTP]
				if st.Drops.Short != dropped || st.In.Errors != 0 || int(st.In.Packets) < len(tt.packets) {
					t.Errorf("%d counted as short, want %d; %+v", st.Drops.Short, dropped, st.In)
				}
			})
		}
	}
}
