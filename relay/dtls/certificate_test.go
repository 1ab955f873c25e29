package dtls

import (
	"crypto"
	"testing"
	"testing/synctest"
	"time"
)

func TestCertificate(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  CertificateConfig
		want string
	}{
		{"default", CertificateConfig{}, "ECDSA-SHA256"},
		{"ECDSA 384", CertificateConfig{Signature: crypto.SHA384}, "ECDSA-SHA384"},
		{"RSA", CertificateConfig{Key: RSA}, "SHA256-RSA"},
		{"RSA 512", CertificateConfig{Key: RSA, RSABits: 3072, Signature: crypto.SHA512}, "SHA512-RSA"},
	} {
		c, err := NewCertificate(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Leaf().SignatureAlgorithm.String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if err := c.Leaf().CheckSignature(c.Leaf().SignatureAlgorithm, c.Leaf().RawTBSCertificate, c.Leaf().Signature); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		for name, n := range map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "SHA-384": 48, "sha-512": 64, "md5": 0} {
			if got := c.Fingerprint(name); len(got) != n {
				t.Errorf("%s: %s of %d bytes, want %d", tt.name, name, len(got), n)
			}
		}
	}
	for _, cfg := range []CertificateConfig{{Key: 7}, {Signature: crypto.MD5}, {Key: RSA, RSABits: 10}} {
		if _, err := NewCertificate(cfg); err == nil {
			t.Errorf("%+v: accepted", cfg)
		}
	}
}

func TestCertificateRenewal(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := NewCertificates(CertificateConfig{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := s.Current()
	if got := first.Leaf().NotAfter.Sub(now); got != certificateLife {
		t.Errorf("valid for %v", got)
	}
	now = now.Add(certificateLife/2 - time.Second)
	if c, _ := s.Current(); c != first {
		t.Error("replaced too early")
	}
	now = now.Add(time.Second)
	second, _ := s.Current()
	if second == first {
		t.Error("not replaced after half its life")
	}
	// Renewal that fails keeps the old one while it is valid.
	s.cfg.Key = 7
	now = now.Add(certificateLife/2 + time.Hour)
	if c, err := s.Current(); c != second || err != nil {
		t.Errorf("%v", err)
	}
	now = now.Add(certificateLife)
	if _, err := s.Current(); err == nil {
		t.Error("an expired certificate is handed out")
	}
	if _, err := NewCertificates(CertificateConfig{Key: 7}); err == nil {
		t.Error("no key type 7")
	}
}

func TestRSACertificates(t *testing.T) {
	rsaCert, err := NewCertificate(CertificateConfig{Key: RSA})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []Role{Client, Server} {
		synctest.Test(t, func(t *testing.T) {
			client, server := link(t, nil, nil, func(r Role, c *Config) {
				if r == who {
					c.Certificate = rsaCert
				}
			})
			if who == Client {
				client.cert = rsaCert
			} else {
				server.cert = rsaCert
			}
			start(t, client, server)
			start(t, server, client)
			checkKeys(t, <-client.result, <-server.result)
			client.Close()
			server.Close()
		})
	}
}
