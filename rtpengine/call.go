package rtpengine

import (
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/prefetch"
)

// Call is one call-id with its participants. mu is held for one command at a time and guards everything that hangs
// off the call: participants, media, subscriptions. It is never held while waiting for the network or another call.
type Call struct {
	ID string

	engine   *Engine
	log      *slog.Logger
	affinity uint64 // both legs of a call run on one relay worker
	created  time.Time
	proxy    string // who created it

	mu           sync.Mutex
	dead         bool     // taken out of the table; whoever waited for mu must look again
	ids          []string // under which the table has it: its own, and those of calls merged into it
	via          string   // the id by which the command under way found it
	lastSignal   time.Time
	deleteAt     time.Time // zero: not deleted
	participants []*Participant
	byTag        map[string]*Participant // tags and aliases
	metadata     string
	xmlrpc       string         // xmlrpc-callback
	dtmfLog      netip.AddrPort // DTMF-log-dest
	tos          int            // relay.Settings.TOS
	dropTraffic  bool
	generateRTCP bool
	learning     relay.Learning
	aliveUntil   time.Time // no timeout before
	look         *look     // for its engine's sweep; given back when it is dead
	sampled      time.Time // reception reports were taken
	signals      int       // offers and answers so far
	answers      int       // of these
	nextUntagged int
	nextMediaID  uint64
	quality      map[verdict]*quality
	gone         totals // counters of transports that were closed
	timeline     timeline
	debug        atomic.Bool // its log lines are wanted at every level

	// Of the sweep.
	looked    int // since a command
	footprint prefetch.Footprint
}

// totals are the query reply's sums.
type totals struct {
	RTP, RTCP relay.Counters
}

func newCall(e *Engine, id string, now time.Time) *Call {
	c := &Call{
		ID:       id,
		ids:      []string{id},
		via:      id,
		engine:   e,
		affinity: e.nextAffinity.Add(1),
		created:  now, lastSignal: now, sampled: now,
		byTag:    map[string]*Participant{},
		tos:      e.defaultTOS(),
		learning: e.cfg.EndpointLearning,
		quality:  map[verdict]*quality{},
	}
	c.look = e.looks.take(c)
	c.log = slog.New(callHandler{e.log.Handler(), []slog.Attr{slog.String("callid", id)}, &c.debug})
	return c
}

// die is the end of c, once: nothing is due any more, and whoever waits for c must look again.
func (c *Call) die() {
	c.dead = true
	c.engine.looks.give(c.look)
}

// participant is the party with this tag or alias, nil when there is none.
func (c *Call) participant(tag string) *Participant {
	if tag == "" {
		return nil
	}
	return c.byTag[tag]
}

// addParticipant makes a party; tag may be empty: then it waits for an answer to name it.
func (c *Call) addParticipant(tag string, now time.Time) *Participant {
	p := &Participant{call: c, home: c.via, created: now, number: c.nextUntagged, id: c.nextUntagged}
	c.nextUntagged++
	c.participants = append(c.participants, p)
	if tag != "" {
		c.nameParticipant(p, tag)
	}
	return p
}

// nameParticipant gives p its tag. An earlier tag becomes an alias.
func (c *Call) nameParticipant(p *Participant, tag string) {
	if p.Tag != "" && p.Tag != tag {
		p.Aliases = append(p.Aliases, p.Tag)
	}
	p.Tag = tag
	p.log = c.log.With("tag", tag)
	c.byTag[tag] = p
}

// dropParticipant closes p's media and takes it out of the call's look-ups; it stays visible in query.
func (c *Call) dropParticipant(p *Participant) {
	for _, m := range p.Medias {
		m.unlinkAll()
		m.release()
	}
	for _, o := range p.assoc {
		o.dissociate(p)
	}
	p.assoc = nil
	p.deleted = true
}

// alive are the parties that have not been deleted.
func (c *Call) alive() []*Participant {
	var ps []*Participant
	for _, p := range c.participants {
		if !p.deleted {
			ps = append(ps, p)
		}
	}
	return ps
}

// medias calls f for each media of each party.
func (c *Call) medias(f func(*Media)) {
	for _, p := range c.participants {
		for _, m := range p.Medias {
			f(m)
		}
	}
}

// newTransportID numbers transports over the whole daemon; 0 is never used.
func (e *Engine) newTransportID() uint64 { return e.nextTransport.Add(1) }

// untaggedName is how query shows a party without a tag.
func untaggedName(n int) string { return "<untagged " + strconv.Itoa(n) + ">" }

// save keeps c beyond the process, unless the request wants to spare the store.
func (c *Call) save(f *Flags) {
	if !f.NoRedisUpdate {
		c.engine.store.Save(c)
	}
}

// follow takes the wishes of a request that are about the whole call.
func (c *Call) follow(f *Flags) {
	if f.Learning != nil {
		c.learning = *f.Learning
	}
	switch {
	case !f.TOS.Set || f.TOS.Value > 255:
		c.tos = c.engine.defaultTOS()
	case f.TOS.Value < 0:
		c.tos = -1
	default:
		c.tos = f.TOS.Value
	}
	if f.DropTraffic != Unset {
		c.dropTraffic = f.DropTraffic == On
	}
	if f.GenerateRTCP != Unset {
		c.generateRTCP = f.GenerateRTCP == On
	}
	if f.Metadata != "" {
		c.metadata = f.Metadata
	}
	if f.DTMFLog.IsValid() {
		c.dtmfLog = f.DTMFLog
	}
	if f.XMLRPCCallback != "" {
		c.xmlrpc = f.XMLRPCCallback
	}
}
