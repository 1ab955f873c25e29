package dtls

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	pion2 "github.com/pion/dtls/v2"
	pionsrtp2 "github.com/pion/srtp/v2"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

// packetConn makes a net.Conn of a pipe, one datagram a call.
type packetConn struct{ *pipe }

func (c packetConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}
func (c packetConn) Write(b []byte) (int, error) { return c.WriteTo(b, nil) }
func (c packetConn) RemoteAddr() net.Addr        { return pipeAddr{} }

// pion/dtls v2 and pion/srtp v2, whose lines have ended, are what many endpoints in the field still run.
func TestPionV2(t *testing.T) {
	for _, tt := range []struct {
		name    string
		role    Role // ours
		profile pion2.SRTPProtectionProfile
		srtp    pionsrtp2.ProtectionProfile
		suite   string
	}{
		{"client AES-CM 80", Client, pion2.SRTP_AES128_CM_HMAC_SHA1_80, pionsrtp2.ProtectionProfileAes128CmHmacSha1_80, "AES_CM_128_HMAC_SHA1_80"},
		{"client AES-CM 32", Client, pion2.SRTP_AES128_CM_HMAC_SHA1_32, pionsrtp2.ProtectionProfileAes128CmHmacSha1_32, "AES_CM_128_HMAC_SHA1_32"},
		{"client GCM 128", Client, pion2.SRTP_AEAD_AES_128_GCM, pionsrtp2.ProtectionProfileAeadAes128Gcm, "AEAD_AES_128_GCM"},
		{"client GCM 256", Client, pion2.SRTP_AEAD_AES_256_GCM, pionsrtp2.ProtectionProfileAeadAes256Gcm, "AEAD_AES_256_GCM"},
		{"server AES-CM 80", Server, pion2.SRTP_AES128_CM_HMAC_SHA1_80, pionsrtp2.ProtectionProfileAes128CmHmacSha1_80, "AES_CM_128_HMAC_SHA1_80"},
		{"server AES-CM 32", Server, pion2.SRTP_AES128_CM_HMAC_SHA1_32, pionsrtp2.ProtectionProfileAes128CmHmacSha1_32, "AES_CM_128_HMAC_SHA1_32"},
		{"server GCM 128", Server, pion2.SRTP_AEAD_AES_128_GCM, pionsrtp2.ProtectionProfileAeadAes128Gcm, "AEAD_AES_128_GCM"},
		{"server GCM 256", Server, pion2.SRTP_AEAD_AES_256_GCM, pionsrtp2.ProtectionProfileAeadAes256Gcm, "AEAD_AES_256_GCM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			var ours *end
			in := newInbox()
			theirs := packetConn{newPipe(in, nil, func(b []byte) { ours.Deliver(b) })}
			ours = newEnd(t, tt.role, testCertificates[0], func(b []byte) { in.push(b) }, nil)
			defer ours.Close()
			start(t, ours, &end{cert: testCertificates[1]})

			cfg := &pion2.Config{
				Certificates:           []tls.Certificate{testCertificates[1].pair},
				SRTPProtectionProfiles: []pion2.SRTPProtectionProfile{tt.profile},
				ClientAuth:             pion2.RequireAnyClientCert,
				InsecureSkipVerify:     true,
				ExtendedMasterSecret:   pion2.RequireExtendedMasterSecret,
			}
			handshake := pion2.ServerWithContext
			if tt.role == Server {
				handshake = pion2.ClientWithContext
			}
			conn, err := handshake(ctx, theirs, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			r := <-ours.result
			if r.Err != nil || r.Suite.Name != tt.suite {
				t.Fatalf("%v, %v", r.Suite, r.Err)
			}
			state := conn.ConnectionState()
			media := pionsrtp2.Config{Profile: tt.srtp}
			if err := media.ExtractSessionKeysFromDTLS(&state, tt.role == Server); err != nil {
				t.Fatal(err)
			}
			exchangeMedia(t, r, media.Keys, tt.srtp)
		})
	}
}

// exchangeMedia sends RTP and RTCP both ways between our keys and pion/srtp v2.
func exchangeMedia(t *testing.T, r Result, keys pionsrtp2.SessionKeys, profile pionsrtp2.ProtectionProfile) {
	t.Helper()
	out, err := srtp.New(r.Local)
	if err != nil {
		t.Fatal(err)
	}
	in, err := srtp.New(r.Remote)
	if err != nil {
		t.Fatal(err)
	}
	theirOut, err := pionsrtp2.CreateContext(keys.LocalMasterKey, keys.LocalMasterSalt, profile)
	if err != nil {
		t.Fatal(err)
	}
	theirIn, err := pionsrtp2.CreateContext(keys.RemoteMasterKey, keys.RemoteMasterSalt, profile)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint16(50) {
		plain := append(rtp.AppendHeader(nil, rtp.Header{Seq: seq - 25, SSRC: 7}), "speech"...)
		b, err := out.ProtectRTP(append(make([]byte, 0, 256), plain...))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = theirIn.DecryptRTP(nil, b, nil); err != nil || !bytes.Equal(b, plain) {
			t.Fatalf("to the peer: %x, %v", b, err)
		}
		if b, err = theirOut.EncryptRTP(nil, plain, nil); err != nil {
			t.Fatal(err)
		}
		if b, err = in.UnprotectRTP(b); err != nil || !bytes.Equal(b, plain) {
			t.Fatalf("from the peer: %x, %v", b, err)
		}
		rtcp := rtp.AppendRR(nil, 7, nil)
		if b, err = out.ProtectRTCP(append(make([]byte, 0, 256), rtcp...)); err != nil {
			t.Fatal(err)
		}
		if b, err = theirIn.DecryptRTCP(nil, b, nil); err != nil || !bytes.Equal(b, rtcp) {
			t.Fatalf("RTCP to the peer: %x, %v", b, err)
		}
		if b, err = theirOut.EncryptRTCP(nil, rtcp, nil); err != nil {
			t.Fatal(err)
		}
		if b, err = in.UnprotectRTCP(b); err != nil || !bytes.Equal(b, rtcp) {
			t.Fatalf("RTCP from the peer: %x, %v", b, err)
		}
	}
}
