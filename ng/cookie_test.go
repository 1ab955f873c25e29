package ng

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestReplyCache(t *testing.T) {
	tests := []struct {
		name  string
		waits []time.Duration // before each further request with the same cookie
		runs  int
	}{
		{"at once", []time.Duration{0}, 1},
		{"retransmissions", []time.Duration{time.Second, time.Second, time.Second, time.Second}, 1},
		{"within the second generation", []time.Duration{29 * time.Second}, 1},
		{"after the first generation", []time.Duration{31 * time.Second}, 1},
		{"after both", []time.Duration{61 * time.Second}, 2},
		{"a repeat does not prolong", []time.Duration{31 * time.Second, 30 * time.Second}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c replyCache
				defer c.stop()
				runs := 0
				request := func() string {
					return string(c.do("cookie", func() []byte { runs++; return strconv.AppendInt(nil, int64(runs), 10) }))
				}
				request()
				var got string
				for _, w := range tt.waits {
					time.Sleep(w)
					synctest.Wait()
					got = request()
				}
				if runs != tt.runs || got != strconv.Itoa(tt.runs) {
					t.Errorf("%d runs, reply %q, want %d", runs, got, tt.runs)
				}
			})
		})
	}
}

func TestReplyCacheForgetsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c replyCache
		c.do("cookie", func() []byte { return []byte("x") })
		time.Sleep(time.Hour)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.new != nil || c.old != nil || c.timer != nil {
			t.Errorf("an idle cache holds %d and %d replies, timer %v", len(c.new), len(c.old), c.timer)
		}
	})
}

func TestReplyCacheWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c replyCache
		defer c.stop()
		var runs, done atomic.Int32
		release := make(chan struct{})
		for range 5 {
			go func() {
				got := c.do("cookie", func() []byte { runs.Add(1); <-release; return []byte("reply") })
				if string(got) != "reply" {
					t.Errorf("got %q", got)
				}
				done.Add(1)
			}()
		}
		c.do("other", func() []byte { return nil }) // is not held up
		time.Sleep(2 * time.Minute)                 // longer than any generation
		if n := done.Load(); n != 0 {
			t.Errorf("%d requests answered before the first ended", n)
		}
		close(release)
		synctest.Wait()
		if runs.Load() != 1 || done.Load() != 5 {
			t.Errorf("%d runs, %d replies, want 1 and 5", runs.Load(), done.Load())
		}
	})
}

func TestReplyCacheIsBounded(t *testing.T) {
	var c replyCache
	defer c.stop()
	for i := range 3 * generationReplies {
		c.do(strconv.Itoa(i), func() []byte { return nil })
	}
	if len(c.new) > generationReplies || len(c.old) > generationReplies {
		t.Errorf("generations of %d and %d replies, want at most %d", len(c.new), len(c.old), generationReplies)
	}
	big := make([]byte, generationBytes/4)
	for i := range 20 {
		c.do("big"+strconv.Itoa(i), func() []byte { return big })
	}
	if len(c.new) > 5 {
		t.Errorf("%d big replies in a generation, want at most 5", len(c.new))
	}
}

func TestReplyCacheStopped(t *testing.T) {
	var c replyCache
	c.stop()
	runs := 0
	for range 2 {
		c.do("cookie", func() []byte { runs++; return nil })
	}
	c.expire()
	if runs != 2 || c.timer != nil {
		t.Errorf("%d runs, timer %v, want 2 and none", runs, c.timer)
	}
}
