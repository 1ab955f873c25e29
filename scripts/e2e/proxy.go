package e2e

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	opensipscfg "rtpsidecar/opensips-cfg"
	lab "rtpsidecar/scripts/webrtclab"
)

// The proxy's domains. Nothing resolves them: everyone in the lab knows the proxy's addresses.
const (
	digestDomain = "phones.test"
	openDomain   = "chat.test"
)

// Its ports.
const (
	portSIP = 5060
	portWS  = 5066
	portWSS = 7443
	portTLS = 5061

	portGateway = 5093 // of a phone that numbers +49800... go to
)

//go:embed kamailio.cfg.tmpl
var kamailioConfig string

// proxyProgram is a SIP proxy to test with: an OpenSIPS of some version, or Kamailio.
type proxyProgram struct {
	name, path string
	modules    string // of OpenSIPS; empty: Kamailio
}

// proxyPrograms are those to test with, see the package comment; none is no error.
func proxyPrograms() ([]proxyProgram, error) {
	var found []proxyProgram
	for _, version := range opensipscfg.Versions {
		n := strings.ReplaceAll(version, ".", "")
		if path := os.Getenv("OPENSIPS_" + n); path != "" {
			found = append(found, proxyProgram{"opensips " + version, path, os.Getenv("OPENSIPS_MODULES_" + n)})
		}
	}
	if path, err := exec.LookPath("opensips"); err == nil && len(found) == 0 {
		out, err := exec.Command(path, "-V").Output()
		if err != nil {
			return nil, fmt.Errorf("%s -V: %w", path, err)
		}
		for _, version := range opensipscfg.Versions {
			if bytes.Contains(out, []byte("opensips "+version+".")) {
				found = append(found, proxyProgram{"opensips " + version, path, ""})
			}
		}
	}
	for i := range found {
		for _, dir := range opensipscfg.ModulesBeside(found[i].path) {
			if _, err := os.Stat(filepath.Join(dir, "tm.so")); err == nil && found[i].modules == "" {
				found[i].modules = dir
			}
		}
		if found[i].modules == "" {
			return nil, fmt.Errorf("no modules beside %s", found[i].path)
		}
	}
	if path, err := exec.LookPath("kamailio"); err == nil && (len(found) == 0 || os.Getenv("E2E_KAMAILIO") != "") {
		found = append(found, proxyProgram{"kamailio", path, ""})
	}
	return found, nil
}

func (p proxyProgram) opensips() bool { return p.modules != "" }

// deployment is what differs between the tests' proxies.
type deployment struct {
	table    string    // of media flags
	users    []account // of the digest domain
	sidecars []string  // NG addresses of the media relays; empty: the lab's daemon

	// Of OpenSIPS alone:
	change  func(*opensipscfg.Values) // last word on its values; nil: none
	prepare func(dir string) error    // runs when the configuration is rendered into dir; nil: nothing to do
	dns     netip.Addr                // the name server; zero: the machine's
}

func (d deployment) relays() []string {
	if len(d.sidecars) == 0 {
		return []string{lab.ControlAddr}
	}
	return d.sidecars
}

func proxyValues(p proxyProgram, dir string, d deployment) opensipscfg.Values {
	v := opensipscfg.Defaults()
	v.OpenSIPS = strings.TrimPrefix(p.name, "opensips ")
	v.ModulePath = p.modules
	v.Domains = []opensipscfg.Domain{{Name: digestDomain, Registration: "digest"}, {Name: openDomain, Registration: "open"}}
	for _, u := range d.users {
		v.Users = append(v.Users, opensipscfg.User{Name: u.user, Domain: u.domain, Password: u.password})
	}
	v.Listen.IPv4.Address, v.Listen.IPv6.Address = lab.RelayAddr, lab.RelayAddr6
	v.Listen.TLS.On, v.Listen.WSS.On = true, true
	v.TLS = opensipscfg.TLS{
		Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "cert.pem"),
	}
	v.Log = opensipscfg.Log{Level: 2, Stderr: true}
	v.Media.Sidecars = nil
	for _, relay := range d.relays() {
		v.Media.Sidecars = append(v.Media.Sidecars, opensipscfg.Sidecar{Address: "udp:" + relay, Weight: 1})
	}
	v.Media.Table = d.table
	v.Optional.E164 = opensipscfg.E164{On: true, Country: "49", International: "00", Trunk: "0"}
	v.Optional.Translations = opensipscfg.Translations{On: true, Rows: []opensipscfg.Translation{
		{Prefix: "+49800", Strip: 3, Prepend: "0", Gateway: fmt.Sprintf("%s:%d", lab.PhoneAddr, portGateway)},
	}}
	if d.change != nil {
		d.change(&v)
	}
	return v
}

// runningProxy is a proxy in the relay's network.
type runningProxy struct {
	cmd    *exec.Cmd
	log    *os.File
	exited chan struct{} // closed when it has ended; err is set before
	err    error
}

// startProxy runs the program until it is closed.
func startProxy(ctx context.Context, p proxyProgram, dir string, d deployment) (*runningProxy, error) {
	var argv []string
	if p.opensips() {
		if _, err := opensipscfg.RenderTo(dir, proxyValues(p, dir, d)); err != nil {
			return nil, err
		}
		if d.prepare != nil {
			if err := d.prepare(dir); err != nil {
				return nil, err
			}
		}
		argv = []string{p.path, "-F", "-f", filepath.Join(dir, "opensips.cfg"), "-m", "64", "-M", "8", "-P", filepath.Join(dir, "pid")}
	} else {
		config := filepath.Join(dir, "kamailio.cfg")
		if err := writeKamailio(config, d); err != nil {
			return nil, err
		}
		argv = []string{p.path, "-DD", "-E", "-f", config, "-Y", dir, "-P", filepath.Join(dir, "pid"), "-m", "64", "-M", "8"}
	}
	if d.dns.IsValid() {
		file := filepath.Join(dir, "resolv.conf")
		if err := os.WriteFile(file, []byte("nameserver "+d.dns.String()+"\n"), 0o644); err != nil {
			return nil, err
		}
		// "ip netns exec" gives the command mounts of its own.
		argv = append([]string{"sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}, argv...)
	}
	log, err := os.OpenFile(filepath.Join(dir, "proxy.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := lab.RelayCommand(ctx, argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // it forks
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }          // it ends its workers, if it is not hurried
	cmd.WaitDelay = 5 * time.Second
	if err := lab.Start(cmd); err != nil {
		_ = log.Close()
		return nil, err
	}
	r := &runningProxy{cmd: cmd, log: log, exited: make(chan struct{})}
	go func() { // ends with the process; close waits for it
		r.err = cmd.Wait()
		close(r.exited)
	}()
	return r, nil
}

// close ends the proxy and its workers.
func (r *runningProxy) close() error {
	_ = r.cmd.Cancel()
	kill := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	<-r.exited
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
	return errors.Join(ignoreExit(r.err), r.log.Close())
}

// tail is the end of what it has written.
func (r *runningProxy) tail() string {
	b, _ := os.ReadFile(r.log.Name())
	return string(b[max(0, len(b)-8000):])
}

// ignoreExit: how a proxy ends when it is told to is its own business.
func ignoreExit(err error) error {
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}

func writeKamailio(path string, d deployment) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	type user struct{ Name, Password string }
	data := struct {
		Listen []string
		NG     string
		Users  []user
		Cells  []opensipscfg.Cell
	}{
		Listen: []string{
			fmt.Sprintf("udp:%s:%d", lab.RelayAddr, portSIP), fmt.Sprintf("udp:[%s]:%d", lab.RelayAddr6, portSIP),
			fmt.Sprintf("tcp:%s:%d", lab.RelayAddr, portWS),
		},
		NG: "udp:" + strings.Join(d.relays(), " udp:"), Cells: opensipscfg.MediaTable(d.table),
	}
	for _, u := range d.users {
		data.Users = append(data.Users, user{u.user, u.password})
	}
	return errors.Join(template.Must(template.New("").Parse(kamailioConfig)).Execute(f, data), f.Close())
}
