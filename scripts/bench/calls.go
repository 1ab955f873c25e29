package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// call is one established call: where each side must send.
type call struct {
	id               string
	toCaller, callee netip.AddrPort // relay ports: callee is where the caller sends, toCaller where the callee sends
}

func body(user string, port int) string {
	return "v=0\r\no=" + user + " 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=audio " + strconv.Itoa(port) + " RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
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

// setUp makes one call between a caller and a callee whose media ports on 127.0.0.1 are given.
func setUp(d *daemon.Daemon, id string, callerPort, calleePort int) (call, error) {
	c := call{id: id}
	offer, err := d.Ask(message("offer", id, "from-tag", "caller", "ICE", "remove", "sdp", body("caller", callerPort)))
	if err == nil {
		c.toCaller, err = mediaOf(offer) // the callee sends there
	}
	if err != nil {
		return c, fmt.Errorf("offer: %w", err)
	}
	answer, err := d.Ask(message("answer", id, "from-tag", "caller", "to-tag", "callee", "ICE", "remove", "sdp", body("callee", calleePort)))
	if err == nil {
		c.callee, err = mediaOf(answer)
	}
	if err != nil {
		return c, fmt.Errorf("answer: %w", err)
	}
	return c, nil
}

func tearDown(d *daemon.Daemon, id string) error {
	_, err := d.Ask(message("delete", id, "from-tag", "caller", "delete-delay", "0"))
	return err
}

func mediaOf(reply *ng.Dict) (netip.AddrPort, error) {
	_, rest, ok := strings.Cut(reply.Value("sdp").Str(), "m=audio ")
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("no audio in %q", reply.Value("sdp").Str())
	}
	port, _, _ := strings.Cut(rest, " ")
	return netip.ParseAddrPort("127.0.0.1:" + port)
}
