package rtpengine

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
)

// admit refuses a new call when a limit is reached.
func (e *Engine) admit() error {
	a := e.adjustable.Load()
	if e.draining.Load() || a.MaxSessions >= 0 && e.calls.Load() >= int64(a.MaxSessions) {
		return limitSessions
	}
	if a.MaxCPU <= 0 && a.MaxLoad <= 0 && a.MaxBandwidth == 0 {
		return nil
	}
	cpu, load, rate := e.load.now()
	switch {
	case a.MaxCPU > 0 && cpu >= a.MaxCPU:
		return limitCPU
	case a.MaxLoad > 0 && load >= a.MaxLoad:
		return limitLoad
	case a.MaxBandwidth > 0 && rate >= a.MaxBandwidth:
		return limitBandwidth
	}
	return nil
}

// loadMeter knows how busy the machine is. It is sampled once a second, and only for the limits that are set.
type loadMeter struct {
	mu         sync.Mutex
	busy, idle uint64 // of /proc/stat at the last sample
	cpu        float64
	load       float64
	rate       uint64
}

func (l *loadMeter) now() (cpu, load float64, bytesPerSecond uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cpu, l.load, l.rate
}

// sample reads what the system says. A system without /proc has no CPU or load limit.
func (l *loadMeter) sample(cpu, load bool, bytesPerSecond uint64) {
	var stat, avg []byte
	if cpu {
		stat, _ = os.ReadFile("/proc/stat")
	}
	if load {
		avg, _ = os.ReadFile("/proc/loadavg")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = bytesPerSecond
	if busy, idle, ok := parseCPU(stat); ok {
		if all := busy + idle - l.busy - l.idle; l.busy+l.idle > 0 && all > 0 {
			l.cpu = float64(busy-l.busy) * 100 / float64(all)
		}
		l.busy, l.idle = busy, idle
	}
	if v, ok := parseLoad(avg); ok {
		l.load = v
	}
}

// parseCPU reads the first line of /proc/stat: busy and idle time of all CPUs. Source: proc_stat(5).
func parseCPU(b []byte) (busy, idle uint64, ok bool) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, 0, false
	}
	for i, f := range fields[1:] {
		if i == 8 {
			break // guest time is part of user time
		}
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		if i == 3 || i == 4 { // idle, iowait
			idle += v
		} else {
			busy += v
		}
	}
	return busy, idle, true
}

// parseLoad reads the average of the last minute. Source: proc_loadavg(5).
func parseLoad(b []byte) (float64, bool) {
	first, _, _ := bytes.Cut(b, []byte(" "))
	v, err := strconv.ParseFloat(string(first), 64)
	return v, err == nil
}
