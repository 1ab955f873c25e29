//go:build !linux

package relay

import (
	"errors"
	"time"
)

func newIO(workers int, now func() time.Time) (PacketIO, error) { return newNetIO(workers, now), nil }

func boundIO([]int) func(int, func() time.Time) (PacketIO, error) {
	return func(int, func() time.Time) (PacketIO, error) {
		return nil, errors.New("workers cannot be bound to CPUs on this system")
	}
}
