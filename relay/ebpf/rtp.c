//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * rtp.c forwards RTP and SRTP where it arrives: as a classifier at the ingress of an interface (relay_tc), or before
 * that, where the driver does it natively (relay_xdp). doc.go says what userspace promises and gets.
 *
 * A packet is either understood completely and sent on, or left alone: whatever is unusual goes up untouched. All that
 * could stop it is asked before its indices are taken, in admit; after that it is sent or lost.
 */
#include "srtp.h"

char __license[] SEC("license") = "Dual BSD/GPL";

enum { MAX_SINKS = 8, MAX_PT_PAIRS = 4 };

/* All in network order. IPv4 addresses stand as ::ffff:0:0/96, whose ones add nothing to a checksum. */
struct flow_key {
	u32 addr[4];
	u32 ssrc;
	u16 port;
	u16 zero;
};

enum { SINK_RAW, SINK_PLAIN, SINK_SRTP };

struct sink {
	u32 saddr[4], daddr[4]; /* network order */
	u16 sport, dport;       /* network order */
	u32 path;               /* key in paths */
	u8 family;              /* 4 or 6 */
	u8 tos;
	u8 kind;
	u8 pt_pairs;
	u8 pt_from[MAX_PT_PAIRS], pt_to[MAX_PT_PAIRS];
	struct transform out;
};

enum { SOURCE_UP, SOURCE_DROP, SOURCE_IGNORE };

/* What to do with one SSRC at one local address. Immutable; its state lies apart, in states. */
struct flow {
	u32 slot, gen; /* index in states, and the generation that the state must have */
	u32 peer[4];   /* the expected source, network order */
	u16 peer_port; /* network order */
	u8 policy;
	u8 sinks_len;
	u8 copy; /* the payload is needed, not only headers */
	u8 pad[3];
	u32 clock_hz; /* 0: no jitter wanted */
	u64 pts[2];   /* payload types that are forwarded, a bit each */
	struct transform in;
	struct sink sinks[MAX_SINKS];
};

struct sink_state {
	u64 packets, bytes, errors;
	struct progress out;
};

/* Everything that changes. All of it under the lock, and only while gen is that of the flow: userspace closes a flow by
 * setting gen to 0 under the lock (relay_close), and owns the state from then on. */
struct state {
	struct bpf_spin_lock lock;
	u32 gen;
	u64 packets, bytes;
	u64 last_ns;  /* CLOCK_MONOTONIC of the last packet */
	u64 up;       /* packets of this flow left to userspace */
	u64 wrong_source, bad_tag, replayed;
	u32 timestamp, jitter; /* of the last packet; RFC 3550 section A.8, times 16 */
	u32 pt, pad;
	struct progress in;
	struct sink_state sinks[MAX_SINKS];
};

/* PATH_NONE: not from here, go up. PATH_LINK: MACs known. PATH_NEIGH: the kernel has to find the neighbour.
 * PATH_LOCAL: a socket of this host, for packets that came from one. */
enum { PATH_NONE, PATH_LINK, PATH_NEIGH, PATH_LOCAL };

struct path {
	u32 ifindex;
	u32 mtu; /* of the IP packet */
	u8 kind;
	u8 family; /* of gateway: 4 or 6 */
	u8 dmac[6], smac[6];
	u8 pad[2];
	u32 gateway[4]; /* network order, IPv4 in the first word */
};

struct guard {
	u64 second; /* that allowed counts */
	u64 allowed;
	u64 passed, dropped; /* packets to ports without flow and socket */
};

struct {
	map_uint(type, MAP_HASH);
	map_uint(map_flags, NO_PREALLOC);
	map_type(key, struct flow_key);
	map_type(value, struct flow);
	map_uint(max_entries, 1024);
} flows SEC(".maps");

struct {
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
	map_type(value, struct state);
	map_uint(max_entries, 1024);
} states SEC(".maps");

struct {
	map_uint(type, MAP_HASH);
	map_uint(map_flags, NO_PREALLOC);
	map_type(key, u32);
	map_type(value, struct path);
	map_uint(max_entries, 1024);
} paths SEC(".maps");

struct {
	map_uint(type, MAP_PERCPU_ARRAY);
	map_type(key, u32);
	map_type(value, struct scratch);
	map_uint(max_entries, 1);
} scratches SEC(".maps");

struct {
	map_uint(type, MAP_PERCPU_ARRAY);
	map_type(key, u32);
	map_type(value, struct guard);
	map_uint(max_entries, 1);
} guards SEC(".maps");

/* CLOCK_MONOTONIC of userspace's last sign of life. */
struct {
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
	map_type(value, u64);
	map_uint(max_entries, 1);
} pulse SEC(".maps");

/* Settings of this loading. */
volatile const u32 guard_rate = 0; /* packets a second and CPU let through to unknown ports; 0: no guard */
volatile const u16 port_min = 0, port_max = 0; /* host order, of the guard */
volatile const u64 pulse_ns = 0; /* the program rests when userspace was silent for longer; 0: never */
volatile const u64 csum_v6 = 0;  /* BPF_F_IPV6 where the kernel knows it */

static inline_always u32 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return sum;
}

static inline_always u16 fold16(u64 sum)
{
	u32 s = fold(sum);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return s;
}

/* outside reports whether a payload cannot be in scratch. */
static inline_always int outside(u32 len, u32 most)
{
	return len > most || len < 12;
}

/* bounded is len, which is from 1 to 2048, for the verifier: the comparisons of outside reach it in a form that it does
 * not follow. */
static inline_always u64 bounded(u32 len)
{
	u64 n = len - 1;
	asm volatile("%0 &= 2047" : "+r"(n));
	return n + 1;
}

static inline_always u64 sum_addr(const u32 *a)
{
	return (u64)a[0] + a[1] + a[2] + a[3];
}

/* sum_payload is the ones' complement sum of len bytes at off. Up to 4 bytes behind them are overwritten. */
global_function u32 sum_payload(struct scratch *c, u32 off, u32 len)
{
	if (!c)
		return 0;
	*(u32 *)at(c, off + len) = 0;
	len = (len + 3) & ~3;
	s64 sum = 0;
	for (int i = 0; i < (MAX_PAYLOAD + 16 + 511) / 512; i++) {
		u32 n = len;
		if (n > 508)
			n = 508;
		if (n == 0)
			break;
		sum = bpf_csum_diff(0, 0, c->b + (off & (OFFSETS & ~3)), n & 0x1fc, sum);
		off += n;
		len -= n;
	}
	return sum;
}

/* find is the state of f; its lock is free. */
static inline_always struct state *find(const struct flow *f)
{
	u32 slot = f->slot;
	return bpf_map_lookup_elem(&states, &slot);
}

enum { UP, DROP, SEND };

/*
 * give leaves a packet of a flow to userspace, and with it the outgoing indices that userspace will use for it. Without
 * that, a second packet with its number and another payload would be encrypted with the same key stream. Where packets
 * are authenticated there is no such second one, and nothing may change before the tag is checked.
 */
static inline_always void give(struct scratch *c, const struct flow *f, struct state *s)
{
	u32 gen = f->gen, n = f->sinks_len;
	bpf_spin_lock(&s->lock);
	if (s->gen == gen) {
		s->up++;
		for (u32 i = 0; i < MAX_SINKS; i++) {
			if (i >= n || f->in.on)
				break;
			if (f->sinks[i].kind != SINK_SRTP)
				continue;
			struct progress *p = &s->sinks[i].out;
			u64 out = guess(p, c->seq);
			if (out > p->floor && !(out >> 48))
				mark(p, p->given, out);
		}
	}
	bpf_spin_unlock(&s->lock);
}

enum { NOTE_SOURCE, NOTE_TAG };

/* note counts a packet that is not sent. */
static inline_always void note(struct state *s, u32 gen, int what)
{
	bpf_spin_lock(&s->lock);
	if (s->gen == gen) {
		if (what == NOTE_SOURCE)
			s->wrong_source++;
		else
			s->bad_tag++;
	}
	bpf_spin_unlock(&s->lock);
}

/* reachable reports whether all sinks can be sent to from here now. */
global_function int reachable(struct scratch *c, const struct flow *f)
{
	if (!c || !f)
		return 0;
	for (u32 i = 0; i < MAX_SINKS; i++) {
		if (i >= f->sinks_len)
			break;
		const struct sink *k = &f->sinks[i];
		u32 id = k->path;
		struct path *p = bpf_map_lookup_elem(&paths, &id);
		if (!p || p->kind == PATH_NONE)
			return 0;
		if (p->kind == PATH_LOCAL && p->ifindex != c->ifindex)
			return 0;
		if (p->kind == PATH_NEIGH && (c->xdp || f->sinks_len > 1))
			return 0;
		if (c->xdp && p->kind != PATH_LINK)
			return 0;
		u32 size = k->family == 4 ? 28 : 48;
		if (k->kind == SINK_RAW)
			size += c->len;
		else
			size += c->plain_len + (k->kind == SINK_SRTP ? k->out.tag_len : 0);
		if (size > p->mtu)
			return 0;
		if (k->family == 6 && !c->check)
			return 0; /* a checksum is obligatory there, and cannot be mended from nothing */
	}
	return 1;
}

static inline_always void add_jitter(struct state *s, u64 now, const struct scratch *c, u32 hz)
{
	s64 elapsed = now - s->last_ns;
	if (!s->packets || s->pt != c->pt || elapsed < 0 || elapsed > 60000000000LL)
		return;
	s64 d = (u64)elapsed * hz / 1000000000ULL - (s64)(s32)(c->timestamp - s->timestamp);
	if (d < 0)
		d = -d;
	if (d > 10 * (s64)hz)
		return;
	s->jitter += (u32)d - ((s->jitter + 8) >> 4);
}

/*
 * admit decides about the packet in c. For SEND everything is taken and counted, and the plain packet stands in IN if f
 * asks for the payload.
 */
global_function int admit(struct scratch *c, const struct flow *f)
{
	if (!c || !f)
		return UP;
	u32 gen = f->gen;
	struct state *s = find(f);
	if (!s)
		return UP;

	u8 policy = f->policy;
	if (policy != SOURCE_IGNORE &&
	    (c->saddr[0] != f->peer[0] || c->saddr[1] != f->peer[1] || c->saddr[2] != f->peer[2] || c->saddr[3] != f->peer[3] ||
	     c->sport != f->peer_port)) {
		note(s, gen, NOTE_SOURCE);
		return policy == SOURCE_DROP ? DROP : UP;
	}
	if (c->refused || !(f->pts[c->pt >> 6 & 1] >> (c->pt & 63) & 1))
		goto up;

	u8 tag_len = f->in.on ? f->in.tag_len : 0;
	if (c->len < c->head_len + tag_len)
		goto up;
	c->plain_len = c->len - tag_len;
	if (!reachable(c, f))
		goto up;

	u64 index = 0;
	if (f->in.on) {
		c->verdict = SEND;
		bpf_spin_lock(&s->lock);
		index = guess(&s->in, c->seq);
		if (s->gen != gen || index <= s->in.floor || index >> 48) {
			c->verdict = UP;
		} else if (!fresh(&s->in, index)) {
			s->replayed++;
			c->verdict = DROP;
		}
		bpf_spin_unlock(&s->lock);
		if (c->verdict == UP)
			goto up;
		if (c->verdict == DROP)
			return DROP;
		u32 *tag = at(c, IN + c->plain_len);
		c->tag[0] = tag[0];
		c->tag[1] = tag[1];
		c->tag[2] = *(u16 *)(tag + 2);
		authenticate(c, &f->in, IN, c->plain_len, index >> 16);
		u32 wrong = c->tag[0] ^ htonl(c->h[0]);
		if (tag_len > 4)
			wrong |= (c->tag[1] ^ htonl(c->h[1])) | (c->tag[2] ^ htons((u16)(c->h[2] >> 16)));
		if (wrong) {
			note(s, gen, NOTE_TAG);
			return UP;
		}
		if (f->in.rounds) {
			u32 off = IN + c->head_len;
			crypt(c, &f->in, index, off | off << 16, c->plain_len - c->head_len);
		}
	}

	u32 clock_hz = f->clock_hz;
	u64 now = clock_hz ? bpf_ktime_get_ns() : bpf_ktime_get_coarse_ns();
	u32 n = f->sinks_len;
	/* In memory, where the verifier does not follow their values: it would walk each of their histories. */
	c->skip = 0;
	c->verdict = SEND;
	bpf_spin_lock(&s->lock);
	if (s->gen != gen) {
		c->verdict = UP;
	} else if (f->in.on && !fresh(&s->in, index)) {
		s->replayed++; /* its twin was faster, on another CPU */
		c->verdict = DROP;
	}
	for (u32 i = 0; i < MAX_SINKS; i++) {
		if (i >= n)
			break;
		if (f->sinks[i].kind != SINK_SRTP)
			continue;
		u64 out = guess(&s->sinks[i].out, c->seq);
		c->index[i] = out;
		if (out <= s->sinks[i].out.floor || out >> 48)
			c->verdict = UP;
		else if (!fresh(&s->sinks[i].out, out))
			c->skip |= 1 << i;
	}
	if (c->verdict == SEND) {
		if (!f->in.on)
			index = guess(&s->in, c->seq);
		mark(&s->in, s->in.window, index);
		if (clock_hz)
			add_jitter(s, now, c, clock_hz);
		s->packets++;
		s->bytes += c->len;
		s->last_ns = now;
		s->timestamp = c->timestamp;
		s->pt = c->pt;
		for (u32 i = 0; i < MAX_SINKS; i++) {
			if (i >= n)
				break;
			struct sink_state *o = &s->sinks[i];
			u8 kind = f->sinks[i].kind;
			if (c->skip >> i & 1) {
				o->errors++;
				continue;
			}
			u32 size = kind == SINK_RAW ? c->len : c->plain_len;
			if (kind == SINK_SRTP) {
				size += f->sinks[i].out.tag_len;
				mark(&o->out, o->out.window, c->index[i]);
			}
			o->packets++;
			o->bytes += size;
		}
	}
	bpf_spin_unlock(&s->lock);
	if (c->verdict != UP)
		return c->verdict;
up:
	give(c, f, s);
	return UP;
}

/* compose makes the payload for k, in OUT if that is SRTP, else in IN, and returns its length. i is the sink's number. */
global_function u32 compose(struct scratch *c, const struct sink *k, u32 i)
{
	if (!c || !k)
		return 0;
	u8 pt = c->pt, *second = at(c, IN + 1);
#pragma unroll
	for (int j = 0; j < MAX_PT_PAIRS; j++) {
		if (j < k->pt_pairs && k->pt_from[j] == c->pt)
			pt = k->pt_to[j];
	}
	*second = (*second & 0x80) | pt;
	u32 len = c->plain_len;
	if (k->kind != SINK_SRTP)
		return len;
	u32 *in = at(c, IN), *out = at(c, OUT), copy = k->out.rounds ? c->head_len : len;
	for (u32 j = 0; j < MAX_PAYLOAD / 4; j++) {
		if (j * 4 >= copy)
			break;
		out[j] = in[j];
	}
	u64 index = c->index[i & 7];
	if (k->out.rounds) {
		u32 from = IN + c->head_len, to = OUT + c->head_len;
		crypt(c, &k->out, index, from | to << 16, len - c->head_len);
	}
	authenticate(c, &k->out, OUT, len, index >> 16);
	u32 *tag = at(c, OUT + len);
	tag[0] = htonl(c->h[0]);
	if (k->out.tag_len > 4) {
		tag[1] = htonl(c->h[1]);
		*(u16 *)(tag + 2) = htons((u16)(c->h[2] >> 16));
	}
	return len + k->out.tag_len;
}

/* The headers; two bytes in front align them. A classifier writes all but the UDP checksum. */
struct head4 {
	u16 pad;
	u8 dmac[6], smac[6];
	u16 proto;
	u8 version, tos;
	u16 len;
	u32 fragment; /* id and offset */
	u8 ttl, protocol;
	u16 check;
	u16 saddr[2], daddr[2]; /* packed by hand: IP starts at a multiple of 4 */
	u16 sport, dport, udp_len, check_udp;
};

struct head6 {
	u16 pad;
	u8 dmac[6], smac[6];
	u16 proto;
	u32 version;
	u16 len;
	u8 next, hops;
	u32 saddr[4], daddr[4];
	u16 sport, dport, udp_len, check_udp;
};

#define HOPS 64

static inline_always void write_head4(struct head4 *h, const struct path *p, const struct sink *k, u32 len)
{
	__builtin_memcpy(h->dmac, p->dmac, 12);
	h->proto = htons(0x0800);
	h->version = 0x45;
	h->tos = k->tos;
	h->len = htons((u16)(20 + 8 + len));
	h->fragment = htonl(0x4000); /* do not fragment, so that the id says nothing: RFC 6864 section 4.1 */
	h->ttl = HOPS;
	h->protocol = 17;
	u32 saddr = k->saddr[3], daddr = k->daddr[3];
	h->saddr[0] = saddr, h->saddr[1] = saddr >> 16;
	h->daddr[0] = daddr, h->daddr[1] = daddr >> 16;
	h->check = ~fold16((u64)htons((u16)(0x4500 | k->tos)) + h->len + htons(0x4000) + htons(HOPS << 8 | 17) + saddr + daddr);
	h->sport = k->sport;
	h->dport = k->dport;
	h->udp_len = htons((u16)(8 + len));
}

static inline_always void write_head6(struct head6 *h, const struct path *p, const struct sink *k, u32 len)
{
	__builtin_memcpy(h->dmac, p->dmac, 12);
	h->proto = htons(0x86dd);
	h->version = htonl(6 << 28 | (u32)k->tos << 20);
	h->len = htons((u16)(8 + len));
	h->next = 17;
	h->hops = HOPS;
	__builtin_memcpy(h->saddr, k->saddr, 16);
	__builtin_memcpy(h->daddr, k->daddr, 16);
	h->sport = k->sport;
	h->dport = k->dport;
	h->udp_len = htons((u16)(8 + len));
}

/* change says how the checksum's parts change when the packet in c becomes one of len bytes with sum for k. */
static inline_always void change(struct scratch *c, const struct sink *k, u32 len, u32 sum, u32 *pseudo, u32 *rest)
{
	u32 udp_len = htons((u16)(8 + len));
	u32 now_pseudo = fold(sum_addr(k->saddr) + sum_addr(k->daddr) + udp_len);
	u32 now_ports = fold((u64)k->sport + k->dport + udp_len);
	*pseudo = fold((u64)now_pseudo + (u32)~c->now_pseudo);
	*rest = fold((u64)now_ports + (u32)~c->now_ports + sum + (u32)~c->now_sum);
	c->now_pseudo = now_pseudo;
	c->now_ports = now_ports;
	c->now_sum = sum;
}

/* emit sends the packet to sink number i, as a clone unless it is the last one. */
global_function int emit(struct __sk_buff *skb, struct scratch *c, const struct sink *k, u32 i, u32 is_last)
{
	if (!c || !k)
		return TC_SHOT;
	u32 id = k->path, len = c->len, sum = c->now_sum;
	struct path *p = bpf_map_lookup_elem(&paths, &id);
	if (!p)
		return TC_SHOT;
	u8 family = k->family, now_family = c->now_family;
	u32 ip_len = family == 4 ? 20 : 40;
	int composed = c->copied && k->kind != SINK_RAW;
	u32 off = k->kind == SINK_SRTP ? OUT : IN;
	if (composed) {
		len = compose(c, k, i);
		sum = sum_payload(c, off, len);
	}
	if (family != now_family) {
		if (bpf_skb_change_proto(skb, family == 4 ? htons(0x0800) : htons(0x86dd), 0))
			return TC_SHOT;
		c->now_family = family;
	}
	if (skb->len != 14 + ip_len + 8 + len) {
		if (bpf_skb_change_tail(skb, 14 + ip_len + 8 + len, 0))
			return TC_SHOT;
	}
	if (composed) {
		if (outside(len, MAX_PAYLOAD + 16))
			return TC_SHOT;
		if (bpf_skb_store_bytes(skb, 14 + ip_len + 8, at(c, off), bounded(len), 0))
			return TC_SHOT;
	}
	u32 pseudo, rest;
	change(c, k, len, sum, &pseudo, &rest);
	u64 flags = CSUM_KEEP_ZERO;
	if (family == 4) {
		struct head4 *h = (void *)c->head;
		write_head4(h, p, k, len);
		if (bpf_skb_store_bytes(skb, 0, h->dmac, 14 + 20 + 6, 0))
			return TC_SHOT;
	} else {
		struct head6 *h = (void *)c->head;
		write_head6(h, p, k, len);
		if (bpf_skb_store_bytes(skb, 0, h->dmac, 14 + 40 + 6, 0))
			return TC_SHOT;
		flags |= csum_v6;
	}
	if (bpf_l4_csum_replace(skb, 14 + ip_len + 6, 0, pseudo, flags | CSUM_PSEUDO) ||
	    bpf_l4_csum_replace(skb, 14 + ip_len + 6, 0, rest, flags))
		return TC_SHOT;

	u32 ifindex = p->ifindex;
	if (!is_last)
		return bpf_clone_redirect(skb, ifindex, 0) ? TC_SHOT : TC_OK;
	if (p->kind == PATH_NEIGH) {
		struct bpf_redir_neigh nh = {.nh_family = p->family == 4 ? AF_INET : AF_INET6};
		__builtin_memcpy(nh.nh, p->gateway, 16);
		return bpf_redirect_neigh(ifindex, &nh, sizeof(nh), 0);
	}
	return bpf_redirect(ifindex, 0);
}

/* rests reports whether userspace is gone. */
static inline_always int rests(void)
{
	if (!pulse_ns)
		return 0;
	u32 zero = 0;
	u64 *beat = bpf_map_lookup_elem(&pulse, &zero);
	/* The coarse clock may stand a tick before the fine one that beat was read from. */
	return !beat || (s64)(bpf_ktime_get_coarse_ns() - *beat) > (s64)pulse_ns;
}

struct tuple4 {
	u32 saddr, daddr;
	u16 sport, dport;
};

struct tuple6 {
	u32 saddr[4], daddr[4];
	u16 sport, dport;
};

/* guarded reports whether a UDP packet without flow is to be dropped. */
static inline_always int guarded(void *ctx, const struct flow_key *key, const u32 *saddr, u16 sport, int v4)
{
	u16 port = ntohs(key->port);
	if (!guard_rate || port < port_min || port > port_max || rests())
		return 0;
	void *sock;
	if (v4) {
		struct tuple4 t = {saddr[3], key->addr[3], sport, key->port};
		sock = bpf_sk_lookup_udp(ctx, &t, sizeof(t), -1, 0);
	} else {
		struct tuple6 t = {.sport = sport, .dport = key->port};
		__builtin_memcpy(t.saddr, saddr, 16);
		__builtin_memcpy(t.daddr, key->addr, 16);
		sock = bpf_sk_lookup_udp(ctx, &t, sizeof(t), -1, 0);
	}
	if (sock) {
		bpf_sk_release(sock);
		return 0;
	}
	u32 zero = 0;
	struct guard *g = bpf_map_lookup_elem(&guards, &zero);
	if (!g)
		return 0;
	u64 second = bpf_ktime_get_coarse_ns() / 1000000000;
	if (g->second != second) {
		g->second = second;
		g->allowed = 0;
	}
	if (g->allowed < guard_rate) {
		g->allowed++;
		g->passed++;
		return 0;
	}
	g->dropped++;
	return 1;
}

/* Where a packet's parts are, and what the flow table is asked for. */
struct parsed {
	struct flow_key key;
	u32 saddr[4];
	u16 sport, check;
	u32 payload; /* offset */
	u32 len;     /* bytes of the payload */
	u32 v4;
	u32 rtp; /* it may be RTP: first and second are there */
	u8 first, second;
	u16 seq;
	u32 timestamp;
};

/* parse reads the headers between data and end. size is the frame's length, which may be longer than that. 0: nothing
 * for us; -1: more bytes are needed in line, as many as *need. */
static inline_always int parse(void *data, void *end, u32 size, struct parsed *p, u32 *need)
{
	u8 *b = data;
	*need = 14 + 20 + 8;
	if (data + *need > end)
		return size < *need ? 0 : -1;
	u16 proto = *(u16 *)(b + 12);
	u32 udp;
	if (b[0] & 1)
		return 0;
	if (proto == htons(0x0800)) {
		const u32 *ip = data + 14; /* at an odd multiple of 2, as the kernel has it too */
		u32 total = ntohs(*(u16 *)(b + 16));
		if (b[14] != 0x45 || b[23] != 17 || (*(u16 *)(b + 20) & htons(0x3fff)) || 14 + total > size || total < 28)
			return 0;
		if (fold16((u64)ip[0] + ip[1] + ip[2] + ip[3] + ip[4]) != 0xffff)
			return 0;
		p->saddr[0] = p->saddr[1] = p->key.addr[0] = p->key.addr[1] = 0;
		p->saddr[2] = p->key.addr[2] = htonl(0xffff);
		p->saddr[3] = ip[3];
		p->key.addr[3] = ip[4];
		p->v4 = 1;
		p->len = total - 28;
		udp = 14 + 20;
	} else if (proto == htons(0x86dd)) {
		*need = 14 + 40 + 8;
		if (data + *need > end)
			return size < *need ? 0 : -1;
		u32 total = ntohs(*(u16 *)(b + 18));
		if (b[14] >> 4 != 6 || b[20] != 17 || 14 + 40 + total > size || total < 8)
			return 0;
		__builtin_memcpy(p->saddr, b + 22, 16);
		__builtin_memcpy(p->key.addr, b + 38, 16);
		p->v4 = 0;
		p->len = total - 8;
		udp = 14 + 40;
	} else {
		return 0;
	}
	u16 *ports = data + udp;
	if (ntohs(ports[2]) != p->len + 8)
		return 0;
	p->sport = ports[0];
	p->key.port = ports[1];
	p->check = ports[3];
	p->key.zero = 0;
	p->payload = udp + 8;
	p->rtp = 0;
	p->first = p->second = 0;
	p->seq = 0;
	p->timestamp = p->key.ssrc = 0;
	if (p->len < 12)
		return 1;
	*need = udp + 8 + 12;
	if (data + *need > end)
		return -1;
	u8 *r = data + udp + 8;
	if (r[0] >> 6 != 2 || (r[1] >= 192 && r[1] <= 223))
		return 1;
	p->first = r[0];
	p->second = r[1];
	p->seq = *(u16 *)(r + 2);
	p->timestamp = *(u32 *)(r + 4);
	p->key.ssrc = *(u32 *)(r + 8);
	p->rtp = 1;
	return 1;
}

/* begin fills in c from p. head_len does not count an extension. */
static inline_always void begin(struct scratch *c, const struct parsed *p)
{
	__builtin_memcpy(c->saddr, p->saddr, 16);
	c->sport = p->sport;
	c->check = p->check;
	c->len = p->len;
	c->head_len = 12 + 4 * (p->first & 15);
	c->pt = p->second & 0x7f;
	c->seq = ntohs(p->seq);
	c->timestamp = ntohl(p->timestamp);
	c->ssrc = ntohl(p->key.ssrc);
	c->now_family = p->v4 ? 4 : 6;
	u32 udp_len = htons((u16)(8 + p->len));
	c->now_pseudo = fold(sum_addr(p->saddr) + sum_addr(p->key.addr) + udp_len);
	c->now_ports = fold((u64)p->sport + p->key.port + udp_len);
	c->now_sum = 0;
	c->skip = 0;
}

/* forward is the classifier behind the parser. */
global_function int forward(struct __sk_buff *skb, struct scratch *c, const struct flow_key *key, u32 payload, u32 extended)
{
	if (!c || !key)
		return TC_NEXT;
	struct flow_key k = *key; /* older kernels want it on the stack */
	struct flow *f = bpf_map_lookup_elem(&flows, &k);
	if (!f)
		return TC_NEXT;
	if (extended) {
		u16 ext[2];
		if (bpf_skb_load_bytes(skb, payload + c->head_len, ext, 4))
			return TC_NEXT;
		c->head_len += 4 + 4 * (u32)ntohs(ext[1]);
	}
	c->ifindex = skb->ifindex;
	c->xdp = 0;
	u32 len = c->len;
	c->refused = f->copy && outside(len, MAX_PAYLOAD);
	c->copied = f->copy && !c->refused;
	if (c->copied) {
		if (bpf_skb_load_bytes(skb, payload, c->b + IN, bounded(len)))
			return TC_NEXT;
		c->now_sum = sum_payload(c, IN, len);
	}
	switch (admit(c, f)) {
	case UP:
		return TC_NEXT;
	case DROP:
		return TC_SHOT;
	}
	int action = TC_SHOT;
	u32 n = f->sinks_len;
	for (u32 i = 0; i < MAX_SINKS; i++) {
		if (i >= n)
			break;
		if (c->skip >> i & 1) {
			action = TC_SHOT;
			continue;
		}
		action = emit(skb, c, &f->sinks[i], i, i + 1 == n);
	}
	return action;
}

SEC("tc") int relay_tc(struct __sk_buff *skb)
{
	/* A tag belongs to the VLAN interface, where the program sits too. Merged packets are for the stack to split. */
	if (skb->vlan_present || skb->pkt_type || skb->gso_size)
		return TC_NEXT;
	struct parsed p = {};
	u32 need;
	int ok = parse((void *)(u64)skb->data, (void *)(u64)skb->data_end, skb->len, &p, &need);
	if (ok < 0) {
		if (bpf_skb_pull_data(skb, skb->len < 74 ? skb->len : 74))
			return TC_NEXT;
		ok = parse((void *)(u64)skb->data, (void *)(u64)skb->data_end, skb->len, &p, &need);
	}
	if (ok <= 0)
		return TC_NEXT;
	int action = TC_NEXT;
	if (p.rtp && !rests() && (p.check || p.v4)) {
		u32 zero = 0;
		struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
		if (!c)
			return TC_NEXT;
		begin(c, &p);
		action = forward(skb, c, &p.key, p.payload, p.first & 0x10);
	}
	if (action == TC_NEXT && guarded(skb, &p.key, p.saddr, p.sport, p.v4))
		return TC_SHOT;
	return action;
}

/* emit_xdp is emit for the one sink that there is here. */
global_function int emit_xdp(struct xdp_md *x, struct scratch *c, const struct sink *k)
{
	if (!c || !k)
		return XDP_DROP;
	u32 id = k->path, len = c->len, sum = c->now_sum;
	struct path *p = bpf_map_lookup_elem(&paths, &id);
	if (!p)
		return XDP_DROP;
	int composed = c->copied && k->kind != SINK_RAW;
	u32 off = k->kind == SINK_SRTP ? OUT : IN;
	if (composed) {
		len = compose(c, k, 0);
		sum = sum_payload(c, off, len);
	}
	u8 family = k->family;
	u32 ip_len = family == 4 ? 20 : 40;
	if (family != c->now_family) {
		if (bpf_xdp_adjust_head(x, family == 4 ? 20 : -20))
			return XDP_DROP;
	}
	int delta = (int)len - (int)c->room;
	if (delta && bpf_xdp_adjust_tail(x, delta))
		return XDP_DROP;
	if (composed) {
		if (outside(len, MAX_PAYLOAD + 16))
			return XDP_DROP;
		if (bpf_xdp_store_bytes(x, 14 + ip_len + 8, at(c, off), bounded(len)))
			return XDP_DROP;
	}
	u32 pseudo, rest;
	change(c, k, len, sum, &pseudo, &rest);
	u16 check = c->check;
	if (check) {
		check = ~fold16((u64)(u16)~check + pseudo + rest);
		if (!check)
			check = 0xffff;
	}
	if (family == 4) {
		struct head4 *h = (void *)c->head;
		write_head4(h, p, k, len);
		h->check_udp = check;
		if (bpf_xdp_store_bytes(x, 0, h->dmac, 14 + 20 + 8))
			return XDP_DROP;
	} else {
		struct head6 *h = (void *)c->head;
		write_head6(h, p, k, len);
		h->check_udp = check;
		if (bpf_xdp_store_bytes(x, 0, h->dmac, 14 + 40 + 8))
			return XDP_DROP;
	}
	if (p->ifindex == c->ifindex)
		return XDP_TX;
	return bpf_redirect(p->ifindex, 0);
}

/* forward_xdp is forward for flows with one sink; others go on to relay_tc. */
global_function int forward_xdp(struct xdp_md *x, struct scratch *c, const struct flow_key *key, u32 payload, u32 extended)
{
	if (!c || !key)
		return XDP_PASS;
	struct flow_key k = *key;
	struct flow *f = bpf_map_lookup_elem(&flows, &k);
	if (!f || f->sinks_len > 1)
		return XDP_PASS;
	if (extended) {
		u16 ext[2];
		if (bpf_xdp_load_bytes(x, payload + c->head_len, ext, 4))
			return XDP_PASS;
		c->head_len += 4 + 4 * (u32)ntohs(ext[1]);
	}
	c->ifindex = x->ingress_ifindex;
	c->xdp = 1;
	u32 len = c->len;
	c->refused = f->copy && outside(len, MAX_PAYLOAD);
	c->copied = f->copy && !c->refused;
	if (c->copied) {
		if (bpf_xdp_load_bytes(x, payload, c->b + IN, bounded(len)))
			return XDP_PASS;
		c->now_sum = sum_payload(c, IN, len);
	}
	switch (admit(c, f)) {
	case UP:
		return XDP_PASS;
	case DROP:
		return XDP_DROP;
	}
	if (c->skip || !f->sinks_len)
		return XDP_DROP;
	return emit_xdp(x, c, &f->sinks[0]);
}

SEC("xdp") int relay_xdp(struct xdp_md *x)
{
	struct parsed p = {};
	u32 need, size = x->data_end - x->data;
	if (parse((void *)(u64)x->data, (void *)(u64)x->data_end, size, &p, &need) <= 0)
		return XDP_PASS;
	int action = XDP_PASS;
	if (p.rtp && !rests() && (p.check || p.v4)) {
		u32 zero = 0;
		struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
		if (!c)
			return XDP_PASS;
		begin(c, &p);
		c->room = size - p.payload;
		action = forward_xdp(x, c, &p.key, p.payload, p.first & 0x10);
	}
	if (action == XDP_PASS && guarded(x, &p.key, p.saddr, p.sport, p.v4))
		return XDP_DROP;
	return action;
}

struct close_request {
	u8 ethernet[14]; /* what the kernel wants of a packet */
	u8 pad[2];
	u32 slot, gen;
};

/* relay_close is run by userspace alone. After it nobody here changes the state of the slot. */
SEC("tc") int relay_close(struct __sk_buff *skb)
{
	struct close_request *r = (void *)(u64)skb->data;
	if ((void *)(r + 1) > (void *)(u64)skb->data_end)
		return TC_SHOT;
	u32 slot = r->slot, gen = r->gen;
	struct state *s = bpf_map_lookup_elem(&states, &slot);
	if (!s)
		return TC_SHOT;
	int action = TC_SHOT;
	bpf_spin_lock(&s->lock);
	if (s->gen == gen) {
		s->gen = 0;
		action = TC_OK;
	}
	bpf_spin_unlock(&s->lock);
	return action;
}
