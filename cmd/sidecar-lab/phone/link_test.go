package phone

import (
	"bufio"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadMessage(t *testing.T) {
	tests := []struct {
		name, stream string
		want         []string
	}{
		{"two in a row", "A x\r\nContent-Length: 2\r\n\r\nhiB y\r\nl: 0\r\n\r\n", []string{"A x\r\nContent-Length: 2\r\n\r\nhi", "B y\r\nl: 0\r\n\r\n"}},
		{"keep-alives between", "\r\n\r\nA x\r\n\r\n\r\nB y\r\n\r\n", []string{"A x\r\n\r\n", "B y\r\n\r\n"}},
		{"cut off", "A x\r\nContent-Length: 9\r\n\r\nhi", nil},
		{"no number", "A x\r\nContent-Length: many\r\n\r\n", nil},
		{"negative", "A x\r\nContent-Length: -1\r\n\r\n", nil},
		{"too long", "A x\r\nContent-Length: 99999999\r\n\r\n", nil},
	}
	for _, tt := range tests {
		r := bufio.NewReader(strings.NewReader(tt.stream))
		var got []string
		for {
			msg, err := readMessage(r)
			if err != nil {
				break
			}
			got = append(got, string(msg))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestParseURI(t *testing.T) {
	for in, want := range map[string]string{"alice@example.org": "sip:alice@example.org", "sip:bob@192.0.2.1:5070;transport=tcp": "sip:bob@192.0.2.1:5070;transport=tcp", "sip:": "", "": ""} {
		uri, err := parseURI(in)
		if (err == nil) != (want != "") || err == nil && uri.String() != want {
			t.Errorf("%q: %v, %v", in, uri.String(), err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, proxy := range []string{"", "udp", "sctp:127.0.0.1", "tcp:127.0.0.1:1", "ws://127.0.0.1:1/", "ws://%zz"} {
		if l, err := open(t.Context(), proxy, netip.Addr{}, nil, quiet{}, nil); err == nil {
			l.Cancel()
			t.Errorf("%q: no error", proxy)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add("INVITE sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi")
	f.Fuzz(func(t *testing.T, stream string) {
		r := bufio.NewReaderSize(strings.NewReader(stream), maxMessage)
		for {
			msg, err := readMessage(r)
			if err != nil {
				return
			}
			if len(msg) > 2*maxMessage {
				t.Errorf("%d bytes", len(msg))
			}
		}
	})
}
