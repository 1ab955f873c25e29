//go:build !linux

package relay

import "time"

func newIO(workers int, now func() time.Time) (PacketIO, error) { return newNetIO(workers, now), nil }
