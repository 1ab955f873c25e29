/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Reading headers, and the guard of ports without flow. */
#pragma once

#include "write.h"

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
