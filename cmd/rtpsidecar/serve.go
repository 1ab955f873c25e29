package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"rtpsidecar/cmd/rtpsidecar/hep"
	"rtpsidecar/ng"
	"rtpsidecar/rtpengine"
)

// Garbage may grow to twice what lives before it is collected, where at least heapFloor counts as living: a daemon with
// few calls would otherwise collect every few hundred requests. Together they save a third of the CPU time of requests
// (scripts/bench). The environment variable GOGC overrides both.
const (
	gcPercent = 200
	heapFloor = 32 << 20
)

// relaxCollector sets that up until the returned function is called.
func relaxCollector() (undo func()) {
	percent := debug.SetGCPercent(gcPercent)
	floor := make([]byte, heapFloor) // never touched, so it takes no memory
	return func() {
		debug.SetGCPercent(percent)
		runtime.KeepAlive(floor)
	}
}

// serve runs the daemon until ctx ends. asReference: it was started under the name rtpengine, so it goes to the
// background unless told otherwise, logs on syslog and begins its software id with that name.
func serve(ctx context.Context, env env, args []string, asReference bool) error {
	s, err := parseOptions(args)
	switch {
	case err != nil:
		return err
	case s.help:
		writeHelp(env.stdout)
		return nil
	case s.version:
		printVersion(env.stdout)
		return nil
	}
	child := env.getenv(readyEnv) != ""
	if asReference && !s.foreground && !child {
		return background(ctx, env)
	}
	if err := s.finish(ctx, env.network); err != nil {
		return usageError{err}
	}
	if asReference && s.engine.SoftwareID == rtpengine.DefaultConfig().SoftwareID {
		s.engine.SoftwareID = "rtpengine-" + s.engine.SoftwareID // tools look for the reference's name in STUN and SDP
	}
	toSyslog := asReference && !s.logStderr
	log, level, logCloser := newLogger(s, env.stderr, toSyslog)
	if logCloser != nil {
		defer func() { _ = logCloser.Close() }()
	}
	if s.configRead {
		log.Info("options are read from the config file too", "file", s.configFile, "section", s.configSection)
	}
	for _, w := range s.warnings {
		log.Warn(w.text, "names", w.names)
	}
	s.engine.Log = log
	operator := &console{level: level, start: s.engine.Adjustable, controlTOS: s.controlTOS}
	s.engine.Console = operator.run
	if env.getenv("GOGC") == "" {
		defer relaxCollector()()
	}
	var collector *homer
	if s.homer != "" {
		exporter, err := hep.NewExporter(s.homerProtocol, s.homer, log)
		if err != nil {
			return usageError{err}
		}
		defer func() { _ = exporter.Close() }() // always nil
		collector = &homer{exporter: exporter, agent: uint32(s.homerID), proto: byte(s.homerProto), local: firstAddr(s.listenNG)}
		if !s.homerNoRTCP {
			s.engine.RTCP = collector.rtcp
		}
	}
	digits, err := newDigitLog(s.dtmfLog, log)
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = digits.conn.Close() }() // nothing is waiting to be sent
	s.engine.DTMF, s.engine.DTMFAll = digits.tell, s.dtmfLog != "" || s.dtmfLogTCP
	if s.engine.Table, err = openTable(s, log); err != nil {
		return err
	}
	if s.engine.Table != nil {
		defer func() { _ = s.engine.Table.Close() }() // after the engine; the kernel lets go of it either way
	}
	engine, err := rtpengine.New(s.engine)
	if err != nil {
		return err
	}
	operator.engine = engine
	d := &daemon{
		settings: s, env: env, log: log, level: level, calls: engine, operator: operator,
		args: args, reload: !hasTerminal(), failed: make(chan error, 1),
	}
	d.homer, d.digits = collector, digits
	if collector != nil && s.homerNG {
		d.trace = collector.ng
	}
	err = d.run(ctx, child && toSyslog && logCloser != nil)
	return errors.Join(err, engine.Close())
}

// daemon is the control side of a running `serve`.
type daemon struct {
	*settings
	env    env
	log    *slog.Logger
	level  *logLevel
	trace  func(*ng.Request, string, []byte) // see ng.ServerConfig
	homer  *homer                            // nil: no collector is told
	digits *digitLog

	calls    *rtpengine.Engine
	operator *console
	args     []string // for reading them again
	reload   bool     // SIGHUP does so; else it ends the daemon

	failed chan error // an HTTP server that ended by itself
	wg     sync.WaitGroup
	https  []*http.Server
}

// run opens the listeners, says that we are ready, and waits for the end of ctx. quiet gives up stderr once ready.
func (d *daemon) run(ctx context.Context, quiet bool) error {
	server := ng.NewServer(ng.ServerConfig{Handler: d.calls, Logger: d.log, TOS: d.controlTOS, Trace: d.trace})
	if d.dtmfLogTCP {
		d.digits.tcp.Store(server)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for _, h := range d.https {
			_ = h.Close() // listeners and connections; nobody waits for an answer any more
		}
		_ = server.Close() // always nil
		d.wg.Wait()
	}()
	bound, err := d.listen(ctx, server)
	if err != nil {
		return err
	}
	d.watchSignals(ctx)
	if d.pidfile != "" {
		if err := os.WriteFile(d.pidfile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return fmt.Errorf("pidfile: %w", err)
		}
		defer func() { _ = os.Remove(d.pidfile) }()
	}
	if names := foreign(d.engine.Interfaces); len(names) > 0 {
		d.log.Warn("addresses that this machine does not have: calls fail there", "interfaces", names)
	}
	d.log.Info("ready", bound...)
	if err := errors.Join(notify(d.env.getenv, "READY=1\nMAINPID="+strconv.Itoa(os.Getpid())), tellParent(d.env.getenv)); err != nil {
		d.log.Warn("service manager", "error", err)
	}
	if quiet {
		if err := dropStderr(); err != nil {
			d.log.Warn("stderr", "error", err)
		}
	}
	d.runWatchdog(ctx)

	select {
	case <-ctx.Done():
	case err = <-d.failed:
	case <-d.drained(ctx):
		d.log.Info("drained: the last call has ended")
	}
	d.log.Info("stopping")
	_ = notify(d.env.getenv, "STOPPING=1") // we stop either way
	return err
}

// listen opens all control listeners and returns what to log about them.
func (d *daemon) listen(ctx context.Context, server *ng.Server) ([]any, error) {
	web := server.HTTPHandler(ng.HTTPConfig{
		CLI:   func(_ context.Context, line string) string { return d.operator.run(line) },
		Other: newWeb(d),
	})
	var certificate tls.Certificate
	if len(d.listenHTTPS) > 0 {
		var err error
		if certificate, err = tls.LoadX509KeyPair(d.httpsCert, cmp.Or(d.httpsKey, d.httpsCert)); err != nil {
			return nil, fmt.Errorf("https-cert: %w", err)
		}
	}
	attrs := []any{"interfaces", interfaceNames(d.engine.Interfaces)}
	for _, l := range []struct {
		name  string
		specs []string
		open  func(netip.AddrPort) (netip.AddrPort, error)
	}{
		{"listen-ng", d.listenNG, server.ListenUDP},
		{"listen-tcp-ng", d.listenTCP, server.ListenTCP},
		{"listen-http", d.listenHTTP, func(a netip.AddrPort) (netip.AddrPort, error) { return d.serveHTTP(web, a, nil) }},
		{"listen-https", d.listenHTTPS, func(a netip.AddrPort) (netip.AddrPort, error) { return d.serveHTTP(web, a, &certificate) }},
		{"listen-cli", d.listenCLI, func(a netip.AddrPort) (netip.AddrPort, error) { return d.serveCLI(ctx, a) }},
	} {
		bound, err := listenAll(ctx, d.env.network, l.name, l.specs, l.open)
		if err != nil {
			return nil, err
		}
		if len(bound) > 0 {
			attrs = append(attrs, l.name, bound)
		}
	}
	return attrs, nil
}

// interfaceNames tells the interfaces for the log.
func interfaceNames(ins []rtpengine.Interface) []string {
	var names []string
	for _, in := range ins {
		if in.Alias != "" {
			names = append(names, in.Name+"="+in.Alias)
		} else if in.Advertised != in.Local {
			names = append(names, fmt.Sprintf("%s/%v!%v", in.Name, in.Local, in.Advertised))
		} else {
			names = append(names, fmt.Sprintf("%s/%v", in.Name, in.Local))
		}
	}
	return names
}

func tcpNetwork(a netip.Addr) string {
	if a.Is4() {
		return "tcp4"
	}
	return "tcp6"
}

func (d *daemon) serveHTTP(h http.Handler, addr netip.AddrPort, certificate *tls.Certificate) (netip.AddrPort, error) {
	l, err := net.ListenTCP(tcpNetwork(addr.Addr()), net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return netip.AddrPort{}, err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       cmp.Or(d.httpIdle, 5*time.Second),
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	run := func() error { return srv.Serve(l) }
	if certificate != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		run = func() error { return srv.ServeTLS(l, "", "") }
	}
	d.https = append(d.https, srv)
	d.wg.Go(func() {
		if err := run(); !errors.Is(err, http.ErrServerClosed) {
			select {
			case d.failed <- fmt.Errorf("http on %v: %w", addr, err):
			default: // one is enough to stop us
			}
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// drained is closed when new calls are refused and the last one has ended. Deleted calls, which wait for late requests
// only, are no reason to go on.
func (d *daemon) drained(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	d.wg.Go(func() {
		tick := time.NewTicker(drainTick)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if d.calls.Draining() && d.calls.LiveSessions() == 0 {
					close(done)
					return
				}
			}
		}
	})
	return done
}

// drainTick is how often a draining daemon looks whether it is empty.
const drainTick = 500 * time.Millisecond

// watchSignals lowers the log level on SIGUSR1, raises it on SIGUSR2, and reads the configuration again on SIGHUP.
func (d *daemon) watchSignals(ctx context.Context) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	if d.reload {
		signal.Notify(signals, syscall.SIGHUP)
	}
	d.wg.Go(func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				if sig == syscall.SIGHUP {
					d.readAgain()
					continue
				}
				step := 1
				if sig == syscall.SIGUSR1 {
					step = -1
				}
				d.log.Warn("log level", "level", d.level.move(step))
			}
		}
	})
}

// runWatchdog tells the service manager that requests are still answered, as often as it asks for.
func (d *daemon) runWatchdog(ctx context.Context) {
	interval := watchdogInterval(d.env.getenv)
	if interval == 0 {
		return
	}
	d.wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				var req ng.Dict
				req.AddString("command", "list") // takes the call table's locks
				req.AddInt("limit", 1)
				d.calls.HandleNG(ctx, &ng.Request{Command: "list", Dict: &req, Received: time.Now()})
				_ = notify(d.env.getenv, "WATCHDOG=1") // if it fails the manager acts
			}
		}
	})
}

// serveCLI answers one command line per TCP connection.
func (d *daemon) serveCLI(ctx context.Context, addr netip.AddrPort) (netip.AddrPort, error) {
	l, err := net.ListenTCP(tcpNetwork(addr.Addr()), net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return netip.AddrPort{}, err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	d.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				d.log.Warn("cli connection", "error", err)
				time.Sleep(100 * time.Millisecond) // out of descriptors: wait rather than spin
				continue
			}
			d.wg.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer stop()
				d.operator.serve(conn)
			})
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}
