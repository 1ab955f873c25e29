package ng

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// linkTransport is the client's side of a socket on which replies come in any order: UDP, TCP, WebSocket.
type linkTransport struct {
	cfg     ClientConfig
	resend  bool // frames may be lost
	send    func(ctx context.Context, frame []byte) error
	receive func() ([]byte, error) // the next frame, in memory that nobody else uses
	close   func() error

	mu      sync.Mutex
	waiting map[string]chan<- []byte // by cookie; each channel has room for its one reply
	done    chan struct{}            // closed when the reader has ended
	err     error                    // why it ended; read it after done
}

func (t *linkTransport) run() *linkTransport {
	t.waiting = make(map[string]chan<- []byte)
	t.done = make(chan struct{})
	go t.read()
	return t
}

// read hands out replies until the socket fails or is closed. Close waits for it.
func (t *linkTransport) read() {
	defer close(t.done)
	for {
		frame, err := t.receive()
		if err != nil {
			t.err = err
			return
		}
		cookie, _, _ := SplitCookie(string(frame))
		t.mu.Lock()
		c := t.waiting[cookie]
		delete(t.waiting, cookie) // later copies are answers to repeats
		t.mu.Unlock()
		if c != nil {
			c <- frame
		}
	}
}

func (t *linkTransport) Close() error {
	err := t.close()
	<-t.done
	return err
}

func (t *linkTransport) exchange(ctx context.Context, cookie string, frame []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	t.mu.Lock()
	t.waiting[cookie] = reply
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.waiting, cookie)
		t.mu.Unlock()
	}()
	attempts, timeout := t.cfg.Attempts, t.cfg.Timeout
	if !t.resend {
		attempts, timeout = 1, t.cfg.patience()
	}
	var sendErr error
	for range attempts {
		if sendErr = t.send(ctx, frame); sendErr != nil && !errors.Is(sendErr, syscall.ECONNREFUSED) {
			return nil, sendErr
		}
		timer := time.NewTimer(timeout)
		select {
		case msg := <-reply:
			timer.Stop()
			return msg, nil
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-t.done:
			timer.Stop()
			return nil, t.err
		case <-timer.C:
		}
	}
	return nil, fmt.Errorf("%w in %d attempts of %v", ErrNoReply, attempts, timeout)
}

func dialSocket(ctx context.Context, network, addr string, cfg ClientConfig) (transport, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	t := &linkTransport{cfg: cfg, resend: network == "udp", close: conn.Close}
	t.send = func(_ context.Context, frame []byte) error {
		_, err := conn.Write(frame)
		return err
	}
	t.receive = receiveStream(conn)
	if t.resend {
		t.receive = receiveDatagram(conn)
	}
	return t.run(), nil
}

func receiveStream(conn net.Conn) func() ([]byte, error) {
	messages := bufio.NewScanner(conn)
	messages.Buffer(nil, maxMessage)
	messages.Split(new(splitter).Split)
	return func() ([]byte, error) {
		if messages.Scan() {
			return []byte(messages.Text()), nil
		}
		if err := messages.Err(); err != nil {
			return nil, err
		}
		return nil, errors.New("connection closed by the daemon")
	}
}

func receiveDatagram(conn net.Conn) func() ([]byte, error) {
	buf := make([]byte, maxDatagram)
	return func() ([]byte, error) {
		for {
			n, err := conn.Read(buf)
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue // nobody listens yet; a repeat may find the daemon started
			}
			if err != nil {
				return nil, err
			}
			return append([]byte(nil), buf[:n]...), nil
		}
	}
}

func dialWebSocket(ctx context.Context, target string, cfg ClientConfig) (transport, error) {
	conn, _, err := websocket.Dial(ctx, target, &websocket.DialOptions{Subprotocols: []string{protocolNG}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	readCtx, cancel := context.WithCancel(context.Background())
	t := &linkTransport{cfg: cfg}
	t.close = func() error {
		cancel()
		return conn.CloseNow()
	}
	t.send = func(ctx context.Context, frame []byte) error { return conn.Write(ctx, websocket.MessageBinary, frame) }
	t.receive = func() ([]byte, error) {
		_, frame, err := conn.Read(readCtx)
		return frame, err
	}
	return t.run(), nil
}
