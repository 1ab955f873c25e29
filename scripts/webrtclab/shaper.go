package webrtclab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Shaper is a link between the browser and the relay that delays each packet by a random time of its own, so packets
// also overtake one another. It takes the place of the veth link by a host route on either side.
type Shaper struct {
	ends [2]*os.File
	wg   sync.WaitGroup
}

// StartShaper routes the lab's browser traffic through a link with up to this much delay per packet.
func StartShaper(jitter time.Duration) (*Shaper, error) {
	s := &Shaper{}
	for i, end := range []struct{ role, own, far string }{{"b", BrowserAddr, RelayAddr}, {"r", RelayAddr, BrowserAddr}} {
		if err := inNS(end.role, func() (err error) { s.ends[i], err = openTUN("shaper"); return err }); err != nil {
			s.Close()
			return nil, fmt.Errorf("tun device: %w", err)
		}
		ns := "-n " + nsName(end.role)
		for _, line := range []string{
			ns + " link set shaper mtu 1500 up",
			ns + " route replace " + end.far + "/32 dev shaper src " + end.own,
		} {
			if err := ip(line); err != nil {
				s.Close()
				return nil, err
			}
		}
	}
	s.wg.Add(2)
	go s.pump(s.ends[0], s.ends[1], jitter)
	go s.pump(s.ends[1], s.ends[0], jitter)
	return s, nil
}

// Close gives the traffic back to the plain link: the routes go with the devices.
func (s *Shaper) Close() {
	for _, f := range s.ends {
		if f != nil {
			f.Close()
		}
	}
	s.wg.Wait()
}

func (s *Shaper) pump(from, to *os.File, jitter time.Duration) {
	defer s.wg.Done()
	var late sync.WaitGroup
	defer late.Wait()
	for {
		pkt := make([]byte, 2048)
		n, err := from.Read(pkt)
		if err != nil {
			return
		}
		late.Add(1)
		time.AfterFunc(rand.N(jitter+1), func() {
			defer late.Done()
			_, _ = to.Write(pkt[:n]) // a closed end loses the packet, as a link does
		})
	}
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var req struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], name)
	req.flags = unix.IFF_TUN | unix.IFF_NO_PI
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); errno != 0 {
		unix.Close(fd)
		return nil, errno
	}
	return os.NewFile(uintptr(fd), name), nil
}
