package dtls

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// OpenSSL prints the keying material it exports, so that both ends can be compared byte by byte.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIPPED: no openssl on this machine; DTLS is not tested against OpenSSL")
	}
	rsaCert, err := NewCertificate(CertificateConfig{Key: RSA})
	if err != nil {
		t.Fatal(err)
	}
	ecdsaCert, err := NewCertificate(CertificateConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		role    Role // ours
		cert    *Certificate
		profile string // OpenSSL's name
		suite   string
	}{
		{"client ECDSA", Client, ecdsaCert, "SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80"},
		{"client RSA", Client, rsaCert, "SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM"},
		{"server ECDSA", Server, ecdsaCert, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80"},
		{"server RSA", Server, rsaCert, "SRTP_AES128_CM_SHA1_32", "AES_CM_128_HMAC_SHA1_32"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			theirs := testCertificates[1]
			if tt.cert == rsaCert {
				theirs = rsaCert
			}
			socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			keyFile := writePEM(t, theirs)
			args := []string{"-dtls1_2", "-use_srtp", tt.profile, "-cert", keyFile, "-key", keyFile,
				"-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "88"}
			var remote *net.UDPAddr
			if tt.role == Server {
				args = append([]string{"s_client", "-connect", socket.LocalAddr().String()}, args...)
			} else {
				remote = freePort(t)
				args = append([]string{"s_server", "-Verify", "1", "-accept", remote.String()}, args...)
			}
			cmd := exec.Command(openssl, args...)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}

			remotes := make(chan *net.UDPAddr, 1) // the address to send to
			if remote != nil {
				remotes <- remote
			}
			ours := newEnd(t, tt.role, tt.cert, func(b []byte) {
				to := <-remotes
				remotes <- to
				socket.WriteTo(b, to)
			}, nil)
			start(t, ours, &end{cert: theirs})
			received := make(chan struct{})
			go func() {
				defer close(received)
				var b [2048]byte
				for {
					n, from, err := socket.ReadFrom(b[:])
					if err != nil {
						if strings.Contains(err.Error(), "closed") {
							return
						}
						continue // the server's port is not open yet
					}
					select {
					case remotes <- from.(*net.UDPAddr):
					default:
					}
					ours.Deliver(b[:n])
				}
			}()
			watchdog := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			material := ""
			for lines := bufio.NewScanner(stdout); material == "" && lines.Scan(); {
				if s, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Keying material: "); ok {
					material = s
				}
			}
			r := <-ours.result
			ours.Close()
			stdin.Close()
			cmd.Process.Kill()
			cmd.Wait()
			watchdog.Stop()
			socket.Close()
			<-received

			if r.Err != nil || r.Suite.Name != tt.suite {
				t.Fatalf("%v, %v\n%s", r.Suite, r.Err, stderr.String())
			}
			client, server := r.Local, r.Remote
			if tt.role == Server {
				client, server = server, client
			}
			want := hex.EncodeToString(bytes.Join([][]byte{client.Key, server.Key, client.Salt, server.Salt}, nil))
			if got := strings.ToLower(material); len(got) < len(want) || got[:len(want)] != want {
				t.Errorf("OpenSSL exports other keys: %d bytes against %d\n%s", len(got)/2, len(want)/2, stderr.String())
			}
		})
	}
}

func writePEM(t *testing.T, c *Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.pair.Certificate[0]})
	pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	name := filepath.Join(t.TempDir(), "pair.pem")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// freePort is a UDP port that nobody has a moment ago.
func freePort(t *testing.T) *net.UDPAddr {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(fmt.Errorf("no UDP port: %w", err))
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr)
}
