package relay

import (
	"testing"
	"time"

	"rtpsidecar/relay/srtp"
)

// TestFetch goes the way to what is there, at every stage of a stream's life.
func TestFetch(t *testing.T) {
	h, key := memHost(t), testKey(t, "AES_CM_128_HMAC_SHA1_80", 1)
	from := memTransport(t, h, Settings{Learning: LearnImmediate, SDES: &SDES{Recv: key}})
	to := memTransport(t, h, Settings{SDES: &SDES{Send: testKey(t, "AEAD_AES_128_GCM", 2)}})
	p := from.addrs[0].ports[RTP]
	way := func() (sum uint64) {
		for step := range fetchSteps {
			sum += p.fetch(step)
		}
		return sum
	}
	way()
	from.SetPlan(&Plan{Routes: []Route{{}}})
	way()
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}}})
	before := way()
	ctx, err := srtp.New(key)
	if err != nil {
		t.Fatal(err)
	}
	pkt, err := ctx.ProtectRTP(append(make([]byte, 0, 2048), voice()...))
	if err != nil {
		t.Fatal(err)
	}
	p.receive(pkt, farRTP, &Meta{At: time.Now(), Scratch: make([]byte, ScratchLen)})
	if p.in.packets.Load() != 1 {
		t.Fatal("the packet was not taken")
	}
	if way() == before {
		t.Error("what a packet changes is not on the way")
	}
	if n := testing.AllocsPerRun(100, func() { way() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	from.SetPlan(&Plan{Routes: []Route{{Sinks: []Sink{{To: to}}}, {}}})
	way()
	to.Close()
	from.Close()
	way()
}
