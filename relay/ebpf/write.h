/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Payloads, headers and checksums of what is sent. */
#pragma once

#include "table.h"

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

/* compose makes the payload for k, in OUT if that is SRTP, else in IN, and returns its length, or 0. i is the sink's number. */
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
		if (crypt(c, &k->out, index, from | to << 16, len - c->head_len))
			return 0;
	}
	if (authenticate(c, k->out.key, OUT, len, index >> 16))
		return 0;
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
	u32 saddr = p->saddr[3], daddr = p->daddr[3];
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
	__builtin_memcpy(h->saddr, p->saddr, 16);
	__builtin_memcpy(h->daddr, p->daddr, 16);
	h->sport = k->sport;
	h->dport = k->dport;
	h->udp_len = htons((u16)(8 + len));
}

/* change says how the checksum's parts change when the packet in c becomes one of len bytes with sum for k on path p. */
static inline_always void change(struct scratch *c, const struct path *p, const struct sink *k, u32 len, u32 sum, u32 *pseudo,
				 u32 *rest)
{
	u32 udp_len = htons((u16)(8 + len));
	u32 now_pseudo = fold(sum_addr(p->saddr) + sum_addr(p->daddr) + udp_len);
	u32 now_ports = fold((u64)k->sport + k->dport + udp_len);
	*pseudo = fold((u64)now_pseudo + (u32)~c->now_pseudo);
	*rest = fold((u64)now_ports + (u32)~c->now_ports + sum + (u32)~c->now_sum);
	c->now_pseudo = now_pseudo;
	c->now_ports = now_ports;
	c->now_sum = sum;
}
