package ng

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

type handlerFunc func(ctx context.Context, req *Request) Reply

func (f handlerFunc) HandleNG(ctx context.Context, req *Request) Reply { return f(ctx, req) }

// testHandler answers a few commands of its own.
func testHandler(_ context.Context, req *Request) Reply {
	switch req.Command {
	case "ping":
		return Reply{Result: "pong"}
	case "echo":
		return Reply{Dict: *dict("got", req.Dict.Value("say"))}
	case "source":
		return Reply{Dict: *dict("source", req.Source.Addr().String())}
	case "fail":
		return Reply{Dict: *dict("a", 1), Error: "Unknown call-id"}
	case "panic":
		panic("boom")
	}
	return Reply{Error: "Unrecognized command"}
}

func newServer(t *testing.T, cfg ServerConfig) *Server {
	t.Helper()
	if cfg.Handler == nil {
		cfg.Handler = handlerFunc(testHandler)
	}
	s := NewServer(cfg)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestExchange(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"ping", "c d7:command4:pinge", "c d6:result4:ponge"},
		{"json", `c {"command":"ping"}`, `c {"result":"pong"}`},
		{"keys before the result", "c d7:command4:echo3:say2:hie", "c d3:got2:hi6:result2:oke"},
		{"error after keys", "c d7:command4:faile", "c d1:ai1e6:result5:error12:error-reason15:Unknown call-ide"},
		{"unknown command", "c d7:command1:xe", "c d6:result5:error12:error-reason20:Unrecognized commande"},
		{"unknown command, json", `c {"command":"x"}`, `c {"result":"error","error-reason":"Unrecognized command"}`},
		{"missing last e", "c d7:command4:ping", "c d6:result4:ponge"},
		{"trailing bytes", "c d7:command4:pinge\n\x00", "c d6:result4:ponge"},
		{"no cookie", " d7:command4:pinge", ""},
		{"no space", "d7:command4:pinge", ""},
		{"empty", "", ""},
		{"no payload", "c ", "c d6:result5:error12:error-reason25:Invalid data (no payload)e"},
		{"neither form", "c xyz", "c d6:result5:error12:error-reason22:Invalid NG data formate"},
		{"two spaces", "c  de", "c d6:result5:error12:error-reason22:Invalid NG data formate"},
		{"bad bencode", "c d7:commande", "c d6:result5:error12:error-reason35:Could not decode bencode dictionarye"},
		{"length that lies", "c d7:command65536:ae", "c d6:result5:error12:error-reason35:Could not decode bencode dictionarye"},
		{"nested without end", "c d1:a" + strings.Repeat("l", 60_000), "c d6:result5:error12:error-reason35:Could not decode bencode dictionarye"},
		{"bad json", `c {"command"`, `c {"result":"error","error-reason":"Failed to parse JSON document"}`},
		{"deep json", `c {"a":` + strings.Repeat("[", 60_000), `c {"result":"error","error-reason":"Could not decode JSON dictionary"}`},
		{"no command", "c de", `c d6:result5:error12:error-reason36:Dictionary contains no key "command"e`},
		{"command of a wrong type", "c d7:commandi1ee", `c d6:result5:error12:error-reason36:Dictionary contains no key "command"e`},
		{"panic", "c d7:command5:panice", "c d6:result5:error12:error-reason14:Internal errore"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, ServerConfig{})
			if got := s.exchange(t.Context(), nil, tt.in, netip.AddrPort{}); string(got) != tt.want {
				t.Errorf("exchange(%.60q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestPanicIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, ServerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.exchange(t.Context(), nil, "c d7:command5:panic7:call-id3:abce", netip.AddrPort{})
	for _, want := range []string{"panic=boom", "callid=abc", "testHandler"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q: %s", want, &log)
		}
	}
}

func TestReceived(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	source := netip.MustParseAddrPort("192.0.2.1:5060")
	var got *Request
	s := newServer(t, ServerConfig{
		Now:     func() time.Time { return now },
		Handler: handlerFunc(func(_ context.Context, req *Request) Reply { got = req; return Reply{} }),
	})
	s.exchange(t.Context(), nil, "c d7:command4:pinge", source)
	if !got.Received.Equal(now) || got.Source != source || got.Command != "ping" {
		t.Errorf("request = %+v", got)
	}
}

// listen opens a socket of the given transport and returns a client's target.
func listen(t *testing.T, s *Server, transport, host string) string {
	t.Helper()
	addr := netip.AddrPortFrom(netip.MustParseAddr(host), 0)
	var err error
	switch transport {
	case "udp":
		addr, err = s.ListenUDP(addr)
	case "tcp":
		addr, err = s.ListenTCP(addr)
	default:
		srv := httptest.NewServer(s.HTTPHandler(HTTPConfig{}))
		t.Cleanup(srv.Close)
		if transport == "ws" {
			return strings.Replace(srv.URL, "http", "ws", 1)
		}
		return srv.URL + "/ng"
	}
	if err != nil {
		t.Skipf("no %s on %s: %v", transport, host, err)
	}
	if addr.Addr().IsUnspecified() {
		addr = netip.AddrPortFrom(loopback(addr.Addr()), addr.Port())
	}
	return transport + ":" + addr.String()
}

func loopback(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.MustParseAddr("127.0.0.1")
	}
	return netip.IPv6Loopback()
}

func dial(t *testing.T, target string, cfg ClientConfig) *Client {
	t.Helper()
	c, err := Dial(t.Context(), target, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var transports = []struct{ name, transport, host string }{
	{"udp4", "udp", "127.0.0.1"}, {"udp6", "udp", "::1"}, {"udp4 any", "udp", "0.0.0.0"}, {"udp6 any", "udp", "::"},
	{"tcp4", "tcp", "127.0.0.1"}, {"tcp6", "tcp", "::1"}, {"http", "http", "127.0.0.1"}, {"ws", "ws", "127.0.0.1"},
}

func TestTransports(t *testing.T) {
	for _, tr := range transports {
		for _, useJSON := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, json=%v", tr.name, useJSON), func(t *testing.T) {
				s := newServer(t, ServerConfig{TOS: 184})
				c := dial(t, listen(t, s, tr.transport, tr.host), ClientConfig{JSON: useJSON})
				for _, say := range []string{"hello", "", strings.Repeat("x", 60_000)} {
					reply, err := c.Do(t.Context(), dict("command", "echo", "say", say))
					if err != nil {
						t.Fatal(err)
					}
					if got := reply.Value("got").Str(); got != say {
						t.Errorf("got %.40q, want %.40q", got, say)
					}
				}
				reply, err := c.Do(t.Context(), dict("command", "fail"))
				if re := (*ReplyError)(nil); !errors.As(err, &re) || re.Error() != "Unknown call-id" || reply == nil {
					t.Errorf("error reply = %v, %v", reply, err)
				}
				reply, err = c.Do(t.Context(), dict("command", "source"))
				if err != nil || !netip.MustParseAddr(reply.Value("source").Str()).IsLoopback() {
					t.Errorf("source = %v, %v", reply, err)
				}
			})
		}
	}
}

func TestSlowRequestHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	s := newServer(t, ServerConfig{Handler: handlerFunc(func(_ context.Context, req *Request) Reply {
		if req.Command == "slow" {
			<-release
		}
		return Reply{}
	})})
	c := dial(t, listen(t, s, "udp", "127.0.0.1"), ClientConfig{Timeout: time.Minute})
	var slow sync.WaitGroup
	slow.Go(func() {
		if _, err := c.Do(t.Context(), dict("command", "slow")); err != nil {
			t.Error(err)
		}
	})
	for range 100 {
		if _, err := c.Do(t.Context(), dict("command", "fast")); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	slow.Wait()
}

// A client with a connected socket takes replies only from the address it asked.
func TestReplyComesFromTheAddressAsked(t *testing.T) {
	s := newServer(t, ServerConfig{})
	addr, err := s.ListenUDP(netip.MustParseAddrPort("0.0.0.0:0"))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, fmt.Sprintf("udp:127.0.0.2:%d", addr.Port()), ClientConfig{})
	if _, err := c.Do(t.Context(), dict("command", "ping")); err != nil {
		t.Error(err)
	}
}

func TestCookieIsSharedByTransports(t *testing.T) {
	var runs atomic.Int32
	s := newServer(t, ServerConfig{Handler: handlerFunc(func(context.Context, *Request) Reply {
		return Reply{Dict: *dict("run", int(runs.Add(1)))}
	})})
	var replies []string
	for _, network := range []string{"udp", "udp", "tcp"} {
		_, addr, _ := strings.Cut(listen(t, s, network, "127.0.0.1"), ":")
		conn, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "same d7:command%d:%se", len(network), network)
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, string(buf[:n]))
	}
	for _, r := range replies {
		if r != "same d3:runi1e6:result2:oke" {
			t.Errorf("replies = %q", replies)
		}
	}
}

func TestTCPStream(t *testing.T) {
	s := newServer(t, ServerConfig{})
	_, addr, _ := strings.Cut(listen(t, s, "tcp", "127.0.0.1"), ":")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "a d7:command4:pingeb d7:command4:pinge\r\nc {\"command\":\"ping\"}d junk")
	conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(conn)
	want := `a d6:result4:pongeb d6:result4:pongec {"result":"pong"}d d6:result5:error12:error-reason22:Invalid NG data formate`
	if string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	entered := make(chan struct{})
	s := NewServer(ServerConfig{Handler: handlerFunc(func(ctx context.Context, _ *Request) Reply {
		close(entered)
		<-ctx.Done()
		return Reply{}
	})})
	listen(t, s, "tcp", "127.0.0.1")
	ws := dial(t, listen(t, s, "ws", "127.0.0.1"), ClientConfig{})
	c := dial(t, listen(t, s, "udp", "127.0.0.1"), ClientConfig{Timeout: time.Minute})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() { _, _ = c.Do(ctx, dict("command", "x")) })
	<-entered
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	wg.Wait()
	if _, err := ws.Do(t.Context(), dict("command", "x")); err == nil {
		t.Error("a WebSocket outlived Close")
	}
	for _, listen := range []func(netip.AddrPort) (netip.AddrPort, error){s.ListenUDP, s.ListenTCP} {
		if _, err := listen(netip.MustParseAddrPort("127.0.0.1:0")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listen after Close: %v", err)
		}
	}
}

func TestListenErrors(t *testing.T) {
	s := newServer(t, ServerConfig{})
	for _, listen := range []func(netip.AddrPort) (netip.AddrPort, error){s.ListenUDP, s.ListenTCP} {
		addr, err := listen(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listen(addr); err == nil {
			t.Errorf("second socket on %v", addr)
		}
	}
}

func TestHTTP(t *testing.T) {
	const ngType, jsonType = "application/x-rtpengine-ng", "application/json"
	tests := []struct {
		name, method, path, contentType, body string
		status                                int
		wantType, want                        string
	}{
		{"ping", "GET", "/ping", "", "", 200, "text/plain", "pong\n"},
		{"ng", "POST", "/ng", ngType, "c d7:command4:pinge", 200, ngType, "c d6:result4:ponge"},
		{"ng json", "POST", "/ng", ngType, `c2 {"command":"ping"}`, 200, ngType, `c2 {"result":"pong"}`},
		{"ng with parameter", "POST", "/ng", ngType + "; charset=utf-8", "c d7:command4:pinge", 200, ngType, "c d6:result4:ponge"},
		{"ng without cookie", "POST", "/ng", ngType, "d7:command4:pinge", 400, "", "error\n"},
		{"ng as json type", "POST", "/ng", jsonType, "c {}", 415, "", ""},
		{"ng without type", "POST", "/ng", "", "c {}", 415, "", ""},
		{"ng too long", "POST", "/ng", ngType, "c " + strings.Repeat("x", maxMessage), 413, "", ""},
		{"plain json", "POST", "/ng-plain", jsonType, `{"command":"ping"}`, 200, jsonType, `{"result":"pong"}`},
		{"plain bencode", "POST", "/ng-plain", ngType, "d7:command4:pinge", 200, ngType, "d6:result4:ponge"},
		{"get ng", "GET", "/ng", "", "", 404, "text/plain", "not found\n"},
		{"nowhere", "GET", "/nope", "", "", 404, "text/plain", "not found\n"},
		{"options", "OPTIONS", "/anything", "", "", 200, "", ""},
		{"cli", "GET", "/cli/list+sessions/a%40b%2fc", "", "", 200, "text/plain", "<list sessions/a@b/c>"},
		{"cli post", "POST", "/cli", "text/plain", "list numsessions\n", 200, "text/plain", "<list numsessions>"},
	}
	s := newServer(t, ServerConfig{})
	h := s.HTTPHandler(HTTPConfig{CLI: func(_ context.Context, line string) string { return "<" + line + ">" }})
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, srv.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || tt.want != "" && string(body) != tt.want {
				t.Errorf("%s %s = %d %q, want %d %q", tt.method, tt.path, resp.StatusCode, body, tt.status, tt.want)
			}
			if got := resp.Header.Get("Content-Type"); tt.wantType != "" && got != tt.wantType {
				t.Errorf("content type %q, want %q", got, tt.wantType)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("allowed origin %q, want *", got)
			}
		})
	}
}

func TestHTTPOther(t *testing.T) {
	s := newServer(t, ServerConfig{})
	h := s.HTTPHandler(HTTPConfig{Other: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "other "+r.URL.Path)
	})})
	for path, want := range map[string]string{"/metrics": "other /metrics", "/cli/x": "other /cli/x", "/ping": "pong\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("GET %s = %q, want %q", path, got, want)
		}
	}
}

func TestWebSocket(t *testing.T) {
	tests := []struct {
		protocol, in, want string
		kind               websocket.MessageType
	}{
		{"ng.rtpengine.com", "c d7:command4:pinge", "c d6:result4:ponge", websocket.MessageBinary},
		{"ng-plain.rtpengine.com", `{"command":"ping"}`, `{"result":"pong"}`, websocket.MessageBinary},
		{"cli.rtpengine.com", "list totals", "<list totals>", websocket.MessageText},
		{"echo.rtpengine.com", "any", "any", websocket.MessageText},
	}
	s := newServer(t, ServerConfig{})
	srv := httptest.NewServer(s.HTTPHandler(HTTPConfig{CLI: func(_ context.Context, line string) string { return "<" + line + ">" }}))
	defer srv.Close()
	url := strings.Replace(srv.URL, "http", "ws", 1) + "/any/path"
	for _, tt := range tests {
		t.Run(tt.protocol, func(t *testing.T) {
			header := http.Header{"Origin": {"https://elsewhere.example"}}
			conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"x", tt.protocol}, HTTPHeader: header})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			if tt.protocol == "ng.rtpengine.com" { // silence for what has no cookie
				if err := conn.Write(t.Context(), websocket.MessageText, []byte("junk")); err != nil {
					t.Fatal(err)
				}
			}
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(tt.in)); err != nil {
				t.Fatal(err)
			}
			kind, got, err := conn.Read(t.Context())
			if err != nil || kind != tt.kind || string(got) != tt.want {
				t.Errorf("got %v %q, %v, want %v %q", kind, got, err, tt.kind, tt.want)
			}
		})
	}
	for _, protocols := range [][]string{nil, {"x"}} {
		if _, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: protocols}); err == nil || resp.StatusCode != 400 {
			t.Errorf("subprotocols %q accepted", protocols)
		}
	}
	_ = s.Close()
	if _, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{protocolNG}}); err == nil || resp.StatusCode != 503 {
		t.Error("handshake after Close")
	}
}

// TestTrace: each request that is run is told with both messages as they go over the wire, repeats and rubbish are not.
func TestTrace(t *testing.T) {
	var got []string
	s := newServer(t, ServerConfig{Trace: func(req *Request, message string, reply []byte) {
		got = append(got, req.Command+"|"+message+"|"+string(reply))
	}})
	s.exchange(t.Context(), nil, "c d7:command4:pinge", netip.AddrPort{})
	s.exchange(t.Context(), nil, "c d7:command4:pinge", netip.AddrPort{})
	s.exchange(t.Context(), nil, "d xyz", netip.AddrPort{})
	s.answer(t.Context(), "", `{"command":"ping"}`, netip.AddrPort{}, time.Time{})
	want := []string{"ping|c d7:command4:pinge|c d6:result4:ponge", `ping|{"command":"ping"}|{"result":"pong"}`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
