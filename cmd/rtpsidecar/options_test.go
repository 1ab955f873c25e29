package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rtpsidecar/relay"
	"rtpsidecar/rtpengine"
)

func TestOptionTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, o := range options {
		if seen[o.name] || o.short != "" && seen[o.short] {
			t.Errorf("%s stands twice in the table", o.name)
		}
		seen[o.name], seen[o.short] = true, true
		if (o.into != nil) != (o.status == supported) {
			t.Errorf("%s: %v, but a place for it: %v", o.name, o.status, o.into != nil)
		}
		if o.help == "" || len(o.short) > 1 || o.tier != 0 && !strings.ContainsRune("ABC", rune(o.tier)) {
			t.Errorf("%s: bad row", o.name)
		}
		if o.def != "" {
			if err := o.check(o.def); err != nil {
				t.Errorf("%s: default: %v", o.name, err)
			}
		}
		if o.tier == 'A' && o.status == refused {
			t.Errorf("%s: an option that every installation needs is refused", o.name)
		}
		if o.into == nil {
			continue
		}
		fits := false
		switch o.into(new(settings)).(type) {
		case *bool:
			fits = o.kind == boolean
		case *int:
			fits = o.kind == integer
		case *float64:
			fits = o.kind == float
		case *string:
			fits = o.kind == text
		case *[]string:
			fits = o.kind == list
		case *time.Duration:
			fits = o.kind == seconds || o.kind == millis
		}
		if !fits {
			t.Errorf("%s: kind %v does not fit %T", o.name, o.kind, o.into(new(settings)))
		}
	}
}

// The table's defaults are the engine's own.
func TestDefaults(t *testing.T) {
	s, err := parseOptions([]string{"--config-file=none"})
	if err != nil {
		t.Fatal(err)
	}
	s.listenNG = nil
	if err := s.finish(t.Context(), testNetwork); err != nil {
		t.Fatal(err)
	}
	want := rtpengine.DefaultConfig()
	if diff := cmp.Diff(want, s.engine, cmpopts.IgnoreFields(rtpengine.Config{}, "Interfaces", "Now")); diff != "" {
		t.Errorf("engine's defaults (-want +got):\n%s", diff)
	}
	if !slices.Equal(s.listenNG, []string{"127.0.0.1:2223"}) || len(s.warnings) != 0 {
		t.Errorf("listen-ng = %q, warnings %v", s.listenNG, s.warnings)
	}
}

func TestParseArgs(t *testing.T) {
	tests := []struct {
		name string
		args string
		want func(*settings) bool
	}{
		{"a common unit", "-p /run/x.pid --interface 192.0.2.1 --listen-ng 192.0.2.1:60000 -m 50000 -M 55000 -E -L 7", func(s *settings) bool {
			return s.pidfile == "/run/x.pid" && slices.Equal(s.interfaces, []string{"192.0.2.1"}) && s.portMin == 50000 && s.portMax == 55000 &&
				s.logStderr && s.logLevel == 7 && slices.Equal(s.listenNG, []string{"192.0.2.1:60000"})
		}},
		{"values joined to letters", "-m50000 -L7", func(s *settings) bool { return s.portMin == 50000 && s.logLevel == 7 }},
		{"letters joined", "-fEL7", func(s *settings) bool { return s.foreground && s.logStderr && s.logLevel == 7 }},
		{"equals sign", "--port-min=50000 --table=-1", func(s *settings) bool { return s.portMin == 50000 && s.table == -1 }},
		{"negative value apart", "--table -1 -t -1", func(s *settings) bool { return s.table == -1 }},
		{"lists grow", "-i a/1.2.3.4 --interface=b/1.2.3.5", func(s *settings) bool { return slices.Equal(s.interfaces, []string{"a/1.2.3.4", "b/1.2.3.5"}) }},
		{"the last value counts", "-L 1 -L 2", func(s *settings) bool { return s.logLevel == 2 }},
		{"hexadecimal", "--tos 0xb8", func(s *settings) bool { return s.engine.TOS == 184 }},
		{"seconds", "-o 5 --offer-timeout=0", func(s *settings) bool {
			return s.engine.Timeout == 5*time.Second && s.engine.OfferTimeout == 0
		}},
		{"milliseconds", "--rtcp-interval=250", func(s *settings) bool { return s.engine.RTCPInterval == 250*time.Millisecond }},
		{"number", "--max-cpu 95.5", func(s *settings) bool { return s.engine.MaxCPU == 95.5 }},
		{"switched off", "--no-fallback=false --sip-source=false", func(s *settings) bool { return !s.engine.SIPSource && len(s.warnings) == 0 }},
		{"no kernel", "", func(s *settings) bool { return s.kernel == "off" }},
		{"table", "--table=0", func(s *settings) bool { return s.kernel == "auto" }},
		{"table and no fallback", "-t 0 -F", func(s *settings) bool { return s.kernel == "require" }},
		{"no fallback alone", "-F", func(s *settings) bool { return s.kernel == "require" }},
		{"no table", "-t -1 -F", func(s *settings) bool { return s.kernel == "off" }},
		{"kernel beats table", "--kernel=require --table=-1 --kernel-interface=eth0 --kernel-interface eth1", func(s *settings) bool {
			return s.kernel == "require" && slices.Equal(s.kernelInterfaces, []string{"eth0", "eth1"})
		}},
		{"AES by tables", "", func(s *settings) bool { return s.kernelAES == "table" }},
		{"AES of the kernel", "--kernel-aes=kernel", func(s *settings) bool { return s.kernelAES == "kernel" }},
		{"XDP and flood guard", "--kernel-attach=xdp --kernel-flood-guard=500", func(s *settings) bool {
			return s.kernelAttach == "xdp" && s.floodGuard == 500
		}},
		{"kernel off", "--kernel=off --table=0 -F", func(s *settings) bool { return s.kernel == "off" }},
		{"profiles", "--dtls-strict-profiles", func(s *settings) bool { return s.engine.StrictProfiles }},
		{"CPUs", "--media-cpus=3,0-1", func(s *settings) bool { return s.check() == nil && slices.Equal(s.engine.CPUs, []int{3, 0, 1}) }},
		{"CPUs that are none", "--media-cpus=1-0", func(s *settings) bool { return s.check() != nil }},
		{"CPUs without end", "--media-cpus=0-65535", func(s *settings) bool { return s.check() != nil }},
		{"balance", "", func(s *settings) bool { return s.check() == nil && balances[s.balance] == relay.Pack }},
		{"spread", "--media-balance=spread", func(s *settings) bool { return s.check() == nil && balances[s.balance] == relay.Spread }},
		{"no balance", "--media-balance=x", func(s *settings) bool { return s.check() != nil }},
		{"scheduling", "--scheduling=none", func(s *settings) bool { return s.scheduling == "none" && len(s.warnings) == 0 }},
		{"without effect", "--num-threads 4 --io-uring --mqtt-host=x --poller-per-thread --io-uring", func(s *settings) bool {
			return len(s.warnings) == 1 && slices.Equal(s.warnings[0].names, []string{"io-uring", "mqtt-host", "poller-per-thread"})
		}},
		{"listening quality", "--mos=LQ --mos=legacy", func(s *settings) bool { return len(s.warnings) == 0 && slices.Equal(s.mos, []string{"LQ", "legacy"}) }},
		{"at the default", "--mos=CQ --recording-method=pcap", func(s *settings) bool { return len(s.warnings) == 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseOptions(append([]string{"--config-file=none"}, strings.Fields(tt.args)...))
			if err != nil {
				t.Fatalf("%s: %v", tt.args, err)
			}
			if !tt.want(s) {
				t.Errorf("%s read as %+v", tt.args, s)
			}
		})
	}
}

func TestParseArgsErrors(t *testing.T) {
	tests := []struct{ name, args, want string }{
		{"unknown option", "--nope", "unknown option --nope"},
		{"unknown letter", "-Q", "unknown option 'Q' in -Q"},
		{"refused", "--redis=127.0.0.1:6379/1", "not supported yet: --redis"},
		{"several refused", "-r x --b2b-url y --codecs", "not supported yet: --redis, --b2b-url, --codecs"},
		{"value missing", "--port-min", "option needs an argument: --port-min"},
		{"no number", "-m abc", `"abc" is not a whole number`},
		{"no truth value", "--foreground=maybe", `"maybe" is not a truth value`},
		{"negative time", "--timeout=-1", "-1 is negative"},
		{"extra word", "extra", `unexpected argument "extra"`},
		{"config file absent", "--config-file=/nonexistent", "no such file"},
		{"port out of range", "-m 0", "port-min: 0 is not within"},
		{"ports crossed", "-m 5000 -M 4000", "port range 5000-4000 is empty"},
		{"tos out of range", "--tos 256", "tos: 256"},
		{"log level", "-L 8", "log-level: 8"},
		{"kernel", "--kernel=maybe", `kernel: "maybe" is none of`},
		{"where the kernel's part sits", "--kernel-attach=skb", `kernel-attach: "skb" is none of`},
		{"flood guard", "--kernel-flood-guard=-1", "kernel-flood-guard: -1"},
		{"AES of the kernel", "--kernel-aes=yes", `kernel-aes: "yes" is none of`},
		{"mos", "--mos=AQ", `mos: "AQ" is none of`},
		{"mos both", "--mos=CQ --mos=LQ", "exclude each other"},
		{"learning", "--endpoint-learning=x", `endpoint-learning: "x" is none of`},
		{"facility", "--log-facility=x", `unknown facility "x"`},
		{"https without certificate", "--listen-https=1", "listen-https needs https-cert"},
		{"bandwidth", "--max-bandwidth=-1", "max-bandwidth: negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(tt.args)
			if !strings.Contains(tt.args, "config-file") {
				args = append([]string{"--config-file=none"}, args...)
			}
			err := run(t.Context(), env{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer), getenv: func(string) string { return "" },
				args: append([]string{"rtpsidecar", "serve"}, args...), network: testNetwork})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %q, want %q in one line", tt.args, err, tt.want)
			}
			if exitCode(err, new(bytes.Buffer)) != 2 {
				t.Errorf("%s: exit status is not 2", tt.args)
			}
		})
	}
}

const testConfig = `# a comment
[rtpengine]
table = 0
interface = pub/192.0.2.1!203.0.113.5;priv/10.0.0.1;
listen-ng = 127.0.0.1:2223; [::1]:2223
port-min = 31000
port-max = 32000
foreground = true
timeout = 61
software-id = a\sb # no comment
log-level = 3
recording-dir = /var/spool/rtpengine
no-fallback = false
some-new-key = 1
another = 2
templates = flags
interfaces-config = if

[flags]
webrtc = ICE=force SDES=off
offer = trust-address

[if-lan]
address = 10.1.0.1
port-min = 40000
port-max = 41000
exclude-ports = 40000;40010-40012

[if-x]
name = wan
address = 192.0.2.9
advertised = 203.0.113.9

[if-alias]
alias = wan

[other]
log-level = 5
table = x
`

func TestConfigFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rtpengine.conf")
	if err := os.WriteFile(path, []byte(testConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := parseOptions([]string{"--config-file", path, "-L", "7", "--listen-ng=127.0.0.1:9999"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.finish(t.Context(), testNetwork); err != nil {
		t.Fatal(err)
	}
	if s.logLevel != 7 || !slices.Equal(s.listenNG, []string{"127.0.0.1:9999"}) {
		t.Errorf("the file beats the command line: %d, %q", s.logLevel, s.listenNG)
	}
	if s.portMin != 31000 || !s.foreground || s.engine.Timeout != 61*time.Second || s.engine.SoftwareID != "a b # no comment" {
		t.Errorf("settings = %+v", s)
	}
	wantTemplates := map[string]string{"webrtc": "ICE=force SDES=off", "offer": "trust-address"}
	if diff := cmp.Diff(wantTemplates, s.engine.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	wantNames := []string{"pub/192.0.2.1!203.0.113.5", "priv/10.0.0.1", "lan/10.1.0.1", "wan/192.0.2.9!203.0.113.9", "alias=wan"}
	if got := interfaceNames(s.engine.Interfaces); !slices.Equal(got, wantNames) {
		t.Errorf("interfaces = %q, want %q", got, wantNames)
	}
	lan := s.engine.Interfaces[2]
	if lan.PortMin != 40000 || lan.PortMax != 41000 || !slices.Equal(lan.Exclude, []uint16{40000, 40010, 40011, 40012}) {
		t.Errorf("lan = %+v", lan)
	}
	if !s.configRead {
		t.Error("the log would not tell of the file")
	}
	if len(s.warnings) != 2 || !slices.Equal(s.warnings[0].names, []string{"some-new-key", "another"}) || !slices.Equal(s.warnings[1].names, []string{"recording-dir"}) {
		t.Errorf("warnings = %+v", s.warnings)
	}
}

func TestConfigFileErrors(t *testing.T) {
	tests := []struct{ name, text, args, want string }{
		{"bad value", "[rtpengine]\nport-min = x\n", "", "port-min"},
		{"other section", testConfig, "--config-section=other", "table"},
		{"missing section", testConfig, "--config-section=none", "no section [none]"},
		{"refused", "[rtpengine]\nredis = 127.0.0.1:6379/1\n", "", "not supported yet: --redis"},
		{"no key file", "[rtpengine\n", "", "config file"},
		{"interface section without address", "[rtpengine]\ninterfaces-config = i\n[i-a]\n", "", "no address"},
		{"interface section with a bad port", "[rtpengine]\ninterfaces-config = i\n[i-a]\naddress=1.2.3.4\nport-min=x\n", "", "not a port"},
		{"interface section with a bad range", "[rtpengine]\ninterfaces-config = i\n[i-a]\naddress=1.2.3.4\nexclude-ports=5-1\n", "", "neither a port nor a range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := parseOptions(append([]string{"--config-file", path}, strings.Fields(tt.args)...))
			if err == nil {
				err = s.finish(t.Context(), testNetwork)
			} else if !errors.As(err, new(usageError)) {
				t.Errorf("%v is no usage error", err)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDocsAreCurrent(t *testing.T) {
	want, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	writeMarkdown(&got)
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("docs/options.md is old, run go generate ./cmd/rtpsidecar:\n%s", diff)
	}
}

func TestHelp(t *testing.T) {
	var b bytes.Buffer
	writeHelp(&b)
	for _, o := range options {
		if !strings.Contains(b.String(), o.name) {
			t.Errorf("--help lacks %s", o.name)
		}
	}
}
