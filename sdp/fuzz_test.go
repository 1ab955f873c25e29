package sdp

import (
	"testing"
)

// FuzzParse: what is printed can be read, prints the same again, and does not explode.
func FuzzParse(f *testing.F) {
	golden(f, func(_ string, in []byte) { f.Add(in) })
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := Parse(in)
		if err != nil {
			_ = err.Error()
			return
		}
		out := Append(nil, s)
		if again := reprint(t, string(out)); again != string(out) {
			t.Fatalf("not a fixed point:\n%q\n%q", out, again)
		}
		// A format may become an rtpmap, a short line a longer one; session lines are copied up to their bound.
		if len(out) > 64*len(in)+maxFolded+1000 {
			t.Errorf("%d bytes became %d", len(in), len(out))
		}
		if clone := s.Clone().String(); clone != string(out) {
			t.Errorf("clone prints\n%q, original\n%q", clone, out)
		}
		if edited := AppendEdited(nil, out, []Edit{{"nowhere", EditRemove, "a", ""}}); string(edited) != string(out) {
			t.Errorf("an edit for no section changed\n%q to\n%q", out, edited)
		}
		for _, m := range s.Media {
			m.RTPAddr()
			m.RTCPAddr()
			for _, i := range MatchAnswer(m.Codecs, m.Codecs) {
				if i >= len(m.Codecs) {
					t.Errorf("match %d of %d codecs", i, len(m.Codecs))
				}
			}
		}
	})
}

func FuzzCandidate(f *testing.F) {
	f.Add("1 1 UDP 2130706431 192.0.2.1 5000 typ srflx raddr ::1 rport 6 generation 0")
	f.Add("1467250027 1 tcp 1518280447 x.local 9 typ host tcptype active odd")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseCandidate(in)
		if err != nil {
			return
		}
		out := AppendCandidate(nil, c)
		again, err := ParseCandidate(string(out))
		if err != nil {
			t.Fatalf("%q from %q: %v", out, in, err)
		}
		if got := AppendCandidate(nil, again); string(got) != string(out) {
			t.Errorf("%q, then %q", out, got)
		}
	})
}

func FuzzCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 UNENCRYPTED_SRTP KDR=0")
	f.Add("2 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==|300:128")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseCrypto(in)
		if err != nil {
			return
		}
		out := AppendCrypto(nil, c)
		again, err := ParseCrypto(string(out))
		if err != nil {
			t.Fatalf("%q from %q: %v", out, in, err)
		}
		if got := AppendCrypto(nil, again); string(got) != string(out) {
			t.Errorf("%q, then %q", out, got)
		}
	})
}

func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:1 1 UDP 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n")
	f.Add("a=ice-options:trickle\na=ice-lite\na=end-of-candidates\nm=x\na=ice-pwd:x\n")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParseFragment(in)
		if err != nil {
			return
		}
		out := AppendFragment(nil, p)
		again, err := ParseFragment(out)
		if err != nil {
			t.Fatalf("%q from %q: %v", out, in, err)
		}
		if got := AppendFragment(nil, again); string(got) != string(out) {
			t.Errorf("%q, then %q", out, got)
		}
	})
}

func FuzzCodecSpec(f *testing.F) {
	f.Add("AMR/8000/1/12200/20/octet-align=1;crc=0/a=b/c")
	f.Add("opus/48000//")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseCodecSpec(in)
		if err != nil {
			return
		}
		again, err := ParseCodecSpec(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q: %+v, then %+v, %v", in, s, again, err)
		}
		c := Codec{Name: s.Name, ClockHz: s.ClockHz, Channels: s.Channels, Fmtp: []string{s.Fmtp}}
		s.Match(&c)
	})
}
