/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is decided about a packet before it is sent. */
#pragma once

#include "table.h"

/* find is the flow of k, whose slot it puts into c. */
static inline_always struct flow *find(struct scratch *c, const struct flow_key *k)
{
	u32 port = ntohs(k->port), *slot = bpf_map_lookup_elem(&hints, &port);
	if (!slot)
		return 0;
	c->slot = *slot;
	struct flow *f = bpf_map_lookup_elem(&flows, slot);
	if (f && !((f->key.addr[0] ^ k->addr[0]) | (f->key.addr[1] ^ k->addr[1]) | (f->key.addr[2] ^ k->addr[2]) |
		   (f->key.addr[3] ^ k->addr[3]) | (f->key.ssrc ^ k->ssrc) | (f->key.port ^ k->port)))
		return f;
	slot = bpf_map_lookup_elem(&slots, k);
	if (!slot)
		return 0;
	c->slot = *slot;
	return bpf_map_lookup_elem(&flows, slot);
}

/* state_of is the state of the flow found; its lock is free. It does not wait for the flow to come from memory. */
static inline_always struct state *state_of(const struct scratch *c)
{
	u32 slot = c->slot;
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

/* hold leaves a packet to userspace if its flow waits, and reports whether it does. */
static inline_always int hold(const struct scratch *c, struct state *s, u32 gen)
{
	int held = 0;
	bpf_spin_lock(&s->lock);
	if (s->gen == gen && s->waits) {
		u64 index = guess(&s->in, c->seq);
		if (s->waits == WAITS || index > s->seen)
			s->seen = index;
		s->waits = WAITS_SEEN;
		s->up++;
		held = 1;
	}
	bpf_spin_unlock(&s->lock);
	return held;
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
		if (p->kind == PATH_NEIGH && f->sinks_len > 1)
			return 0;
		if (c->xdp && (p->kind != PATH_LINK || p->ifindex != c->ifindex))
			return 0; /* not every driver sends what another's program redirects to it */
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
	struct state *s = state_of(c);
	if (!s)
		return UP;
	c->gen = gen;
	if (s->gen != gen)
		return UP; /* closed: it is still found by the hint */

	u8 policy = f->policy;
	if (policy != SOURCE_IGNORE &&
	    (c->saddr[0] != f->peer[0] || c->saddr[1] != f->peer[1] || c->saddr[2] != f->peer[2] || c->saddr[3] != f->peer[3] ||
	     c->sport != f->peer_port)) {
		if (policy != SOURCE_DROP && c->xdp)
			return UP;
		note(s, gen, NOTE_SOURCE);
		return policy == SOURCE_DROP ? DROP : UP;
	}
	if (s->waits && (c->xdp || hold(c, s, gen)))
		return UP;
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
		if (authenticate(c, f->in.key, IN, c->plain_len, index >> 16))
			goto up;
		u32 wrong = c->tag[0] ^ htonl(c->h[0]);
		if (tag_len > 4)
			wrong |= (c->tag[1] ^ htonl(c->h[1])) | (c->tag[2] ^ htons((u16)(c->h[2] >> 16)));
		if (wrong) {
			if (!c->xdp)
				note(s, gen, NOTE_TAG);
			return UP;
		}
		if (f->in.rounds) {
			u32 off = IN + c->head_len;
			if (crypt(c, &f->in, index, off | off << 16, c->plain_len - c->head_len))
				goto up;
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
	if (!c->xdp)
		give(c, f, s);
	return UP;
}
