package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// slice is what a worker asks to run for at a time: it has little to do at once, and the scheduler lets those who ask for
// less run earlier (EEVDF, since Linux 6.12; older kernels ignore it).
const slice = 100 * time.Microsecond

// threadEvery is how long a worker takes for granted that it is on the same thread. To ask after each wait took 3 to 7 % of its time.
const threadEvery = time.Millisecond

// scheduling is what a worker has asked of the system for the thread it is on. The scheduler of Go moves it to another one
// now and then.
type scheduling struct {
	asked   time.Time // when it last asked which thread it is on
	thread  int
	urgent  bool
	refused bool // real time
}

// want asks for short slices, or to run before all that is not real time. Without leave to do that (CAP_SYS_NICE, or a
// limit RLIMIT_RTPRIO of 1) it is the former. A new thread is seen within threadEvery.
func (s *scheduling) want(urgent bool, now time.Time) {
	if urgent == s.urgent && now.Sub(s.asked) < threadEvery {
		return
	}
	s.asked = now
	tid, _, _ := unix.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
	if int(tid) == s.thread && urgent == s.urgent {
		return
	}
	if int(tid) != s.thread {
		s.end()
		s.thread = int(tid)
	}
	s.urgent = urgent
	if urgent && !s.refused {
		s.refused = !schedule(s.thread, unix.SCHED_RR)
	}
	if !urgent || s.refused {
		schedule(s.thread, unix.SCHED_NORMAL)
	}
}

// end leaves the thread to others.
func (s *scheduling) end() {
	if s.thread != 0 && s.urgent {
		schedule(s.thread, unix.SCHED_NORMAL)
	}
}

// schedule reports whether the thread is scheduled so now. What the operator has given all threads is left alone, and threads
// that Go makes from this one do not get it.
func schedule(thread int, policy uint32) bool {
	const ours = unix.SCHED_FLAG_RESET_ON_FORK
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL && attr.Flags&ours == 0 {
		return false
	}
	if attr.Policy == unix.SCHED_NORMAL && policy == unix.SCHED_NORMAL {
		attr.Runtime = uint64(slice)
		return unix.SchedSetAttr(thread, attr, 0) == nil
	}
	next := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Flags: ours}
	if policy == unix.SCHED_RR {
		next.Priority = 1
	} else {
		nice, _ := unix.Getpriority(unix.PRIO_PROCESS, thread) // of a thread in real time too; as 20 and less it
		next.Nice, next.Runtime = int32(20-nice), uint64(slice)
	}
	return unix.SchedSetAttr(thread, next, 0) == nil
}
