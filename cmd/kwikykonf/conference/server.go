// Package conference serves the page of a full-mesh video conference in the browser, and, where wanted, passes the page's
// WebSocket on to a SIP proxy.
package conference

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"time"

	"rtpsidecar/cmd/kwikykonf/page"
)

// Config says what to serve and where.
type Config struct {
	Listen   string // host:port, the host may be empty
	Domain   string // SIP domain in which pages register
	SIP      string // ws:// or wss:// URL that pages connect to; empty with Upstream
	Upstream string // ws:// or wss:// URL that requests to /sip are passed on to; empty with SIP
	CertFile string // PEM; with KeyFile, or neither
	KeyFile  string
	Plain    bool // http instead of https
	Log      *slog.Logger
}

// sipPath is where the page's WebSocket is passed on from.
const sipPath = "/sip"

// Validate names every mistake.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("--listen: %w", err)
	}
	if c.Domain == "" {
		wrong("--domain is needed: the SIP domain in which pages register")
	} else if strings.ContainsAny(c.Domain, "/@<>;?# \t\r\n") {
		wrong("--domain: %q is no domain", c.Domain)
	}
	switch {
	case c.SIP == "" && c.Upstream == "":
		wrong("--sip-ws or --sip-upstream is needed: where the SIP proxy takes WebSockets")
	case c.SIP != "" && c.Upstream != "":
		wrong("--sip-ws and --sip-upstream exclude each other")
	}
	for option, value := range map[string]string{"--sip-ws": c.SIP, "--sip-upstream": c.Upstream} {
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil {
			wrong("%s: %w", option, err)
		} else if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			wrong("%s: %q is no ws:// or wss:// URL", option, value)
		} else if option == "--sip-ws" && u.Scheme == "ws" && !c.Plain {
			wrong("--sip-ws: a page served over https may not open a ws:// socket; use wss:// or --sip-upstream")
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		wrong("--cert and --key are needed together")
	}
	if c.Plain && c.CertFile != "" {
		wrong("--plain and --cert exclude each other")
	}
	return errors.Join(errs...)
}

// Serve serves until ctx ends, then closes all connections and returns nil. It calls ready once, with the page's address,
// when connections are taken.
func Serve(ctx context.Context, cfg Config, ready func(url string)) error {
	handler, err := Handler(cfg)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug), // scanners' TLS mistakes, mostly
		// Ends the WebSockets that are passed on, of which Shutdown knows nothing.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	scheme := "http"
	if !cfg.Plain {
		scheme = "https"
		cert, err := certificate(cfg)
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { // ends with Shutdown, which the end of this function waits for
		if cfg.Plain {
			ended <- server.Serve(l)
		} else {
			ended <- server.ServeTLS(l, "", "")
		}
	}()
	ready(pageURL(scheme, cfg.Domain, l.Addr()))
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // what did not end in time
	}
	<-ended
	return nil
}

// pageURL is the address to tell people: a wildcard listener is reached under the domain.
func pageURL(scheme, domain string, addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = domain
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return scheme + "://" + host + "/"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/"
}

// Handler answers for the page, its /config.json, and /sip where that is passed on.
func Handler(cfg Config) (http.Handler, error) {
	mux := http.NewServeMux()
	sip := cfg.SIP
	if cfg.Upstream != "" {
		sip = sipPath
		proxy, err := passOn(cfg)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET "+sipPath, proxy)
	}
	settings, err := json.Marshal(map[string]string{"sip": sip, "domain": cfg.Domain})
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(settings) // a client that is gone needs no answer
	})
	files := page.Files()
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		pattern := "GET /" + name
		if name == "index.html" {
			pattern = "GET /{$}"
		}
		mux.HandleFunc(pattern, static(name, content))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return secured(mux, cfg), nil
}

// static serves one file, which browsers keep and ask about each time.
func static(name string, content []byte) http.HandlerFunc {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	kind := mime.TypeByExtension(path.Ext(name))
	if path.Ext(name) == ".js" { // the system's table may say application/javascript or text/plain
		kind = "text/javascript; charset=utf-8"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

// secured sets the headers that keep foreign scripts, frames and addresses out of the page.
func secured(next http.Handler, cfg Config) http.Handler {
	connect := "'self'"
	if u, err := url.Parse(cfg.SIP); err == nil && u.Host != "" {
		connect += " " + u.Scheme + "://" + u.Host
	}
	policy := strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
		"connect-src " + connect, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), geolocation=()")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if cfg.CertFile != "" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// passOn carries a page's WebSocket to the SIP proxy, so that one address and one certificate serve both. Only pages of
// this server may use it.
func passOn(cfg Config) (http.Handler, error) {
	target, err := url.Parse(cfg.Upstream)
	if err != nil {
		return nil, err
	}
	target.Scheme = strings.Replace(target.Scheme, "ws", "http", 1)
	if target.Path == "" {
		target.Path = "/"
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			u := *target
			r.Out.URL = &u
			r.Out.Host = target.Host
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			cfg.Log.Warn("SIP proxy out of reach", "upstream", cfg.Upstream, "err", err)
			http.Error(w, "the SIP proxy is out of reach", http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch origin, err := url.Parse(r.Header.Get("Origin")); {
		case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
			w.Header().Set("Upgrade", "websocket")
			http.Error(w, "this is for WebSockets", http.StatusUpgradeRequired)
		case err != nil || !strings.EqualFold(origin.Host, r.Host):
			http.Error(w, "this is for the page of this server", http.StatusForbidden)
		default:
			proxy.ServeHTTP(w, r)
		}
	}), nil
}
