package webrtclab

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Tones that the ends play, in Hz, so that each can tell whom it hears.
const (
	PageToneHz  = 440
	PhoneToneHz = 800
)

// Phone is a plain RTP telephone in the phone's namespace: PCMU, 20 ms packets, RTP and RTCP ports.
type Phone struct {
	Addr     netip.AddrPort
	rtp      *net.UDPConn
	rtcp     *net.UDPConn
	remote   atomic.Pointer[netip.AddrPort]
	pace     atomic.Int64 // ns between packets from now on; 0: as before
	received atomic.Uint64
	rtcpIn   atomic.Uint64
	first    atomic.Int64 // UnixNano of the first packet heard
	wg       sync.WaitGroup
	stop     chan struct{}

	mu    sync.Mutex
	heard [8000]int16 // the last second of audio, by RTP timestamp: late packets find their place
}

// NewPhone opens a telephone on an even port; family 6 uses the IPv6 address.
func NewPhone(ipv6 bool) (*Phone, error) {
	addr := netip.MustParseAddr(PhoneAddr)
	if ipv6 {
		addr = netip.MustParseAddr(PhoneAddr6)
	}
	for port := uint16(16000); port < 16200; port += 2 {
		a, err := listenPhone(netip.AddrPortFrom(addr, port))
		if err != nil {
			continue
		}
		b, err := listenPhone(netip.AddrPortFrom(addr, port+1))
		if err != nil {
			a.Close()
			continue
		}
		p := &Phone{Addr: netip.AddrPortFrom(addr, port), rtp: a, rtcp: b, stop: make(chan struct{})}
		p.wg.Add(3)
		go p.read()
		go p.readRTCP()
		go p.send()
		return p, nil
	}
	return nil, errors.New("phone: no free port pair")
}

// Call makes the phone send to this address.
func (p *Phone) Call(remote netip.AddrPort) { p.remote.Store(&remote) }

// Pace makes the phone send a packet every d instead of every 20 ms, for who measures when media begins.
func (p *Phone) Pace(d time.Duration) { p.pace.Store(int64(d)) }

// Received counts RTP packets, ReceivedRTCP RTCP ones.
func (p *Phone) Received() uint64     { return p.received.Load() }
func (p *Phone) ReceivedRTCP() uint64 { return p.rtcpIn.Load() }

// FirstHeard is when the first RTP packet came; zero: none yet.
func (p *Phone) FirstHeard() time.Time {
	if ns := p.first.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// Hears tells how much of the last second's audio is a tone of this frequency, 0 to 1.
func (p *Phone) Hears(hz float64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var re, im, total float64
	for i, s := range p.heard { // 2^32 is no multiple of 8000, so a wrap of the timestamp shows as one click
		v, phase := float64(s), 2*math.Pi*hz*float64(i)/8000
		re, im, total = re+v*math.Cos(phase), im+v*math.Sin(phase), total+v*v
	}
	if total == 0 {
		return 0
	}
	return 2 * (re*re + im*im) / (float64(len(p.heard)) * total)
}

// Close hangs up: sockets closed, goroutines ended.
func (p *Phone) Close() {
	close(p.stop)
	p.rtp.Close()
	p.rtcp.Close()
	p.wg.Wait()
}

func (p *Phone) read() {
	defer p.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, err := p.rtp.Read(buf)
		if err != nil {
			return
		}
		if n < 12 || buf[0]>>6 != 2 || buf[1]&0x7f != 0 {
			continue
		}
		p.first.CompareAndSwap(0, time.Now().UnixNano())
		p.received.Add(1)
		p.mu.Lock()
		at := binary.BigEndian.Uint32(buf[4:])
		for i, b := range buf[12:n] {
			p.heard[(at+uint32(i))%8000] = ulawDecode(b)
		}
		p.mu.Unlock()
	}
}

func (p *Phone) readRTCP() {
	defer p.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, err := p.rtcp.Read(buf)
		if err != nil {
			return
		}
		if n >= 8 && buf[1] >= 192 && buf[1] <= 223 {
			p.rtcpIn.Add(1)
		}
	}
}

func (p *Phone) send() {
	defer p.wg.Done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	pkt := make([]byte, 12+160)
	pkt[0] = 0x80
	binary.BigEndian.PutUint32(pkt[8:], 0x70686f6e)
	for seq := uint32(0); ; seq++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		if d := p.pace.Swap(0); d > 0 {
			tick.Reset(time.Duration(d))
		}
		remote := p.remote.Load()
		if remote == nil {
			continue
		}
		binary.BigEndian.PutUint16(pkt[2:], uint16(seq))
		binary.BigEndian.PutUint32(pkt[4:], seq*160)
		for i := range 160 {
			t := float64(seq*160+uint32(i)) / 8000
			pkt[12+i] = ulawEncode(int16(12000 * math.Sin(2*math.Pi*PhoneToneHz*t)))
		}
		_, _ = p.rtp.WriteToUDPAddrPort(pkt, *remote)
	}
}

// ulawEncode and ulawDecode are G.711 µ-law, ITU-T G.711 table 2.
func ulawEncode(s int16) byte {
	const bias, clip = 0x84, 32635
	sign, v := byte(0), int(s)
	if v < 0 {
		sign, v = 0x80, -v
	}
	v = min(v, clip) + bias
	exp := 7
	for mask := 0x4000; exp > 0 && v&mask == 0; mask >>= 1 {
		exp--
	}
	return ^(sign | byte(exp)<<4 | byte(v>>(exp+3))&0x0f)
}

func ulawDecode(b byte) int16 {
	b = ^b
	v := (int(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}
