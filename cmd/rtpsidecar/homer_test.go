package main

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// TestHomer: the collector hears of the control messages of a call and of reception reports.
func TestHomer(t *testing.T) {
	collector, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--homer="+collector.LocalAddr().String(), "--homer-enable-ng", "--homer-id=77")
	next := func(parts ...string) {
		t.Helper()
		b := make([]byte, 65535)
		_ = collector.SetReadDeadline(time.Now().Add(15 * time.Second))
		n, err := collector.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(parts, "HEP3", "homer@x") {
			if !bytes.Contains(b[:n], []byte(p)) {
				t.Errorf("%q has no %q", b[:n], p)
			}
		}
	}
	client, err := ng.Dial(t.Context(), "udp:"+d.NG[0], ng.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var phones [2]*net.UDPConn
	var shown [2]netip.AddrPort
	for i, command := range []string{"offer", "answer"} {
		if phones[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		defer phones[i].Close()
		_, port, _ := net.SplitHostPort(phones[i].LocalAddr().String())
		q := new(ng.Dict)
		q.AddString("command", command)
		q.AddString("call-id", "homer@x")
		q.AddString("from-tag", "A")
		if i == 1 {
			q.AddString("to-tag", "B")
		}
		q.AddString("sdp", phoneBody("127.0.0.1", port))
		reply, err := client.Do(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sdp.Parse(reply.Value("sdp").Str())
		if err != nil {
			t.Fatal(err)
		}
		shown[1-i] = s.Media[0].RTPAddr()
		next(`"command":"`+command+`"`, "\x00\x00\x00\x4d")
		next(`"result":"ok"`)
	}

	// One packet of A, and B's receiver report about it.
	rtp := append([]byte{0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7}, make([]byte, 160)...)
	if _, err := phones[0].WriteToUDPAddrPort(rtp, shown[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := phones[1].Read(make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	rr := []byte{0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 7, 64, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0}
	rtcp := netip.AddrPortFrom(shown[1].Addr(), shown[1].Port()+1)
	if _, err := phones[1].WriteToUDPAddrPort(rr, rtcp); err != nil {
		t.Fatal(err)
	}
	next(`"fraction_lost":64`, `"packets_lost":3`, `"source_ssrc":7`, `"ia_jitter":5`)
}
