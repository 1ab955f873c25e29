//go:build !linux

package relay

import (
	"errors"
	"time"
)

func systemIO(cfg Config) func(int, func() time.Time) (PacketIO, error) {
	return func(workers int, now func() time.Time) (PacketIO, error) {
		if len(cfg.CPUs) > 0 {
			return nil, errors.New("workers cannot be bound to CPUs on this system")
		}
		return newNetIO(workers, now), nil
	}
}
