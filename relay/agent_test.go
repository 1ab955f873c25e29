package relay

import (
	"net/netip"
	"testing"
	"time"
)

// TestFollow moves the far side's media between addresses: another one that it has proven is heard at once and followed
// after a while, one that it has not is neither.
func TestFollow(t *testing.T) {
	selected, proven := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:2000")
	sdp, stranger := netip.MustParseAddrPort("192.0.2.3:3000"), netip.MustParseAddrPort("192.0.2.66:6")
	start := time.Unix(1000, 0)
	view := func() *pairView {
		return &pairView{remote: selected, nominated: true, since: start, proven: []netip.AddrPort{selected, proven}}
	}
	for _, tt := range []struct {
		name   string
		view   *pairView
		from   netip.AddrPort
		after  time.Duration
		heard  bool
		target netip.AddrPort
	}{
		{"selected pair", view(), selected, time.Hour, true, selected},
		{"proven, too soon", view(), proven, followEvery - 1, true, selected},
		{"proven", view(), proven, followEvery, true, proven},
		{"stranger", view(), stranger, time.Hour, false, selected},
		{"SDP's address beside a pair", view(), sdp, time.Hour, false, selected},
		{"before ICE, SDP's address", &pairView{}, sdp, time.Hour, true, selected},
		{"before ICE, stranger", &pairView{}, stranger, time.Hour, false, selected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := component{t: new(Transport)}
			p := new(port)
			c.target.Store(p.to(selected, false))
			c.pair.Store(tt.view)
			at := start.Add(tt.after)
			heard := tt.view.from(tt.from, sdp, at)
			if heard {
				c.follow(tt.view, p, tt.from, at)
			}
			if got := c.target.Load().addr; heard != tt.heard || got != tt.target {
				t.Errorf("heard %v, sends to %v; want %v, %v", heard, got, tt.heard, tt.target)
			}
			if tt.target == proven && !c.pair.Load().from(selected, sdp, at.Add(time.Second)) {
				t.Error("the pair selected before is not heard any more")
			}
		})
	}
}
