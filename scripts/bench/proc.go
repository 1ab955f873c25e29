package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what all threads of a process have run so far, up to this moment.
func cpuTime(pid int) (time.Duration, error) {
	var ts unix.Timespec
	// The clock of a process as the scheduler counts it, clock_getcpuclockid(3).
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// residentBytes is the process's resident memory (VmRSS), program text included.
func residentBytes(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d: no VmRSS", pid)
}

// openFiles counts the process's descriptors.
func openFiles(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}

// idleTime is how long all processors together have had nothing to do. What /proc/stat says in hundredths of a second the list
// of timers has in nanoseconds, but for the rest in which a processor is just now.
func idleTime() (sum time.Duration, err error) {
	b, err := os.ReadFile("/proc/timer_list")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 2 && (string(f[0]) == ".idle_sleeptime" || string(f[0]) == ".iowait_sleeptime") {
			n, err := strconv.ParseInt(string(f[2]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/timer_list: %q", line)
			}
			sum += time.Duration(n)
		}
	}
	return sum, nil
}

// softirqThreads are the kernel's threads that handle packets when processors are busy.
var softirqThreads = sync.OnceValue(func() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !bytes.HasPrefix(b, []byte("ksoftirqd/")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
})

// othersTime is what processes besides this one and that of pid have run, and what those have that they waited for. The
// kernel's threads are nobody's.
func othersTime(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil || n == pid || n == os.Getpid() {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			continue // ended between the two calls
		}
		v := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(v) < 15 || string(v[1]) == "2" { // kthreadd's children
			continue
		}
		for _, ticks := range v[11:15] { // utime, stime, cutime, cstime
			t, err := strconv.ParseInt(string(ticks), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", f, err)
			}
			sum += time.Duration(t) * 10 * time.Millisecond
		}
	}
	return sum, err
}
