package relay

import "net/netip"

// With thousands of streams nothing of the next packet's is in the processor's caches, and a packet alone waits for one line
// of memory after the other, as each says where the next one is. Who has several packets at hand goes one step of that way for all of
// them, then the next: lines of different streams come at the same time.

// fetchSteps is how many steps the way has, and fetchWorth how many packets make it worth while.
const (
	fetchSteps = 4
	fetchWorth = 4
)

// fetcher is a PacketIO whose workers have several packets at hand before they handle the first.
type fetcher interface {
	// openFetching is Open for packets whose state fetch brings in, step after step. What fetch returns says nothing.
	openFetching(local netip.AddrPort, group uint64, deliver Deliver, fetch func(step int) uint64) (Socket, error)
}

// fetch reads a word of each line that the next RTP packet is likely to need, as far as the steps before have brought the way
// there. It runs in the port's worker.
func (p *port) fetch(step int) (sum uint64) {
	c := p.comp
	t := c.t
	switch step {
	case 0:
		return p.in.packets.Load() + c.learn.gen + uint64(c.lastPacket.Load())
	case 1:
		if src := t.sources.newest; src != nil {
			sum = src.packets.Load() + src.window
		}
		if k := c.recv.Load(); k != nil && k.ctx != nil {
			sum += k.ctx.Fetch()
		}
		return sum + t.live.Load().gen + uint64(len(t.plan.Load().Routes))
	}
	plan := t.plan.Load()
	if len(plan.Routes) != 1 || len(plan.Routes[0].Sinks) == 0 {
		return 0
	}
	to := &plan.Routes[0].Sinks[0].To.comps[RTP]
	if step == 2 {
		return uint64(to.lastPacket.Load())
	}
	if tg := to.target.Load(); tg != nil {
		sum = tg.port.out.packets.Load()
	}
	if k := to.sendKeys.Load(); k != nil && k.ctx != nil {
		sum += k.ctx.Fetch()
	}
	return sum
}

// FetchSteps is how many steps there are for [Transport.Fetch].
const FetchSteps = 3

// Fetch reads a word of each line that Received needs, as far as the steps before have brought the way there. It is for those who
// look at many transports, and take the first step for some, then the next. What it returns says nothing.
func (t *Transport) Fetch(step int) (sum uint64) {
	list, to := t.sources.list.Load(), t.comps[RTP].target.Load()
	if step == 0 || list == nil || len(*list) == 0 || to == nil {
		return 0
	}
	src, p := (*list)[0], to.port
	if step == 1 {
		if src != nil && p != nil { // they are, but the compiler does not know it
			sum = 1
		}
		return sum
	}
	return src.first.Load() + uint64(src.ssrc) + uint64(p.local.Port())
}
