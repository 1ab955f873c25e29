package rtpengine

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// referenceMetrics are the metrics of the reference with their types and labels, but for those of its event pollers and
// of transcoding chains, which have no counterpart here.
const referenceMetrics = `
bytes_total counter type
call_duration2_total counter
call_duration_avg gauge
call_duration_total counter
closed_sessions_total counter reason
errors_total counter proxy
interface_bytes gauge address direction name
interface_duplicates counter address name
interface_errors gauge address direction name
interface_jitter2_total counter address name
interface_jitter_measured2_total counter address name
interface_jitter_measured_samples_total counter address name
interface_jitter_measured_total counter address name
interface_jitter_samples_total counter address name
interface_jitter_total counter address name
interface_mos2_total counter address name
interface_mos_samples_total counter address name
interface_mos_total counter address name
interface_packetloss2_total counter address name
interface_packetloss_samples_total counter address name
interface_packetloss_total counter address name
interface_packets gauge address direction name
interface_packets_lost counter address name
interface_rtt_dsct2_total counter address name
interface_rtt_dsct_samples_total counter address name
interface_rtt_dsct_total counter address name
interface_rtt_e2e2_total counter address name
interface_rtt_e2e_samples_total counter address name
interface_rtt_e2e_total counter address name
jitter2_total counter
jitter_measured2_total counter
jitter_measured_samples_total counter
jitter_measured_total counter
jitter_samples_total counter
jitter_total counter
media_cache gauge
mediastreams gauge type
mos2_total counter
mos_samples_total counter
mos_total counter
one_way_sessions_total counter
packet_errors_total counter type
packetloss2_total counter
packetloss_samples_total counter
packetloss_total counter
packets_lost counter
packets_total counter type
player_cache gauge
ports gauge address name
ports_free gauge address name
ports_used gauge address name
request_seconds_total counter proxy request
requests_total counter proxy request
rtp_duplicates counter
rtp_reordered counter
rtp_seq_resets counter
rtp_skips counter
rtt_dsct2_total counter
rtt_dsct_samples_total counter
rtt_dsct_total counter
rtt_e2e2_total counter
rtt_e2e_samples_total counter
rtt_e2e_total counter
sessions gauge type
sessions_total counter
transcoded_media gauge
uptime_seconds gauge
zero_packet_streams_total counter
`

func TestMetricNames(t *testing.T) {
	e := loopback(t)
	ask(e, "ping")
	r := prometheus.NewRegistry()
	r.MustRegister(e.Metrics())
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		line := strings.ToLower(f.GetType().String())
		for _, l := range f.Metric[0].Label {
			line += " " + l.GetName()
		}
		got[strings.TrimPrefix(f.GetName(), "rtpengine_")] = line
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", f.GetName())
		}
	}
	for line := range strings.Lines(strings.TrimSpace(referenceMetrics)) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestMeasured: what sequence numbers tell reaches the sums, of the daemon and of the interface, and only once.
func TestMeasured(t *testing.T) {
	e := loopback(t)
	a, b := newPhone(t), newPhone(t)
	mustSDP(t, e, "offer", "call-id", "c", "from-tag", "A", "sdp", body("127.0.0.1", audio(a.port())))
	toA := mustSDP(t, e, "answer", "call-id", "c", "from-tag", "A", "to-tag", "B", "sdp", body("127.0.0.1", audio(b.port())))
	talk(t, a, toA.Media[0], b, "one")
	a.seq += 3 // lost
	talk(t, a, toA.Media[0], b, "two")
	a.seq += 20000 // the sender begins anew
	talk(t, a, toA.Media[0], b, "three")
	a.seq-- // once more
	talk(t, a, toA.Media[0], b, "three")
	for range 2 {
		c := e.lockCall("c")
		c.sampleQuality(e.now())
		e.unlock(c)
	}
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	for _, v := range []*voipSums{&e.stats.voip, e.stats.of(ifaceKey{"default", e.cfg.Interfaces[0].Local})} {
		if v.lost != 3 || v.measured.n == 0 { // the sweep may have come in between: then there are two samples
			t.Errorf("lost %d in %d samples, want 3 in at least one", v.lost, v.measured.n)
		}
		if v.skips != 1 || v.resets != 1 || v.duplicates != 1 {
			t.Errorf("%d skips, %d resets, %d duplicates; want one each", v.skips, v.resets, v.duplicates)
		}
	}
}

func TestAdjustAndDrain(t *testing.T) {
	e := loopback(t)
	offer := func(id string) string {
		return ask(e, "offer", "call-id", id, "from-tag", "A", "sdp", body(rtpFrom, plainAudio)).Error
	}
	e.Adjust(func(a *Adjustable) { a.MaxSessions = 1; a.Templates = map[string]string{"default": "ICE=force"} })
	if err := offer("1"); err != "" {
		t.Error(err)
	}
	if err := offer("2"); err != string(limitSessions) {
		t.Errorf("limit not in force: %q", err)
	}
	e.Adjust(func(a *Adjustable) { a.MaxSessions = -1 })
	e.Drain(true)
	if err := offer("2"); err != string(limitSessions) || !e.Draining() {
		t.Errorf("a draining daemon takes calls: %q", err)
	}
	if err := offer("1"); err != "" {
		t.Errorf("a draining daemon refuses a call that it has: %q", err)
	}
	if got := e.Adjusted().Templates["default"]; got != "ICE=force" {
		t.Errorf("templates %q", got)
	}
}
