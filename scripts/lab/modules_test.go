package lab

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	opensipscfg "rtpsidecar/opensips-cfg"
)

var (
	//go:embed modules-kamailio.cfg.tmpl
	kamailioModules string
	//go:embed modules-opensips.cfg.tmpl
	opensipsModules string
)

// TestModules has the rtpengine modules of the proxies call every function that they export, each in a call with media,
// and judges by the function's return code and by what then passes. OpenSIPS is not in Debian: OPENSIPS_34, OPENSIPS_36 and
// OPENSIPS_40 name binaries of it, OPENSIPS_MODULES_34 and so on their modules, if these are elsewhere.
func TestModules(t *testing.T) {
	t.Run("kamailio", func(t *testing.T) {
		need(t, "kamailio")
		moduleRun(t, func(ctx context.Context, dir string, proxy, ng int) []string {
			config := renderTo(t, dir, kamailioModules, map[string]any{"Proxy": proxy, "NG": ng})
			return []string{"kamailio", "-DD", "-E", "-f", config, "-Y", dir, "-P", filepath.Join(dir, "pid"), "-m", "32", "-M", "4"}
		}, "silence", "query", "info")
	})
	for _, version := range opensipscfg.Versions {
		t.Run("opensips "+version, func(t *testing.T) {
			n := strings.ReplaceAll(version, ".", "")
			path := os.Getenv("OPENSIPS_" + n)
			if path == "" {
				t.Skipf("NOT TESTED HERE: OPENSIPS_%s names no OpenSIPS %s", n, version)
			}
			modules := os.Getenv("OPENSIPS_MODULES_" + n)
			for _, dir := range opensipscfg.ModulesBeside(path) {
				if _, err := os.Stat(filepath.Join(dir, "rtpengine.so")); err == nil && modules == "" {
					modules = dir
				}
			}
			features := []string{"rtpquery", "recording blindly"} // its functions succeed whatever the reply is
			if version != "3.4" {
				features = append(features, "pause recording")
			}
			moduleRun(t, func(ctx context.Context, dir string, proxy, ng int) []string {
				config := renderTo(t, dir, opensipsModules, map[string]any{"Proxy": proxy, "NG": ng, "Version": n, "Modules": modules})
				return []string{path, "-F", "-f", config, "-m", "64", "-M", "8", "-P", filepath.Join(dir, "pid")}
			}, features...)
		})
	}
}

func renderTo(t *testing.T, dir, text string, values map[string]any) string {
	t.Helper()
	var b bytes.Buffer
	if err := template.Must(template.New("").Parse(text)).Execute(&b, values); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "proxy.cfg")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// moduleRun takes a proxy, whose command line argv makes, through all functions. features are those that not all have.
func moduleRun(t *testing.T, argv func(ctx context.Context, dir string, proxy, ng int) []string, features ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	relay := startDaemon(ctx, t)
	dir, port := t.TempDir(), freePort(t)
	args := argv(ctx, dir, port, int(relay.Listen.Port()))
	cmd := start(ctx, t, dir, args[0], args[1:]...)
	t.Cleanup(func() { _ = cmd.Cancel(); _ = cmd.Wait() })
	has := func(f string) bool { return slices.Contains(features, f) }

	c := newModuleCall(t, port)
	c.awaitProxy(ctx)
	c.invite("offer", "replace-origin ICE=remove trust-address", "answer", "replace-origin ICE=remove trust-address")
	if got := calls(t, relay); len(got) != 1 || got[0] != c.id {
		t.Fatalf("the relay lists %q, want %q", got, c.id)
	}
	c.passes("after the answer", "voice", "voice")
	const fromA = "from-tag=caller directional"
	for _, step := range []struct {
		do, flags, feature string
		refused            bool
		toA, toB           string // what passes afterwards; empty: not looked at
	}{
		{do: "use set"},
		{do: "block media", flags: fromA, toA: "voice", toB: "nothing"},
		{do: "unblock media", flags: fromA, toA: "voice", toB: "voice"},
		{do: "block media", flags: "all", toA: "nothing", toB: "nothing"},
		{do: "unblock media", flags: "all", toA: "voice", toB: "voice"},
		{do: "block DTMF", flags: fromA, toA: "events", toB: "no events"},
		{do: "unblock DTMF", flags: fromA, toA: "events", toB: "events"},
		{do: "silence media", flags: fromA, feature: "silence", toA: "voice", toB: "silence"},
		{do: "unsilence media", flags: fromA, feature: "silence", toA: "voice", toB: "voice"},
		{do: "start forwarding", flags: fromA, toA: "voice", toB: "voice"},
		{do: "stop forwarding", flags: fromA},
		{do: "query", feature: "query"},
		{do: "play media", flags: "file=/nothing.wav " + fromA, refused: true},
		{do: "stop media", flags: fromA, refused: true},
		{do: "play DTMF", flags: "code=5 " + fromA, refused: true},
		{do: "start recording", refused: true},
		{do: "pause recording", feature: "pause recording", refused: true},
		{do: "stop recording", refused: true},
	} {
		if step.feature != "" && !has(step.feature) {
			continue
		}
		reply := c.request(step.do, step.flags)
		r, err := strconv.Atoi(reply.header("X-Result"))
		blind := strings.HasSuffix(step.do, "recording") && has("recording blindly")
		if err != nil || (r > 0) == step.refused && !blind {
			t.Errorf("%s %s: return code %q, refused should be %v", step.do, step.flags, reply.header("X-Result"), step.refused)
		}
		if step.refused {
			c.logged(ctx, filepath.Join(dir, filepath.Base(args[0])+".out"), "replied with error: Command not supported: "+step.do)
		}
		if step.toB != "" {
			c.passes(step.do+" "+step.flags, step.toA, step.toB)
		}
	}
	if has("info") { // a fragment of trickle ICE
		c.send("INFO", "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"+
			"a=candidate:1 1 UDP 2130706431 127.0.0.1 40000 typ host\r\n", "X-Do: info")
		if r := c.must(c.caller).header("X-Result"); r != "1" {
			t.Errorf("info: return code %q", r)
		}
	}
	stat := c.request("", "")
	if s := stat.header("X-Stat"); !strings.Contains(s, "RTP:") || strings.Contains(s, "RTP: 0 bytes") {
		t.Errorf("$rtpstat is %q after media", s)
	}
	if s := stat.header("X-Query"); has("rtpquery") && (!strings.Contains(s, `"caller"`) || !strings.Contains(s, `"totals"`)) {
		t.Errorf("$rtpquery is %q", s)
	}
	c.invite("manage", "replace-origin ICE=remove trust-address", "manage", "replace-origin ICE=remove trust-address")
	c.passes("after a re-INVITE with manage", "voice", "voice")
	if r := c.request("delete", "delete-delay=0").header("X-Result"); r != "1" {
		t.Errorf("delete: return code %q", r)
	}
	if got := calls(t, relay); len(got) != 0 {
		t.Errorf("the relay lists %q after delete", got)
	}

	d := newModuleCall(t, port)
	d.invite("manage", "ICE=remove trust-address", "manage", "ICE=remove trust-address")
	d.passes("with manage alone", "voice", "voice")
	d.bye("manage")
	if got := calls(t, relay); len(got) != 0 {
		t.Errorf("the relay lists %q after manage in a BYE", got)
	}
}

// moduleCall is one SIP call between two user agents of the test, through a proxy that changes what passes.
type moduleCall struct {
	t              *testing.T
	id             string
	cseq           int
	proxy          netip.AddrPort
	caller, callee *net.UDPConn   // signalling
	a, b           *tap           // media
	forA, forB     netip.AddrPort // where each was told to send
}

var moduleCalls int

func newModuleCall(t *testing.T, proxy int) *moduleCall {
	moduleCalls++
	return &moduleCall{t: t, id: fmt.Sprintf("module-call-%d-%d", os.Getpid(), moduleCalls),
		proxy:  netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(proxy)),
		caller: listen(t), callee: listen(t), a: newTap(t), b: newTap(t)}
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func portOf(conn *net.UDPConn) int { return conn.LocalAddr().(*net.UDPAddr).Port }

// message is a SIP message as it came.
type message string

func (m message) header(name string) string {
	for line := range strings.SplitSeq(string(m), "\r\n") {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
		if line == "" {
			break
		}
	}
	return ""
}

func (m message) body() string {
	_, b, _ := strings.Cut(string(m), "\r\n\r\n")
	return b
}

// send writes a request of the caller. lines are more headers.
func (c *moduleCall) send(method, body string, lines ...string) {
	c.t.Helper()
	c.cseq++
	at := fmt.Sprintf("127.0.0.1:%d", portOf(c.caller))
	head := []string{
		method + " sip:callee@127.0.0.1 SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bK-%s-%d", at, c.id, c.cseq),
		"Max-Forwards: 70", "From: <sip:caller@127.0.0.1>;tag=caller", "To: <sip:callee@127.0.0.1>",
		"Call-ID: " + c.id, fmt.Sprintf("CSeq: %d %s", c.cseq, method), "Contact: <sip:caller@" + at + ">",
	}
	if c.cseq > 1 {
		head[4] += ";tag=callee"
	}
	c.write(c.caller, append(head, lines...), body)
}

func (c *moduleCall) write(conn *net.UDPConn, head []string, body string) {
	c.t.Helper()
	switch {
	case strings.HasPrefix(body, "v=0"):
		head = append(head, "Content-Type: application/sdp")
	case body != "":
		head = append(head, "Content-Type: application/trickle-ice-sdpfrag")
	}
	head = append(head, fmt.Sprintf("Content-Length: %d", len(body)), "", body)
	if _, err := conn.WriteToUDPAddrPort([]byte(strings.Join(head, "\r\n")), c.proxy); err != nil {
		c.t.Fatal(err)
	}
}

// receive is the next message to conn.
func (c *moduleCall) receive(conn *net.UDPConn, wait time.Duration) (message, error) {
	buf := make([]byte, 65536)
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	n, _, err := conn.ReadFromUDPAddrPort(buf)
	return message(buf[:n]), err
}

func (c *moduleCall) must(conn *net.UDPConn) message {
	c.t.Helper()
	m, err := c.receive(conn, 20*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// awaitProxy returns once the proxy answers.
func (c *moduleCall) awaitProxy(ctx context.Context) {
	c.t.Helper()
	for ctx.Err() == nil {
		c.send("OPTIONS", "")
		if _, err := c.receive(c.caller, 500*time.Millisecond); err == nil {
			break
		}
	}
	for { // late answers to the first attempts
		if _, err := c.receive(c.caller, 200*time.Millisecond); err != nil {
			c.cseq = 0
			return
		}
	}
}

// request has the proxy do one thing in the call and is its reply.
func (c *moduleCall) request(do, flags string) message {
	c.t.Helper()
	c.send("INFO", "", "X-Do: "+do, "X-Flags: "+flags)
	return c.must(c.caller)
}

// invite makes or renews the call: the INVITE has the proxy do one thing, the 200 another.
func (c *moduleCall) invite(do, flags, answerDo, answerFlags string) {
	c.t.Helper()
	c.send("INVITE", c.a.body(), "X-Do: "+do, "X-Flags: "+flags, fmt.Sprintf("X-To-Port: %d", portOf(c.callee)))
	in := c.must(c.callee)
	if !strings.HasPrefix(string(in), "INVITE ") {
		c.t.Fatalf("the callee got\n%s", in)
	}
	c.forB = c.relayed(in.body())
	head := []string{"SIP/2.0 200 OK"}
	for line := range strings.SplitSeq(string(in), "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "Call-ID", "CSeq":
			head = append(head, line)
		case "To":
			head = append(head, strings.TrimSuffix(line, ";tag=callee")+";tag=callee")
		}
		if line == "" {
			break
		}
	}
	c.write(c.callee, append(head, fmt.Sprintf("Contact: <sip:callee@127.0.0.1:%d>", portOf(c.callee)), "X-Do: "+answerDo, "X-Flags: "+answerFlags), c.b.body())
	c.forA = c.relayed(c.must(c.caller).body())
}

// logged waits for a line of the proxy's log.
func (c *moduleCall) logged(ctx context.Context, file, text string) {
	c.t.Helper()
	if _, err := AwaitLines(ctx, file, 1, func(l string) (string, bool) { return l, strings.Contains(l, text) }); err != nil {
		c.t.Errorf("the proxy's log has no %q: %v", text, err)
	}
}

// relayed is where a body sends media: the relay's ports, not the other user agent's.
func (c *moduleCall) relayed(body string) netip.AddrPort {
	c.t.Helper()
	at := mediaOf(c.t, body)
	if at.Port() < 28100 || at.Port() > 28999 {
		c.t.Fatalf("media goes to %v, which is no port of the relay:\n%s", at, body)
	}
	return at
}

// bye ends the call in the proxy.
func (c *moduleCall) bye(do string) {
	c.t.Helper()
	c.send("BYE", "", "X-Do: "+do, "X-Flags: delete-delay=0")
	c.must(c.caller)
}

// passes sends voice and events both ways and compares what arrives with what is wanted: "voice" and "events" for all of
// both, "no events" for voice alone, "silence" for voice turned into zeros of the law, "nothing".
func (c *moduleCall) passes(when, toA, toB string) {
	c.t.Helper()
	for _, dir := range []struct {
		name     string
		from, to *tap
		at       netip.AddrPort
		want     string
	}{{"to the callee", c.a, c.b, c.forA, toB}, {"to the caller", c.b, c.a, c.forB, toA}} {
		got := dir.to.after(c.t, func() { dir.from.send(c.t, dir.at) }, dir.want != "nothing")
		want := map[string]heard{
			"voice": {voice: tapVoice, events: tapEvents}, "events": {voice: tapVoice, events: tapEvents},
			"no events": {voice: tapVoice}, "silence": {silence: tapVoice, events: got.events}, "nothing": {},
		}[dir.want]
		if got != want {
			c.t.Errorf("%s, %s: got %+v, want %s: %+v", when, dir.name, got, dir.want, want)
		}
	}
}

// What a tap sends at a time.
const (
	tapVoice  = 20
	tapEvents = 3
)

// heard counts what came.
type heard struct{ voice, silence, events, other int }

// tap is an end of a call's media that tells voice from silence and events (RFC 4733, payload type 101).
type tap struct {
	conn *net.UDPConn
	seq  uint16
}

func newTap(t *testing.T) *tap {
	for range 50 {
		conn := listen(t)
		if portOf(conn)%2 == 0 {
			return &tap{conn: conn}
		}
	}
	t.Fatal("no even port in 50 tries")
	return nil
}

func (x *tap) body() string {
	return strings.Join([]string{
		"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP 0 101", portOf(x.conn)), "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000",
		"a=fmtp:101 0-15", "a=ptime:20", "a=sendrecv", "",
	}, "\r\n")
}

// send sends voice and one event to addr, a little slower than the relay could ever mind.
func (x *tap) send(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	packet := func(pt byte, timestamp uint32, payload []byte) {
		x.seq++
		b := make([]byte, headerLen, headerLen+len(payload))
		b[0], b[1] = 0x80, pt
		binary.BigEndian.PutUint16(b[2:], x.seq)
		binary.BigEndian.PutUint32(b[4:], timestamp)
		binary.BigEndian.PutUint32(b[8:], 0x2cd00000|uint32(portOf(x.conn)))
		if _, err := x.conn.WriteToUDPAddrPort(append(b, payload...), addr); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	for range tapVoice {
		packet(0, uint32(x.seq)*payloadLen, bytes.Repeat([]byte{0x2a}, payloadLen))
	}
	start := uint32(x.seq) * payloadLen
	for i := range tapEvents {
		end := byte(0)
		if i == tapEvents-1 {
			end = 0x80
		}
		packet(101, start, []byte{5, end | 10, byte((i + 1) * payloadLen >> 8), byte((i + 1) * payloadLen & 0xff)})
	}
}

// after runs do and counts what comes because of it: until all is there, or nothing has come for a while, a long one if
// something is expected.
func (x *tap) after(t *testing.T, do func(), expected bool) (h heard) {
	t.Helper()
	do()
	quiet := 300 * time.Millisecond
	if expected {
		quiet = 3 * time.Second
	}
	buf := make([]byte, 2048)
	for h.voice+h.silence+h.other < tapVoice || h.events < tapEvents {
		if h.voice+h.silence == tapVoice {
			quiet = 300 * time.Millisecond // events may be wanted or not
		}
		if err := x.conn.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			t.Fatal(err)
		}
		n, err := x.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			continue // ICMP errors
		}
		switch b := buf[:n]; {
		case n > headerLen && b[1]&0x7f == 101:
			h.events++
		case n == headerLen+payloadLen && b[headerLen] == 0x2a:
			h.voice++
		case n == headerLen+payloadLen && b[headerLen] == 0xff:
			h.silence++
		default:
			h.other++
		}
	}
	return h
}
