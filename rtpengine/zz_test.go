package rtpengine

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
)

func TestZZ(t *testing.T) {
	e := loopback(t, func(c *Config) { c.Log, c.DeleteDelay = nil, 0 })
	sdp := body("127.0.0.1", plainAudio)
	runtime.GC()
	var m0, m1, m2 runtime.MemStats
	runtime.ReadMemStats(&m0)
	for i := range 2000 {
		id := fmt.Sprint("call", i)
		must(t, e, "offer", "call-id", id, "from-tag", "A", "ICE", "remove", "sdp", sdp)
		must(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "ICE", "remove", "sdp", sdp)
	}
	runtime.ReadMemStats(&m1)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m2)
	t.Log("alloc per call", (m1.TotalAlloc-m0.TotalAlloc)/2000, "mallocs", (m1.Mallocs-m0.Mallocs)/2000, "live per call", (m2.HeapAlloc-m0.HeapAlloc)/2000, "objs", (m2.HeapObjects-m0.HeapObjects)/2000)
	f, _ := os.Create("/tmp/zz.heap")
	pprof.WriteHeapProfile(f)
	f.Close()
}
