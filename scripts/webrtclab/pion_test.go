package webrtclab_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	lab "rtpsidecar/scripts/webrtclab"
)

// pionPeer is a second WebRTC stack as a peer, for what no browser can be made to do. It has one transport only and
// refuses media outside a bundle.
type pionPeer struct {
	pc     *webrtc.PeerConnection
	tracks []*webrtc.TrackLocalStaticRTP
	heard  sync.Map // track kind and payload type -> *atomic.Int64
	wg     sync.WaitGroup
	stop   chan struct{}
}

// newPionPeer makes a peer that sends these kinds of media ("audio", "video"), 50 packets a second each.
func newPionPeer(t *testing.T, setup func(*webrtc.SettingEngine), kinds ...string) *pionPeer {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if setup != nil {
		setup(&se)
	}
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	p := &pionPeer{pc: pc, stop: make(chan struct{})}
	pc.OnTrack(func(track *webrtc.TrackRemote, recv *webrtc.RTPReceiver) {
		n := new(atomic.Int64)
		p.heard.Store(recv.RTPTransceiver().Mid(), n)
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			n.Add(1)
		}
	})
	for i, kind := range kinds {
		mime := webrtc.MimeTypePCMU
		if kind == "video" {
			mime = webrtc.MimeTypeVP8
		}
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, fmt.Sprint(kind, i), "lab")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pc.AddTrack(track); err != nil {
			t.Fatal(err)
		}
		p.tracks = append(p.tracks, track)
	}
	p.wg.Add(1)
	go p.send()
	t.Cleanup(func() {
		close(p.stop)
		p.wg.Wait()
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *pionPeer) send() {
	defer p.wg.Done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seq := uint16(0); ; seq++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			for _, track := range p.tracks {
				_ = track.WriteRTP(&rtp.Packet{ // an error only says that the call is not up yet
					Header:  rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(seq) * 160},
					Payload: make([]byte, 160),
				})
			}
		}
	}
}

func (p *pionPeer) describe(t *testing.T, offer bool) string {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(p.pc)
	create := func() (webrtc.SessionDescription, error) { return p.pc.CreateAnswer(nil) }
	if offer {
		create = func() (webrtc.SessionDescription, error) { return p.pc.CreateOffer(nil) }
	}
	d, err := create()
	if err == nil {
		err = p.pc.SetLocalDescription(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

func (p *pionPeer) accept(t *testing.T, kind webrtc.SDPType, sdp string) {
	t.Helper()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}); err != nil {
		t.Fatalf("%v\n%s", err, sdp)
	}
}

func (p *pionPeer) heardEach(n int64) (tracks int, what string) {
	p.heard.Range(func(mid, count any) bool {
		got := count.(*atomic.Int64).Load()
		what += fmt.Sprintf(" mid %v: %d", mid, got)
		if got >= n {
			tracks++
		}
		return true
	})
	return tracks, p.pc.ConnectionState().String() + what
}

// TestPionPeers crosses roles and profiles that browsers do not offer: between two such peers, through the relay.
func TestPionPeers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	d, err := lab.StartDaemon(ctx, daemonArgv(t)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if t.Failed() {
			t.Logf("daemon's log:\n%s", tail(d.Log(), 20000))
		}
	})
	lite := func(se *webrtc.SettingEngine) { se.SetLite(true) }
	role := func(r webrtc.DTLSRole) func(*webrtc.SettingEngine) {
		return func(se *webrtc.SettingEngine) {
			if err := se.SetAnsweringDTLSRole(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	profile := func(ps ...dtls.SRTPProtectionProfile) func(*webrtc.SettingEngine) {
		return func(se *webrtc.SettingEngine) { se.SetSRTPProtectionProfiles(ps...) }
	}
	audio := []string{"audio"}
	tests := map[string]struct {
		caller, callee func(*webrtc.SettingEngine)
		setup          string // replaces actpass in the offer
		kinds          []string
		offer          string
	}{
		"plain":                 {kinds: audio},
		"lite caller":           {caller: lite, kinds: audio},
		"lite callee":           {callee: lite, kinds: audio},
		"callee active":         {callee: role(webrtc.DTLSRoleClient), kinds: audio},
		"callee passive":        {callee: role(webrtc.DTLSRoleServer), kinds: audio},
		"caller active":         {setup: "active", kinds: audio},
		"caller passive":        {setup: "passive", kinds: audio},
		"relay passive":         {kinds: audio, offer: "DTLS=passive"},
		"GCM 128 to CM 80":      {caller: profile(dtls.SRTP_AEAD_AES_128_GCM), callee: profile(dtls.SRTP_AES128_CM_HMAC_SHA1_80), kinds: audio},
		"GCM 256":               {caller: profile(dtls.SRTP_AEAD_AES_256_GCM), callee: profile(dtls.SRTP_AEAD_AES_256_GCM), kinds: audio},
		"four media bundled":    {kinds: []string{"audio", "video", "audio", "video"}},
		"lite both, relay lite": {kinds: audio, offer: "ICE-lite=both"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			caller := newPionPeer(t, tt.caller, tt.kinds...)
			callee := newPionPeer(t, tt.callee, tt.kinds...)
			call := lab.NewCall(d, fmt.Sprintf("pion-%d", callNumber.Add(1)))
			offer := caller.describe(t, true)
			if tt.setup != "" {
				offer = strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:"+tt.setup)
			}
			toCallee, err := call.Offer(ctx, offer, "ICE=force replace-origin rtcp-mux-require bundle=[accept offer require] "+tt.offer)
			if err != nil {
				t.Fatal(err)
			}
			callee.accept(t, webrtc.SDPTypeOffer, toCallee)
			answer := callee.describe(t, false)
			toCaller, err := call.Answer(ctx, answer, "ICE=force replace-origin bundle=[accept]")
			if err != nil {
				t.Fatal(err)
			}
			caller.accept(t, webrtc.SDPTypeAnswer, toCaller)
			for who, p := range map[string]*pionPeer{"caller": caller, "callee": callee} {
				var got int
				var what string
				for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
					if got, what = p.heardEach(25); got == len(tt.kinds) {
						break
					}
				}
				if got != len(tt.kinds) {
					t.Errorf("%s hears %d of %d media: %s\noffer to callee:\n%s\nanswer to caller:\n%s", who, got, len(tt.kinds), what, toCallee, toCaller)
				}
			}
			if err := call.Delete(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSimulcastLines requires the lines of a simulcast offer to reach the other side as they are, RFC 8853.
func TestSimulcastLines(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	d, err := lab.StartDaemon(ctx, daemonArgv(t)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	p := newPionPeer(t, nil, "video")
	offer := p.describe(t, true)
	lines := []string{"a=rid:hi send", "a=rid:lo send", "a=simulcast:send hi;lo"}
	offer += strings.Join(lines, "\r\n") + "\r\n"
	call := lab.NewCall(d, "simulcast")
	got, err := call.Offer(ctx, offer, "ICE=force replace-origin")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(got, line+"\r\n") {
			t.Errorf("%q is lost:\n%s", line, got)
		}
	}
	if err := call.Delete(ctx); err != nil {
		t.Error(err)
	}
}
