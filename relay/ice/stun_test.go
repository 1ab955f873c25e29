package ice

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// The messages of RFC 5769 section 2, with password "VOkJxbRl1RmTxUk/WvJxBt" and ufrags "evtj" and "h6vY".
const (
	sampleRequest = "\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x10STUN test client" +
		"\x00\x24\x00\x04\x6e\x00\x01\xff" +
		"\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36" +
		"\x00\x06\x00\x09evtj:h6vY\x20\x20\x20" +
		"\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2" +
		"\x80\x28\x00\x04\xe5\x7a\x3b\xcf"
	sampleResponse4 = "\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x0btest vector\x20" +
		"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43" +
		"\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7" +
		"\x80\x28\x00\x04\xc0\x7d\x4c\x96"
	sampleResponse6 = "\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x0btest vector\x20" +
		"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9" +
		"\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41" +
		"\x80\x28\x00\x04\xc8\xfb\x0b\x4c"
	samplePwd = "VOkJxbRl1RmTxUk/WvJxBt"
)

// sampleAgent is the agent that the sample request is meant for.
func sampleAgent(cfg Config) *Agent {
	cfg.Local = Credentials{Ufrag: "evtj", Pwd: samplePwd}
	if cfg.Locals == nil {
		cfg.Locals = []Candidate{{Foundation: "f", Component: 1, Addr: netip.MustParseAddrPort("192.0.2.9:9000"), Priority: Priority(Host, 0, 1)}}
	}
	return New(cfg)
}

var source = netip.MustParseAddrPort("192.0.2.1:32853")

// decoded parses the only packet among the agent's actions.
func decoded(t *testing.T, a *Agent) *stun.Message {
	t.Helper()
	var m *stun.Message
	for _, x := range a.Actions() {
		if x.Kind == Send {
			if m != nil {
				t.Fatal("two packets")
			}
			m = &stun.Message{Raw: slices.Clone(x.Packet)}
			if err := m.Decode(); err != nil {
				t.Fatal(err)
			}
			if err := stun.Fingerprint.Check(m); err != nil {
				t.Error(err)
			}
		}
	}
	return m
}

func TestRFC5769(t *testing.T) {
	a := sampleAgent(Config{Software: "test vector", Controlling: true})
	a.Input(start, 0, source, []byte(sampleRequest))
	m := decoded(t, a)
	if m == nil || m.Type != stun.BindingSuccess {
		t.Fatalf("answer: %v, %+v", m, a.Stats())
	}
	// The answer to the sample request is the sample response, but for the space that pads SOFTWARE there: pads are
	// free, and ours are zeros.
	want := new(stun.Message)
	if err := stun.Decode([]byte(sampleResponse4), want); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []stun.AttrType{stun.AttrSoftware, stun.AttrXORMappedAddress} {
		x, _ := m.Get(typ)
		if y, _ := want.Get(typ); string(x) != string(y) {
			t.Errorf("%v: got %x, want %x", typ, x, y)
		}
	}
	if err := stun.NewShortTermIntegrity(samplePwd).Check(m); err != nil || m.TransactionID != want.TransactionID {
		t.Errorf("%v, transaction %x", err, m.TransactionID)
	}
	for _, r := range []struct{ raw, want string }{
		{sampleResponse4, "192.0.2.1:32853"},
		{sampleResponse6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"},
	} {
		if err := a.decode([]byte(r.raw)); err != nil || a.msg.mapped.String() != r.want {
			t.Errorf("%v, mapped %v, want %s", err, a.msg.mapped, r.want)
		}
	}
	if u, ok := Peek([]byte(sampleRequest)); !ok || string(u) != "evtj" {
		t.Errorf("Peek: %q %v", u, ok)
	}
	for i := range sampleRequest {
		Peek([]byte(sampleRequest[:i]))
	}
	if _, ok := Peek([]byte(sampleResponse4)); ok {
		t.Error("Peek found a user name in a response")
	}
}

func TestRequests(t *testing.T) {
	base := new(stun.Message)
	if err := stun.Decode([]byte(sampleRequest), base); err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := []byte(sampleRequest)
		b[at] ^= 1
		return b
	}
	// bare is a request with the given attributes and a fingerprint, signed when pwd is not empty.
	bare := func(pwd string, attrs ...stun.RawAttribute) []byte {
		m := new(stun.Message)
		m.Type = stun.BindingRequest
		m.WriteHeader()
		for _, a := range attrs {
			m.Add(a.Type, a.Value)
		}
		if pwd != "" {
			_ = stun.NewShortTermIntegrity(pwd).AddTo(m)
		}
		_ = stun.Fingerprint.AddTo(m)
		return m.Raw
	}
	user := stun.RawAttribute{Type: stun.AttrUsername, Value: []byte("evtj:h6vY")}
	afterIntegrity := func() []byte {
		m := new(stun.Message)
		m.Type = stun.BindingRequest
		m.WriteHeader()
		m.Add(user.Type, user.Value)
		_ = stun.NewShortTermIntegrity(samplePwd).AddTo(m)
		m.Add(stun.AttrUseCandidate, nil)
		m.Add(0x7777, nil)
		_ = stun.Fingerprint.AddTo(m)
		return m.Raw
	}
	rows := []struct {
		name  string
		pkt   []byte
		code  int // 0: success, -1: silence
		count func(Stats) uint64
	}{
		{"good", []byte(sampleRequest), 0, func(s Stats) uint64 { return s.Early }},
		{"fingerprint", flip(len(sampleRequest) - 1), -1, func(s Stats) uint64 { return s.BadFingerprint }},
		{"no fingerprint", bare(samplePwd, user)[:20], -1, func(s Stats) uint64 { return s.Malformed }},
		{"content", flip(30), -1, func(s Stats) uint64 { return s.BadFingerprint }},
		{"other cookie", flip(4), -1, func(s Stats) uint64 { return s.Malformed }},
		{"other method", flip(1), -1, func(s Stats) uint64 { return s.Malformed }},
		{"length", []byte(sampleRequest + "\x00\x00\x00\x00"), -1, func(s Stats) uint64 { return s.Malformed }},
		{"empty", nil, -1, func(s Stats) uint64 { return s.Malformed }},
		{"oversized", make([]byte, 1600), -1, func(s Stats) uint64 { return s.Malformed }},
		{"header only", bare("")[:20], -1, func(s Stats) uint64 { return s.Malformed }},
		{"no credentials", bare(""), 400, func(s Stats) uint64 { return s.NoCredentials }},
		{"no integrity", bare("", user), 400, func(s Stats) uint64 { return s.NoCredentials }},
		{"no user name", bare(samplePwd), 400, func(s Stats) uint64 { return s.NoCredentials }},
		{"wrong password", rebuild(base, "nothing"), 401, func(s Stats) uint64 { return s.BadPassword }},
		{"wrong ufrag", bare(samplePwd, stun.RawAttribute{Type: stun.AttrUsername, Value: []byte("evt:h6vY")}), 401, func(s Stats) uint64 { return s.BadUsername }},
		{"no colon", bare(samplePwd, stun.RawAttribute{Type: stun.AttrUsername, Value: []byte("evtj")}), 401, func(s Stats) uint64 { return s.BadUsername }},
		{"unknown attribute", rebuild(base, samplePwd, stun.RawAttribute{Type: 0x7777}), 420, func(s Stats) uint64 { return s.UnknownAttributes }},
		{"unknown optional attribute", rebuild(base, samplePwd, stun.RawAttribute{Type: 0x8777}), 0, func(s Stats) uint64 { return s.Early }},
		{"attributes behind integrity", afterIntegrity(), 0, func(s Stats) uint64 { return s.Early }},
		{"short priority", rebuild(base, samplePwd, stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{1}}), -1, func(s Stats) uint64 { return s.Malformed }},
		{"short tie-breaker", rebuild(base, samplePwd, stun.RawAttribute{Type: stun.AttrICEControlling, Value: []byte{1}}), -1, func(s Stats) uint64 { return s.Malformed }},
		{"bad address", bare(samplePwd, user, stun.RawAttribute{Type: stun.AttrXORMappedAddress, Value: make([]byte, 8)}), -1, func(s Stats) uint64 { return s.Malformed }},
		{"bad error code", bare(samplePwd, user, stun.RawAttribute{Type: stun.AttrErrorCode}), -1, func(s Stats) uint64 { return s.Malformed }},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			a := sampleAgent(Config{Controlling: true})
			if strings.HasPrefix(r.name, "no fingerprint") {
				b := bare(samplePwd, user)
				b = b[:len(b)-8]
				binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
				a.Input(start, 0, source, b)
				if a.Stats().BadFingerprint != 1 || decoded(t, a) != nil {
					t.Errorf("%+v", a.Stats())
				}
				return
			}
			a.Input(start, 0, source, r.pkt)
			m := decoded(t, a)
			switch {
			case r.code == -1:
				if m != nil {
					t.Errorf("answered %v", m)
				}
			case m == nil:
				t.Errorf("no answer: %+v", a.Stats())
			case r.code == 0:
				if m.Type != stun.BindingSuccess {
					t.Errorf("answered %v", m)
				}
			default:
				var code stun.ErrorCodeAttribute
				if err := code.GetFrom(m); err != nil || int(code.Code) != r.code || m.Type != stun.BindingError {
					t.Errorf("answered %v with %v, %v", m, code, err)
				}
				if (r.code == 420) != m.Contains(stun.AttrMessageIntegrity) {
					t.Errorf("integrity in %v", m)
				}
				var u stun.UnknownAttributes
				if err := u.GetFrom(m); r.code == 420 && (err != nil || len(u) != 1 || u[0] != 0x7777) {
					t.Errorf("unknown: %v %v", u, err)
				}
			}
			if got := r.count(a.Stats()); got != 1 {
				t.Errorf("counter is %d: %+v", got, a.Stats())
			}
			if len(a.early) > 0 && a.early[0].useCand {
				t.Error("took USE-CANDIDATE from behind the integrity")
			}
		})
	}
	a := sampleAgent(Config{})
	a.Input(start, 1, source, []byte(sampleRequest))
	a.Input(start, -1, source, []byte(sampleRequest))
	if a.Stats().Requests != 0 {
		t.Error("took a packet for a socket that does not exist")
	}
	a.Input(start, 0, source, bareIndication())
	if a.Stats().Indications != 1 || len(a.Actions()) != 0 {
		t.Errorf("indication: %+v", a.Stats())
	}
}

func bareIndication() []byte {
	m := new(stun.Message)
	m.Type = stun.NewType(stun.MethodBinding, stun.ClassIndication)
	m.WriteHeader()
	return m.Raw
}

func TestResponses(t *testing.T) {
	remote := Credentials{Ufrag: "peer", Pwd: "secretsecretsecretsecret"}
	other := netip.MustParseAddrPort("192.0.2.2:1000")
	answer := func(req *stun.Message, class stun.MessageClass, pwd string, attrs ...stun.Setter) []byte {
		m := new(stun.Message)
		m.Type, m.TransactionID = stun.NewType(stun.MethodBinding, class), req.TransactionID
		m.WriteHeader()
		for _, a := range attrs {
			if err := a.AddTo(m); err != nil {
				t.Fatal(err)
			}
		}
		if pwd != "" {
			_ = stun.NewShortTermIntegrity(pwd).AddTo(m)
		}
		_ = stun.Fingerprint.AddTo(m)
		return m.Raw
	}
	mapped := &stun.XORMappedAddress{IP: []byte{192, 0, 2, 9}, Port: 9000}
	nat := &stun.XORMappedAddress{IP: []byte{203, 0, 113, 9}, Port: 9}
	const ok, bad = stun.ClassSuccessResponse, stun.ClassErrorResponse
	rows := []struct {
		name  string
		class stun.MessageClass
		pwd   string
		attrs []stun.Setter
		from  netip.AddrPort
		state PairState
		count func(Stats) uint64
	}{
		{"good", ok, remote.Pwd, []stun.Setter{mapped}, source, Succeeded, func(s Stats) uint64 { return s.Responses }},
		{"behind a NAT", ok, remote.Pwd, []stun.Setter{nat}, source, Succeeded, func(s Stats) uint64 { return s.Responses }},
		{"no integrity", ok, "", []stun.Setter{mapped}, source, InProgress, func(s Stats) uint64 { return s.BadResponses }},
		{"wrong password", ok, "wrong", []stun.Setter{mapped}, source, InProgress, func(s Stats) uint64 { return s.BadResponses }},
		{"no address", ok, remote.Pwd, nil, source, Failed, func(s Stats) uint64 { return s.BadResponses }},
		{"unknown attribute", ok, remote.Pwd, []stun.Setter{mapped, stun.RawAttribute{Type: 0x7777}}, source, Failed, func(s Stats) uint64 { return s.BadResponses }},
		{"another source", ok, remote.Pwd, []stun.Setter{mapped}, other, Failed, func(s Stats) uint64 { return s.Asymmetric }},
		{"another source, not authenticated", ok, "wrong", []stun.Setter{mapped}, other, InProgress, func(s Stats) uint64 { return s.BadResponses }},
		{"error", bad, remote.Pwd, []stun.Setter{stun.CodeServerError}, source, Failed, func(s Stats) uint64 { return s.ChecksFailed }},
		{"error, not authenticated", bad, "", []stun.Setter{stun.CodeUnauthorized}, source, InProgress, func(s Stats) uint64 { return s.BadResponses }},
		{"role conflict", bad, remote.Pwd, []stun.Setter{stun.CodeRoleConflict}, source, Waiting, func(s Stats) uint64 { return s.RoleConflicts }},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			a := sampleAgent(Config{Controlling: true, TieBreaker: 77})
			a.SetRemote(start, Remote{Credentials: remote, Candidates: []Candidate{{Component: 1, Addr: source, Priority: 99}}})
			req := decoded(t, a)
			if v, _ := req.Get(stun.AttrUsername); string(v) != "peer:evtj" {
				t.Errorf("user name %q", v)
			}
			if v, _ := req.Get(stun.AttrPriority); binary.BigEndian.Uint32(v) != Priority(PeerReflexive, 0, 1) {
				t.Errorf("priority %x", v)
			}
			a.Input(start.Add(time.Millisecond), 0, r.from, answer(req, r.class, r.pwd, r.attrs...))
			ps := a.AppendPairs(nil)
			if len(ps) != 1 || ps[0].State != r.state {
				t.Errorf("pairs %+v, want %v", ps, r.state)
			}
			if got := r.count(a.Stats()); got != 1 {
				t.Errorf("counter is %d: %+v", got, a.Stats())
			}
			if s, ok := a.Selected(1); ok != (r.state == Succeeded) || s.Nominated {
				t.Errorf("selected %+v %v", s, ok)
			}
			if ps[0].LocalReflexive != (r.name == "behind a NAT") {
				t.Errorf("%+v", ps[0])
			}
			if r.state == Waiting && (a.Controlling() || a.tieBreaker == 77) {
				t.Errorf("after a conflict: controlling %v, tie-breaker %d", a.Controlling(), a.tieBreaker)
			}
			// The same answer again belongs to nothing, unless the first one was not believed.
			before := a.Stats()
			a.Input(start.Add(2*time.Millisecond), 0, r.from, answer(req, r.class, r.pwd, r.attrs...))
			if got := a.Stats().Unmatched - before.Unmatched; (got == 1) != (r.state != InProgress) {
				t.Errorf("second answer: %d unmatched", got)
			}
		})
	}
}

// A conflict between equal tie-breakers must not go on for ever, and lite peers never yield.
func TestRoleConflictLite(t *testing.T) {
	base := new(stun.Message)
	_ = stun.Decode([]byte(sampleRequest), base) // comes from a controlled agent
	a := sampleAgent(Config{Lite: true})
	a.Input(start, 0, source, []byte(sampleRequest))
	var code stun.ErrorCodeAttribute
	if m := decoded(t, a); m == nil || code.GetFrom(m) != nil || code.Code != stun.CodeRoleConflict || a.Controlling() {
		t.Errorf("lite agent answers %v, controlling %v", code, a.Controlling())
	}
}

func FuzzInput(f *testing.F) {
	base := new(stun.Message)
	_ = stun.Decode([]byte(sampleRequest), base)
	f.Add([]byte(sampleRequest))
	f.Add([]byte(sampleResponse4))
	f.Add([]byte(sampleResponse6))
	f.Add(rebuild(base, samplePwd, stun.RawAttribute{Type: stun.AttrUseCandidate}))
	f.Add(rebuild(base, samplePwd, stun.RawAttribute{Type: stun.AttrErrorCode, Value: []byte{0, 0, 4, 87}}))
	f.Add(bareIndication())
	f.Fuzz(func(t *testing.T, pkt []byte) {
		a := sampleAgent(Config{})
		now := start
		a.SetRemote(now, Remote{
			Credentials: Credentials{Ufrag: "h6vY", Pwd: samplePwd},
			Candidates:  []Candidate{{Component: 1, Addr: source, Priority: 99, Foundation: "1"}},
		})
		// Signed as it stands, and as an answer to what is under way, so that the code behind the checks is reached.
		signed := pkt
		m := new(stun.Message)
		if stun.Decode(pkt, m) == nil {
			if len(a.txs) > 0 && m.Type.Class != stun.ClassRequest {
				m.TransactionID = a.txs[0].id
			}
			signed = rebuild(m, samplePwd)
		}
		for _, p := range [][]byte{pkt, signed, signed} {
			Peek(p)
			a.Input(now, 0, source, p)
			for _, x := range a.Actions() {
				if x.Kind == SelectedPair && a.Stats().Responses == 0 {
					t.Errorf("selected %+v without an answer", x)
				}
			}
			now = now.Add(50 * time.Millisecond)
		}
		for range 200 {
			d := a.NextDeadline()
			if d.IsZero() {
				break
			}
			if d.After(now) {
				now = d
			}
			a.Tick(now)
			a.Actions()
		}
	})
}

// TestKeepaliveAllocations holds the steady state of a call: consent checks both ways.
func TestKeepaliveAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	n := newNetwork(t, 1)
	a, b := n.node("a", Config{Controlling: true, Software: "x"}, a1), n.node("b", Config{}, b1)
	call(t, n, a, b)
	now := n.now
	a.cfg.Rand, b.cfg.Rand = counter{}, counter{}
	got := testing.AllocsPerRun(100, func() {
		now = now.Add(6 * time.Second)
		for _, p := range [][2]*node{{a, b}, {b, a}} {
			p[0].Tick(now)
			for _, req := range p[0].Actions() {
				p[1].Input(now, 0, p[0].addrs[0], req.Packet)
			}
			for _, res := range p[1].Actions() {
				p[0].Input(now, 0, p[1].addrs[0], res.Packet)
			}
			p[0].Actions()
		}
	})
	if got > 0 {
		t.Errorf("%v allocations for two consent checks", got)
	}
	if a.State() != StateCompleted || a.Stats().ConsentSent < 90 {
		t.Errorf("%v, %+v", a.State(), a.Stats())
	}
}

// counter is a source of bytes that differ.
type counter struct{}

var counted uint64

func (counter) Read(b []byte) (int, error) {
	for i := range b {
		counted++
		b[i] = byte(counted >> (i % 8))
	}
	return len(b), nil
}

type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, io.EOF }

func TestCredentials(t *testing.T) {
	for _, r := range []io.Reader{nil, dry{}} {
		seen := map[string]bool{}
		for range 100 {
			c, f := NewCredentials(r), NewFoundation(r)
			if len(c.Ufrag) != 8 || len(c.Pwd) != 26 || len(f) != 16 {
				t.Fatalf("%+v %q", c, f)
			}
			if strings.Trim(c.Ufrag+c.Pwd+f, alphanumerics) != "" {
				t.Errorf("%+v %q", c, f)
			}
			seen[c.Pwd], seen[f] = true, true
		}
		if len(seen) != 200 {
			t.Errorf("%d different ones of 200", len(seen))
		}
	}
}
