package rtpengine

import (
	"log/slog"
	"slices"
	"time"

	"rtpsidecar/sdp"
)

// Participant is one side of a call: one tag. Guarded by its call's mutex.
type Participant struct {
	Tag       string // "" until an answer names it
	Aliases   []string
	ViaBranch string
	Label     string
	Medias    []*Media // in the order of its m= lines

	call     *Call
	log      *slog.Logger
	id       int // position in the call, for tie breaking
	number   int // of "<untagged N>"
	created  time.Time
	deleted  bool
	deleteAt time.Time // zero: not doomed
	home     string    // the call-id it came under; another than the call's where calls were merged
	listener bool      // made by a subscription
	final    bool      // a final response named it: another to-tag is another party

	assoc []*Participant // parties it is in a dialogue with, most recent last

	// Where its media lives; remembered from the first request that said so.
	place   place
	bundle  bundleState
	doubles map[int]doubled // by section, counted from 0; never changed in place

	in   *sdp.Session // its last SDP
	said string       // the text of in, as received; "" where it came another way
	out  printed      // what we printed to it last

	metadata  string
	dtmf      dtmfGate
	blocked   bool // block media
	silenced  bool // silence media
	forwarded bool // start forwarding
	noShort   bool // block-short; once said it holds, as observed
}

// name is the key of the party in a query reply.
func (p *Participant) name() string {
	if p.Tag != "" {
		return p.Tag
	}
	return untaggedName(p.number)
}

// logger carries callid and tag.
func (p *Participant) logger() *slog.Logger {
	if p.log != nil {
		return p.log
	}
	return p.call.log
}

// associate makes p and o partners, most recent last.
func (p *Participant) associate(o *Participant) {
	p.dissociate(o)
	p.assoc = append(p.assoc, o)
	o.dissociate(p)
	o.assoc = append(o.assoc, p)
}

// dissociate forgets o on p's side.
func (p *Participant) dissociate(o *Participant) {
	p.assoc = slices.DeleteFunc(p.assoc, func(x *Participant) bool { return x == o })
}

// latest is the most recent partner that f accepts, nil when there is none.
func (p *Participant) latest(f func(*Participant) bool) *Participant {
	for _, o := range slices.Backward(p.assoc) {
		if f(o) {
			return o
		}
	}
	return nil
}

// answered tells whether p's own SDP has been seen.
func (p *Participant) answered() bool { return p.in != nil }

// media is p's section number i, counted from 0, made when it is not there yet.
func (p *Participant) media(i int, kind string) *Media {
	for len(p.Medias) <= i {
		c := p.call
		c.nextMediaID++
		p.Medias = append(p.Medias, &Media{party: p, Index: len(p.Medias) + 1, id: c.nextMediaID, Type: kind})
	}
	return p.Medias[i]
}

// revive brings a deleted party back: its tag signals again.
func (p *Participant) revive() { p.deleted, p.deleteAt = false, time.Time{} }

// hasBranches tells whether p's partners are told apart by Via branches.
func (p *Participant) hasBranches() bool {
	return slices.ContainsFunc(p.assoc, func(o *Participant) bool { return o.ViaBranch != "" })
}

// offered tells whether an offer was made to p.
func (p *Participant) offered() bool {
	return slices.ContainsFunc(p.Medias, func(m *Media) bool { return m.leg.Told && !m.leg.Seen || m.leg.Shown != nil })
}

// offerAgain makes the offer that p's last partner got count as made to o too: a proxy sent the same body to several
// phones, and this is another of them. o takes over the ports that the body names.
func (p *Participant) offerAgain(o *Participant) {
	prev := p.latest(func(x *Participant) bool { return x != o })
	if prev == nil {
		return
	}
	o.place, o.doubles = prev.place, prev.doubles
	for i, m := range prev.Medias {
		n := o.media(i, m.Type)
		n.leg = m.leg
		n.leg.forget()
		n.local, m.local = m.local, nil
		n.bundle = nil
		if m.bundle != nil {
			n.bundle = o.media(m.bundle.Index-1, m.bundle.Type)
		}
		for _, s := range m.sources {
			if s.offerAnswer && s.from.party == p {
				linkBoth(s.from, n)
				break
			}
		}
	}
}
