package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/rtpengine"
)

const (
	defaultConfigFile    = "/etc/rtpengine/rtpengine.conf"
	defaultConfigSection = "rtpengine"
	defaultListenNG      = "127.0.0.1:2223"
)

// settings are the options of `serve` as given, with their defaults. What needs no conversion goes into engine at once.
type settings struct {
	help, version bool

	configFile, configSection string
	configRead                bool // the section was there
	templatesSection          string
	interfacesPrefix          string
	foreground                bool
	pidfile                   string

	listenNG, listenTCP, listenHTTP, listenHTTPS, listenCLI []string

	httpsCert, httpsKey  string
	httpIdle             time.Duration
	homer, homerProtocol string
	homerID, homerProto  int
	homerNoRTCP, homerNG bool
	dtmfLog              string
	dtmfLogTCP           bool

	pprof      bool
	webToken   string
	controlTOS int

	interfaces       []string
	portMin, portMax int
	learning         string
	mediaCPUs        string
	mediaSend        string
	balance          string
	scheduling       string
	maxBandwidth     int
	table            int
	noFallback       bool
	kernel           string
	kernelInterfaces []string
	kernelAES        string
	kernelAttach     string
	floodGuard       int
	mos              []string

	logStderr                       bool
	logLevel                        int
	logFormat, logFacility, logName string
	logNoTime                       bool

	sections []interfaceSection // those of interfacesPrefix
	engine   rtpengine.Config

	warnings []warning // said once there is a logger
}

// warning is a log line about the options.
type warning struct {
	text  string
	names []string
}

// balances are the values of media-balance.
var balances = map[string]relay.Balance{"pack": relay.Pack, "spread": relay.Spread}

// learningModes are the values of endpoint-learning.
var learningModes = map[string]relay.Learning{
	"heuristic": relay.LearnHeuristic,
	"delayed":   relay.LearnDelayed,
	"immediate": relay.LearnImmediate,
	"off":       relay.LearnOff,
}

// finish checks s and fills in what depends on several options or on the machine: the listeners' and interfaces'
// defaults, the interfaces' addresses.
func (s *settings) finish(ctx context.Context, net network) error {
	if err := s.check(); err != nil {
		return err
	}
	if len(s.listenNG)+len(s.listenTCP)+len(s.listenHTTP)+len(s.listenHTTPS) == 0 {
		s.listenNG = []string{defaultListenNG}
	}
	s.engine.PortMin, s.engine.PortMax = uint16(s.portMin), uint16(s.portMax)
	s.engine.MOS = rtpengine.MOSFormula{Listening: slices.Contains(s.mos, "LQ"), Legacy: slices.Contains(s.mos, "legacy")}
	if slices.Contains(s.mos, "G.107.2") {
		s.warnings = append(s.warnings, warning{"no such formula here, MOS is that of G.107", []string{"mos=G.107.2"}})
	}
	s.engine.EndpointLearning = learningModes[s.learning]
	s.engine.Balance = balances[s.balance]
	s.engine.NoRealtime = !slices.Contains([]string{"default", "rr", "fifo"}, s.scheduling)
	s.engine.NoRaw = s.mediaSend == "socket"
	s.engine.MaxBandwidth = uint64(s.maxBandwidth)

	var err error
	if s.engine.Interfaces, err = s.expandInterfaces(ctx, net); err != nil {
		return err
	}
	return s.engine.Validate()
}

// check names every value that is out of its range.
func (s *settings) check() error {
	var errs []error
	within := func(name string, value, low, high int) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s: %d is not within %d and %d", name, value, low, high))
		}
	}
	within("port-min", s.portMin, 1, 65535)
	within("port-max", s.portMax, 1, 65535)
	within("tos", s.engine.TOS, 0, 255)
	within("kernel-flood-guard", s.floodGuard, 0, 1<<31-1)
	within("control-tos", s.controlTOS, 0, 255)
	within("log-level", s.logLevel, 0, 7)
	within("homer-id", s.homerID, 0, 1<<31-1)
	within("homer-ng-capture-proto", s.homerProto, 0, 255)
	var err error
	if s.engine.CPUs, err = parseCPUs(s.mediaCPUs); err != nil {
		errs = append(errs, err)
	}
	if s.maxBandwidth < 0 {
		errs = append(errs, errors.New("max-bandwidth: negative"))
	}
	oneOf := func(name, value string, words ...string) {
		if !slices.Contains(words, value) {
			errs = append(errs, fmt.Errorf("%s: %q is none of %q", name, value, words))
		}
	}
	oneOf("endpoint-learning", s.learning, "heuristic", "delayed", "immediate", "off")
	oneOf("media-balance", s.balance, "pack", "spread")
	oneOf("media-send", s.mediaSend, "raw", "socket")
	oneOf("homer-protocol", s.homerProtocol, "udp", "tcp")
	oneOf("kernel", s.kernel, "auto", "off", "require")
	oneOf("kernel-attach", s.kernelAttach, "tc", "xdp")
	oneOf("kernel-aes", s.kernelAES, "table", "kernel")
	oneOf("log-format", s.logFormat, "default", "parsable", "json")
	oneOf("dtls-cert-cipher", s.engine.CertCipher, "prime256v1", "RSA")
	for _, word := range s.mos {
		oneOf("mos", word, "CQ", "LQ", "G.107", "legacy", "G.107.2")
	}
	if slices.Contains(s.mos, "CQ") && slices.Contains(s.mos, "LQ") {
		errs = append(errs, errors.New("mos: CQ and LQ exclude each other"))
	}
	oneOf("ssrc-reporting", s.engine.SSRCReporting, "full", "inline", "global", "none")
	if _, ok := syslogFacilities[s.logFacility]; !ok {
		errs = append(errs, fmt.Errorf("log-facility: unknown facility %q", s.logFacility))
	}
	if len(s.listenHTTPS) > 0 && s.httpsCert == "" {
		errs = append(errs, errors.New("listen-https needs https-cert"))
	}
	return errors.Join(errs...)
}

// maxCPUs is how many a Linux kernel can be built for.
const maxCPUs = 8192

// parseCPUs reads numbers of CPUs and ranges of them, "0,2-5".
func parseCPUs(value string) (cpus []int, err error) {
	if value == "" {
		return nil, nil
	}
	for item := range strings.SplitSeq(value, ",") {
		first, last, ok := strings.Cut(item, "-")
		if !ok {
			last = first
		}
		low, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		high, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if err1 != nil || err2 != nil || low > high || high >= maxCPUs {
			return nil, fmt.Errorf("media-cpus: %q is neither a CPU nor a range of them", item)
		}
		for n := low; n <= high; n++ {
			cpus = append(cpus, int(n))
		}
	}
	return cpus, nil
}
