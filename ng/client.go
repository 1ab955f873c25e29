package ng

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// ErrNoReply is what [Client.Do] wraps when the daemon stays silent.
var ErrNoReply = errors.New("no reply")

// ReplyError is the daemon's own error reply.
type ReplyError struct{ Reason string }

func (e *ReplyError) Error() string { return e.Reason }

// ClientConfig adjusts a [Client]; the zero value does as proxies do.
type ClientConfig struct {
	Timeout  time.Duration // of one attempt; 0: 1 s
	Attempts int           // how often a datagram is sent, always with one cookie; 0: 5
	JSON     bool          // speak JSON instead of bencode
}

// patience is how long a request may take in all.
func (cfg ClientConfig) patience() time.Duration { return time.Duration(cfg.Attempts) * cfg.Timeout }

// Client sends NG requests to one daemon. It is safe for concurrent use.
type Client struct {
	cfg       ClientConfig
	prefix    string // of all cookies, random
	serial    atomic.Uint64
	transport transport
}

// transport takes a frame to the daemon and brings the one with the same cookie back.
type transport interface {
	exchange(ctx context.Context, cookie string, frame []byte) ([]byte, error)
	io.Closer
}

// Dial returns a client of the daemon at target: "udp:HOST:PORT", "tcp:HOST:PORT", "http://HOST:PORT/ng" (or https)
// or "ws://HOST:PORT/" (or wss). ctx ends the dialling only. Close must be called on the client.
func Dial(ctx context.Context, target string, cfg ClientConfig) (*Client, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Second
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 5
	}
	c := &Client{cfg: cfg, prefix: rand.Text()[:12]}
	scheme, rest, _ := strings.Cut(target, ":")
	var err error
	switch scheme {
	case "udp", "tcp":
		c.transport, err = dialSocket(ctx, scheme, strings.TrimPrefix(rest, "//"), cfg)
	case "ws", "wss":
		c.transport, err = dialWebSocket(ctx, target, cfg)
	case "http", "https":
		c.transport = &httpTransport{url: target, patience: cfg.patience(), client: http.Client{Transport: new(http.Transport)}}
	default:
		err = errors.New(`a target begins with "udp:", "tcp:", "http:", "https:", "ws:" or "wss:"`)
	}
	if err != nil {
		return nil, fmt.Errorf("ng: dial %q: %w", target, err)
	}
	return c, nil
}

// Close ends the requests that wait and frees the socket.
func (c *Client) Close() error { return c.transport.Close() }

// Do sends a request, repeats it as configured and returns the reply. Where the reply's result is "error" the error is
// a [*ReplyError], and the reply is returned beside it. A silent daemon gives [ErrNoReply].
func (c *Client) Do(ctx context.Context, req *Dict) (*Dict, error) {
	cookie := fmt.Sprintf("%s_%d", c.prefix, c.serial.Add(1))
	write := AppendBencode
	if c.cfg.JSON {
		write = AppendJSON
	}
	msg, err := c.transport.exchange(ctx, cookie, AppendFrame(nil, cookie, write(nil, DictValue(req))))
	if err != nil {
		return nil, fmt.Errorf("ng: %s: %w", req.Value("command").Str(), err)
	}
	reply, err := parseReply(msg)
	if err != nil {
		return nil, fmt.Errorf("ng: %s: reply: %w", req.Value("command").Str(), err)
	}
	if reply.Value("result").Str() == "error" {
		return reply, &ReplyError{Reason: reply.Value("error-reason").Str()}
	}
	return reply, nil
}

func parseReply(msg []byte) (*Dict, error) {
	_, payload, _ := SplitCookie(string(msg))
	var v Value
	var err error
	if strings.HasPrefix(payload, "{") {
		v, err = parseJSON(payload)
	} else {
		v, _, err = parseBencode(payload)
	}
	if err == nil && v.Dict() == nil {
		err = ErrSyntax
	}
	return v.Dict(), err
}

// httpTransport posts each frame. It does not repeat: TCP does.
type httpTransport struct {
	url      string
	patience time.Duration
	client   http.Client
}

func (t *httpTransport) exchange(ctx context.Context, _ string, frame []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.patience, ErrNoReply)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(frame))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", typeNG)
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxMessage))
}

func (t *httpTransport) Close() error {
	t.client.CloseIdleConnections()
	return nil
}
