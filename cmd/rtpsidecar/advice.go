package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"rtpsidecar/cmd/sidecar-lab/flaglint"
	"rtpsidecar/ng"
	"rtpsidecar/rtpengine"
)

// What an operator meets in the first hour: errors that say what to do.

// optionHint goes behind the complaint about an unknown option.
func optionHint(complaint string) string {
	_, name, ok := strings.Cut(complaint, "unknown option --")
	if !ok {
		return ""
	}
	best, fewest := "", min(4, 1+len(name)/3)
	for i := range options {
		if n := flaglint.Distance(name, options[i].name); n < fewest {
			best, fewest = options[i].name, n
		}
	}
	if best == "" {
		return "; --help lists them"
	}
	return "; is --" + best + " meant? --help lists all"
}

// bindHint goes behind the failure to open a listener.
func bindHint(a netip.AddrPort, err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("; is a relay running here already? ss -lntup 'sport = :%d' tells who has it", a.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("; no interface of this machine has %v: ip address lists them", a.Addr())
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need CAP_NET_BIND_SERVICE"
	}
	return ""
}

// foreign lists the interfaces whose address cannot be bound now. It may come later, as with a failover address, so this
// is no reason to end.
func foreign(ins []rtpengine.Interface) (names []string) {
	for _, in := range ins {
		if in.Alias != "" {
			continue
		}
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(in.Local, 0)))
		if err == nil {
			_ = c.Close()
		} else if errors.Is(err, syscall.EADDRNOTAVAIL) {
			names = append(names, in.Name+"/"+in.Local.String())
		}
	}
	return names
}

// noAnswer explains why `ctl` got no reply.
func noAnswer(c *cli.Context, err error) error {
	if errors.Is(err, ng.ErrNoReply) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nobody answers at %s: %w; is the daemon running, with this as --listen-ng? --to or RTPSIDECAR_TO names another address", c.String("to"), err)
	}
	return err
}

// complaints are how the console's answers begin that tell of a failure.
var complaints = []string{"Call ID not found", "Fail ", "Unknown command", "Invalid ", "Empty "}

// refusal is the console's answer as an error; nil: it is none.
func refusal(answer string) error {
	answer = strings.TrimSpace(answer)
	for _, p := range complaints {
		if strings.HasPrefix(answer, p) {
			return errors.New(answer)
		}
	}
	return nil
}
