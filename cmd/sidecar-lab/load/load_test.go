package load

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open has the two ends send to each other without a relay.
func open(t *testing.T, calls int) *Traffic {
	t.Helper()
	tr, err := New(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	for range calls {
		tr.Calls = append(tr.Calls, Call{ToCallee: tr.Callees.Addr(), ToCaller: tr.Callers.Addr()})
	}
	tr.Measure, tr.Burst = 200*time.Millisecond, time.Millisecond
	return tr
}

func TestRun(t *testing.T) {
	protected := 0
	for _, tt := range []struct {
		name   string
		change func(tr *Traffic)
	}{
		{"plain", func(*Traffic) {}},
		{"warm-up", func(tr *Traffic) { tr.Warm = 100 * time.Millisecond }},
		{"one burst", func(tr *Traffic) { tr.Burst = ptime }},
		{"rare packets", func(tr *Traffic) { tr.Interval, tr.Measure = 5*ptime, time.Second }},
		{"frequent packets", func(tr *Traffic) { tr.Interval, tr.Measure = ptime/2, 100*time.Millisecond }},
		{"fine bursts", func(tr *Traffic) { tr.Burst = 200 * time.Microsecond }},
		{"protected", func(tr *Traffic) {
			for i := range tr.Calls {
				tr.Calls[i].Protect = func(rtp []byte) ([]byte, error) {
					protected++
					return append(rtp[:12], make([]byte, packetLen-12+10)...), nil
				}
			}
		}},
		{"pinned", func(tr *Traffic) {
			was := runtime.GOMAXPROCS(8)
			t.Cleanup(func() { runtime.GOMAXPROCS(was) })
			tr.Pinned = true
		}},
		{"bounced", func(tr *Traffic) {
			for i := range tr.Calls {
				tr.Calls[i] = Call{ToCallee: tr.Callers.Addr(), ToCaller: tr.Callees.Addr()}
			}
		}},
		{"others send too", func(tr *Traffic) {
			for _, junk := range [][]byte{{0x80}, make([]byte, packetLen), append([]byte{0x80}, make([]byte, packetLen)...)} {
				l := newLetters(1, 0)
				l.put(0, junk)
				l.address(0, tr.Callees.Addr())
				if err := tr.Callers.send(l, 0, 1); err != nil {
					t.Error(err)
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr, begin := open(t, 30), time.Now()
			tt.change(tr)
			looks := 0
			tr.Clock = func() error { looks++; return nil }
			if err := tr.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if sent, got := tr.Sent.Load(), tr.Received.Load(); sent != 600 || got != sent || tr.Lost() != 0 {
				t.Errorf("%d of %d packets, want 600", got, sent)
			}
			if want := uint64(3 * tr.Warm / time.Millisecond); tr.Warmup != want {
				t.Errorf("%d packets before, want %d", tr.Warmup, want)
			}
			if tr.P50 <= 0 || tr.P99 < tr.P50 || tr.P99 > 5*time.Second {
				t.Errorf("latency %v, %v", tr.P50, tr.P99)
			}
			if p50, p99 := tr.Latency(Span{begin, time.Now()}); p50 != tr.P50 || p99 != tr.P99 {
				t.Errorf("latency of all the time %v, %v, want %v, %v", p50, p99, tr.P50, tr.P99)
			}
			if p50, p99 := tr.Latency(Span{begin.Add(-time.Hour), begin}); p50 != 0 || p99 != 0 {
				t.Errorf("latency before the beginning %v, %v", p50, p99)
			}
			if looks != 2 {
				t.Errorf("looked at the clocks %d times, want 2", looks)
			}
		})
	}
	if protected != 300 {
		t.Errorf("%d packets were protected, want those of the callees: 300", protected)
	}
}

// TestTurns has two traffics send in turn: neither sends a packet in the other's.
func TestTurns(t *testing.T) {
	const length, turns = 40 * time.Millisecond, 3
	first := time.Now().Add(20 * time.Millisecond)
	both := []*Traffic{open(t, 30), open(t, 30)}
	var running sync.WaitGroup
	for i, tr := range both {
		tr.Measure = turns * length
		tr.Turn = Turn{First: first.Add(time.Duration(i) * length), Length: length, Every: 2 * length}
		running.Go(func() {
			if err := tr.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	for i, tr := range both {
		if sent := tr.Sent.Load(); sent != 360 || tr.Lost() != 0 {
			t.Errorf("%d packets, %d lost, want 360", sent, tr.Lost())
		}
		for _, list := range tr.took {
			for _, s := range list {
				if at := time.Unix(0, s.sent).Sub(tr.Turn.First); at < 0 || at%tr.Turn.Every >= length+tr.Late {
					t.Fatalf("traffic %d sent a packet %v after its first turn began, %v late at worst", i, at, tr.Late)
				}
			}
		}
		for n := range turns {
			if at := tr.Turn.Begin(n); !at.Equal(first.Add(time.Duration(2*n+i) * length)) {
				t.Errorf("turn %d of traffic %d begins %v after the first", n, i, at.Sub(first))
			}
		}
	}
}

func TestRunEnds(t *testing.T) {
	bad := errors.New("bad")
	for _, tt := range []struct {
		name   string
		change func(tr *Traffic)
		want   error
	}{
		{"clock", func(tr *Traffic) { tr.Clock = func() error { return bad } }, bad},
		{"protect", func(tr *Traffic) { tr.Calls[0].Protect = func([]byte) ([]byte, error) { return nil, bad } }, bad},
		{"closed", func(tr *Traffic) { _ = tr.Close() }, net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := open(t, 1)
			tt.change(tr)
			if err := tr.Run(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	for _, burst := range []time.Duration{0, -1, ptime + 1} {
		if err := (&Traffic{Burst: burst}).Run(t.Context()); err == nil {
			t.Errorf("bursts of %v: no error", burst)
		}
	}
	tr := open(t, 1)
	tr.Measure = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	tr.Clock = func() error { cancel(); return nil }
	if err := tr.Run(ctx); err != nil || tr.Sent.Load() >= 6000 {
		t.Errorf("canceled: %v, %d packets", err, tr.Sent.Load())
	}
}
