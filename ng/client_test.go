package ng

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// silentDaemon reads datagrams and answers from the nth on; it returns its address and what it read.
func silentDaemon(t *testing.T, nth int, reply string) (target string, got <-chan string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := make(chan string, 100)
	go func() {
		buf := make([]byte, maxDatagram)
		for i := 1; ; i++ {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			c <- string(buf[:n])
			if cookie, _, _ := SplitCookie(string(buf[:n])); i >= nth {
				_, _ = conn.WriteTo([]byte("other de"), from)
				_, _ = conn.WriteTo([]byte(cookie+" "+reply), from)
				_, _ = conn.WriteTo([]byte(cookie+" "+reply), from)
			}
		}
	}()
	return "udp:" + conn.LocalAddr().String(), c
}

func TestClientRepeats(t *testing.T) {
	target, got := silentDaemon(t, 3, "d6:result4:ponge")
	c := dial(t, target, ClientConfig{Timeout: 20 * time.Millisecond, Attempts: 1000})
	if _, err := c.Do(t.Context(), dict("command", "ping")); err != nil {
		t.Fatal(err)
	}
	first := <-got
	for range 2 {
		if again := <-got; again != first {
			t.Errorf("repeat %q differs from %q", again, first)
		}
	}
	if _, err := c.Do(t.Context(), dict("command", "ping")); err != nil {
		t.Fatal(err)
	}
	for len(got) > 1 {
		<-got
	}
	if second := <-got; second == first {
		t.Errorf("two requests share the cookie in %q", second)
	}
}

func TestClientGivesUp(t *testing.T) {
	target, got := silentDaemon(t, 1<<30, "")
	c := dial(t, target, ClientConfig{Timeout: time.Millisecond, Attempts: 3})
	if _, err := c.Do(t.Context(), dict("command", "ping")); !errors.Is(err, ErrNoReply) {
		t.Errorf("error = %v, want %v", err, ErrNoReply)
	}
	for range 3 {
		<-got
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	boom := errors.New("boom")
	cancel(boom)
	c = dial(t, target, ClientConfig{})
	if _, err := c.Do(ctx, dict("command", "ping")); !errors.Is(err, boom) {
		t.Errorf("error = %v, want %v", err, boom)
	}
}

func TestClientNobodyListens(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := "udp:" + conn.LocalAddr().String()
	_ = conn.Close()
	c := dial(t, target, ClientConfig{Timeout: 5 * time.Millisecond})
	if _, err := c.Do(t.Context(), dict("command", "ping")); !errors.Is(err, ErrNoReply) {
		t.Errorf("error = %v, want %v", err, ErrNoReply)
	}
}

func TestClientBadReply(t *testing.T) {
	for _, reply := range []string{"x", "i1e", "d1:a", `{"a"`, ""} {
		target, _ := silentDaemon(t, 1, reply)
		c := dial(t, target, ClientConfig{})
		if got, err := c.Do(t.Context(), dict("command", "ping")); err == nil {
			t.Errorf("reply %q read as %v", reply, got)
		}
	}
}

func TestClientClosed(t *testing.T) {
	s := newServer(t, ServerConfig{})
	for _, transport := range []string{"udp", "tcp", "ws"} {
		c := dial(t, listen(t, s, transport, "127.0.0.1"), ClientConfig{})
		_ = c.Close()
		if _, err := c.Do(t.Context(), dict("command", "ping")); err == nil {
			t.Errorf("%s: request after Close", transport)
		}
	}
}

func TestClientDaemonHangsUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = conn.Read(make([]byte, 100))
			_ = conn.Close()
		}
	}()
	c := dial(t, "tcp:"+l.Addr().String(), ClientConfig{Timeout: time.Minute})
	if _, err := c.Do(t.Context(), dict("command", "ping")); err == nil || errors.Is(err, ErrNoReply) {
		t.Errorf("error = %v", err)
	}
}

func TestClientHTTPErrors(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			_, _ = io.Copy(io.Discard, r.Body)
			<-release
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	defer close(release)
	c := dial(t, srv.URL+"/slow", ClientConfig{Timeout: time.Millisecond, Attempts: 2})
	if _, err := c.Do(t.Context(), dict("command", "ping")); !errors.Is(err, ErrNoReply) {
		t.Errorf("error = %v, want %v", err, ErrNoReply)
	}
	c = dial(t, srv.URL+"/ng", ClientConfig{})
	if _, err := c.Do(t.Context(), dict("command", "ping")); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error = %v, want status 404", err)
	}
}

func TestDialErrors(t *testing.T) {
	for _, target := range []string{"", "localhost:2223", "udp:nowhere", "tcp:127.0.0.1:1", "ws://127.0.0.1:1/"} {
		if c, err := Dial(t.Context(), target, ClientConfig{}); err == nil {
			_ = c.Close()
			t.Errorf("Dial(%q) succeeded", target)
		}
	}
}
