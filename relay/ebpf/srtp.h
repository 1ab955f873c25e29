/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * SRTP on the scratch buffer: AES in counter mode, HMAC-SHA1 from saved states, packet indices.
 *
 * Each global function is verified once, by itself, so that loops around it cost the verifier a handful of
 * instructions a round. Offsets are masked where they are used: the verifier then needs to know nothing about them.
 */
#pragma once

#include "kernel.h"

#define MAX_PAYLOAD 1536 /* bytes of a UDP payload that are transformed here; longer ones go up */

/* The regions of scratch.b. A message is followed by up to 76 bytes of hash padding. */
#define IN 0
#define OUT 2048
#define AUX 4096
#define STREAM 6144 /* key stream in the making */
#define OFFSETS 8191 /* mask of all offsets */

/* One direction of one key, expanded. What each packet needs comes first. */
struct transform {
	u32 inner[5], outer[5]; /* SHA-1 after the two key blocks of HMAC */
	u32 salt[4];            /* session salt, big-endian words, the last two bytes 0 */
	u32 rounds;             /* 10, 12 or 14; 0: not encrypted */
	u32 context;            /* its key in contexts; see kernel_cipher.h */
	u32 rk[60]; /* AES round keys, big-endian words, the last at the end: AES-128 starts at 16, AES-192 at 8 */
};

/* What a flow says of a transform. The rest lies apart: with it, what a packet needs of a flow would be strewn over pages. */
struct protection {
	u8 on;
	u8 rounds;  /* as in the transform */
	u8 tag_len; /* 4 or 10 */
	u8 pad;
	u32 ahead; /* its ring in aheads, plus 1; 0: none */
	u32 key;   /* in transforms */
};

struct {
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
	map_type(value, struct transform);
	map_uint(max_entries, 1024);
} transforms SEC(".maps");

/* What a CPU works on. One packet at a time: nothing interrupts a program on its CPU but what never runs one. */
struct scratch {
	u64 w[40]; /* SHA-1: message schedule, two words each */
	u32 h[5];
	u32 iv[4]; /* counter block, big-endian words */
	u32 counter, early[5]; /* see aes_begin */
	u32 slot, gen; /* of the flow */

	/* the packet as received, network order where it says so */
	u32 ssrc, timestamp;
	u32 len;      /* UDP payload */
	u32 room;     /* XDP: bytes behind the UDP header in the frame */
	u32 head_len; /* RTP header */
	u32 plain_len; /* RTP packet without tag */
	u16 seq, check; /* check as it stands in the packet */
	u16 sport;    /* network order */
	u8 pt, family;
	u32 saddr[4]; /* network order, IPv4 as ::ffff:0:0/96 */
	u32 ifindex;
	u8 xdp;       /* no clones and no neighbour look-up */
	u8 copied;    /* the payload stands in IN */
	u8 refused;   /* it has to go up, whatever the flow says */
	u8 pad;

	/* the packet as it stands now, network order */
	u32 now_family, now_sum, now_pseudo, now_ports;

	u32 skip; /* sinks that get nothing, a bit each */
	u32 verdict;
	u32 tag[3];
	u64 index[8]; /* outgoing SRTP index of each sink */
	u8 head[64]; /* headers being written */
	u8 b[8192 + 512];
};

struct {
	map_uint(type, MAP_PERCPU_ARRAY);
	map_type(key, u32);
	map_type(value, struct scratch);
	map_uint(max_entries, 1);
} scratches SEC(".maps");

#define htons(x) ((u16)__builtin_bswap16(x))
#define htonl(x) ((u32)__builtin_bswap32(x))
#define ntohs htons
#define ntohl htonl

static inline_always void *at(struct scratch *c, u32 off)
{
	return c->b + (off & OFFSETS);
}

#ifdef KERNEL_AES
#include "kernel_cipher.h"
#else
#include "table_cipher.h"
#endif

/*
 * Key stream that userspace has computed ahead, for the packets that come next. A stretch belongs to userspace while its
 * tag is 0, to a program while that is STRETCH_TAKEN, and else to whoever changes the tag first.
 */
enum { AHEAD = 8, AHEAD_BLOCKS = 11, STRETCH_TAKEN = 1 };

struct stretch {
	u64 tag;    /* generation of the flow, and the index modulo 2^32 */
	u32 blocks; /* as many are there */
	u32 pad;
	u64 key[2 * AHEAD_BLOCKS];
};

struct ahead {
	u64 last; /* index of the newest packet times 256, and how many blocks it needed */
	u64 hits;
	u64 pad[6];
	struct stretch at[AHEAD]; /* by index modulo AHEAD */
};

struct {
	map_uint(type, MAP_ARRAY);
	map_uint(map_flags, MMAPABLE);
	map_type(key, u32);
	map_type(value, struct ahead);
	map_uint(max_entries, 1024);
} aheads SEC(".maps");

/* apply XORs len bytes with what of their key stream is there, and returns how many blocks that were. */
global_function u32 apply(struct scratch *c, u32 ring, u64 index, u32 fromto, u32 len)
{
	if (!c)
		return 0;
	struct ahead *a = bpf_map_lookup_elem(&aheads, &ring);
	if (!a)
		return 0;
	u32 blocks = (len + 15) / 16, from = fromto & 0xffff, to = fromto >> 16;
	a->last = index << 8 | (blocks & 255);
	struct stretch *s = &a->at[index & (AHEAD - 1)];
	u64 tag = (u64)c->gen << 32 | (u32)index;
	if (s->tag != tag || __sync_val_compare_and_swap(&s->tag, tag, STRETCH_TAKEN) != tag)
		return 0;
	if (blocks > s->blocks)
		blocks = s->blocks;
	for (u32 i = 0; i < AHEAD_BLOCKS; i++) {
		if (i >= blocks)
			break;
		u64 *x = at(c, from + i * 16), *y = at(c, to + i * 16);
		y[0] = x[0] ^ s->key[2 * i];
		y[1] = x[1] ^ s->key[2 * i + 1];
	}
	a->hits++;
	__sync_lock_test_and_set(&s->tag, 0);
	return blocks > AHEAD_BLOCKS ? AHEAD_BLOCKS : blocks;
}

/*
 * crypt encrypts or decrypts len bytes from from to to under the packet index, and returns 0 when that was done. Up to
 * 15 bytes behind the end of to are overwritten. Source: RFC 3711 section 4.1.1.
 */
global_function int crypt(struct scratch *c, const struct protection *p, u64 index, u32 fromto, u32 len)
{
	if (!c || !p)
		return -1;
	u32 done = 0;
	if (p->ahead) {
		done = apply(c, p->ahead - 1, index, fromto, len);
		if (done * 16 >= len)
			return 0;
	}
	u32 key = p->key;
	struct transform *t = bpf_map_lookup_elem(&transforms, &key);
	if (!t)
		return -1;
	c->iv[0] = t->salt[0];
	c->iv[1] = t->salt[1] ^ c->ssrc;
	c->iv[2] = t->salt[2] ^ (u32)(index >> 16);
	c->iv[3] = t->salt[3] ^ (u32)(index << 16);
	return encipher(c, t, fromto, len, done);
}

#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))

/*
 * SHA_STEP takes the function and the constant of the round, and the word of the message schedule. What depends on the
 * round before, a, is added last: the others are ready by then.
 */
#define SHA_STEP(f, k, word)                                                                                           \
	do {                                                                                                           \
		u32 x_ = e + (k) + (u32)(word) + (f);                                                                  \
		asm volatile("" : "+r"(x_)::"memory");                                                                 \
		x_ += ROL(a, 5);                                                                                       \
		e = d, d = cc, cc = ROL(b, 30), b = a, a = x_;                                                         \
	} while (0)

#define SHA_WORD(n) (w[n] = ROL(w[(n) - 3] ^ w[(n) - 8] ^ w[(n) - 14] ^ w[(n) - 16], 1))

/*
 * SHA_PAIR is two words at once, number n and the next, of which n is even and at least 32: each word is also
 * that of 6, 16, 28 and 32 before, turned by two.
 */
#define SHA_PAIR(n)                                                                                                    \
	({                                                                                                             \
		u64 p_ = w2[(n) / 2 - 3] ^ w2[(n) / 2 - 8] ^ w2[(n) / 2 - 14] ^ w2[(n) / 2 - 16];                       \
		u64 q_ = p_ >> 30 & 0x0000000300000003;                                                                \
		p_ = p_ << 2 ^ q_ ^ q_ << 32;                                                                          \
		w2[(n) / 2] = p_;                                                                                      \
	})

#define CHOOSE (d ^ (b & (cc ^ d)))
#define PARITY (b ^ cc ^ d)
#define MAJORITY ((b & cc) | (d & (b | cc)))

#define SHA_STEPS(from, to, f, k)                                                                                      \
	_Pragma("unroll") for (int i = from; i < to; i += 2)                                                           \
	{                                                                                                              \
		u64 p_ = SHA_PAIR(i);                                                                                  \
		SHA_STEP(f, k, p_);                                                                                    \
		SHA_STEP(f, k, p_ >> 32);                                                                              \
	}

/* sha1_block takes the 64 bytes at off into c->h. Source: FIPS 180-4 section 6.1. */
global_function int sha1_block(struct scratch *c, u32 off)
{
	if (!c)
		return -1;
	u32 *src = at(c, off), *w = (u32 *)c->w;
	u64 *w2 = c->w;
	u32 a = c->h[0], b = c->h[1], cc = c->h[2], d = c->h[3], e = c->h[4];
#pragma unroll
	for (int i = 0; i < 16; i++) {
		u32 word = ntohl(src[i]);
		w[i] = word;
		SHA_STEP(CHOOSE, 0x5a827999, word);
	}
#pragma unroll
	for (int i = 16; i < 20; i++)
		SHA_STEP(CHOOSE, 0x5a827999, SHA_WORD(i));
#pragma unroll
	for (int i = 20; i < 32; i++)
		SHA_STEP(PARITY, 0x6ed9eba1, SHA_WORD(i));
	SHA_STEPS(32, 40, PARITY, 0x6ed9eba1)
	SHA_STEPS(40, 60, MAJORITY, 0x8f1bbcdc)
	SHA_STEPS(60, 80, PARITY, 0xca62c1d6)
	c->h[0] += a, c->h[1] += b, c->h[2] += cc, c->h[3] += d, c->h[4] += e;
	return 0;
}

/*
 * authenticate computes the tag over the len bytes at off and the rollover counter, into c->h. Up to 76 bytes behind
 * the message are overwritten. Source: RFC 3711 section 4.2.1, RFC 2104.
 */
global_function int authenticate(struct scratch *c, u32 key, u32 off, u32 len, u32 roc)
{
	if (!c || len > MAX_PAYLOAD)
		return -1;
	struct transform *t = bpf_map_lookup_elem(&transforms, &key);
	if (!t)
		return -1;
	u32 end = len + 4, total = (end + 9 + 63) & ~63;
	u64 *pad = at(c, off + end);
#pragma unroll
	for (int i = 0; i < 9; i++)
		pad[i] = 0;
	*(u8 *)pad = 0x80;
	*(u32 *)at(c, off + len) = htonl(roc);
	*(u32 *)at(c, off + total - 4) = htonl((64 + end) * 8);
#pragma unroll
	for (int i = 0; i < 5; i++)
		c->h[i] = t->inner[i];
	for (u32 i = 0; i < (MAX_PAYLOAD + 13 + 63) / 64; i++) {
		if (i * 64 >= total)
			break;
		sha1_block(c, off + i * 64);
	}
	u32 *aux = at(c, AUX);
#pragma unroll
	for (int i = 0; i < 5; i++) {
		aux[i] = htonl(c->h[i]);
		c->h[i] = t->outer[i];
	}
	aux[5] = htonl(0x80000000);
#pragma unroll
	for (int i = 6; i < 15; i++)
		aux[i] = 0;
	aux[15] = htonl((64 + 20) * 8);
	sha1_block(c, AUX);
	return 0;
}

/* How far one SSRC has come; relay/srtp has the same. */
struct progress {
	u64 highest;   /* packet index: rollover counter and sequence number */
	u64 window[2]; /* used here: bit i of window[0] is highest-i, of window[1] highest-64-i */
	u64 given[2];  /* given to userspace, likewise: it may use them still, we must not */
	u64 floor;     /* what is not above belongs to userspace */
	u64 started;   /* 0 or 1 */
};

/* guess is the index that seq most likely has, RFC 3711 section 3.3.1. */
static inline_always u64 guess(const struct progress *p, u16 seq)
{
	if (!p->started)
		return seq;
	u64 cycle = p->highest & ~0xffffULL;
	s32 top = p->highest & 0xffff, n = seq;
	if (top < 0x8000) {
		if (n - top > 0x8000 && cycle)
			cycle -= 0x10000;
	} else if (top - n > 0x8000) {
		cycle += 0x10000;
	}
	return cycle | seq;
}

/* bit reports whether the bit of an index is set in w, by its age. */
static inline_always int bit(const u64 *w, u64 age)
{
	return (age < 64 ? w[0] >> age : w[1] >> (age & 63)) & 1;
}

static inline_always int fresh(const struct progress *p, u64 index)
{
	if (!p->started || index > p->highest)
		return 1;
	u64 age = p->highest - index;
	return age < 128 && !bit(p->window, age) && !bit(p->given, age);
}

static inline_always void shift(u64 *w, u64 n)
{
	if (n < 64) {
		w[1] = w[1] << n | w[0] >> 1 >> (63 - n);
		w[0] = w[0] << n;
	} else {
		w[1] = n < 128 ? w[0] << (n & 63) : 0;
		w[0] = 0;
	}
}

/* mark sets the bit of an index in one of the two windows of p. */
static inline_always void mark(struct progress *p, u64 *w, u64 index)
{
	if (!p->started) {
		p->started = 1;
		p->highest = index;
	} else if (index > p->highest) {
		u64 n = index - p->highest;
		shift(p->window, n);
		shift(p->given, n);
		p->highest = index;
	}
	u64 age = p->highest - index;
	if (age < 64)
		w[0] |= 1ULL << age;
	else if (age < 128)
		w[1] |= 1ULL << (age & 63);
}
