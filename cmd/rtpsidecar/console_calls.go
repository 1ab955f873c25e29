package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"rtpsidecar/rtpengine"
)

func (c *console) numSessions([]string) string {
	n := c.engine.NumSessions()
	v4, v6, mixed := c.engine.Families()
	return fmt.Sprintf("Current sessions own: %d\nCurrent sessions foreign: 0\nCurrent sessions total: %d\nCurrent transcoded media: 0\n"+
		"Current sessions ipv4 only media: %d\nCurrent sessions ipv6 only media: %d\nCurrent sessions ip mixed  media: %d\n", n, n, v4, v6, mixed)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (c *console) sessions(args []string) string {
	switch args[0] {
	case "all", "own":
		var b strings.Builder
		for _, s := range c.engine.Sessions() {
			fmt.Fprintf(&b, "ID:%60s | del:%.1s | creat:%12d | prx:%s | redis:-1 | frgn:n | rec:n\n",
				s.CallID, yesNo(s.Deleted), s.Created.Unix(), s.Proxy)
		}
		if b.Len() == 0 {
			return "No own sessions on this media relay.\n"
		}
		return b.String()
	case "foreign":
		return "No foreign sessions on this media relay.\n"
	case "recording":
		return "No recording sessions on this media relay.\n"
	}
	d, ok := c.engine.Session(args[0])
	if !ok {
		return notFound(args[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\ncallid: %s\ndeletionmark: %s\ncreated: %d\nproxy: %s\ntos: %d\nlast_signal: %d\nredis_keyspace: -1\n"+
		"last redis update: 0\nforeign: no\nrecording: no\n\n",
		d.CallID, yesNo(d.Deleted), d.Created.Unix(), d.Proxy, d.TOS, d.LastSignal.Unix())
	for i := range d.Parties {
		writeParty(&b, &d.Parties[i])
	}
	b.WriteByte('\n')
	return b.String()
}

func notFound(id string) string { return "\nCall ID not found (" + id + ").\n\n" }

func writeParty(b *strings.Builder, p *rtpengine.PartyDetail) {
	kind := "TO_TAG"
	if p.Offerer {
		kind = "FROM_TAG"
	}
	fmt.Fprintf(b, "--- Tag '%s', type: %s, label '%s', branch '%s', callduration %.6f\n", p.Tag, kind, p.Label, p.Branch, p.Duration.Seconds())
	for _, how := range []string{"subscribed to", "subscription of"} {
		for _, tag := range p.Subscribed {
			fmt.Fprintf(b, "---     %s media with monologue tag '%s' (index: 1)\n", how, tag)
		}
	}
	for _, m := range p.Medias {
		using := m.Codec
		if using == "" {
			using = "unknown codec"
		}
		fmt.Fprintf(b, "------ Media #%d (%s over %s) using %s\n", m.Index, m.Type, m.Protocol, using)
		for _, s := range m.Streams {
			rtcp := ""
			if s.RTCP {
				rtcp = " (RTCP)"
			}
			fmt.Fprintf(b, "-------- Port %s <> %s%s, SSRC %x, %d p, %d b, %d e, %d uts 0 kts\n",
				padded(s.Local), padded(s.Remote), rtcp, s.SSRC, s.In.Packets, s.In.Bytes, s.In.Errors, s.Last.Unix())
		}
	}
}

// padded is an address with its port, right-aligned at the colon.
func padded(a netip.AddrPort) string {
	host, port := "", 0
	if a.IsValid() {
		host, port = a.Addr().String(), int(a.Port())
	}
	return fmt.Sprintf("%15s:%-5d", host, port)
}

func (c *console) terminate(args []string) string {
	switch args[0] {
	case "all":
		c.engine.TerminateAll()
		return "All calls terminated by operator.\n"
	case "own":
		c.engine.TerminateAll()
		return "All own calls terminated by operator.\n"
	case "foreign":
		return "All foreign calls terminated by operator.\n"
	}
	if !c.engine.Terminate(args[0]) {
		return "\nCall Id not found (" + args[0] + ").\n\n"
	}
	return "\nCall Id (" + args[0] + ") successfully terminated by operator.\n\n"
}

// debug logs a call in full, or no longer; without a word it does.
func (c *console) debug(args []string) string {
	on := len(args) == 1 || args[1] == "on"
	if !on && args[1] != "off" {
		return fmt.Sprintf("Invalid on/off flag ('%s') specified\n", args[1])
	}
	switch {
	case !c.engine.DebugCall(args[0], on):
		return fmt.Sprintf("Call ID '%s' not found\n", args[0])
	case on:
		return fmt.Sprintf("Enabled debugging for call '%s'\n", args[0])
	}
	return fmt.Sprintf("Disabled debugging for call '%s'\n", args[0])
}

// call is the newer form of the commands about one call.
func (c *console) call(args []string) string {
	d, ok := c.engine.Session(args[0])
	if !ok {
		return fmt.Sprintf("No such call '%s'\n", args[0])
	}
	switch args[1] {
	case "info":
		return c.sessions(args[:1])
	case "terminate":
		c.engine.Terminate(args[0])
		return "\nCall '" + args[0] + "' terminated.\n\n"
	case "debug":
		return c.debug(append(args[:1:1], args[2:]...))
	case "why":
		return c.why(args)
	case "tag":
		if len(args) < 4 || args[3] != "info" {
			return "More parameters required.\n"
		}
		var b strings.Builder
		for i := range d.Parties {
			if d.Parties[i].Tag == args[2] {
				writeParty(&b, &d.Parties[i])
				return b.String()
			}
		}
		return fmt.Sprintf("No such tag '%s' in call '%s'\n", args[2], args[0])
	}
	return "Unknown command: " + args[1] + "\n"
}

// why says in plain words what is wrong with a call.
func (c *console) why(args []string) string {
	d, ok := c.engine.Why(args[0])
	if !ok {
		return notFound(args[0])
	}
	return d.Text()
}

// timeline lists what happened to a call.
func (c *console) timeline(args []string) string {
	v, ok := c.engine.View(args[0])
	if !ok {
		return notFound(args[0])
	}
	var b strings.Builder
	for _, m := range v.Timeline {
		who := m.Party
		if m.Media > 0 {
			who += fmt.Sprintf(" #%d", m.Media)
		}
		fmt.Fprintf(&b, "%s  %+8.3f s  %-8s %-16s %s\n", m.At.UTC().Format(time.RFC3339), m.At.Sub(v.Created).Seconds(), m.Kind, who, m.Text)
	}
	return b.String()
}

// drain refuses new calls, or takes them again.
func (c *console) drain(args []string) string {
	on := len(args) == 0 || args[0] == "on"
	if !on && args[0] != "off" {
		return fmt.Sprintf("Invalid on/off flag ('%s') specified\n", args[0])
	}
	c.engine.Drain(on)
	if !on {
		return "New calls are taken again.\n"
	}
	return fmt.Sprintf("No new calls are taken; the daemon ends with the last of %d.\n", c.engine.NumSessions())
}
