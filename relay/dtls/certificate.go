package dtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// KeyType is the kind of a certificate's key.
type KeyType uint8

// The key types. ECDSA is on P-256, which every WebRTC endpoint must know (RFC 8827 section 6.5).
const (
	ECDSA KeyType = iota
	RSA
)

const (
	// certificateLife and clockSkew bound a certificate's validity. Peers identify it by digest and few look at the
	// dates, but those that do may have another idea of the time.
	certificateLife = 30 * 24 * time.Hour
	clockSkew       = 24 * time.Hour

	defaultRSABits = 2048
)

// CertificateConfig says what certificates to make. The zero value gives ECDSA signed with SHA-256.
type CertificateConfig struct {
	Key       KeyType
	RSABits   int              // 0: 2048
	Signature crypto.Hash      // SHA256, SHA384 or SHA512; 0: SHA256
	Now       func() time.Time // nil: time.Now
}

// Certificate is one self-signed identity. It never changes and is safe for concurrent use.
type Certificate struct {
	pair    tls.Certificate
	digests map[string][]byte
}

// NewCertificate makes a certificate that is valid for 30 days. RSA takes a tenth of a second and more.
func NewCertificate(cfg CertificateConfig) (*Certificate, error) {
	now := time.Now
	if cfg.Now != nil {
		now = cfg.Now
	}
	key, algorithm, err := newKey(cfg)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certificate serial: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:       serial,
		Subject:            pkix.Name{CommonName: "rtpsidecar"},
		NotBefore:          now().Add(-clockSkew),
		NotAfter:           now().Add(certificateLife),
		SignatureAlgorithm: algorithm,
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c := &Certificate{
		pair:    tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		digests: make(map[string][]byte, len(hashes)),
	}
	for name, sum := range hashes {
		c.digests[name] = sum(der)
	}
	return c, nil
}

func newKey(cfg CertificateConfig) (crypto.Signer, x509.SignatureAlgorithm, error) {
	row := map[crypto.Hash][2]x509.SignatureAlgorithm{
		0:             {x509.ECDSAWithSHA256, x509.SHA256WithRSA},
		crypto.SHA256: {x509.ECDSAWithSHA256, x509.SHA256WithRSA},
		crypto.SHA384: {x509.ECDSAWithSHA384, x509.SHA384WithRSA},
		crypto.SHA512: {x509.ECDSAWithSHA512, x509.SHA512WithRSA},
	}
	algorithms, ok := row[cfg.Signature]
	if !ok || cfg.Key > RSA {
		return nil, 0, fmt.Errorf("dtls: no certificate of key type %d signed with %v", cfg.Key, cfg.Signature)
	}
	var key crypto.Signer
	var err error
	if cfg.Key == RSA {
		bits := cfg.RSABits
		if bits == 0 {
			bits = defaultRSABits
		}
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("certificate key: %w", err)
	}
	return key, algorithms[cfg.Key], nil
}

// Leaf is the certificate itself; do not change it.
func (c *Certificate) Leaf() *x509.Certificate { return c.pair.Leaf }

// Fingerprint is the digest by "sha-1", "sha-224", "sha-256", "sha-384" or "sha-512", nil for an unknown name. The bytes
// are shared; do not change them.
func (c *Certificate) Fingerprint(hash string) []byte { return c.digests[strings.ToLower(hash)] }

// Certificates hands out one certificate for all new calls and replaces it when half its life has passed. Calls that
// have the old one keep it. Safe for concurrent use.
type Certificates struct {
	cfg CertificateConfig

	mu      sync.Mutex
	current *Certificate
	renewAt time.Time
}

// NewCertificates makes the first certificate.
func NewCertificates(cfg CertificateConfig) (*Certificates, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Certificates{cfg: cfg}
	if _, err := s.Current(); err != nil {
		return nil, err
	}
	return s, nil
}

// Current is the certificate for a new call. When a new one cannot be made, the old one is returned as long as it is
// valid.
func (s *Certificates) Current() (*Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if s.current != nil && now.Before(s.renewAt) {
		return s.current, nil
	}
	c, err := NewCertificate(s.cfg)
	if err != nil {
		if s.current != nil && now.Before(s.current.Leaf().NotAfter) {
			return s.current, nil
		}
		return nil, err
	}
	s.current, s.renewAt = c, now.Add(certificateLife/2)
	return c, nil
}
