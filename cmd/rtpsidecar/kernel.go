package main

import (
	"fmt"
	"log/slog"
	"slices"

	"rtpsidecar/relay/ebpf"
	"rtpsidecar/rtpengine"
)

// chooseKernel gives --kernel the value that the reference's options stand for, unless it is given itself. A table in the
// file is not enough: packages put one there for everybody.
func (s *settings) chooseKernel(fromArgs, fromFile []given) {
	has := func(list []given, name string) bool {
		return slices.ContainsFunc(list, func(g given) bool { return g.opt.name == name })
	}
	onLine := has(fromArgs, "table")
	switch {
	case has(fromArgs, "kernel") || has(fromFile, "kernel"):
	case s.table < 0 && (onLine || has(fromFile, "table")):
		s.kernel = "off"
	case s.noFallback:
		s.kernel = "require"
	case onLine:
		s.kernel = "auto"
	}
}

// mediaPorts are the first and the last of all interfaces.
func mediaPorts(ifaces []rtpengine.Interface) (first, last uint16) {
	for i, f := range ifaces {
		if i == 0 || f.PortMin < first {
			first = f.PortMin
		}
		last = max(last, f.PortMax)
	}
	return first, last
}

// openTable opens what --kernel asks for. Nil: media stays in userspace.
func openTable(s *settings, log *slog.Logger) (ebpf.Table, error) {
	if s.kernel == "off" {
		return nil, nil
	}
	cfg := ebpf.Config{Interfaces: s.kernelInterfaces, KernelAES: s.kernelAES == "kernel", FloodGuard: s.floodGuard, Log: log}
	if s.kernelAttach == "xdp" {
		cfg.Mode = ebpf.ModeXDP
	}
	cfg.PortMin, cfg.PortMax = mediaPorts(s.engine.Interfaces)
	table, err := ebpf.Open(cfg)
	switch {
	case err == nil:
		st := table.Status()
		log.Info("media is forwarded in the kernel", "mode", st.Mode.String(), "interfaces", st.Interfaces, "xdp", st.XDP)
		return table, nil
	case s.kernel == "require":
		return nil, fmt.Errorf("kernel=require: %w", err)
	}
	log.Warn("media stays in userspace", "reason", err)
	return nil, nil
}
