package relay

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"rtpsidecar/relay/srtp"
)

// recvKeys is the protection of what a component receives; nil where that is plain. It belongs to the worker.
type recvKeys struct {
	ctx *srtp.Context // nil: the keys are still to come, and nothing is understood
}

// sendKeys is the protection of what a component sends; nil where that is plain. Several workers may send.
type sendKeys struct {
	mu  sync.Mutex
	ctx *srtp.Context // nil: the keys are still to come, and nothing may be sent

	// The newest RTP packet that came before the keys. It goes out with them: a phone's next one is up to 20 ms away.
	held   []byte
	heldAt time.Time
}

// holdLimit is how old a packet may be when the keys come. Media of a source that has paused since would only mislead the
// far side's jitter buffer.
const holdLimit = 60 * time.Millisecond

// hold keeps a copy of b until there are keys.
func (k *sendKeys) hold(b []byte, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cap(k.held) < len(b)+Tailroom {
		k.held = make([]byte, 0, len(b)+Tailroom)
	}
	k.held, k.heldAt = append(k.held[:0], b...), now
}

// take hands the held packet over; nil: there is none, or it is old.
func (k *sendKeys) take(now time.Time) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.held
	k.held = nil
	if now.Sub(k.heldAt) > holdLimit {
		return nil
	}
	return b
}

// errNoKeys: protected packets came before the keys.
var errNoKeys = errors.New("no keys yet")

// unprotect works in place. Beyond errNoKeys its errors are those of package srtp.
func (k *recvKeys) unprotect(b []byte, rtcp bool) ([]byte, error) {
	switch {
	case k.ctx == nil:
		return nil, errNoKeys
	case rtcp:
		return k.ctx.UnprotectRTCP(b)
	}
	return k.ctx.UnprotectRTP(b)
}

// protect works in place and in the capacity of b. False: b cannot be sent.
func (k *sendKeys) protect(b []byte, rtcp bool) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx == nil {
		return nil, false
	}
	var err error
	if rtcp {
		b, err = k.ctx.ProtectRTCP(b)
	} else {
		b, err = k.ctx.ProtectRTP(b)
	}
	return b, err == nil
}

// sdesKeys are the contexts of the SDES keys applied last. They outlive a time without SDES: starting a known key with
// a new rollover counter would use its key stream twice.
type sdesKeys struct {
	recv *recvKeys
	send *sendKeys
}

// next makes the contexts for s, keeping those whose key is unchanged.
func (k *sdesKeys) next(s *SDES) (sdesKeys, error) {
	n := *k
	if s == nil {
		return n, nil
	}
	if s.Recv.Suite != nil && (k.recv == nil || !k.recv.ctx.Params().Equal(s.Recv)) {
		ctx, err := srtp.New(s.Recv)
		if err != nil {
			return *k, fmt.Errorf("receive key: %w", err)
		}
		n.recv = &recvKeys{ctx: ctx}
	}
	if s.Send.Suite != nil && (k.send == nil || !k.send.ctx.Params().Equal(s.Send)) {
		ctx, err := srtp.New(s.Send)
		if err != nil {
			return *k, fmt.Errorf("send key: %w", err)
		}
		n.send = &sendKeys{ctx: ctx}
	}
	return n, nil
}

// secure gives both components the protection that s asks for. With SDES they share the contexts, so that indices go on
// when RTCP moves between them. With DTLS each waits for its own. t.mu is held.
func (t *Transport) secure(s *Settings) {
	for i := range t.comps {
		c := &t.comps[i]
		switch {
		case s.DTLS != nil:
			if t.applied.DTLS == nil || t.gen == 0 {
				c.recv.Store(&recvKeys{})
				c.sendKeys.Store(&sendKeys{})
			}
		case s.SDES != nil:
			var recv *recvKeys
			var send *sendKeys
			if s.SDES.Recv.Suite != nil {
				recv = t.sdes.recv
			}
			if s.SDES.Send.Suite != nil {
				send = t.sdes.send
			}
			c.recv.Store(recv)
			c.sendKeys.Store(send)
		default:
			c.recv.Store(nil)
			c.sendKeys.Store(nil)
		}
	}
}

// suite names the suite in use; "" for none.
func (c *component) suite() string {
	if k := c.recv.Load(); k != nil && k.ctx != nil {
		return k.ctx.Params().Suite.Name
	}
	if k := c.sendKeys.Load(); k != nil && k.ctx != nil {
		return k.ctx.Params().Suite.Name
	}
	return ""
}
