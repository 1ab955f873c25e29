package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"rtpsidecar/cmd/sidecar-lab/media"
	opensipscfg "rtpsidecar/opensips-cfg"
)

// proxy is a running SIP proxy with the relay behind it.
type proxy struct {
	addr, tlsAddr string // the first for UDP and TCP, and like the second for WS and WSS where these have none of their own
	ws, wss       string
	phone         string // where sip:phone@lab.example is
	ca            string
}

// startProxy runs Debian's Kamailio until the test ends.
func startProxy(t *testing.T, target string) proxy {
	t.Helper()
	if _, err := exec.LookPath("kamailio"); err != nil {
		t.Skip("SKIPPED: kamailio is not installed")
	}
	dir := t.TempDir()
	p := proxy{addr: freeAddr("tcp"), tlsAddr: freeAddr("tcp"), phone: freeAddr("udp"), ca: filepath.Join(dir, "cert.pem")}
	key := filepath.Join(dir, "key.pem")
	selfSigned(t, p.ca, key)
	port := func(addr string) string { _, port, _ := net.SplitHostPort(addr); return port }
	var b bytes.Buffer
	text, err := os.ReadFile("testdata/kamailio.cfg.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	if err := template.Must(template.New("").Parse(string(text))).Execute(&b, map[string]string{
		"Port": port(p.addr), "TLSPort": port(p.tlsAddr), "Phone": port(p.phone), "NG": target, "Cert": p.ca, "Key": key,
	}); err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(cfg, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	startProgram(t, dir, "kamailio", "-DD", "-E", "-f", cfg, "-Y", dir, "-P", filepath.Join(dir, "pid"), "-m", "64", "-M", "8")
	for range 200 { // until it listens
		if c, err := net.Dial("tcp", p.tlsAddr); err == nil {
			_ = c.Close()
			return p
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("kamailio does not listen")
	return p
}

// openSIPS is the program that OPENSIPS_36 names, or the one in PATH; empty: there is none.
func openSIPS() string {
	path, _ := exec.LookPath("opensips") // no error: there need not be one
	return cmp.Or(os.Getenv("OPENSIPS_36"), path)
}

// startOpenSIPS runs an OpenSIPS, configured by our own templates, until the test ends.
func startOpenSIPS(t *testing.T, target string, users []string) proxy {
	t.Helper()
	dir := t.TempDir()
	p := proxy{addr: freeAddr("tcp"), tlsAddr: freeAddr("tcp"), ws: freeAddr("tcp"), wss: freeAddr("tcp"), ca: filepath.Join(dir, "cert.pem")}
	key := filepath.Join(dir, "key.pem")
	selfSigned(t, p.ca, key)
	port := func(addr string) int { return int(netip.MustParseAddrPort(addr).Port()) }
	v := opensipscfg.Defaults()
	for _, folder := range opensipscfg.ModulesBeside(openSIPS()) {
		if _, err := os.Stat(filepath.Join(folder, "tm.so")); err == nil {
			v.ModulePath = folder
		}
	}
	v.Domains = []opensipscfg.Domain{{Name: "lab.example", Registration: "digest"}}
	for _, name := range users {
		v.Users = append(v.Users, opensipscfg.User{Name: name, Domain: "lab.example", Password: "secret"})
	}
	v.Listen.IPv4.Address, v.Listen.IPv6.Address = "127.0.0.1", ""
	v.Listen.UDP.Port, v.Listen.TCP.Port = port(p.addr), port(p.addr)
	v.Listen.TLS.On, v.Listen.WS.On, v.Listen.WSS.On = true, true, true
	v.Listen.TLS.Port, v.Listen.WS.Port, v.Listen.WSS.Port = port(p.tlsAddr), port(p.ws), port(p.wss)
	v.TLS = opensipscfg.TLS{Certificate: p.ca, Key: key, CA: p.ca}
	v.Log = opensipscfg.Log{Level: 2, Stderr: true}
	v.Media.Sidecars = []opensipscfg.Sidecar{{Address: target, Weight: 1}}
	if _, err := opensipscfg.RenderTo(dir, v); err != nil {
		t.Fatal(err)
	}
	startProgram(t, dir, openSIPS(), "-F", "-f", filepath.Join(dir, "opensips.cfg"), "-m", "64", "-M", "8", "-P", filepath.Join(dir, "pid"))
	for range 200 { // until it listens
		if c, err := net.Dial("tcp", p.wss); err == nil {
			_ = c.Close()
			return p
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("opensips does not listen")
	return p
}

// startProgram runs a program and its children until the test ends, and shows its output if the test fails.
func startProgram(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.Env = append(os.Environ(), "TERM=dumb")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = 3 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			lines := strings.Split(out.String(), "\n")
			t.Logf("%s:\n%s", name, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
}

func selfSigned(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab.example"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: b}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// url is the proxy over a transport.
func (p proxy) url(transport string) string {
	switch transport {
	case "ws":
		return "ws://" + cmp.Or(p.ws, p.addr) + "/"
	case "wss":
		return "wss://" + cmp.Or(p.wss, p.tlsAddr) + "/"
	case "tls":
		return "tls:" + p.tlsAddr
	}
	return transport + ":" + p.addr
}

// TestCall makes calls between two runs of the program through Kamailio and, where there is one, OpenSIPS, over each
// transport and with each kind of media.
func TestCall(t *testing.T) {
	l := newLab(t)
	t.Run("kamailio", func(t *testing.T) { testCalls(t, l, startProxy(t, l.target), "sdes") })
	if openSIPS() == "" {
		t.Log("no OpenSIPS here: only Kamailio")
		return
	}
	t.Run("opensips", func(t *testing.T) {
		// The templates' phones speak plain RTP, whatever their transport.
		testCalls(t, l, startOpenSIPS(t, l.target, []string{"plain-a", "plain-b", "webrtc-a", "webrtc-b"}), "plain")
	})
}

// testCalls makes the calls; secure is the media of phones that would encrypt it.
func testCalls(t *testing.T, l *lab, p proxy, secure string) {
	dir := t.TempDir()
	l.env["SIDECAR_LAB_PASSWORD"] = "secret"
	wav := filepath.Join(dir, "play.wav")
	pcm := make([]int16, 8000)
	(&media.Tone{Hz: 1000}).Frame(pcm)
	var b bytes.Buffer
	if err := media.WriteWAV(&b, pcm); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wav, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, callerVia, callerMedia, calleeVia, calleeMedia string }{
		{"udp-plain-to-tcp-plain", "udp", "plain", "tcp", "plain"},
		{"ws-webrtc-to-udp-plain", "ws", "webrtc", "udp", "plain"},
		{"tcp-" + secure + "-to-wss-webrtc", "tcp", secure, "wss", "webrtc"},
		{"tls-plain-to-udp-" + secure, "tls", "plain", "udp", secure},
		{"wss-webrtc-to-ws-webrtc", "wss", "webrtc", "ws", "webrtc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			caller, callee := tt.callerMedia+"-a", tt.calleeMedia+"-b"
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			var answered, answerErr string
			var answerStatus int
			wg.Go(func() {
				answered, answerErr, answerStatus = l.runContext(ctx, "call", "--answer", "--proxy", p.url(tt.calleeVia), "--ca", p.ca, "--as", callee+"@lab.example",
					"--media", tt.calleeMedia, "--play", wav, "--duration", "20s", "--wait", "15s", "--json")
			})
			recording := filepath.Join(dir, tt.name+".wav")
			var out, errOut string
			var status int
			for range 20 { // until the callee has registered
				if out, errOut, status = l.runContext(ctx, "call", "--proxy", p.url(tt.callerVia), "--ca", p.ca, "--as", caller+"@lab.example", "--media", tt.callerMedia,
					"--tone", "600", "--duration", "1500ms", "--record", recording, "--json", callee+"@lab.example"); !strings.Contains(errOut, "404") && !strings.Contains(errOut, "480") {
					break
				}
				time.Sleep(200 * time.Millisecond)
			}
			wg.Wait()
			var made, taken callResult
			if err := json.Unmarshal([]byte(out), &made); err != nil || status != 0 {
				t.Fatalf("caller: status %d, %v\n%s%s", status, err, out, errOut)
			}
			if err := json.Unmarshal([]byte(answered), &taken); err != nil || answerStatus != 0 {
				t.Fatalf("callee: status %d, %v\n%s%s", answerStatus, err, answered, answerErr)
			}
			if made.ToneHz < 990 || made.ToneHz > 1010 || taken.ToneHz < 590 || taken.ToneHz > 610 {
				t.Errorf("heard %v and %v Hz\n%s%s", made.ToneHz, taken.ToneHz, out, answered)
			}
			if made.EndedBy != "us" || taken.EndedBy != "peer" || made.SetupMS <= 0 || made.MOS < 1 || made.Pair == "" || made.CallID != taken.CallID {
				t.Errorf("%+v\n%+v", made, taken)
			}
			f, err := os.Open(recording)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			if got, err := media.ReadWAV(f); err != nil || len(got) < 4000 || media.Strength(got[len(got)-2000:], 1000) < 0.8 {
				t.Errorf("recording: %v, %d samples", err, len(got))
			}
		})
	}
}

// TestCallSipp calls a user agent of another make: sipp, which sends back what it gets.
func TestCallSipp(t *testing.T) {
	l := newLab(t)
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Skip("SKIPPED: sipp is not installed")
	}
	p := startProxy(t, l.target)
	_, port, _ := net.SplitHostPort(p.phone)
	_, mediaPort, _ := net.SplitHostPort(freeAddr("udp"))
	scenario, err := filepath.Abs("testdata/uas.xml")
	if err != nil {
		t.Fatal(err)
	}
	startProgram(t, t.TempDir(), "sipp", "-sf", scenario, "-i", "127.0.0.1", "-p", port, "-mi", "127.0.0.1", "-mp", mediaPort, "-rtp_echo", "-nostdin", "-m", "1")
	out, errOut, status := l.run("call", "--proxy", p.url("udp"), "--as", "alice@lab.example", "--password", "secret", "--duration", "1500ms", "--tone", "700", "--trace", "phone@lab.example")
	if status != 0 {
		t.Fatalf("status %d\n%s%s", status, out, errOut)
	}
	wants(t, out, "a tone of 700 Hz", "MOS", "PCMU", "ended by us", "ringing after")
	wants(t, errOut, "> INVITE sip:phone@lab.example", "< SIP/2.0 200", "> BYE ")
}

func TestCallErrors(t *testing.T) {
	l := newLab(t)
	p := startProxy(t, l.target)
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no address", []string{"--proxy", "udp:127.0.0.1:1", "--as", "a@b"}, 2, "one address"},
		{"no proxy", []string{"--as", "a@b", "c@d"}, 2, "needs --proxy"},
		{"kind", []string{"--proxy", "udp:127.0.0.1:1", "--as", "a@b", "--media", "smoke", "c@d"}, 2, "no kind of media"},
		{"wrong password", []string{"--proxy", p.url("tcp"), "--as", "alice@lab.example", "--password", "wrong", "bob@lab.example"}, 1, "register: 401"},
		{"nobody there", []string{"--proxy", p.url("ws"), "--as", "alice@lab.example", "--password", "secret", "nobody@lab.example"}, 1, "404 Not Found"},
		{"certificate", []string{"--proxy", p.url("tls"), "--as", "alice@lab.example", "c@d"}, 1, "certificate"},
		{"certificate of WSS", []string{"--proxy", p.url("wss"), "--as", "alice@lab.example", "c@d"}, 1, "certificate"},
		{"nobody calls", []string{"--answer", "--wait", "50ms", "--insecure", "--proxy", p.url("tls"), "--as", "alice@lab.example", "--password", "secret"}, 1, "nobody called in 50ms"},
		{"scheme", []string{"--proxy", "sctp:127.0.0.1", "--as", "a@b", "c@d"}, 1, "a proxy is named by"},
		{"no sound file", []string{"--proxy", p.url("udp"), "--as", "a@b", "--play", "main.go", "c@d"}, 1, "not a WAV file"},
	} {
		out, errOut, status := l.run(append([]string{"call"}, tt.args...)...)
		if status != tt.status || !strings.Contains(errOut+out, tt.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s%s", tt.name, status, tt.status, tt.want, out, errOut)
		}
	}
}
