// Bench drives whole daemons, ours and the reference, with the same load on loopback, in alternating rounds:
//
//	go run ./scripts/bench [--peer PATH] [--ours PATH] [--rounds 5] [--only rtp,calls,request,memory] [--json FILE] [--check]
//	go run ./scripts/bench --only streams [--media plain,srtp] [--streams 200,2000,10000] [--ours-option=--kernel=auto]...
//
// Loads:
//
//	rtp     200 calls of 50 packets a second each way: the daemon's CPU time per relayed packet, loss, latency
//	calls   offers, answers and deletes, eight in flight: CPU time per message; what is left afterwards
//	request the largest realistic offer, 6 KiB of SDP with four media and thirty flags, to calls that know it: CPU time per
//	        message from datagram to datagram
//	memory  resident memory of the idle daemon and per established call
//	streams 20,000 packets a second of 200, 2,000 and 10,000 streams, plain and with SRTP to the callees, each number with a
//	        daemon of its own, in turns of a second: the daemon's CPU time per packet, and what it is to that with 200 streams
//
// The lab is by itself, as root, with three hosts in network namespaces joined by cables (caller - relay - callee):
//
//	go run ./scripts/bench --only lab [--rates 20000,80000] [--bursts 200us,1ms] [--json FILE] [--picture FILE.svg]
//	go run ./scripts/bench --only lab --rates 80000 --bursts 1ms --media plain --relays ours-kernel,peer --measure 2s
//	go run ./scripts/bench --only lab --relays reflect,ours-kernel --same      # what the method makes of no difference
//	go run ./scripts/bench --from FILE[,FILE..] [--picture FILE.svg] [--check] # all pairs of slices together
//
// It measures the reference, ours and ours with --kernel=require in turn, each in slices between which a program at the
// relay's interfaces bounces the same packets (reflect). What is above that is the relay's: the time that the processors were
// not idle, which needs a machine that does nothing else, and the run time of all threads that had to do with it. Its figures
// and limits are those of all pairs of slices of all rounds, and of all files, together. --from joins the rounds of other loads
// in the same way.
//
// CPU time is the run time of the daemon's threads as the scheduler counts it, in nanoseconds;
// latency is from just before the send call to the kernel's receive time stamp, so the bench's own scheduling has no
// part in it. Each figure is the median over the rounds with the smallest and the largest; a ratio is ours to the peer's
// of the same round, so what disturbs the machine for longer than a round cancels out. With --check the limits that the
// project has set itself decide the exit status.
package main
