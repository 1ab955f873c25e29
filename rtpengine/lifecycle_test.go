package rtpengine

import (
	"fmt"
	"os"
	"runtime"
	"testing"
)

// sockets counts the process's open files.
func sockets(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc:", err)
	}
	return len(list)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Calls that came and went leave nothing behind.
func TestNoGrowth(t *testing.T) {
	e := loopback(t, func(c *Config) { c.Log, c.DeleteDelay = nil, 0 })
	offer := body("127.0.0.1", plainAudio)
	browser := body("127.0.0.1", browserAudio)
	run := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprint("call", i)
			sdp, flags := offer, []any(nil)
			if i%10 == 0 {
				sdp, flags = browser, []any{"transport-protocol", "RTP/AVP", "ICE", "remove"}
			}
			must(t, e, "offer", append([]any{"call-id", id, "from-tag", "A", "sdp", sdp}, flags...)...)
			must(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", offer)
			must(t, e, "delete", "call-id", id)
		}
	}
	run(0, 200) // pools and tables reach their size
	goroutines, files, bytes := runtime.NumGoroutine(), sockets(t), heap()
	run(200, 2200)
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, were %d", n, goroutines)
	}
	if n := sockets(t); n > files {
		t.Errorf("%d open files, were %d", n, files)
	}
	if n := heap(); n > bytes+2<<20 {
		t.Errorf("heap %d KiB, was %d KiB", n>>10, bytes>>10)
	}
	if e.NumSessions() != 0 {
		t.Errorf("%d calls left", e.NumSessions())
	}
	left := 0
	e.owners.Range(func(any, any) bool { left++; return true })
	if left != 0 {
		t.Errorf("%d transports still have an owner", left)
	}
}

func BenchmarkOfferAnswer(b *testing.B) {
	for name, sdp := range map[string]string{"plain": body("127.0.0.1", plainAudio), "browser": body("127.0.0.1", browserAudio, browserVideo)} {
		b.Run(name, func(b *testing.B) {
			e := loopback(b, func(c *Config) { c.Log, c.DeleteDelay = nil, 0 })
			b.ReportAllocs()
			for i := range b.N {
				id := fmt.Sprint("call", i)
				must(b, e, "offer", "call-id", id, "from-tag", "A", "sdp", sdp)
				must(b, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", sdp)
				must(b, e, "delete", "call-id", id)
			}
		})
	}
}
