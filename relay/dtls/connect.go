package dtls

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	pion "github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"

	"rtpsidecar/relay/srtp"
)

type verifyFunc = func(certificates [][]byte, chains [][]*x509.Certificate) error

// preferred is what a server takes when it is offered, see Config.StrictOrder.
var preferred = srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80")

// curves are offered, and by a server taken, in this order. P-256 first: every WebRTC endpoint has it (RFC 8827 section
// 6.5), and Go has it in assembly, unlike X25519, of which the library computes three products a handshake.
var curves = []elliptic.Curve{elliptic.P256, elliptic.X25519, elliptic.P384}

// connection is a connection of the library and the pipe that it runs on.
type connection struct {
	*pion.Conn
	pipe *pipe
}

// options are those that both roles and a resumed connection have in common.
func (k *Keyer) options() []pion.Option {
	return []pion.Option{
		pion.WithMTU(k.cfg.MTU),
		pion.WithFlightInterval(k.cfg.FlightInterval),
		pion.WithDisableRetransmitBackoff(true),
		pion.WithLoggerFactory(libraryLog{k.cfg.Logger}),
		// Certificates are self-signed: the digest, not a chain, says whose they are (RFC 5763 section 5).
		pion.WithInsecureSkipVerify(true),
	}
}

// connect sets the library up; it sends nothing yet. head is a datagram that was already taken from the inbox.
func (k *Keyer) connect(role Role, head []byte, verify verifyFunc) (c connection, err error) {
	c.pipe = newPipe(k.inbox, head, k.send)
	c.pipe.gate = k.gate
	shared := append(k.options(),
		pion.WithCertificates(k.cfg.Certificate.pair),
		pion.WithEllipticCurves(curves...),
		pion.WithSRTPProtectionProfiles(profiles(k.cfg.Suites, role == Server && !k.cfg.StrictOrder)...),
		pion.WithVerifyPeerCertificate(verify),
	)
	if role == Client {
		opts := make([]pion.ClientOption, 0, len(shared))
		for _, o := range shared {
			opts = append(opts, o)
		}
		if c.Conn, err = pion.ClientWithOptions(c.pipe, c.pipe.LocalAddr(), opts...); err != nil {
			return c, fmt.Errorf("dtls client: %w", err)
		}
		return c, nil
	}
	opts := []pion.ServerOption{
		pion.WithClientAuth(pion.RequireAnyClientCert),
		pion.WithInsecureSkipVerifyHello(!k.cfg.VerifyHello),
	}
	for _, o := range shared {
		opts = append(opts, o)
	}
	if c.Conn, err = pion.ServerWithOptions(c.pipe, c.pipe.LocalAddr(), opts...); err != nil {
		return c, fmt.Errorf("dtls server: %w", err)
	}
	return c, nil
}

// resume brings a connection back from its state; it sends nothing.
func (k *Keyer) resume(state *pion.State, head []byte) (c connection, err error) {
	c.pipe = newPipe(k.inbox, head, k.send)
	if c.Conn, err = pion.ResumeWithOptions(state, c.pipe, c.pipe.LocalAddr(), k.options()...); err != nil {
		return c, err
	}
	if err = c.HandshakeContext(context.Background()); err != nil { // returns at once
		c.Conn.Close()
	}
	return c, err
}

// profiles are the protection profiles of suites in their order, the preferred one first if asked for.
func profiles(suites []*srtp.Suite, prefer bool) []pion.SRTPProtectionProfile {
	if prefer && slices.Contains(suites, preferred) {
		suites = append([]*srtp.Suite{preferred}, suites...)
	}
	var out []pion.SRTPProtectionProfile
	for _, s := range suites {
		if p := pion.SRTPProtectionProfile(s.Profile); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// export derives the master keys of both directions: client key, server key, client salt, server salt.
// Source: RFC 5764 section 4.2.
func export(conn *pion.Conn, role Role) (Result, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	suite := srtp.SuiteByProfile(uint16(profile))
	if !ok || suite == nil {
		return Result{}, ErrNoProfile
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return Result{}, fmt.Errorf("dtls: no state to export keys from")
	}
	km, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(suite.KeyLen+suite.SaltLen))
	if err != nil {
		return Result{}, fmt.Errorf("keying material: %w", err)
	}
	take := func(n int) []byte {
		b := km[:n:n]
		km = km[n:]
		return b
	}
	client, server := srtp.Params{Suite: suite}, srtp.Params{Suite: suite}
	client.Key, server.Key = take(suite.KeyLen), take(suite.KeyLen)
	client.Salt, server.Salt = take(suite.SaltLen), take(suite.SaltLen)
	if role == Client {
		return Result{Suite: suite, Local: client, Remote: server}, nil
	}
	return Result{Suite: suite, Local: server, Remote: client}, nil
}
