package sdp

import "slices"

// Fragment is an application/trickle-ice-sdpfrag body, RFC 8840 section 9.
type Fragment struct {
	ICE   ICE // of the whole session; candidates without a section are here too
	Media []FragmentMedia
}

// FragmentMedia is one section of a fragment. ICE has the session's credentials and options when the section gives
// none of its own.
type FragmentMedia struct {
	Line string // the pseudo m= line's value, verbatim
	MID  string
	ICE  ICE
}

// ParseFragment reads a trickle-ICE fragment: a body of a=, m= lines alone, without v=. Lines and attributes that are
// not about ICE are passed over. Errors are *LineError, from lines without "letter=value" and from malformed
// candidates. A []byte is copied once.
func ParseFragment[T ~string | ~[]byte](text T) (*Fragment, error) {
	p := parser{lexer: lexer{rest: string(text)}}
	f := &Fragment{}
	var m *FragmentMedia
	for p.next() {
		kind, value, ok := p.split()
		if !ok {
			return nil, p.errorf("not of the form letter=value")
		}
		switch kind {
		case 'm':
			f.Media = append(f.Media, FragmentMedia{Line: trim(value)})
			m = &f.Media[len(f.Media)-1]
		case 'a':
			key, value := attributeParts(value)
			ice := &f.ICE
			if m != nil {
				ice = &m.ICE
			} else {
				p.shared += len(value)
			}
			if key == "mid" && m != nil {
				m.MID = trim(value)
			} else if _, err := p.iceAttribute(ice, key, value); err != nil {
				return nil, &LineError{Line: p.line, Text: p.text, Err: err}
			}
		}
	}
	if len(f.Media)*p.shared > maxFolded {
		return nil, p.errorf("session attributes too long for %d media", len(f.Media))
	}
	for i := range f.Media {
		ice := &f.Media[i].ICE
		ice.inherit(&f.ICE)
		ice.EndOfCandidates = ice.EndOfCandidates || f.ICE.EndOfCandidates
	}
	return f, nil
}

// AppendFragment appends the fragment. Credentials and options that a section shares with the session are printed
// once, at the top.
func AppendFragment(dst []byte, f *Fragment) []byte {
	if f.ICE.Lite {
		dst = line(dst, "a=ice-lite", "")
	}
	dst = f.ICE.append(dst)
	for i := range f.Media {
		m := &f.Media[i]
		dst = line(dst, "m=", m.Line)
		if m.MID != "" {
			dst = line(dst, "a=mid:", m.MID)
		}
		ice := m.ICE
		if ice.Ufrag == f.ICE.Ufrag && ice.Pwd == f.ICE.Pwd {
			ice.Ufrag, ice.Pwd = "", ""
		}
		if slices.Equal(ice.Options, f.ICE.Options) {
			ice.Options = nil
		}
		ice.EndOfCandidates = ice.EndOfCandidates && !f.ICE.EndOfCandidates
		dst = ice.append(dst)
	}
	return dst
}
