package rtpengine

import (
	"reflect"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
	"testing"
)

func TestSizes(t *testing.T) {
	for _, v := range []any{leg{}, Media{}, Flags{}, Participant{}, Call{}, relay.Transport{}, sdp.Session{}, sdp.Media{}, legSDES{}, legDTLS{}, pair{}} {
		ty := reflect.TypeOf(v)
		s := ty.String() + ": "
		for i := range ty.NumField() {
			if f := ty.Field(i); f.Type.Size() >= 24 {
				s += f.Name + "=" + itoa(int(f.Type.Size())) + " "
			}
		}
		t.Log(ty.Size(), s)
	}
}
func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
