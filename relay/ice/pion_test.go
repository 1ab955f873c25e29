package ice

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	pion "github.com/pion/ice/v4"
	"github.com/pion/stun/v3"
)

// socketed runs an agent on a real socket: the smallest honest user of the package.
type socketed struct {
	*Agent
	conn   *net.UDPConn
	events chan Action
	media  chan []byte
	do     chan func(now time.Time)
}

func newSocketed(t *testing.T, ctx context.Context, cfg Config) *socketed {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	cfg.Local = NewCredentials(nil)
	cfg.Locals = []Candidate{{
		Foundation: NewFoundation(nil), Component: 1, Priority: Priority(Host, 0, 1),
		Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(),
	}}
	s := &socketed{
		Agent: New(cfg), conn: conn, events: make(chan Action, 64), media: make(chan []byte, 64),
		do: make(chan func(time.Time)),
	}
	go s.run(ctx)
	return s
}

func (s *socketed) run(ctx context.Context) {
	type datagram struct {
		b    []byte
		from netip.AddrPort
	}
	in := make(chan datagram)
	go func() { // ends with the socket
		for {
			b := make([]byte, 1500)
			n, from, err := s.conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			select {
			case in <- datagram{b[:n], from}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		var due <-chan time.Time
		if d := s.NextDeadline(); !d.IsZero() {
			due = time.After(time.Until(d))
		}
		select {
		case <-ctx.Done():
			return
		case f := <-s.do:
			f(time.Now())
		case now := <-due:
			s.Tick(now)
		case d := <-in:
			if !stun.IsMessage(d.b) {
				s.media <- d.b
				continue
			}
			s.Input(time.Now(), 0, d.from, d.b)
		}
		for _, act := range s.Actions() {
			if act.Kind == Send {
				_, _ = s.conn.WriteToUDPAddrPort(act.Packet, act.Remote)
				continue
			}
			s.events <- act
		}
	}
}

// wait takes events until one is as wanted.
func (s *socketed) wait(t *testing.T, ctx context.Context, want func(Action) bool) Action {
	t.Helper()
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("no such event; state %v, %+v", s.State(), s.Stats())
		case act := <-s.events:
			if want(act) {
				return act
			}
		}
	}
}

func pionRemote(t *testing.T, agent *pion.Agent, lite bool) Remote {
	t.Helper()
	ufrag, pwd, err := agent.GetLocalUserCredentials()
	if err != nil {
		t.Fatal(err)
	}
	cands, err := agent.GetLocalCandidates()
	if err != nil {
		t.Fatal(err)
	}
	r := Remote{Credentials: Credentials{Ufrag: ufrag, Pwd: pwd}, Lite: lite, End: true}
	for _, c := range cands {
		typ, ok := ParseCandidateType(c.Type().String())
		if !ok {
			t.Fatalf("candidate type %v", c.Type())
		}
		r.Candidates = append(r.Candidates, Candidate{
			Foundation: c.Foundation(), Component: int(c.Component()), Type: typ, Priority: c.Priority(),
			Transport: c.NetworkType().NetworkShort(),
			Addr:      netip.AddrPortFrom(netip.MustParseAddr(c.Address()), uint16(c.Port())),
		})
	}
	return r
}

func gather(t *testing.T, ctx context.Context, agent *pion.Agent) {
	t.Helper()
	done := make(chan struct{})
	if err := agent.OnCandidate(func(c pion.Candidate) {
		if c == nil {
			close(done)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := agent.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("no candidates")
	}
}

func TestPion(t *testing.T) {
	rows := []struct {
		name             string
		ours             Config
		lite             bool // pion is
		blind, late, two bool // pion is not told our candidates; starts late; restarts
	}{
		{name: "controlling", ours: Config{Controlling: true}},
		{name: "controlled", ours: Config{}},
		{name: "lite", ours: Config{Lite: true}},
		{name: "lite peer", ours: Config{Controlling: true}, lite: true},
		{name: "peer-reflexive", ours: Config{Controlling: true}, blind: true},
		{name: "late peer", ours: Config{}, late: true},
		{name: "restart", ours: Config{Controlling: true}, two: true},
		{name: "restart, controlled", ours: Config{}, two: true},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			s := newSocketed(t, ctx, r.ours)
			types := []pion.CandidateType{pion.CandidateTypeHost}
			agent, err := pion.NewAgentWithOptions(
				pion.WithNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4}), pion.WithCandidateTypes(types),
				pion.WithIncludeLoopback(), pion.WithInterfaceFilter(func(n string) bool { return n == "lo" }),
				pion.WithMulticastDNSMode(pion.MulticastDNSModeDisabled), pion.WithICELite(r.lite),
			)
			if err != nil {
				t.Fatal(err)
			}
			defer agent.Close()
			gather(t, ctx, agent)
			tell := func() {
				if r.blind {
					return
				}
				c, err := pion.NewCandidateHost(&pion.CandidateHostConfig{
					Network: "udp", Address: "127.0.0.1", Port: s.conn.LocalAddr().(*net.UDPAddr).Port, Component: 1,
				})
				if err == nil {
					err = agent.AddRemoteCandidate(c)
				}
				if err != nil {
					t.Error(err)
				}
			}
			start := func() {
				remote := pionRemote(t, agent, r.lite)
				s.do <- func(now time.Time) { s.SetRemote(now, remote) }
			}
			tell()
			start()
			if r.late {
				s.wait(t, ctx, func(a Action) bool { return a.Kind == StateChanged })
			}
			var conn *pion.Conn
			if local := s.Local(); r.ours.Controlling {
				conn, err = agent.Accept(ctx, local.Ufrag, local.Pwd)
			} else {
				conn, err = agent.Dial(ctx, local.Ufrag, local.Pwd)
			}
			if err != nil {
				t.Fatal(err)
			}
			isCompleted := func(a Action) bool { return a.Kind == StateChanged && a.State == StateCompleted }
			s.wait(t, ctx, isCompleted)

			exchange := func() {
				t.Helper()
				if _, err := conn.Write([]byte("\x80hello")); err != nil {
					t.Fatal(err)
				}
				select {
				case got := <-s.media:
					if string(got) != "\x80hello" {
						t.Errorf("got %q", got)
					}
				case <-ctx.Done():
					t.Fatal("no media from the peer")
				}
				sent := make(chan struct{})
				s.do <- func(time.Time) {
					p, ok := s.Selected(1)
					if !ok || !p.Nominated || p.Old {
						t.Errorf("selected %+v %v", p, ok)
					}
					_, _ = s.conn.WriteToUDPAddrPort([]byte("\x80back"), p.Remote)
					close(sent)
				}
				<-sent
				b := make([]byte, 100)
				if n, err := conn.Read(b); err != nil || string(b[:n]) != "\x80back" {
					t.Errorf("peer got %q, %v", b[:n], err)
				}
			}
			exchange()
			if !r.two {
				return
			}
			if err := agent.Restart("", ""); err != nil {
				t.Fatal(err)
			}
			gather(t, ctx, agent)
			fresh := NewCredentials(nil)
			done := make(chan struct{})
			s.do <- func(now time.Time) { s.Restart(now, fresh, r.ours.Controlling); close(done) }
			<-done
			if err := agent.SetRemoteCredentials(fresh.Ufrag, fresh.Pwd); err != nil {
				t.Fatal(err)
			}
			tell()
			start()
			s.wait(t, ctx, isCompleted)
			exchange()
		})
	}
}
