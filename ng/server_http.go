package ng

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// Content types of the HTTP transport.
const (
	typeNG   = "application/x-rtpengine-ng"
	typeJSON = "application/json"
	typeText = "text/plain"
)

// WebSocket subprotocols.
const (
	protocolNG    = "ng.rtpengine.com"       // messages with a cookie
	protocolPlain = "ng-plain.rtpengine.com" // bare dictionaries
	protocolCLI   = "cli.rtpengine.com"      // one operator's command per message
	protocolEcho  = "echo.rtpengine.com"
)

// HTTPConfig completes what [Server.HTTPHandler] serves itself.
type HTTPConfig struct {
	// CLI runs one line of the operator's interface and returns its output; nil: there is no such interface.
	CLI func(ctx context.Context, line string) string
	// Other serves all that is not NG: metrics, a status page. nil: 404.
	Other http.Handler
}

// HTTPHandler returns the HTTP side of the server: POST /ng, POST /ng-plain, GET /ping, GET /cli/<line>, POST /cli,
// and WebSockets of the subprotocols above on any path. All else goes to cfg.Other. Close ends the WebSockets; the
// http.Server around it is the caller's to shut down. Every origin is welcome, as with the reference.
func (s *Server) HTTPHandler(cfg HTTPConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		writeBody(w, typeText, []byte("pong\n"))
	})
	mux.HandleFunc("POST /ng", s.postNG)
	mux.HandleFunc("POST /ng-plain", s.postPlain)
	if cfg.CLI != nil {
		mux.HandleFunc("GET /cli/{line...}", func(w http.ResponseWriter, r *http.Request) {
			line, _ := strings.CutPrefix(r.URL.EscapedPath(), "/cli/")
			line, _ = url.QueryUnescape(line) // "+" is a space here; net/http refuses bad escapes
			writeBody(w, typeText, []byte(cfg.CLI(r.Context(), line)))
		})
		mux.HandleFunc("POST /cli", func(w http.ResponseWriter, r *http.Request) {
			if body, _, ok := readBody(w, r, typeText); ok {
				writeBody(w, typeText, []byte(cfg.CLI(r.Context(), strings.TrimRight(body, "\r\n"))))
			}
		})
	}
	other := cfg.Other
	if other == nil {
		other = http.HandlerFunc(notFound)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		switch handler, pattern := mux.Handler(r); {
		case r.Method == http.MethodOptions:
		case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
			s.serveWebSocket(w, r, cfg.CLI)
		case pattern != "":
			handler.ServeHTTP(w, r)
		default:
			other.ServeHTTP(w, r)
		}
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", typeText)
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "not found\n") // a client that has gone needs no body
}

func writeBody(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body) // a client that has gone needs no body
}

// readBody reads the body of a request of one of the given content types; otherwise it has written the error.
func readBody(w http.ResponseWriter, r *http.Request, types ...string) (body, contentType string, ok bool) {
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, contentType) {
		http.Error(w, "content type must be "+strings.Join(types, " or "), http.StatusUnsupportedMediaType)
		return "", "", false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		http.Error(w, "message too long", http.StatusRequestEntityTooLarge)
		return "", "", false
	}
	return string(b), contentType, err == nil
}

func (s *Server) postNG(w http.ResponseWriter, r *http.Request) {
	body, _, ok := readBody(w, r, typeNG)
	if !ok {
		return
	}
	reply := s.exchange(r.Context(), nil, body, remote(r))
	if reply == nil {
		http.Error(w, "error", http.StatusBadRequest)
		return
	}
	writeBody(w, typeNG, reply)
}

func (s *Server) postPlain(w http.ResponseWriter, r *http.Request) {
	if body, contentType, ok := readBody(w, r, typeNG, typeJSON); ok {
		writeBody(w, contentType, s.answer(r.Context(), "", body, remote(r), s.cfg.Now()))
	}
}

// remote is the client's address; the zero value if the connection has none of IP.
func remote(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// serveWebSocket runs the messages of one WebSocket, one after the other.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, cli func(context.Context, string) string) {
	protocols := []string{protocolNG, protocolPlain, protocolEcho}
	if cli != nil {
		protocols = append(protocols, protocolCLI)
	}
	if !offersOneOf(r, protocols) {
		http.Error(w, "no known WebSocket subprotocol", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()

	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: protocols, InsecureSkipVerify: true})
	if err != nil { // Accept has answered the client
		s.log.Debug("websocket handshake", "source", r.RemoteAddr, "error", err)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxMessage)
	from, protocol := remote(r), conn.Subprotocol()
	for {
		kind, message, err := conn.Read(s.ctx)
		if err != nil {
			return
		}
		var reply []byte
		switch protocol {
		case protocolEcho:
			reply = message
		case protocolCLI:
			reply, kind = []byte(cli(s.ctx, string(message))), websocket.MessageText
		case protocolPlain:
			reply, kind = s.answer(s.ctx, "", string(message), from, s.cfg.Now()), websocket.MessageBinary
		default:
			if reply = s.exchange(s.ctx, nil, string(message), from); reply == nil {
				continue
			}
			kind = websocket.MessageBinary
		}
		if err := conn.Write(s.ctx, kind, reply); err != nil {
			return
		}
	}
}

// offersOneOf reports whether the client asks for a subprotocol that we have. websocket.Accept would go on without.
func offersOneOf(r *http.Request, protocols []string) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if slices.ContainsFunc(protocols, func(ours string) bool { return strings.EqualFold(ours, strings.TrimSpace(p)) }) {
				return true
			}
		}
	}
	return false
}
