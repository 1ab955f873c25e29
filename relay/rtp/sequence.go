package rtp

// SeqNewer reports whether a was sent after b, at most 32767 packets apart. Equal numbers are not newer.
func SeqNewer(a, b uint16) bool { return int16(a-b) > 0 }

// TimestampNewer is SeqNewer for timestamps.
func TimestampNewer(a, b uint32) bool { return int32(a-b) > 0 }

// ExtendSeq guesses the packet index (rollover counter times 65536 plus sequence number) of a packet with seq, given the
// highest index seen: the nearest one. It never goes below the first cycle, since what comes there is a reordered start.
// Source: RFC 3711 section 3.3.1 and appendix A; at a distance of exactly 32768, where both are as near, the guess stays
// in the cycle of highest, as there.
func ExtendSeq(highest uint64, seq uint16) uint64 {
	const half = 1 << 15
	last := uint16(highest)
	cycle := highest &^ 0xffff
	switch {
	case last < half && int(seq)-int(last) > half && cycle > 0:
		cycle -= 1 << 16
	case last >= half && int(last)-int(seq) > half:
		cycle += 1 << 16
	}
	return cycle | uint64(seq)
}
