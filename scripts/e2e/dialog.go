package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	lab "rtpsidecar/scripts/webrtclab"
)

// dialog is one call of a phone, as caller or callee.
type dialog struct {
	p             *phone
	callID        string
	local, remote string // From and To of requests that the phone sends, with tags
	target        string // remote target
	routes        []string
	cseq          int
	invite        *message // the INVITE at hand: sent, or received and to be answered
}

// sdp is the phone's body with this direction attribute.
func (p *phone) sdp(direction string) string {
	return strings.Replace(p.media.PhoneSDP(), "a=sendrecv", "a="+direction, 1)
}

// hear makes the phone send to where the body says.
func (p *phone) hear(body string) error {
	addr, err := lab.AudioAddr(body)
	if err == nil {
		p.media.Call(addr)
	}
	return err
}

// call sends an INVITE with this body, which may be empty, and answers one challenge.
func (p *phone) call(ctx context.Context, target, body string) (*dialog, error) {
	d := &dialog{p: p, callID: unique(), local: "<" + p.aor() + ">;tag=" + unique(), remote: "<" + target + ">", target: target}
	if err := d.sendInvite(body, ""); err != nil {
		return nil, err
	}
	if p.password == "" {
		return d, nil
	}
	r, err := p.await(ctx, "a challenge", responseFor(d.callID, d.cseq, 180))
	if err != nil {
		return nil, err
	}
	if r.code() != 407 {
		return nil, fmt.Errorf("%s: %s instead of a challenge", p.user, r.start)
	}
	if err := d.acknowledge(r, ""); err != nil {
		return nil, err
	}
	return d, d.sendInvite(body, r.get("Proxy-Authenticate"))
}

// request is a message inside the dialog.
func (d *dialog) request(method string, cseq int) *message {
	m := d.p.request(method, d.target, d.callID, "", d.remote, cseq)
	for i, h := range m.headers {
		if h.name == "From" {
			m.headers[i].value = d.local
		}
	}
	for _, r := range d.routes {
		m.add("Route", r)
	}
	return m
}

func (d *dialog) sendInvite(body, challenge string) error {
	d.cseq++
	m := d.request("INVITE", d.cseq)
	m.add("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS")
	if challenge != "" {
		m.add("Proxy-Authorization", credentials(challenge, "INVITE", d.target, d.p.user, d.p.password))
	}
	if name, value, ok := strings.Cut(d.p.extra, ":"); ok {
		m.add(name, strings.TrimSpace(value))
	}
	setBody(m, body)
	d.invite = m
	return d.p.send(m)
}

func setBody(m *message, body string) {
	if body != "" {
		m.add("Content-Type", "application/sdp")
		m.body = body
	}
}

// response waits for a response from this code up to the INVITE at hand; a 2xx also fixes the remote target and, the
// first time, the route set.
func (d *dialog) response(ctx context.Context, least int) (*message, error) {
	return d.responseWithin(ctx, least, patience)
}

// responseWithin is [dialog.response] with a patience of its own.
func (d *dialog) responseWithin(ctx context.Context, least int, limit time.Duration) (*message, error) {
	r, err := d.p.awaitFor(ctx, limit, fmt.Sprintf("%d or higher", least), responseFor(d.callID, d.cseq, least))
	if err != nil {
		return nil, err
	}
	if r.code() < 300 && r.tag("To") != "" {
		if d.routes == nil {
			d.routes = r.values("Record-Route")
			slices.Reverse(d.routes)
		}
		d.remote = r.get("To")
		if c := r.get("Contact"); c != "" {
			d.target = uri(c)
		}
	}
	return r, nil
}

// acknowledge sends the ACK, with a body if the response had the offer.
func (d *dialog) acknowledge(r *message, body string) error {
	var m *message
	if r.code() < 300 {
		m = d.request("ACK", d.cseq)
		setBody(m, body)
	} else { // part of the INVITE's transaction, RFC 3261 section 17.1.1.3
		m = &message{start: strings.Replace(d.invite.start, "INVITE", "ACK", 1)}
		for _, h := range d.invite.headers {
			switch h.name {
			case "Via", "From", "Call-ID", "Max-Forwards", "Route":
				m.headers = append(m.headers, h)
			}
		}
		m.add("To", r.get("To"))
		m.add("CSeq", fmt.Sprint(d.cseq, " ACK"))
	}
	return d.p.send(m)
}

// answered waits for 200, acknowledges it and makes the phone hear what it says.
func (d *dialog) answered(ctx context.Context) error {
	r, err := d.response(ctx, 200)
	if err != nil {
		return err
	}
	if err := d.acknowledge(r, ""); err != nil {
		return err
	}
	if r.code() != 200 {
		return fmt.Errorf("%s: %s", d.p.user, r.start)
	}
	return d.p.hear(r.body)
}

// reinvite renegotiates and returns the body of the answer.
func (d *dialog) reinvite(ctx context.Context, body string) (string, error) {
	if err := d.sendInvite(body, ""); err != nil {
		return "", err
	}
	r, err := d.response(ctx, 200)
	if err != nil {
		return "", err
	}
	if err := d.acknowledge(r, ""); err != nil {
		return "", err
	}
	if r.code() != 200 {
		return "", fmt.Errorf("%s: re-INVITE got %s", d.p.user, r.start)
	}
	return r.body, d.p.hear(r.body)
}

// prack acknowledges a reliable provisional response, RFC 3262, with this body, and waits for its 200.
func (d *dialog) prack(ctx context.Context, r *message, body string) error {
	invite := d.cseq
	d.cseq++
	m := d.request("PRACK", d.cseq)
	m.add("RAck", fmt.Sprintf("%s %d INVITE", r.get("RSeq"), invite))
	setBody(m, body)
	if err := d.p.send(m); err != nil {
		return err
	}
	ok, err := d.p.await(ctx, "the answer to PRACK", finalFor(d.callID, d.cseq))
	if err == nil && ok.code() != 200 {
		err = fmt.Errorf("%s: PRACK got %s", d.p.user, ok.start)
	}
	d.cseq = invite // responses to the INVITE still come
	return err
}

// progress answers the INVITE at hand with a reliable 183 and returns the PRACK for it, answered.
func (d *dialog) progress(ctx context.Context, body string) (*message, error) {
	m := reply(d.invite, 183, "Session Progress")
	for i, h := range m.headers {
		if h.name == "To" {
			m.headers[i].value = d.local
		}
	}
	m.add("Contact", d.p.contact())
	m.add("Require", "100rel")
	m.add("RSeq", "1")
	setBody(m, body)
	if err := d.p.send(m); err != nil {
		return nil, err
	}
	prack, err := d.requested(ctx, "PRACK")
	if err != nil {
		return nil, err
	}
	return prack, d.respond(prack, 200, "OK", "")
}

// update renegotiates with UPDATE and returns the body of the answer.
func (d *dialog) update(ctx context.Context, body string) (string, error) {
	d.cseq++
	m := d.request("UPDATE", d.cseq)
	setBody(m, body)
	if err := d.p.send(m); err != nil {
		return "", err
	}
	r, err := d.p.await(ctx, "the answer to UPDATE", finalFor(d.callID, d.cseq))
	if err != nil {
		return "", err
	}
	if r.code() != 200 {
		return "", fmt.Errorf("%s: UPDATE got %s", d.p.user, r.start)
	}
	return r.body, d.p.hear(r.body)
}

// cancel gives the call up before it is answered, and waits for the end of it.
func (d *dialog) cancel(ctx context.Context) error {
	m := &message{start: strings.Replace(d.invite.start, "INVITE", "CANCEL", 1)}
	for _, h := range d.invite.headers {
		switch h.name {
		case "Via", "From", "To", "Call-ID", "Max-Forwards", "Route":
			m.headers = append(m.headers, h)
		}
	}
	m.add("CSeq", fmt.Sprint(d.cseq, " CANCEL"))
	if err := d.p.send(m); err != nil {
		return err
	}
	r, err := d.response(ctx, 300)
	if err != nil {
		return err
	}
	if r.code() != 487 {
		return fmt.Errorf("%s: the cancelled call ended in %s", d.p.user, r.start)
	}
	return d.acknowledge(r, "")
}

// bye hangs up.
func (d *dialog) bye(ctx context.Context) error {
	d.cseq++
	if err := d.p.send(d.request("BYE", d.cseq)); err != nil {
		return err
	}
	r, err := d.p.await(ctx, "the answer to BYE", finalFor(d.callID, d.cseq))
	if err == nil && r.code() != 200 {
		err = fmt.Errorf("%s: BYE got %s", d.p.user, r.start)
	}
	return err
}

// called waits for an INVITE that begins a call.
func (p *phone) called(ctx context.Context) (*dialog, error) {
	m, err := p.await(ctx, "a call", isCall)
	if err != nil {
		return nil, err
	}
	return p.callee(m), nil
}

func isCall(m *message) bool { return m.code() == 0 && m.method() == "INVITE" && m.tag("To") == "" }

// callee is the dialog of an INVITE that came.
func (p *phone) callee(m *message) *dialog {
	return &dialog{
		p: p, callID: m.get("Call-ID"), local: m.get("To") + ";tag=" + unique(), remote: m.get("From"), target: uri(m.get("Contact")),
		routes: m.values("Record-Route"), invite: m,
	}
}

// respond answers the INVITE at hand, or another request of the dialog.
func (d *dialog) respond(req *message, code int, reason, body string) error {
	m := reply(req, code, reason)
	for i, h := range m.headers {
		if h.name == "To" && req.tag("To") == "" {
			m.headers[i].value = d.local
		}
	}
	m.add("Contact", d.p.contact())
	setBody(m, body)
	d.p.mu.Lock()
	d.p.answers[req.get("Via")+req.get("CSeq")] = m.String()
	d.p.mu.Unlock()
	return d.p.send(m)
}

// requested waits for a request of the other side in this dialog.
func (d *dialog) requested(ctx context.Context, method string) (*message, error) {
	return d.p.await(ctx, method, func(m *message) bool {
		return m.code() == 0 && m.method() == method && m.get("Call-ID") == d.callID
	})
}

// accept answers the INVITE at hand with 200 and waits for the ACK. Without a body in the INVITE this is the offer.
func (d *dialog) accept(ctx context.Context) error {
	if d.invite.body != "" {
		if err := d.p.hear(d.invite.body); err != nil {
			return err
		}
	}
	if err := d.respond(d.invite, 200, "OK", d.p.sdp("sendrecv")); err != nil {
		return err
	}
	ack, err := d.requested(ctx, "ACK")
	if err == nil && ack.body != "" {
		err = d.p.hear(ack.body)
	}
	return err
}

// accommodate answers the next re-INVITE or UPDATE with this direction and returns its body.
func (d *dialog) accommodate(ctx context.Context, method, direction string) (string, error) {
	m, err := d.requested(ctx, method)
	if err != nil {
		return "", err
	}
	if err := d.p.hear(m.body); err != nil {
		return "", err
	}
	if err := d.respond(m, 200, "OK", d.p.sdp(direction)); err != nil {
		return "", err
	}
	if method == "INVITE" {
		_, err = d.requested(ctx, "ACK")
	}
	return m.body, err
}

// hungUp waits for the other side's BYE.
func (d *dialog) hungUp(ctx context.Context) error {
	_, err := d.requested(ctx, "BYE")
	return err
}

// cancelled plays the callee's part of a CANCEL.
func (d *dialog) cancelled(ctx context.Context) error {
	m, err := d.requested(ctx, "CANCEL")
	if err != nil {
		return err
	}
	if err := d.respond(m, 200, "OK", ""); err != nil {
		return err
	}
	if err := d.respond(d.invite, 487, "Request Terminated", ""); err != nil {
		return err
	}
	_, err = d.requested(ctx, "ACK")
	return err
}
