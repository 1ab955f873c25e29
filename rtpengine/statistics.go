package rtpengine

import (
	"math"
	"strconv"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
)

// statistics reports the daemon's sums.
func (e *Engine) statistics(x *exchange) error {
	x.reply.AddDict("statistics", e.Statistics())
	return nil
}

// Statistics is the value of the statistics reply, and of the CLI's "list jsonstats".
func (e *Engine) Statistics() *ng.Dict {
	use, total := e.host.Use(), e.host.Totals()
	streams, inKernel := e.streams()
	s := &e.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &ng.Dict{}
	current := e.current()
	current.AddInt("media_userspace", streams-inKernel)
	current.AddInt("media_kernel", inKernel)
	current.AddInt("media_mixed", 0)
	d.AddDict("currentstatistics", current)
	d.AddDict("totalstatistics", e.totals(total))
	m := &ng.Dict{}
	s.voip.mos.group(m, "mos")
	d.AddDict("mos", m)
	d.AddDict("voip_metrics", s.voip.dict())
	d.AddDict("controlstatistics", e.control.dict())
	d.Add("interfaces", s.interfaceList(use))
	d.Add("transcoders", ng.List())
	d.Add("poller_threads", ng.List())
	d.AddDict("bufferpools", &ng.Dict{})
	return d
}

// streams counts the media that have ports, and those of them that the fast path forwards.
func (e *Engine) streams() (all, kernel int64) {
	e.each(func(c *Call) {
		c.medias(func(m *Media) {
			if m.local != nil {
				all++
				if m.local.t.Kernel() {
					kernel++
				}
			}
		})
	})
	return all, kernel
}

// current is the group of what is now, without the media. stats.mu is held.
func (e *Engine) current() *ng.Dict {
	d := &ng.Dict{}
	calls := e.calls.Load()
	d.AddInt("sessionsown", calls)
	d.AddInt("sessionsforeign", 0)
	d.AddInt("sessionstotal", calls)
	d.AddInt("transcodedmedia", 0)
	d.AddInt("mediacache", 0)
	d.AddInt("playercache", 0)
	r, k := &e.stats.rates, &e.stats.kernel
	for _, k := range []struct {
		suffix                 string
		packets, bytes, errors uint64
	}{
		{"_user", r.packets - k.packets, r.bytes - k.bytes, r.errors - k.errors},
		{"_kernel", k.packets, k.bytes, k.errors},
		{"", r.packets, r.bytes, r.errors},
	} {
		d.AddInt("packetrate"+k.suffix, int64(k.packets))
		d.AddInt("byterate"+k.suffix, int64(k.bytes))
		d.AddInt("errorrate"+k.suffix, int64(k.errors))
	}
	return d
}

// totals is the group of sums since the start. stats.mu is held.
func (e *Engine) totals(total relay.Totals) *ng.Dict {
	s := &e.stats
	d := &ng.Dict{}
	d.AddString("uptime", strconv.FormatInt(int64(e.now().Sub(e.started).Seconds()), 10))
	d.AddInt("managedsessions", int64(s.managed.Load()))
	d.AddInt("rejectedsessions", int64(s.rejected.Load()))
	for i, key := range []string{"timeoutsessions", "silenttimeoutsessions", "finaltimeoutsessions",
		"offertimeoutsessions", "regularterminatedsessions", "forcedterminatedsessions"} {
		d.AddInt(key, int64(s.reasons[i].Load()))
	}
	sum := total.User
	add(&sum, total.Kernel)
	for _, k := range []struct {
		suffix string
		c      relay.Counters
	}{{"_user", total.User}, {"_kernel", total.Kernel}, {"", sum}} {
		d.AddInt("relayedpackets"+k.suffix, int64(k.c.Packets))
		d.AddInt("relayedpacketerrors"+k.suffix, int64(k.c.Errors))
		d.AddInt("relayedbytes"+k.suffix, int64(k.c.Bytes))
	}
	d.AddInt("zerowaystreams", int64(s.zeroWay))
	d.AddInt("onewaystreams", int64(s.oneWay))
	d.AddString("avgcallduration", decimal(s.durations.average()))
	d.AddString("totalcallsduration", decimal(s.durations.sum))
	d.AddString("totalcallsduration2", decimal(s.durations.sumSq))
	d.AddString("totalcallsduration_stddev", decimal(s.durations.deviation()))
	return d
}

// dict is the voip_metrics group.
func (v *voipSums) dict() *ng.Dict {
	d := &ng.Dict{}
	v.groups(d)
	d.AddInt("packets_lost", int64(v.lost))
	d.AddInt("rtp_duplicates", int64(v.duplicates))
	d.AddInt("rtp_skips", 0)
	d.AddInt("rtp_seq_resets", 0)
	d.AddInt("rtp_reordered", int64(v.reordered))
	return d
}

func (v *voipSums) groups(d *ng.Dict) {
	v.jitter.group(d, "jitter")
	v.rttE2E.group(d, "rtt_e2e")
	v.rttLeg.group(d, "rtt_dsct")
	v.loss.group(d, "packetloss")
	v.measured.group(d, "jitter_measured")
}

// group writes the five keys of a measured quantity.
func (s *sum) group(d *ng.Dict, name string) {
	d.AddString(name+"_total", decimal(s.sum))
	d.AddString(name+"2_total", decimal(s.sumSq))
	d.AddInt(name+"_samples_total", int64(s.n))
	d.AddString(name+"_average", decimal(s.average()))
	d.AddString(name+"_stddev", decimal(s.deviation()))
}

// deviation is the standard deviation.
func (s *sum) deviation() float64 {
	if s.n == 0 {
		return 0
	}
	mean := s.average()
	return math.Sqrt(math.Max(0, s.sumSq/float64(s.n)-mean*mean))
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 6, 64) }

func (c *control) dict() *ng.Dict {
	d := &ng.Dict{}
	var list []ng.Value
	sum := make([]uint64, len(commands))
	for _, p := range c.snapshot() {
		pd := &ng.Dict{}
		pd.AddString("proxy", p.proxy)
		for i, cmd := range commands {
			sum[i] += p.counts[i]
			pd.AddInt(cmd.short+"count", int64(p.counts[i]))
			pd.AddString(cmd.short+"duration", decimal(p.duration[i].Seconds()))
		}
		pd.AddInt("errorcount", int64(p.errors))
		list = append(list, ng.DictValue(pd))
	}
	d.Add("proxies", ng.List(list...))
	for i, cmd := range commands {
		d.AddInt("total"+cmd.short+"count", int64(sum[i]))
	}
	return d
}

// interfaceList is the use of each interface. stats.mu is held.
func (s *counters) interfaceList(use []relay.InterfaceUse) ng.Value {
	var list []ng.Value
	for _, u := range use {
		p := &ng.Dict{}
		p.AddInt("min", int64(u.Interface.PortMin))
		p.AddInt("max", int64(u.Interface.PortMax))
		p.AddInt("used", int64(u.Used))
		p.AddString("used_pct", strconv.FormatFloat(float64(u.Used)*100/float64(max(u.Ports, 1)), 'f', 2, 64))
		p.AddInt("free", int64(u.Ports-u.Used))
		p.AddInt("totals", int64(u.Ports))
		p.AddInt("last", int64(u.LastPort))
		d := &ng.Dict{}
		d.AddString("name", u.Interface.Name)
		d.AddString("address", u.Interface.Local.String())
		d.AddDict("ports", p)
		sums := s.of(ifaceKey{u.Interface.Name, u.Interface.Local})
		d.AddInt("packets_lost", int64(sums.lost))
		d.AddInt("duplicates", int64(sums.duplicates))
		v := &ng.Dict{}
		sums.mos.group(v, "mos")
		sums.groups(v)
		d.AddDict("voip_metrics", v)
		d.AddDict("ingress", countersDict(u.In))
		d.AddDict("egress", countersDict(u.Out))
		list = append(list, ng.DictValue(d))
	}
	return ng.List(list...)
}
