package relay

import "testing"

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		want Kind
	}{
		{"empty", nil, KindUnknown},
		{"one byte", []byte{0x80}, KindUnknown},
		{"binding request", []byte{0, 1, 0, 0}, KindSTUN},
		{"STUN's last", []byte{3, 0}, KindSTUN},
		{"beyond STUN", []byte{4, 0}, KindUnknown},
		{"ZRTP", []byte{0x10, 0}, KindZRTP},
		{"change cipher spec", []byte{20, 254}, KindDTLS},
		{"handshake", []byte{22, 254}, KindDTLS},
		{"DTLS's last", []byte{63, 0}, KindDTLS},
		{"TURN channel", []byte{64, 0}, KindUnknown},
		{"PCMU", []byte{0x80, 0}, KindRTP},
		{"PCMU with marker", []byte{0x80, 0x80}, KindRTP},
		{"opus with marker", []byte{0x80, 0x80 | 111}, KindRTP},
		{"below RTCP", []byte{0x80, 191}, KindRTP},
		{"FIR of H.261", []byte{0x80, 192}, KindRTCP},
		{"sender report", []byte{0x80, 200}, KindRTCP},
		{"RTCP's last", []byte{0x80, 223}, KindRTCP},
		{"above RTCP", []byte{0x80, 224}, KindRTP},
		{"RTP's last", []byte{191, 0}, KindRTP},
		{"beyond RTP", []byte{192, 0}, KindUnknown},
	} {
		if got := Classify(tt.b); got != tt.want {
			t.Errorf("%s: Classify(%x) = %d, want %d", tt.name, tt.b, got, tt.want)
		}
	}
	b := []byte{0x80, 0}
	if n := testing.AllocsPerRun(100, func() { Classify(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
