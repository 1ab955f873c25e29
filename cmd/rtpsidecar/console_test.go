package main

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/rtpengine"
)

// phoneBody is the SDP of a plain telephone.
func phoneBody(addr string, port string) string {
	return "v=0\r\no=- 1 1 IN IP4 " + addr + "\r\ns=-\r\nc=IN IP4 " + addr + "\r\nt=0 0\r\nm=audio " + port + " RTP/AVP 0 8\r\n"
}

// quietEngine is an engine without sockets.
func quietEngine(t *testing.T) *rtpengine.Engine {
	t.Helper()
	cfg := rtpengine.DefaultConfig()
	a := netip.MustParseAddr("192.0.2.1")
	cfg.Interfaces = []rtpengine.Interface{{Interface: relay.Interface{Name: "default", Local: a, Advertised: a, PortMin: 30000, PortMax: 30999}}}
	cfg.IO, cfg.Workers, cfg.Log = relay.NullIO, 1, slog.New(slog.DiscardHandler)
	e, err := rtpengine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// makeCall sets up a call between two telephones.
func makeCall(t *testing.T, e *rtpengine.Engine, id string) {
	t.Helper()
	for _, command := range []string{"offer", "answer"} {
		d := new(ng.Dict)
		d.AddString("command", command)
		d.AddString("call-id", id)
		d.AddString("from-tag", "A")
		if command == "answer" {
			d.AddString("to-tag", "B")
		}
		d.AddString("sdp", phoneBody("198.51.100.7", "4000"))
		reply := e.HandleNG(t.Context(), &ng.Request{Command: command, Dict: d,
			Source: netip.MustParseAddrPort("192.0.2.9:5060"), Received: time.Now()})
		if reply.Error != "" {
			t.Fatal(reply.Error)
		}
	}
}

// TestConsole compares answers with the forms that the reference's have; patterns stand for numbers that vary.
func TestConsole(t *testing.T) {
	e := quietEngine(t)
	c := &console{engine: e, level: &logLevel{severity: 6}, start: e.Adjusted()}
	makeCall(t, e, "one@x")
	makeCall(t, e, "two@y")
	pad := strings.Repeat(" ", 55)
	tests := []struct{ line, want string }{ // want is a pattern
		{"list numsessions", `Current sessions own: 2\nCurrent sessions foreign: 0\nCurrent sessions total: 2\nCurrent transcoded media: 0\n` +
			`Current sessions ipv4 only media: 2\nCurrent sessions ipv6 only media: 0\nCurrent sessions ip mixed  media: 0\n`},
		{"get numsessions", `Current sessions own: 2\n(?s:.*)`},
		{"list sessions all", `ID:` + pad + `one@x \| del:n \| creat:  \d{10} \| prx:192\.0\.2\.9:5060 \| redis:-1 \| frgn:n \| rec:n\nID:.* two@y .*\n|` +
			`ID:.* (one@x|two@y) .*\nID:.*\n`},
		{"list sessions foreign", `No foreign sessions on this media relay\.\n`},
		{"list sessions one@x", `\ncallid: one@x\ndeletionmark: no\ncreated: \d+\nproxy: 192\.0\.2\.9:5060\ntos: 0\nlast_signal: \d+\nredis_keyspace: -1\n` +
			`last redis update: 0\nforeign: no\nrecording: no\n\n` +
			`--- Tag 'A', type: FROM_TAG, label '', branch '', callduration \d+\.\d{6}\n` +
			`---     subscribed to media with monologue tag 'B' \(index: 1\)\n---     subscription of media with monologue tag 'B' \(index: 1\)\n` +
			`------ Media #1 \(audio over RTP/AVP\) using unknown codec\n` +
			`-------- Port       192\.0\.2\.1:\d{5} <>    198\.51\.100\.7:4000 , SSRC 0, 0 p, 0 b, 0 e, \d+ uts 0 kts\n` +
			`-------- Port       192\.0\.2\.1:\d{5} <>    198\.51\.100\.7:4001  \(RTCP\), SSRC 0, 0 p, 0 b, 0 e, \d+ uts 0 kts\n` +
			`--- Tag 'B', type: TO_TAG(?s:.*)\n\n`},
		{"call one@x info", `\ncallid: one@x\n(?s:.*)`},
		{"call one@x tag B info", `--- Tag 'B', (?s:.*)`},
		{"call one@x tag C info", `No such tag 'C' in call 'one@x'\n`},
		{"call one@x tag", `More parameters required\.\n`},
		{"call nobody info", `No such call 'nobody'\n`},
		{"call one@x dance", `Unknown command: dance\n`},
		{"list sessions nobody", `\nCall ID not found \(nobody\)\.\n\n`},
		{"list jsonstats", `\{"currentstatistics":\{"sessionsown":2,.*\}\n`},
		{"list totals", `\nStatistics over currently running sessions:\n\n Owned sessions {34}:2\n(?s:.*) Total relayed packet errors {21}:0\n(?s:.*)` +
			` Sum of all jitter \(reported\) square values sampled:0\.000000\n(?s:.*) +Proxy \| +Ping \| +Offer \|(?s:.*)` +
			` +192\.0\.2\.9 \| +0 \| +2 \| +2 \|(?s:.*)VoIP metrics for interface default/192\.0\.2\.1:\n(?s:.*)`},
		{"list counters", `\nCurrent per-second counters:\n\n Packets per second \(userspace\) {18}:0\n(?s:.*)`},
		{"list interfaces", `Interface 'default' address '192\.0\.2\.1' \(IPv4\)\n Port range: 30000 - 30999\n Ports used:     8 /  1000 \(  0\.8%\)\n(?s:.*)`},
		{"list transcoders", `No stats entries\n`},
		{"list maxsessions", `Maximum sessions configured on rtpengine: -1\n`},
		{"set maxsessions 5", `Success setting maxsessions to 5\n`},
		{"set maxsessions -2", `Fail setting maxsessions to -2; either positive or -1 values allowed\n`},
		{"list maxsessions", `Maximum sessions configured on rtpengine: 5\n`},
		{"set maxcpu 55", `Success setting maxcpu to 55\.0\n`},
		{"set maxcpu abc", `Fail setting maxcpu to abc; no digits found\n`},
		{"list maxcpu", `Maximum CPU usage configured on rtpengine: 55\.0\n`},
		{"set maxload 3.5", `Success setting maxload to 3\.50\n`},
		{"list maxload", `Maximum load average configured on rtpengine: 3\.50\n`},
		{"set maxbw 1000", `Success setting maxbw to 1000\n`},
		{"list maxbw", `Maximum bandwidth configured on rtpengine: 1000\n`},
		{"list timeout", `TIMEOUT=60\n`},
		{"set timeout 5x", `Success setting timeout to 5\n`},
		{"set timeout x", `Fail setting timeout to x; no digits found\n`},
		{"set timeout -3", `Fail setting timeout to -3; negative\n`},
		{"list silenttimeout", `SILENT_TIMEOUT=3600\n`},
		{"list deletedelay", `30\n`},
		{"set deletedelay 3", `Success setting delete-delay to 3\n`},
		{"list controltos", `0\n`},
		{"set controltos 4", `Fail setting controltos to 4; it cannot be changed while running\n`},
		{"list maxopenfiles", `Maximum open-files configured on rtpengine: \d+; cat /proc/\d+/limits\n`},
		{"params diff", `max-sessions: -1 => 5\nmax-cpu: 0 => 55\nmax-load: 0 => 3\.5\nmax-bandwidth: 0 => 1000\ntimeout: 60 => 5\ndelete-delay: 30 => 3\n`},
		{"params revert", `Reverted .*\n`},
		{"params diff", ``},
		{"params current", `max-sessions = -1\n(?s:.*)`},
		{"params start", `max-sessions = -1\n(?s:.*)`},
		{"list loglevel", `core = 6\n(?s:.*)dtx = 6\n`},
		{"list loglevels", `core\n(?s:.*)`},
		{"set loglevel 7", `Success setting loglevel to 7\n`},
		{"set loglevel ice 6", `Success setting loglevel to 6\n`},
		{"list loglevel ice", `6\n`},
		{"set loglevel x", `More parameters required\.\n`},
		{"debug one@x on", `Enabled debugging for call 'one@x'\n`},
		{"debug one@x", `Enabled debugging for call 'one@x'\n`},
		{"call one@x debug off", `Disabled debugging for call 'one@x'\n`},
		{"debug one@x foo", `Invalid on/off flag \('foo'\) specified\n`},
		{"debug nobody on", `Call ID 'nobody' not found\n`},
		{"why one@x", `Call one@x\nNothing wrong so far(?s:.*)A -> B, audio: WAITING\n(?s:.*)`},
		{"why nobody", `\nCall ID not found \(nobody\)\.\n\n`},
		{"timeline one@x", `.* offer .*\n.* answer .*\n`},
		{"timeline nobody", `\nCall ID not found \(nobody\)\.\n\n`},
		{"kslist", `Keyspace notification feature has not been configured\.\n`},
		{"active", `Ok, all calls set to 'owned \(active\)'\n`},
		{"drain", `No new calls are taken; the daemon ends with the last of 2\.\n`},
		{"drain off", `New calls are taken again\.\n`},
		{"drain maybe", `Invalid on/off flag \('maybe'\) specified\n`},
		{"usage", `(?s:.*)list numsessions .*(?s:.*)`},
		{"terminate nobody", `\nCall Id not found \(nobody\)\.\n\n`},
		{"terminate one@x", `\nCall Id \(one@x\) successfully terminated by operator\.\n\n`},
		{"why one@x", `Call one@x \(ended: force_terminated\)\n(?s:.*)`},
		{"terminate foreign", `All foreign calls terminated by operator\.\n`},
		{"call two@y terminate", `\nCall 'two@y' terminated\.\n\n`},
		{"terminate own", `All own calls terminated by operator\.\n`},
		{"terminate all", `All calls terminated by operator\.\n`},
		{"list sessions own", `No own sessions on this media relay\.\n`},
		{"", `More parameters required\.\n`},
		{"list", `More parameters required\.\n`},
		{"list sessions", `More parameters required\.\n`},
		{"set timeout", `More parameters required\.\n`},
		{"terminate", `More parameters required\.\n`},
		{"nonsense", `Unknown command: nonsense\n`},
		{"list nonsense", `Unknown command: nonsense\n`},
	}
	for _, tt := range tests {
		if got := c.run(tt.line); !regexp.MustCompile(`^(` + tt.want + `)$`).MatchString(got) {
			t.Errorf("%q =\n%s\nwant a match of\n%s", tt.line, got, tt.want)
		}
	}
}

// TestReferenceTools runs the tools that come with the reference against our daemon.
func TestReferenceTools(t *testing.T) {
	for _, tool := range []string{"rtpengine-ctl", "rtpengine-ng-client"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: %s is not installed (Debian package rtpengine-utils)", tool)
		}
	}
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--listen-cli=127.0.0.1:0")
	tool := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	ctl := func(words ...string) string {
		return tool("rtpengine-ctl", append([]string{"-ip", d.CLI[0]}, words...)...)
	}
	_, port, _ := net.SplitHostPort(d.NG[0])
	client := func(args ...string) string {
		return tool("rtpengine-ng-client", append([]string{"--proxy-address=127.0.0.1", "--proxy-port=" + port, "--call-id=tools", "--from-tag=A"}, args...)...)
	}
	if got := client("offer", "--sdp="+phoneBody("127.0.0.1", "4000")); !strings.Contains(got, "m=audio") {
		t.Errorf("offer: %s", got)
	}
	if got := client("answer", "--to-tag=B", "--sdp="+phoneBody("127.0.0.1", "4002")); !strings.Contains(got, "m=audio") {
		t.Errorf("answer: %s", got)
	}
	for _, tt := range []struct{ line, want string }{
		{"list numsessions", "Current sessions total: 1\n"},
		{"list sessions all", "tools | del:n | creat:"},
		{"list sessions tools", "callid: tools\n"},
		{"list totals", " Owned sessions                                  :1\n"},
		{"list jsonstats", `"sessionsown":1`},
		{"list interfaces", "Interface 'default'"},
		{"list maxsessions", ": -1\n"},
		{"set maxsessions 17", "Success setting maxsessions to 17\n"},
		{"list maxsessions", ": 17\n"},
		{"set timeout 33", "Success setting timeout to 33\n"},
		{"list timeout", "TIMEOUT=33\n"},
		{"set loglevel 5", "Success setting loglevel to 5\n"},
		{"list loglevel", "core = 5\n"},
		{"params diff", "max-sessions: -1 => 17\n"},
		{"why tools", "Call tools\n"},
		{"debug tools on", "Enabled debugging"},
		{"terminate tools", "Call Id (tools) successfully terminated"},
		{"list numsessions", "Current sessions total: 0\n"},
	} {
		if got := ctl(strings.Fields(tt.line)...); !strings.Contains(got, tt.want) {
			t.Errorf("rtpengine-ctl %s:\n%s\nwant %q in it", tt.line, got, tt.want)
		}
	}

	// Our own client over each way to the console.
	for _, to := range []string{"udp:" + d.NG[0], "cli:" + d.CLI[0]} {
		for args, want := range map[string]string{
			"why tools": "ended: force_terminated", "timeline tools": " offer ", "sessions": "No own sessions", "totals": "Total managed sessions",
			"interfaces": "Port range", "get silenttimeout": "SILENT_TIMEOUT=3600", "set timeout 60": "Success", "console list numsessions": "total: 0",
			"terminate all": "All calls terminated", "debug tools": "not found",
		} {
			out, err := ctlRun(t, append([]string{"--to", to}, strings.Fields(args)...)...)
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("ctl --to %s %s: %v\n%s\nwant %q in it", to, args, err, out, want)
			}
		}
	}
	if _, err := ctlRun(t, "set", "timeout"); err == nil {
		t.Error("set without a value is taken")
	}
}

// TestDrain: a drained daemon refuses new calls, keeps the old ones, and ends with the last.
func TestDrain(t *testing.T) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(t.Context(), env{stdout: io.Discard, stderr: w, getenv: func(string) string { return "" }, network: systemNetwork,
			args: []string{"rtpsidecar", "serve", "--config-file=none", "--log-format=json", "--interface=127.0.0.1",
				"--listen-ng=127.0.0.1:0", "--listen-http=127.0.0.1:0", "--delete-delay=0"}})
		_ = w.Close()
	}()
	d := awaitReady(t, r)
	client, err := ng.Dial(t.Context(), "udp:"+d.NG[0], ng.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	do := func(command, id string) error {
		q := new(ng.Dict)
		q.AddString("command", command)
		q.AddString("call-id", id)
		q.AddString("from-tag", "A")
		q.AddString("sdp", phoneBody("127.0.0.1", "4000"))
		_, err := client.Do(t.Context(), q)
		return err
	}
	if err := do("offer", "old"); err != nil {
		t.Fatal(err)
	}
	if out, err := ctlRun(t, "--to", "udp:"+d.NG[0], "drain"); err != nil || !strings.Contains(out, "last of 1") {
		t.Fatalf("drain: %q, %v", out, err)
	}
	if got := get(t, "http://"+d.HTTP[0]+"/readyz"); got != "503 draining\n" {
		t.Errorf("readyz: %q", got)
	}
	if err := do("offer", "new"); err == nil {
		t.Error("a new call is taken")
	}
	if err := do("offer", "old"); err != nil {
		t.Errorf("the old call: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := ctlRun(t, "--to", "udp:"+d.NG[0], "--timeout=100ms", "drain", "--wait")
		waited <- err
	}()
	if err := do("delete", "old"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	// It may have come after the end, and says so then.
	if err := <-waited; err != nil && !strings.Contains(err.Error(), "no reply") {
		t.Errorf("drain --wait: %v", err)
	}
}
