package relay

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCPUs binds workers to a CPU each: as many threads of this process may run on that one alone.
func TestCPUs(t *testing.T) {
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		t.Fatal(err)
	}
	if ours.Count() < 2 {
		t.Skip("THERE IS ONE CPU ALONE")
	}
	cpu := 0
	for !ours.IsSet(cpu) {
		cpu++
	}
	bound := func() (n int) {
		tasks, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tasks {
			b, err := os.ReadFile(name)
			if err == nil && strings.Contains(string(b), fmt.Sprintf("Cpus_allowed_list:\t%d\n", cpu)) {
				n++
			}
		}
		return n
	}
	h, err := New(Config{CPUs: []int{cpu, cpu, cpu}, Interfaces: []Interface{{
		Name: "default", Local: netip.MustParseAddr("127.0.0.1"), PortMin: 22100, PortMax: 22110}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if n := len(h.io.(*epollIO).workers); n != 3 {
		t.Errorf("%d workers", n)
	}
	for end := time.Now().Add(10 * time.Second); bound() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d threads are bound to CPU %d", bound(), cpu)
		}
	}
}
