package main

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// page is the status page: plain files, nothing is fetched from elsewhere.
//
//go:embed page
var page embed.FS

// web serves what is not NG on the HTTP listener: metrics, health, the status page and what it asks for, profiles.
type web struct {
	d *daemon
}

// newWeb is the handler of d's HTTP listeners for all that package ng does not serve.
func newWeb(d *daemon) http.Handler {
	w := &web{d: d}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", w.metrics())
	mux.HandleFunc("GET /healthz", w.healthz)
	mux.HandleFunc("GET /readyz", w.readyz)
	mux.HandleFunc("GET /api/calls", w.calls)
	mux.HandleFunc("GET /api/call", w.call)
	mux.HandleFunc("GET /api/why", w.why)
	mux.HandleFunc("GET /api/daemon", w.daemon)
	mux.HandleFunc("POST /api/lab", w.lab)
	mux.HandleFunc("POST /api/terminate", w.authorized(w.terminate))
	mux.HandleFunc("POST /api/drain", w.authorized(w.drain))
	files, _ := fs.Sub(page, "page") // the folder is embedded above
	mux.Handle("GET /status/", secured(http.StripPrefix("/status/", http.FileServerFS(files))))
	mux.Handle("GET /{$}", http.RedirectHandler("/status/", http.StatusFound))
	if d.pprof {
		mux.HandleFunc("GET /debug/pprof/", loopbackOnly(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", loopbackOnly(pprof.Cmdline))
		mux.HandleFunc("GET /debug/pprof/profile", loopbackOnly(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/symbol", loopbackOnly(pprof.Symbol))
		mux.HandleFunc("GET /debug/pprof/trace", loopbackOnly(pprof.Trace))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("not found\n")) // a client that has gone needs no body
	})
	return sameOrigin(mux)
}

// sameOrigin keeps pages from elsewhere, which an operator may have open, from reading calls: unlike NG over HTTP this
// is for our own page.
func sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Del("Access-Control-Allow-Origin")
		next.ServeHTTP(rw, r)
	})
}

// metrics are the engine's and the Go runtime's figures.
func (w *web) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(w.d.calls.Metrics(), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if h := w.d.homer; h != nil {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "rtpengine_homer_lost_total", Help: "Packets that the Homer collector did not get, as far as we know",
		}, func() float64 { return float64(h.exporter.Lost()) }))
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: promLog{w.d}})
}

// promLog writes the complaints of the exposition into our log.
type promLog struct{ d *daemon }

func (l promLog) Println(v ...any) { l.d.log.Warn("metrics", "detail", v) }

// healthz says that requests are served: an answer is the proof.
func (w *web) healthz(rw http.ResponseWriter, _ *http.Request) { plain(rw, http.StatusOK, "ok\n") }

// readyz says whether new calls are welcome.
func (w *web) readyz(rw http.ResponseWriter, _ *http.Request) {
	if w.d.calls.Draining() {
		plain(rw, http.StatusServiceUnavailable, "draining\n")
		return
	}
	plain(rw, http.StatusOK, "ready\n")
}

func plain(rw http.ResponseWriter, status int, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte(text)) // a client that has gone needs no body
}

func reply(rw http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	_, _ = rw.Write(b) // a client that has gone needs no body
}

// maxListed bounds the calls of one answer.
const maxListed = 200

// calls lists calls, those whose id contains the parameter q.
func (w *web) calls(rw http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	now, ended := w.d.calls.Views(r.FormValue("q"), limit)
	reply(rw, map[string]any{"now": now, "ended": ended, "total": w.d.calls.NumSessions(), "at": time.Now()})
}

// call shows one call with its timeline and diagnosis.
func (w *web) call(rw http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	view, ok := w.d.calls.View(id)
	why, also := w.d.calls.Why(id)
	if !ok || !also {
		http.Error(rw, "no such call", http.StatusNotFound)
		return
	}
	reply(rw, map[string]any{"call": view, "why": why})
}

// why is the diagnosis as text, or as JSON for those who accept only that.
func (w *web) why(rw http.ResponseWriter, r *http.Request) {
	why, ok := w.d.calls.Why(r.FormValue("id"))
	switch {
	case !ok:
		http.Error(rw, "no such call", http.StatusNotFound)
	case strings.Contains(r.Header.Get("Accept"), "application/json"):
		reply(rw, why)
	default:
		plain(rw, http.StatusOK, why.Text())
	}
}

// daemon tells about us as a whole.
func (w *web) daemon(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	reply(rw, map[string]any{
		"version": versionText(), "draining": w.d.calls.Draining(), "writable": w.d.webToken != "",
		"sessions": w.d.calls.NumSessions(), "interfaces": w.d.calls.InterfaceUse(), "summary": w.d.calls.Summary(),
	})
}

func (w *web) terminate(rw http.ResponseWriter, r *http.Request) {
	if !w.d.calls.Terminate(r.FormValue("id")) {
		http.Error(rw, "no such call", http.StatusNotFound)
		return
	}
	w.d.log.Info("call terminated on the status page", "callid", r.FormValue("id"), "client", r.RemoteAddr)
	reply(rw, map[string]bool{"ok": true})
}

func (w *web) drain(rw http.ResponseWriter, r *http.Request) {
	on := r.FormValue("on") != "off"
	w.d.calls.Drain(on)
	w.d.log.Warn("drain", "on", on, "client", r.RemoteAddr)
	reply(rw, map[string]bool{"draining": on})
}

// authorized lets those pass who know the token. Without a token nothing can be changed here.
func (w *web) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if w.d.webToken == "" || subtle.ConstantTimeCompare([]byte(given), []byte(w.d.webToken)) != 1 {
			http.Error(rw, "this needs the token of --web-token", http.StatusForbidden)
			return
		}
		next(rw, r)
	}
}

// secured keeps the page to itself: nothing from elsewhere runs in it, and nobody frames it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(rw, r)
	})
}

// loopbackOnly serves this machine alone.
func loopbackOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		a, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !a.Addr().Unmap().IsLoopback() {
			http.Error(rw, "from this machine only", http.StatusForbidden)
			return
		}
		next(rw, r)
	}
}
