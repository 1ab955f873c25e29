package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	opensipscfg "rtpsidecar/opensips-cfg"
	lab "rtpsidecar/scripts/webrtclab"
)

// hepCopy is a SIP message as a HEP version 3 packet carries it.
type hepCopy struct {
	from, to uint16 // ports
	text     string
}

// decodeHEP reads the chunks that the test looks at: vendor, type and length (with these six bytes) in 16 bits each.
func decodeHEP(b []byte) (c hepCopy, ok bool) {
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		return c, false
	}
	for b = b[6:]; len(b) >= 6; {
		kind, size := binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
		if size < 6 || size > len(b) {
			return c, false
		}
		switch value := b[6:size]; kind {
		case 7, 8:
			if len(value) != 2 {
				return c, false
			}
			if port := binary.BigEndian.Uint16(value); kind == 7 {
				c.from = port
			} else {
				c.to = port
			}
		case 11:
			ok = len(value) == 1 && value[0] == 1 // SIP
		case 15:
			c.text = string(value)
		}
		b = b[size:]
	}
	return c, ok && len(b) == 0
}

// TestHomer makes a call, and the collector gets a copy of all its signalling.
func TestHomer(t *testing.T) {
	const collector = 9063
	conn, err := lab.ListenRelay(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), collector))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			line := fmt.Sprintf("no HEP: %q", buf[:n])
			if c, ok := decodeHEP(buf[:n]); ok {
				m, _ := parseMessage([]byte(c.text))
				line = fmt.Sprintf("%d %d %s", c.from, c.to, c.text)
				if m != nil {
					line = fmt.Sprintf("%d %d %s %d %s", c.from, c.to, m.method(), m.code(), m.get("Call-ID"))
				}
			}
			mu.Lock()
			got = append(got, line)
			mu.Unlock()
		}
	})
	defer func() {
		_ = conn.Close()
		done.Wait()
	}()
	d := deployment{table: "modern", change: func(v *opensipscfg.Values) {
		v.Optional.Homer = opensipscfg.Homer{Collector: fmt.Sprint("127.0.0.1:", collector), Port: 9061}
	}}
	deployEach(t, d, false, func(s *stage) {
		s.runOnOpenSIPS("a call", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			d, e := s.dial(p, q)
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			caller, callee := p.conn.LocalAddr().(*net.UDPAddr).Port, q.conn.LocalAddr().(*net.UDPAddr).Port
			var want []string
			for _, m := range []string{"INVITE 0", "ACK 0", "BYE 0"} { // as it came, as it went
				want = append(want, fmt.Sprintf("%d 5060 %s %s", caller, m, d.callID), fmt.Sprintf("5060 %d %s %s", callee, m, d.callID))
			}
			for _, m := range []string{"INVITE 200", "BYE 200"} {
				want = append(want, fmt.Sprintf("%d 5060 %s %s", callee, m, d.callID), fmt.Sprintf("5060 %d %s %s", caller, m, d.callID))
			}
			s.until("the collector has all of the call", 10*time.Second, func() (bool, string) {
				mu.Lock()
				defer mu.Unlock()
				for _, w := range want {
					if !slices.Contains(got, w) {
						return false, fmt.Sprintf("no %q in\n%s", w, strings.Join(got, "\n"))
					}
				}
				return true, ""
			})
			s.nothingLeft()
		})
	})
}

// TestRecordHeader: a caller asks for a recording. A relay that does not record must not cost him the call; the log says it,
// and the header goes no further.
func TestRecordHeader(t *testing.T) {
	d := deployment{table: "modern", change: func(v *opensipscfg.Values) { v.Optional.RecordHeader = "X-Record" }}
	deployEach(t, d, false, func(s *stage) {
		s.runOnOpenSIPS("asked for", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			p.extra = "X-Record: yes"
			d, err := p.call(s.ctx, bob.aor(), p.sdp("sendrecv"))
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			if h := e.invite.get("X-Record"); h != "" {
				s.Errorf("the callee is told %q", h)
			}
			s.connect(d, e)
			s.phoneHears(p, lab.PhoneToneHz)
			s.phoneHears(q, lab.PhoneToneHz)
			s.until("the log says that nothing is recorded", 5*time.Second, func() (bool, string) {
				log := s.proxy.tail()
				return strings.Contains(log, d.callID+": NOT RECORDED"), log
			})
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.runOnOpenSIPS("not asked for", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			talk(s, p, q)
			if strings.Count(s.proxy.tail(), "NOT RECORDED") > 1 {
				s.Error("the log speaks of a recording that nobody wanted")
			}
		})
	})
}

// TestRelaySet spreads calls over two relays by weight; when one dies, calls go on through the other.
func TestRelaySet(t *testing.T) {
	second := lab.RelayAddr + ":2224"
	d := deployment{table: "modern", sidecars: []string{lab.ControlAddr, second}, change: func(v *opensipscfg.Values) {
		v.Media.Sidecars[0].Weight, v.Media.Sidecars[1].Weight = 1, 3
	}}
	deployEach(t, d, false, func(s *stage) {
		s.runOnOpenSIPS("weights, then one is gone", func(s *stage) {
			other, err := lab.StartDaemonAt(s.ctx, second, 45000, []string{"pub/" + lab.RelayAddr, "pub/" + lab.RelayAddr6}, s.program...)
			s.must(err)
			gone := false
			defer func() {
				if !gone {
					_ = other.Close()
				}
			}()
			p, q := s.phone(alice, false), s.phone(bob, false)
			// The proxy found one relay missing when it began and asks again after 20 s.
			s.until("both relays are in use", time.Minute, func() (bool, string) {
				d, e := s.dial(p, q)
				used := s.callsOf(other)
				s.must(d.bye(s.ctx))
				s.must(e.hungUp(s.ctx))
				time.Sleep(time.Second)
				return used == 1, ""
			})
			const calls = 40
			type call struct{ d, e *dialog }
			var open []call
			for range calls {
				d, e := s.dial(p, q)
				open = append(open, call{d, e})
			}
			first, more := s.calls(), s.callsOf(other)
			s.Logf("of %d calls %d are on the relay of weight 1, %d on that of weight 3", calls, first, more)
			// The call's id decides: about three quarters are on the second.
			if first+more != calls || more <= calls/2 || first == 0 {
				s.Error("the weights do not show")
			}
			for _, c := range open {
				s.must(c.d.bye(s.ctx))
				s.must(c.e.hungUp(s.ctx))
			}
			s.nothingLeft()
			s.must(other.Close())
			gone = true
			for range 4 {
				talk(s, p, q)
			}
		})
	})
}

// dial connects two phones.
func (s *stage) dial(p, q *phone) (d, e *dialog) {
	s.Helper()
	d, err := p.call(s.ctx, q.aor(), p.sdp("sendrecv"))
	s.must(err)
	e, err = q.called(s.ctx)
	s.must(err)
	s.connect(d, e)
	return d, e
}
