package relay

import "time"

// Balance is how the system's sockets are divided among the workers.
type Balance uint8

const (
	// Pack fills the workers in order: waking a thread costs more than a packet does, so as few as can carry the load should
	// have to be woken.
	Pack Balance = iota
	// Spread gives each worker as many sockets as the others.
	Spread
)

// What Pack goes by, in shares of a worker's time outside of its wait. A packet waits for those before it, so a worker is full
// before it has no time left. At 80,000 packets a second, where one has 0.4 to 0.6 to do, it takes a fifth less of the
// processors' time than two. On a slower machine, where one has 0.75 to do of them, it still takes a thirtieth less.
const (
	full   = 0.85 // who is above this shares with another
	filled = 0.7  // who is above this gets no more
	joined = 0.65 // what two workers need together for one of them to take it all; below full, so that it can stay
	worth  = 0.05 // less is not moved for the sake of evenness
)

// When the only worker runs in real time: while packets come one by one or a few at a time. Where it shares a processor with whoever
// sends it takes that away for each packet, so each one of a burst wakes it and costs two to three times as much. With bursts of 4 and 8 the
// slowest hundredth comes a third as late as otherwise; with those of 20 or without an end it does not come earlier.
const (
	rest = 50 * time.Microsecond // a burst ends where nothing comes for so long
	few  = 10                    // packets in a burst
)

// shift is a part of what a worker has to do, for another.
type shift struct {
	from, to int
	share    float64
}

// pack says what is to be done about workers that have had so much to do, one shift after the other; those without sockets
// have groups of 0.
func pack(busy []float64, groups []int) (shifts []shift) {
	busy = append([]float64(nil), busy...)
	groups = append([]int(nil), groups...)
	for range busy {
		s, ok := packOnce(busy, groups)
		if !ok {
			break
		}
		shifts = append(shifts, s)
		n := int(s.share * float64(groups[s.from]))
		groups[s.from] -= n
		groups[s.to] += n
		work := s.share * busy[s.from]
		busy[s.from] -= work
		busy[s.to] += work
	}
	return shifts
}

func packOnce(busy []float64, groups []int) (shift, bool) {
	from := 0
	for i := range busy {
		if busy[i] > busy[from] {
			from = i
		}
	}
	if busy[from] > full {
		to := roomiest(busy)
		work := (busy[from] - busy[to]) / 2
		s := shift{from, to, work / busy[from]}
		return s, work >= worth && int(s.share*float64(groups[from])) > 0
	}
	for from := len(busy) - 1; from > 0; from-- {
		for to := range from {
			if groups[from] > 0 && busy[from]+busy[to] <= joined {
				return shift{from, to, 1}, true
			}
		}
	}
	return shift{}, false
}

// roomiest is the first worker that can take something, else the one that has least to do.
func roomiest(busy []float64) int {
	least := 0
	for i := range busy {
		if busy[i] < filled {
			return i
		}
		if busy[i] < busy[least] {
			least = i
		}
	}
	return least
}
