package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rtpsidecar/cmd/sidecar-lab/load"
	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// body is a phone's SDP; crypto is its SDES key in SDP's form with the tag in front, "" for plain RTP.
func body(user string, media netip.AddrPort, crypto string) string {
	protocol, lines := "RTP/AVP", ""
	if crypto != "" {
		protocol, lines = "RTP/SAVP", "a=crypto:"+crypto+"\r\n"
	}
	host := media.Addr().String()
	return "v=0\r\no=" + user + " 1 1 IN IP4 " + host + "\r\ns=-\r\nc=IN IP4 " + host + "\r\nt=0 0\r\n" +
		"m=audio " + strconv.Itoa(int(media.Port())) + " " + protocol + " 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n" +
		lines + "a=ptime:20\r\n"
}

func message(command, id string, keys ...string) *ng.Dict {
	d := new(ng.Dict)
	d.AddString("command", command)
	d.AddString("call-id", id)
	for i := 0; i < len(keys); i += 2 {
		d.AddString(keys[i], keys[i+1])
	}
	return d
}

// setUp makes one call between a caller and a callee with these media addresses. With crypto, in SDP's form, the callee
// has SRTP, under this key of its own. Muxed RTP and RTCP share ports.
func setUp(d *daemon.Daemon, id string, caller, callee netip.AddrPort, crypto string, muxed bool) (c load.Call, err error) {
	keys := []string{"from-tag", "caller", "ICE", "remove"}
	var toCallee []string
	if crypto != "" {
		toCallee = []string{"transport-protocol", "RTP/SAVP"}
	}
	more := ""
	if muxed {
		more = "a=rtcp-mux\r\n"
	}
	ask := message("offer", id, slices.Concat(keys, toCallee, []string{"sdp", body("caller", caller, "") + more})...)
	if muxed {
		ask.Add("rtcp-mux", ng.List(ng.String("require")))
	}
	offer, err := d.Ask(ask)
	if err == nil {
		c.ToCaller, err = mediaOf(offer) // the callee sends there
	}
	if err != nil {
		return c, fmt.Errorf("offer: %w", err)
	}
	if crypto != "" {
		if crypto, err = tagged(offer, crypto); err != nil {
			return c, err
		}
	}
	answer, err := d.Ask(message("answer", id, slices.Concat(keys, []string{"to-tag", "callee", "sdp", body("callee", callee, crypto) + more})...))
	if err == nil {
		c.ToCallee, err = mediaOf(answer)
	}
	if err != nil {
		return c, fmt.Errorf("answer: %w", err)
	}
	return c, nil
}

// tagged puts the tag in front of crypto under which the relay has offered its suite.
func tagged(offer *ng.Dict, crypto string) (string, error) {
	suite, _, _ := strings.Cut(crypto, " ")
	for line := range strings.Lines(offer.Value("sdp").Str()) {
		rest, ok := strings.CutPrefix(line, "a=crypto:")
		if tag, what, _ := strings.Cut(rest, " "); ok && strings.HasPrefix(what, suite+" ") {
			return tag + " " + crypto, nil
		}
	}
	return "", fmt.Errorf("offer: no %s", suite)
}

func tearDown(d *daemon.Daemon, id string) error {
	_, err := d.Ask(message("delete", id, "from-tag", "caller", "delete-delay", "0"))
	return err
}

// mediaOf is where the SDP of a reply wants media.
func mediaOf(reply *ng.Dict) (netip.AddrPort, error) {
	text := reply.Value("sdp").Str()
	_, host, ok1 := strings.Cut(text, "c=IN IP4 ")
	_, rest, ok2 := strings.Cut(text, "m=audio ")
	if !ok1 || !ok2 {
		return netip.AddrPort{}, fmt.Errorf("no audio in %q", text)
	}
	host, _, _ = strings.Cut(host, "\r\n")
	port, _, _ := strings.Cut(rest, " ")
	return netip.ParseAddrPort(host + ":" + port)
}
