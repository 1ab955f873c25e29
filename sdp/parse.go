package sdp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads one SDP body. It ends at the first blank line. Lines may end in LF or CRLF and, after v=0, come in any
// order; o=, s= and t= may be missing. An empty body is a session without media. Errors are *LineError: no v=0 in
// front, a line that is not "letter=value", a second v=, o= or s=, and an o=, c= or m= line that cannot be read.
// An attribute that cannot be read, or stands where it means nothing, is left out of the model and listed in Skipped.
// A []byte is copied once; all strings of the session share that copy.
func Parse[T ~string | ~[]byte](text T) (*Session, error) {
	p := parser{lexer: lexer{rest: string(text)}}
	return p.parse()
}

type parser struct {
	lexer
	s      *Session
	m      *Media  // the open media section, nil before the first
	medias []Media // the block that media sections are taken from

	originSeen, nameSeen bool
	dir                  Direction // session level
	ice                  ICE
	setup                Setup
	fingerprints         []Fingerprint
	tlsID                string
	extmaps              []Extmap
	allowMixed           bool
	shared               int // bytes of the session lines that fold copies

	byPT [128]uint8 // index+1 into m.Codecs

	// See tail.
	rest, extra []Attribute
	strings     []string
	candidates  []Candidate
	conns       []Connection
	bandwidth   []Bandwidth
	allExtmaps  []Extmap
}

var (
	errMisplaced = errors.New("means something only in a media section")
	errNoPT      = errors.New("names a payload type that the media has not")
)

func (p *parser) parse() (*Session, error) {
	body := p.lexer.rest
	p.s = &Session{}
	lines := strings.Count(body, "\n")
	p.conns = make([]Connection, 0, 4)
	p.rest = make([]Attribute, 0, lines/6)
	p.strings = make([]string, 0, lines/3)
	if !p.next() {
		return p.s, nil
	}
	if v, ok := strings.CutPrefix(p.text, "v="); !ok || trim(v) != "0" {
		return nil, p.errorf("a body starts with v=0")
	}
	for p.next() {
		kind, value, ok := p.split()
		if !ok {
			return nil, p.errorf("not of the form letter=value")
		}
		var err error
		switch kind {
		case 'a':
			err = p.attribute(value)
			if err != nil {
				p.s.Skipped = append(p.s.Skipped, &LineError{Line: p.line, Text: p.text, Err: err})
				err = nil
			}
		case 'm':
			err = p.openMedia(value)
		default:
			err = p.plainLine(kind, value)
		}
		if err != nil {
			return nil, &LineError{Line: p.line, Text: p.text, Err: err}
		}
	}
	if len(p.s.Media)*p.shared > maxFolded {
		return nil, p.errorf("session attributes too long for %d media", len(p.s.Media))
	}
	p.fold()
	return p.s, nil
}

// plainLine reads every line but a= and m=. Session lines that stray into a media section still count for the session.
func (p *parser) plainLine(kind byte, value string) error {
	s := p.s
	switch kind {
	case 'v':
		return errors.New("a second v=")
	case 'o':
		if p.originSeen {
			return errors.New("a second o=")
		}
		p.originSeen = true
		return parseOrigin(&s.Origin, value)
	case 's':
		if p.nameSeen {
			return errors.New("a second s=")
		}
		p.nameSeen = true
		s.Name = value
	case 't':
		s.Timing = append(s.Timing, trim(value))
	case 'r', 'z', 'k': // repeat times, zones and the obsolete key line mean nothing to a call
	case 'u', 'e', 'p':
		s.Info = append(s.Info, p.text)
	case 'i':
		if p.m != nil {
			p.m.Title = value
		} else {
			s.Info = append(s.Info, p.text)
		}
	case 'c':
		c, err := ParseConnection(value)
		if err != nil {
			return err
		}
		if p.m != nil {
			p.m.Connections = tail(&p.conns, p.m.Connections, c)
		} else {
			s.Connection = &c
			p.shared += len(value)
		}
	case 'b':
		typ, v, _ := strings.Cut(trim(value), ":")
		b := Bandwidth{Type: typ, Value: v}
		if p.m != nil {
			p.m.Bandwidth = tail(&p.bandwidth, p.m.Bandwidth, b)
		} else {
			s.Bandwidth = tail(&p.bandwidth, s.Bandwidth, b)
		}
	default:
		if p.m != nil {
			p.m.Unknown = append(p.m.Unknown, p.text)
		} else {
			s.Unknown = append(s.Unknown, p.text)
		}
	}
	return nil
}

// parseOrigin reads an o= value. The last five words are what they should be; a user name with blanks in it, which
// some devices send, is what stands before them.
func parseOrigin(o *Origin, value string) error {
	value = trim(value)
	n := countFields(value)
	if n < 6 {
		return fmt.Errorf("o= has %d of 6 fields", n)
	}
	whole := value
	_, value = field(value)
	for ; n > 6; n-- {
		_, value = field(value)
	}
	o.Username = trim(whole[:len(whole)-len(value)])
	var family string
	o.SessionID, value = field(value)
	o.Version, value = field(value)
	_, value = field(value) // IN
	family, o.Address = field(value)
	o.Family = Family(family)
	if f, ok := parseFamily(family); ok {
		o.Family = f
	}
	return nil
}

func parseFamily(s string) (Family, bool) {
	switch {
	case strings.EqualFold(s, string(IP4)):
		return IP4, true
	case strings.EqualFold(s, string(IP6)):
		return IP6, true
	}
	return "", false
}

// ParseConnection reads the value of a c= line; a host name leaves Addr zero. TTL and address count are cut off.
// Source: RFC 8866 section 5.7.
func ParseConnection(value string) (Connection, error) {
	network, value := field(value)
	family, value := field(value)
	address, _ := field(value)
	f, ok := parseFamily(family)
	if !ok || !strings.EqualFold(network, "IN") {
		return Connection{}, fmt.Errorf("connection of network %q and family %q", clip(network), clip(family))
	}
	address, _, _ = strings.Cut(address, "/")
	if address == "" {
		return Connection{}, errors.New("connection without an address")
	}
	return Connection{Family: f, Address: address, Addr: parseAddr(address)}, nil
}

func (p *parser) openMedia(value string) error {
	var m Media
	var port, proto string
	m.Type, value = field(value)
	port, value = field(value)
	proto, value = field(value)
	if proto == "" {
		return errors.New("m= has fewer than three fields")
	}
	port, count, several := strings.Cut(port, "/")
	var ok bool
	if m.Port, ok = parsePort(port); !ok {
		return fmt.Errorf("port %q", clip(port))
	}
	if several {
		n, ok := parseUint(count, 65535)
		if !ok {
			return fmt.Errorf("port count %q", clip(count))
		}
		m.PortCount = int(n)
	}
	m.Protocol, m.ProtoText = ParseProtocol(proto), proto
	if value == "" && m.Protocol.IsRTP() {
		value = "0" // what rtpengine makes of a missing list
	}
	for value != "" {
		var format string
		format, value = field(value)
		m.Formats = tail(&p.strings, m.Formats, format)
	}
	if len(p.medias) == cap(p.medias) {
		p.medias = make([]Media, 0, 1+2*cap(p.medias))
	}
	p.medias = append(p.medias, m)
	p.m = &p.medias[len(p.medias)-1]
	p.s.Media = append(p.s.Media, p.m)
	if !m.Protocol.IsRTP() {
		return nil
	}
	return p.openCodecs()
}

// openCodecs makes a codec of each payload type of the m= line. A repeated type counts once.
func (p *parser) openCodecs() error {
	m := p.m
	clear(p.byPT[:])
	m.Codecs = make([]Codec, 0, min(len(m.Formats), len(p.byPT)))
	for _, f := range m.Formats {
		pt, ok := parseUint(f, 127)
		if !ok {
			if m.Port == 0 { // a rejected section may name anything
				m.Codecs = nil
				clear(p.byPT[:])
				return nil
			}
			return fmt.Errorf("payload type %q", clip(f))
		}
		if p.byPT[pt] != 0 {
			continue
		}
		c, _ := StaticCodec(uint8(pt))
		m.Codecs = append(m.Codecs, c)
		p.byPT[pt] = uint8(len(m.Codecs))
	}
	return nil
}

// codec is the open media's codec that the first word of value names, with what follows the word.
func (p *parser) codec(value string) (c *Codec, rest string, err error) {
	word, rest := field(value)
	pt, ok := parseUint(word, 127)
	if !ok {
		return nil, "", fmt.Errorf("payload type %q", clip(word))
	}
	i := p.byPT[pt]
	if i == 0 {
		return nil, "", errNoPT
	}
	return &p.m.Codecs[i-1], trim(rest), nil
}

// attributeParts cuts an attribute at its colon. A key keeps no CR at its end: without a value it would be the line's.
func attributeParts(line string) (key, value string) {
	key, value, _ = strings.Cut(line, ":")
	return strings.TrimRight(key, "\r"), value
}

func (p *parser) attribute(line string) error {
	key, value := attributeParts(line)
	if p.m == nil {
		return p.sessionAttribute(key, value)
	}
	if p.m.Protocol.IsRTP() {
		return p.rtpAttribute(key, value)
	}
	return p.otherAttribute(key, value)
}

func (p *parser) sessionAttribute(key, value string) error {
	s := p.s
	switch key {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		p.dir = parseDirection(key)
	case "group":
		value = trim(value)
		g := Group{MIDs: make([]string, 0, countFields(value))}
		for g.Semantics, value = field(value); value != ""; {
			var mid string
			mid, value = field(value)
			g.MIDs = append(g.MIDs, mid)
		}
		s.Groups = append(s.Groups, g)
	case "rtpengine":
		s.LoopMarks = append(s.LoopMarks, value)
	case "setup":
		return parseRole(&p.setup, value)
	case "fingerprint":
		f, err := ParseFingerprint(value)
		if err != nil {
			return err
		}
		p.fingerprints = append(p.fingerprints, f)
		p.shared += len(value)
	case "tls-id":
		p.tlsID = trim(value)
		p.shared += len(value)
	case "extmap":
		e, err := ParseExtmap(value)
		if err != nil {
			return err
		}
		p.extmaps = append(p.extmaps, e)
		p.shared += len(value)
	case "extmap-allow-mixed":
		p.allowMixed = true
	case "ice-ufrag", "ice-pwd", "ice-options", "ice-lite":
		p.shared += len(value)
		_, err := p.iceAttribute(&p.ice, key, value)
		return err
	case "rtpmap", "fmtp", "rtcp-fb", "ptime", "maxptime", "crypto", "candidate", "remote-candidates",
		"end-of-candidates", "ice-mismatch", "rtcp", "rtcp-mux", "rtcp-mux-only", "mid", "label", "bundle-only":
		return errMisplaced
	default:
		s.Rest = tail(&p.rest, s.Rest, Attribute{Key: key, Value: value})
	}
	return nil
}

// sharedAttribute reads the attributes that mean the same for every protocol; false when key is none of them.
func (p *parser) sharedAttribute(key, value string) (bool, error) {
	m := p.m
	switch key {
	case "mid":
		m.MID = trim(value)
	case "label":
		m.Label = value
	case "bundle-only":
		m.BundleOnly = true
	case "sendrecv", "sendonly", "recvonly", "inactive":
		m.Direction = parseDirection(key)
	case "setup":
		return true, parseRole(&m.Setup, value)
	case "fingerprint":
		f, err := ParseFingerprint(value)
		if err != nil {
			return true, err
		}
		m.Fingerprints = append(m.Fingerprints, f)
	case "tls-id":
		m.TLSID = trim(value)
	case "group", "rtpengine":
		return true, errors.New("means something only before the first media section")
	default:
		return p.iceAttribute(&m.ICE, key, value)
	}
	return true, nil
}

func (p *parser) rtpAttribute(key, value string) error {
	m := p.m
	switch key {
	case "rtpmap":
		c, encoding, err := p.codec(value)
		if err != nil {
			return err
		}
		if encoding == "" {
			return errors.New("rtpmap without an encoding")
		}
		c.setRtpmap(encoding)
	case "fmtp":
		c, params, err := p.codec(value)
		if err != nil {
			return err
		}
		if params == "" {
			return errors.New("fmtp without parameters")
		}
		c.Fmtp = tail(&p.strings, c.Fmtp, params)
	case "rtcp-fb":
		if strings.HasPrefix(trimLeft(value), "*") {
			m.Rest = tail(&p.rest, m.Rest, Attribute{Key: key, Value: value})
			return nil
		}
		c, feedback, err := p.codec(value)
		if err != nil {
			return err
		}
		if feedback == "" {
			return errors.New("rtcp-fb without a value")
		}
		c.Feedback = tail(&p.strings, c.Feedback, feedback)
	case "extmap":
		e, err := ParseExtmap(value)
		if err != nil {
			return err
		}
		m.Extmaps = tail(&p.allExtmaps, m.Extmaps, e)
	case "extmap-allow-mixed":
		m.ExtmapAllowMixed = true
	case "rtcp":
		r, err := parseRTCP(value)
		if err != nil {
			return err
		}
		m.RTCP = r
	case "rtcp-mux":
		m.RTCPMux = true
	case "rtcp-mux-only":
		m.RTCPMuxOnly = true
		m.Rest = tail(&p.rest, m.Rest, Attribute{Key: key, Value: value})
	case "crypto":
		c, err := ParseCrypto(value)
		if err != nil {
			return err
		}
		m.Cryptos = append(m.Cryptos, c)
	case "ptime":
		return parsePTime(&m.PTime, value)
	case "maxptime":
		return parsePTime(&m.MaxPTime, value)
	default:
		known, err := p.sharedAttribute(key, value)
		if !known {
			m.Rest = tail(&p.rest, m.Rest, Attribute{Key: key, Value: value})
		}
		return err
	}
	return nil
}

// otherAttribute reads an attribute of a section that is not RTP. All but ICE stay in Rest, where they are printed
// from; those with a field are there as place holders.
func (p *parser) otherAttribute(key, value string) error {
	known, err := p.sharedAttribute(key, value)
	if err == nil && (!known || placeHolder(key)) {
		p.m.Rest = tail(&p.rest, p.m.Rest, Attribute{Key: key, Value: value})
	}
	return err
}

// placeHolder tells the attributes whose field decides what is printed where they stand in Media.Rest.
func placeHolder(key string) bool {
	switch key {
	case "mid", "label", "bundle-only", "sendrecv", "sendonly", "recvonly", "inactive", "setup", "fingerprint", "tls-id":
		return true
	}
	return false
}

// iceAttribute reads an ICE attribute into ice; false when key is none.
func (p *parser) iceAttribute(ice *ICE, key, value string) (bool, error) {
	switch key {
	case "candidate":
		if p.candidates == nil {
			p.candidates = make([]Candidate, 0, 4)
			p.extra = make([]Attribute, 0, 16)
		}
		c, err := parseCandidate(value, &p.extra)
		if err != nil {
			return true, err
		}
		ice.Candidates = tail(&p.candidates, ice.Candidates, c)
	case "ice-ufrag":
		ice.Ufrag = trim(value)
	case "ice-pwd":
		ice.Pwd = trim(value)
	case "ice-options":
		for value = trim(value); value != ""; {
			var option string
			option, value = field(value)
			ice.Options = tail(&p.strings, ice.Options, option)
		}
	case "ice-lite":
		ice.Lite = true
	case "remote-candidates":
		list, err := parseRemoteCandidates(value)
		if err != nil {
			return true, err
		}
		ice.RemoteCandidates = append(ice.RemoteCandidates, list...)
	case "end-of-candidates":
		ice.EndOfCandidates = true
	case "ice-mismatch":
		ice.Mismatch = true
	default:
		return false, nil
	}
	return true, nil
}

func parseRole(to *Setup, value string) error {
	role := parseSetup(trim(value))
	if role == SetupNone {
		return fmt.Errorf("setup role %q", clip(value))
	}
	*to = role
	return nil
}

// parsePTime reads milliseconds, which may have a fraction (RFC 8866 section 6.4).
func parsePTime(to *time.Duration, value string) error {
	value = trim(value)
	if ms, ok := parseUint(value, 10000); ok && ms > 0 {
		*to = time.Duration(ms) * time.Millisecond
		return nil
	}
	ms, err := strconv.ParseFloat(value, 64)
	if err != nil || !(ms > 0 && ms <= 10000) {
		return fmt.Errorf("packet time %q", clip(value))
	}
	*to = time.Duration(ms*1000) * time.Microsecond
	if *to == 0 {
		return fmt.Errorf("packet time %q", clip(value))
	}
	return nil
}

// parseRTCP reads the value of a=rtcp, RFC 3605 section 2.1.
func parseRTCP(value string) (*RTCPAttr, error) {
	port, conn := field(value)
	n, ok := parsePort(port)
	if !ok {
		return nil, fmt.Errorf("rtcp port %q", clip(port))
	}
	if conn == "" {
		return &RTCPAttr{Port: n}, nil
	}
	c, err := ParseConnection(conn)
	if err != nil {
		return nil, err
	}
	return &RTCPAttr{Port: n, Conn: &c}, nil
}
