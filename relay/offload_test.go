package relay_test

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtpsidecar/relay"
	"rtpsidecar/relay/ebpf"
	"rtpsidecar/relay/relaytest"
	"rtpsidecar/relay/srtp"
)

// offload is a call between phone A, plain, and phone B, with SDES, over a Host with a table.
type offload struct {
	t      *testing.T
	net    *relaytest.Network
	table  *ebpf.Fake
	host   *relay.Host
	a, b   *relay.Transport
	pa, pb *relaytest.Peer
	sa, sb relay.Settings

	toB, fromB *srtp.Context // phone B's
	seq        [2]uint16     // of the next packet of A, of B
	atA, atB   map[uint32]int
	indices    map[uint16][]byte // what phone B was sent, by sequence number
}

const (
	ssrcA, ssrcB = 0xa, 0xb
	burst        = 192
)

func newOffload(t *testing.T) *offload {
	t.Helper()
	n := relaytest.New(nil)
	o := &offload{t: t, net: n, table: ebpf.NewFake(), atA: map[uint32]int{}, atB: map[uint32]int{}, indices: map[uint16][]byte{}}
	n.Table = o.table
	var err error
	o.host, err = relay.New(relay.Config{
		Workers: 2, IO: n.IO, Table: o.table,
		Interfaces: []relay.Interface{{Name: "default", Local: netip.MustParseAddr("10.0.0.1"), PortMin: 30000, PortMax: 30099}},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.a, o.b = open(t, o.host, relay.TransportConfig{ID: 1}), open(t, o.host, relay.TransportConfig{ID: 2})
	o.pa, o.pb = n.Listen(phoneA), n.Listen(phoneB)
	o.sa = relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneA}, Muxed: true}
	o.sb = relay.Settings{RemoteSeen: true, Remote: [2]netip.AddrPort{phoneB}, Muxed: true}
	o.rekey()
	o.seq = [2]uint16{65400, 100} // A's numbers wrap on the way
	connect(o.a, o.b)
	o.apply()
	return o
}

func (o *offload) rekey() {
	o.t.Helper()
	recv, err1 := srtp.NewParams(srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), rand.Reader)
	send, err2 := srtp.NewParams(srtp.SuiteByName("AES_CM_128_HMAC_SHA1_80"), rand.Reader)
	if err1 != nil || err2 != nil {
		o.t.Fatal(err1, err2)
	}
	o.sb.SDES = &relay.SDES{Recv: recv, Send: send}
	o.fromB, _ = srtp.New(recv)
	o.toB, _ = srtp.New(send)
	clear(o.indices)
}

func (o *offload) apply() {
	o.t.Helper()
	apply(o.t, o.a, o.sa)
	apply(o.t, o.b, o.sb)
}

// sendA and sendB send one packet; its number is in the payload.
func (o *offload) sendA(p *relaytest.Peer, ssrc byte) {
	p.Send(packet(o.seq[0], ssrc), at(o.a, relay.RTP))
	o.seq[0]++
}

func (o *offload) sendB(p *relaytest.Peer) {
	o.t.Helper()
	b, err := o.fromB.ProtectRTP(append(make([]byte, 0, 64), packet(o.seq[1], ssrcB)...))
	if err != nil {
		o.t.Fatal(err)
	}
	o.seq[1]++
	p.Send(b, at(o.b, relay.RTP))
}

// collect takes what the phones have received and returns how much that is.
func (o *offload) collect() (a, b int) {
	o.t.Helper()
	synctest.Wait()
	for {
		d, ok := o.pa.Receive(time.Nanosecond)
		if !ok {
			break
		}
		a++
		o.atA[key(d.Bytes)]++
	}
	for {
		d, ok := o.pb.Receive(time.Nanosecond)
		if !ok {
			break
		}
		b++
		seq := binary.BigEndian.Uint16(d.Bytes[2:])
		if old, ok := o.indices[seq]; ok {
			o.t.Errorf("index of %d used twice: %x and %x", seq, old, d.Bytes)
		}
		o.indices[seq] = d.Bytes
		plain, err := o.toB.UnprotectRTP(append([]byte(nil), d.Bytes...))
		if err != nil {
			o.t.Fatalf("phone B, packet %d: %v", seq, err)
		}
		o.atB[key(plain)]++
	}
	return a, b
}

func key(b []byte) uint32 {
	return uint32(b[11])<<16 | uint32(binary.BigEndian.Uint16(b[2:]))
}

// talk sends a burst each way and expects all of it at the other ends, once.
func (o *offload) talk() {
	o.t.Helper()
	for range burst {
		o.sendA(o.pa, ssrcA)
		o.sendB(o.pb)
		synctest.Wait()
	}
	o.expect(burst, burst)
}

func (o *offload) expect(a, b int) {
	o.t.Helper()
	if gotA, gotB := o.collect(); gotA != a || gotB != b {
		o.t.Errorf("phone A got %d of %d, phone B %d of %d", gotA, a, gotB, b)
	}
	for _, m := range []map[uint32]int{o.atA, o.atB} {
		for k, n := range m {
			if n != 1 {
				o.t.Errorf("packet %d of source %d came %d times", k&0xffff, k>>16, n)
			}
		}
		clear(m)
	}
}

// kernel expects each direction in the table, or not.
func (o *offload) kernel(want bool, reason string) {
	o.t.Helper()
	for _, tr := range []*relay.Transport{o.a, o.b} {
		st := tr.Status().Streams[relay.RTP]
		if st.Kernel != want || !want && !strings.Contains(st.NoKernel, reason) {
			o.t.Errorf("kernel %v, reason %q; want %v, %q", st.Kernel, st.NoKernel, want, reason)
		}
	}
}

func (o *offload) flows(want int) {
	o.t.Helper()
	if n := o.table.Status().Flows; n != want {
		o.t.Errorf("%d flows in the table, want %d", n, want)
	}
}

// taken is how many packets the table took until now.
func (o *offload) taken() uint64 {
	o.a.Status()
	o.b.Status()
	return o.host.Totals().Kernel.Packets
}
