package e2e

import (
	"fmt"
	"testing"

	lab "rtpsidecar/scripts/webrtclab"
)

// both waits for media in both directions between a call of the page and a phone.
func (s *stage) both(call string, p *phone) {
	s.Helper()
	s.phoneHears(p, firstHz)
	s.hears(call, lab.PhoneToneHz)
}

// connect makes the callee answer and the caller take it, both of them phones.
func (s *stage) connect(d, e *dialog) {
	s.Helper()
	done := make(chan error, 1)
	go func() { done <- e.accept(s.ctx) }()
	s.must(d.answered(s.ctx))
	s.must(<-done)
}

func TestRegister(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("phone with password", func(s *stage) { s.phone(alice, false) })
		s.run("phone over IPv6", func(s *stage) { s.phone(alice, true) })
		s.run("phone in the open domain", func(s *stage) { s.phone(guest, false) })
		s.run("wrong password", func(s *stage) {
			p := s.unregistered(account{"alice", digestDomain, "wrong"}, false)
			code, err := p.register(s.ctx, 600)
			s.must(err)
			if code != 401 && code != 403 {
				s.Errorf("got %d", code)
			}
		})
		s.run("unknown user", func(s *stage) {
			p := s.unregistered(account{"mallory", digestDomain, "x"}, false)
			if code, err := p.register(s.ctx, 600); err != nil || code != 401 {
				s.Errorf("got %d, %v", code, err)
			}
		})
		s.runOnOpenSIPS("foreign domain", func(s *stage) {
			p := s.unregistered(account{"x", "elsewhere.test", ""}, false)
			if code, err := p.register(s.ctx, 600); err != nil || code != 403 {
				s.Errorf("got %d, %v", code, err)
			}
		})
		s.run("page with password", func(s *stage) { s.agent(alice, firstHz, false) })
		s.run("page in the open domain", func(s *stage) { s.agent(guest, firstHz, false) })
		s.runOnOpenSIPS("page over wss", func(s *stage) {
			s.agentOn(fmt.Sprintf("wss://%s:%d", lab.RelayAddr, portWSS), alice, firstHz, false)
		})
	})
}

// TestCells makes a call in each direction of each cell of the flag table, with both tables.
func TestCells(t *testing.T) {
	for _, table := range []string{"modern", "2015"} {
		t.Run(table, func(t *testing.T) {
			onEachProxy(t, table, true, func(s *stage) {
				s.run("page calls page", func(s *stage) { pageCallsPage(s, table == "modern") })
				s.run("page calls phone", func(s *stage) { pageCallsPhone(s, s.agent(guest, firstHz, false)) })
				s.run("phone calls page", func(s *stage) { phoneCallsPage(s, s.agent(guest, firstHz, false)) })
				s.run("phone calls phone", func(s *stage) { phoneCallsPhone(s, false, false) })
				if table == "modern" && s.opensips {
					wss := fmt.Sprintf("wss://%s:%d", lab.RelayAddr, portWSS)
					s.run("page over wss calls phone", func(s *stage) { pageCallsPhone(s, s.agentOn(wss, guest, firstHz, false)) })
					s.run("phone calls page over wss", func(s *stage) { phoneCallsPage(s, s.agentOn(wss, guest, firstHz, false)) })
				}
			})
		})
	}
}

func pageCallsPage(s *stage, relayed bool) {
	a, b := s.agent(alice, firstHz, true), s.agent(guest, secondHz, true)
	s.sip(nil, "invite", a, "a", guest.aor())
	s.sip(nil, "ringing", b, "b")
	s.sip(nil, "accept", "b")
	s.sip(nil, "established", "a")
	s.hears("a", secondHz)
	s.hears("b", firstHz)
	s.frames("a")
	s.frames("b")
	if relayed {
		s.relayed("a")
		s.relayed("b")
	}
	s.sip(nil, "hangup", "b")
	s.sip(nil, "ended", "a")
	s.nothingLeft()
}

func pageCallsPhone(s *stage, a string) {
	p := s.phone(bob, false)
	s.sip(nil, "invite", a, "a", bob.aor())
	d, err := p.called(s.ctx)
	s.must(err)
	s.must(d.respond(d.invite, 180, "Ringing", ""))
	s.must(d.accept(s.ctx))
	s.sip(nil, "established", "a")
	s.both("a", p)
	s.must(d.bye(s.ctx))
	s.sip(nil, "ended", "a")
	s.nothingLeft()
}

func phoneCallsPage(s *stage, b string) {
	p := s.phone(bob, false)
	d, err := p.call(s.ctx, "sip:"+b+"@"+openDomain, p.sdp("sendrecv"))
	s.must(err)
	s.sip(nil, "ringing", b, "b")
	s.sip(nil, "accept", "b")
	s.must(d.answered(s.ctx))
	s.both("b", p)
	s.sip(nil, "hangup", "b")
	s.must(d.hungUp(s.ctx))
	s.nothingLeft()
}

func phoneCallsPhone(s *stage, callerSix, calleeSix bool) {
	p, q := s.phone(alice, callerSix), s.phone(bob, calleeSix)
	d, err := p.call(s.ctx, bob.aor(), p.sdp("sendrecv"))
	s.must(err)
	e, err := q.called(s.ctx)
	s.must(err)
	s.connect(d, e)
	s.phoneHears(p, lab.PhoneToneHz)
	s.phoneHears(q, lab.PhoneToneHz)
	s.must(d.bye(s.ctx))
	s.must(e.hungUp(s.ctx))
	s.nothingLeft()
}

// TestFamilies crosses IPv4 and IPv6; the page is on IPv4.
func TestFamilies(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("IPv4 phone calls IPv6 phone", func(s *stage) { phoneCallsPhone(s, false, true) })
		s.run("IPv6 phone calls IPv4 phone", func(s *stage) { phoneCallsPhone(s, true, false) })
		s.run("page calls IPv6 phone", func(s *stage) {
			p, a := s.phone(bob, true), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor())
			d, err := p.called(s.ctx)
			s.must(err)
			s.must(d.accept(s.ctx))
			s.both("a", p)
			s.sip(nil, "hangup", "a")
			s.must(d.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.run("IPv6 phone calls page", func(s *stage) {
			p, b := s.phone(bob, true), s.agent(guest, firstHz, false)
			d, err := p.call(s.ctx, guest.aor(), p.sdp("sendrecv"))
			s.must(err)
			s.sip(nil, "ringing", b, "b")
			s.sip(nil, "accept", "b")
			s.must(d.answered(s.ctx))
			s.both("b", p)
			s.must(d.bye(s.ctx))
			s.sip(nil, "ended", "b")
			s.nothingLeft()
		})
	})
}
