package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"rtpsidecar/sdp"
)

// browser is a WebRTC end. It has G.711 alone, so that what it hears can be measured.
type browser struct {
	cfg   Config
	pc    *webrtc.PeerConnection
	meter meter
	sent  atomic.Uint64

	mu     sync.Mutex
	track  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender

	once sync.Once
	stop chan struct{}
	wg   sync.WaitGroup
}

func newBrowser(cfg Config) (*browser, error) {
	var settings webrtc.SettingEngine
	settings.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	settings.SetHandleUndeclaredSSRCWithoutAnswer(true) // phones do not announce their SSRC
	settings.SetSDPMediaLevelFingerprints(true)         // as Chrome
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetIncludeLoopbackCandidate(cfg.Addr.IsLoopback())
	settings.SetIPFilter(func(ip net.IP) bool { return cfg.Addr.IsUnspecified() || ip.Equal(net.IP(cfg.Addr.AsSlice())) })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if cfg.Addr.Is6() {
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
	}
	codecs := &webrtc.MediaEngine{}
	for pt, mime := range map[webrtc.PayloadType]string{0: webrtc.MimeTypePCMU, 8: webrtc.MimeTypePCMA} {
		if err := codecs.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rateHz}, PayloadType: pt,
		}, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	chain := &interceptor.Registry{}
	if err := webrtc.ConfigureRTCPReports(chain); err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(codecs), webrtc.WithInterceptorRegistry(chain))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	b := &browser{cfg: cfg, pc: pc, stop: make(chan struct{}), meter: meter{record: cfg.Record}}
	b.meter.stats.Kind = WebRTC
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { b.listen(track) })
	if err := b.addTrack(webrtc.MimeTypePCMU); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return b, nil
}

func (b *browser) addTrack(mime string) error {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rateHz}, "audio", "sidecar-lab")
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sender != nil {
		b.track = track
		return b.sender.ReplaceTrack(track)
	}
	b.track = track
	if b.sender, err = b.pc.AddTrack(track); err != nil {
		return err
	}
	b.wg.Add(1)
	go b.reports(b.sender)
	return nil
}

// reports reads what RTCP says about the sound sent, until the connection is closed.
func (b *browser) reports(sender *webrtc.RTPSender) {
	defer b.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, _, err := sender.Read(buf)
		if err != nil {
			return
		}
		b.meter.rtcp(buf[:n], time.Now())
	}
}

// listen reads a track; pion calls it on a goroutine that Close of the connection ends.
func (b *browser) listen(track *webrtc.TrackRemote) {
	buf := make([]byte, 2048)
	for {
		n, _, err := track.Read(buf)
		if err != nil {
			return
		}
		b.meter.rtp(buf[:n], time.Now())
	}
}

func (b *browser) Offer(ctx context.Context) (string, error) {
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return b.local(ctx, offer)
}

// local sets the description and waits until all candidates are in it.
func (b *browser) local(ctx context.Context, d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return settled(b.pc.LocalDescription().SDP), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// settled names the first candidate in m= and c=, as browsers do once all candidates are there (RFC 8839 section 4.2.1.2);
// what pion leaves there looks like hold to some relays.
func settled(body string) string {
	s, err := sdp.Parse(body)
	if err != nil {
		return body
	}
	for _, m := range s.Media {
		if len(m.ICE.Candidates) == 0 {
			continue
		}
		c := m.ICE.Candidates[0]
		m.Port, m.Connections = c.Port, []sdp.Connection{sdp.ConnectionTo(c.Addr)}
	}
	return s.String()
}

func (b *browser) Answer(ctx context.Context, offer string) (string, error) {
	if err := b.remote(webrtc.SDPTypeOffer, offer); err != nil {
		return "", err
	}
	answer, err := b.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return b.local(ctx, answer)
}

func (b *browser) Accept(_ context.Context, answer string) error {
	return b.remote(webrtc.SDPTypeAnswer, answer)
}

// remote takes the other side's description, as strictly as browsers do, and starts to send.
func (b *browser) remote(kind webrtc.SDPType, body string) error {
	m, err := audio(body)
	if err != nil {
		return err
	}
	switch {
	case !m.Protocol.IsDTLS():
		return fmt.Errorf("the %s is %s; browsers speak UDP/TLS/RTP/SAVPF", kind, m.Protocol)
	case !m.RTCPMux:
		return fmt.Errorf("the %s has no a=rtcp-mux, which browsers require", kind)
	case !m.ICE.InUse():
		return fmt.Errorf("the %s has no ICE, which browsers require", kind)
	}
	if !slices.ContainsFunc(m.Codecs, func(c sdp.Codec) bool { return c.PT == 0 }) {
		if err := b.addTrack(webrtc.MimeTypePCMA); err != nil {
			return err
		}
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: b.named(body)}); err != nil {
		return err
	}
	b.once.Do(func() {
		b.wg.Add(1)
		go b.send()
	})
	return nil
}

// named gives the first section a name and a bundle of its own where they are missing. Browsers do without (RFC 8829
// section 5.10), pion does not.
func (b *browser) named(body string) string {
	s, err := sdp.Parse(body)
	if err != nil {
		return body
	}
	mid := "0"
	if local := b.pc.LocalDescription(); local != nil {
		if m, err := audio(local.SDP); err == nil && m.MID != "" {
			mid = m.MID
		}
	}
	for _, m := range s.Media {
		if m.MID == "" {
			m.MID = mid
		}
		mid += "x" // further sections are told apart
	}
	if len(s.Groups) == 0 && len(s.Media) > 0 {
		s.Groups = []sdp.Group{{Semantics: "BUNDLE", MIDs: []string{s.Media[0].MID}}}
	}
	return s.String()
}

// send sends a packet every 20 ms until Close. Before DTLS is through pion drops them.
func (b *browser) send() {
	defer b.wg.Done()
	begin := time.Now()
	pcm := make([]int16, frameLen)
	pkt := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32()}, Payload: make([]byte, frameLen)}
	for n := 0; ; n++ {
		select {
		case <-b.stop:
			return
		case <-time.After(time.Until(begin.Add(time.Duration(n) * 20 * time.Millisecond))):
		}
		if b.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
			continue
		}
		b.cfg.Source.Frame(pcm)
		b.mu.Lock()
		track := b.track
		b.mu.Unlock()
		encode := ulawEncode
		if track.Codec().MimeType == webrtc.MimeTypePCMA {
			encode = alawEncode
		}
		for i, s := range pcm {
			pkt.Payload[i] = encode(s)
		}
		pkt.SequenceNumber++
		pkt.Timestamp += frameLen
		if track.WriteRTP(pkt) == nil {
			b.sent.Add(1)
		}
	}
}

func (b *browser) Stats() Stats {
	s := b.meter.snapshot()
	s.Sent = b.sent.Load()
	if b.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
		return s
	}
	for _, stat := range b.pc.GetStats() {
		if t, ok := stat.(webrtc.TransportStats); ok && t.SRTPCipher != "" {
			s.Suite = strings.TrimPrefix(t.SRTPCipher, "SRTP_")
		}
	}
	if pair, err := b.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil {
		s.Pair = fmt.Sprintf("%s %s", endpoint(pair.Local), endpoint(pair.Remote))
	}
	return s
}

func endpoint(c *webrtc.ICECandidate) string {
	return net.JoinHostPort(c.Address, fmt.Sprint(c.Port)) + "/" + c.Typ.String()
}

func (b *browser) Heard() []int16 { return b.meter.heard() }

func (b *browser) Close() error {
	close(b.stop)
	err := b.pc.GracefulClose()
	b.wg.Wait()
	return err
}
