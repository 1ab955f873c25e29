package opensipscfg

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is an OpenSIPS to test with.
type program struct{ version, path, modules string }

// programs are those that OPENSIPS_36 and OPENSIPS_40 name (and OPENSIPS_34), and the one in PATH.
func programs(t *testing.T) []program {
	t.Helper()
	var found []program
	add := func(path string) {
		out, err := exec.Command(path, "-V").Output()
		if err != nil {
			t.Fatalf("%s -V: %v", path, err)
		}
		for _, v := range Versions {
			if strings.Contains(string(out), "opensips "+v+".") {
				found = append(found, program{v, path, modulesOf(t, path)})
				return
			}
		}
		t.Logf("%s is of a version that is not supported: %.40s", path, out)
	}
	for _, v := range Versions {
		if path := os.Getenv("OPENSIPS_" + strings.ReplaceAll(v, ".", "")); path != "" {
			add(path)
		}
	}
	if path, err := exec.LookPath("opensips"); err == nil && len(found) == 0 {
		add(path)
	}
	if len(found) == 0 {
		t.Skip("SKIPPED: no opensips in PATH and none named by OPENSIPS_34, OPENSIPS_36, OPENSIPS_40: the templates are not tried")
	}
	return found
}

// modulesOf is where the program's modules are: OPENSIPS_MODULES_36 and so on, or beside it.
func modulesOf(t *testing.T, path string) string {
	t.Helper()
	for _, v := range Versions {
		n := strings.ReplaceAll(v, ".", "")
		if os.Getenv("OPENSIPS_"+n) == path && os.Getenv("OPENSIPS_MODULES_"+n) != "" {
			return os.Getenv("OPENSIPS_MODULES_"+n) + "/"
		}
	}
	for _, dir := range ModulesBeside(path) {
		if _, err := os.Stat(filepath.Join(dir, "tm.so")); err == nil {
			return dir
		}
	}
	t.Fatalf("no modules beside %s", path)
	return ""
}

func TestOpenSIPS(t *testing.T) {
	for _, p := range programs(t) {
		t.Run(p.version, func(t *testing.T) {
			for _, s := range switches {
				t.Run(s.name, func(t *testing.T) { tryConfig(t, p, s) })
			}
		})
	}
}

func tryConfig(t *testing.T, p program, s change) {
	v := exampleValues()
	v.OpenSIPS, v.ModulePath = p.version, p.modules
	dir := t.TempDir()
	v.TLS.Certificate, v.TLS.Key = certificate(t, dir)
	v.TLS.CA, v.Log.Stderr = v.TLS.Certificate, true // what goes wrong shall be seen
	ports := freePorts(t, 5)
	l := &v.Listen
	l.UDP.Port, l.TCP.Port, l.TLS.Port, l.WS.Port, l.WSS.Port = ports[0], ports[1], ports[2], ports[3], ports[4]
	v.Media.Sidecars[0].Address = "udp:" + pongs(t)
	s.set(&v)
	if v.Optional.Homer.Collector != "" {
		v.Optional.Homer.Port = freePorts(t, 1)[0]
	}
	if v.Storage.Kind == "sqlite" {
		v.Storage.URL = "sqlite://" + filepath.Join(dir, "db.sqlite")
	}
	if _, err := os.Stat(filepath.Join(p.modules, "db_"+v.Storage.Kind+".so")); v.Storage.Kind != "memory" && err != nil {
		t.Skipf("SKIPPED: this OpenSIPS is built without db_%s", v.Storage.Kind)
	}
	if _, err := RenderTo(dir, v); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "opensips.cfg")
	out, err := exec.Command(p.path, "-C", "-f", config).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("ERROR")) || bytes.Contains(out, []byte("WARNING")) && !harmless(out) {
		t.Fatalf("-C: %v\n%s", err, out)
	}
	switch v.Storage.Kind {
	case "mysql", "postgres":
		return // needs a server to start
	case "sqlite":
		if _, err := exec.LookPath("sqlite3"); err != nil {
			t.Skip("SKIPPED: sqlite3 is not installed, so no real start with a database")
		}
		if out, err := exec.Command("sqlite3", filepath.Join(dir, "db.sqlite"), ".read "+filepath.Join(dir, "schema.sql")).CombinedOutput(); err != nil {
			t.Fatalf("schema: %v\n%s", err, out)
		}
	}
	realStart(t, p, dir, &v)
}

// harmless tells whether all warnings are about OpenSIPS' own build.
func harmless(out []byte) bool {
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte("WARNING")) {
			return false
		}
	}
	return true
}

// realStart runs the proxy until it answers, since some faults only show then.
func realStart(t *testing.T, p program, dir string, v *Values) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, "-F", "-f", filepath.Join(dir, "opensips.cfg"), "-m", "64", "-M", "4",
		"-P", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends its workers, if it is not hurried
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("log:\n%s", b)
		}
	}()
	for {
		if answers(t, v) {
			break
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("ended at start: %v", err)
		case <-ctx.Done():
			t.Fatal("does not answer")
		case <-time.After(50 * time.Millisecond):
		}
	}
	b, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		for _, bad := range []string{"ERROR:", "CRITICAL:", "WARNING:"} {
			if strings.Contains(line, bad) && !expected(line) {
				t.Errorf("at start: %s", line)
			}
		}
	}
}

// expected are complaints that a machine without privileges or with much else to do, a self-made certificate or the probe,
// which hangs up before the handshake, cause.
func expected(line string) bool {
	for _, s := range []string{"tls_mgm", "failed to accept", "unexpected eof", "cannot fix read connection", "as faulty", "setrlimit", "raw_socks", "Lack of permissions", "MMAP", "init_reactor_size", "handle_timer_job"} {
		if strings.Contains(line, s) {
			return true
		}
	}
	return false
}

// answers asks with OPTIONS over UDP, or where that is off connects to a port.
func answers(t *testing.T, v *Values) bool {
	t.Helper()
	host := v.Listen.IPv4.Address
	if host == "" {
		host = v.Listen.IPv6.Address
	}
	if !v.Listen.UDP.On {
		for _, tr := range []Transport{v.Listen.TCP, v.Listen.TLS, v.Listen.WS, v.Listen.WSS} {
			if tr.On {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(tr.Port)))
				if err == nil {
					_ = conn.Close()
				}
				return err == nil
			}
		}
	}
	conn, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(v.Listen.UDP.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	me, domain := conn.LocalAddr().String(), v.Domains[0].Name
	fmt.Fprintf(conn, strings.ReplaceAll(`OPTIONS sip:%[1]s SIP/2.0
Via: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]d
From: <sip:probe@%[1]s>;tag=1
To: <sip:%[1]s>
Call-ID: %[3]d
CSeq: 1 OPTIONS
Max-Forwards: 9
Contact: <sip:probe@%[2]s>
Content-Length: 0

`, "\n", "\r\n"), domain, me, time.Now().UnixNano())
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	if err == nil && !bytes.HasPrefix(buf[:n], []byte("SIP/2.0 200 ")) {
		t.Fatalf("OPTIONS got %s", buf[:n])
	}
	return err == nil
}

// freePorts are free for UDP and TCP on loopback at this moment.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// pongs stands in for a relay: it answers pings until the test ends.
func pongs(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			cookie, _, _ := bytes.Cut(buf[:n], []byte(" "))
			_, _ = conn.WriteTo([]byte(string(cookie)+" d6:result4:ponge"), from)
		}
	}()
	return conn.LocalAddr().String()
}

func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
