package relay

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// memIO hands out sockets that keep what is sent.
type memIO struct{}

func (memIO) Close() error { return nil }
func (memIO) Open(local netip.AddrPort, _ uint64, _ Deliver) (Socket, error) {
	return &memSocket{}, nil
}

type memSocket struct {
	sent  [][]byte
	to    netip.AddrPort
	count int
	quiet bool
}

func (s *memSocket) Send(b []byte, to netip.AddrPort) error {
	s.to = to
	if s.count++; !s.quiet {
		s.sent = append(s.sent, bytes.Clone(b))
	}
	return nil
}
func (s *memSocket) SetTOS(uint8) error { return nil }
func (s *memSocket) Close() error       { return nil }

// take empties the socket of a transport's component.
func take(t *Transport, c Component) [][]byte {
	s := t.addrs[0].ports[c].sock.(*memSocket)
	sent := s.sent
	s.sent = nil
	return sent
}

func memHost(tb testing.TB) *Host {
	h, err := New(Config{
		Interfaces: []Interface{{Name: "default", Local: netip.MustParseAddr("127.0.0.1"), PortMin: 1000, PortMax: 1999}},
		IO:         func(int, func() time.Time) (PacketIO, error) { return memIO{}, nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { h.Close() })
	return h
}

// memTransport is open towards a far side that is known.
func memTransport(tb testing.TB, h *Host, s Settings) *Transport {
	tr, err := h.Open(TransportConfig{Interface: "default"})
	if err != nil {
		tb.Fatal(err)
	}
	if !s.Remote[RTP].IsValid() {
		s.Remote = [2]netip.AddrPort{farRTP, farRTCP}
	}
	s.RemoteSeen = true
	if err := tr.Apply(s); err != nil {
		tb.Fatal(err)
	}
	return tr
}

var (
	farRTP  = netip.MustParseAddrPort("192.0.2.1:4000")
	farRTCP = netip.MustParseAddrPort("192.0.2.1:4001")
)

// hand delivers one datagram as a worker does.
func hand(t *Transport, c Component, b []byte, from netip.AddrPort) {
	handAt(t, c, b, from, time.Now())
}

func handAt(t *Transport, c Component, b []byte, from netip.AddrPort, at time.Time) {
	buf := make([]byte, len(b)+Tailroom)
	t.addrs[0].ports[c].receive(buf[:copy(buf, b)], from, &Meta{At: at, Scratch: make([]byte, ScratchLen)})
}

// withExt is an RTP packet with one-byte extension elements.
func withExt(pt byte, ssrc byte, elements ...byte) []byte {
	b := []byte{0x90, pt, 0, 1, 0, 0, 0, 1, 0, 0, 0, ssrc, 0xbe, 0xde, 0, byte((len(elements) + 3) / 4)}
	b = append(b, elements...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return append(b, 7, 7, 7, 7)
}

func TestForwardRTP(t *testing.T) {
	plain := rtpPacket(1, 5)
	pt := func(pt byte) []byte { b := slices.Clone(plain); b[1] = pt; return b }
	mapped := [128]uint8{}
	for i := range mapped {
		mapped[i] = uint8(i)
	}
	mapped[0], mapped[8] = 96, 0xff
	exts := [256]uint8{1: 3}
	silent := &SilenceSet{}
	silent.PTs.Add(0)
	silent.Byte[0] = 0xff
	var audio, video PTSet
	audio.Add(0)
	video.Add(97)
	for _, tt := range []struct {
		name    string
		in      []byte
		routes  func(to []*Transport) []Route
		applied Settings
		want    [3][][]byte
	}{
		{name: "no plan", in: plain, routes: func([]*Transport) []Route { return nil }},
		{name: "as it is", in: plain, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}, want: [3][][]byte{{plain}}},
		{name: "three sinks, two changed", in: plain, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0], PTMap: &mapped}, {To: to[1]}, {To: to[2], PTMap: &mapped}}}}
		}, want: [3][][]byte{{pt(96)}, {plain}, {pt(96)}}},
		{name: "payload type dropped", in: pt(8), routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0], PTMap: &mapped}, {To: to[1]}}}}
		}, want: [3][][]byte{nil, {pt(8)}}},
		{name: "marker kept", in: pt(0x80), routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0], PTMap: &mapped}}}}
		}, want: [3][][]byte{{pt(0x80 | 96)}}},
		{name: "extension renamed and removed", in: withExt(0, 5, 0x10, 0xaa, 0x20, 0xbb), routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0], ExtMap: &exts}}}}
		}, want: [3][][]byte{{withExt(0, 5, 0x30, 0xaa, 0, 0)}}},
		{name: "mid inserted", in: plain, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0], MIDExt: 4, MID: "a"}}}}
		}, want: [3][][]byte{{slices.Concat([]byte{0x90}, plain[1:12], []byte{0xbe, 0xde, 0, 1, 0x40, 'a', 0, 0}, plain[12:])}}},
		{name: "discard", in: plain, routes: func(to []*Transport) []Route {
			return []Route{{Discard: true, Sinks: []Sink{{To: to[0]}}}}
		}},
		{name: "mute", in: plain, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0], MuteRTP: true}, {To: to[1]}}}}
		}, want: [3][][]byte{nil, {plain}}},
		{name: "drop traffic", in: plain, applied: Settings{DropIn: true}, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}},
		{name: "silence", in: plain, routes: func(to []*Transport) []Route {
			return []Route{{Silence: silent, Sinks: []Sink{{To: to[0]}}}}
		}, want: [3][][]byte{{append(slices.Clone(plain[:12]), 0xff, 0xff, 0xff, 0xff)}}},
		{name: "bundle by payload type", in: pt(97), routes: func(to []*Transport) []Route {
			return []Route{{ID: 1, PTs: audio, Sinks: []Sink{{To: to[0]}}}, {ID: 2, PTs: video, Sinks: []Sink{{To: to[1]}}}}
		}, want: [3][][]byte{nil, {pt(97)}}},
		{name: "bundle by MID", in: withExt(0, 5, 0x40, 'v'), routes: func(to []*Transport) []Route {
			return []Route{{ID: 1, MID: "a", MIDExt: 4, PTs: audio, Sinks: []Sink{{To: to[0]}}}, {ID: 2, MID: "v", MIDExt: 4, Sinks: []Sink{{To: to[1]}}}}
		}, want: [3][][]byte{nil, {withExt(0, 5, 0x40, 'v')}}},
		{name: "bundle, nobody's", in: pt(33), routes: func(to []*Transport) []Route {
			return []Route{{ID: 1, PTs: audio, Sinks: []Sink{{To: to[0]}}}, {ID: 2, PTs: video, Sinks: []Sink{{To: to[1]}}}}
		}},
		{name: "opaque", in: []byte("anything"), applied: Settings{Opaque: true}, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}, want: [3][][]byte{{[]byte("anything")}}},
		{name: "opaque looks like STUN", in: []byte{0, 1, 2, 3}, applied: Settings{Opaque: true}, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}, want: [3][][]byte{{{0, 1, 2, 3}}}},
		{name: "STUN is never media", in: make([]byte, 20), routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}},
		{name: "DTLS is never media", in: []byte{22, 254, 253, 0}, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}},
		{name: "ZRTP between plain legs", in: []byte{0x10, 0, 0, 0, 'Z', 'R', 'T', 'P'}, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}, want: [3][][]byte{{{0x10, 0, 0, 0, 'Z', 'R', 'T', 'P'}}}},
		{name: "too short", in: []byte{0x80, 0, 0}, routes: func(to []*Transport) []Route {
			return []Route{{Sinks: []Sink{{To: to[0]}}}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := memHost(t)
			from := memTransport(t, h, tt.applied)
			to := []*Transport{memTransport(t, h, Settings{}), memTransport(t, h, Settings{}), memTransport(t, h, Settings{})}
			from.SetPlan(&Plan{Routes: tt.routes(to)})
			hand(from, RTP, tt.in, farRTP)
			for i, want := range tt.want {
				if got := take(to[i], RTP); !slices.EqualFunc(got, want, bytes.Equal) {
					t.Errorf("sink %d got %x, want %x", i, got, want)
				}
			}
		})
	}
}

// A source keeps the section that its MID named when the MID is sent no more.
func TestRouteRemembered(t *testing.T) {
	h := memHost(t)
	from := memTransport(t, h, Settings{})
	a, v := memTransport(t, h, Settings{}), memTransport(t, h, Settings{})
	from.SetPlan(&Plan{Routes: []Route{
		{ID: 1, MID: "a", MIDExt: 4, Sinks: []Sink{{To: a}}},
		{ID: 2, MID: "v", MIDExt: 4, Sinks: []Sink{{To: v}}},
	}})
	hand(from, RTP, withExt(0, 5, 0x40, 'v'), farRTP)
	hand(from, RTP, rtpPacket(2, 5), farRTP)
	hand(from, RTP, rtpPacket(1, 6), farRTP)
	if len(take(v, RTP)) != 2 || len(take(a, RTP)) != 1 {
		t.Error("source forgotten")
	}
	for _, s := range from.Status().SSRCs {
		if want := map[uint32]uint64{5: 2, 6: 1}[s.SSRC]; s.Route != want {
			t.Errorf("source %d in section %d, want %d", s.SSRC, s.Route, want)
		}
	}
}

func TestOversize(t *testing.T) {
	h := memHost(t)
	k := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	from, to := memTransport(t, h, Settings{}), memTransport(t, h, Settings{SDES: &SDES{Send: k}})
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, MIDExt: 1, MID: "x"}, {To: to, MIDExt: 1, MID: "y"}}}}})
	b := make([]byte, maxDatagram)
	copy(b, rtpPacket(1, 1))
	hand(from, RTP, b, farRTP)
	if got := take(to, RTP); len(got) != 1 || len(got[0]) != maxDatagram+8+10 {
		t.Errorf("%d packets", len(got)) // the second one would use the key stream again
	}
}

func testKey(tb testing.TB, suite string, fill byte) srtp.Params {
	s := srtp.SuiteByName(suite)
	return srtp.Params{Suite: s, Key: bytes.Repeat([]byte{fill}, s.KeyLen), Salt: bytes.Repeat([]byte{fill}, s.SaltLen)}
}

func TestPassthrough(t *testing.T) {
	h := memHost(t)
	key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	ctx, _ := srtp.New(key)
	from := memTransport(t, h, Settings{SDES: &SDES{Recv: key, Send: key}})
	to := memTransport(t, h, Settings{SDES: &SDES{Recv: key, Send: key}})
	plain := memTransport(t, h, Settings{})
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to, Passthrough: true}, {To: plain}}}}})
	sent, _ := ctx.ProtectRTP(append(make([]byte, 0, 64), rtpPacket(1, 1)...))
	hand(from, RTP, sent, farRTP)
	if got := take(to, RTP); len(got) != 1 || !bytes.Equal(got[0], sent) {
		t.Errorf("passed %x, sent %x", got, sent)
	}
	if got := take(plain, RTP); len(got) != 1 || !bytes.Equal(got[0], rtpPacket(1, 1)) {
		t.Errorf("plain sink got %x", got)
	}
	forged := bytes.Clone(sent)
	forged[3]++
	hand(from, RTP, forged, farRTP)
	if got := take(to, RTP); len(got) != 0 || from.Status().Streams[RTP].In.Errors != 1 {
		t.Errorf("a forged packet passed")
	}
	rr, _ := ctx.ProtectRTCP(append(make([]byte, 0, 64), receiverReport...))
	hand(from, RTCP, rr, farRTCP)
	if got := take(to, RTCP); len(got) != 1 || !bytes.Equal(got[0], rr) {
		t.Errorf("passed %x, sent %x", got, rr)
	}
	if got := take(plain, RTCP); len(got) != 1 || !bytes.Equal(got[0], receiverReport) {
		t.Errorf("plain sink got %x", got)
	}
}

func TestForwardAllocates(t *testing.T) {
	h := memHost(t)
	key := testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	from := memTransport(t, h, Settings{Learning: LearnImmediate})
	var sinks []Sink
	exts := [256]uint8{1: 2}
	for range 2 {
		to := memTransport(t, h, Settings{SDES: &SDES{Send: key}})
		to.addrs[0].ports[RTP].sock.(*memSocket).quiet = true
		sinks = append(sinks, Sink{To: to, MID: "0", MIDExt: 3, ExtMap: &exts, Digits: &DigitEdit{PTs: PTSet{1}, Seed: 1}})
	}
	from.SetPlan(&Plan{Routes: []Route{{Sinks: sinks, Digits: PTSet{1}}}})
	in := withExt(0, 5, 0x10, 0xaa)
	buf := make([]byte, len(in)+Tailroom)
	m := &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen)}
	p := from.addrs[0].ports[RTP]
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		b := buf[:copy(buf, in)]
		rtp.SetSeq(b, seq)
		p.receive(b, farRTP, m)
	}); n != 0 {
		t.Errorf("%v allocations for each packet", n)
	}
	if got := sinks[0].To.addrs[0].ports[RTP].sock.(*memSocket).count; got != 1001 {
		t.Errorf("%d packets sent", got)
	}
}

func FuzzDemux(f *testing.F) {
	f.Add(rtpPacket(1, 1))
	f.Add(receiverReport)
	f.Add(withExt(0, 5, 0x40, 'v', 0, 0))
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42})
	f.Add([]byte{22, 254, 253, 0})
	h := memHost(f)
	from := memTransport(f, h, Settings{})
	a, b := memTransport(f, h, Settings{}), memTransport(f, h, Settings{SDES: &SDES{Send: testKey(f, "AEAD_AES_128_GCM", 1)}})
	for _, t := range []*Transport{a, b} {
		t.addrs[0].ports[RTP].sock.(*memSocket).quiet = true
		t.addrs[0].ports[RTCP].sock.(*memSocket).quiet = true
	}
	exts := [256]uint8{1: 2, 4: 200}
	back := &Plan{Routes: []Route{{ID: 9, Sinks: []Sink{{To: from}}}}}
	a.SetPlan(back)
	b.SetPlan(back)
	from.SetPlan(&Plan{Routes: []Route{
		{ID: 1, MID: "v", MIDExt: 4, Sinks: []Sink{{To: a, ExtMap: &exts, MIDExt: 5, MID: "long enough to need two bytes"}}},
		{ID: 2, Sinks: []Sink{{To: b, MIDExt: 5, MID: "x"}, {To: a, Feedback: true}}},
	}})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 2000 {
			return
		}
		for _, tr := range []*Transport{from, a} { // each input meets the same state
			tr.sources.list.Store(nil)
			tr.comps[RTP].learn, tr.comps[RTCP].learn = learner{}, learner{}
		}
		hand(from, RTP, in, farRTP)
		hand(from, RTCP, in, farRTCP)
		hand(a, RTP, in, farRTP)
	})
}
