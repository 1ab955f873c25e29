package rtpengine

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"strconv"

	"rtpsidecar/sdp"
)

// printed is what was printed to one participant, for what has to stay the same towards it.
type printed struct {
	seen    bool
	origin  sdp.Origin
	name    string
	version uint64
	sum     uint64 // of the last body
	count   bool   // replace SDP-version is in force: version counts
}

// session applies the replace list to the session level. held is our address where every c= says that media are on hold.
func (o *printed) session(out *sdp.Session, held netip.Addr, f *Flags) {
	w := f.Replace
	if !o.seen {
		o.origin, o.name = out.Origin, out.Name
	}
	if w.Username || w.OriginFull {
		out.Origin.Username = o.origin.Username
	}
	if w.SessionName {
		out.Name = o.name
	}
	if w.OriginFull {
		out.Origin.SessionID = o.origin.SessionID
	}
	if w.Origin || w.OriginFull {
		if w.OriginFull && o.seen {
			out.Origin.Family, out.Origin.Address = o.origin.Family, o.origin.Address
		} else if c, ok := liveConnection(out); ok {
			out.Origin.Family, out.Origin.Address = c.Family, c.Address
		} else if held.IsValid() {
			c := sdp.ConnectionTo(held)
			out.Origin.Family, out.Origin.Address = c.Family, c.Address
		}
		o.origin.Family, o.origin.Address = out.Origin.Family, out.Origin.Address
	}
}

// liveConnection is the c= of the first section that has one.
func liveConnection(s *sdp.Session) (sdp.Connection, bool) {
	for _, m := range s.Media {
		if len(m.Connections) > 0 && !m.Connections[0].IsZero() {
			return m.Connections[0], true
		}
	}
	return sdp.Connection{}, false
}

// number prints the body with the version of o= counted where that was asked for: one more whenever anything but o=
// differs from the last body.
func (o *printed) number(out *sdp.Session, f *Flags) []byte {
	w := f.Replace
	body := appendBody(nil, out, f)
	sum := maphash.Bytes(bodySeed, afterOrigin(body))
	again := o.seen
	changed := again && o.sum != sum
	o.seen, o.sum = true, sum
	if w.SDPVersion || w.OriginFull || w.ForceIncrementSDPVersion {
		switch {
		case !o.count:
			v, err := strconv.ParseUint(out.Origin.Version, 10, 64)
			if err != nil {
				v = 1
			}
			o.version, o.count = v, true
			if changed || w.ForceIncrementSDPVersion && again {
				o.version++
			}
		case changed || w.ForceIncrementSDPVersion:
			o.version++
		}
		out.Origin.Version = strconv.FormatUint(o.version, 10)
		body = appendBody(body[:0], out, f)
	}
	return body
}

// bodySeed is for sums of bodies: to tell whether one changed, a call need not keep it.
var bodySeed = maphash.MakeSeed()

// afterOrigin is what follows the first two lines, v= and o=, of a body that we printed.
func afterOrigin(body []byte) []byte {
	for range 2 {
		body = body[bytes.IndexByte(body, '\n')+1:]
	}
	return body
}

func appendBody(dst []byte, s *sdp.Session, f *Flags) []byte {
	if len(f.Edits) == 0 {
		return sdp.Append(dst, s)
	}
	return sdp.AppendEdited(dst, sdp.Append(nil, s), f.Edits)
}
