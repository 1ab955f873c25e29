package relay_test

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/ice"
	"rtpsidecar/relay/relaytest"
	"rtpsidecar/relay/srtp"
)

var (
	phoneA = netip.MustParseAddrPort("10.0.0.10:4000")
	phoneB = netip.MustParseAddrPort("10.0.0.20:4000")
)

func newHost(t *testing.T, n *relaytest.Network, addrs ...string) *relay.Host {
	t.Helper()
	cfg := relay.Config{Workers: 2, IO: n.IO}
	if addrs[0] == "10.0.0.1" {
		cfg.Table = ebpf.NewFake() // never asked by this network: nothing may depend on there being none
	}
	for _, a := range addrs {
		cfg.Interfaces = append(cfg.Interfaces, relay.Interface{
			Name: "default", Local: netip.MustParseAddr(a), PortMin: 30000, PortMax: 30099,
		})
	}
	h, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func open(t testing.TB, h *relay.Host, cfg relay.TransportConfig) *relay.Transport {
	t.Helper()
	cfg.Interface = "default"
	tr, err := h.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func apply(t testing.TB, tr *relay.Transport, s relay.Settings) {
	t.Helper()
	if err := tr.Apply(s); err != nil {
		t.Fatal(err)
	}
}

func connect(a, b *relay.Transport) {
	a.SetPlan(&relay.Plan{Routes: []relay.Route{{ID: 1, Sinks: []relay.Sink{{To: b, Feedback: true}}}}})
	b.SetPlan(&relay.Plan{Routes: []relay.Route{{ID: 2, Sinks: []relay.Sink{{To: a, Feedback: true}}}}})
}

func at(tr *relay.Transport, c relay.Component) netip.AddrPort {
	l := tr.Locals()[0]
	return netip.AddrPortFrom(l.Addr, l.Ports[c])
}

func remotes(tr *relay.Transport) [2]netip.AddrPort {
	return [2]netip.AddrPort{at(tr, relay.RTP), at(tr, relay.RTCP)}
}

// chain is phone A - relay 1 - relay 2 - phone B, the legs of the phones plain.
type chain struct {
	t        *testing.T
	net      *relaytest.Network
	h1, h2   *relay.Host
	a, x     *relay.Transport // of relay 1: towards phone A, towards relay 2
	y, b     *relay.Transport // of relay 2
	pa, pb   *relaytest.Peer
	pa1, pb1 *relaytest.Peer // RTCP
}

func newChain(t *testing.T, link relaytest.Link) *chain {
	n := relaytest.New(link)
	c := &chain{t: t, net: n, h1: newHost(t, n, "10.0.0.1", "fd00::1"), h2: newHost(t, n, "10.0.0.2", "fd00::2")}
	c.a, c.x = open(t, c.h1, relay.TransportConfig{ID: 1, Affinity: 1, PrimaryOnly: true}), open(t, c.h1, relay.TransportConfig{ID: 2, Affinity: 1})
	c.y, c.b = open(t, c.h2, relay.TransportConfig{ID: 3}), open(t, c.h2, relay.TransportConfig{ID: 4, PrimaryOnly: true})
	connect(c.a, c.x)
	connect(c.y, c.b)
	c.pa, c.pb = n.Listen(phoneA), n.Listen(phoneB)
	rtcp := func(p netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(p.Addr(), p.Port()+1) }
	c.pa1, c.pb1 = n.Listen(rtcp(phoneA)), n.Listen(rtcp(phoneB))
	apply(t, c.a, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneA, rtcp(phoneA)}})
	apply(t, c.b, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB, rtcp(phoneB)}})
	return c
}

func (c *chain) close() {
	c.h1.Close()
	c.h2.Close()
}

func packet(seq uint16, ssrc byte) []byte {
	return []byte{0x80, 0, byte(seq >> 8), byte(seq), 0, 0, byte(seq), 0xa0, 0, 0, 0, ssrc, 1, 2, 3, 4}
}

var report = []byte{0x80, 201, 0, 1, 0, 0, 0, 9}

// talk sends from one end until something arrives at the other, at most for the given time, and returns how long it took.
func (c *chain) talk(within time.Duration, from, to *relaytest.Peer, in *relay.Transport, comp relay.Component, make func(uint16) []byte) time.Duration {
	c.t.Helper()
	start := time.Now()
	for seq := uint16(1); time.Since(start) < within; seq++ {
		b := make(seq)
		from.Send(b, at(in, comp))
		if d, ok := to.Receive(20 * time.Millisecond); ok {
			if len(d.Bytes) != len(b) || !bytes.Equal(d.Bytes[8:], b[8:]) {
				c.t.Fatalf("sent %x, got %x", b, d.Bytes)
			}
			return time.Since(start)
		}
	}
	c.t.Fatalf("nothing arrived; relay 1: %+v\nrelay 2: %+v", c.x.Status(), c.y.Status())
	return 0
}

// check has RTP and RTCP pass both ways.
func (c *chain) check(within time.Duration) {
	c.t.Helper()
	rtp := func(ssrc byte) func(uint16) []byte { return func(seq uint16) []byte { return packet(seq, ssrc) } }
	rtcp := func(uint16) []byte { return bytes.Clone(report) }
	c.talk(within, c.pa, c.pb, c.a, relay.RTP, rtp(1))
	c.talk(within, c.pb, c.pa, c.b, relay.RTP, rtp(2))
	c.talk(within, c.pa1, c.pb1, c.a, relay.RTCP, rtcp)
	c.talk(within, c.pb1, c.pa1, c.b, relay.RTCP, rtcp)
}

func events(h *relay.Host) map[relay.EventKind]int {
	seen := map[relay.EventKind]int{}
	for {
		select {
		case e := <-h.Events():
			seen[e.Kind]++
		default:
			return seen
		}
	}
}

func TestSDES(t *testing.T) {
	for _, suite := range srtp.Suites() {
		t.Run(suite.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChain(t, nil)
				defer c.close()
				k1, _ := srtp.NewParams(suite, rand.Reader)
				k2, _ := srtp.NewParams(suite, rand.Reader)
				apply(t, c.x, relay.Settings{RemoteSeen: true, Remote: remotes(c.y), SDES: &relay.SDES{Send: k1, Recv: k2}})
				apply(t, c.y, relay.Settings{RemoteSeen: true, Remote: remotes(c.x), SDES: &relay.SDES{Send: k2, Recv: k1}})
				c.check(time.Second)

				// The same settings again keep the rollover counters; plain packets in between are refused.
				apply(t, c.y, relay.Settings{Signalling: 1, RemoteSeen: true, Remote: remotes(c.x), SDES: &relay.SDES{Send: k2, Recv: k1}})
				c.pa.Send(packet(500, 9), at(c.y, relay.RTP))
				c.talk(time.Second, c.pa, c.pb, c.a, relay.RTP, func(seq uint16) []byte { return packet(seq+100, 1) })
				st := c.y.Status().Streams[relay.RTP]
				if st.In.Errors == 0 || st.Suite != suite.Name || st.Endpoint != at(c.x, relay.RTP) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func credentials(name string) ice.Credentials {
	return ice.Credentials{Ufrag: name + "ufrag12"[:8-len(name)], Pwd: name + "0123456789012345678901234"}
}

func fingerprints(tr *relay.Transport) []relay.Fingerprint {
	return []relay.Fingerprint{{Hash: "sha-256", Digest: tr.Certificate().Fingerprint("sha-256")}}
}

// webrtc is the settings of one end towards the other.
func webrtc(local, remote *relay.Transport, names [2]string, active, muxed bool) relay.Settings {
	s := relay.Settings{
		RemoteSeen: true, Remote: remotes(remote), Muxed: muxed,
		ICE: &relay.ICE{
			Local: credentials(names[0]), Remote: credentials(names[1]), Controlling: active,
			Candidates: remote.LocalCandidates(),
		},
		DTLS: &relay.DTLS{Role: relay.RolePassive, Fingerprints: fingerprints(remote)},
	}
	if active {
		s.DTLS.Role = relay.RoleActive
	}
	return s
}

func TestWebRTC(t *testing.T) {
	for _, tt := range []struct {
		name  string
		link  relaytest.Link
		muxed bool
		edit  func(x, y *relay.Settings)
	}{
		{name: "muxed", muxed: true},
		{name: "two components"},
		{name: "roles crossed", muxed: true, edit: func(x, y *relay.Settings) {
			x.ICE.Controlling, y.ICE.Controlling = false, true
		}},
		{name: "no ICE", muxed: true, edit: func(x, y *relay.Settings) { x.ICE, y.ICE = nil, nil }},
		{name: "no DTLS", edit: func(x, y *relay.Settings) { x.DTLS, y.DTLS = nil, nil }},
		{name: "we lite", muxed: true, edit: func(x, y *relay.Settings) {
			x.ICE.Controlling, y.ICE.Controlling = false, true
			x.ICE.Lite, y.ICE.RemoteLite = true, true
		}},
		{name: "no candidates from one side", muxed: true, edit: func(x, y *relay.Settings) { x.ICE.Candidates = nil }},
		{name: "15 % loss", muxed: true, link: relaytest.Lossy(1, 0.15, 0)},
		{name: "15 % loss, two components", link: relaytest.Lossy(2, 0.15, 0)},
		{name: "5 % loss, 100 ms jitter", muxed: true, link: relaytest.Lossy(3, 0.05, 100*time.Millisecond)},
		{name: "doubled", muxed: true, link: func(_, _ netip.AddrPort, _ []byte) []time.Duration { return []time.Duration{0, time.Millisecond} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChain(t, tt.link)
				defer c.close()
				x := webrtc(c.x, c.y, [2]string{"x", "y"}, true, tt.muxed)
				y := webrtc(c.y, c.x, [2]string{"y", "x"}, false, tt.muxed)
				if tt.edit != nil {
					tt.edit(&x, &y)
				}
				apply(t, c.y, y)
				apply(t, c.x, x)
				c.check(20 * time.Second)
				time.Sleep(2 * time.Second) // media to the address of the SDP needs no ICE, and may be first
				synctest.Wait()
				seen := events(c.h1)
				if x.ICE != nil && seen[relay.EventICEConnected] != 1 || x.DTLS != nil && seen[relay.EventDTLSConnected] == 0 {
					t.Errorf("events %v", seen)
				}
				st := c.x.Status()
				if x.DTLS != nil && (!st.Streams[relay.RTP].DTLSDone || st.Streams[relay.RTP].Suite != "AES_CM_128_HMAC_SHA1_80") {
					t.Errorf("%+v", st)
				}
				if x.ICE != nil {
					p, ok := c.x.SelectedPair(relay.RTP)
					if !ok || p.Remote != at(c.y, relay.RTP) && p.Remote.Addr() != netip.MustParseAddr("fd00::2") {
						t.Errorf("pair %+v %v", p, ok)
					}
				}
			})
		})
	}
}
