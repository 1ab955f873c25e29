//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * rtp.c forwards RTP and SRTP where it arrives: as a classifier at the ingress of an interface (relay_tc), or before
 * that, where the driver does it natively (relay_xdp). doc.go says what userspace promises and gets.
 *
 * A packet is either understood completely and sent on, or left alone: whatever is unusual goes up untouched. All that
 * could stop it is asked before its indices are taken, in admit; after that it is sent or lost.
 */
#include "admit.h"
#include "parse.h"
#include "write.h"

/* What the kernel is told; the choice of Apache-2.0 is for those who use the source elsewhere. */
char __license[] SEC("license") = "GPL";

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
	change(c, p, k, len, sum, &pseudo, &rest);
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

/* forward is the classifier behind the parser. */
global_function int forward(struct __sk_buff *skb, struct scratch *c, const struct flow_key *key, u32 payload, u32 extended)
{
	if (!c || !key)
		return TC_NEXT;
	struct flow_key k = *key; /* older kernels want it on the stack */
	struct flow *f = find(c, &k);
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
	change(c, p, k, len, sum, &pseudo, &rest);
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
	return XDP_TX; /* reachable has seen to that */
}

/*
 * forward_xdp is forward for flows with one sink, out of the interface that the packet came by. All else goes on to relay_tc,
 * which decides anew: nothing is counted here of a packet that is passed.
 */
global_function int forward_xdp(struct xdp_md *x, struct scratch *c, const struct flow_key *key, u32 payload, u32 extended)
{
	if (!c || !key)
		return XDP_PASS;
	struct flow_key k = *key;
	struct flow *f = find(c, &k);
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
	if (!p.rtp || rests() || !(p.check || p.v4))
		return XDP_PASS;
	u32 zero = 0;
	struct scratch *c = bpf_map_lookup_elem(&scratches, &zero);
	if (!c)
		return XDP_PASS;
	begin(c, &p);
	c->room = size - p.payload;
	return forward_xdp(x, c, &p.key, p.payload, p.first & 0x10);
}

/* What userspace alone runs programs with: they change a state under its lock. */
struct request {
	u8 ethernet[14]; /* what the kernel wants of a packet */
	u8 pad[2];
	u32 slot, gen;
	u64 in, out[MAX_SINKS]; /* relay_start: the highest indices that userspace has used */
};

/* relay_close makes the state userspace's: nobody here changes it any more. */
SEC("tc") int relay_close(struct __sk_buff *skb)
{
	struct request *r = (void *)(u64)skb->data;
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

/*
 * relay_start ends a flow's waiting if userspace has handled the newest packet that went up. At that moment none is on
 * its way there, so that from the next one on each index, and the order of packets, is ours alone.
 */
SEC("tc") int relay_start(struct __sk_buff *skb)
{
	struct request *r = (void *)(u64)skb->data;
	if ((void *)(r + 1) > (void *)(u64)skb->data_end)
		return TC_SHOT;
	u32 slot = r->slot, gen = r->gen;
	u64 in = r->in;
	struct state *s = bpf_map_lookup_elem(&states, &slot);
	if (!s)
		return TC_SHOT;
	int action = TC_SHOT;
	bpf_spin_lock(&s->lock);
	if (s->gen == gen && s->waits == WAITS_SEEN && s->seen <= in) {
		s->waits = WAITS_NOT;
		s->in.floor = in;
		for (u32 i = 0; i < MAX_SINKS; i++)
			s->sinks[i].out.floor = r->out[i];
		action = TC_OK;
	}
	bpf_spin_unlock(&s->lock);
	return action;
}
