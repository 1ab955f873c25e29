package relay_test

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ciliumebpf "github.com/cilium/ebpf"
	"github.com/vishvananda/netns"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/srtp"
)

const (
	churnEnv   = "RTPSIDECAR_CHURN" // how long TestKernelChurn goes on, as "10m"
	churnEvery = 50 * time.Millisecond
	churnPause = 40 * time.Millisecond // between two packets of a direction
	churnFlows = 512                   // that the table has room for: far fewer than come and go
)

// TestKernelChurn makes 20 calls a second between phones in a namespace of their own, plain and SRTP, each of them with a
// re-offer on the way. All reach the kernel, nothing is counted wrong, and nothing stays in the table.
func TestKernelChurn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root, for network namespaces and CAP_BPF")
	}
	long := 20 * time.Second
	if v := os.Getenv(churnEnv); v != "" {
		var err error
		if long, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		long = 2 * time.Second
	}
	phones := phoneNamespace(t)
	table, err := ebpf.Open(ebpf.Config{MaxFlows: churnFlows})
	if errors.Is(err, ebpf.ErrPermission) || errors.Is(err, ebpf.ErrUnsupported) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	h, err := relay.New(relay.Config{Workers: 2, Table: table, Rest: -1, Interfaces: []relay.Interface{{
		Name: "default", Local: netip.MustParseAddr("10.77.0.1"), PortMin: 30000, PortMax: 31999}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()

	var calls sync.WaitGroup
	var ended atomic.Uint64
	every := time.NewTicker(churnEvery)
	defer every.Stop()
	for end, n := time.Now().Add(long), uint32(1); time.Now().Before(end) && !t.Failed(); n++ {
		c := newChurnCall(t, h, phones, n)
		calls.Go(func() {
			c.run()
			ended.Add(1)
		})
		<-every.C
	}
	calls.Wait()
	if st := table.Status(); st.Flows != 0 {
		t.Errorf("%d flows left", st.Flows)
	}
	sum := h.Totals()
	t.Logf("%d calls, %d flows entered, the kernel forwarded %d packets, userspace %d", ended.Load(), sum.FlowsEntered, sum.Kernel.Packets, sum.User.Packets)
	for name, n := range mapEntries(t) {
		if n > 0 {
			t.Errorf("%d entries left in %s", n, name)
		}
	}
}

// phoneNamespace makes two namespaces with a cable between them, 10.77.0.1 and 10.77.0.2, and enters the first for good.
func phoneNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test, and the namespaces with it
	run := func(lines string) {
		t.Helper()
		for line := range strings.Lines(lines) {
			if args := strings.Fields(line); len(args) > 0 {
				if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Skipf("SKIPPED: %s: %v: %s", strings.TrimSpace(line), err, out)
				}
			}
		}
	}
	enter := func() netns.NsHandle {
		t.Helper()
		ns, err := netns.New()
		if err != nil {
			t.Skipf("SKIPPED: no network namespace: %v", err)
		}
		t.Cleanup(func() { ns.Close() })
		run("ip link set lo up")
		return ns
	}
	phones, ours := enter(), enter()
	run(fmt.Sprintf(`
		ip link add churn0 type veth peer name churn1 netns /proc/%d/fd/%d
		ip addr add 10.77.0.1/24 dev churn0
		ip link set churn0 up`, os.Getpid(), int(phones)))
	if err := netns.Set(phones); err != nil {
		t.Fatal(err)
	}
	run("ip addr add 10.77.0.2/24 dev churn1\nip link set churn1 up")
	if err := netns.Set(ours); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netns.Set(phones) }) // before its handle is closed
	return phones
}

// churnCall is a call between two phones.
type churnCall struct {
	t    *testing.T
	n    uint32 // its number, and with it the sources: 2n and 2n+1
	legs [2]churnLeg
}

// churnLeg is one side of it: our transport, and the phone.
type churnLeg struct {
	tr           *relay.Transport
	settings     relay.Settings
	phone        *net.UDPConn
	toUs, fromUs *srtp.Context // nil: plain
}

// newChurnCall opens sockets, in the namespaces of the calling thread and of the phones.
func newChurnCall(t *testing.T, h *relay.Host, phones netns.NsHandle, n uint32) *churnCall {
	t.Helper()
	ours, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := netns.Set(phones); err != nil {
		t.Fatal(err)
	}
	c := &churnCall{t: t, n: n}
	for i := range c.legs {
		if c.legs[i].phone, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 77, 0, 2)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := netns.Set(ours); err != nil {
		t.Fatal(err)
	}
	for i := range c.legs {
		l := &c.legs[i]
		l.tr = open(t, h, relay.TransportConfig{ID: uint64(n), Affinity: uint64(n), Single: true})
		l.settings = relay.Settings{RemoteSeen: true, Muxed: true, Remote: [2]netip.AddrPort{l.phone.LocalAddr().(*net.UDPAddr).AddrPort()}}
		if i == 1 && n%2 == 1 {
			suite := srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80")
			recv, _ := srtp.NewParams(suite, rand.Reader)
			send, _ := srtp.NewParams(suite, rand.Reader)
			l.settings.SDES = &relay.SDES{Recv: recv, Send: send}
			l.toUs, _ = srtp.New(recv)
			l.fromUs, _ = srtp.New(send)
		}
		apply(t, l.tr, l.settings)
	}
	connect(c.legs[0].tr, c.legs[1].tr)
	return c
}

// run talks until both directions have been in the kernel, and hangs up.
func (c *churnCall) run() {
	var readers sync.WaitGroup
	for i := range c.legs {
		readers.Go(func() { c.receive(&c.legs[i], 2*c.n+uint32(1-i)) })
	}
	pause := time.NewTicker(churnPause)
	defer pause.Stop()
	var seen [2]bool
	for seq := uint16(0); seq < 40 || !seen[0] || !seen[1]; seq++ {
		if seq == 2000 {
			c.t.Errorf("call %d: in the kernel: %v", c.n, seen)
			break
		}
		for i := range c.legs {
			l := &c.legs[i]
			l.send(c.t, seq, 2*c.n+uint32(i))
			seen[i] = seen[i] || seq > 20 && l.tr.Kernel()
		}
		if seq == 20 { // a re-offer
			connect(c.legs[0].tr, c.legs[1].tr)
			for i := range c.legs {
				l := &c.legs[i]
				l.settings.Signalling++
				if err := l.tr.Apply(l.settings); err != nil {
					c.t.Error(err)
				}
			}
		}
		<-pause.C
	}
	for i := range c.legs {
		for tries := 0; ; tries++ { // the last packets may be on their way
			in, out := c.legs[i].tr.Status().Streams[relay.RTP].In, c.legs[1-i].tr.Status().Streams[relay.RTP].Out
			if in.Packets == out.Packets && in.Errors+out.Errors == 0 {
				break
			}
			if tries == 1000 {
				c.t.Errorf("call %d: received %+v, sent %+v", c.n, in, out)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for i := range c.legs {
		c.legs[i].tr.Close()
		c.legs[i].phone.Close()
	}
	readers.Wait()
}

func (l *churnLeg) send(t *testing.T, seq uint16, ssrc uint32) {
	b := append(make([]byte, 0, 64), packet(seq, 0)...)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	if l.toUs != nil {
		var err error
		if b, err = l.toUs.ProtectRTP(b); err != nil {
			t.Error(err)
			return
		}
	}
	if _, err := l.phone.WriteToUDPAddrPort(b, at(l.tr, relay.RTP)); err != nil {
		t.Error(err)
	}
}

// receive checks what a phone gets, until it is closed: each packet of that source once, and as it was sent.
func (c *churnCall) receive(l *churnLeg, ssrc uint32) {
	b := make([]byte, 128)
	got := map[uint16]bool{}
	for {
		n, _, err := l.phone.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		pkt := b[:n]
		if l.fromUs != nil {
			if pkt, err = l.fromUs.UnprotectRTP(pkt); err != nil {
				c.t.Errorf("call %d, packet %d: %v", c.n, binary.BigEndian.Uint16(b[2:]), err)
				continue
			}
		}
		seq := binary.BigEndian.Uint16(pkt[2:])
		if got[seq] || binary.BigEndian.Uint32(pkt[8:]) != ssrc || string(pkt[12:]) != "\x01\x02\x03\x04" {
			c.t.Errorf("call %d: came twice, or is another's: % x", c.n, pkt)
		}
		got[seq] = true
	}
}

// mapEntries counts what stands in the hash maps of this process's programs.
func mapEntries(t *testing.T) map[string]int {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]int{}
	for _, name := range infos {
		f, err := os.Open(name)
		if err != nil {
			continue // closed meanwhile
		}
		var id ciliumebpf.MapID
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fmt.Sscanf(lines.Text(), "map_id: %d", &id)
		}
		f.Close()
		if id == 0 {
			continue
		}
		m, err := ciliumebpf.NewMapFromID(id)
		if err != nil {
			t.Fatal(err)
		}
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type() == ciliumebpf.Hash {
			n := 0
			var k, v []byte
			for it := m.Iterate(); it.Next(&k, &v); {
				n++
			}
			entries[info.Name] = n
		}
		m.Close()
	}
	if len(entries) == 0 {
		t.Error("no map found")
	}
	return entries
}
