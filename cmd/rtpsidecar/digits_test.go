package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// TestDigitLog presses a key in a call of a running daemon: the daemon's destination, or else the call's, and the
// clients on TCP are told.
func TestDigitLog(t *testing.T) {
	var listeners [2]*net.UDPConn
	for i := range listeners {
		var err error
		if listeners[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		defer listeners[i].Close()
	}
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--listen-tcp-ng=127.0.0.1:0", "--dtmf-log-ng-tcp",
		"--dtmf-log-dest="+listeners[0].LocalAddr().String())
	client, err := ng.Dial(t.Context(), "udp:"+d.NG[0], ng.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tcp, err := net.Dial("tcp", d.TCP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	phone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	_, port, _ := net.SplitHostPort(phone.LocalAddr().String())
	for i, id := range []string{"all", "own"} {
		var shown netip.AddrPort
		for _, command := range []string{"offer", "answer"} {
			q := new(ng.Dict)
			q.AddString("command", command)
			q.AddString("call-id", id)
			q.AddString("from-tag", "A")
			q.AddString("to-tag", "B")
			q.AddString("sdp", strings.Replace(phoneBody("127.0.0.1", port), "RTP/AVP 0", "RTP/AVP 0 101", 1)+"a=rtpmap:101 telephone-event/8000\r\n")
			if id == "own" {
				q.AddString("DTMF-log-dest", listeners[1].LocalAddr().String())
			}
			reply, err := client.Do(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			s, err := sdp.Parse(reply.Value("sdp").Str())
			if err != nil {
				t.Fatal(err)
			}
			shown = s.Media[0].RTPAddr()
		}
		if i == 0 { // one request, so that the server has the connection
			if _, err := tcp.Write([]byte("x d7:command4:pinge")); err != nil {
				t.Fatal(err)
			}
			expect(t, tcp, "x d6:result4:ponge")
		}
		event := binary.BigEndian.AppendUint32([]byte{0x80, 101, 0, 1, 0, 0, 0, 160}, 7)
		if _, err := phone.WriteToUDPAddrPort(append(event, 5, 0x8a, 3, 32), shown); err != nil {
			t.Fatal(err)
		}
		expect(t, listeners[i], `{"callid":"`+id+`"`, `"event":5,"duration":100,"volume":10}`)
		expect(t, tcp, " d6:notify6:onDTMF4:datad6:callid3:"+id+"10:source_tag1:A")
	}
}

// expect reads once and wants all of parts.
func expect(t *testing.T, from net.Conn, parts ...string) {
	t.Helper()
	b := make([]byte, 4096)
	_ = from.SetReadDeadline(time.Now().Add(15 * time.Second))
	n, err := from.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if !strings.Contains(string(b[:n]), p) {
			t.Errorf("%q has no %q", b[:n], p)
		}
	}
}
