package ng

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Error texts of the server itself; proxies match on them, so they are the reference's to the letter.
const (
	errNoPayload   = "Invalid data (no payload)"
	errFormat      = "Invalid NG data format"
	errBencode     = "Could not decode bencode dictionary"
	errJSONSyntax  = "Failed to parse JSON document"
	errJSONDict    = "Could not decode JSON dictionary"
	errNoCommand   = `Dictionary contains no key "command"`
	errServerFault = "Internal error" // the handler panicked; the reference has no such reply
)

// ServerConfig sets up a [Server]. Only Handler is required.
type ServerConfig struct {
	Handler Handler
	Logger  *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now; stamps Request.Received
	TOS     int              // type of service (IPv4) or traffic class (IPv6) of all we send; 0: the system's
	Workers int              // requests that one UDP socket runs at once at most; 0: one per CPU, at least 2

	// Trace is told of each request that was run, with both messages as they went over the wire, cookies included; a
	// repeated request is none. reply must not be changed; nothing may wait. Nil: nobody is.
	Trace func(req *Request, message string, reply []byte)
}

// Server answers NG requests from any number of sockets with one [Handler], each cookie once: all transports share
// one reply cache. Its methods may be called at any time, from any goroutine.
type Server struct {
	cfg   ServerConfig
	log   *slog.Logger
	cache replyCache

	replies sync.Pool // *[]byte

	ctx    context.Context // ends with Close; every request's parent
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	closers map[io.Closer]struct{} // open sockets and connections
	wg      sync.WaitGroup         // all goroutines, and WebSockets although net/http runs them
}

// NewServer returns a server without sockets. Close must be called on it.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Workers <= 0 {
		cfg.Workers = max(2, runtime.NumCPU()) // so that a slow one holds up nobody
	}
	s := &Server{cfg: cfg, log: cfg.Logger, closers: make(map[io.Closer]struct{})}
	s.replies.New = func() any { return new([]byte) }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close closes all sockets and connections, cancels the requests that run and returns when the last has ended.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	for c := range s.closers {
		_ = c.Close() // nobody could act on it, and its goroutine ends either way
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.cache.stop()
	return nil
}

// start runs each of fs in its own goroutine, which Close waits for; c is closed by Close, or when all have ended.
// It reports false, and closes c, if the server is already closed.
func (s *Server) start(c io.Closer, fs ...func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.closers[c] = struct{}{}
	var fsDone sync.WaitGroup
	for _, f := range fs {
		fsDone.Go(f)
	}
	s.wg.Go(func() {
		fsDone.Wait()
		_ = c.Close()
		s.mu.Lock()
		delete(s.closers, c)
		s.mu.Unlock()
	})
	return true
}

// exchange answers one message, cookie included, by appending to dst. nil means silence: no cookie.
func (s *Server) exchange(ctx context.Context, dst []byte, msg string, from netip.AddrPort) []byte {
	received := s.cfg.Now()
	cookie, payload, ok := SplitCookie(msg)
	if !ok {
		s.log.Debug("message without a cookie dropped", "source", from, "size", len(msg))
		return nil
	}
	reply := s.cache.do(cookie, func() []byte { return s.answer(ctx, cookie, payload, from, received) })
	return AppendFrame(slices.Grow(dst, len(cookie)+1+len(reply)), cookie, reply)
}

// answer runs one request and returns the reply, in the form of the request and without the cookie, which may be empty.
// It does not panic.
func (s *Server) answer(ctx context.Context, cookie, payload string, from netip.AddrPort, received time.Time) []byte {
	write := AppendBencode
	if len(payload) > 0 && payload[0] == '{' {
		write = AppendJSON
	}
	req, reason := decode(payload)
	var reply Reply
	if reason != "" {
		s.log.Warn("bad request", "source", from, "size", len(payload), "reason", reason)
		reply.Error = reason
	} else {
		req.Source, req.Received = from, received
		reply = s.handle(ctx, req)
	}
	room := s.replies.Get().(*[]byte) // to write in; the reply is kept for long, so it gets just what it needs
	*room = write((*room)[:0], reply.value())
	out := bytes.Clone(*room)
	s.replies.Put(room)
	if s.cfg.Trace != nil && req != nil {
		frame := func(b []byte) []byte {
			if cookie == "" { // over HTTP there may be none
				return b
			}
			return AppendFrame(nil, cookie, b)
		}
		s.cfg.Trace(req, string(frame([]byte(payload))), frame(out))
	}
	return out
}

// handle calls the handler and turns its panic into an error reply.
func (s *Server) handle(ctx context.Context, req *Request) (reply Reply) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("request panicked", "command", req.Command, "callid", req.Dict.Value("call-id").Str(),
				"panic", r, "stack", string(debug.Stack()))
			reply = Reply{Error: errServerFault}
		}
	}()
	return s.cfg.Handler.HandleNG(ctx, req)
}

// decode reads a request; reason is the error reply's text if it is none.
func decode(payload string) (req *Request, reason string) {
	if payload == "" {
		return nil, errNoPayload
	}
	var v Value
	var err error
	switch payload[0] {
	case 'd':
		if v, _, err = parseBencode(payload); err != nil {
			return nil, errBencode
		}
	case '{':
		if v, err = parseJSON(payload); errors.Is(err, ErrDepth) {
			return nil, errJSONDict
		} else if err != nil {
			return nil, errJSONSyntax
		}
	default:
		return nil, errFormat
	}
	command := v.Dict().Value("command")
	if command.Kind() != KindString {
		return nil, errNoCommand
	}
	return &Request{Command: command.Str(), Dict: v.Dict()}, ""
}

// value completes the reply's dictionary.
func (r *Reply) value() Value {
	d := &r.Dict
	switch {
	case r.Error != "":
		d.AddString("result", "error")
		d.AddString("error-reason", r.Error)
	case r.Result != "":
		d.AddString("result", r.Result)
	default:
		d.AddString("result", "ok")
	}
	return DictValue(d)
}
