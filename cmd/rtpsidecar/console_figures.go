package main

import (
	"fmt"
	"strconv"
	"strings"

	"rtpsidecar/ng"
)

func (c *console) jsonStats([]string) string {
	return string(ng.AppendJSON(nil, ng.DictValue(c.engine.Statistics()))) + "\n"
}

// figure is a line of the totals: its text and the key of the statistics that it shows.
type figure struct{ text, key, unit string }

var currentFigures = []figure{
	{"Owned sessions", "sessionsown", ""}, {"Foreign sessions", "sessionsforeign", ""}, {"Total sessions", "sessionstotal", ""},
	{"Transcoded media", "transcodedmedia", ""}, {"Media cache size", "mediacache", ""}, {"Player cache size", "playercache", ""},
}

var rateFigures = []figure{
	{"Packets per second (userspace)", "packetrate_user", ""}, {"Bytes per second (userspace)", "byterate_user", ""}, {"Errors per second (userspace)", "errorrate_user", ""},
	{"Packets per second (kernel)", "packetrate_kernel", ""}, {"Bytes per second (kernel)", "byterate_kernel", ""}, {"Errors per second (kernel)", "errorrate_kernel", ""},
	{"Packets per second (total)", "packetrate", ""}, {"Bytes per second (total)", "byterate", ""}, {"Errors per second (total)", "errorrate", ""},
}

var streamFigures = []figure{
	{"Userspace-only media streams", "media_userspace", ""}, {"Kernel-only media streams", "media_kernel", ""},
	{"Mixed kernel/userspace media streams", "media_mixed", ""},
}

var totalFigures = []figure{
	{"Uptime of rtpengine", "uptime", " seconds"}, {"Total managed sessions", "managedsessions", ""}, {"Total rejected sessions", "rejectedsessions", ""},
	{"Total timed-out sessions via TIMEOUT", "timeoutsessions", ""}, {"Total timed-out sessions via SILENT_TIMEOUT", "silenttimeoutsessions", ""},
	{"Total timed-out sessions via FINAL_TIMEOUT", "finaltimeoutsessions", ""}, {"Total timed-out sessions via OFFER_TIMEOUT", "offertimeoutsessions", ""},
	{"Total regular terminated sessions", "regularterminatedsessions", ""}, {"Total forced terminated sessions", "forcedterminatedsessions", ""},
	{"Total relayed packets (userspace)", "relayedpackets_user", ""}, {"Total relayed packet errors (userspace)", "relayedpacketerrors_user", ""},
	{"Total relayed bytes (userspace)", "relayedbytes_user", ""}, {"Total relayed packets (kernel)", "relayedpackets_kernel", ""},
	{"Total relayed packet errors (kernel)", "relayedpacketerrors_kernel", ""}, {"Total relayed bytes (kernel)", "relayedbytes_kernel", ""},
	{"Total relayed packets", "relayedpackets", ""}, {"Total relayed packet errors", "relayedpacketerrors", ""}, {"Total relayed bytes", "relayedbytes", ""},
	{"Total number of streams with no relayed packets", "zerowaystreams", ""}, {"Total number of 1-way streams", "onewaystreams", ""},
	{"Average call duration", "avgcallduration", " seconds"}, {"Total calls duration", "totalcallsduration", " seconds"},
	{"Total calls duration squared", "totalcallsduration2", " seconds squared"}, {"Total calls duration standard deviation", "totalcallsduration_stddev", " seconds"},
}

// sampled are the quantities with five lines each: how they are called in sums and samples, in averages, and their key.
type sampledFigure struct{ values, one, key string }

var mosFigure = sampledFigure{"MOS", "MOS", "mos"}

var voipFigures = []sampledFigure{
	{"jitter (reported)", "jitter (reported)", "jitter"}, {"end-to-end round-trip time", "end-to-end round-trip time", "rtt_e2e"},
	{"discrete round-trip time", "discrete round-trip time", "rtt_dsct"}, {"packet loss", "packet loss", "packetloss"},
	{"jitter (measured)", "jitter (measured)", "jitter_measured"},
}

var lossFigures = []figure{
	{"Packets lost", "packets_lost", ""}, {"Duplicate RTP packets", "rtp_duplicates", ""}, {"RTP sequence skips", "rtp_skips", ""},
	{"RTP sequence resets", "rtp_seq_resets", ""}, {"Out-of-order RTP packets", "rtp_reordered", ""},
}

// figures writes the lines of a list; values come from a group of the statistics.
func figures(b *strings.Builder, list []figure, from *ng.Dict) {
	for _, f := range list {
		figureLine(b, f.text, numeral(from.Value(f.key))+f.unit)
	}
}

func figureLine(b *strings.Builder, label, value string) { fmt.Fprintf(b, " %-48s:%s\n", label, value) }

func (f sampledFigure) write(b *strings.Builder, from *ng.Dict) {
	for _, l := range []struct{ label, key string }{
		{"Sum of all " + f.values + " values sampled", "_total"}, {"Sum of all " + f.values + " square values sampled", "2_total"},
		{"Total number of " + f.values + " samples", "_samples_total"}, {"Average " + f.one, "_average"}, {f.one + " standard deviation", "_stddev"},
	} {
		figureLine(b, l.label, numeral(from.Value(f.key+l.key)))
	}
}

// numeral is a number as it stands in the statistics.
func numeral(v ng.Value) string {
	if n, ok := v.Int(); ok && v.Kind() == ng.KindInt {
		return strconv.FormatInt(n, 10)
	}
	return v.Str()
}

func (c *console) counters([]string) string {
	var b strings.Builder
	b.WriteString("\nCurrent per-second counters:\n\n")
	figures(&b, rateFigures, c.engine.Statistics().Value("currentstatistics").Dict())
	return b.String()
}

func (c *console) totals([]string) string {
	s := c.engine.Statistics()
	current, voip := s.Value("currentstatistics").Dict(), s.Value("voip_metrics").Dict()
	var b strings.Builder
	b.WriteString("\nStatistics over currently running sessions:\n\n")
	figures(&b, currentFigures, current)
	figures(&b, rateFigures, current)
	figures(&b, streamFigures, current)
	b.WriteString("\nTotal statistics (does not include current running sessions):\n\n")
	figures(&b, totalFigures, s.Value("totalstatistics").Dict())
	b.WriteString("\n\nMOS statistics:\n\n")
	mosFigure.write(&b, s.Value("mos").Dict())
	b.WriteString("\n\nVoIP metrics:\n\n")
	for _, f := range voipFigures {
		f.write(&b, voip)
	}
	figures(&b, lossFigures, voip)
	b.WriteString("\n\nControl statistics:\n\n")
	c.controlTable(&b)
	for _, v := range s.Value("interfaces").List() {
		d := v.Dict()
		fmt.Fprintf(&b, "\n\nVoIP metrics for interface %s/%s:\n", d.Value("name").Str(), d.Value("address").Str())
		sums := d.Value("voip_metrics").Dict()
		mosFigure.write(&b, sums)
		for _, f := range voipFigures {
			f.write(&b, sums)
		}
	}
	return b.String()
}

// columns are the heads of the table of requests where they are more than the short name with a capital.
var columns = map[string]string{
	"startrec": "StartRec", "stoprec": "StopRec", "pauserec": "PauseRec", "startfwd": "StartFwd", "stopfwd": "StopFwd",
	"blkdtmf": "BlkDTMF", "unblkdtmf": "UnblkDTMF", "blkmedia": "BlkMedia", "unblkmedia": "UnblkMedia",
	"playmedia": "PlayMedia", "stopmedia": "StopMedia", "playdtmf": "PlayDTMF", "slnmedia": "SlnMedia", "unslnmedia": "UnslnMedia",
	"subreq": "SubReq", "subans": "SubAns", "injstart": "InjStart", "injstop": "InjStop", "cli": "CLI", "crtansw": "CrtAnsw",
}

func column(short string) string {
	if c := columns[short]; c != "" {
		return c
	}
	return strings.ToUpper(short[:1]) + short[1:]
}

// controlTable counts requests by client and command.
func (c *console) controlTable(b *strings.Builder) {
	for i, u := range c.engine.ControlUse() {
		if i == 0 {
			fmt.Fprintf(b, " %20s ", "Proxy")
			for _, n := range u.Counts {
				fmt.Fprintf(b, "| %10s ", column(n.Command))
			}
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, " %20s ", u.Client)
		for _, n := range u.Counts {
			fmt.Fprintf(b, "| %10d ", n.N)
		}
		b.WriteByte('\n')
	}
}

func (c *console) interfaces([]string) string {
	var b strings.Builder
	for _, u := range c.engine.InterfaceUse() {
		family := "IPv4"
		if u.Interface.Local.Is6() {
			family = "IPv6"
		}
		fmt.Fprintf(&b, "Interface '%s' address '%v' (%s)\n", u.Interface.Name, u.Interface.Local, family)
		fmt.Fprintf(&b, " Port range: %5d - %5d\n", u.Interface.PortMin, u.Interface.PortMax)
		fmt.Fprintf(&b, " Ports used: %5d / %5d (%5.1f%%)\n", u.Used, u.Ports, float64(u.Used)*100/float64(max(u.Ports, 1)))
		b.WriteString(" Packets/bytes/errors:\n")
		fmt.Fprintf(&b, "  Ingress:   %10d / %10d / %10d\n", u.In.Packets, u.In.Bytes, u.In.Errors)
		fmt.Fprintf(&b, "  Egress:    %10d / %10d / %10d\n", u.Out.Packets, u.Out.Bytes, u.Out.Errors)
		fmt.Fprintf(&b, " Packets lost/duplicates: %10d / %10d\n", u.Lost, u.Duplicates)
		fmt.Fprintf(&b, " MOS:    avg %.2f, packet loss avg %.2f%%\n", u.MOS, u.Loss)
		fmt.Fprintf(&b, " Jitter: avg %.2f (measured %.2f)\n", u.Jitter, u.Measured)
		fmt.Fprintf(&b, " RTT:    e2e %.2f, dsct %.2f\n\n", u.RTTE2E, u.RTTLeg)
	}
	return b.String()
}
