package dtls

import "testing"

// BenchmarkHandshake counts both ends of full handshakes with client certificates; ours alone is half of it.
func BenchmarkHandshake(b *testing.B) {
	rsaCert, err := NewCertificate(CertificateConfig{Key: RSA})
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name string
		cert *Certificate
	}{{"ecdsa", nil}, {"rsa", rsaCert}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				client, server := link(b, nil, nil, func(_ Role, c *Config) {
					if bb.cert != nil {
						c.Certificate = bb.cert
					}
				})
				if bb.cert != nil {
					client.cert, server.cert = bb.cert, bb.cert
				}
				start(b, server, client)
				start(b, client, server)
				checkKeys(b, <-client.result, <-server.result)
				client.Abandon()
				server.Abandon()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
		})
	}
}
