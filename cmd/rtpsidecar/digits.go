package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"rtpsidecar/ng"
)

// digitLog tells of digits: one datagram of JSON each, and a message on every NG connection over TCP.
type digitLog struct {
	conn *net.UDPConn
	to   netip.AddrPort            // zero: only calls that name a destination
	tcp  atomic.Pointer[ng.Server] // nil: nobody on TCP is told
	log  *slog.Logger
}

// newDigitLog opens the socket; dest may be empty.
func newDigitLog(dest string, log *slog.Logger) (*digitLog, error) {
	d := &digitLog{log: log}
	if dest != "" {
		a, err := net.ResolveUDPAddr("udp", dest)
		if err != nil {
			return nil, fmt.Errorf("dtmf-log-dest: %w", err)
		}
		d.to = a.AddrPort()
	}
	var err error
	if d.conn, err = net.ListenUDP("udp", nil); err != nil {
		return nil, fmt.Errorf("socket for DTMF notifications: %w", err)
	}
	return d, nil
}

// tell is Config.DTMF.
func (d *digitLog) tell(to netip.AddrPort, notice *ng.Dict) {
	if !to.IsValid() {
		to = d.to
	}
	if to.IsValid() {
		if _, err := d.conn.WriteToUDPAddrPort(ng.AppendJSON(nil, ng.DictValue(notice)), to); err != nil {
			d.log.Warn("DTMF notification", "to", to, "error", err)
		}
	}
	if s := d.tcp.Load(); s != nil {
		m := new(ng.Dict)
		m.AddString("notify", "onDTMF")
		m.AddDict("data", notice)
		s.Notify(m)
	}
}
