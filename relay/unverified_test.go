package relay

import (
	"bytes"
	"encoding/binary"
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
			if s.In != want || s.Drops.Auth != 1 || s.Drops.Passed != tt.passes || len(st.SSRCs) != 0 || from.Heard().Equal(at) != tt.passes {
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

// Forged packets from the known address, with an SSRC each, leave no state for any of them.
func TestUnverifiedState(t *testing.T) {
	h := memHost(t)
	key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	sdes := Settings{SDES: &SDES{Recv: key, Send: key}}
	from, to := memTransport(t, h, sdes), memTransport(t, h, sdes)
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, Passthrough: true}}}}})
	at := time.Now()
	forged := append(rtp.AppendHeader(nil, rtp.Header{Seq: 9}), "no tag of ours at all"...)
	const packets = 1000
	for ssrc := range uint32(packets) {
		binary.BigEndian.PutUint32(forged[8:], ssrc*2654435761)
		handAt(from, RTP, forged, farRTP, at)
		hand(from, RTCP, rtp.AppendRR(nil, ssrc, nil), farRTCP)
	}
	if got := len(take(to, RTP)); got != packets {
		t.Fatalf("%d packets passed", got)
	}
	st := from.Status()
	if in := st.Streams[RTP].In; in.Packets != packets || len(st.SSRCs) > 0 || st.Streams[RTP].LastSSRC != 0 {
		t.Errorf("%+v, %d sources, newest %#x", in, len(st.SSRCs), st.Streams[RTP].LastSSRC)
	}
	for _, c := range []Component{RTP, RTCP} {
		if n := len(from.comps[c].recv.Load().ctx.AppendStates(nil)); n != 0 {
			t.Errorf("SRTP of component %d has %d states", c, n)
		}
	}
	m, buf := &Meta{At: at, Scratch: make([]byte, ScratchLen)}, make([]byte, len(forged)+Tailroom)
	ssrc := uint32(0)
	to.addrs[0].ports[RTP].sock.(*memSocket).quiet = true
	if n := testing.AllocsPerRun(100, func() {
		ssrc++
		binary.BigEndian.PutUint32(forged[8:], ssrc)
		from.addrs[0].ports[RTP].receive(buf[:copy(buf, forged)], farRTP, m)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// Reports of ours tell of what is passed on as one stream, in the name that its newest packets claim.
func TestUnverifiedReports(t *testing.T) {
	h := memHost(t)
	key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	sdes := Settings{SDES: &SDES{Recv: key, Send: key}, Reports: time.Hour}
	from, to := memTransport(t, h, sdes), memTransport(t, h, sdes)
	from.SetPlan(&Plan{Routes: []Route{{ID: 1, Sinks: []Sink{{To: to, Passthrough: true}}}}})
	to.SetPlan(&Plan{Routes: []Route{{ID: 2, Sinks: []Sink{{To: from, Passthrough: true}}}}})
	in, _ := srtp.New(key)
	own, _ := srtp.New(key)
	now := time.Now()
	voice := func(tr *Transport, ssrc uint32, seq uint16) {
		b := append(rtp.AppendHeader(make([]byte, 0, 64), rtp.Header{Seq: seq, SSRC: ssrc}), "no tag of ours"...)
		handAt(tr, RTP, b, farRTP, now)
	}
	for _, seq := range []uint16{7, 9} {
		voice(to, 8, seq)
	}
	for _, tt := range []struct {
		name    string
		send    func()
		ssrc    uint32
		packets uint32
		others  int
	}{
		{"three packets", func() { voice(from, 5, 1); voice(from, 5, 2); voice(from, 5, 4) }, 5, 3, 0},
		{"of another", func() { voice(from, 6, 100) }, 6, 1, 0},
		{"one of these verifies", func() {
			b, _ := own.ProtectRTP(append(rtp.AppendHeader(make([]byte, 0, 64), rtp.Header{Seq: 101, SSRC: 6}), "voice"...))
			handAt(from, RTP, b, farRTP, now)
		}, 6, 1, 0},
		{"another beside it", func() { voice(from, 5, 5) }, 6, 1, 1},
	} {
		tt.send()
		from.report(now)
		got := take(to, RTCP)
		if len(got) != 1+tt.others {
			t.Fatalf("%s: %d reports", tt.name, len(got))
		}
		b, err := in.UnprotectRTCP(got[0])
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := rtp.ParsePacket(b)
		info, _ := p.SenderInfo()
		if ssrc, _ := p.SSRC(); err != nil || ssrc != tt.ssrc || info.Packets != tt.packets {
			t.Errorf("%s: report of %d: %+v, %v", tt.name, ssrc, info, err)
		}
		if r := p.Report(0); p.NumReports() != 1 || r.SSRC != 8 || r.HighestSeq != 9 || r.Lost != 1 {
			t.Errorf("%s: %d blocks, first %+v", tt.name, p.NumReports(), r)
		}
		for _, b := range got[1:] {
			if _, err := in.UnprotectRTCP(b); err != nil {
				t.Error(err)
			}
		}
		take(to, RTP)
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
