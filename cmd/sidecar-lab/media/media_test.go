package media

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEnds lets each kind call itself without a relay between.
func TestEnds(t *testing.T) {
	for _, kind := range []Kind{Plain, SDES, WebRTC} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			caller, callee := open(t, Config{Kind: kind, Source: &Tone{Hz: 440}}), open(t, Config{Kind: kind, Source: &Tone{Hz: 800}, Record: true})
			offer, err := caller.Offer(ctx)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := callee.Answer(ctx, offer)
			if err != nil {
				t.Fatalf("%v\n%s", err, offer)
			}
			if err := caller.Accept(ctx, answer); err != nil {
				t.Fatalf("%v\n%s", err, answer)
			}
			early := caller.Stats().Refused // the callee talks at once: what came before the answer's keys was refused
			for caller.Stats().Received < 60 || callee.Stats().Received < 60 {
				select {
				case <-ctx.Done():
					t.Fatalf("caller %+v, callee %+v\n%s", caller.Stats(), callee.Stats(), answer)
				case <-time.After(10 * time.Millisecond):
				}
			}
			for name, got := range map[string]float64{"caller hears the callee": Strength(tail(caller.Heard()), 800), "callee hears the caller": Strength(tail(callee.Heard()), 440)} {
				if got < 0.9 {
					t.Errorf("%s: %.2f", name, got)
				}
			}
			if got := Strength(tail(caller.Heard()), 440); got > 0.1 {
				t.Errorf("the caller hears itself: %.2f", got)
			}
			s := caller.Stats()
			if s.Codec != "PCMU" || s.Pair == "" || s.First.IsZero() || (s.Suite == "") != (kind == Plain) || s.Sent == 0 || s.Refused != early {
				t.Errorf("%+v", s)
			}
			if mos := s.MOS(); mos < 4 && s.Lost == 0 {
				t.Errorf("MOS %.2f of %+v", mos, s)
			}
		})
	}
}

func tail(pcm []int16) []int16 { return pcm[max(0, len(pcm)-4000):] }

func open(t *testing.T, cfg Config) End {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestRefusals requires an end to refuse what its kind cannot speak.
func TestRefusals(t *testing.T) {
	const plain = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\n"
	tests := []struct {
		name, offer, want string
		kind              Kind
	}{
		{"plain to browser", plain, "browsers speak UDP/TLS/RTP/SAVPF", WebRTC},
		{"no mux", strings.Replace(plain, "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1), "rtcp-mux", WebRTC},
		{"no ICE", strings.Replace(plain, "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1) + "a=rtcp-mux\r\n", "no ICE", WebRTC},
		{"plain to SDES", plain, "sdes phone refuses it", SDES},
		{"SDES to plain", strings.Replace(plain, "RTP/AVP", "RTP/SAVP", 1), "plain phone refuses it", Plain},
		{"DTLS to SDES", strings.Replace(plain, "RTP/AVP", "UDP/TLS/RTP/SAVP", 1), "no DTLS", SDES},
		{"no keys", strings.Replace(plain, "RTP/AVP", "RTP/SAVP", 1), "no crypto suite", SDES},
		{"no codec", strings.Replace(plain, "AVP 0", "AVP 18", 1), "neither PCMU nor PCMA", Plain},
		{"no audio", strings.Replace(plain, "audio 9000", "audio 0", 1), "no audio", Plain},
		{"no SDP", "hello", "", Plain},
	}
	for _, tt := range tests {
		e := open(t, Config{Kind: tt.kind})
		if _, err := e.Answer(t.Context(), tt.offer); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestG711(t *testing.T) {
	for b := range 256 {
		u, a := ulawDecode(byte(b)), alawDecode(byte(b))
		if got := ulawEncode(u); got != byte(b) && !(b == 0x7f && got == 0xff) { // two zeros
			t.Errorf("µ-law %#x is %d, and that %#x", b, u, got)
		}
		if got := alawEncode(a); got != byte(b) {
			t.Errorf("A-law %#x is %d, and that %#x", b, a, got)
		}
	}
}

func TestWAV(t *testing.T) {
	pcm := make([]int16, 1600)
	(&Tone{Hz: 500}).Frame(pcm)
	var file bytes.Buffer
	if err := WriteWAV(&file, pcm); err != nil {
		t.Fatal(err)
	}
	got, err := ReadWAV(bytes.NewReader(file.Bytes()))
	if err != nil || len(got) != len(pcm) || Strength(got, 500) < 0.99 {
		t.Fatalf("%v, %d samples", err, len(got))
	}
	wide := bytes.Clone(file.Bytes())
	wide[24], wide[25] = 0x80, 0x3e // 16 kHz
	if got, err = ReadWAV(bytes.NewReader(wide)); err != nil || len(got) != len(pcm)/2 || Strength(got, 1000) < 0.9 {
		t.Errorf("16 kHz: %v, %d samples, %.2f", err, len(got), Strength(got, 1000))
	}
	for name, b := range map[string][]byte{"empty": nil, "no data": file.Bytes()[:36], "stereo float": append([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x03\x00\x02\x00"), make([]byte, 40)...)} {
		if _, err := ReadWAV(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMOS(t *testing.T) {
	at := time.Now()
	tests := []struct {
		name     string
		s        Stats
		min, max float64
	}{
		{"nothing", Stats{}, 0, 0},
		{"clean", Stats{Received: 1000, First: at}, 4.3, 4.5},
		{"1 %", Stats{Received: 990, Lost: 10}, 3.5, 4.1},
		{"10 %", Stats{Received: 900, Lost: 100}, 1, 2},
		{"slow", Stats{Received: 1000, RTT: time.Second}, 1.5, 3.2},
		{"hopeless", Stats{Received: 1, Lost: 1000, RTT: 5 * time.Second}, 1, 1},
	}
	for _, tt := range tests {
		if got := tt.s.MOS(); got < tt.min || got > tt.max || math.IsNaN(got) {
			t.Errorf("%s: %.2f, want %v to %v", tt.name, got, tt.min, tt.max)
		}
	}
}

func TestMeter(t *testing.T) {
	m := &meter{}
	at := time.Unix(1000, 0)
	pkt := func(seq uint16) []byte {
		b := make([]byte, 172)
		b[0], b[2], b[3] = 0x80, byte(seq>>8), byte(seq)
		stamp := uint32(seq) * frameLen
		b[4], b[5], b[6], b[7] = byte(stamp>>24), byte(stamp>>16), byte(stamp>>8), byte(stamp)
		return b
	}
	for _, seq := range []uint16{65533, 65534, 0, 1, 3, 2} { // 65535 is lost, 2 comes late
		m.rtp(pkt(seq), at)
		at = at.Add(20 * time.Millisecond)
	}
	m.rtp([]byte("STUN"), at)
	if s := m.snapshot(); s.Received != 6 || s.Lost != 1 || s.Refused != 1 || s.Codec != "PCMU" {
		t.Errorf("%+v", s)
	}
}

func FuzzReadWAV(f *testing.F) {
	var file bytes.Buffer
	_ = WriteWAV(&file, make([]int16, 8))
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = ReadWAV(bytes.NewReader(b)) })
}

func FuzzMeter(f *testing.F) {
	f.Add([]byte("\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01sound"), []byte("\x80\xc8\x00\x06"))
	f.Fuzz(func(t *testing.T, rtp, rtcp []byte) {
		m := &meter{}
		m.rtp(rtp, time.Unix(1, 0))
		m.rtcp(rtcp, time.Unix(2, 0))
		m.snapshot()
		m.report(time.Unix(3, 0))
	})
}
