package webrtclab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netns"
)

// The lab's addresses.
const (
	BrowserAddr = "10.77.1.2"
	RelayAddr   = "10.77.1.1" // towards the browser
	RelayInside = "10.77.2.1" // towards the phone
	PhoneAddr   = "10.77.2.2"
	PhoneAddr6  = "fd77:2::2"
	RelayAddr6  = "fd77:2::1"
)

// nsPrefix is the environment variable that tells the inner run how its namespaces are named.
const nsPrefix = "WEBRTCLAB_NS"

func nsName(role string) string { return os.Getenv(nsPrefix) + role }

// Main is a package's TestMain: it builds the namespaces, runs run again inside the browser's one, removes them and
// exits. Without root or the tools it prints why and runs nothing.
func Main(run func() int) {
	if os.Getenv(nsPrefix) != "" {
		os.Exit(run())
	}
	if missing := Missing("ip", "nft"); missing != "" || os.Geteuid() != 0 {
		fmt.Printf("SKIP webrtclab: needs root and the tools ip and nft (missing: %q, uid %d)\n", missing, os.Geteuid())
		os.Exit(0)
	}
	os.Exit(inner())
}

func inner() int {
	prefix := fmt.Sprintf("rs%d", os.Getpid())
	os.Setenv(nsPrefix, prefix)
	defer func() {
		for _, role := range []string{"b", "r", "p"} {
			_ = exec.Command("ip", "netns", "del", prefix+role).Run()
		}
	}()
	if err := build(prefix); err != nil {
		fmt.Println("webrtclab:", err)
		return 1
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", prefix + "b", os.Args[0]}, os.Args[1:]...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Println("webrtclab:", err)
		return 1
	}
	// A test time-out or ^C ends the inner run too, then the namespaces go.
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range sig {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	signal.Stop(sig)
	close(sig)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	return 0
}

func build(prefix string) error {
	b, r, p := prefix+"b", prefix+"r", prefix+"p"
	for _, line := range []string{
		"netns add " + b, "netns add " + r, "netns add " + p,
		"-n " + b + " link set lo up", "-n " + r + " link set lo up", "-n " + p + " link set lo up",
		"-n " + b + " link add eth0 type veth peer name eth0 netns " + r,
		"-n " + p + " link add eth0 type veth peer name eth1 netns " + r,
		"-n " + b + " addr add " + BrowserAddr + "/24 dev eth0", "-n " + b + " link set eth0 up",
		"-n " + r + " addr add " + RelayAddr + "/24 dev eth0", "-n " + r + " link set eth0 up",
		"-n " + r + " addr add " + RelayInside + "/24 dev eth1",
		"-n " + r + " addr add " + RelayAddr6 + "/64 dev eth1 nodad", "-n " + r + " link set eth1 up",
		"-n " + p + " addr add " + PhoneAddr + "/24 dev eth0",
		"-n " + p + " addr add " + PhoneAddr6 + "/64 dev eth0 nodad", "-n " + p + " link set eth0 up",
		"-n " + b + " route add default via " + RelayAddr, "-n " + p + " route add default via " + RelayInside,
	} {
		if err := ip(line); err != nil {
			return err
		}
	}
	return nil
}

func ip(line string) error {
	out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}

// Missing names the first of the tools that is not in PATH, "" when all are there.
func Missing(tools ...string) string {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	return ""
}

// inNS runs f on a thread inside a namespace of the lab. Sockets opened there stay there.
func inNS(role string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine, so no other runs in the namespace
		ns, err := netns.GetFromName(nsName(role))
		if err == nil {
			defer ns.Close()
			if err = netns.Set(ns); err == nil {
				err = f()
			}
		}
		done <- err
	}()
	return <-done
}

// RelayCommand and PhoneCommand make a command that runs in the relay's or the phone's namespace.
func RelayCommand(ctx context.Context, argv ...string) *exec.Cmd { return nsCommand(ctx, "r", argv) }
func PhoneCommand(ctx context.Context, argv ...string) *exec.Cmd { return nsCommand(ctx, "p", argv) }

func nsCommand(ctx context.Context, role string, argv []string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", nsName(role)}, argv...)...)
}

// starter is a thread that never ends.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() { // as long as the program
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start starts a command that dies with this program, by its Pdeathsig. The kernel means the thread that started it, and
// threads end here with each socket that is opened in a namespace: so this is done from one that stays.
func Start(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// ListenPhone opens a UDP socket in the phone's namespace.
func ListenPhone(addr netip.AddrPort) (*net.UDPConn, error) { return listenPhone(addr) }

// ListenRelay opens a UDP socket in the relay's namespace.
func ListenRelay(addr netip.AddrPort) (conn *net.UDPConn, err error) {
	err = inNS("r", func() error {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	return conn, err
}

// DialPhone opens a TCP connection from the phone's namespace.
func DialPhone(addr netip.AddrPort) (conn *net.TCPConn, err error) {
	err = inNS("p", func() error {
		conn, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
		return err
	})
	return conn, err
}

func listenPhone(addr netip.AddrPort) (conn *net.UDPConn, err error) {
	err = inNS("p", func() error {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	return conn, err
}

// SetLoss makes the relay's namespace lose this percentage of the UDP packets to and from the browser, media ports
// only, 100 for all of them; 0 removes the rule. It is an nftables numgen rule.
func SetLoss(percent int) error {
	rules := "table inet lab\ndelete table inet lab\n"
	if percent > 0 {
		dice := fmt.Sprintf("numgen random mod 100 < %d", percent)
		if percent >= 100 {
			dice = ""
		}
		rules += fmt.Sprintf(`table inet lab {
	chain in  { type filter hook input  priority 0; ip saddr %[1]s udp dport >= 20000 %[2]s counter drop; }
	chain out { type filter hook output priority 0; ip daddr %[1]s udp sport >= 20000 %[2]s counter drop; }
}
`, BrowserAddr, dice)
	}
	cmd := exec.Command("ip", "netns", "exec", nsName("r"), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

var lostPackets = regexp.MustCompile(`counter packets (\d+)`)

// Lost counts the packets that the rule of [SetLoss] has dropped, both ways.
func Lost() (n int, err error) {
	out, err := exec.Command("ip", "netns", "exec", nsName("r"), "nft", "list", "table", "inet", "lab").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("nft: %w: %s", err, out)
	}
	for _, m := range lostPackets.FindAllSubmatch(out, -1) {
		count, err := strconv.Atoi(string(m[1]))
		if err != nil {
			return 0, err
		}
		n += count
	}
	return n, nil
}
