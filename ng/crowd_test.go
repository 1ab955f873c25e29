package ng

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCrowd(t *testing.T) {
	tests := []struct {
		name       string
		work, rest time.Duration // of each message
		messages   int
		needed     bool
	}{
		{"one short", 50 * time.Microsecond, 0, 1, false},
		{"one slow", 3 * crowdPeriod, 0, 1, true},
		{"short ones without a pause", 51 * time.Microsecond, 0, 30000, true},
		{"long ones without a pause", crowdPeriod - time.Microsecond, 0, 600, true},
		{"a burst", 51 * time.Microsecond, 0, 5000, false},
		{"as much rest as work", 1100 * time.Microsecond, 1300 * time.Microsecond, 1000, false},
		{"few", 50 * time.Microsecond, 30 * crowdPeriod, 10, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c crowd
				c.setUp(2)
				c.wait()
				for range tt.messages {
					c.work()
					time.Sleep(tt.work)
					c.wait()
					time.Sleep(tt.rest)
				}
				synctest.Wait()
				if needed := len(c.help) == 2; needed != tt.needed {
					t.Errorf("helpers were called: %t, want %t", needed, tt.needed)
				}
				time.Sleep(crowdLimit * crowdPeriod)
				synctest.Wait()
				if c.watched.Load() {
					t.Error("an idle socket is watched")
				}
				c.disband()
				for range c.help {
				}
			})
		})
	}
}

func TestCrowdOfOne(t *testing.T) {
	var c crowd
	c.setUp(0)
	c.wait()
	c.work()
	if c.watched.Load() {
		t.Error("nobody could help, and yet the worker is watched")
	}
	c.disband()
}
