/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ethernet, ARP, IPv4, UDP and TCP for tests: frames built and taken apart by hand, checksums
 * included. Addresses and ports are in host byte order.
 */
#ifndef TESTS_DEVICES_PACKET_H
#define TESTS_DEVICES_PACKET_H

#include "base/types.h"

#define PACKET_MAX 1514

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* A station: who sends. */
struct station {
	u8 mac[6];
	u8 peer_mac[6]; /* where its frames go */
	u32 ip;
};

struct segment {
	u8 protocol; /* 17: UDP, 6: TCP, 1: ICMP (no ports) */
	u32 from, to;
	u16 from_port, to_port;
	u32 seq, ack; /* TCP */
	u8 flags;
	const u8 *data;
	u32 len;
};

/* Each returns the frame's length. */
u32 packet_arp_request(u8 *frame, const struct station *s, u32 ip);
u32 packet_arp_reply(u8 *frame, const struct station *s, u32 to);
u32 packet_segment(u8 *frame, const struct station *s, const struct segment *seg);

/* An ARP packet's operation (1: request, 2: reply) and its sender; false: it is none. */
bool packet_arp(const u8 *frame, u32 len, u16 *op, u32 *from, u32 *target, u8 mac[6]);

/* An IPv4 packet of the three protocols with a right header checksum; false: it is none. */
bool packet_parse(const u8 *frame, u32 len, struct segment *seg);

#endif
