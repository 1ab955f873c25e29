package media

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"rtpsidecar/relay/srtp"
	"rtpsidecar/sdp"
)

// phone is a plain or SDES end: two sockets, PCMU or PCMA.
type phone struct {
	cfg       Config
	rtp, rtcp *net.UDPConn
	addr      netip.AddrPort
	own       []sdp.Crypto // offered, or the one answered
	pt        atomic.Uint32
	sent      atomic.Uint64
	ssrc      uint32
	meter     meter

	once sync.Once
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	to      netip.AddrPort
	toRTCP  netip.AddrPort
	protect *srtp.Context // outbound, nil: plain
	opened  *srtp.Context // inbound, nil: plain
}

func newPhone(cfg Config) (*phone, error) {
	if len(cfg.Suites) == 0 {
		cfg.Suites = []string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"}
	}
	p := &phone{cfg: cfg, ssrc: rand.Uint32(), stop: make(chan struct{}), meter: meter{record: cfg.Record}}
	p.meter.stats.Kind = cfg.Kind
	var err error
	if p.rtp, p.rtcp, err = listenPair(cfg.Addr); err != nil {
		return nil, err
	}
	p.addr = p.rtp.LocalAddr().(*net.UDPAddr).AddrPort()
	p.wg.Add(2)
	go p.read(p.rtp, p.takeRTP)
	go p.read(p.rtcp, p.takeRTCP)
	return p, nil
}

// listenPair opens an even port and the odd one after it, RFC 3550 section 11.
func listenPair(addr netip.Addr) (rtp, rtcp *net.UDPConn, err error) {
	for range 100 {
		if rtp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))); err != nil {
			return nil, nil, err
		}
		port := rtp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		if port%2 == 0 {
			if rtcp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port+1))); err == nil {
				return rtp, rtcp, nil
			}
		}
		_ = rtp.Close()
	}
	return nil, nil, errors.New("no pair of free ports")
}

func (p *phone) Offer(context.Context) (string, error) {
	if p.cfg.Kind == SDES {
		for i, name := range p.cfg.Suites {
			c, err := newCrypto(i+1, name)
			if err != nil {
				return "", err
			}
			p.own = append(p.own, c)
		}
	}
	return p.describe([]string{"0", "8"}, p.profile()), nil
}

func (p *phone) profile() string {
	if p.cfg.Kind == SDES {
		return "RTP/SAVP"
	}
	return "RTP/AVP"
}

func newCrypto(tag int, suite string) (sdp.Crypto, error) {
	s := srtp.SuiteByName(suite)
	if s == nil {
		return sdp.Crypto{}, fmt.Errorf("no crypto suite %q", suite)
	}
	params, err := srtp.NewParams(s, crand.Reader)
	return sdp.Crypto{Tag: tag, Suite: suite, KeySalt: append(slices.Clone(params.Key), params.Salt...)}, err
}

// describe writes the SDP body.
func (p *phone) describe(formats []string, profile string) string {
	family := "IP4"
	if p.addr.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=sidecar-lab %d 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\nm=audio %d %s %s 101\r\n",
		p.ssrc, family, p.addr.Addr(), family, p.addr.Addr(), p.addr.Port(), profile, strings.Join(formats, " "))
	for _, f := range formats {
		fmt.Fprintf(&b, "a=rtpmap:%s %s/8000\r\n", f, map[string]string{"0": "PCMU", "8": "PCMA"}[f])
	}
	b.WriteString("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n")
	for _, c := range p.own {
		fmt.Fprintf(&b, "a=crypto:%s\r\n", sdp.AppendCrypto(nil, c))
	}
	return b.String()
}

func (p *phone) Answer(_ context.Context, offer string) (string, error) {
	m, err := audio(offer)
	if err != nil {
		return "", err
	}
	if (m.Protocol.IsSRTP()) != (p.cfg.Kind == SDES) {
		return "", fmt.Errorf("the offer is %s; a %s phone refuses it", m.Protocol, p.cfg.Kind)
	}
	if m.Protocol.IsDTLS() {
		return "", fmt.Errorf("the offer wants %s; a phone has no DTLS", m.Protocol)
	}
	if p.cfg.Kind == SDES {
		theirs, ok := p.chooseCrypto(m.Cryptos)
		if !ok {
			return "", errors.New("the offer has no crypto suite that this phone has")
		}
		mine, err := newCrypto(theirs.Tag, theirs.Suite)
		if err != nil {
			return "", err
		}
		p.own = []sdp.Crypto{mine}
		if err := p.keys(mine, theirs); err != nil {
			return "", err
		}
	}
	pt, err := p.begin(m)
	if err != nil {
		return "", err
	}
	return p.describe([]string{pt}, m.Protocol.String()), nil
}

// chooseCrypto picks the first of the phone's suites that is offered.
func (p *phone) chooseCrypto(offered []sdp.Crypto) (sdp.Crypto, bool) {
	for _, name := range p.cfg.Suites {
		for _, c := range offered {
			if c.Suite == name {
				return c, true
			}
		}
	}
	return sdp.Crypto{}, false
}

func (p *phone) Accept(_ context.Context, answer string) error {
	m, err := audio(answer)
	if err != nil {
		return err
	}
	if m.Protocol.IsSRTP() != (p.cfg.Kind == SDES) || m.Protocol.IsDTLS() {
		return fmt.Errorf("the answer to %s is %s", p.profile(), m.Protocol)
	}
	if p.cfg.Kind == SDES {
		if len(m.Cryptos) == 0 {
			return errors.New("the answer has no keys")
		}
		theirs := m.Cryptos[0]
		i := slices.IndexFunc(p.own, func(c sdp.Crypto) bool { return c.Tag == theirs.Tag && c.Suite == theirs.Suite })
		if i < 0 {
			return fmt.Errorf("the answer picks crypto %d %s, which was not offered", theirs.Tag, theirs.Suite)
		}
		if err := p.keys(p.own[i], theirs); err != nil {
			return err
		}
	}
	_, err = p.begin(m)
	return err
}

// keys sets SRTP up.
func (p *phone) keys(mine, theirs sdp.Crypto) error {
	out, err := contextOf(mine)
	if err != nil {
		return err
	}
	in, err := contextOf(theirs)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.protect, p.opened = out, in
	p.mu.Unlock()
	p.meter.mu.Lock()
	p.meter.stats.Suite = theirs.Suite
	p.meter.mu.Unlock()
	return nil
}

func contextOf(c sdp.Crypto) (*srtp.Context, error) {
	s := srtp.SuiteByName(c.Suite)
	if s == nil || len(c.KeySalt) != s.KeyLen+s.SaltLen {
		return nil, fmt.Errorf("crypto suite %q with a key of %d bytes", c.Suite, len(c.KeySalt))
	}
	return srtp.New(srtp.Params{Suite: s, Key: c.KeySalt[:s.KeyLen], Salt: c.KeySalt[s.KeyLen:], MKI: c.MKI})
}

// audio is the first audio section of a body that is not refused.
func audio(body string) (*sdp.Media, error) {
	s, err := sdp.Parse(body)
	if err != nil {
		return nil, err
	}
	for _, m := range s.Media {
		if m.Type == "audio" && !m.Rejected() {
			return m, nil
		}
	}
	return nil, errors.New("no audio section that is not refused")
}

// begin starts to send to the other side; the format chosen is returned.
func (p *phone) begin(m *sdp.Media) (string, error) {
	i := slices.IndexFunc(m.Codecs, func(c sdp.Codec) bool { return c.PT == 0 || c.PT == 8 })
	if i < 0 {
		return "", errors.New("the other side has neither PCMU nor PCMA")
	}
	p.pt.Store(uint32(m.Codecs[i].PT))
	p.mu.Lock()
	p.to, p.toRTCP = m.RTPAddr(), m.RTCPAddr()
	p.mu.Unlock()
	p.meter.mu.Lock()
	p.meter.stats.Pair = p.addr.String() + " " + m.RTPAddr().String()
	p.meter.mu.Unlock()
	p.once.Do(func() {
		p.wg.Add(1)
		go p.send()
	})
	return fmt.Sprint(m.Codecs[i].PT), nil
}

// send sends a packet every 20 ms, and reports every second, until Close.
func (p *phone) send() {
	defer p.wg.Done()
	begin := time.Now()
	seq, stamp := uint16(rand.Uint32()), rand.Uint32()
	pcm := make([]int16, frameLen)
	pkt := make([]byte, 0, 12+frameLen+srtp.MaxOverhead)
	for n := 0; ; n++ {
		select {
		case <-p.stop:
			return
		case <-time.After(time.Until(begin.Add(time.Duration(n) * 20 * time.Millisecond))):
		}
		p.cfg.Source.Frame(pcm)
		pt := byte(p.pt.Load())
		pkt = append(pkt[:0], 0x80, pt)
		if n == 0 {
			pkt[1] |= 0x80
		}
		pkt = binary.BigEndian.AppendUint16(pkt, seq)
		pkt = binary.BigEndian.AppendUint32(pkt, stamp)
		pkt = binary.BigEndian.AppendUint32(pkt, p.ssrc)
		for _, s := range pcm {
			if pt == 8 {
				pkt = append(pkt, alawEncode(s))
			} else {
				pkt = append(pkt, ulawEncode(s))
			}
		}
		seq, stamp = seq+1, stamp+frameLen
		p.mu.Lock()
		out, to := pkt, p.to
		var err error
		if p.protect != nil {
			out, err = p.protect.ProtectRTP(pkt)
		}
		p.mu.Unlock()
		if err == nil {
			if _, err := p.rtp.WriteToUDPAddrPort(out, to); err == nil {
				p.sent.Add(1)
			}
		}
		if n%50 == 25 {
			p.report(stamp)
		}
	}
}

// report sends a sender report with a reception report, RFC 3550 section 6.4.1.
func (p *phone) report(stamp uint32) {
	now := time.Now()
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: p.ssrc, NTPTime: ntp(now), RTPTime: stamp, PacketCount: uint32(p.sent.Load()),
			OctetCount: uint32(p.sent.Load() * frameLen), Reports: p.meter.report(now)},
		rtcp.NewCNAMESourceDescription(p.ssrc, "sidecar-lab"),
	})
	if err != nil {
		return
	}
	p.mu.Lock()
	to := p.toRTCP
	if p.protect != nil {
		b, err = p.protect.ProtectRTCP(slices.Grow(b, srtp.MaxOverhead))
	}
	p.mu.Unlock()
	if err == nil && to.IsValid() {
		_, _ = p.rtcp.WriteToUDPAddrPort(b, to) // lost reports are normal
	}
}

// read hands each datagram of a socket to take until the socket is closed.
func (p *phone) read(conn *net.UDPConn, take func([]byte, time.Time)) {
	defer p.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, err := conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			take(buf[:n], time.Now())
		}
	}
}

func (p *phone) takeRTP(pkt []byte, at time.Time) {
	p.mu.Lock()
	in := p.opened
	var err error
	if in != nil {
		pkt, err = in.UnprotectRTP(pkt)
	}
	p.mu.Unlock()
	if err != nil || p.cfg.Kind == SDES && in == nil {
		p.meter.refuse()
		return
	}
	p.meter.rtp(pkt, at)
}

func (p *phone) takeRTCP(pkt []byte, at time.Time) {
	p.mu.Lock()
	in := p.opened
	var err error
	if in != nil {
		pkt, err = in.UnprotectRTCP(pkt)
	}
	p.mu.Unlock()
	if err == nil && (in != nil || p.cfg.Kind == Plain) {
		p.meter.rtcp(pkt, at)
	}
}

func (p *phone) Stats() Stats {
	s := p.meter.snapshot()
	s.Sent = p.sent.Load()
	return s
}

func (p *phone) Heard() []int16 { return p.meter.heard() }

func (p *phone) Close() error {
	close(p.stop)
	err := errors.Join(p.rtp.Close(), p.rtcp.Close())
	p.wg.Wait()
	return err
}
