package phone

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ghettovoice/gosip"
	"github.com/ghettovoice/gosip/log"
	"github.com/ghettovoice/gosip/sip"
	"github.com/ghettovoice/gosip/sip/parser"
	"github.com/ghettovoice/gosip/transport"

	"rtpsidecar/cmd/sidecar-lab/media"
)

// Config is who the user agent is and whom it talks to.
type Config struct {
	Proxy    string // udp:HOST:PORT, tcp:, tls:, ws://HOST:PORT/PATH, wss://
	AOR      string // sip:alice@example.org
	AuthUser string // for digest authentication; empty: the user of AOR
	Password string
	TLS      *tls.Config // nil: the system's certificate authorities
	Local    netip.Addr  // to send from over UDP; zero: the system's choice
	Trace    io.Writer   // messages sent and received; nil: none
}

// Phone is a user agent with one flow to its proxy. One call at a time.
type Phone struct {
	cfg     Config
	link    *link
	server  gosip.Server
	aor     sip.SipUri
	contact sip.SipUri
	user    string // random user part of the contact, so that no other call reaches it

	mu       sync.Mutex
	regID    sip.CallID
	regSeq   uint
	dialog   *Dialog // the one in progress
	incoming chan *Dialog
	accept   func() (media.End, error) // nil: no calls are taken
}

// StatusError is a final reply other than 2xx.
type StatusError struct {
	Status int
	Reason string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Reason) }

// Dial connects to the proxy. Nothing is sent yet. Close must be called on the phone.
func Dial(ctx context.Context, cfg Config) (*Phone, error) {
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{}
	}
	aor, err := parseURI(cfg.AOR)
	if err != nil {
		return nil, err
	}
	p := &Phone{cfg: cfg, aor: aor, user: "lab" + strings.ToLower(rand.Text()[:10]), regID: sip.CallID(rand.Text()), incoming: make(chan *Dialog, 1)}
	if p.link, err = open(ctx, cfg.Proxy, cfg.Local, cfg.TLS, quiet{}, cfg.Trace); err != nil {
		return nil, err
	}
	port := sip.Port(p.link.local.Port())
	p.contact = sip.SipUri{FUser: sip.String{Str: p.user}, FHost: bracketed(p.link.local.Addr()), FPort: &port, FUriParams: sip.NewParams(), FHeaders: sip.NewParams()}
	if p.link.network != "UDP" {
		name := strings.ToLower(p.link.network)
		if name == "wss" {
			name = "ws" // RFC 7118 section 5.2.3
		}
		if name == "tls" {
			name = "tcp"
		}
		p.contact.FUriParams.Add("transport", sip.String{Str: name})
	}
	factory := func(net.IP, *net.Resolver, sip.MessageMapper, log.Logger) transport.Layer { return p.link }
	p.server = gosip.NewServer(gosip.ServerConfig{Host: p.link.local.Addr().String(), UserAgent: "sidecar-lab"}, factory, nil, quiet{})
	for method, handler := range map[sip.RequestMethod]gosip.RequestHandler{
		sip.INVITE: p.onInvite, sip.BYE: p.onBye, sip.ACK: func(sip.Request, sip.ServerTransaction) {}, sip.OPTIONS: p.onOptions, sip.CANCEL: func(sip.Request, sip.ServerTransaction) {},
	} {
		if err := p.server.OnRequest(method, handler); err != nil {
			p.server.Shutdown()
			return nil, err
		}
	}
	return p, nil
}

// Local is the address that the phone talks from.
func (p *Phone) Local() netip.Addr { return p.link.local.Addr() }

// Close ends the flow; calls and registrations are left to the caller to end before.
func (p *Phone) Close() { p.server.Shutdown() }

func parseURI(s string) (sip.SipUri, error) {
	if !strings.HasPrefix(s, "sip:") && !strings.HasPrefix(s, "sips:") {
		s = "sip:" + s
	}
	uri, err := parser.ParseSipUri(s)
	if err != nil {
		return uri, fmt.Errorf("%q is no SIP address: %w", s, err)
	}
	if uri.FHost == "" {
		return uri, fmt.Errorf("%q has no domain", s)
	}
	if uri.FUriParams == nil {
		uri.FUriParams = sip.NewParams()
	}
	if uri.FHeaders == nil {
		uri.FHeaders = sip.NewParams()
	}
	return uri, nil
}

// authorizer answers challenges.
func (p *Phone) authorizer() sip.Authorizer {
	user := p.cfg.AuthUser
	if user == "" && p.aor.FUser != nil {
		user = p.aor.FUser.String()
	}
	return &sip.DefaultAuthorizer{User: sip.String{Str: user}, Password: sip.String{Str: p.cfg.Password}}
}

// Register binds the phone to its address for a while; zero ends the binding.
func (p *Phone) Register(ctx context.Context, expires time.Duration) error {
	p.mu.Lock()
	p.regSeq += 2 // a challenge takes the one between
	seq := p.regSeq
	p.mu.Unlock()
	registrar := sip.SipUri{FHost: p.aor.FHost, FPort: p.aor.FPort, FUriParams: sip.NewParams(), FHeaders: sip.NewParams()}
	seconds := sip.Expires(expires.Seconds())
	req, err := p.build(sip.REGISTER, seq).SetRecipient(&registrar).SetCallID(&p.regID).
		SetTo(&sip.Address{Uri: p.aor.Clone()}).SetExpires(&seconds).Build()
	if err != nil {
		return err
	}
	_, err = p.request(ctx, req)
	return err
}

// build begins a request of this phone.
func (p *Phone) build(method sip.RequestMethod, seq uint) *sip.RequestBuilder {
	max := sip.MaxForwards(70)
	ua := sip.UserAgentHeader("sidecar-lab")
	return sip.NewRequestBuilder().SetMethod(method).SetSeqNo(seq).SetHost(bracketed(p.link.local.Addr())).SetTransport(p.link.network).
		AddVia(&sip.ViaHop{Params: sip.NewParams().Add("branch", sip.String{Str: sip.GenerateBranch()})}).
		SetFrom(&sip.Address{Uri: p.aor.Clone(), Params: sip.NewParams().Add("tag", sip.String{Str: strings.ToLower(rand.Text()[:12])})}).
		SetContact(&sip.Address{Uri: p.contact.Clone()}).SetMaxForwards(&max).SetUserAgent(&ua)
}

// request sends a request, answers a challenge, and returns the final reply; one that is no success is a [*StatusError].
func (p *Phone) request(ctx context.Context, req sip.Request, more ...gosip.RequestWithContextOption) (sip.Response, error) {
	res, err := p.server.RequestWithContext(noticing{ctx, p.link}, req, append(more, gosip.WithAuthorizer(p.authorizer()))...)
	var failed *sip.RequestError
	if errors.As(err, &failed) {
		if failed.Code == 487 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &StatusError{int(failed.Code), failed.Reason}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.Method(), err)
	}
	return res, nil
}

// Call invites someone and returns once the call is up: the answer has been taken and acknowledged. ctx ends the ringing.
func (p *Phone) Call(ctx context.Context, to string, end media.End) (*Dialog, error) {
	target, err := parseURI(to)
	if err != nil {
		return nil, err
	}
	offer, err := end.Offer(ctx)
	if err != nil {
		return nil, err
	}
	sdpType := sip.ContentType("application/sdp")
	id := sip.CallID(rand.Text() + "@sidecar-lab")
	req, err := p.build(sip.INVITE, 1).SetRecipient(&target).SetTo(&sip.Address{Uri: target.Clone()}).SetCallID(&id).
		SetContentType(&sdpType).SetBody(offer).Build()
	if err != nil {
		return nil, err
	}
	d := &Dialog{phone: p, end: end, ended: make(chan struct{}), begun: time.Now(), CallID: string(id), Peer: to}
	d.localBody = offer
	p.mu.Lock()
	p.dialog = d
	p.mu.Unlock()
	res, err := p.request(ctx, req, gosip.WithResponseHandler(d.onReply))
	if err != nil {
		p.forget(d)
		return nil, err
	}
	d.Setup = time.Since(d.begun)
	d.fromReply(req, res)
	if err := end.Accept(ctx, res.Body()); err != nil {
		return nil, errors.Join(fmt.Errorf("answer: %w", err), d.Hangup(ctx))
	}
	return d, nil
}

// forget makes room for the next call.
func (p *Phone) forget(d *Dialog) {
	p.mu.Lock()
	if p.dialog == d {
		p.dialog = nil
	}
	p.mu.Unlock()
}

// Wait takes the next call with the end that accept makes, and returns once it is up. Without a Wait in progress calls are
// refused as busy.
func (p *Phone) Wait(ctx context.Context, accept func() (media.End, error)) (*Dialog, error) {
	p.mu.Lock()
	p.accept = accept
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.accept = nil
		p.mu.Unlock()
	}()
	select {
	case d := <-p.incoming:
		return d, d.failed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
