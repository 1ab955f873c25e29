package main

import (
	"fmt"
	"log/slog"
	"slices"

	"rtpsidecar/relay/ebpf"
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

// openTable opens what --kernel asks for. Nil: media stays in userspace.
func openTable(s *settings, log *slog.Logger) (ebpf.Table, error) {
	if s.kernel == "off" {
		return nil, nil
	}
	table, err := ebpf.Open(ebpf.Config{Interfaces: s.kernelInterfaces, KernelAES: s.kernelAES == "kernel", Log: log})
	switch {
	case err == nil:
		st := table.Status()
		log.Info("media is forwarded in the kernel", "mode", st.Mode.String(), "interfaces", st.Interfaces)
		return table, nil
	case s.kernel == "require":
		return nil, fmt.Errorf("kernel=require: %w", err)
	}
	log.Warn("media stays in userspace", "reason", err)
	return nil, nil
}
