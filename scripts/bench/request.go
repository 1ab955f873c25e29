package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/scripts/internal/daemon"
)

// requestCalls is how many calls the request load asks about: enough that they do not wait for each other.
const requestCalls = 64

// largestRequest is an offer with as much as a browser and a proxy's script ever say: a body of four media with ICE and
// DTLS, and some thirty flags, all of them known to both daemons, none of which asks for audio to be converted.
func largestRequest(id, body string) *ng.Dict {
	words := func(s string) ng.Value {
		var list []ng.Value
		for _, w := range strings.Fields(s) {
			list = append(list, ng.String(w))
		}
		return ng.List(list...)
	}
	d := message("offer", id, "from-tag", "caller", "via-branch", "z9hG4bK776asdhds", "ICE", "force", "DTLS", "passive",
		"transport-protocol", "UDP/TLS/RTP/SAVPF", "address-family", "IP4", "TOS", "184", "label", "caller",
		"metadata", "campaign:7|agent:12", "media-address", "127.0.0.1")
	d.Add("received-from", words("IP4 127.0.0.1"))
	d.Add("flags", words("trust-address strict-source media-handover generate-mid port-latching original-sendrecv asymmetric"+
		" loop-protect pierce-NAT trickle-ICE unidirectional"))
	d.Add("replace", words("origin session-connection SDP-version username session-name"))
	d.Add("rtcp-mux", words("offer accept"))
	d.Add("SDES", words("off"))
	d.AddString("sdp", body)
	return d
}

// requests sends the largest request again and again to calls that know it: what is left is reading it, deciding, and
// writing the reply.
func (o options) requests(ctx context.Context, d *daemon.Daemon, res result) error {
	body, err := os.ReadFile(o.body)
	if err != nil {
		return err
	}
	ask := func(n int) error {
		_, err := d.Ask(largestRequest(fmt.Sprintf("request-%d", n%requestCalls), string(body)))
		return err
	}
	for n := range requestCalls {
		if err := ask(n); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // keys of the calls, handshakes
	before, err := cpuTime(d.PID())
	if err != nil {
		return err
	}
	err = o.each(ctx, o.setups, ask)
	if err != nil {
		return err
	}
	after, err := cpuTime(d.PID())
	res["request: CPU per message"] = micro((after - before) / time.Duration(o.setups))
	return err
}
