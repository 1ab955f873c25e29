package dtls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pion "github.com/pion/dtls/v3"

	"rtpsidecar/relay/srtp"
)

// Role is our side of the handshake.
type Role uint8

// The roles: setup:passive waits for a ClientHello, setup:active sends it.
const (
	Server Role = iota
	Client
)

func (r Role) String() string {
	if r == Client {
		return "active"
	}
	return "passive"
}

// State is how far a Keyer is.
type State int32

// The states.
const (
	StateNew       State = iota // the role is not known
	StateWaiting                // server that has not heard of its client
	StateHandshake              // under way
	StateConnected              // keys are there
	StateFailed                 // see Result.Err
	StateClosed                 // ended after it was connected, or by us
)

func (s State) String() string {
	return [...]string{"new", "waiting", "handshake", "connected", "failed", "closed"}[s]
}

// Defaults of Config.
const (
	defaultMTU     = 1200
	defaultTimeout = 30 * time.Second

	// defaultFlightInterval is how long an unanswered flight waits to be repeated. RFC 6347 section 4.2.4.1 begins with
	// a second and doubles it each time; a call cannot wait a second for one lost packet, nor a far end that becomes
	// ready late for the end of a doubled pause. At one kilobyte a flight this stays below one audio stream.
	defaultFlightInterval = 250 * time.Millisecond

	// restAfter is how long a connected association is kept ready without hearing from the far end. Until the far end is
	// connected too it repeats itself more often than this. Later nothing comes but a close_notify, for which three
	// goroutines and 40 KiB would wait through the whole call.
	restAfter = 30 * time.Second
)

// Config is what a Keyer needs. Certificate, Send and OnResult are required.
type Config struct {
	Certificate *Certificate

	// Send puts one datagram on the wire. It is called from goroutines of the Keyer and by Release, never twice at once, and
	// never after Close has returned. It must not block nor call the Keyer, and must not keep the bytes.
	Send func(datagram []byte)
	// OnResult is called once after Start, from the Keyer's goroutine. It must not call Close.
	OnResult func(Result)
	// OnClose, when not nil, is called once after a successful result, when the association ends: ErrPeerClosed or
	// ErrClosed. It must not call Close.
	OnClose func(error)

	// Suites are offered and accepted, in order of preference; nil: all that have a protection profile.
	Suites []*srtp.Suite
	// StrictOrder makes a server choose by that order alone. Otherwise it takes AES_CM_128_HMAC_SHA1_80 when offered,
	// which every WebRTC endpoint offers (RFC 8827 section 6.5) and which the kernel path knows.
	StrictOrder bool
	// VerifyHello makes a server send a cookie first, so that a forged ClientHello cannot take the real client's place.
	// It costs a round trip and is of no use where only a validated path is heard.
	VerifyHello bool

	MTU            int           // of one datagram in bytes, 0: 1200
	FlightInterval time.Duration // 0: 250 ms
	Timeout        time.Duration // for the handshake, of a server from the first ClientHello on; 0: 30 s
	Logger         *slog.Logger  // nil: none
}

// Result is the outcome of a handshake. When Err is not nil the rest is zero.
type Result struct {
	Suite         *srtp.Suite
	Local, Remote srtp.Params // what we send and what we receive is protected with

	RemoteFingerprintHash string // of the fingerprint that matched: "sha-256"
	Err                   error
}

// Keyer runs one association: New, any number of Deliver, Start or Prepare once, Close. A new association is a new Keyer.
// All methods are safe for concurrent use.
type Keyer struct {
	cfg   Config
	inbox *inbox
	heard atomic.Int64 // time of the last datagram in nanoseconds of the Unix epoch
	state atomic.Int32

	expected chan []Fingerprint // at most one; for a Start without any

	gate *gate // of a client that was prepared; nil: none

	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	started bool
	closed  bool
	silent  atomic.Bool // Abandon: let nothing out any more
	client  atomic.Bool // started as one
	held    atomic.Bool // prepared, not released
}

// New makes a Keyer without a role. It keeps what is delivered and sends nothing; it has no goroutine until Start.
func New(cfg Config) (*Keyer, error) {
	if cfg.Certificate == nil || cfg.Send == nil || cfg.OnResult == nil {
		return nil, errors.New("dtls: certificate, send and result function are required")
	}
	if cfg.Suites == nil {
		cfg.Suites = DefaultSuites()
	}
	if i := slices.IndexFunc(cfg.Suites, func(s *srtp.Suite) bool { return s.Profile == 0 }); i >= 0 {
		return nil, fmt.Errorf("dtls: %s has no protection profile", cfg.Suites[i])
	}
	if len(cfg.Suites) == 0 {
		return nil, ErrNoProfile
	}
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	if cfg.FlightInterval == 0 {
		cfg.FlightInterval = defaultFlightInterval
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keyer{cfg: cfg, inbox: newInbox(), expected: make(chan []Fingerprint, 1), done: make(chan struct{})}, nil
}

// DefaultSuites are the suites that have a protection profile, strongest first.
func DefaultSuites() []*srtp.Suite {
	return slices.DeleteFunc(srtp.Suites(), func(s *srtp.Suite) bool { return s.Profile == 0 })
}

// Deliver hands over one received datagram, which is copied. It never blocks. False: the datagram was dropped, because
// it is not DTLS, the queue is full or the Keyer closed. A client takes no ClientHello, which is of a far end that has
// changed its role meanwhile: the library would take it for the first message of the server.
func (k *Keyer) Deliver(datagram []byte) bool {
	if k.held.Load() || !plausible(datagram) || k.client.Load() && isClientHello(datagram) || !k.inbox.push(datagram) {
		return false
	}
	k.heard.Store(time.Now().UnixNano())
	return true
}

// State is how far the Keyer is.
func (k *Keyer) State() State { return State(k.state.Load()) }

// Start begins the handshake with our role and the far end's fingerprints, any of which must match its certificate. The
// end of ctx ends the association too. ErrStarted and ErrClosed say that it is too late, ErrFingerprint that no
// fingerprint is of a known hash function, so that no certificate could match.
//
// A server may start before it knows any: the far end's ClientHello can overtake its signalling (RFC 8842 section 5.2).
// The result then waits for Expect.
func (k *Keyer) Start(ctx context.Context, role Role, fingerprints []Fingerprint) error {
	return k.start(ctx, role, fingerprints, nil)
}

// Prepare is Start as a client, but for sending: the ClientHello is ready and waits for Release.
func (k *Keyer) Prepare(ctx context.Context, fingerprints []Fingerprint) error {
	return k.start(ctx, Client, fingerprints, newGate())
}

// Release lets a prepared client begin. The ClientHello, if it is ready, is sent before Release returns, by Config.Send.
func (k *Keyer) Release() {
	if k.held.CompareAndSwap(true, false) {
		k.state.CompareAndSwap(int32(StateNew), int32(StateHandshake))
		k.gate.open()
	}
}

func (k *Keyer) start(ctx context.Context, role Role, fingerprints []Fingerprint, gate *gate) error {
	if !known(fingerprints) && (role == Client || len(fingerprints) > 0) {
		return ErrFingerprint
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return ErrClosed
	case k.started:
		return ErrStarted
	}
	k.started = true
	ctx, k.cancel = context.WithCancel(ctx)
	if role == Server {
		k.state.Store(int32(StateWaiting))
	} else {
		if gate == nil {
			k.state.Store(int32(StateHandshake))
		}
		k.client.Store(true)
		k.gate = gate
		k.held.Store(gate != nil)
		k.inbox.drain() // nothing can be an answer yet
	}
	go k.run(ctx, role, slices.Clone(fingerprints))
	return nil
}

// Expect tells a Keyer that was started without fingerprints what they are. Only the first call counts.
func (k *Keyer) Expect(fingerprints []Fingerprint) {
	select {
	case k.expected <- slices.Clone(fingerprints):
	default:
	}
}

// Close ends the association with a close_notify, if it was connected, and returns when the Keyer's goroutine has ended
// and nothing more is sent. Before Start it just forgets what was delivered.
func (k *Keyer) Close() error {
	k.mu.Lock()
	k.closed = true
	started := k.started
	k.mu.Unlock()
	k.inbox.closed.Store(true)
	if !started {
		k.state.Store(int32(StateClosed))
		return nil
	}
	k.cancel()
	<-k.done
	return nil
}

// Abandon is Close without a close_notify. It is for an association that another takes the place of: browsers that
// receive a close_notify for the old one end the new one too.
func (k *Keyer) Abandon() {
	k.silent.Store(true)
	k.Close()
}

// send is what pipes write to.
func (k *Keyer) send(datagram []byte) {
	if !k.silent.Load() {
		k.cfg.Send(oldestVersion(datagram))
	}
}

// oldestVersion writes DTLS 1.0 into the record header of a plain ClientHello, as other libraries do and RFC 5246 appendix
// E.1 advises: some far ends look at no hello of a version that they have not heard of. The handshake does not cover it.
func oldestVersion(datagram []byte) []byte {
	if isClientHello(datagram) {
		datagram = slices.Clone(datagram)
		datagram[1], datagram[2] = 0xfe, 0xff
	}
	return datagram
}

// run is the Keyer's goroutine, from Start to the end of ctx or of the association.
func (k *Keyer) run(ctx context.Context, role Role, fingerprints []Fingerprint) {
	defer close(k.done)
	defer k.cancel()
	defer k.inbox.closed.Store(true)

	conn, result := k.handshake(ctx, role, fingerprints)
	if result.Err != nil {
		if ctx.Err() != nil {
			result.Err = fmt.Errorf("%w: %w", ErrClosed, result.Err)
			k.state.Store(int32(StateClosed))
		} else {
			k.state.Store(int32(StateFailed))
		}
		k.cfg.OnResult(result)
		return
	}
	k.state.Store(int32(StateConnected))
	k.cfg.OnResult(result)

	err := errIdle
	for errors.Is(err, errIdle) {
		if err = k.watch(ctx, conn.Conn); errors.Is(err, errIdle) {
			conn, err = k.rest(ctx, conn)
		}
	}
	k.state.Store(int32(StateClosed))
	if conn.Conn != nil {
		conn.Close()
	}
	if k.cfg.OnClose != nil {
		k.cfg.OnClose(err)
	}
}

// handshake returns a connection exactly when the result has no error.
func (k *Keyer) handshake(ctx context.Context, role Role, fingerprints []Fingerprint) (conn connection, _ Result) {
	var head []byte
	if role == Server {
		// A client may come late: it waits for its own signalling. Until it does, there is nothing but this goroutine.
		for !isClientHello(head) {
			select {
			case head = <-k.inbox.queue:
			case <-ctx.Done():
				return conn, Result{Err: fmt.Errorf("no client: %w", ctx.Err())}
			}
		}
		k.state.Store(int32(StateHandshake))
	}
	limit, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	expiry := time.AfterFunc(k.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer expiry.Stop()
	if k.gate != nil {
		expiry.Stop()
		if begin := func() { expiry.Reset(k.cfg.Timeout) }; !k.gate.hold(begin) {
			begin()
		}
	}

	var certificate []byte
	verify := func(certificates [][]byte, _ [][]*x509.Certificate) error {
		if len(certificates) == 0 {
			return ErrFingerprint
		}
		certificate = certificates[0]
		if len(fingerprints) > 0 && match(certificate, fingerprints) == "" {
			return ErrFingerprint
		}
		return nil
	}
	conn, err := k.connect(role, head, verify)
	if err != nil {
		return conn, Result{Err: err}
	}
	if err := conn.HandshakeContext(limit); err != nil {
		conn.Close()
		if cause := context.Cause(limit); errors.Is(cause, context.DeadlineExceeded) {
			err = cause
		}
		return conn, Result{Err: fmt.Errorf("handshake as %s: %w", role, err)}
	}
	result, err := export(conn.Conn, role)
	if err == nil && len(fingerprints) == 0 {
		select {
		case fingerprints = <-k.expected:
		case <-ctx.Done():
			err = fmt.Errorf("no fingerprint: %w", ctx.Err())
		}
	}
	var hash string
	if err == nil && certificate != nil {
		hash = match(certificate, fingerprints)
	}
	if err == nil && hash == "" {
		err = ErrFingerprint // another one, or none was looked at
	}
	if err != nil {
		conn.Close()
		return conn, Result{Err: err}
	}
	result.RemoteFingerprintHash = hash
	return conn, result
}

// errIdle ends a watch: nothing was heard for restAfter.
var errIdle = errors.New("dtls: idle")

// watch reads until the association ends or is idle and says which. Peers of media send no application data; what comes
// is dropped.
func (k *Keyer) watch(ctx context.Context, conn *pion.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	k.heard.Store(time.Now().UnixNano())
	for {
		idleAt := time.Unix(0, k.heard.Load()).Add(restAfter)
		if !time.Now().Before(idleAt) {
			return errIdle
		}
		conn.SetReadDeadline(idleAt)
		if ctx.Err() != nil { // after SetReadDeadline, which would undo what stop's function did
			return ErrClosed
		}
		var b [1]byte
		switch _, err := conn.Read(b[:]); {
		case ctx.Err() != nil:
			return ErrClosed
		case errors.Is(err, io.EOF), errors.Is(err, pion.ErrConnClosed):
			return ErrPeerClosed
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			k.cfg.Logger.Debug("dtls record dropped", "error", err)
		}
	}
}

// rest gives up the library's connection until a datagram arrives or ctx ends, and then brings it back: errIdle, go on
// watching, or ErrClosed. Nothing leaves the old connection once its state is taken, so no record number is used twice.
func (k *Keyer) rest(ctx context.Context, conn connection) (connection, error) {
	conn.pipe.silence()
	state, ok := conn.ConnectionState()
	conn.Close()
	if !ok {
		return connection{}, ErrPeerClosed
	}
	err := errIdle
	var head []byte
	select {
	case head = <-k.inbox.queue:
	case <-ctx.Done():
		err = ErrClosed
	}
	conn, resumeErr := k.resume(&state, head)
	if resumeErr != nil {
		k.cfg.Logger.Debug("dtls resume", "error", resumeErr)
		if errors.Is(err, errIdle) {
			err = ErrPeerClosed // as good as gone: we can hear it no more
		}
		return connection{}, err
	}
	return conn, err
}
