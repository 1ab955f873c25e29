package relay

import (
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"rtpsidecar/relay/prefetch"
)

// batch is how many packets a worker reads before it handles them, and then sends. One after the other for each packet, these
// three drive each other's code out of the processor's caches: in a veth lab at 80,000 packets a second the daemon took a
// tenth more time. More of them at once would make the first ones wait for the last.
const batch = 32

// drainLimit is how many datagrams of one socket are read in a row at most, so that others get their turn.
const drainLimit = 64

// inbox is packets that have been read and not yet handled. They lie one after the other, so that few lines of a cache hold
// them.
type inbox struct {
	buf  []byte
	used int
	list []arrival
	more []byte // for what follows one of them
}

// arrival is one of them.
type arrival struct {
	s    *epollSocket // acquired
	b    []byte
	from netip.AddrPort
}

func newInbox() *inbox {
	const one = maxDatagram + Tailroom
	return &inbox{buf: make([]byte, one+2048*batch), list: make([]arrival, 0, batch), more: make([]byte, one)}
}

// read reads each of the sockets that were ready, once, and takes it out of the list, as far as there is room. It returns
// how many these were.
func (in *inbox) read(ready []*epollSocket) int {
	fetch(ready[:min(len(ready), batch)])
	for i, s := range ready {
		if len(in.list) == cap(in.list) || len(in.buf)-in.used < maxDatagram+Tailroom {
			return i
		}
		ready[i] = nil
		if s == nil || !s.acquire() {
			continue
		}
		b := in.buf[in.used:]
		n, from, ok := s.read(b)
		if !ok {
			s.done()
			continue
		}
		end := n + Tailroom
		in.list = append(in.list, arrival{s, b[:n:end], from})
		in.used += lineUp(end)
	}
	return len(ready)
}

// fetch asks for the memory that the packets in these sockets need.
func fetch(ready []*epollSocket) {
	if len(ready) > 1 {
		for _, s := range ready {
			prefetch.Row(unsafe.Pointer(s), unsafe.Sizeof(*s))
		}
	}
	for _, s := range ready {
		if s != nil {
			s.footprint.Lines()
		}
	}
}

// deliver has what was read handled. The taker may ask for more of the same socket.
func (in *inbox) deliver(m *Meta) {
	for i := range in.list {
		a := &in.list[i]
		m.Drain, m.footprint = false, &a.s.footprint
		a.s.deliver(a.b, a.from, m)
		if m.Drain {
			a.s.drain(in.more, m)
		}
		a.s.done()
		*a = arrival{}
	}
	in.list, in.used = in.list[:0], 0
}

// drain is for the datagrams that follow one that has been delivered. The caller has acquired s.
func (s *epollSocket) drain(buf []byte, m *Meta) {
	for range drainLimit - 1 {
		n, from, ok := s.read(buf)
		if !ok {
			return
		}
		m.Drain = false
		s.deliver(buf[:n:n+Tailroom], from, m)
		if !m.Drain {
			return
		}
	}
}

// read is for one datagram, into b, which has room for any and Tailroom. False: there was none.
func (s *epollSocket) read(b []byte) (n int, from netip.AddrPort, ok bool) {
	var sa unix.RawSockaddrInet6 // has room for the one of IPv4
	size := uint32(unsafe.Sizeof(sa))
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), maxDatagram,
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, from, false
	}
	if s.v6 {
		addr := netip.AddrFrom16(sa.Addr)
		if s.zone != "" && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(s.zone)
		}
		return int(r), netip.AddrPortFrom(addr, hostOrder(sa.Port)), true
	}
	in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
	return int(r), netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port)), true
}

// outbox is what a worker is to send at the end of a batch, in order. It is the worker's alone.
type outbox struct {
	buf  []byte
	used int
	list []departure
	raw  *rawSender // nil: each datagram by its port's own socket

	failures atomic.Uint64 // datagrams that could not be sent; for all to read
}

// departure is one datagram.
type departure struct {
	s      *epollSocket // acquired
	b      []byte
	framed []byte // b with room for a UDP header before it; nil: there is no room
	to     netip.AddrPort
	count  *traffic
}

func newOutbox(raw *rawSender) *outbox {
	return &outbox{buf: make([]byte, 2048*batch), list: make([]departure, 0, 2*batch), raw: raw}
}

func (o *outbox) put(sock Socket, b []byte, to netip.AddrPort, count *traffic) bool {
	s, ours := sock.(*epollSocket)
	if !ours || !s.acquire() {
		return false
	}
	n := udpHeader + len(b)
	if len(o.list) == cap(o.list) || n > len(o.buf)-o.used {
		o.flush()
	}
	d := departure{s: s, b: b, to: to, count: count}
	if n <= len(o.buf) {
		d.framed = o.buf[o.used : o.used+n : o.used+n]
		d.b = d.framed[udpHeader:]
		copy(d.b, b)
		o.used = min(lineUp(o.used+n), len(o.buf))
	}
	o.list = append(o.list, d)
	count.count(len(b))
	if d.framed == nil {
		o.flush()
	}
	return true
}

func (o *outbox) flush() {
	for rest := o.list; len(rest) > 0; {
		if n := o.sendRaw(rest); n > 0 {
			rest = rest[n:]
			continue
		}
		if d := &rest[0]; len(d.b) > 0 && d.s.write(d.b, d.to) != 0 {
			o.failed(d)
		}
		rest = rest[1:]
	}
	for i := range o.list {
		o.list[i].s.done()
		o.list[i] = departure{}
	}
	o.list, o.used = o.list[:0], 0
}

// sendRaw sends as many of the first ones as can go together, and tells how many.
func (o *outbox) sendRaw(list []departure) (n int) {
	if o.raw == nil {
		return 0
	}
	for n < len(list) && o.raw.take(&list[n]) {
		n++
	}
	if n > 0 {
		o.raw.send(func(i int) { o.failed(&list[i]) })
	}
	return n
}

func (o *outbox) failed(d *departure) {
	d.count.failed(len(d.b))
	o.failures.Add(1)
}

// lineUp is where the next line of the processor's caches begins.
func lineUp(n int) int { return (n + 63) &^ 63 }
