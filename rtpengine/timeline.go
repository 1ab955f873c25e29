package rtpengine

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// Moment is one entry of a call's timeline.
type Moment struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`            // offer, answer, ice, dtls, media, command, error, end
	Party string    `json:"party,omitempty"` // tag
	Media int       `json:"media,omitempty"` // 1-based section; 0: all
	Text  string    `json:"text"`
}

// timelineLen is how many entries of a call are kept. Its first quarter stays whatever follows: how a call began
// explains most of what is wrong with it.
const timelineLen = 64

// timeline is a bounded list of moments. Nothing is written to it for packets.
type timeline struct {
	mu      sync.Mutex
	list    []moment
	dropped int
}

// moment is a Moment whose party may still get its name, and whose text may still have to be written.
type moment struct {
	Moment
	party *Participant
	said  *exchanged // nil: Text is the text
}

func (t *timeline) add(m moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) < timelineLen {
		if t.list == nil {
			t.list = make([]moment, 0, 4) // the entries of a call's beginning
		}
		t.list = append(t.list, m)
		return
	}
	copy(t.list[timelineLen/4:], t.list[timelineLen/4+1:])
	t.list[timelineLen-1] = m
	t.dropped++
}

// moments is a copy. Where some were dropped, one says so. The call is locked.
func (t *timeline) moments() []Moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Moment, 0, len(t.list)+1)
	for i, m := range t.list {
		if i == timelineLen/4 && t.dropped > 0 {
			out = append(out, Moment{At: m.At, Kind: "gap", Text: strconv.Itoa(t.dropped) + " entries are not kept"})
		}
		if m.party != nil {
			m.Party = m.party.name()
		}
		if m.said != nil {
			m.Text = m.said.text()
		}
		out = append(out, m.Moment)
	}
	return out
}

// note adds an entry about a party, which may be nil, and a section, which may be 0.
func (c *Call) note(kind string, p *Participant, media int, text string) {
	c.timeline.add(moment{Moment: Moment{At: c.engine.now(), Kind: kind, Media: media, Text: text}, party: p})
}

// noteSDP enters an offer or answer that from made to to; err is why it was not served.
func (c *Call) noteSDP(kind string, from, to *Participant, err error) {
	if err != nil {
		c.note("error", from, 0, kind+" to "+to.name()+" not served: "+err.Error())
		return
	}
	said := &exchanged{kind: kind, to: to}
	for _, m := range from.Medias {
		x := section{kind: m.Type, leg: m.brief()}
		for _, o := range to.Medias {
			if m.peerIn(to) == o {
				l := &o.leg
				x.shown, x.refused = true, l.Rejected
				x.protocol, x.at = first(l.Protocol.String(), l.ProtoText), o.advertised()
			}
		}
		said.sections = append(said.sections, x)
	}
	c.timeline.add(moment{Moment: Moment{At: c.engine.now(), Kind: kind}, party: from, said: said})
}

// exchanged is an offer or answer in the timeline. It becomes text when somebody looks.
type exchanged struct {
	kind     string
	to       *Participant
	sections []section
}

// section is what one section of a body said, and what the other side was shown of it.
type section struct {
	kind string
	leg  briefLeg

	shown, refused bool // refused: with port 0
	protocol       string
	at             netip.AddrPort
}

// briefLeg is the part of a leg that the timeline tells.
type briefLeg struct {
	protocol   string
	remote     netip.AddrPort
	codec      string
	dir        sdp.Direction
	rejected   bool
	seen       bool
	candidates int // -1: no ICE
}

func (m *Media) brief() briefLeg {
	l := &m.leg
	b := briefLeg{
		protocol: first(l.Protocol.String(), l.ProtoText), remote: l.Remote[relay.RTP],
		dir: l.Dir, rejected: l.Rejected, seen: l.Seen, candidates: -1,
	}
	if len(l.Codecs) > 0 {
		b.codec = l.Codecs[0].Name
	}
	if l.ICE.On && l.In != nil && l.In.ICE.InUse() {
		b.candidates = len(l.In.ICE.Candidates)
	}
	return b
}

func (x *exchanged) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s", x.kind, x.to.name())
	for i := range x.sections {
		s := &x.sections[i]
		fmt.Fprintf(&b, "; %s %s", s.kind, s.leg.said())
		switch {
		case !s.shown:
		case s.refused:
			b.WriteString(", shown as refused")
		case !s.at.IsValid():
			fmt.Fprintf(&b, ", shown as %s", s.protocol)
		default:
			fmt.Fprintf(&b, ", shown as %s %s", s.protocol, s.at)
		}
	}
	return b.String()
}

// said is what the party said about the section, in short.
func (l *briefLeg) said() string {
	if l.rejected {
		return "refused (port 0)"
	}
	words := []string{l.protocol}
	if l.remote.IsValid() {
		words = append(words, "at "+l.remote.String())
	}
	if l.codec != "" {
		words = append(words, l.codec)
	}
	if l.seen {
		words = append(words, l.dir.String())
	}
	if l.candidates >= 0 {
		words = append(words, "ICE with "+count(l.candidates, "candidate"))
	}
	return strings.Join(words, " ")
}

// advertised is the address for RTP that m's party was shown; zero: none.
func (m *Media) advertised() netip.AddrPort {
	t := m.transport()
	if t == nil {
		return netip.AddrPort{}
	}
	locals := t.Locals()
	if len(locals) == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(locals[0].Advertised, locals[0].Ports[relay.RTP])
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// noteEvent enters what the relay reports.
func (o *portOwner) noteEvent(ev relay.Event) {
	kind, text := "media", ""
	part := ""
	if ev.Component == relay.RTCP {
		part = " (RTCP)"
	}
	switch ev.Kind {
	case relay.EventFirstPacket:
		text = "first packet" + part + " from " + ev.Detail
	case relay.EventConfirmed:
		text = "source" + part + " settled: " + ev.Detail
	case relay.EventICEConnected:
		kind, text = "ice", "ICE connected: "+strings.Replace(ev.Detail, " ", " to ", 1)
	case relay.EventICEFailed:
		kind, text = "error", "ICE failed: no candidate pair works"
	case relay.EventConsentLost:
		kind, text = "error", "ICE consent lost: "+ev.Detail+" no longer answers"
	case relay.EventDTLSConnected:
		kind, text = "dtls", "DTLS connected"+part+": "+ev.Detail
	case relay.EventDTLSFailed:
		kind, text = "error", "DTLS failed"+part+": "+ev.Detail
	}
	o.call.timeline.add(moment{Moment: Moment{At: ev.At, Kind: kind, Media: o.index, Text: text}, party: o.party})
}

// joinTimeline takes over what happened to other, whose parties have become c's; so will what comes. Both are locked.
func (c *Call) joinTimeline(other *Call) {
	c.medias(func(m *Media) {
		for _, l := range slices.Concat([]*localPort{m.local}, m.spares) {
			if l != nil {
				l.owner.Store(&portOwner{m.party.logger(), m.Index, c, m.party})
			}
		}
	})
	other.timeline.mu.Lock()
	list := slices.Clone(other.timeline.list)
	other.timeline.mu.Unlock()
	c.timeline.mu.Lock()
	list = append(list, c.timeline.list...)
	c.timeline.list = nil
	c.timeline.mu.Unlock()
	slices.SortStableFunc(list, func(a, b moment) int { return a.At.Compare(b.At) })
	for _, m := range list {
		c.timeline.add(m)
	}
	c.note("command", nil, 0, "joined with call "+other.ID)
}
