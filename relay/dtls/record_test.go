package dtls

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueIsBounded(t *testing.T) {
	e := newEnd(t, Server, testCertificates[0], func([]byte) {}, nil)
	defer e.Close()
	for i := range queueLen {
		if !e.Deliver(clientHelloLike()) {
			t.Fatalf("datagram %d dropped", i)
		}
	}
	b := clientHelloLike()
	if n := testing.AllocsPerRun(10, func() {
		if e.Deliver(b) {
			t.Error("the queue has no bound")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a dropped datagram", n)
	}
}

// clientHelloLike passes for DTLS.
func clientHelloLike() []byte {
	return append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12}, make([]byte, 12)...)
}

func TestPlausible(t *testing.T) {
	record := func(kind, major byte, epoch byte, content ...byte) []byte {
		return append([]byte{kind, major, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, 0, byte(len(content))}, content...)
	}
	hello := clientHelloLike()
	tests := []struct {
		name string
		in   []byte
		want bool
	}{
		{"empty", nil, false},
		{"header cut", hello[:12], false},
		{"content cut", hello[:20], false},
		{"hello", hello, true},
		{"two records", append(clientHelloLike(), record(20, 0xfe, 0, 1)...), true},
		{"trailing byte", append(clientHelloLike(), 0), false},
		{"TLS", record(22, 3, 0, make([]byte, 12)...), false},
		{"short handshake", record(22, 0xfe, 0, 1, 2, 3), false},
		{"alert", record(21, 0xfe, 0, 2, 40), true},
		{"long alert", record(21, 0xfe, 0, 2, 40, 1), false},
		{"strange cipher change", record(20, 0xfe, 0, 2), false},
		{"plain data", record(23, 0xfe, 0, 1, 2, 3), false},
		{"encrypted data", record(23, 0xfe, 1, 1, 2, 3), true},
		{"connection id", record(25, 0xfe, 1, 1, 2, 3), false},
	}
	for _, tt := range tests {
		if got := plausible(tt.in); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What is left of an association before this one does not start a server's clock.
func TestServerWaitsForClientHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := link(t, nil, nil, nil)
		start(t, server, client)
		for _, b := range [][]byte{clientHelloLike(), {21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3}} {
			server.Deliver(b)
		}
		time.Sleep(2 * defaultTimeout)
		if server.State() != StateWaiting {
			t.Errorf("state %v", server.State())
		}
		start(t, client, server)
		checkKeys(t, <-client.result, <-server.result)
		client.Close()
		server.Close()
	})
}

// Rubbish that passes for DTLS, before and during the handshake, must not hinder it.
func TestRubbish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server *end
		rubbish := [][]byte{
			nil, {0}, []byte("not DTLS at all"), {0x80, 0, 0, 1},
			{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 9},             // data in the clear
			{24, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 9},             // heartbeat
			{20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 9},             // cipher change to 9
			{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 9},             // half an alert
			{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 3, 9, 9, 9},       // encrypted too early
			append(clientHelloLike(), 22, 0xfe, 0xfd, 0, 0, 0, 0, 0),      // cut behind a good one
			{22, 0xfe, 0xfd, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0, 3, 9, 9, 9}, // epoch 65535
		}
		send := func(_ int, b []byte, deliver func([]byte)) {
			for _, r := range rubbish {
				deliver(r)
			}
			deliver(b)
		}
		client, server := link(t, send, send, nil)
		start(t, server, client)
		start(t, client, server)
		checkKeys(t, <-client.result, <-server.result)
		client.Close()
		server.Close()
	})
}

func FuzzDeliver(f *testing.F) {
	f.Add(clientHelloLike())
	f.Add([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40})
	f.Add([]byte{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 3, 9, 9, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Both roles read it while they wait for the far end.
		for _, role := range []Role{Client, Server} {
			e := newEnd(t, role, testCertificates[0], func([]byte) {}, nil)
			e.Deliver(b)
			e.Deliver(b)
			start(t, e, &end{cert: testCertificates[1]})
			e.Close()
			if r := <-e.result; r.Err == nil {
				t.Fatal("keys out of thin air")
			}
		}
	})
}
