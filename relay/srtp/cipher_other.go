//go:build !amd64

package srtp

const hasFastCounters = false

// fastCounters is never made.
type fastCounters struct{ counters }

func (*fastCounters) expand(key, salt []byte) {}

func (*fastCounters) size() uintptr { return 0 }
