/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* AES by the kernel's own code: ecb(aes) over counter blocks. */
#pragma once

#define KFUNC __attribute__((section(".ksyms")))
#define KPTR __attribute__((btf_type_tag("kptr")))

struct bpf_crypto_ctx {
	u64 opaque;
};

struct bpf_dynptr {
	u64 opaque[2];
};

struct bpf_crypto_params {
	char type[14];
	u8 reserved[2];
	char algo[128];
	u8 key[256];
	u32 key_len;
	u32 authsize;
};

extern struct bpf_crypto_ctx *bpf_crypto_ctx_create(const struct bpf_crypto_params *, u32 size, int *err) KFUNC;
extern void bpf_crypto_ctx_release(struct bpf_crypto_ctx *) KFUNC;
extern int bpf_crypto_encrypt(struct bpf_crypto_ctx *, const struct bpf_dynptr *from, const struct bpf_dynptr *to,
			      const struct bpf_dynptr *iv) KFUNC;
static void *(*const bpf_kptr_xchg)(void *to, void *ptr) = (void *)194;
static long (*const bpf_dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *) = (void *)197;

/* Contexts lie apart from flows, which are copied about. */
struct context {
	struct bpf_crypto_ctx KPTR *ctx;
};

struct {
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
	map_type(value, struct context);
	map_uint(max_entries, 1024);
} contexts SEC(".maps");

/* encipher XORs what is behind the first done blocks of len bytes with the key stream of c->iv. */
global_function int encipher(struct scratch *mem, const struct transform *t, u32 fromto, u32 len, u32 done)
{
	if (!mem || !t)
		return -1;
	u32 zero = 0, id = t->context;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero); /* mem, of which the kernel knows that it stays */
	struct context *v = bpf_map_lookup_elem(&contexts, &id);
	if (!c || !v)
		return -1;
	struct bpf_crypto_ctx *ctx = v->ctx;
	if (!ctx)
		return -1;
	u32 from = fromto & 0xffff, to = fromto >> 16, n = 0;
	u32 iv0 = htonl(c->iv[0]), iv1 = htonl(c->iv[1]), iv2 = htonl(c->iv[2]), iv3 = c->iv[3];
	for (u32 i = 0; i < MAX_PAYLOAD / 16; i++) {
		if ((i + done) * 16 >= len)
			break;
		u32 *k = at(c, STREAM + i * 16);
		k[0] = iv0, k[1] = iv1, k[2] = iv2, k[3] = htonl(iv3 | (i + done));
		n = i + 1;
	}
	u64 size = n * 16;
	if (!size)
		return 0;
	asm volatile("%0 &= 2047" : "+r"(size));
	struct bpf_dynptr stream;
	if (bpf_dynptr_from_mem(c->b + STREAM, size, 0, &stream) || bpf_crypto_encrypt(ctx, &stream, &stream, 0))
		return -1;
	for (u32 i = 0; i < MAX_PAYLOAD / 16; i++) {
		if (i >= n)
			break;
		u64 *k = at(c, STREAM + i * 16);
		u64 *x = at(c, from + (i + done) * 16), *y = at(c, to + (i + done) * 16);
		y[0] = x[0] ^ k[0];
		y[1] = x[1] ^ k[1];
	}
	return 0;
}

/* What userspace runs relay_context with. */
struct keying {
	u32 id, key_len; /* 0: no key any more */
	s32 err;
	u8 key[32];
};

/* relay_context makes a context, or takes it away. */
SEC("syscall") int relay_context(struct keying *k)
{
	u32 id = k->id;
	struct context *v = bpf_map_lookup_elem(&contexts, &id);
	if (!v)
		return 1;
	struct bpf_crypto_ctx *ctx = 0;
	if (k->key_len) {
		struct bpf_crypto_params p = {.type = "skcipher", .algo = "ecb(aes)", .key_len = k->key_len};
		for (int i = 0; i < 32; i++)
			p.key[i] = k->key[i];
		int err = 0;
		ctx = bpf_crypto_ctx_create(&p, sizeof(p), &err);
		if (!ctx) {
			k->err = err;
			return 1;
		}
	}
	ctx = bpf_kptr_xchg(&v->ctx, ctx);
	if (ctx)
		bpf_crypto_ctx_release(ctx);
	return 0;
}
