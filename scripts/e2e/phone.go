package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lab "rtpsidecar/scripts/webrtclab"
)

// account is somebody who can register.
type account struct{ user, domain, password string }

func (a account) aor() string { return "sip:" + a.user + "@" + a.domain }

// phone is a plain SIP telephone over UDP in the lab's phone network, with one line of media. Its methods wait for what
// they name and give it up with the context; everything else that arrives stays for who asks for it.
type phone struct {
	account
	media *lab.Phone
	conn  *net.UDPConn
	proxy netip.AddrPort

	mu      sync.Mutex
	inbox   []*message
	arrived chan struct{} // closed and replaced when the inbox grows
	answers map[string]string
	silent  bool // it answers nothing and hears nothing
	done    sync.WaitGroup
}

// deaf makes the phone behave as if its line were cut; hearing ends that.
func (p *phone) deaf()    { p.mu.Lock(); p.silent = true; p.mu.Unlock() }
func (p *phone) hearing() { p.mu.Lock(); p.silent = false; p.mu.Unlock() }

var numbers atomic.Uint64

func unique() string { return fmt.Sprintf("e2e%d.%d", time.Now().UnixNano(), numbers.Add(1)) }

// newPhone opens a telephone that speaks to the proxy at this address, of the same family, from this port; 0 is any.
func newPhone(proxy netip.AddrPort, a account, port uint16) (*phone, error) {
	six := proxy.Addr().Is6()
	media, err := lab.NewPhone(six)
	if err != nil {
		return nil, err
	}
	conn, err := lab.ListenPhone(netip.AddrPortFrom(media.Addr.Addr(), port))
	if err != nil {
		media.Close()
		return nil, err
	}
	p := &phone{account: a, media: media, conn: conn, proxy: proxy, arrived: make(chan struct{}), answers: map[string]string{}}
	p.done.Go(p.read)
	return p, nil
}

func (p *phone) close() {
	_ = p.conn.Close()
	p.done.Wait()
	p.media.Close()
}

// read ends with the socket. A repeated request gets its last answer again and is not handed on.
func (p *phone) read() {
	buf := make([]byte, 65536)
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			return
		}
		m, ok := parseMessage(buf[:n])
		if !ok {
			continue // a keepalive
		}
		key := m.get("Via") + m.get("CSeq")
		p.mu.Lock()
		if p.silent {
			p.mu.Unlock()
			continue
		}
		answer, repeated := p.answers[key]
		switch {
		case m.code() != 0:
		case repeated && m.method() != "ACK":
			if answer != "" {
				_, _ = p.conn.WriteToUDPAddrPort([]byte(answer), p.proxy)
			}
			p.mu.Unlock()
			continue
		case m.method() == "OPTIONS": // a keepalive too
			p.mu.Unlock()
			_, _ = p.conn.WriteToUDPAddrPort([]byte(reply(m, 200, "OK").String()), p.proxy)
			continue
		case m.method() == "BYE": // answered at once; the other side may wait for it
			ok := reply(m, 200, "OK").String()
			p.answers[key] = ok
			_, _ = p.conn.WriteToUDPAddrPort([]byte(ok), p.proxy)
		default:
			p.answers[key] = ""
		}
		p.inbox = append(p.inbox, m)
		close(p.arrived)
		p.arrived = make(chan struct{})
		p.mu.Unlock()
	}
}

// patience is how long a phone waits for a message.
const patience = 10 * time.Second

// await takes the first message that match likes out of the inbox.
func (p *phone) await(ctx context.Context, what string, match func(*message) bool) (*message, error) {
	return p.awaitFor(ctx, patience, what, match)
}

func (p *phone) awaitFor(ctx context.Context, limit time.Duration, what string, match func(*message) bool) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		p.mu.Lock()
		for i, m := range p.inbox {
			if match(m) {
				p.inbox = append(p.inbox[:i], p.inbox[i+1:]...)
				p.mu.Unlock()
				return m, nil
			}
		}
		arrived := p.arrived
		p.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			var have []string
			for _, m := range p.inbox {
				have = append(have, m.start+" ("+m.get("CSeq")+")")
			}
			return nil, fmt.Errorf("%s waits for %s: %w; it has %q", p.user, what, ctx.Err(), have)
		}
	}
}

// request is a message out of a dialog, from this phone.
func (p *phone) request(method, target, callID, fromTag, to string, cseq int) *message {
	m := &message{start: method + " " + target + " SIP/2.0"}
	me := p.conn.LocalAddr().String()
	m.add("Via", "SIP/2.0/UDP "+me+";rport;branch=z9hG4bK"+unique())
	m.add("From", "<"+p.aor()+">;tag="+fromTag)
	m.add("To", to)
	m.add("Call-ID", callID)
	m.add("CSeq", fmt.Sprint(cseq, " ", method))
	m.add("Max-Forwards", "70")
	m.add("Contact", "<sip:"+p.user+"@"+me+">")
	return m
}

func (p *phone) send(m *message) error {
	_, err := p.conn.WriteToUDPAddrPort([]byte(m.String()), p.proxy)
	return err
}

// reply is a response with the headers that it must copy.
func reply(req *message, code int, reason string) *message {
	m := &message{start: fmt.Sprintf("SIP/2.0 %d %s", code, reason)}
	for _, h := range req.headers {
		switch strings.ToLower(h.name) {
		case "via", "from", "to", "call-id", "cseq", "record-route":
			m.headers = append(m.headers, h)
		}
	}
	return m
}

// register registers for ten minutes, with credentials if they are asked for, and returns the final code.
func (p *phone) register(ctx context.Context, expires int) (int, error) {
	callID, tag := unique(), unique()
	for cseq, challenge := 1, ""; ; cseq++ {
		m := p.request("REGISTER", "sip:"+p.domain, callID, tag, "<"+p.aor()+">", cseq)
		m.add("Expires", fmt.Sprint(expires))
		if challenge != "" {
			m.add("Authorization", credentials(challenge, "REGISTER", "sip:"+p.domain, p.user, p.password))
		}
		if err := p.send(m); err != nil {
			return 0, err
		}
		r, err := p.await(ctx, "the answer to REGISTER", finalFor(callID, cseq))
		if err != nil {
			return 0, err
		}
		if r.code() != 401 || p.password == "" || challenge != "" {
			return r.code(), nil
		}
		challenge = r.get("WWW-Authenticate")
	}
}

// responseFor matches responses to one request; final ones if least is 200.
func responseFor(callID string, cseq, least int) func(*message) bool {
	return func(m *message) bool {
		n, _, _ := strings.Cut(m.get("CSeq"), " ")
		return m.code() >= least && m.get("Call-ID") == callID && n == fmt.Sprint(cseq) && m.method() != "CANCEL"
	}
}

func finalFor(callID string, cseq int) func(*message) bool { return responseFor(callID, cseq, 200) }
