package srtp

import "rtpsidecar/relay/rtp"

// windowLen is how many indices back a late packet may come: RFC 3711 section 3.3.2 asks for at least 64. A burst of
// video reordered by a bad link is longer than that.
const windowLen = 128

// Progress is how far RTP or RTCP of one SSRC has come.
type Progress struct {
	Started bool
	// Highest is the highest index so far: for RTP the rollover counter times 65536 plus the sequence number, 48 bits;
	// for RTCP the SRTCP index, 31 bits.
	Highest uint64
	// Window has a bit for each index used; bit i of Window[0] is Highest-i, bit i of Window[1] is Highest-64-i.
	Window [2]uint64
}

// ROC is the rollover counter of an RTP progress.
func (p *Progress) ROC() uint32 { return uint32(p.Highest >> 16) }

// Seq is the highest sequence number of an RTP progress.
func (p *Progress) Seq() uint16 { return uint16(p.Highest) }

// guess is the index that a packet with seq most likely has, RFC 3711 section 3.3.1.
func (p *Progress) guess(seq uint16) uint64 {
	if !p.Started {
		return uint64(seq)
	}
	return rtp.ExtendSeq(p.Highest, seq)
}

// fresh tells whether index is new or within the window and not used yet.
func (p *Progress) fresh(index uint64) bool {
	if !p.Started || index > p.Highest {
		return true
	}
	age := p.Highest - index
	return age < windowLen && p.Window[age/64]>>(age%64)&1 == 0
}

// use marks index as used. An index behind the window changes nothing.
func (p *Progress) use(index uint64) {
	if !p.Started {
		*p = Progress{Started: true, Highest: index, Window: [2]uint64{1, 0}}
		return
	}
	if index <= p.Highest {
		if age := p.Highest - index; age < windowLen {
			p.Window[age/64] |= 1 << (age % 64)
		}
		return
	}
	n := index - p.Highest
	w := &p.Window
	// A shift of 64 or more gives 0 in Go, which is just what is needed.
	if n < 64 {
		w[1] = w[1]<<n | w[0]>>(64-n)
	} else {
		w[1] = w[0] << (n - 64)
	}
	w[0] = w[0]<<n | 1
	p.Highest = index
}
