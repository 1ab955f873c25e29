package webrtclab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"rtpsidecar/ng"
)

// Call is one call as a proxy would make it: the same call-id and tags in each request, flags as in a script.
type Call struct {
	d        *Daemon
	ID       string
	From, To string
}

// NewCall names a call; nothing is sent yet.
func NewCall(d *Daemon, id string) *Call {
	return &Call{d: d, ID: id, From: id + "-from", To: id + "-to"}
}

// Offer and Answer send an SDP body and return the rewritten one. Reversed swaps the tags: the callee re-invites.
func (c *Call) Offer(ctx context.Context, sdp, flags string) (string, error) {
	return c.send(ctx, "offer", c.From, "", sdp, flags)
}

func (c *Call) Answer(ctx context.Context, sdp, flags string) (string, error) {
	return c.send(ctx, "answer", c.From, c.To, sdp, flags)
}

// Reoffer is an offer inside the established call, by the caller.
func (c *Call) Reoffer(ctx context.Context, sdp, flags string) (string, error) {
	return c.send(ctx, "offer", c.From, c.To, sdp, flags)
}

// Trickle hands over candidates as a browser's proxy does: an application/trickle-ice-sdpfrag body.
func (c *Call) Trickle(ctx context.Context, fromCaller bool, fragment string) error {
	from, to := c.From, ""
	if !fromCaller {
		from, to = c.To, c.From
	}
	_, err := c.send(ctx, "offer", from, to, fragment, "fragment ICE=force")
	return err
}

// Delete ends the call at once.
func (c *Call) Delete(ctx context.Context) error {
	_, err := c.send(ctx, "delete", "", "", "", "delete-delay=0")
	return err
}

// Query is the daemon's view of the call.
func (c *Call) Query(ctx context.Context) (*ng.Dict, error) {
	return c.d.NG.Do(ctx, c.request("query", "", ""))
}

func (c *Call) request(command, from, to string) *ng.Dict {
	req := &ng.Dict{}
	req.AddString("command", command)
	req.AddString("call-id", c.ID)
	if from != "" {
		req.AddString("from-tag", from)
	}
	if to != "" {
		req.AddString("to-tag", to)
	}
	return req
}

func (c *Call) send(ctx context.Context, command, from, to, sdp, flags string) (string, error) {
	req := c.request(command, from, to)
	if sdp != "" {
		req.AddString("sdp", sdp)
	}
	req.AddScriptFlags(flags)
	reply, err := c.d.NG.Do(ctx, req)
	if err != nil {
		return "", fmt.Errorf("%s %q: %w", command, flags, err)
	}
	return reply.Value("sdp").Str(), nil
}

// PhoneSDP is a telephone's body: PCMU and telephone-event.
func (p *Phone) PhoneSDP() string {
	family := "IP4"
	if p.Addr.Addr().Is6() {
		family = "IP6"
	}
	return strings.ReplaceAll(fmt.Sprintf(`v=0
o=phone 20518 0 IN %[1]s %[2]s
s=-
c=IN %[1]s %[2]s
t=0 0
m=audio %[3]d RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
`, family, p.Addr.Addr(), p.Addr.Port()), "\n", "\r\n")
}

// AudioAddr reads the address of the first m= section that has a port.
func AudioAddr(sdp string) (netip.AddrPort, error) {
	var host string
	var port uint64
	for line := range strings.Lines(sdp) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "m=") && len(fields) > 1 && port == 0:
			port, _ = strconv.ParseUint(fields[1], 10, 16)
		case strings.HasPrefix(line, "c=IN") && len(fields) > 2:
			host = fields[2]
		}
		if port != 0 && host != "" {
			addr, err := netip.ParseAddr(host)
			return netip.AddrPortFrom(addr, uint16(port)), err
		}
	}
	return netip.AddrPort{}, errors.New("no media address in the body")
}
