package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	opensipscfg "rtpsidecar/opensips-cfg"
	lab "rtpsidecar/scripts/webrtclab"
)

// names answers DNS questions in the relay's network with these records, keyed by "name type", until the test ends.
type names map[string][]dnsmessage.ResourceBody

var nameServer = netip.MustParseAddr("127.0.0.1")

const typeNAPTR = dnsmessage.Type(35)

// naptr is a record of RFC 3403 section 4.1.
func naptr(order, preference byte, flags, service, regexp, replacement string) dnsmessage.ResourceBody {
	data := []byte{0, order, 0, preference}
	for _, s := range []string{flags, service, regexp} {
		data = append(append(data, byte(len(s))), s...)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(replacement, "."), ".") {
		if label != "" {
			data = append(append(data, byte(len(label))), label...)
		}
	}
	return &dnsmessage.UnknownResource{Type: typeNAPTR, Data: append(data, 0)}
}

func srv(priority, port uint16, target string) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Priority: priority, Port: port, Target: dnsmessage.MustNewName(target)}
}

func (n names) serve(t *testing.T) {
	t.Helper()
	conn, err := lab.ListenRelay(netip.AddrPortFrom(nameServer, 53))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if reply := n.answer(buf[:size]); reply != nil {
				_, _ = conn.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
}

func (n names) answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	kind := strings.TrimPrefix(q.Type.String(), "Type")
	if q.Type == typeNAPTR {
		kind = "NAPTR"
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true},
		Questions: m.Questions,
	}
	for _, body := range n[strings.ToLower(q.Name.String())+" "+kind] {
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: body})
	}
	known := false
	for name := range n {
		known = known || strings.HasPrefix(name, strings.ToLower(q.Name.String())+" ")
	}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	b, err := reply.Pack()
	if err != nil {
		return nil
	}
	return b
}

// TestNames finds foreign domains as RFC 3263 says, and numbers in ENUM. Each foreign server is a phone on a port that only
// the name server knows.
func TestNames(t *testing.T) {
	const port = 5095
	phoneAddress := &dnsmessage.AResource{A: netip.MustParseAddr(lab.PhoneAddr).As4()}
	names{
		"naptr.test. NAPTR":           {naptr(10, 0, "s", "SIP+D2U", "", "_sip._udp.servers.test")},
		"_sip._udp.servers.test. SRV": {srv(10, port, "host.test.")},
		"srv.test. A":                 {&dnsmessage.AResource{A: [4]byte{192, 0, 2, 9}}}, // not to be used
		"_sip._udp.srv.test. SRV":     {srv(10, port, "host.test.")},
		"spare.test. A":               {&dnsmessage.AResource{A: [4]byte{192, 0, 2, 9}}},
		"_sip._udp.spare.test. SRV":   {srv(10, 9, "host.test."), srv(20, port, "host.test.")}, // nobody listens on the first
		"host.test. A":                {phoneAddress},
		"6.5.4.3.2.1.0.3.9.4.e164.test. NAPTR": {
			naptr(20, 0, "u", "E2U+mailto", "!^.*$!mailto:x@naptr.test!", ""), naptr(10, 0, "u", "E2U+sip", "!^.*$!sip:desk@naptr.test!", ""),
		},
	}.serve(t)
	d := deployment{table: "modern", dns: nameServer, change: func(v *opensipscfg.Values) { v.Optional.ENUM = "e164.test." }}
	deployEach(t, d, false, func(s *stage) {
		p := s.phone(alice, false)
		for _, c := range []struct{ name, dialled, want string }{
			{"NAPTR and SRV", "sip:x@naptr.test", "sip:x@naptr.test"},
			{"SRV alone", "sip:x@srv.test", "sip:x@srv.test"},
			{"the first server is down", "sip:x@spare.test", "sip:x@spare.test"},
			{"ENUM", "sip:+4930123456@" + digestDomain, "sip:desk@naptr.test"},
			{"ENUM of a national number", "sip:030123456@" + digestDomain, "sip:desk@naptr.test"},
		} {
			s.runOnOpenSIPS(c.name, func(s *stage) {
				q, err := newPhone(p.proxy, account{"x", lab.PhoneAddr, ""}, port)
				s.must(err)
				s.Cleanup(q.close)
				d, err := p.call(s.ctx, c.dialled, p.sdp("sendrecv"))
				s.must(err)
				// A server that is down costs the transaction's time-out, 10 s.
				m, err := q.awaitFor(s.ctx, 30*time.Second, "a call", func(m *message) bool { return m.code() == 0 && m.method() == "INVITE" })
				s.must(err)
				if !strings.HasPrefix(m.start, "INVITE "+c.want) {
					s.Errorf("the server got %s, want %s", m.start, c.want)
				}
				e := q.callee(m)
				s.connect(d, e)
				s.phoneHears(p, lab.PhoneToneHz)
				s.phoneHears(q, lab.PhoneToneHz)
				s.must(d.bye(s.ctx))
				s.must(e.hungUp(s.ctx))
				s.nothingLeft()
			})
		}
		s.runOnOpenSIPS("a number that nobody has", func(s *stage) {
			d, err := p.call(s.ctx, "sip:+4930999999@"+digestDomain, p.sdp("sendrecv"))
			s.must(err)
			r, err := d.responseWithin(s.ctx, 300, 30*time.Second)
			s.must(err)
			s.must(d.acknowledge(r, ""))
			if r.code() != 480 {
				s.Errorf("got %s", r.start)
			}
			s.nothingLeft()
		})
	})
}
