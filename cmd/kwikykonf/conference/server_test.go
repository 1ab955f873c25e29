package conference

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/urfave/cli/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

func TestValidate(t *testing.T) {
	good := Config{Listen: ":8443", Domain: "conf.test", SIP: "wss://sip.test/ws", Log: discard}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // in the error; empty: none
	}{
		{"good", func(*Config) {}, ""},
		{"upstream", func(c *Config) { c.SIP, c.Upstream = "", "ws://127.0.0.1:5066" }, ""},
		{"plain with ws", func(c *Config) { c.SIP, c.Plain = "ws://sip.test", true }, ""},
		{"no port", func(c *Config) { c.Listen = "8443" }, "--listen"},
		{"no domain", func(c *Config) { c.Domain = "" }, "--domain is needed"},
		{"domain with a path", func(c *Config) { c.Domain = "a/b" }, "no domain"},
		{"no socket", func(c *Config) { c.SIP = "" }, "--sip-ws or --sip-upstream"},
		{"both sockets", func(c *Config) { c.Upstream = "ws://127.0.0.1:1" }, "exclude"},
		{"http for ws", func(c *Config) { c.SIP = "https://sip.test" }, "no ws:// or wss:// URL"},
		{"no host", func(c *Config) { c.SIP = "wss:///ws" }, "no ws:// or wss:// URL"},
		{"mixed content", func(c *Config) { c.SIP = "ws://sip.test" }, "may not open a ws:// socket"},
		{"certificate alone", func(c *Config) { c.CertFile = "a" }, "together"},
		{"plain certificate", func(c *Config) { c.CertFile, c.KeyFile, c.Plain = "a", "b", true }, "exclude"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			switch err := cfg.Validate(); {
			case c.want == "" && err != nil:
				t.Errorf("got %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler(t *testing.T, cfg Config) http.Handler {
	t.Helper()
	cfg.Log = discard
	h, err := Handler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPage(t *testing.T) {
	h := handler(t, Config{Domain: "conf.test", SIP: "wss://sip.test:7443/ws"})
	for path, kind := range map[string]string{
		"/":             "text/html",
		"/app.js":       "text/javascript",
		"/style.css":    "text/css",
		"/icon.svg":     "image/svg+xml",
		"/licenses.txt": "text/plain",
		"/config.json":  "application/json",
	} {
		w := get(t, h, path)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Body.Len() == 0 {
			t.Errorf("%s: status %d, type %q, %d bytes; want 200, %s", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len(), kind)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self' wss://sip.test:7443;", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q without %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
	for _, path := range []string{"/nothing", "/index.html/x", "/../go.mod", "/sip"} {
		if w := get(t, h, path); w.Code == http.StatusOK {
			t.Errorf("%s: status 200", path)
		}
	}
	tag := get(t, h, "/app.js").Header().Get("ETag")
	if w := get(t, h, "/app.js", "If-None-Match", tag); w.Code != http.StatusNotModified {
		t.Errorf("asked again with %q: status %d, want 304", tag, w.Code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", w.Code)
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want map[string]string
	}{
		{Config{Domain: "conf.test", SIP: "wss://sip.test/ws"}, map[string]string{"sip": "wss://sip.test/ws", "domain": "conf.test"}},
		{Config{Domain: "conf.test", Upstream: "ws://127.0.0.1:5066"}, map[string]string{"sip": "/sip", "domain": "conf.test"}},
	} {
		var got map[string]string
		if err := json.Unmarshal(get(t, handler(t, c.cfg), "/config.json").Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for k, want := range c.want {
			if got[k] != want {
				t.Errorf("%s is %q, want %q", k, got[k], want)
			}
		}
	}
}

// echo is a SIP proxy that says what it hears.
func echo(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"sip"}, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// start runs Serve until stop is called, which returns its error.
func start(t *testing.T, cfg Config) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended, address := make(chan error, 1), make(chan string, 1)
	go func() { ended <- Serve(ctx, cfg, func(url string) { address <- url }) }()
	select {
	case url = <-address:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	return url, func() error {
		cancel()
		return <-ended
	}
}

// TestServe passes a WebSocket on over TLS and ends it with the server.
func TestServe(t *testing.T) {
	url, stop := start(t, Config{Listen: "127.0.0.1:0", Domain: "conf.test", Upstream: echo(t), Log: discard})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	options := &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"sip"}, HTTPHeader: http.Header{"Origin": {strings.TrimSuffix(url, "/")}}}
	c, _, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1)+"sip", options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "sip" {
		t.Errorf("subprotocol %q, want sip", c.Subprotocol())
	}
	if err := c.Write(t.Context(), websocket.MessageText, []byte("OPTIONS")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != "OPTIONS" {
		t.Errorf("got %q, %v", got, err)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v to end", d)
	}
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the WebSocket outlived the server")
	}
}

func TestPassOnRefuses(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upstream := "ws://" + dead.Addr().String()
	dead.Close()
	h := handler(t, Config{Domain: "conf.test", Upstream: upstream})
	for _, c := range []struct {
		name   string
		header []string
		want   int
	}{
		{"no WebSocket", nil, http.StatusUpgradeRequired},
		{"another page", []string{"Upgrade", "websocket", "Origin", "https://elsewhere.test"}, http.StatusForbidden},
		{"no page", []string{"Upgrade", "websocket"}, http.StatusForbidden},
		{"proxy is away", []string{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://example.com"}, http.StatusBadGateway},
	} {
		if w := get(t, h, "https://example.com/sip", c.header...); w.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.want)
		}
	}
}

func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	cert, err := selfSigned("conf.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listen: "127.0.0.1:0", Domain: "conf.test", SIP: "wss://sip.test", Log: discard,
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{
		cfg.CertFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, cfg.KeyFile: {Type: "EC PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url, stop := start(t, cfg)
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "conf.test"}}}
	defer client.CloseIdleConnections()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	r.Body.Close()
	if r.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security with a certificate of files")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	cfg.KeyFile = cfg.CertFile
	if err := Serve(t.Context(), cfg, func(string) {}); err == nil || !strings.Contains(err.Error(), "--cert and --key") {
		t.Errorf("wrong key: %v", err)
	}
}

func TestPageURL(t *testing.T) {
	for _, c := range []struct{ scheme, addr, want string }{
		{"https", "[::]:8443", "https://conf.test:8443/"},
		{"https", "0.0.0.0:443", "https://conf.test/"},
		{"http", "127.0.0.1:80", "http://127.0.0.1/"},
		{"https", "[2001:db8::1]:8443", "https://[2001:db8::1]:8443/"},
	} {
		addr, err := net.ResolveTCPAddr("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := pageURL(c.scheme, "conf.test", addr); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.scheme, c.addr, got, c.want)
		}
	}
}

type endingWriter struct {
	bytes.Buffer
	end func()
}

func (w *endingWriter) Write(b []byte) (int, error) {
	defer w.end()
	return w.Buffer.Write(b)
}

func TestCommand(t *testing.T) {
	// The first thing that the command says ends it.
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &endingWriter{end: cancel}
		app := &cli.App{Commands: []*cli.Command{Command("conference")}, Writer: out, ErrWriter: io.Discard,
			ExitErrHandler: func(*cli.Context, error) {}}
		err := app.RunContext(ctx, append([]string{"rtpsidecar", "conference"}, args...))
		return out.String(), err
	}
	for name, args := range map[string][]string{
		"nothing":         nil,
		"unknown option":  {"--nonsense"},
		"extra argument":  {"--domain=conf.test", "--sip-ws=wss://sip.test", "here"},
		"wrong WebSocket": {"--domain=conf.test", "--sip-ws=sip.test"},
	} {
		if _, err := run(args...); ExitCode(err) != 2 {
			t.Errorf("%s: %v, status %d, want 2", name, err, ExitCode(err))
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := run("--domain=conf.test", "--sip-ws=wss://sip.test", "--listen="+taken.Addr().String()); ExitCode(err) != 1 {
		t.Errorf("taken address: %v, status %d, want 1", err, ExitCode(err))
	}
	out, err := run("--domain=conf.test", "--sip-ws=ws://sip.test", "--plain", "--listen=127.0.0.1:0")
	if err != nil || !strings.HasPrefix(out, "conference: http://127.0.0.1:") {
		t.Errorf("got %q, %v", out, err)
	}
}
