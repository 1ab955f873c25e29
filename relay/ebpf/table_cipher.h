/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* AES by tables. Their place in the caches depends on the key: --kernel-aes says who minds. */
#pragma once

/* AES tables, filled in by the loader: te[0][x] = (2s, s, s, 3s) with s = S(x); te[n] is te[0] turned right by n bytes. */
volatile const u32 te[4][256] = {};

/*
 * T is entry (word >> shift & 0xff) of table n. One base register and displacements serve all tables: the compiler would
 * load four bases again and again.
 */
#define T(n, word, shift) (*(const u32 *)(base + T_INDEX(word, shift) + (n)*1024))
#define T_INDEX(word, shift) ((shift) == 0 ? ((word) << 2 & 0x3fc) : ((word) >> ((shift) - 2) & 0x3fc))

static inline_always const u8 *aes_tables(void)
{
	const u8 *base = (const u8 *)te;
	asm volatile("" : "+r"(base));
	return base;
}

#define MIX(a, b, c, d, k) (T(0, a, 24) ^ T(1, b, 16) ^ T(2, c, 8) ^ T(3, d, 0) ^ (k))

#define ROUND(p)                                                                                                       \
	do {                                                                                                           \
		u32 a_ = MIX(s0, s1, s2, s3, t->rk[p]), b_ = MIX(s1, s2, s3, s0, t->rk[(p) + 1]);                       \
		u32 c_ = MIX(s2, s3, s0, s1, t->rk[(p) + 2]), d_ = MIX(s3, s0, s1, s2, t->rk[(p) + 3]);                 \
		s0 = a_, s1 = b_, s2 = c_, s3 = d_;                                                                    \
	} while (0)

#define LAST(a, b, c, d, k)                                                                                            \
	((T(2, a, 24) & 0xff000000) ^ (T(3, b, 16) & 0x00ff0000) ^ (T(0, c, 8) & 0x0000ff00) ^ (T(1, d, 0) & 0x000000ff) ^ (k))

/*
 * aes_begin computes what all blocks of a packet share: counters differ in the last byte alone, of which the first
 * round puts something into one word, and the second round one byte of that into each word. c->early is that word
 * and the four of the second round, without the counter's part.
 */
global_function int aes_begin(struct scratch *c, const struct transform *t)
{
	if (!c || !t)
		return -1;
	const u8 *base = aes_tables();
	u32 first = t->rounds > 12 ? 0 : t->rounds > 10 ? 8 : 16;
	const u32 *k = t->rk + first;
	u32 s0 = c->iv[0] ^ k[0], s1 = c->iv[1] ^ k[1], s2 = c->iv[2] ^ k[2], s3 = c->iv[3] ^ k[3];
	c->counter = s3 & 0xff;
	c->early[0] = T(0, s0, 24) ^ T(1, s1, 16) ^ T(2, s2, 8) ^ k[4];
	u32 n1 = MIX(s1, s2, s3, s0, k[5]), n2 = MIX(s2, s3, s0, s1, k[6]), n3 = MIX(s3, s0, s1, s2, k[7]);
	c->early[1] = T(1, n1, 16) ^ T(2, n2, 8) ^ T(3, n3, 0) ^ k[8];
	c->early[2] = T(0, n1, 24) ^ T(1, n2, 16) ^ T(2, n3, 8) ^ k[9];
	c->early[3] = T(0, n2, 24) ^ T(1, n3, 16) ^ T(3, n1, 0) ^ k[10];
	c->early[4] = T(0, n3, 24) ^ T(2, n1, 8) ^ T(3, n2, 0) ^ k[11];
	return 0;
}

/*
 * aes_block XORs 16 bytes at from with the key stream block number i, below 256, and writes them to to.
 * Source: FIPS 197; the tables are those of the Rijndael proposal, section 5.2.1.
 */
global_function int aes_block(struct scratch *c, const struct transform *t, u32 from, u32 to, u32 i)
{
	if (!c || !t)
		return -1;
	const u8 *base = aes_tables();
	u32 n = c->counter ^ i;
	n = c->early[0] ^ T(3, n, 0);
	u32 s0 = c->early[1] ^ T(0, n, 24), s1 = c->early[2] ^ T(3, n, 0);
	u32 s2 = c->early[3] ^ T(2, n, 8), s3 = c->early[4] ^ T(1, n, 16);
	if (t->rounds > 10) {
		if (t->rounds > 12) {
			ROUND(12);
			ROUND(16);
		}
		ROUND(20);
		ROUND(24);
	}
	ROUND(28);
	ROUND(32);
	ROUND(36);
	ROUND(40);
	ROUND(44);
	ROUND(48);
	ROUND(52);
	u32 *src = at(c, from), *dst = at(c, to);
	dst[0] = src[0] ^ htonl(LAST(s0, s1, s2, s3, t->rk[56]));
	dst[1] = src[1] ^ htonl(LAST(s1, s2, s3, s0, t->rk[57]));
	dst[2] = src[2] ^ htonl(LAST(s2, s3, s0, s1, t->rk[58]));
	dst[3] = src[3] ^ htonl(LAST(s3, s0, s1, s2, t->rk[59]));
	return 0;
}

/* encipher XORs what is behind the first done blocks of len bytes with the key stream of c->iv. */
static inline_always int encipher(struct scratch *c, const struct transform *t, u32 fromto, u32 len, u32 done)
{
	aes_begin(c, t);
	u32 from = fromto & 0xffff, to = fromto >> 16;
	for (u32 i = 0; i < MAX_PAYLOAD / 16; i++) {
		if (i < done)
			continue;
		if (i * 16 >= len)
			break;
		aes_block(c, t, from + i * 16, to + i * 16, i);
	}
	return 0;
}
