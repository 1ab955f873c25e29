// Package phone is a SIP user agent on ghettovoice/gosip: it registers and calls through one proxy over UDP, TCP, TLS, WS or
// WSS. What the calls carry is the matter of package media.
package phone

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/ghettovoice/gosip/log"
	"github.com/ghettovoice/gosip/sip"
	"github.com/ghettovoice/gosip/sip/parser"
	"github.com/ghettovoice/gosip/transport"
)

var errScheme = errors.New("a proxy is named by udp, tcp, tls, ws or wss and a colon before its address")

// maxMessage bounds a SIP message, head and body.
const maxMessage = 1 << 16

// link is the one flow between this user agent and its proxy, in the place of gosip's transport layer: gosip's own opens flows
// as messages ask for them and does not check certificates. Everything is sent to the proxy, whatever the message says,
// and everything that comes is taken (RFC 5626 section 3, RFC 7118 section 5).
type link struct {
	network string // as in Via: UDP, TCP, TLS, WS, WSS
	local   netip.AddrPort
	remote  string
	trace   io.Writer
	logger  log.Logger
	write   func([]byte) error
	read    func() ([]byte, error)
	close   func() error

	msgs     chan sip.Message
	errs     chan error
	canceled chan struct{}
	done     chan struct{}
	once     sync.Once

	mu     sync.Mutex
	branch string        // of the last request
	unread chan struct{} // closed once gosip can match its reply; nil: it can
}

// open connects to a proxy: udp:HOST:PORT, tcp:, tls:, ws://HOST:PORT/PATH, wss://. The port may be left out.
func open(ctx context.Context, proxy string, local netip.Addr, conf *tls.Config, logger log.Logger, trace io.Writer) (*link, error) {
	l := &link{logger: logger, trace: trace, msgs: make(chan sip.Message), errs: make(chan error), canceled: make(chan struct{}), done: make(chan struct{})}
	scheme, rest, ok := strings.Cut(proxy, ":")
	if !ok {
		return nil, fmt.Errorf("proxy %q: %w", proxy, errScheme)
	}
	l.network = strings.ToUpper(scheme)
	var err error
	switch scheme {
	case "udp", "tcp", "tls":
		err = l.dial(ctx, scheme, withPort(strings.TrimPrefix(rest, "//"), map[string]string{"udp": "5060", "tcp": "5060", "tls": "5061"}[scheme]), local, conf)
	case "ws", "wss":
		err = l.dialWebSocket(ctx, proxy, conf)
	default:
		err = errScheme
	}
	if err != nil {
		return nil, fmt.Errorf("proxy %q: %w", proxy, err)
	}
	go l.serve()
	return l, nil
}

func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}

func (l *link) dial(ctx context.Context, scheme, addr string, local netip.Addr, conf *tls.Config) error {
	network := "tcp"
	dialer := &net.Dialer{}
	if scheme == "udp" {
		network = "udp"
		if local.IsValid() {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
		}
	}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	if l.local, err = netip.ParseAddrPort(conn.LocalAddr().String()); err != nil {
		return errors.Join(err, conn.Close())
	}
	if scheme == "tls" {
		conf = conf.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return errors.Join(err, conn.Close())
		}
		conn = secure
	}
	l.remote = conn.RemoteAddr().String()
	l.close = conn.Close
	l.write = func(b []byte) error { _, err := conn.Write(b); return err }
	if scheme == "udp" {
		buf := make([]byte, maxMessage)
		l.read = func() ([]byte, error) {
			n, err := conn.Read(buf)
			return bytes.Clone(buf[:n]), err
		}
		return nil
	}
	r := bufio.NewReaderSize(conn, maxMessage)
	l.read = func() ([]byte, error) { return readMessage(r) }
	return nil
}

// readMessage takes one message off a stream, RFC 3261 section 18.3: the head up to an empty line, then as many bytes as
// Content-Length says. Line ends before it are keep-alives (RFC 5626 section 3.5.1).
func readMessage(r *bufio.Reader) ([]byte, error) {
	var msg []byte
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(msg) == 0 && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		msg = append(msg, line...)
		if len(msg) > maxMessage {
			return nil, errors.New("SIP message too long")
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if key := strings.ToLower(string(bytes.TrimSpace(name))); key == "content-length" || key == "l" {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 || length > maxMessage {
				return nil, fmt.Errorf("SIP Content-Length %q", value)
			}
		}
	}
	head := len(msg)
	msg = append(msg, make([]byte, length)...)
	_, err := io.ReadFull(r, msg[head:])
	return msg, err
}

// dialWebSocket connects by RFC 7118: a message is a WebSocket message.
func (l *link) dialWebSocket(ctx context.Context, proxy string, conf *tls.Config) error {
	u, err := url.Parse(proxy)
	if err != nil {
		return err
	}
	tr := &http.Transport{TLSClientConfig: conf.Clone(), ForceAttemptHTTP2: false}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			l.local, err = netip.ParseAddrPort(conn.LocalAddr().String())
			l.remote = conn.RemoteAddr().String()
		}
		return conn, err
	}
	conn, _, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		Subprotocols: []string{"sip"}, HTTPClient: &http.Client{Transport: tr},
		// Clients that are no browsers need not say where they come from, but OpenSIPS refuses those that do not.
		HTTPHeader: http.Header{"Origin": {"https://" + u.Host}},
	})
	if err != nil {
		return err
	}
	conn.SetReadLimit(maxMessage)
	alive, cancel := context.WithCancel(context.Background()) // ends with close
	l.close = func() error {
		cancel()
		err := conn.CloseNow()
		tr.CloseIdleConnections()
		return err
	}
	l.write = func(b []byte) error {
		ctx, cancel := context.WithTimeout(alive, 10*time.Second)
		defer cancel()
		return conn.Write(ctx, websocket.MessageText, b)
	}
	l.read = func() ([]byte, error) {
		_, b, err := conn.Read(alive)
		return b, err
	}
	return nil
}

// gosip enters a transaction into its table only after it has sent the request, and drops an answer that is quicker. So what
// comes waits until noticing says that the table has it, at most for settle.
const settle = 500 * time.Millisecond

// noticing is the context of a request. gosip asks for Done for the first time once the transaction is in its table.
type noticing struct {
	context.Context
	link *link
}

func (n noticing) Done() <-chan struct{} {
	n.link.entered()
	return n.Context.Done()
}

// sent notes a request that noticing will tell of. Repeats have the same branch, ACK and CANCEL have no context.
func (l *link) sent(req sip.Request, via *sip.ViaHop) {
	branch, _ := via.Params.Get("branch")
	if branch == nil || req.IsAck() || req.IsCancel() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.branch != branch.String() {
		l.release()
		l.branch, l.unread = branch.String(), make(chan struct{})
	}
}

func (l *link) entered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release()
}

// release lets in what waits. l.mu is held.
func (l *link) release() {
	if l.unread != nil {
		close(l.unread)
		l.unread = nil
	}
}

// serve hands in what comes until the flow breaks or is cancelled.
func (l *link) serve() {
	defer close(l.done)
	for {
		b, err := l.read()
		if err != nil {
			select {
			case <-l.canceled:
			case l.errs <- fmt.Errorf("connection to the proxy: %w", err):
				if l.network == "UDP" {
					continue // an ICMP error: the proxy may come back
				}
				<-l.canceled
			}
			return
		}
		if len(bytes.TrimSpace(b)) == 0 {
			continue
		}
		l.show("<", b)
		msg, err := parser.ParseMessage(b, l.logger)
		if err != nil {
			continue // not SIP, or not by gosip's lights; the trace has it
		}
		l.mu.Lock()
		unread := l.unread
		l.mu.Unlock()
		if unread != nil {
			select {
			case <-unread:
			case <-time.After(settle):
			case <-l.canceled:
				return
			}
		}
		msg.SetTransport(l.network)
		msg.SetSource(l.remote)
		msg.SetDestination(l.local.String())
		select {
		case l.msgs <- msg:
		case <-l.canceled:
			return
		}
	}
}

// show writes a message for people.
func (l *link) show(direction string, b []byte) {
	if l.trace == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.trace, "%s %s %s %s\n", time.Now().UTC().Format("15:04:05.000"), direction, l.network, l.remote)
	for line := range bytes.Lines(b) {
		fmt.Fprintf(l.trace, "%s %s\n", direction, bytes.TrimRight(line, "\r\n"))
	}
}

// Send writes a message to the proxy, with this end of the flow in its Via.
func (l *link) Send(msg sip.Message) error {
	if req, ok := msg.(sip.Request); ok {
		via, ok := req.ViaHop()
		if !ok {
			return errors.New("request without Via")
		}
		via.Transport, via.Host = l.network, bracketed(l.local.Addr())
		port := sip.Port(l.local.Port())
		via.Port = &port
		if via.Params == nil {
			via.Params = sip.NewParams()
		}
		if !via.Params.Has("rport") {
			via.Params.Add("rport", nil) // RFC 3581 section 3
		}
		req.SetViaHop(via)
		req.SetTransport(l.network)
		l.sent(req, via)
	}
	b := []byte(msg.String())
	l.show(">", b)
	return l.write(b)
}

func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// Cancel ends the flow; Done is closed once nothing is handed in any more.
func (l *link) Cancel() {
	l.once.Do(func() {
		close(l.canceled)
		_ = l.close()
	})
}

func (l *link) Done() <-chan struct{}        { return l.done }
func (l *link) Messages() <-chan sip.Message { return l.msgs }
func (l *link) Errors() <-chan error         { return l.errs }
func (l *link) String() string               { return l.network + " " + l.remote }
func (l *link) IsReliable(string) bool       { return l.network != "UDP" }
func (l *link) IsStreamed(string) bool       { return l.network != "UDP" }

// Listen is not what a flow does.
func (l *link) Listen(string, string, ...transport.ListenOption) error {
	return errors.New("a flow does not listen")
}

// quiet is gosip's logger with nothing to say: the trace shows the messages, and errors are returned.
type quiet struct{}

func (quiet) Print(...any)                           {}
func (quiet) Printf(string, ...any)                  {}
func (quiet) Trace(...any)                           {}
func (quiet) Tracef(string, ...any)                  {}
func (quiet) Debug(...any)                           {}
func (quiet) Debugf(string, ...any)                  {}
func (quiet) Info(...any)                            {}
func (quiet) Infof(string, ...any)                   {}
func (quiet) Warn(...any)                            {}
func (quiet) Warnf(string, ...any)                   {}
func (quiet) Error(...any)                           {}
func (quiet) Errorf(string, ...any)                  {}
func (quiet) Fatal(args ...any)                      { panic(fmt.Sprint(args...)) }
func (quiet) Fatalf(format string, args ...any)      { panic(fmt.Sprintf(format, args...)) }
func (quiet) Panic(args ...any)                      { panic(fmt.Sprint(args...)) }
func (quiet) Panicf(format string, args ...any)      { panic(fmt.Sprintf(format, args...)) }
func (q quiet) WithPrefix(string) log.Logger         { return q }
func (quiet) Prefix() string                         { return "" }
func (q quiet) WithFields(map[string]any) log.Logger { return q }
func (quiet) Fields() log.Fields                     { return log.Fields{} }
func (quiet) SetLevel(uint32)                        {}
