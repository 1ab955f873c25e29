package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// TestHomer: the collector hears of the control messages of a call and of its RTCP as it passed.
func TestHomer(t *testing.T) {
	collector, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--homer="+collector.LocalAddr().String(), "--homer-enable-ng", "--homer-id=77",
		"--listen-http=127.0.0.1:0")
	if got := get(t, "http://"+d.HTTP[0]+"/metrics"); !strings.Contains(got, "\nrtpengine_homer_lost_total 0\n") {
		t.Error("what the collector misses is not counted")
	}
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
		next(" d7:command"+strconv.Itoa(len(command))+":"+command+"7:call-id7:homer@x", "\x00\x00\x00\x4d", "\x00\x00\x00\x0b\x00\x07\x3d")
		next("6:result2:oke", "\x00\x00\x00\x0b\x00\x07\x3d")
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
	// As it came: one report for one packet, by addresses that a capture would show.
	next(`{"ssrc":9,"type":201,"report_count":1,"report_blocks":[{"source_ssrc":7,"highest_seq_no":1,"fraction_lost":64,`+
		`"ia_jitter":5,"packets_lost":3,"lsr":0,"dlsr":0}]}`, "\x00\x00\x00\x0b\x00\x07\x05",
		string(binary.BigEndian.AppendUint16([]byte("\x00\x00\x00\x08\x00\x08"), rtcp.Port())))
}
