package phone

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/ghettovoice/gosip/sip"

	"rtpsidecar/cmd/sidecar-lab/media"
)

// Dialog is one call.
type Dialog struct {
	CallID  string
	Peer    string        // the other side's address
	Ringing time.Duration // from INVITE to the first 180 or 183; zero: none came
	Setup   time.Duration // from INVITE to 200

	phone  *Phone
	end    media.End
	begun  time.Time
	failed error

	mu            sync.Mutex
	invite        sip.Request // as sent or received
	reply         sip.Response
	local, remote sip.Header // From and To as in our requests
	target        sip.Uri
	routes        []sip.Uri
	seq           uint
	localBody     string
	ended         chan struct{}
	over          bool
}

// onReply notes progress of our INVITE and acknowledges success, each time it comes (RFC 3261 section 13.2.2.4).
func (d *Dialog) onReply(res sip.Response, req sip.Request) {
	switch status := res.StatusCode(); {
	case status == 180 || status == 183:
		if d.Ringing == 0 {
			d.Ringing = time.Since(d.begun)
		}
	case res.IsSuccess():
		_ = d.phone.server.Send(sip.NewAckRequest("", req, res, "", nil)) // a lost ACK is asked for again
	}
}

// fromReply makes the dialog of a caller, RFC 3261 section 12.1.2.
func (d *Dialog) fromReply(req sip.Request, res sip.Response) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.invite, d.reply = req, res
	from, _ := res.From()
	to, _ := res.To()
	d.local, d.remote = from, to
	if cseq, ok := res.CSeq(); ok {
		d.seq = uint(cseq.SeqNo)
	}
	d.target = req.Recipient()
	if c, ok := res.Contact(); ok {
		d.target = c.Address
	}
	d.routes = recordRoutes(res)
	for i, j := 0, len(d.routes)-1; i < j; i, j = i+1, j-1 {
		d.routes[i], d.routes[j] = d.routes[j], d.routes[i]
	}
}

func recordRoutes(msg sip.Message) (uris []sip.Uri) {
	for _, h := range msg.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			uris = append(uris, rr.Addresses...)
		}
	}
	return uris
}

// Done is closed when the other side has hung up.
func (d *Dialog) Done() <-chan struct{} { return d.ended }

// finish marks the call as over; false if it was.
func (d *Dialog) finish() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return false
	}
	d.over = true
	close(d.ended)
	return true
}

// Hangup sends BYE, unless the other side has, and waits for the reply.
func (d *Dialog) Hangup(ctx context.Context) error {
	defer d.phone.forget(d)
	if !d.finish() {
		return nil
	}
	d.mu.Lock()
	d.seq++
	headers := []sip.Header{sip.ViaHeader{&sip.ViaHop{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: d.phone.link.network,
		Params: sip.NewParams().Add("branch", sip.String{Str: sip.GenerateBranch()})}}}
	if len(d.routes) > 0 {
		headers = append(headers, &sip.RouteHeader{Addresses: d.routes})
	}
	id, max := sip.CallID(d.CallID), sip.MaxForwards(70)
	headers = append(headers, d.local, d.remote, &id, &sip.CSeq{SeqNo: uint32(d.seq), MethodName: sip.BYE}, &max)
	req := sip.NewRequest("", sip.BYE, d.target, "SIP/2.0", headers, "", nil)
	d.mu.Unlock()
	req.SetBody("", true)
	_, err := d.phone.request(ctx, req)
	return err
}

// onInvite takes a call, or a re-INVITE inside one.
func (p *Phone) onInvite(req sip.Request, tx sip.ServerTransaction) {
	id := ""
	if h, ok := req.CallID(); ok {
		id = h.Value()
	}
	p.mu.Lock()
	current, accept := p.dialog, p.accept
	p.mu.Unlock()
	switch {
	case current != nil && current.CallID == id:
		p.reinvite(current, req)
	case current != nil || accept == nil:
		p.respond(req, 486, "Busy Here", "")
	default:
		p.take(req, tx, accept)
	}
}

// respond sends a reply; what is lost is asked for again.
func (p *Phone) respond(req sip.Request, status sip.StatusCode, reason, body string) {
	res := sip.NewResponseFromRequest("", req, status, reason, "")
	if to, ok := res.To(); ok && status > 100 && to.Params != nil && !to.Params.Has("tag") {
		to.Params.Add("tag", sip.String{Str: p.user})
	}
	if body != "" {
		kind := sip.ContentType("application/sdp")
		res.AppendHeader(&kind)
	}
	if status < 300 {
		res.AppendHeader(&sip.ContactHeader{Address: p.contact.Clone().(sip.ContactUri)})
	}
	res.SetBody(body, true)
	_, _ = p.server.Respond(res)
}

// take answers a call.
func (p *Phone) take(req sip.Request, tx sip.ServerTransaction, accept func() (media.End, error)) {
	d := &Dialog{phone: p, ended: make(chan struct{}), begun: time.Now()}
	if id, ok := req.CallID(); ok {
		d.CallID = id.Value()
	}
	if from, ok := req.From(); ok {
		d.Peer = from.Address.String()
	}
	p.mu.Lock()
	p.dialog = d
	p.mu.Unlock()
	p.respond(req, 180, "Ringing", "")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	end, err := accept()
	if err == nil {
		d.end = end
		d.localBody, err = end.Answer(ctx, req.Body())
	}
	if err != nil {
		p.respond(req, 488, "Not Acceptable Here", "")
		p.forget(d)
		d.failed = errors.Join(errors.New("the call was refused"), err)
		d.finish()
		p.incoming <- d
		return
	}
	select {
	case <-tx.Cancels():
		p.forget(d)
		d.failed = errors.New("the caller gave up")
		d.finish()
		p.incoming <- d
		return
	default:
	}
	d.fromRequest(req, p.user)
	p.respond(req, 200, "OK", d.localBody)
	d.Setup = time.Since(d.begun)
	p.incoming <- d
}

// fromRequest makes the dialog of a callee, RFC 3261 section 12.1.1.
func (d *Dialog) fromRequest(req sip.Request, tag string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.invite = req
	to, _ := req.To()
	from, _ := req.From()
	own := to.Clone().(*sip.ToHeader)
	if own.Params == nil {
		own.Params = sip.NewParams()
	}
	if !own.Params.Has("tag") {
		own.Params.Add("tag", sip.String{Str: tag})
	}
	d.local = &sip.FromHeader{DisplayName: own.DisplayName, Address: own.Address, Params: own.Params}
	d.remote = &sip.ToHeader{DisplayName: from.DisplayName, Address: from.Address, Params: from.Params}
	d.target = from.Address
	if c, ok := req.Contact(); ok {
		d.target = c.Address
	}
	d.routes = recordRoutes(req)
}

// reinvite answers a new offer inside the call; one without a body gets ours again.
func (p *Phone) reinvite(d *Dialog, req sip.Request) {
	body := d.localBody
	if offer := strings.TrimSpace(req.Body()); offer != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		answer, err := d.end.Answer(ctx, req.Body())
		if err != nil {
			p.respond(req, 488, "Not Acceptable Here", "")
			return
		}
		body = answer
	}
	d.mu.Lock()
	d.localBody = body
	d.mu.Unlock()
	p.respond(req, 200, "OK", body)
}

func (p *Phone) onBye(req sip.Request, _ sip.ServerTransaction) {
	p.mu.Lock()
	d := p.dialog
	p.mu.Unlock()
	id, _ := req.CallID()
	if d == nil || id == nil || id.Value() != d.CallID {
		p.respond(req, 481, "Call/Transaction Does Not Exist", "")
		return
	}
	p.respond(req, 200, "OK", "")
	d.finish()
	p.forget(d)
}

func (p *Phone) onOptions(req sip.Request, _ sip.ServerTransaction) { p.respond(req, 200, "OK", "") }
