package rtpengine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// sockets counts the process's open files.
func sockets(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc:", err)
	}
	return len(list)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Calls that came and went leave nothing behind.
func TestNoGrowth(t *testing.T) {
	e := loopback(t, func(c *Config) { c.Log, c.DeleteDelay = nil, 0 })
	offer := body("127.0.0.1", plainAudio)
	browser := body("127.0.0.1", browserAudio)
	run := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprint("call", i)
			sdp, flags := offer, []any(nil)
			if i%10 == 0 {
				sdp, flags = browser, []any{"transport-protocol", "RTP/AVP", "ICE", "remove"}
			}
			must(t, e, "offer", append([]any{"call-id", id, "from-tag", "A", "sdp", sdp}, flags...)...)
			must(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", offer)
			must(t, e, "delete", "call-id", id)
		}
	}
	run(0, 200) // pools and tables reach their size
	goroutines, files, bytes := settled(), sockets(t), heap()
	run(200, 2200)
	if n := settled(); n > goroutines {
		t.Errorf("%d goroutines, were %d", n, goroutines)
	}
	if n := sockets(t); n > files {
		t.Errorf("%d open files, were %d", n, files)
	}
	if n := heap(); n > bytes+2<<20 {
		t.Errorf("heap %d KiB, was %d KiB", n>>10, bytes>>10)
	}
	if e.NumSessions() != 0 {
		t.Errorf("%d calls left", e.NumSessions())
	}
}

// relays are two engines back to back: the far one plays the browser for the near one, between two plain phones.
type relays struct{ near, far *Engine }

// call sets up a call from a phone over the far engine's WebRTC leg to the near engine and a phone there, sends RTP both
// ways until it arrives, and ends it.
func (r relays) call(t *testing.T, id string) {
	alice, bob := handset(t), handset(t)
	defer alice.Close()
	defer bob.Close()
	talk := func(from, to *net.UDPConn, via netip.AddrPort) {
		buf := make([]byte, 1500)
		for seq := uint16(0); seq < 500; seq++ {
			pkt := binary.BigEndian.AppendUint16([]byte{0x80, 0}, seq)
			pkt = append(pkt, 0, 0, byte(seq>>8), byte(seq), 0, 0, 0, 7, 1, 2, 3, 4)
			if _, err := from.WriteToUDPAddrPort(pkt, via); err != nil {
				t.Error(id, err)
				return
			}
			_ = to.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if n, err := to.Read(buf); err == nil && bytes.HasSuffix(buf[:n], []byte{1, 2, 3, 4}) {
				return
			}
		}
		t.Errorf("%s: nothing arrived over %v", id, via)
	}
	sdpOf := func(e *Engine, command, sdp string, flags ...any) string {
		pairs := append([]any{"call-id", id, "from-tag", "A", "sdp", sdp}, flags...)
		if command == "answer" {
			pairs = append(pairs, "to-tag", "B")
		}
		d := ask(e, command, pairs...)
		if d.Error != "" {
			t.Errorf("%s %s: %s", id, command, d.Error)
		}
		return d.Dict.Value("sdp").Str()
	}
	offer := sdpOf(r.far, "offer", handsetBody(alice), "transport-protocol", "UDP/TLS/RTP/SAVPF", "ICE", "force", "rtcp-mux", []string{"offer"}, "SDES", "off")
	toBob := sdpOf(r.near, "offer", offer, "transport-protocol", "RTP/AVP", "ICE", "remove", "rtcp-mux", []string{"demux"})
	answer := sdpOf(r.near, "answer", handsetBody(bob))
	toAlice := sdpOf(r.far, "answer", answer)
	talk(alice, bob, audioAt(t, toAlice))
	talk(bob, alice, audioAt(t, toBob))
	for _, e := range []*Engine{r.near, r.far} {
		if d := ask(e, "delete", "call-id", id); d.Error != "" {
			t.Errorf("%s delete: %s", id, d.Error)
		}
	}
}

func handset(t *testing.T) *net.UDPConn {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.7.7.7:0")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func handsetBody(c *net.UDPConn) string {
	a := c.LocalAddr().(*net.UDPAddr)
	return body(a.IP.String(), fmt.Sprintf("m=audio %d RTP/AVP 0", a.Port))
}

func audioAt(t *testing.T, text string) netip.AddrPort {
	s, err := sdp.Parse(text)
	if err != nil || len(s.Media) == 0 {
		t.Errorf("%v in %q", err, text)
		return netip.AddrPort{}
	}
	return s.Media[0].RTPAddr()
}

// 500 WebRTC calls, with ICE, DTLS and media both ways, that came and went leave nothing behind.
func TestNoGrowthWebRTC(t *testing.T) {
	quiet := func(c *Config) { c.Log, c.DeleteDelay = nil, 0 }
	r := relays{near: loopback(t, quiet), far: loopback(t, quiet)}
	run := func(from, to int) {
		var wg sync.WaitGroup
		ids := make(chan int)
		for range 10 {
			wg.Go(func() {
				for i := range ids {
					r.call(t, fmt.Sprint("webrtc", i))
				}
			})
		}
		for i := from; i < to; i++ {
			ids <- i
		}
		close(ids)
		wg.Wait()
	}
	run(0, 50)
	goroutines, files := settled(), sockets(t)
	run(50, 550)
	if n := settled(); n > goroutines {
		t.Errorf("%d goroutines, were %d", n, goroutines)
	}
	if n := sockets(t); n > files {
		t.Errorf("%d open files, were %d", n, files)
	}
	if n := r.near.NumSessions() + r.far.NumSessions(); n != 0 {
		t.Errorf("%d calls left", n)
	}
}

// settled is the number of goroutines once it has stopped falling.
func settled() int {
	n := runtime.NumGoroutine()
	for range 40 {
		time.Sleep(25 * time.Millisecond)
		if now := runtime.NumGoroutine(); now < n {
			n = now
		}
	}
	return n
}

func BenchmarkOfferAnswer(b *testing.B) {
	for name, sdp := range map[string]string{"plain": body("127.0.0.1", plainAudio), "browser": body("127.0.0.1", browserAudio, browserVideo)} {
		b.Run(name, func(b *testing.B) {
			e := loopback(b, func(c *Config) { c.Log, c.DeleteDelay = nil, 0 })
			b.ReportAllocs()
			for i := range b.N {
				id := fmt.Sprint("call", i)
				must(b, e, "offer", "call-id", id, "from-tag", "A", "sdp", sdp)
				must(b, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", sdp)
				must(b, e, "delete", "call-id", id)
			}
		})
	}
}

// BenchmarkLargestRequest is from the payload of a datagram to that of the reply: an offer of a browser with four media and
// thirty flags, of a call that is known, so that no ports are opened.
func BenchmarkLargestRequest(b *testing.B) {
	sdp, err := os.ReadFile("../sdp/testdata/webrtc-four-media/in.sdp")
	if err != nil {
		b.Fatal(err)
	}
	e := loopback(b, func(c *Config) { c.Log, c.DeleteDelay = nil, 0 })
	d := new(ng.Dict)
	for _, en := range thirtyFlags().Entries() {
		if en.Key != "command" && en.Key != "direction" {
			d.Add(en.Key, en.Value)
		}
	}
	d.AddString("command", "offer")
	d.AddString("sdp", string(sdp))
	payload := ng.AppendBencode(nil, ng.DictValue(d))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		v, _, err := ng.ParseBencode(payload)
		if err != nil {
			b.Fatal(err)
		}
		r := e.HandleNG(b.Context(), &ng.Request{Command: "offer", Dict: v.Dict()})
		if r.Error != "" {
			b.Fatal(r.Error)
		}
		out = ng.AppendBencode(out[:0], ng.DictValue(&r.Dict))
	}
}
