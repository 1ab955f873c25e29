package hep

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rtpsidecar/relay/rtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAppend(t *testing.T) {
	at := time.Unix(1700000000, 123456000)
	four := Packet{From: netip.MustParseAddrPort("192.0.2.1:5060"), To: netip.MustParseAddrPort("192.0.2.2:2223"), At: at,
		Protocol: NG, Agent: 2001, Correlation: "id", Payload: []byte("{}")}
	const want = "48455033" + "006d" +
		"000000010007" + "02" + "000000020007" + "11" +
		"00000003000a" + "c0000201" + "00000004000a" + "c0000202" +
		"000000070008" + "13c4" + "000000080008" + "08af" +
		"00000009000a" + "6553f100" + "0000000a000a" + "0001e240" +
		"0000000b0007" + "3d" + "0000000c000a" + "000007d1" +
		"000000110008" + "6964" + "0000000f0008" + "7b7d"
	if got := hex.EncodeToString(Append(nil, &four)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	six := four
	six.To = netip.MustParseAddrPort("[2001:db8::1]:1")
	six.Payload = bytes.Repeat([]byte("x"), 70000)
	b := Append([]byte("before"), &six)[len("before"):]
	if len(b) > 65535 || int(binary.BigEndian.Uint16(b[4:])) != len(b) || b[12] != familyIPv6 {
		t.Errorf("%d bytes, said %d, family %d", len(b), binary.BigEndian.Uint16(b[4:]), b[12])
	}
	if b := Append(nil, &Packet{}); int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Error("the empty packet has a wrong length")
	}
}

func TestExporter(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			got := make(chan []byte, 1)
			addr := collect(t, network, got)
			e, err := NewExporter(network, addr, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			e.Export(&Packet{Protocol: RTCP, Payload: rtp.AppendPLI(nil, 1, 2)}) // nothing that Homer knows
			e.Export(&Packet{Protocol: RTCP, Payload: rtp.AppendRR(nil, 9, nil)})
			want := Append(nil, &Packet{Protocol: RTCP, Payload: []byte(`{"ssrc":9,"type":201,"report_count":0,"report_blocks":[]}`)})
			if b := <-got; !bytes.Equal(b, want) {
				t.Errorf("got %x", b)
			}
			if err := e.Close(); err != nil || e.Lost() != 0 {
				t.Errorf("lost %d, %v", e.Lost(), err)
			}
		})
	}
	for _, bad := range [][2]string{{"sctp", "192.0.2.1:1"}, {"udp", "nowhere"}} {
		if e, err := NewExporter(bad[0], bad[1], nil); err == nil {
			e.Close()
			t.Errorf("%q is taken", bad)
		}
	}
	e, err := NewExporter("tcp", "127.0.0.1:1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e.Export(&Packet{})
	for e.Lost() == 0 {
		time.Sleep(time.Millisecond)
	}
	e.Close()
	for range queueLen + 1 {
		e.Export(&Packet{}) // nobody takes them any more
	}
	if e.Lost() != 2 {
		t.Errorf("lost %d", e.Lost())
	}
}

// collect takes one packet.
func collect(t *testing.T, network string, got chan []byte) string {
	t.Helper()
	read := func(c net.Conn) {
		b := make([]byte, 65535)
		n, _ := c.Read(b)
		got <- b[:n]
	}
	if network == "udp" {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go read(c)
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err == nil {
			read(c)
			c.Close()
		}
	}()
	return l.Addr().String()
}

// TestTshark has tshark take the packets apart, and its own JSON dissector read the payloads.
func TestTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("NOT TESTED: tshark is not installed")
	}
	file := filepath.Join(t.TempDir(), "hep.pcap")
	at := time.Unix(1700000000, 123456000)
	packets := [][]byte{
		Append(nil, &Packet{From: netip.MustParseAddrPort("192.0.2.1:5060"), To: netip.MustParseAddrPort("192.0.2.2:2223"), At: at,
			Protocol: NG, Agent: 2001, Correlation: "call@x", Payload: []byte("1_2 d7:command5:offere")}),
		Append(nil, &Packet{From: netip.MustParseAddrPort("[2001:db8::1]:4001"), To: netip.MustParseAddrPort("[2001:db8::2]:30001"), At: at,
			Protocol: RTCP, Agent: 2001, Correlation: "call@x", Payload: reportJSON(rtp.AppendRR(nil, 9, nil))}),
	}
	if err := os.WriteFile(file, pcap(packets), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-r", file, "-X", "lua_script:testdata/hep.lua", "-T", "fields", "-E", "separator=|"}
	for _, f := range []string{"hep3.family", "hep3.src", "hep3.dst", "hep3.src6", "hep3.dst6", "hep3.srcport", "hep3.dstport",
		"hep3.seconds", "hep3.micros", "hep3.protocol", "hep3.agent", "hep3.correlation", "hep3.payload", "json.key"} {
		args = append(args, "-e", f)
	}
	out, err := exec.CommandContext(t.Context(), "tshark", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = "2|192.0.2.1|192.0.2.2|||5060|2223|1700000000|123456|61|2001|call@x|1_2 d7:command5:offere|\n" +
		"10|||2001:db8::1|2001:db8::2|4001|30001|1700000000|123456|5|2001|call@x|{\"ssrc\":9,\"type\":201,\"report_count\":0,\"report_blocks\":[]}|ssrc,type,report_count,report_blocks\n"
	if string(out) != want {
		t.Errorf("tshark reads\n%s\nwant\n%s", out, want)
	}
}

// pcap is a capture of UDP datagrams to port 9060: raw IPv4, checksums left out.
func pcap(datagrams [][]byte) []byte {
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0}
	for _, d := range datagrams {
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}
		binary.BigEndian.PutUint16(ip[2:], uint16(28+len(d)))
		udp := binary.BigEndian.AppendUint16([]byte{0x9c, 0x40, 0x23, 0x64}, uint16(8+len(d)))
		pkt := append(append(append(ip, udp...), 0, 0), d...)
		b = append(b, make([]byte, 8)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(pkt)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(pkt)))
		b = append(b, pkt...)
	}
	return b
}
