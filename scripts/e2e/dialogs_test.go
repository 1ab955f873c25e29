package e2e

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	lab "rtpsidecar/scripts/webrtclab"
)

// direction is the direction attribute of a body, sendrecv if it has none.
func direction(body string) string {
	for _, d := range []string{"sendonly", "recvonly", "inactive"} {
		if strings.Contains(body, "a="+d+"\r\n") {
			return d
		}
	}
	return "sendrecv"
}

// TestRenegotiation holds and resumes from each side, with re-INVITE and UPDATE; the media must follow, and stay encrypted
// for the page and plain for the phone.
func TestRenegotiation(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("page holds and resumes", func(s *stage) {
			p, a := s.phone(bob, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor())
			d, err := p.called(s.ctx)
			s.must(err)
			s.must(d.accept(s.ctx))
			s.both("a", p)
			for _, hold := range []struct {
				on          bool
				offer, want string
			}{{true, "sendonly", "recvonly"}, {false, "sendrecv", "sendrecv"}} {
				done := make(chan error, 1)
				go func() {
					body, err := d.accommodate(s.ctx, "INVITE", hold.want)
					if err == nil && direction(body) != hold.offer {
						t.Errorf("the phone is offered %s, want %s", direction(body), hold.offer)
					}
					done <- err
				}()
				var code int
				s.sip(&code, "reinvite", "a", hold.on)
				s.must(<-done)
				if code != 200 {
					s.Fatalf("re-INVITE got %d", code)
				}
				if hold.on {
					s.quiet("the page gets nothing from a phone on hold", s.audioPackets("a"))
				}
			}
			s.both("a", p)
			s.must(d.bye(s.ctx))
			s.sip(nil, "ended", "a")
			s.nothingLeft()
		})
		s.run("phone that was called holds and resumes", func(s *stage) {
			p, a := s.phone(bob, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor())
			d, err := p.called(s.ctx)
			s.must(err)
			s.must(d.accept(s.ctx))
			s.both("a", p)
			phoneHolds(s, d, d.reinvite)
			s.both("a", p)
			s.sip(nil, "hangup", "a")
			s.must(d.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.run("phone that calls holds and resumes", func(s *stage) {
			p, b := s.phone(bob, false), s.agent(guest, firstHz, false)
			d, err := p.call(s.ctx, guest.aor(), p.sdp("sendrecv"))
			s.must(err)
			s.sip(nil, "ringing", b, "b")
			s.sip(nil, "accept", "b")
			s.must(d.answered(s.ctx))
			s.both("b", p)
			phoneHolds(s, d, d.reinvite)
			s.both("b", p)
			s.must(d.bye(s.ctx))
			s.sip(nil, "ended", "b")
			s.nothingLeft()
		})
		s.run("page that was called re-invites", func(s *stage) {
			p, b := s.phone(bob, false), s.agent(guest, firstHz, false)
			d, err := p.call(s.ctx, guest.aor(), p.sdp("sendrecv"))
			s.must(err)
			s.sip(nil, "ringing", b, "b")
			s.sip(nil, "accept", "b")
			s.must(d.answered(s.ctx))
			s.both("b", p)
			done := make(chan error, 1)
			go func() {
				_, err := d.accommodate(s.ctx, "INVITE", "sendrecv")
				done <- err
			}()
			var code int
			s.sip(&code, "reinvite", "b", false)
			s.must(<-done)
			if code != 200 {
				s.Fatalf("re-INVITE got %d", code)
			}
			s.both("b", p)
			s.sip(nil, "hangup", "b")
			s.must(d.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.run("UPDATE between phones, from each", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			d, err := p.call(s.ctx, bob.aor(), p.sdp("sendrecv"))
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			s.connect(d, e)
			s.phoneHears(q, lab.PhoneToneHz)
			for _, side := range []struct{ sends, gets *dialog }{{d, e}, {e, d}} {
				done := make(chan error, 1)
				go func() {
					body, err := side.gets.accommodate(s.ctx, "UPDATE", "recvonly")
					if err == nil && direction(body) != "sendonly" {
						t.Errorf("%s is offered %s in UPDATE, want sendonly", side.gets.p.user, direction(body))
					}
					done <- err
				}()
				body, err := side.sends.update(s.ctx, side.sends.p.sdp("sendonly"))
				s.must(err)
				s.must(<-done)
				if direction(body) != "recvonly" {
					s.Errorf("%s is answered %s, want recvonly", side.sends.p.user, direction(body))
				}
				s.phoneHears(side.gets.p, lab.PhoneToneHz)
			}
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
	})
}

// phoneHolds renegotiates to sendonly and back; the page's answers show that the direction came through.
func phoneHolds(s *stage, d *dialog, renegotiate func(context.Context, string) (string, error)) {
	s.Helper()
	for _, step := range []struct{ offer, want string }{{"sendonly", "recvonly"}, {"sendrecv", "sendrecv"}} {
		body, err := renegotiate(s.ctx, d.p.sdp(step.offer))
		s.must(err)
		if direction(body) != step.want {
			s.Errorf("%s is answered with %s, want %s", step.offer, direction(body), step.want)
		}
		if step.offer == "sendonly" {
			s.quiet("the phone that holds gets nothing", func() int { return int(d.p.media.Received()) })
		}
	}
}

// TestEarlyMedia: who calls hears the callee before the call is answered.
func TestEarlyMedia(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("page hears phone", func(s *stage) {
			p, a := s.phone(bob, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor(), map[string]bool{"early": true})
			d, err := p.called(s.ctx)
			s.must(err)
			s.must(p.hear(d.invite.body))
			s.must(d.respond(d.invite, 183, "Session Progress", p.sdp("sendrecv")))
			s.hears("a", lab.PhoneToneHz)
			s.must(d.accept(s.ctx))
			s.sip(nil, "established", "a")
			s.both("a", p)
			s.must(d.bye(s.ctx))
			s.sip(nil, "ended", "a")
			s.nothingLeft()
		})
		s.run("phone hears phone", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			d, err := p.call(s.ctx, bob.aor(), p.sdp("sendrecv"))
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			s.must(q.hear(e.invite.body))
			s.must(e.respond(e.invite, 183, "Session Progress", q.sdp("sendrecv")))
			r, err := d.response(s.ctx, 183)
			s.must(err)
			s.must(p.hear(r.body))
			s.phoneHears(p, lab.PhoneToneHz)
			s.connect(d, e)
			s.phoneHears(q, lab.PhoneToneHz)
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
	})
}

// TestNotAnswered: a call that comes to nothing leaves nothing in the daemon.
func TestNotAnswered(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("page cancels", func(s *stage) {
			p, a := s.phone(bob, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor())
			d, err := p.called(s.ctx)
			s.must(err)
			s.must(d.respond(d.invite, 180, "Ringing", ""))
			if n := s.calls(); n != 1 {
				s.Errorf("the daemon has %d calls while it rings, want 1", n)
			}
			done := make(chan error, 1)
			go func() { done <- d.cancelled(s.ctx) }()
			s.sip(nil, "hangup", "a")
			s.must(<-done)
			s.nothingLeft()
		})
		s.run("phone cancels", func(s *stage) {
			p, b := s.phone(bob, false), s.agent(guest, firstHz, false)
			d, err := p.call(s.ctx, guest.aor(), p.sdp("sendrecv"))
			s.must(err)
			s.sip(nil, "ringing", b, "b")
			_, err = d.response(s.ctx, 180)
			s.must(err)
			s.must(d.cancel(s.ctx))
			s.sip(nil, "ended", "b")
			s.nothingLeft()
		})
		s.run("busy", func(s *stage) {
			p, a := s.phone(bob, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor())
			d, err := p.called(s.ctx)
			s.must(err)
			s.must(d.respond(d.invite, 486, "Busy Here", ""))
			var code int
			s.sip(&code, "code", "a", 300)
			if code != 486 {
				s.Errorf("the page got %d", code)
			}
			s.nothingLeft()
		})
		s.run("no reply at all", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			q.deaf()
			d, err := p.call(s.ctx, bob.aor(), p.sdp("sendrecv"))
			s.must(err)
			r, err := d.responseWithin(s.ctx, 300, 20*time.Second)
			s.must(err)
			s.must(d.acknowledge(r, ""))
			if r.code() != 408 {
				s.Errorf("the caller got %s", r.start)
			}
			q.hearing()
			s.nothingLeft()
		})
		s.run("nobody there", func(s *stage) {
			a := s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", carol.aor())
			var code int
			s.sip(&code, "code", "a", 300)
			if code != 480 {
				s.Errorf("the page got %d", code)
			}
			s.nothingLeft()
		})
	})
}

// TestLateOffer leaves the offer to the callee: it comes in the 200, the answer in the ACK.
func TestLateOffer(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("phone calls page", func(s *stage) {
			p, b := s.phone(bob, false), s.agent(guest, firstHz, false)
			d, err := p.call(s.ctx, guest.aor(), "")
			s.must(err)
			s.sip(nil, "ringing", b, "b")
			done := make(chan error, 1)
			go func() {
				r, err := d.response(s.ctx, 200)
				if err == nil {
					err = p.hear(r.body)
				}
				if err == nil {
					err = d.acknowledge(r, p.sdp("sendrecv"))
				}
				done <- err
			}()
			s.sip(nil, "accept", "b")
			s.must(<-done)
			s.both("b", p)
			s.must(d.bye(s.ctx))
			s.sip(nil, "ended", "b")
			s.nothingLeft()
		})
		s.run("offer in 183, answer in PRACK", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			d, err := p.call(s.ctx, bob.aor(), "")
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			done := make(chan error, 1)
			go func() {
				prack, err := e.progress(s.ctx, q.sdp("sendrecv"))
				if err == nil {
					err = q.hear(prack.body)
				}
				done <- err
			}()
			r, err := d.response(s.ctx, 183)
			s.must(err)
			s.must(p.hear(r.body))
			s.must(d.prack(s.ctx, r, p.sdp("sendrecv")))
			s.must(<-done)
			s.phoneHears(p, lab.PhoneToneHz)
			s.phoneHears(q, lab.PhoneToneHz)
			s.must(e.respond(e.invite, 200, "OK", ""))
			ok, err := d.response(s.ctx, 200)
			s.must(err)
			s.must(d.acknowledge(ok, ""))
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.run("page calls phone", func(s *stage) {
			p, a := s.phone(bob, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", bob.aor(), map[string]bool{"late": true})
			d, err := p.called(s.ctx)
			s.must(err)
			if d.invite.body != "" {
				s.Fatal("the INVITE has a body")
			}
			s.must(d.accept(s.ctx))
			s.sip(nil, "established", "a")
			s.both("a", p)
			s.must(d.bye(s.ctx))
			s.sip(nil, "ended", "a")
			s.nothingLeft()
		})
		s.run("phone calls phone", func(s *stage) {
			p, q := s.phone(alice, false), s.phone(bob, false)
			d, err := p.call(s.ctx, bob.aor(), "")
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			done := make(chan error, 1)
			go func() { done <- e.accept(s.ctx) }()
			r, err := d.response(s.ctx, 200)
			s.must(err)
			s.must(p.hear(r.body))
			s.must(d.acknowledge(r, p.sdp("sendrecv")))
			s.must(<-done)
			s.phoneHears(p, lab.PhoneToneHz)
			s.phoneHears(q, lab.PhoneToneHz)
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
	})
}

// TestForked registers a page and a phone under one address; both ring, one answers.
func TestForked(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		fork := func(s *stage) (caller *phone, d *dialog, page string, callee *phone, e *dialog) {
			callee, page = s.phone(guest, false), s.agent(guest, firstHz, false)
			caller = s.phone(alice, false)
			d, err := caller.call(s.ctx, guest.aor(), caller.sdp("sendrecv"))
			s.must(err)
			e, err = callee.called(s.ctx)
			s.must(err)
			s.must(e.respond(e.invite, 180, "Ringing", ""))
			s.sip(nil, "ringing", page, "b")
			return caller, d, page, callee, e
		}
		s.run("the phone answers", func(s *stage) {
			caller, d, _, callee, e := fork(s)
			s.connect(d, e)
			s.sip(nil, "ended", "b")
			s.phoneHears(caller, lab.PhoneToneHz)
			s.phoneHears(callee, lab.PhoneToneHz)
			s.must(d.bye(s.ctx))
			s.must(e.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.run("the page answers", func(s *stage) {
			caller, d, _, _, e := fork(s)
			done := make(chan error, 1)
			go func() { done <- e.cancelled(s.ctx) }()
			s.sip(nil, "accept", "b")
			s.must(d.answered(s.ctx))
			s.must(<-done)
			s.both("b", caller)
			s.sip(nil, "hangup", "b")
			s.must(d.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.run("a page calls, the phone answers", func(s *stage) {
			a := s.agent(alice, secondHz, false)
			callee, _ := s.phone(guest, false), s.agent(guest, firstHz, false)
			s.sip(nil, "invite", a, "a", guest.aor())
			e, err := callee.called(s.ctx)
			s.must(err)
			s.sip(nil, "ringing", "guest", "b")
			s.must(e.accept(s.ctx))
			s.sip(nil, "established", "a")
			s.sip(nil, "ended", "b")
			s.phoneHears(callee, secondHz)
			s.hears("a", lab.PhoneToneHz)
			s.must(e.bye(s.ctx))
			s.sip(nil, "ended", "a")
			s.nothingLeft()
		})
	})
}

// TestNoOpenRelay: strangers get neither a way nor media.
func TestNoOpenRelay(t *testing.T) {
	onEachProxy(t, "modern", false, func(s *stage) {
		refused := func(s *stage, a account, target string, want int) {
			s.Helper()
			p := s.unregistered(account{a.user, a.domain, ""}, false)
			d, err := p.call(s.ctx, target, p.sdp("sendrecv"))
			s.must(err)
			r, err := d.response(s.ctx, 180)
			s.must(err)
			s.must(d.acknowledge(r, ""))
			if r.code() != want {
				s.Errorf("%s calls %s: %s, want %d", a.aor(), target, r.start, want)
			}
			if n := s.calls(); n != 0 {
				s.Errorf("the daemon has %d calls", n)
			}
		}
		s.run("user without password to foreign", func(s *stage) { refused(s, alice, "sip:x@elsewhere.test", 407) })
		s.run("user without password to local", func(s *stage) { refused(s, alice, bob.aor(), 407) })
		s.run("open domain to foreign", func(s *stage) { refused(s, guest, "sip:x@elsewhere.test", 403) })
		s.run("foreign to foreign", func(s *stage) {
			refused(s, account{"x", "here.test", ""}, "sip:x@elsewhere.test", 403)
		})
		s.runOnOpenSIPS("in a made-up dialog", func(s *stage) {
			p := s.unregistered(account{"x", "here.test", ""}, false)
			m := p.request("INVITE", "sip:x@192.0.2.9", unique(), unique(), "<sip:x@elsewhere.test>;tag=made-up", 2)
			m.add("Route", "<sip:"+lab.RelayAddr+";lr>")
			setBody(m, p.sdp("sendrecv"))
			s.must(p.send(m))
			r, err := p.await(s.ctx, "a refusal", finalFor(m.get("Call-ID"), 2))
			s.must(err)
			if r.code() != 403 {
				s.Errorf("got %s", r.start)
			}
		})
	})
}

// TestFederation: to a foreign domain with a password, from one without; both ends hear each other. The foreign server is
// a phone under an address, which is a domain of nobody here.
func TestFederation(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		s.runOnOpenSIPS("phone calls foreign", func(s *stage) {
			p, q := s.phone(alice, false), s.unregistered(account{"x", lab.PhoneAddr, ""}, false)
			foreign := "sip:x@" + q.conn.LocalAddr().String()
			d, err := p.call(s.ctx, foreign, p.sdp("sendrecv"))
			s.must(err)
			e, err := q.called(s.ctx)
			s.must(err)
			s.connect(d, e)
			s.phoneHears(p, lab.PhoneToneHz)
			s.phoneHears(q, lab.PhoneToneHz)
			s.must(e.bye(s.ctx))
			s.must(d.hungUp(s.ctx))
			s.nothingLeft()
		})
		s.runOnOpenSIPS("page calls foreign", func(s *stage) {
			a, q := s.agent(alice, firstHz, false), s.unregistered(account{"x", lab.PhoneAddr, ""}, false)
			s.sip(nil, "invite", a, "a", "sip:x@"+q.conn.LocalAddr().String())
			e, err := q.called(s.ctx)
			s.must(err)
			s.must(e.accept(s.ctx))
			s.sip(nil, "established", "a")
			s.both("a", q)
			s.must(e.bye(s.ctx))
			s.sip(nil, "ended", "a")
			s.nothingLeft()
		})
		s.run("foreign calls page", func(s *stage) {
			q, b := s.unregistered(account{"x", "elsewhere.test", ""}, false), s.agent(guest, firstHz, false)
			d, err := q.call(s.ctx, guest.aor(), q.sdp("sendrecv"))
			s.must(err)
			s.sip(nil, "ringing", b, "b")
			s.sip(nil, "accept", "b")
			s.must(d.answered(s.ctx))
			s.both("b", q)
			s.sip(nil, "hangup", "b")
			s.must(d.hungUp(s.ctx))
			s.nothingLeft()
		})
	})
}

// TestRelayFailover has a set of two relays, one of which is not there: calls go through the other.
func TestRelayFailover(t *testing.T) {
	host, _, err := net.SplitHostPort(lab.ControlAddr)
	if err != nil {
		t.Fatal(err)
	}
	gone := netip.AddrPortFrom(netip.MustParseAddr(host), 2299).String()
	deployEach(t, deployment{table: "modern", sidecars: []string{gone, lab.ControlAddr}}, false, func(s *stage) {
		for range 3 { // a call's id decides which relay is asked first
			phoneCallsPhone(s, false, false)
		}
	})
}

// TestGateway dials a number as people write it; it comes out at the gateway as that one wants it.
func TestGateway(t *testing.T) {
	onEachProxy(t, "modern", false, func(s *stage) {
		s.runOnOpenSIPS("national number", func(s *stage) {
			nationalNumber(s, s.phone(alice, false))
		})
	})
}

// nationalNumber makes p dial a number as people write it.
func nationalNumber(s *stage, p *phone) {
	s.Helper()
	q, err := newPhone(p.proxy, account{"gateway", lab.PhoneAddr, ""}, portGateway)
	s.must(err)
	s.Cleanup(q.close)
	d, err := p.call(s.ctx, "sip:0800123456@"+digestDomain, p.sdp("sendrecv"))
	s.must(err)
	e, err := q.called(s.ctx)
	s.must(err)
	if !strings.HasPrefix(e.invite.start, "INVITE sip:0800123456@"+lab.PhoneAddr) {
		s.Errorf("the gateway got %s", e.invite.start)
	}
	s.connect(d, e)
	s.phoneHears(p, lab.PhoneToneHz)
	s.must(d.bye(s.ctx))
	s.must(e.hungUp(s.ctx))
	s.nothingLeft()
}

// TestRoomMessage sends one MESSAGE to an address that a page and a phone share, as the conference does: both get it.
func TestRoomMessage(t *testing.T) {
	onEachProxy(t, "modern", true, func(s *stage) {
		p, a := s.phone(guest, false), s.agent(guest, firstHz, false)
		from := s.agent(alice, secondHz, false)
		s.sip(nil, "message", from, guest.aor(), "here I am")
		m, err := p.await(s.ctx, "MESSAGE", func(m *message) bool { return m.code() == 0 && m.method() == "MESSAGE" })
		s.must(err)
		s.must(p.send(reply(m, 200, "OK")))
		if m.body != "here I am" {
			s.Errorf("the phone got %q", m.body)
		}
		s.until("the page gets the message", 5*time.Second, func() (bool, string) {
			var got []string
			s.sip(&got, "messages", a)
			return len(got) == 1 && got[0] == "here I am", strings.Join(got, ", ")
		})
	})
}
