package load

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun sends between the two ends without a relay.
func TestRun(t *testing.T) {
	p, err := NewPair(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	callers, callees := p.Addrs()
	calls := make([]Call, 30)
	for i := range calls {
		calls[i] = Call{ToCallee: callees, ToCaller: callers}
	}
	var traffic Traffic
	if err := p.Run(t.Context(), calls, 200*time.Millisecond, &traffic); err != nil {
		t.Fatal(err)
	}
	if sent := traffic.Sent.Load(); sent != 600 || traffic.Received.Load() != sent || traffic.Lost() != 0 {
		t.Errorf("%d of %d packets", traffic.Received.Load(), sent)
	}
	if traffic.P50 <= 0 || traffic.P99 < traffic.P50 || traffic.P99 > 5*time.Second {
		t.Errorf("latency %v, %v", traffic.P50, traffic.P99)
	}
}
