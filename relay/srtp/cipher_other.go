//go:build !amd64

package srtp

const hasFastCounters = false

// fastCounters is never made.
type fastCounters struct{ counters }

func (*fastCounters) expand(key, salt []byte) {}

func (*fastCounters) fetch() uint64 { return 0 }
