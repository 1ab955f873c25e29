/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The few pieces of the kernel's interface that rtp.c needs. Written here instead of included, so that the object
 * depends on this folder and the compiler alone, and can be compared with what the source builds. All of it is fixed
 * ABI: field offsets of the contexts, numbers of the helpers and of their flags.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define inline_always inline __attribute__((always_inline))
#define global_function __attribute__((noinline))

#define map_uint(name, val) int(*name)[val]
#define map_type(name, val) typeof(val) *name

/* The context of a classifier. */
struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto;
	u32 priority, ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
	u32 napi_id, family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, data_meta;
	u64 flow_keys, tstamp;
	u32 wire_len, gso_segs;
	u64 sk;
	u32 gso_size;
};

/* The context of an XDP program. */
struct xdp_md {
	u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

/* Next hop of bpf_redirect_neigh. */
struct bpf_redir_neigh {
	u32 nh_family;
	u32 nh[4];
};

struct bpf_spin_lock {
	u32 val;
};

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_ARRAY = 6 };
enum { NO_PREALLOC = 1, MMAPABLE = 1 << 10 };
enum { TC_NEXT = -1, TC_OK = 0, TC_SHOT = 2 }; /* TC_NEXT: the next program of this hook, or the stack */
enum { XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3 };
enum { CSUM_PSEUDO = 1 << 4, CSUM_KEEP_ZERO = 1 << 5 };
enum { AF_INET = 2, AF_INET6 = 10 };

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_skb_store_bytes)(struct __sk_buff *, u32 off, const void *from, u32 len, u64 flags) = (void *)9;
static long (*const bpf_l4_csum_replace)(struct __sk_buff *, u32 off, u64 from, u64 to, u64 flags) = (void *)11;
static long (*const bpf_clone_redirect)(struct __sk_buff *, u32 ifindex, u64 flags) = (void *)13;
static long (*const bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*const bpf_skb_load_bytes)(const void *, u32 off, void *to, u32 len) = (void *)26;
static s64 (*const bpf_csum_diff)(const void *from, u32 from_size, const void *to, u32 to_size, u32 seed) = (void *)28;
static long (*const bpf_skb_change_proto)(struct __sk_buff *, u16 proto, u64 flags) = (void *)31;
static long (*const bpf_skb_change_tail)(struct __sk_buff *, u32 len, u64 flags) = (void *)38;
static long (*const bpf_skb_pull_data)(struct __sk_buff *, u32 len) = (void *)39;
static long (*const bpf_xdp_adjust_head)(struct xdp_md *, int delta) = (void *)44;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *, int delta) = (void *)65;
static void *(*const bpf_sk_lookup_udp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)85;
static long (*const bpf_sk_release)(void *sock) = (void *)86;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *) = (void *)94;
static long (*const bpf_redirect_neigh)(u32 ifindex, struct bpf_redir_neigh *, int size, u64 flags) = (void *)152;
static u64 (*const bpf_ktime_get_coarse_ns)(void) = (void *)160;
static long (*const bpf_xdp_load_bytes)(struct xdp_md *, u32 off, void *buf, u32 len) = (void *)189;
static long (*const bpf_xdp_store_bytes)(struct xdp_md *, u32 off, void *buf, u32 len) = (void *)190;
