/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps and what stands in them. */
#pragma once

#include "srtp.h"

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
	u16 sport, dport; /* network order; the addresses are the path's */
	u32 path;         /* key in paths */
	u8 family;        /* 4 or 6 */
	u8 tos;
	u8 kind;
	u8 pt_pairs;
	u8 pt_from[MAX_PT_PAIRS], pt_to[MAX_PT_PAIRS];
	struct protection out;
};

enum { SOURCE_UP, SOURCE_DROP, SOURCE_IGNORE };

/* What to do with one SSRC at one local address. Immutable while its state, which has the same slot in states, has this
 * generation and does not wait. It is small, and what a packet to one sink needs of it stands together: in a busy relay each
 * packet is of another flow, which no cache has. */
struct flow {
	struct flow_key key;
	u32 gen;
	u32 peer[4];   /* the expected source, network order */
	u64 pts[2];    /* payload types that are forwarded, a bit each */
	u16 peer_port; /* network order */
	u8 policy;
	u8 sinks_len;
	u32 clock_hz; /* 0: no jitter wanted */
	struct protection in;
	u8 copy; /* the payload is needed, not only headers */
	u8 pad[3];
	struct sink sinks[MAX_SINKS];
};

struct sink_state {
	u64 packets, bytes, errors;
	struct progress out;
};

/* A flow waits at first: packets go up, and the newest of them is remembered (seen), until userspace has caught up with
 * it (relay_start). */
enum { WAITS_NOT, WAITS, WAITS_SEEN };

/* Everything that changes. All of it under the lock, and only while gen is that of the flow: userspace closes a flow by
 * setting gen to 0 under the lock (relay_close), and owns the state from then on. */
struct state {
	struct bpf_spin_lock lock;
	u32 gen;
	u32 pt, waits;
	u64 packets, bytes;
	u64 last_ns; /* CLOCK_MONOTONIC of the last packet */
	u32 timestamp, jitter; /* of the last packet; RFC 3550 section A.8, times 16 */
	struct progress in;
	struct sink_state sinks[MAX_SINKS];
	u64 up; /* packets of this flow left to userspace */
	u64 wrong_source, bad_tag, replayed;
	u64 seen; /* index of the newest packet that went up while the flow waited */
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
	u32 saddr[4], daddr[4]; /* of the packet, network order */
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
	map_type(value, u32);
	map_uint(max_entries, 1024);
} slots SEC(".maps");

/* By local port: the slot of the flow that was put in there last. Mostly it is the one that is looked for, and calls next to
 * each other share a line of the cache, while each look into slots waits for memory two times. */
struct {
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
	map_type(value, u32);
	map_uint(max_entries, 65536);
} hints SEC(".maps");

struct {
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
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
	map_uint(type, MAP_ARRAY);
	map_type(key, u32);
	map_type(value, struct path);
	map_uint(max_entries, 1024);
} paths SEC(".maps");

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
