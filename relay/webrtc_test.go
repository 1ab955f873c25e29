package relay_test

import (
	"bytes"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ice"
	"rtpsidecar/relay/relaytest"
)

// inBubble runs a test on a chain of relays with the clock of a synctest bubble.
func inBubble(t *testing.T, link relaytest.Link, f func(*testing.T, *chain)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, link)
		defer c.close()
		f(t, c)
	})
}

func pair(c *chain) (x, y relay.Settings) {
	return webrtc(c.x, c.y, [2]string{"x", "y"}, true, true), webrtc(c.y, c.x, [2]string{"y", "x"}, false, true)
}

func audio(ssrc byte) func(uint16) []byte {
	return func(seq uint16) []byte { return packet(seq, ssrc) }
}

// Whatever happens to one single datagram between the relays, media flows soon.
func TestEachDatagram(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fate   []time.Duration
		within time.Duration
	}{
		{"lost", nil, 2 * time.Second},
		{"doubled", []time.Duration{0, 0}, time.Second},
		{"late", []time.Duration{400 * time.Millisecond}, 2 * time.Second},
		{"late again", []time.Duration{0, 400 * time.Millisecond}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for which := range int32(30) {
				var n atomic.Int32
				link := func(from, to netip.AddrPort, _ []byte) []time.Duration {
					between := from != phoneA && from != phoneB && to != phoneA && to != phoneB
					if between && n.Add(1) == which+1 {
						return tt.fate
					}
					return []time.Duration{0}
				}
				inBubble(t, link, func(t *testing.T, c *chain) {
					x, y := pair(c)
					apply(t, c.y, y)
					apply(t, c.x, x)
					if took := c.talk(5*time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1)); took > tt.within {
						t.Errorf("datagram %d: media after %s", which, took)
					}
					if took := c.talk(5*time.Second, c.pb, c.pa, c.b, relay.RTP, audio(2)); took > tt.within {
						t.Errorf("datagram %d: media back after %s", which, took)
					}
				})
			}
		})
	}
}

// The answerer starts its checks and its handshake before we have seen its answer. It is shaken hands with, and has to wait
// for the rest until its fingerprint is known.
func TestEarlyClientHello(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		early := y
		early.RemoteSeen = false
		early.ICE = &relay.ICE{Local: y.ICE.Local}
		early.DTLS = &relay.DTLS{}
		apply(t, c.y, early)
		apply(t, c.x, x)
		time.Sleep(3 * time.Second)
		if st := c.y.Status(); st.DTLSState != "handshake" || st.Streams[relay.RTP].DTLSDone || st.ICEState != "new" {
			t.Errorf("before the answer: %+v", st)
		}
		apply(t, c.y, y)
		if took := c.talk(5*time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1)); took > time.Second {
			t.Errorf("media after %s", took)
		}
	})
}

// A client has its ClientHello ready when ICE finds a path, and sends nothing of it before.
func TestHelloWaitsForPath(t *testing.T) {
	var cut atomic.Bool
	var hellos atomic.Int32
	link := func(from, to netip.AddrPort, b []byte) []time.Duration {
		switch {
		case relay.Classify(b) == relay.KindDTLS:
			hellos.Add(1)
		case cut.Load() && relay.Classify(b) == relay.KindSTUN && b[0] == 1: // responses
			return nil
		}
		return []time.Duration{0}
	}
	inBubble(t, link, func(t *testing.T, c *chain) {
		cut.Store(true)
		x, y := pair(c)
		apply(t, c.y, y)
		apply(t, c.x, x)
		time.Sleep(2 * time.Second)
		if st := c.x.Status(); hellos.Load() > 0 || st.DTLSState != "new" || st.ICEState != "checking" {
			t.Errorf("%d DTLS datagrams before there is a path: %+v", hellos.Load(), st)
		}
		cut.Store(false)
		c.check(5 * time.Second)
	})
}

// Nor does it send anything of it while it is held, wherever there is a path; let go it needs no repetition.
func TestHelloWaitsForAnswer(t *testing.T) {
	var hellos atomic.Int32
	link := func(_, _ netip.AddrPort, b []byte) []time.Duration {
		if relay.Classify(b) == relay.KindDTLS {
			hellos.Add(1)
		}
		return []time.Duration{0}
	}
	inBubble(t, link, func(t *testing.T, c *chain) {
		x, y := pair(c)
		held := x
		held.DTLS = &relay.DTLS{Role: relay.RoleActive, Hold: true, Fingerprints: x.DTLS.Fingerprints}
		apply(t, c.y, y)
		apply(t, c.x, held)
		time.Sleep(3 * time.Second)
		if st := c.x.Status(); hellos.Load() > 0 || st.DTLSState != "new" || st.ICEState != "completed" {
			t.Errorf("%d DTLS datagrams while held: %+v", hellos.Load(), st)
		}
		apply(t, c.x, x)
		time.Sleep(10 * time.Millisecond)
		if st := c.x.Status(); !st.Streams[relay.RTP].DTLSDone {
			t.Errorf("let go: %+v", st)
		}
		c.check(5 * time.Second)
	})
}

// What comes in the last moments before the keys goes out with them; what is older does not.
func TestMediaBeforeKeys(t *testing.T) {
	for _, tt := range []struct {
		name  string
		delay time.Duration // of each datagram between the relays
		want  bool
	}{
		{"handshake of 40 ms", 5 * time.Millisecond, true},
		{"handshake of 160 ms", 20 * time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link := func(from, to netip.AddrPort, _ []byte) []time.Duration {
				if from == phoneA || from == phoneB || to == phoneA || to == phoneB {
					return []time.Duration{0}
				}
				return []time.Duration{tt.delay}
			}
			inBubble(t, link, func(t *testing.T, c *chain) {
				x, y := pair(c)
				apply(t, c.y, y)
				apply(t, c.x, x)
				c.pa.Send(packet(1, 1), at(c.a, relay.RTP))
				c.pa.Send(packet(2, 1), at(c.a, relay.RTP))
				d, ok := c.pb.Receive(time.Second)
				if ok != tt.want || ok && !bytes.Equal(d.Bytes, packet(2, 1)) {
					t.Errorf("got %x, %v", d.Bytes, ok)
				}
				if d, ok := c.pb.Receive(0); ok {
					t.Errorf("then %x", d.Bytes)
				}
				if !c.x.Status().Streams[relay.RTP].DTLSDone {
					t.Error("no keys")
				}
			})
		})
	}
}

func TestFingerprintMismatch(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		wrong := *y.DTLS
		wrong.Fingerprints = fingerprints(c.y)
		y.DTLS = &wrong
		apply(t, c.y, y)
		apply(t, c.x, x)
		for seq := range uint16(100) {
			c.pa.Send(packet(seq, 1), at(c.a, relay.RTP))
			c.pb.Send(packet(seq, 2), at(c.b, relay.RTP))
			time.Sleep(20 * time.Millisecond)
		}
		if d, ok := c.pb.Receive(0); ok {
			t.Errorf("got %x", d.Bytes)
		}
		if d, ok := c.pa.Receive(0); ok {
			t.Errorf("got %x", d.Bytes)
		}
		st := c.y.Status()
		if st.DTLSState != "failed" || !strings.Contains(st.DTLSError, "fingerprint") || st.Streams[relay.RTP].DTLSDone {
			t.Errorf("%+v", st)
		}
		if seen := events(c.h2); seen[relay.EventDTLSFailed] != 1 || seen[relay.EventDTLSConnected] != 0 {
			t.Errorf("events %v", seen)
		}
		// The next offer brings the right one: a new association, on both sides.
		_, y = pair(c)
		y.Signalling, x.Signalling = 1, 1
		generation := *x.DTLS
		generation.Generation = 1
		x.DTLS = &generation
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.check(5 * time.Second)
	})
}

// Another certificate of the far side means another association; the call goes on with new keys.
func TestNewFingerprint(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.check(5 * time.Second)
		events(c.h1)

		h3 := newHost(t, c.net, "10.0.0.3")
		defer h3.Close()
		c.y.Close()
		c.b.Close()
		z, b := open(t, h3, relay.TransportConfig{ID: 5}), open(t, h3, relay.TransportConfig{ID: 6})
		connect(z, b)
		apply(t, b, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}})
		x2, z1 := webrtc(c.x, z, [2]string{"p", "z"}, true, true), webrtc(z, c.x, [2]string{"z", "p"}, false, true)
		x2.Signalling = 1
		apply(t, z, z1)
		apply(t, c.x, x2)
		c.talk(5*time.Second, c.pa, c.pb, c.a, relay.RTP, audio(3))
		if p, ok := c.x.SelectedPair(relay.RTP); !ok || p.Remote != at(z, relay.RTP) || !p.Nominated {
			t.Errorf("pair %+v", p)
		}
		if seen := events(c.h1); seen[relay.EventDTLSConnected] != 1 {
			t.Errorf("events %v", seen)
		}
	})
}

func TestICERestart(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.check(5 * time.Second)
		events(c.h1)
		x2, y2 := webrtc(c.x, c.y, [2]string{"v", "w"}, true, true), webrtc(c.y, c.x, [2]string{"w", "v"}, false, true)
		x2.Signalling, y2.Signalling = 1, 1
		// Ours first, as when we send the offer: media goes on over the old pair.
		offer := x2
		offer.ICE = &relay.ICE{Local: x2.ICE.Local, Remote: x.ICE.Remote, Controlling: true, Candidates: x.ICE.Candidates}
		apply(t, c.x, offer)
		c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
		x2.Signalling = 2
		apply(t, c.y, y2)
		apply(t, c.x, x2)
		time.Sleep(3 * time.Second)
		c.check(time.Second)
		if st := c.x.Status(); st.ICEState != "completed" || !st.Streams[relay.RTP].DTLSDone {
			t.Errorf("%+v", st)
		}
		if seen := events(c.h1); seen[relay.EventDTLSConnected] != 0 {
			t.Errorf("DTLS began anew: %v", seen)
		}
	})
}

func TestTrickle(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		apply(t, c.y, y)
		list := x.ICE.Candidates
		trickle := *x.ICE
		trickle.Candidates, trickle.Trickle = nil, true
		x.ICE = &trickle
		apply(t, c.x, x)
		c.x.AddCandidates(false, list[0])
		c.x.AddCandidates(true)
		c.check(5 * time.Second)
	})
}

func TestConsentLost(t *testing.T) {
	var cut atomic.Bool
	link := func(from, _ netip.AddrPort, _ []byte) []time.Duration {
		if cut.Load() && (from.Addr() == netip.MustParseAddr("10.0.0.2") || from.Addr() == netip.MustParseAddr("fd00::2")) {
			return nil
		}
		return []time.Duration{0}
	}
	inBubble(t, link, func(t *testing.T, c *chain) {
		x, y := pair(c)
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.check(5 * time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		cut.Store(true)
		time.Sleep(40 * time.Second)
		before := c.x.Status().Streams[relay.RTP].Out.Packets
		c.pa.Send(packet(1, 1), at(c.a, relay.RTP))
		time.Sleep(time.Second)
		st := c.x.Status()
		agent, _ := c.x.ICE()
		if !st.Streams[relay.RTP].NoConsent || st.Streams[relay.RTP].Out.Packets != before || st.ICEState != "failed" || time.Since(agent.Stats.LastGood) < 40*time.Second {
			t.Errorf("after lost consent: %+v", st)
		}
		if seen := events(c.h1); seen[relay.EventConsentLost] == 0 || seen[relay.EventICEFailed] != 1 {
			t.Errorf("events %v", seen)
		}
	})
}

// Only the selected pair may send; what comes from elsewhere is dropped and counted, and never followed.
func TestOutsider(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		x.DTLS, y.DTLS = nil, nil
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.check(5 * time.Second)
		time.Sleep(5 * time.Second)
		before := c.x.Status().Streams[relay.RTP]
		c.pb.Send(packet(1, 66), at(c.x, relay.RTP))
		if d, ok := c.pa.Receive(time.Second); ok {
			t.Errorf("got %x", d.Bytes)
		}
		after := c.x.Status().Streams[relay.RTP]
		if after.In.Errors != before.In.Errors+1 || after.Endpoint != before.Endpoint {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
	})
}

// A far side that announces ICE but does none gets media at its SDP address and may send from there; it is learnt from
// elsewhere only when ICE gives up.
func TestAnnouncedOnly(t *testing.T) {
	settings := func(c *chain) relay.Settings {
		return relay.Settings{
			RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}, Muxed: true,
			ICE: &relay.ICE{Local: credentials("x"), Remote: credentials("b"), Candidates: []ice.Candidate{
				{Foundation: "1", Component: 1, Priority: 1, Addr: netip.MustParseAddrPort("10.9.9.9:9")},
			}},
		}
	}
	t.Run("at first", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			apply(t, c.x, settings(c))
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
			c.talk(time.Second, c.pb, c.pa, c.x, relay.RTP, audio(2))
			c.pb1.Send(packet(1, 3), at(c.x, relay.RTP))
			if d, ok := c.pa.Receive(time.Second); ok {
				t.Errorf("from an address that has proven nothing: %x", d.Bytes)
			}
		})
	})
	t.Run("given up", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			apply(t, c.x, settings(c))
			time.Sleep(2 * time.Minute)
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
		})
	})
	t.Run("both lite", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			s := settings(c)
			s.ICE.Lite, s.ICE.RemoteLite = true, true
			apply(t, c.x, s)
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
		})
	})
	t.Run("then without", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			s := settings(c)
			apply(t, c.x, s)
			s.ICE = nil
			apply(t, c.x, s)
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
		})
	})
}

// A DTLS client behind a NAT, which the SDP does not know, is answered and gets media before it sends any.
func TestHandshakeBehindNAT(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		x.ICE, y.ICE = nil, nil
		y.Remote = [2]netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:9999")}
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.talk(5*time.Second, c.pb, c.pa, c.b, relay.RTP, audio(2))
	})
}

func TestPlainFeatures(t *testing.T) {
	t.Run("pierce", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			apply(t, c.x, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}, PierceNAT: true})
			for range 3 {
				d, ok := c.pb.Receive(1100 * time.Millisecond)
				if want := "\x80\x7f\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"; !ok || string(d.Bytes) != want {
					t.Errorf("got %x", d.Bytes)
				}
			}
			c.pb.Send(packet(1, 2), at(c.x, relay.RTP))
			time.Sleep(100 * time.Millisecond)
			if d, ok := c.pb.Receive(5 * time.Second); ok {
				t.Errorf("after it was heard: %x", d.Bytes)
			}
		})
	})
	t.Run("NAT-wait", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			apply(t, c.x, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}, NATWait: true})
			c.pa.Send(packet(1, 1), at(c.a, relay.RTP))
			if d, ok := c.pb.Receive(time.Second); ok {
				t.Errorf("got %x before it sent anything", d.Bytes)
			}
			c.pb.Send(packet(1, 2), at(c.x, relay.RTP))
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
		})
	})
	t.Run("hold", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			apply(t, c.x, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}})
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
			apply(t, c.x, relay.Settings{Signalling: 1, RemoteSeen: true, Remote: [2]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:4000")}})
			c.pb.Send(packet(1, 2), at(c.x, relay.RTP))
			c.pa.Send(packet(9, 1), at(c.a, relay.RTP))
			if d, ok := c.pb.Receive(time.Second); ok {
				t.Errorf("got %x on hold", d.Bytes)
			}
			if _, ok := c.pa.Receive(time.Second); !ok {
				t.Error("what the held side sends does not pass")
			}
		})
	})
	t.Run("asymmetric", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			apply(t, c.x, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}, Asymmetric: true, Learning: relay.LearnImmediate})
			other := c.net.Listen(netip.MustParseAddrPort("10.0.0.30:4000"))
			c.talk(time.Second, other, c.pa, c.x, relay.RTP, audio(2))
			c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
			if st := c.x.Status().Streams[relay.RTP]; !st.Confirmed || st.Endpoint != phoneB {
				t.Errorf("%+v", st)
			}
		})
	})
	t.Run("learnt, then signalled again", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			s := relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:5")}, Learning: relay.LearnDelayed}
			apply(t, c.x, s)
			time.Sleep(4 * time.Second)
			c.talk(time.Second, c.pb, c.pa, c.x, relay.RTP, audio(2))
			if st := c.x.Status().Streams[relay.RTP]; !st.Confirmed || st.Endpoint != phoneB {
				t.Errorf("%+v", st)
			}
			s.Signalling++
			apply(t, c.x, s)
			if st := c.x.Status().Streams[relay.RTP]; st.Confirmed || st.Endpoint != phoneB {
				t.Errorf("after signalling: %+v", st)
			}
			other := c.net.Listen(netip.MustParseAddrPort("10.0.0.30:4000"))
			c.talk(time.Second, other, c.pa, c.x, relay.RTP, audio(2))
			if st := c.x.Status().Streams[relay.RTP]; st.Confirmed || st.Endpoint != other.Addr() {
				t.Errorf("within the window: %+v", st)
			}
		})
	})
	t.Run("other family", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, c *chain) {
			six := c.net.Listen(netip.MustParseAddrPort("[fd00::66]:4000"))
			apply(t, c.x, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{six.Addr()}})
			c.pa.Send(packet(1, 1), at(c.a, relay.RTP))
			d, ok := six.Receive(time.Second)
			if l := c.x.Locals()[1]; !ok || d.From != netip.AddrPortFrom(l.Addr, l.Ports[relay.RTP]) {
				t.Errorf("got %+v", d)
			}
		})
	})
}

// A ClientHello was on its way when signalling reversed the roles.
func TestReversedRole(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *chain) {
		x, y := pair(c)
		early := *y.DTLS
		early.Role = relay.RoleActive
		hasty := y
		hasty.DTLS, hasty.ICE, hasty.RemoteSeen, hasty.Early = &early, nil, false, true
		apply(t, c.y, hasty)
		time.Sleep(time.Second)
		late := *y.DTLS
		late.Role = relay.RolePassive
		y.DTLS = &late
		opposite := *x.DTLS
		opposite.Role = relay.RoleActive
		x.DTLS = &opposite
		apply(t, c.y, y)
		apply(t, c.x, x)
		c.talk(5*time.Second, c.pa, c.pb, c.a, relay.RTP, audio(1))
		c.talk(5*time.Second, c.pb, c.pa, c.b, relay.RTP, audio(2))
	})
}
