package relay_test

import (
	"crypto/rand"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/relaytest"
	"rtpsidecar/relay/srtp"
)

func TestHandover(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(o *offload)
		gone int // flows in the table right after
	}{
		{"nothing", func(*offload) {}, 2},
		{"re-offer", func(o *offload) {
			o.sa.Signalling++
			o.sb.Signalling++
			o.apply()
		}, 0},
		{"the same plan", func(o *offload) { connect(o.a, o.b) }, 0},
		{"type of service", func(o *offload) {
			o.sb.TOS = 0xb8
			o.apply()
		}, 0},
		{"phone A moves", func(o *offload) {
			o.pa = o.net.Listen(netip.MustParseAddrPort("10.0.0.11:5000"))
			o.sa.Remote[0] = o.pa.Addr()
			o.apply()
		}, 0},
		{"phone B moves", func(o *offload) {
			o.pb = o.net.Listen(netip.MustParseAddrPort("10.0.0.21:5000"))
			o.sb.Remote[0] = o.pb.Addr()
			o.apply()
		}, 0},
		{"new keys", func(o *offload) {
			o.rekey()
			o.apply()
		}, 0},
		{"re-offers between packets", func(o *offload) {
			for i := range burst {
				o.sendA(o.pa, ssrcA)
				connect(o.a, o.b)
				o.sendB(o.pb)
				if i%3 == 0 {
					apply(o.t, o.b, o.sb)
				}
			}
			o.expect(burst, burst)
			connect(o.a, o.b)
		}, 0},
		{"many re-offers while packets pass", func(o *offload) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 200 {
					connect(o.a, o.b)
					apply(o.t, o.b, o.sb)
				}
			}()
			for range burst {
				o.sendA(o.pa, ssrcA)
				o.sendB(o.pb)
			}
			<-done
			o.expect(burst, burst)
			connect(o.a, o.b)
		}, 0},
		{"a packet too long for the table", func(o *offload) {
			o.table.MaxPayload = 4
			o.talk()
			o.table.MaxPayload = 0
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffload(t)
				defer o.host.Close()
				o.talk()
				o.kernel(true, "")
				o.flows(2)
				tt.do(o)
				o.flows(tt.gone)
				before := o.taken()
				o.talk()
				o.talk()
				o.kernel(true, "")
				if n := o.taken() - before; n < burst {
					t.Errorf("the table took %d packets", n)
				}
				// Everything is counted once, wherever it passed.
				total := o.host.Totals()
				st := o.a.Status()
				if in := o.a.Status().Streams[0].In.Packets + o.b.Status().Streams[0].In.Packets; in != total.User.Packets+total.Kernel.Packets {
					t.Errorf("%d packets in, totals %+v", in, total)
				}
				if s := st.SSRCs[0]; s.Lost != 0 || s.Packets != st.Streams[0].In.Packets || s.Duplicates != 0 {
					t.Errorf("source %+v, stream %+v", s, st.Streams[0].In)
				}
				o.a.Close()
				o.b.Close()
				o.flows(0)
			})
		})
	}
}

func TestOffloadRefused(t *testing.T) {
	plan := func(o *offload, edit func(*relay.Route)) {
		for _, x := range [][2]*relay.Transport{{o.a, o.b}, {o.b, o.a}} {
			r := relay.Route{ID: 1, Sinks: []relay.Sink{{To: x[1], Feedback: true}}}
			edit(&r)
			x[0].SetPlan(&relay.Plan{Routes: []relay.Route{r}})
		}
	}
	silence := &relay.SilenceSet{}
	silence.PTs.Add(0)
	for _, tt := range []struct {
		name   string
		do     func(o *offload)
		reason string
		passes bool
	}{
		{"hold", func(o *offload) {
			plan(o, func(r *relay.Route) { r.Sinks[0].MuteRTP = true })
		}, "no receiver", false},
		{"block media", func(o *offload) { plan(o, func(r *relay.Route) { r.Discard = true }) }, "discarded", false},
		{"silence", func(o *offload) { plan(o, func(r *relay.Route) { r.Silence = silence }) }, "silenced", true},
		{"silence to one", func(o *offload) { plan(o, func(r *relay.Route) { r.Sinks[0].Silence = silence }) }, "silenced", true},
		{"drop-traffic", func(o *offload) {
			o.sa.DropIn, o.sb.DropIn = true, true
			o.apply()
		}, "discarded", false},
		{"block-short", func(o *offload) { plan(o, func(r *relay.Route) { r.Short = &relay.ShortSet{PTs: relay.PTSet{1}} }) }, "short packets", true},
		{"loop check", func(o *offload) { plan(o, func(r *relay.Route) { r.LoopCheck = true }) }, "loop check", true},
		{"MID", func(o *offload) { plan(o, func(r *relay.Route) { r.Sinks[0].MID, r.Sinks[0].MIDExt = "0", 3 }) }, "receiver is bundled", true},
		{"extensions", func(o *offload) { plan(o, func(r *relay.Route) { r.Sinks[0].ExtMap = new([256]uint8) }) }, "extensions", true},
		{"recoded", func(o *offload) { plan(o, func(r *relay.Route) { r.Sinks[0].Recode = new([128]*[256]byte) }) }, "recoded", true},
		{"framed", func(o *offload) {
			plan(o, func(r *relay.Route) { r.Sinks[0].Framer = relay.NewFramer(relay.PTSet{}, time.Second) })
		}, "another length", true},
		{"echo", func(o *offload) {
			o.a.SetPlan(&relay.Plan{Routes: []relay.Route{{ID: 1, Sinks: []relay.Sink{{To: o.a}}}}})
			o.b.SetPlan(&relay.Plan{Routes: []relay.Route{{ID: 1, Sinks: []relay.Sink{{To: o.b}}}}})
		}, "echo", false},
		{"bundle", func(o *offload) {
			for _, x := range [][2]*relay.Transport{{o.a, o.b}, {o.b, o.a}} {
				r := relay.Route{ID: 8, Sinks: []relay.Sink{{To: x[1]}}}
				x[0].SetPlan(&relay.Plan{Routes: []relay.Route{r, {ID: 9}}})
			}
		}, "bundle", true},
		{"GCM", func(o *offload) {
			k, _ := srtp.NewParams(srtp.SuiteByName("AEAD_AES_128_GCM"), rand.Reader)
			o.sb.SDES = &relay.SDES{Recv: k, Send: k}
			o.fromB, _ = srtp.New(k)
			o.toB, _ = srtp.New(k)
			clear(o.indices)
			o.apply()
		}, "crypto suite", true},
		{"table full", func(o *offload) {
			o.table.Fail = func(ebpf.FlowKey, ebpf.Action) error { return ebpf.ErrFull }
			connect(o.a, o.b)
		}, "full", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffload(t)
				defer o.host.Close()
				o.talk()
				o.kernel(true, "")
				tt.do(o)
				o.flows(0)
				for range burst {
					o.sendA(o.pa, ssrcA)
					o.sendB(o.pb)
					synctest.Wait()
				}
				o.kernel(false, tt.reason)
				if why := o.host.Totals().Refused; !slices.ContainsFunc(slices.Collect(maps.Keys(why)), func(s string) bool { return strings.Contains(s, tt.reason) }) {
					t.Errorf("refused: %v", why)
				}
				if a, b := o.collect(); (a == burst && b == burst) != tt.passes && tt.name != "echo" {
					t.Errorf("%d and %d of %d passed", a, b, burst)
				}
			})
		})
	}
}

// TestOffloadKnowsAll names every part of a plan, and what it means for the table. Whoever adds one has to decide.
func TestOffloadKnowsAll(t *testing.T) {
	const refused, told, apart = "refused", "told to the table", "nothing that concerns RTP on its way"
	for _, tt := range []struct {
		of   reflect.Type
		what map[string]string
	}{
		{reflect.TypeFor[relay.Plan](), map[string]string{"Routes": "one is told, more are refused"}},
		{reflect.TypeFor[relay.Route](), map[string]string{
			"ID": apart, "MID": apart, "MIDExt": apart, "PTs": apart, // of which to choose among routes
			"Discard": refused, "Silence": refused, "Short": refused, "LoopCheck": refused,
			"ClockRates": told, "Sinks": told, "Digits": "not told",
		}},
		{reflect.TypeFor[relay.Sink](), map[string]string{
			"To": told, "PTMap": told, "Passthrough": told, "MuteRTP": "not told", "Digits": "not told",
			"Recode": refused, "Framer": refused, "ExtMap": refused, "ExtForms": "with ExtMap", "MID": refused, "MIDExt": refused, "Silence": refused,
			"Feedback": apart, "MuteRTCP": apart,
		}},
		{reflect.TypeFor[relay.Settings](), map[string]string{
			"Opaque": refused, "DropIn": refused, "NATWait": refused, "TOS": told, "ICE": told, "DTLS": told, "SDES": told,
			"Signalling": "learnt first", "Remote": "learnt first", "RemoteSeen": "learnt first", "Learning": "learnt first",
			"Asymmetric": "learnt first", "StrictSource": "other sources go up", "Handover": "other sources go up",
			"Early": apart, "Muxed": apart, "PierceNAT": apart, "Reports": "made of counters that are brought up to date", "Measured": "made of them too",
		}},
	} {
		for _, f := range reflect.VisibleFields(tt.of) {
			if tt.what[f.Name] == "" {
				t.Errorf("%s.%s: say here, and in describe, what the table does about it", tt.of, f.Name)
			}
			delete(tt.what, f.Name)
		}
		if len(tt.what) > 0 {
			t.Errorf("%s has no %v", tt.of, tt.what)
		}
	}
}

// Events that are dropped, told or rewritten are a matter of userspace; the rest of the flow is not.
func TestOffloadWithoutDTMF(t *testing.T) {
	pts := new([128]uint8)
	for i := range pts {
		pts[i] = uint8(i)
	}
	pts[101] = 0xff
	var events relay.PTSet
	events.Add(101)
	for _, tt := range []struct {
		name   string
		route  relay.Route
		sink   relay.Sink
		passed int
	}{
		{"dropped", relay.Route{}, relay.Sink{PTMap: pts}, 0},
		{"told", relay.Route{Digits: events}, relay.Sink{}, 1},
		{"rewritten", relay.Route{}, relay.Sink{Digits: &relay.DigitEdit{PTs: events}}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffload(t)
				defer o.host.Close()
				tt.sink.To, tt.route.ID = o.b, 1
				tt.route.Sinks = []relay.Sink{tt.sink}
				o.a.SetPlan(&relay.Plan{Routes: []relay.Route{tt.route}})
				o.talk()
				o.kernel(true, "")
				event := packet(o.seq[0], ssrcA)
				event[1] = 101
				o.seq[0]++
				o.pa.Send(event, at(o.a, relay.RTP))
				o.expect(0, tt.passed)
				o.talk()
			})
		})
	}
}

func TestOffloadSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffload(t)
		defer o.host.Close()
		o.talk()
		o.kernel(true, "")
		action := func() ebpf.Action {
			act, _ := o.table.Action(ebpf.FlowKey{Local: at(o.a, relay.RTP)})
			return act
		}

		// A second source of the same phone joins the first.
		time.Sleep(2 * time.Second)
		o.sendA(o.pa, 7)
		o.expect(0, 1)
		if act := action(); len(act.Sources) != 2 {
			t.Fatalf("sources %+v", act.Sources)
		}
		o.talk()

		// Somebody else with the same source: served, by userspace alone, and never with an index of the table's.
		other := o.net.Listen(netip.MustParseAddrPort("10.0.0.66:6666"))
		o.flows(2)
		o.seq[0]--
		o.sendA(other, ssrcA)
		synctest.Wait()
		o.flows(1)
		o.expect(0, 0)
		o.sendA(other, ssrcA)
		o.expect(0, 1)
		o.talk()
		o.flows(1)
		time.Sleep(2 * time.Second)
		o.talk()
		o.flows(2)

		// A third transport that sends to phone B as well takes the flow back before its first packet.
		c := open(t, o.host, relay.TransportConfig{ID: 3})
		c.SetPlan(&relay.Plan{Routes: []relay.Route{{ID: 3, Sinks: []relay.Sink{{To: o.b}}}}})
		o.flows(1)
		o.talk()
		if st := o.a.Status().Streams[0]; st.Kernel || st.NoKernel != "receiver has several senders" {
			t.Errorf("%+v", st)
		}
		c.Close()
		o.b.SetPlan(nil)
		o.flows(0)
		time.Sleep(2 * time.Second)
		for range burst {
			o.sendA(o.pa, ssrcA)
			synctest.Wait()
		}
		o.expect(0, burst)
		o.flows(1)
		o.a.Close()
		o.flows(0)
	})
}

// A subscriber gets each packet too, from its first to its last, wherever they pass.
func TestOffloadSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffload(t)
		defer o.host.Close()
		c, pc := open(t, o.host, relay.TransportConfig{ID: 3}), o.net.Listen(netip.MustParseAddrPort("10.0.0.30:6000"))
		apply(t, c, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{pc.Addr()}, Muxed: true})
		subscribe := func(to ...*relay.Transport) {
			r := relay.Route{ID: 1}
			for _, tr := range to {
				r.Sinks = append(r.Sinks, relay.Sink{To: tr})
			}
			o.a.SetPlan(&relay.Plan{Routes: []relay.Route{r}})
		}
		heard := func(want int) {
			t.Helper()
			synctest.Wait()
			got := map[uint32]int{}
			for {
				d, ok := pc.Receive(time.Nanosecond)
				if !ok {
					break
				}
				got[key(d.Bytes)]++
			}
			for k, n := range got {
				if n != 1 {
					t.Errorf("packet %d came %d times", k&0xffff, n)
				}
			}
			if len(got) != want {
				t.Errorf("the subscriber got %d of %d", len(got), want)
			}
		}
		sinks := func(want int) {
			t.Helper()
			if act, ok := o.table.Action(ebpf.FlowKey{Local: at(o.a, relay.RTP)}); !ok || len(act.Sinks) != want {
				t.Errorf("in the table: %v, %d sinks, want %d", ok, len(act.Sinks), want)
			}
		}
		o.talk()
		sinks(1)
		heard(0)
		subscribe(o.b, c)
		o.talk()
		o.talk()
		o.kernel(true, "")
		sinks(2)
		heard(2 * burst)
		before := o.taken()
		o.talk()
		heard(burst)
		if n := o.taken() - before; n != 2*burst {
			t.Errorf("the table took %d of %d", n, 2*burst)
		}
		c.Close() // the subscriber is gone before the plan says so
		o.talk()
		subscribe(o.b)
		o.talk()
		sinks(1)
		heard(0)
	})
}

// The timer keeps counters and time of the last packet up to date.
func TestOffloadPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffload(t)
		defer o.host.Close()
		o.talk()
		o.talk()
		time.Sleep(2 * time.Second)
		if n := o.host.Totals().Kernel.Packets; n < burst {
			t.Errorf("the timer has seen %d packets", n)
		}
		last := o.a.Status().Streams[0].LastPacket
		o.talk()
		if now := o.a.Status().Streams[0].LastPacket; now.Sub(last) < time.Second {
			t.Errorf("last packet %v after %v", now, last)
		}
	})
}

// Browser legs: a restart of ICE or a new DTLS association takes the flow back, and media goes on after it.
func TestOffloadWebRTC(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(x, y *relay.Settings)
	}{
		{"ICE restart", func(x, y *relay.Settings) {
			ix, iy := *x.ICE, *y.ICE
			ix.Local, ix.Remote = credentials("v"), credentials("w")
			iy.Local, iy.Remote = credentials("w"), credentials("v")
			x.ICE, y.ICE = &ix, &iy
		}},
		{"DTLS restart", func(x, y *relay.Settings) {
			dx, dy := *x.DTLS, *y.DTLS
			dx.Generation, dy.Generation = 1, 1
			x.DTLS, y.DTLS = &dx, &dy
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := relaytest.New(nil)
				n.Table = ebpf.NewFake()
				mk := func(addr string, table ebpf.Table) *relay.Host {
					h, err := relay.New(relay.Config{
						Workers: 1, IO: n.IO, Table: table,
						Interfaces: []relay.Interface{{Name: "default", Local: netip.MustParseAddr(addr), PortMin: 30000, PortMax: 30099}},
					})
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				c := &chain{t: t, net: n, h1: mk("10.0.0.1", n.Table), h2: mk("10.0.0.2", nil)}
				defer c.close()
				c.a, c.x = open(t, c.h1, relay.TransportConfig{ID: 1}), open(t, c.h1, relay.TransportConfig{ID: 2})
				c.y, c.b = open(t, c.h2, relay.TransportConfig{ID: 3}), open(t, c.h2, relay.TransportConfig{ID: 4})
				connect(c.a, c.x)
				connect(c.y, c.b)
				c.pa, c.pb = n.Listen(phoneA), n.Listen(phoneB)
				apply(t, c.a, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneA}, Muxed: true})
				apply(t, c.b, relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}, Muxed: true})
				x := webrtc(c.x, c.y, [2]string{"x", "y"}, true, true)
				y := webrtc(c.y, c.x, [2]string{"y", "x"}, false, true)
				apply(t, c.y, y)
				apply(t, c.x, x)

				var seq uint16
				talk := func() {
					t.Helper()
					got := [2]int{}
					for range burst {
						seq++
						c.pa.Send(packet(seq, 1), at(c.a, relay.RTP))
						c.pb.Send(packet(seq, 2), at(c.b, relay.RTP))
						for i, p := range []*relaytest.Peer{c.pa, c.pb} {
							if _, ok := p.Receive(20 * time.Millisecond); ok {
								got[i]++
							}
						}
					}
					if got != [2]int{burst, burst} {
						t.Errorf("got %d of %d", got, burst)
					}
				}
				flows := func(want int) {
					t.Helper()
					if k := n.Table.Status().Flows; k != want {
						t.Errorf("%d flows, want %d", k, want)
					}
				}
				time.Sleep(10 * time.Second)
				talk()
				flows(2)
				tt.edit(&x, &y)
				x.Signalling, y.Signalling = 1, 1
				apply(t, c.y, y)
				apply(t, c.x, x)
				flows(0)
				time.Sleep(10 * time.Second)
				talk()
				talk()
				flows(2)
				if k := c.h1.Totals().Kernel.Packets; k < burst {
					t.Errorf("the table took %d", k)
				}
			})
		})
	}
}
