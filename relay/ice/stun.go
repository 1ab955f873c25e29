package ice

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/pion/stun/v3"
)

const (
	headerLen      = 20
	fingerprintLen = 8
	magicCookie    = 0x2112a442

	// attrNomination is the renomination counter of draft-thatcher-ice-renomination, sent by libwebrtc.
	attrNomination stun.AttrType = 0xc001

	codeBadRequest       stun.ErrorCode = 400
	codeUnauthorized     stun.ErrorCode = 401
	codeUnknownAttribute stun.ErrorCode = 420
	codeRoleConflict     stun.ErrorCode = 487
)

var (
	errMalformed   = errors.New("malformed STUN message")
	errFingerprint = errors.New("STUN fingerprint missing or wrong")
)

// message is what the agent reads out of one datagram. It aliases the decoder's buffer.
type message struct {
	class    stun.MessageClass
	id       [stun.TransactionIDSize]byte
	username []byte
	mapped   netip.AddrPort
	code     stun.ErrorCode
	unknown  []stun.AttrType // comprehension-required ones that we do not know

	priority    uint32
	nomination  uint32
	tieBreaker  uint64
	controlling bool
	controlled  bool
	useCand     bool
	integrity   bool // present, not yet verified
}

// decode reads a Binding message into a.msg. Attributes behind MESSAGE-INTEGRITY are not covered by it and are
// ignored, RFC 8489 section 14.5. FINGERPRINT must be there, be last and be right, as ICE demands of every message
// (RFC 8445 section 7); only indications may do without, for there it decides nothing.
func (a *Agent) decode(pkt []byte) error {
	if len(pkt) < headerLen || len(pkt)%4 != 0 || len(pkt) > 1500 ||
		int(binary.BigEndian.Uint16(pkt[2:])) != len(pkt)-headerLen {
		return errMalformed
	}
	// The integrity check appends the tag it expects: room for that saves an allocation each time.
	a.in.Raw = slices.Grow(a.in.Raw[:0], len(pkt)+sha1.Size)
	if _, err := a.in.Write(pkt); err != nil {
		return errMalformed
	}
	m := &a.msg
	*m = message{class: a.in.Type.Class, id: a.in.TransactionID, unknown: m.unknown[:0]}
	if a.in.Type.Method != stun.MethodBinding {
		return errMalformed
	}
	for i := range a.in.Attributes {
		attr := &a.in.Attributes[i]
		if attr.Type == stun.AttrMessageIntegrity {
			if len(attr.Value) != sha1.Size {
				return errMalformed
			}
			m.integrity = true
			break
		}
		if err := a.attribute(attr); err != nil {
			return err
		}
	}
	n := len(a.in.Attributes)
	if n == 0 || a.in.Attributes[n-1].Type != stun.AttrFingerprint {
		if m.class == stun.ClassIndication {
			return nil
		}
		return errFingerprint
	}
	v := a.in.Attributes[n-1].Value
	if len(v) != 4 || binary.BigEndian.Uint32(v) != stun.FingerprintValue(a.in.Raw[:len(pkt)-fingerprintLen]) {
		return errFingerprint
	}
	return nil
}

// attribute reads one attribute in front of MESSAGE-INTEGRITY. Of doubled ones the first counts.
func (a *Agent) attribute(attr *stun.RawAttribute) error {
	m, v := &a.msg, attr.Value
	want := -1
	switch attr.Type {
	case stun.AttrPriority, attrNomination:
		want = 4
	case stun.AttrICEControlling, stun.AttrICEControlled:
		want = 8
	}
	if want >= 0 && len(v) != want {
		return errMalformed
	}
	switch attr.Type {
	case stun.AttrUsername:
		if m.username == nil {
			m.username = v
		}
	case stun.AttrPriority:
		m.priority = binary.BigEndian.Uint32(v)
	case attrNomination:
		m.nomination = binary.BigEndian.Uint32(v)
	case stun.AttrUseCandidate:
		m.useCand = true
	case stun.AttrICEControlling:
		m.controlling, m.tieBreaker = true, binary.BigEndian.Uint64(v)
	case stun.AttrICEControlled:
		m.controlled, m.tieBreaker = true, binary.BigEndian.Uint64(v)
	case stun.AttrXORMappedAddress:
		if m.mapped.IsValid() {
			break
		}
		if err := a.xor.GetFrom(&a.in); err != nil {
			return errMalformed
		}
		ip, _ := netip.AddrFromSlice(a.xor.IP)
		m.mapped = netip.AddrPortFrom(ip.Unmap(), uint16(a.xor.Port))
	case stun.AttrErrorCode:
		var e stun.ErrorCodeAttribute
		if err := e.GetFrom(&a.in); err != nil {
			return errMalformed
		}
		m.code = e.Code
	case stun.AttrUnknownAttributes, stun.AttrMappedAddress, stun.AttrRealm, stun.AttrNonce:
	default:
		if attr.Type.Required() && len(m.unknown) < 8 {
			m.unknown = append(m.unknown, attr.Type)
		}
	}
	return nil
}

// begin starts a message in the encoder's buffer.
func (a *Agent) begin(class stun.MessageClass, id [stun.TransactionIDSize]byte) *stun.Message {
	m := &a.out
	m.Reset()
	m.Raw = slices.Grow(m.Raw, 192) // what the longest request without SOFTWARE takes, and the tag
	m.Type, m.TransactionID = stun.NewType(stun.MethodBinding, class), id
	m.WriteHeader()
	if a.cfg.Software != "" {
		m.Add(stun.AttrSoftware, a.software)
	}
	return m
}

// finish adds MESSAGE-INTEGRITY unless key is nil, then FINGERPRINT, and queues the message.
func (a *Agent) finish(m *stun.Message, key stun.MessageIntegrity, local int, to netip.AddrPort) {
	if key != nil {
		_ = key.AddTo(m) // fails only behind a FINGERPRINT
	}
	_ = stun.Fingerprint.AddTo(m) // never fails
	a.act(Action{Kind: Send, Component: a.cfg.Locals[local].Component, Local: local, Remote: to, Packet: m.Raw})
}

// sendRequest writes the Binding request of t.
func (a *Agent) sendRequest(t *transaction) {
	p := t.pair
	m := a.begin(stun.ClassRequest, t.id)
	m.Add(stun.AttrUsername, p.gen.username)
	b := a.scratch[:]
	binary.BigEndian.PutUint64(b, t.tieBreaker)
	if t.controlling {
		m.Add(stun.AttrICEControlling, b[:8])
	} else {
		m.Add(stun.AttrICEControlled, b[:8])
	}
	binary.BigEndian.PutUint32(b, reflexive(a.cfg.Locals[p.local].Priority))
	m.Add(stun.AttrPriority, b[:4])
	if t.useCand {
		m.Add(stun.AttrUseCandidate, nil)
	}
	a.finish(m, p.gen.remoteKey, p.local, p.remote.Addr)
}

// sendSuccess answers the request in a.msg.
func (a *Agent) sendSuccess(g *generation, local int, to netip.AddrPort) {
	m := a.begin(stun.ClassSuccessResponse, a.msg.id)
	ip := to.Addr()
	if ip.Is4() {
		v := ip.As4()
		a.xorOut.IP = append(a.xorOut.IP[:0], v[:]...)
	} else {
		v := ip.As16()
		a.xorOut.IP = append(a.xorOut.IP[:0], v[:]...)
	}
	a.xorOut.Port = int(to.Port())
	_ = a.xorOut.AddTo(m) // fails only for an address of neither length
	a.finish(m, g.localKey, local, to)
}

// sendError answers the request in a.msg; key is nil where the request could not be authenticated.
func (a *Agent) sendError(code stun.ErrorCode, key stun.MessageIntegrity, local int, to netip.AddrPort) {
	m := a.begin(stun.ClassErrorResponse, a.msg.id)
	_ = code.AddTo(m) // the codes above have their default reasons
	if code == codeUnknownAttribute {
		b := a.scratch[:0]
		for _, t := range a.msg.unknown {
			b = binary.BigEndian.AppendUint16(b, t.Value())
		}
		m.Add(stun.AttrUnknownAttributes, b)
	}
	a.finish(m, key, local, to)
}

// sendIndication writes the keepalive of RFC 8445 section 11.
func (a *Agent) sendIndication(p *pair) {
	m := a.begin(stun.ClassIndication, a.newID())
	a.finish(m, nil, p.local, p.remote.Addr)
}

// Peek reads the receiver's ufrag (the part of USERNAME before the colon) out of a Binding request without checking
// anything else; false if there is none. The result aliases pkt.
func Peek(pkt []byte) (ufrag []byte, ok bool) {
	if len(pkt) < headerLen || pkt[0] != 0 || pkt[1] != 1 || binary.BigEndian.Uint32(pkt[4:]) != magicCookie {
		return nil, false
	}
	for b := pkt[headerLen:]; len(b) >= 4; {
		t, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			break
		}
		if t == stun.AttrUsername.Value() {
			ufrag, _, ok = cutColon(b[:n])
			return ufrag, ok
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil, false
}

func cutColon(b []byte) (before, after []byte, ok bool) {
	for i, c := range b {
		if c == ':' {
			return b[:i], b[i+1:], true
		}
	}
	return nil, nil, false
}
