package dtls

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Each single datagram of a handshake is lost, doubled, or comes late. Both ends must still agree, soon.
func TestSingleFaults(t *testing.T) {
	const delay = 2 * defaultFlightInterval
	faults := map[string]func(b []byte, deliver func([]byte)){
		"dropped": func([]byte, func([]byte)) {},
		"doubled": func(b []byte, deliver func([]byte)) { deliver(b); deliver(b) },
		"delayed": func(b []byte, deliver func([]byte)) {
			b = append([]byte(nil), b...)
			time.AfterFunc(delay, func() { deliver(b) })
		},
		"swapped": func(b []byte, deliver func([]byte)) { // behind the next one of its flight
			b = append([]byte(nil), b...)
			time.AfterFunc(time.Millisecond, func() { deliver(b) })
		},
	}
	for _, mtu := range []int{1200, 300} { // one datagram a flight, and many
		for name, fault := range faults {
			for _, cookie := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s mtu %d cookie %v", name, mtu, cookie), func(t *testing.T) {
					total := [2]int{1, 1}
					for side := range 2 {
						for n := 1; n <= total[side]; n++ {
							synctest.Test(t, func(t *testing.T) {
								sent := oneFault(t, side, n, fault, func(_ Role, c *Config) { c.MTU, c.VerifyHello = mtu, cookie })
								if n == 1 {
									total = sent
								}
							})
						}
					}
					if min(total[0], total[1]) < 2 {
						t.Errorf("datagrams sent %v", total)
					}
				})
			}
		}
	}
}

// oneFault runs a handshake whose n-th datagram of a side meets a fault, and returns how many each side sent.
func oneFault(t *testing.T, side, n int, fault func([]byte, func([]byte)), change func(Role, *Config)) (sent [2]int) {
	direction := func(me int) func(int, []byte, func([]byte)) {
		return func(i int, b []byte, deliver func([]byte)) {
			sent[me] = i
			if me == side && i == n {
				fault(b, deliver)
			} else {
				deliver(b)
			}
		}
	}
	client, server := link(t, direction(0), direction(1), change)
	start(t, client, server)
	start(t, server, client)
	began := time.Now()
	c, s := <-client.result, <-server.result
	checkKeys(t, c, s)
	if took := time.Since(began); took > 3*defaultFlightInterval {
		t.Errorf("side %d, datagram %d: %v", side, n, took)
	}
	time.Sleep(time.Second) // what is late arrives, and must not end the association
	synctest.Wait()
	if client.State() != StateConnected || server.State() != StateConnected {
		t.Errorf("side %d, datagram %d: states %v and %v", side, n, client.State(), server.State())
	}
	client.Close()
	server.Close()
	return sent
}

// A third of all datagrams is lost, in a fixed pattern for each seed.
func TestHeavyLoss(t *testing.T) {
	for seed := range uint32(20) {
		synctest.Test(t, func(t *testing.T) {
			x := seed*2654435761 + 1
			lossy := func(_ int, b []byte, deliver func([]byte)) {
				x = x*1664525 + 1013904223
				if x>>24 > 256/3 {
					deliver(b)
				}
			}
			client, server := link(t, lossy, lossy, func(_ Role, c *Config) { c.MTU = 500 })
			start(t, client, server)
			start(t, server, client)
			checkKeys(t, <-client.result, <-server.result)
			client.Close()
			server.Close()
		})
	}
}
