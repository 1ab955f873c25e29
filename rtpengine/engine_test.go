package rtpengine

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is an engine on 127.0.0.1 with a second interface "ext" on 127.0.0.2.
func loopback(t testing.TB, change ...func(*Config)) *Engine {
	t.Helper()
	cfg := DefaultConfig()
	cfg.PortMin, cfg.PortMax = 20000, 29999
	cfg.Workers = 1
	for name, addr := range map[string]string{"default": "127.0.0.1", "ext": "127.0.0.2"} {
		a := netip.MustParseAddr(addr)
		in := Interface{Interface: relay.Interface{Name: name, Local: a, Advertised: a, PortMin: cfg.PortMin, PortMax: cfg.PortMax}}
		if name == "default" {
			cfg.Interfaces = append([]Interface{in}, cfg.Interfaces...)
		} else {
			cfg.Interfaces = append(cfg.Interfaces, in)
		}
	}
	cfg.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// testWriter puts log lines into the test's output.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// val turns a Go value into an NG value.
func val(v any) ng.Value {
	switch v := v.(type) {
	case string:
		return ng.String(v)
	case int:
		return ng.Int(int64(v))
	case []string:
		return ng.Strings(v)
	case kv:
		return ng.DictValue(v.dict())
	}
	panic(fmt.Sprintf("%T", v))
}

// kv is a dictionary in short: key, value, key, value.
type kv []any

func (k kv) dict() *ng.Dict {
	d := &ng.Dict{}
	for i := 0; i < len(k); i += 2 {
		d.Add(k[i].(string), val(k[i+1]))
	}
	return d
}

// ask sends one request.
func ask(e *Engine, command string, pairs ...any) ng.Reply {
	d := kv(pairs).dict()
	d.AddString("command", command)
	return e.HandleNG(context.Background(), &ng.Request{Command: command, Dict: d,
		Source: netip.MustParseAddrPort("192.0.2.9:5000"), Received: time.Now()})
}

// must is ask for requests that have to succeed.
func must(t testing.TB, e *Engine, command string, pairs ...any) *ng.Dict {
	t.Helper()
	r := ask(e, command, pairs...)
	if r.Error != "" || r.Result != "" {
		t.Fatalf("%s %v: result %q, error %q", command, pairs, r.Result, r.Error)
	}
	return &r.Dict
}

// mustSDP is must for requests that answer with a body.
func mustSDP(t testing.TB, e *Engine, command string, pairs ...any) *sdp.Session {
	t.Helper()
	d := must(t, e, command, pairs...)
	s, err := sdp.Parse(d.Value("sdp").Str())
	if err != nil {
		t.Fatalf("%s: reply SDP: %v\n%s", command, err, d.Value("sdp").Str())
	}
	return s
}

// body makes an SDP from sections; "$" in them stands for nothing. c is the session's address.
func body(c string, sections ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n", c, c)
	for _, s := range sections {
		for l := range strings.Lines(strings.TrimSpace(s)) {
			b.WriteString(strings.TrimSpace(l) + "\r\n")
		}
	}
	return b.String()
}

// audio is a plain section on a port.
func audio(port int) string {
	return "m=audio " + strconv.Itoa(port) + " RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n"
}

// phone is a UDP socket that plays one side's media.
type phone struct {
	t    testing.TB
	rtp  *net.UDPConn
	rtcp *net.UDPConn
	seq  uint16
	ssrc uint32
}

func newPhone(t testing.TB) *phone {
	t.Helper()
	p := &phone{t: t, ssrc: uint32(time.Now().UnixNano())}
	for range 100 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		port := c.LocalAddr().(*net.UDPAddr).Port
		r, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		if port%2 != 0 || err != nil {
			c.Close()
			if err == nil {
				r.Close()
			}
			continue
		}
		p.rtp, p.rtcp = c, r
		t.Cleanup(func() { c.Close(); r.Close() })
		return p
	}
	t.Fatal("no port pair")
	return nil
}

func (p *phone) port() int { return p.rtp.LocalAddr().(*net.UDPAddr).Port }

// send sends one RTP packet of payload type pt to a section of an SDP it was shown.
func (p *phone) send(m *sdp.Media, pt byte, payload string) {
	p.t.Helper()
	p.seq++
	pkt := []byte{0x80, pt, byte(p.seq >> 8), byte(p.seq), 0, 0, 0, byte(p.seq * 160 >> 8),
		byte(p.ssrc >> 24), byte(p.ssrc >> 16), byte(p.ssrc >> 8), byte(p.ssrc)}
	pkt = append(pkt, payload...)
	if _, err := p.rtp.WriteToUDPAddrPort(pkt, m.RTPAddr()); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the next RTP packet's payload type and payload; ok is false when none comes.
func (p *phone) wait(d time.Duration) (pt byte, payload string, ok bool) {
	p.t.Helper()
	b := make([]byte, 2000)
	p.rtp.SetReadDeadline(time.Now().Add(d))
	n, _, err := p.rtp.ReadFromUDPAddrPort(b)
	if err != nil || n < 12 {
		return 0, "", false
	}
	return b[1] & 0x7f, string(b[12:n]), true
}

// talk sends from one phone and expects it at the other.
func talk(t testing.TB, from *phone, to *sdp.Media, at *phone, word string) {
	t.Helper()
	from.send(to, 0, word)
	for {
		_, got, ok := at.wait(2 * time.Second)
		if !ok {
			t.Fatalf("%q did not arrive", word)
		}
		if got == word {
			return
		}
	}
}

func TestPlainCall(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	toB := mustSDP(t, e, "offer", "call-id", "c1", "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port())))
	toA := mustSDP(t, e, "answer", "call-id", "c1", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())))
	talk(t, a, toA.Media[0], b, "hello")
	talk(t, b, toB.Media[0], a, "hello yourself")

	// RTCP has ports of its own.
	report := []byte{0x80, 201, 0, 1, 1, 2, 3, 4}
	if _, err := a.rtcp.WriteToUDPAddrPort(report, toA.Media[0].RTCPAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	b.rtcp.SetReadDeadline(time.Now().Add(2 * time.Second))
	if n, err := b.rtcp.Read(buf); err != nil || string(buf[:n]) != string(report) {
		t.Errorf("RTCP: %x, %v; want %x", buf[:n], err, report)
	}

	q := must(t, e, "query", "call-id", "c1")
	if n, _ := q.Value("totals").Dict().Value("RTP").Dict().Value("packets").Int(); n != 2 {
		t.Errorf("totals.RTP.packets = %d, want 2", n)
	}
	d := must(t, e, "delete", "call-id", "c1", "delete-delay", 0)
	if d.Value("tags").Dict() == nil {
		t.Error("delete without statistics")
	}
	if r := ask(e, "query", "call-id", "c1"); r.Error != "Unknown call-id" {
		t.Errorf("query after delete: %+v", r)
	}
}

func named(name string) relay.Interface { return relay.Interface{Name: name} }

func testInterface(name, base, addr string) Interface {
	a := netip.MustParseAddr(addr)
	return Interface{Interface: relay.Interface{Name: name, Local: a, Advertised: a}, Base: base}
}

// relayEnds are one direction of a call: from sends to media, and at should hear it.
type relayEnds struct {
	media    *sdp.Media
	from, at *phone
}

func (r relayEnds) talk(t testing.TB, word string) {
	t.Helper()
	talk(t, r.from, r.media, r.at, word)
}

// talkRTCP sends a report and waits for it: what was sent before on the same path has arrived by then, or never will.
func (r relayEnds) talkRTCP(t testing.TB) {
	t.Helper()
	report := []byte{0x80, 201, 0, 1, 1, 2, 3, 4}
	if _, err := r.from.rtcp.WriteToUDPAddrPort(report, r.media.RTCPAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	r.at.rtcp.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := r.at.rtcp.Read(buf); err != nil {
		t.Fatalf("RTCP did not arrive: %v", err)
	}
}

func parse(t testing.TB, d *ng.Dict) *sdp.Session {
	t.Helper()
	s, err := sdp.Parse(d.Value("sdp").Str())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
