package relay

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// Where both sides have one key, what does not verify goes on from the address that is known, and teaches nothing.
func TestUnverified(t *testing.T) {
	stranger := netip.MustParseAddrPort("203.0.113.66:4000")
	for _, tt := range []struct {
		name   string
		from   netip.AddrPort
		change func(r *Route, plain *Transport)
		passes bool
	}{
		{"from the address of the SDP", farRTP, nil, true},
		{"from another address", stranger, nil, false},
		{"from another port", netip.AddrPortFrom(farRTP.Addr(), 9), nil, false},
		{"receiver with other keys", farRTP, func(r *Route, plain *Transport) { r.Sinks = append(r.Sinks, Sink{To: plain}) }, false},
		{"such a receiver on hold", farRTP, func(r *Route, plain *Transport) { r.Sinks = append(r.Sinks, Sink{To: plain, MuteRTP: true}) }, true},
		{"no receiver", farRTP, func(r *Route, _ *Transport) { r.Sinks[0].MuteRTP = true }, false},
		{"block media", farRTP, func(r *Route, _ *Transport) { r.Discard = true }, false},
		{"silence media", farRTP, func(r *Route, _ *Transport) { r.Silence = &SilenceSet{} }, false},
		{"silence media to one", farRTP, func(r *Route, _ *Transport) { r.Sinks[0].Silence = &SilenceSet{} }, false},
		{"block-short", farRTP, func(r *Route, _ *Transport) { r.Short = &ShortSet{} }, false},
		{"loop check", farRTP, func(r *Route, _ *Transport) { r.LoopCheck = true }, false},
		{"digits are told", farRTP, func(r *Route, _ *Transport) { r.Digits.Add(8) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := memHost(t)
			key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
			sdes := Settings{SDES: &SDES{Recv: key, Send: key}}
			from, to, plain := memTransport(t, h, sdes), memTransport(t, h, sdes), memTransport(t, h, Settings{})
			r := Route{Sinks: []Sink{{To: to, Passthrough: true}}}
			if tt.change != nil {
				tt.change(&r, plain)
			}
			from.SetPlan(&Plan{Routes: []Route{r}})
			forged := append(make([]byte, 0, 64), eventPacket(7, 160, 5, 0x80, 0, 160)...)
			forged[1] = 8
			forged = append(forged, "no tag of ours"...)
			sent := bytes.Clone(forged)
			at := time.Now()
			handAt(from, RTP, forged, tt.from, at)
			got := take(to, RTP)
			if passed := len(got) == 1 && bytes.Equal(got[0], sent); passed != tt.passes || len(take(plain, RTP)) > 0 {
				t.Errorf("passed: %v, got %x", passed, got)
			}
			st := from.Status()
			s := st.Streams[RTP]
			want := Counters{Errors: 1}
			if tt.passes {
				want = Counters{Packets: 1, Bytes: uint64(len(sent))}
			}
			if s.In != want || s.Drops.Auth != 1 || s.Drops.Passed != tt.passes || len(st.SSRCs) != int(want.Packets) || from.Heard().Equal(at) != tt.passes {
				t.Errorf("%+v, %d sources, heard %v", s, len(st.SSRCs), from.Heard())
			}
			if s.Confirmed || s.Endpoint != farRTP || from.comps[RTP].heard.Load() || from.comps[RTP].learn.source.IsValid() {
				t.Errorf("learnt %+v of a packet that nobody vouches for", s)
			}
			for {
				select {
				case e := <-h.Events():
					t.Errorf("event %+v", e)
					continue
				default:
				}
				break
			}
		})
	}
}

// A stream whose rollover counter only its ends know passes; once packets verify they count as before, and their replay
// does not pass.
func TestUnverifiedRollover(t *testing.T) {
	h := memHost(t)
	key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	sdes := Settings{SDES: &SDES{Recv: key, Send: key}}
	from, to := memTransport(t, h, sdes), memTransport(t, h, sdes)
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, Passthrough: true}}}}})
	ctx, _ := srtp.New(key)
	protect := func(ssrc uint32, seq uint16) []byte {
		h := rtp.Header{Seq: seq, SSRC: ssrc}
		b, err := ctx.ProtectRTP(append(rtp.AppendHeader(make([]byte, 0, 64), h), "voice"...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, seq := range []uint16{1, 30000, 60000, 20000, 50000, 10000} { // two cycles
		protect(5, seq)
	}
	late := protect(5, 40000)
	known := protect(6, 1)
	start := time.Now()
	for i, tt := range []struct {
		name   string
		packet []byte
		passes bool
		passed bool // Drops.Passed
	}{
		{"in its third cycle", late, true, true},
		{"verified", known, true, false},
		{"again", known, false, false},
		{"unverified again", late, true, true},
	} {
		handAt(from, RTP, tt.packet, farRTP, start.Add(time.Duration(i)*time.Second))
		got := take(to, RTP)
		if passes := len(got) == 1 && bytes.Equal(got[0], tt.packet); passes != tt.passes {
			t.Errorf("%s: passed %v", tt.name, passes)
		}
		if s := from.Status().Streams[RTP]; s.Drops.Passed != tt.passed || s.LastPacket.IsZero() {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}
