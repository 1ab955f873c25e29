package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lab "rtpsidecar/scripts/webrtclab"
)

// account is somebody who can register.
type account struct{ user, domain, password string }

func (a account) aor() string { return "sip:" + a.user + "@" + a.domain }

// phone is a plain SIP telephone in the lab's phone network, over UDP, TCP or TLS, with one line of media. Its methods wait for what
// they name and give it up with the context; everything else that arrives stays for who asks for it.
type phone struct {
	account
	media     *lab.Phone
	conn      net.Conn // connected for TCP and TLS; a *net.UDPConn is not
	transport string   // udp, tcp or tls
	extra     string   // a header line of its INVITEs
	proxy     netip.AddrPort

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
	return startPhone(&phone{account: a, media: media, conn: conn, transport: "udp", proxy: proxy}), nil
}

// dialPhone is a telephone that has a connection to the proxy, over which it is called too.
func dialPhone(ctx context.Context, transport string, proxy netip.AddrPort, a account) (*phone, error) {
	media, err := lab.NewPhone(proxy.Addr().Is6())
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	tcp, err := lab.DialPhone(proxy)
	conn = tcp
	if err == nil && transport == "tls" {
		secure := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true}) // the lab's certificate is made for each run
		if err = secure.HandshakeContext(ctx); err != nil {
			_ = tcp.Close()
		}
		conn = secure
	}
	if err != nil {
		media.Close()
		return nil, err
	}
	return startPhone(&phone{account: a, media: media, conn: conn, transport: transport, proxy: proxy}), nil
}

func startPhone(p *phone) *phone {
	p.arrived, p.answers = make(chan struct{}), map[string]string{}
	p.done.Go(p.read)
	return p
}

// contact is the phone's address for others.
func (p *phone) contact() string {
	uri := "<sip:" + p.user + "@" + p.conn.LocalAddr().String()
	if p.transport != "udp" {
		uri += ";transport=" + p.transport
	}
	return uri + ">"
}

func (p *phone) write(text string) error {
	if udp, ok := p.conn.(*net.UDPConn); ok {
		_, err := udp.WriteToUDPAddrPort([]byte(text), p.proxy)
		return err
	}
	_, err := p.conn.Write([]byte(text))
	return err
}

func (p *phone) close() {
	_ = p.conn.Close()
	p.done.Wait()
	p.media.Close()
}

// read ends with the socket. A repeated request gets its last answer again and is not handed on.
func (p *phone) read() {
	next := p.datagrams()
	if p.transport != "udp" {
		next = p.stream()
	}
	for {
		text, err := next()
		if err != nil {
			return
		}
		m, ok := parseMessage(text)
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
				_ = p.write(answer)
			}
			p.mu.Unlock()
			continue
		case m.method() == "OPTIONS": // a keepalive too
			p.mu.Unlock()
			_ = p.write(reply(m, 200, "OK").String())
			continue
		case m.method() == "BYE": // answered at once; the other side may wait for it
			ok := reply(m, 200, "OK").String()
			p.answers[key] = ok
			_ = p.write(ok)
		default:
			p.answers[key] = ""
		}
		p.inbox = append(p.inbox, m)
		close(p.arrived)
		p.arrived = make(chan struct{})
		p.mu.Unlock()
	}
}

// datagrams and stream cut what arrives into messages; the bytes are valid until the next call.
func (p *phone) datagrams() func() ([]byte, error) {
	buf := make([]byte, 65536)
	return func() ([]byte, error) {
		n, err := p.conn.Read(buf)
		return buf[:n], err
	}
}

func (p *phone) stream() func() ([]byte, error) {
	r := bufio.NewReader(p.conn)
	return func() ([]byte, error) {
		var text []byte
		length := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil, err
			}
			text = append(text, line...)
			if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
					return nil, err
				}
			}
			if line == "\r\n" {
				break
			}
		}
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return append(text, body...), err
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
	m.add("Via", "SIP/2.0/"+strings.ToUpper(p.transport)+" "+me+";rport;branch=z9hG4bK"+unique())
	m.add("From", "<"+p.aor()+">;tag="+fromTag)
	m.add("To", to)
	m.add("Call-ID", callID)
	m.add("CSeq", fmt.Sprint(cseq, " ", method))
	m.add("Max-Forwards", "70")
	m.add("Contact", p.contact())
	return m
}

func (p *phone) send(m *message) error {
	return p.write(m.String())
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
