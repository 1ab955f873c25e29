package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	opensipscfg "rtpsidecar/opensips-cfg"
	lab "rtpsidecar/scripts/webrtclab"
)

// options asks the proxy how it is; change may alter the request. It returns the code, 0 for no answer within limit.
func (s *stage) options(p *phone, limit time.Duration, change func(*message)) int {
	s.Helper()
	m := p.request("OPTIONS", "sip:"+digestDomain, unique(), unique(), "<sip:"+digestDomain+">", 1)
	if change != nil {
		change(m)
	}
	s.must(p.send(m))
	r, err := p.awaitFor(s.ctx, limit, "an answer to OPTIONS", finalFor(m.get("Call-ID"), 1))
	if errors.Is(err, context.DeadlineExceeded) && s.ctx.Err() == nil {
		return 0
	}
	s.must(err)
	return r.code()
}

func (m *message) set(name, value string) {
	for i, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			m.headers[i].value = value
			return
		}
	}
	m.add(name, value)
}

// TestGuard: loops, scanners and garbage get no further, and a request in order does.
func TestGuard(t *testing.T) {
	onEachProxy(t, "modern", false, func(s *stage) {
		p := s.unregistered(account{"x", "here.test", ""}, false)
		const short = time.Second
		s.runOnOpenSIPS("in order", func(s *stage) {
			if code := s.options(p, patience, nil); code != 200 {
				s.Errorf("got %d", code)
			}
		})
		s.runOnOpenSIPS("too many hops", func(s *stage) {
			if code := s.options(p, patience, func(m *message) { m.set("Max-Forwards", "0") }); code != 483 {
				s.Errorf("got %d", code)
			}
		})
		for _, agent := range []string{"friendly-scanner", "sipvicious", "sipcli/v1.8", "pplsip"} {
			s.runOnOpenSIPS(agent, func(s *stage) {
				if code := s.options(p, short, func(m *message) { m.add("User-Agent", agent) }); code != 0 {
					s.Errorf("got %d, want no answer", code)
				}
			})
		}
		s.runOnOpenSIPS("a body of no type", func(s *stage) {
			m := p.request("OPTIONS", "sip:"+digestDomain, unique(), unique(), "<sip:"+digestDomain+">", 1)
			m.body = "what is this?"
			s.must(p.send(m))
			r, err := p.await(s.ctx, "a refusal", func(r *message) bool { return r.get("Call-ID") == m.get("Call-ID") })
			s.must(err)
			if r.code() != 400 {
				s.Errorf("got %s", r.start)
			}
		})
	})
}

// TestPike: who floods is not heard any more, and nobody else is hurt.
func TestPike(t *testing.T) {
	d := deployment{table: "modern", change: func(v *opensipscfg.Values) {
		v.Security.Pike = opensipscfg.Pike{On: true, Requests: 30, Seconds: 2}
	}}
	deployEach(t, d, false, func(s *stage) {
		s.runOnOpenSIPS("flood", func(s *stage) {
			bad, good := s.unregistered(account{"x", "here.test", ""}, true), s.unregistered(account{"y", "here.test", ""}, false)
			if code := s.options(bad, patience, nil); code != 200 {
				s.Fatalf("before the flood: %d", code)
			}
			flood := func() {
				for i := range 200 {
					m := bad.request("OPTIONS", "sip:"+digestDomain, unique(), unique(), "<sip:"+digestDomain+">", i+1)
					s.must(bad.send(m))
				}
			}
			s.until("the flood is cut off", 30*time.Second, func() (bool, string) {
				flood()
				code := s.options(bad, 500*time.Millisecond, nil)
				return code == 0, fmt.Sprint("answered ", code)
			})
			if code := s.options(good, patience, nil); code != 200 {
				s.Errorf("somebody else got %d", code)
			}
		})
	})
}

// TestStolenRoute: a way that the proxy made for one call, or that somebody made up, opens nothing for another.
func TestStolenRoute(t *testing.T) {
	onEachProxy(t, "modern", false, func(s *stage) {
		s.runOnOpenSIPS("preloaded Route", func(s *stage) {
			p := s.unregistered(account{"x", "here.test", ""}, false)
			m := p.request("INVITE", "sip:x@192.0.2.9", unique(), unique(), "<sip:x@elsewhere.test>", 1)
			m.add("Route", "<sip:"+lab.RelayAddr+";lr>")
			m.add("Route", "<sip:192.0.2.9;lr>")
			setBody(m, p.sdp("sendrecv"))
			s.must(p.send(m))
			r, err := p.await(s.ctx, "a refusal", responseFor(m.get("Call-ID"), 1, 180))
			s.must(err)
			if r.code() != 403 || s.calls() != 0 {
				s.Errorf("got %s, the daemon has %d calls", r.start, s.calls())
			}
		})
		s.runOnOpenSIPS("another call's Route", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			d, err := p.call(s.ctx, bob.aor(), p.sdp("sendrecv"))
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			s.connect(d, e)
			thief := s.unregistered(account{"x", "here.test", ""}, false)
			m := thief.request("INVITE", "sip:x@192.0.2.9", unique(), unique(), "<sip:x@elsewhere.test>;tag=made-up", 2)
			for _, r := range d.routes {
				m.add("Route", r)
			}
			setBody(m, thief.sdp("sendrecv"))
			s.must(thief.send(m))
			r, err := thief.await(s.ctx, "a refusal", responseFor(m.get("Call-ID"), 2, 180))
			s.must(err)
			if r.code() != 403 || s.calls() != 1 {
				s.Errorf("got %s, the daemon has %d calls, want 1", r.start, s.calls())
			}
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
	})
}

// TestConnections: phones over TCP and TLS, on either family, register, call and are called over their own connection.
func TestConnections(t *testing.T) {
	onEachProxy(t, "modern", false, func(s *stage) {
		for _, c := range []struct {
			transport string
			six       bool
		}{{"tcp", false}, {"tcp", true}, {"tls", false}, {"tls", true}} {
			name := c.transport + " on IPv4"
			if c.six {
				name = c.transport + " on IPv6"
			}
			s.runOnOpenSIPS(name, func(s *stage) {
				p, q := s.phoneOver(c.transport, alice, c.six), s.phone(bob, false)
				talk(s, p, q)
				talk(s, q, p)
			})
		}
	})
}

// TestNamesakes: whoever takes a name in the open domain is not called for its owner in another, nor the other way round.
func TestNamesakes(t *testing.T) {
	onEachProxy(t, "modern", false, func(s *stage) {
		s.runOnOpenSIPS("called by domain", func(s *stage) {
			caller, owner, namesake := s.phone(alice, false), s.phone(bob, false), s.phone(account{bob.user, openDomain, ""}, false)
			for _, c := range []struct{ called, other *phone }{{owner, namesake}, {namesake, owner}} {
				talk(s, caller, c.called)
				if _, err := c.other.awaitFor(s.ctx, time.Second, "a call", isCall); !errors.Is(err, context.DeadlineExceeded) {
					s.Errorf("a call to %s rings at %s: %v", c.called.aor(), c.other.aor(), err)
				}
			}
		})
	})
}

// talk makes one phone call another; both hear, the caller hangs up.
func talk(s *stage, p, q *phone) {
	s.Helper()
	d, err := p.call(s.ctx, q.aor(), p.sdp("sendrecv"))
	s.must(err)
	e, err := q.called(s.ctx)
	s.must(err)
	converse(s, d, e)
}

// converse connects a call that has come; both hear, the caller hangs up.
func converse(s *stage, d, e *dialog) {
	s.Helper()
	s.connect(d, e)
	s.phoneHears(d.p, lab.PhoneToneHz)
	s.phoneHears(e.p, lab.PhoneToneHz)
	s.must(d.bye(s.ctx))
	s.must(e.hungUp(s.ctx))
	s.nothingLeft()
}
