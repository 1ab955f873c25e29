package e2e

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	lab "rtpsidecar/scripts/webrtclab"
)

//go:embed sipp
var sippScenarios embed.FS

// sippAgent is a sipp in the phone's network; its media is that of a lab phone.
type sippAgent struct {
	s     *stage
	cmd   *exec.Cmd
	media *lab.Phone
	log   string
}

// startSipp runs a scenario of sipp/ for one call, as this account.
func (s *stage) startSipp(scenario string, a account, port int, callee string) *sippAgent {
	s.Helper()
	dir := s.TempDir()
	xml, err := sippScenarios.ReadFile("sipp/" + scenario + ".xml")
	s.must(err)
	// sipp knows keys everywhere but in its authentication keyword.
	xml = []byte(strings.NewReplacer("SIPP_USER", a.user, "SIPP_PASSWORD", a.password).Replace(string(xml)))
	file := filepath.Join(dir, scenario+".xml")
	s.must(os.WriteFile(file, xml, 0o600))
	media, err := lab.NewPhone(false)
	s.must(err)
	s.Cleanup(media.Close)
	u := &sippAgent{s: s, media: media, log: filepath.Join(dir, "log")}
	args := []string{"sipp", "-sf", file, "-i", lab.PhoneAddr, "-p", strconv.Itoa(port), "-m", "1", "-nostdin", "-timeout", "40",
		"-timeout_error", "-trace_logs", "-log_file", u.log, "-trace_err", "-error_file", filepath.Join(dir, "errors"),
		"-key", "user", a.user, "-key", "domain", a.domain, "-key", "callee", callee, "-key", "rtp_port", strconv.Itoa(int(media.Addr.Port())),
		fmt.Sprintf("%s:%d", lab.RelayAddr, portSIP)}
	u.cmd = lab.PhoneCommand(s.ctx, args...)
	u.cmd.Dir, u.cmd.Env = dir, append(os.Environ(), "TERM=dumb")
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	u.cmd.Stdout, u.cmd.Stderr = &out, &out
	s.must(lab.Start(u.cmd))
	s.Cleanup(func() {
		_ = u.cmd.Process.Kill()
		if s.Failed() {
			errors, _ := os.ReadFile(filepath.Join(dir, "errors"))
			s.Logf("sipp: %s", errors)
		}
	})
	return u
}

// talks waits until sipp has been told where to send media, and lets the phone send there.
func (u *sippAgent) talks() {
	u.s.Helper()
	u.s.until("sipp has an address for its media", 10*time.Second, func() (bool, string) {
		b, _ := os.ReadFile(u.log)
		for line := range strings.Lines(string(b)) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "media "); ok {
				addr, err := netip.ParseAddrPort(text)
				u.s.must(err)
				u.media.Call(addr)
				return true, ""
			}
		}
		return false, string(b)
	})
}

// registerFrom registers the port that sipp will have, from that port: the proxy sends to where a private contact came from.
func (s *stage) registerFrom(a account, port uint16) {
	s.Helper()
	p, err := newPhone(netip.AddrPortFrom(netip.MustParseAddr(lab.RelayAddr), portSIP), a, port)
	s.must(err)
	defer p.close()
	code, err := p.register(s.ctx, 60)
	s.must(err)
	if code != 200 {
		s.Fatalf("registration for sipp: %d", code)
	}
}

// TestSipp calls between the page and sipp.
func TestSipp(t *testing.T) {
	if lab.Missing("sipp") != "" {
		t.Skip("SKIPPED: sipp is not installed")
	}
	desk := account{"desk", openDomain, ""}
	onEachProxy(t, "modern", true, func(s *stage) {
		s.run("sipp calls page", func(s *stage) {
			b := s.agent(guest, firstHz, false)
			u := s.startSipp("uac", bob, 5091, "guest@"+openDomain)
			s.sip(nil, "ringing", b, "b")
			s.sip(nil, "accept", "b")
			u.talks()
			s.hears("b", lab.PhoneToneHz)
			s.phoneHears(&phone{account: bob, media: u.media}, firstHz)
			s.sip(nil, "hangup", "b")
			s.must(u.cmd.Wait())
			s.nothingLeft()
		})
		s.run("page calls sipp", func(s *stage) {
			a := s.agent(guest, firstHz, false)
			s.registerFrom(desk, 5092)
			u := s.startSipp("uas", desk, 5092, "")
			s.sip(nil, "invite", a, "a", desk.aor())
			s.sip(nil, "established", "a")
			u.talks()
			s.hears("a", lab.PhoneToneHz)
			s.phoneHears(&phone{account: desk, media: u.media}, firstHz)
			s.sip(nil, "hangup", "a")
			s.must(u.cmd.Wait())
			s.nothingLeft()
		})
	})
}
