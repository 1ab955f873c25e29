// Package ebpf forwards RTP and SRTP inside the kernel, at the interface where it arrives. It is a pure accelerator: a
// [Table] holds flows, each of which userspace could serve as well, and whatever a flow does not describe exactly goes
// up to the sockets as if there were no table.
//
// # What it does
//
// A flow is the packets of up to four SSRCs at one local address and port. Per packet: source check, payload type check,
// SRTP tag check and replay window, decryption, and for each of up to eight sinks a payload type map, encryption, tag,
// new addresses, ports, TOS and checksums, IPv4 or IPv6 on either side. Suites are AES-CM 128, 192 and 256 and NULL with
// HMAC-SHA1-80 or -32; see [Supported]. It takes no STUN, DTLS or RTCP.
//
// # Handing a flow over
//
// A packet index of SRTP must never be used twice under one key with two payloads: it would reveal both. So each index
// has one owner.
//
//   - Put carries the progress of each SSRC, inbound and for each protecting sink. The packets still go up, and the table
//     remembers the newest of them.
//   - Start, after a packet that userspace has handled, says how far it is. If that is as far as what went up, nothing is
//     on its way to userspace: from the next packet on the table forwards, and owns all indices above that progress.
//     Else it goes on waiting. So neither does a packet overtake another, nor has an index two owners, however many stand
//     in the sockets. Userspace needs to stop nothing and to lock nothing. Packets with indices up to that progress, which
//     come late, go up for as long as the flow is there. The rollover counter is part of the index.
//   - Newer packets may go up too: payload types left out, results over a path's MTU, a path that is gone.
//     Userspace serves them with its own contexts, and the table does not use their indices. For that, userspace's idea of
//     the rollover counter has to keep up: at least every 30000 packets, and in practice whenever it reads the counters,
//     it sets its contexts to SetState(Merge(its own, the table's)).
//   - While the flow is there userspace must not send to its sinks under the same key and SSRC with indices of its own
//     making (injected audio, renumbered packets). Take the flow out first.
//   - Delete closes the flow's state under the lock that every packet takes. When it returns no program uses another
//     index, not even one that is running; the next packet goes up. The [Counter] says how far the table has come. Before
//     userspace handles another packet of the flow, it has to take over that progress: for each context,
//     SetState(Merge(its own, the table's)). In practice: call Delete and set the states in the worker that owns the
//     contexts, or under the lock that it takes.
//   - A change of anything (address, key, sinks, payload types) is Delete, take over, Put. Packets between the two are
//     served by userspace.
//   - Plain flows have no indices to own. They wait for Start all the same, for the order of packets.
//
// A sink is sent to only in packets that userspace would have sent at once; whoever reports timeouts or counts packets
// adds the Counter, which starts at zero with each Put.
//
// # Key stream
//
// Half of what SRTP costs in the program is AES. So the table has one goroutine, which rests while there is no SRTP and
// makes the key stream of packets to come, in memory that the program shares; what is not there when a packet
// comes the program computes, by tables or, with [Config.KernelAES], by the kernel's own code.
//
// # What it needs
//
// CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and kernel 5.15 with CONFIG_DEBUG_INFO_BTF; with 6.6 the attachment ends with the
// process, however that ends. On older kernels a filter stays behind when the process is killed: it then rests within seconds,
// and the next Open on that interface removes it. Nothing is pinned. Any number of tables may be at one interface.
//
// Forwarded packets are not seen by netfilter: no input rule and no connection tracking applies to them. Packet capture
// sees them arrive, and sees them leave.
package ebpf
