/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/packet.h"

#include <string.h>

static void put16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static u16 get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static u32 get32(const u8 *p)
{
	return (u32)get16(p) << 16 | get16(p + 2);
}

static u32 sum(const u8 *p, u32 len, u32 start)
{
	for (u32 i = 0; i + 1 < len; i += 2)
		start += get16(p + i);
	return len & 1 ? start + (u32)(p[len - 1] << 8) : start;
}

static u16 fold(u32 s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (u16)~s;
}

static u32 arp(u8 *frame, const struct station *s, u16 op, const u8 *to_mac, u32 to)
{
	memset(frame, 0, 60);
	memcpy(frame, to_mac, 6);
	memcpy(frame + 6, s->mac, 6);
	put16(frame + 12, 0x0806);
	memcpy(frame + 14, (u8[]){ 0, 1, 8, 0, 6, 4 }, 6);
	put16(frame + 20, op);
	memcpy(frame + 22, s->mac, 6);
	put32(frame + 28, s->ip);
	if (op == 2)
		memcpy(frame + 32, to_mac, 6);
	put32(frame + 38, to);
	return 60;
}

u32 packet_arp_request(u8 *frame, const struct station *s, u32 ip)
{
	static const u8 all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return arp(frame, s, 1, all, ip);
}

u32 packet_arp_reply(u8 *frame, const struct station *s, u32 to)
{
	return arp(frame, s, 2, s->peer_mac, to);
}

bool packet_arp(const u8 *frame, u32 len, u16 *op, u32 *from, u32 *target, u8 mac[6])
{
	if (len < 42 || get16(frame + 12) != 0x0806)
		return false;
	*op = get16(frame + 20);
	memcpy(mac, frame + 22, 6);
	*from = get32(frame + 28);
	*target = get32(frame + 38);
	return true;
}

/* The transport header in front of seg->data; its length. */
static u32 transport(u8 *p, const struct segment *seg)
{
	u32 header = seg->protocol == 6 ? 20 : 8;

	memset(p, 0, header);
	if (seg->protocol == 1) {
		p[0] = 8; /* echo request */
		put16(p + 4, seg->from_port);
		return header;
	}
	put16(p, seg->from_port);
	put16(p + 2, seg->to_port);
	if (seg->protocol == 17) {
		put16(p + 4, header + seg->len);
		return header;
	}
	put32(p + 4, seg->seq);
	put32(p + 8, seg->ack);
	p[12] = 5 << 4;
	p[13] = seg->flags;
	put16(p + 14, 0xffff);
	return header;
}

u32 packet_segment(u8 *frame, const struct station *s, const struct segment *seg)
{
	u8 *ip = frame + 14, *body = ip + 20;
	u32 header = transport(body, seg), total = header + seg->len;
	u32 pseudo = seg->protocol == 1 ? 0 : seg->protocol + total;
	u8 *checksum = body + (seg->protocol == 6 ? 16 : seg->protocol == 17 ? 6 : 2);

	memcpy(frame, s->peer_mac, 6);
	memcpy(frame + 6, s->mac, 6);
	put16(frame + 12, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 20 + total);
	ip[8] = 64;
	ip[9] = seg->protocol;
	put32(ip + 12, seg->from);
	put32(ip + 16, seg->to);
	put16(ip + 10, fold(sum(ip, 20, 0)));
	if (seg->len)
		memcpy(body + header, seg->data, seg->len);
	if (pseudo)
		pseudo = sum(ip + 12, 8, pseudo);
	put16(checksum, fold(sum(body, total, pseudo)));
	return 34 + total;
}

bool packet_parse(const u8 *frame, u32 len, struct segment *seg)
{
	const u8 *ip = frame + 14, *body;
	u32 total, header;

	if (len < 42 || get16(frame + 12) != 0x0800 || ip[0] != 0x45 || fold(sum(ip, 20, 0)))
		return false;
	total = get16(ip + 2);
	if (total < 28 || total > len - 14)
		return false;
	body = ip + 20;
	*seg = (struct segment){ .protocol = ip[9],
				 .from = get32(ip + 12),
				 .to = get32(ip + 16),
				 .from_port = get16(body),
				 .to_port = get16(body + 2) };
	header = 8;
	if (seg->protocol == 6) {
		if (total < 40)
			return false;
		seg->seq = get32(body + 4);
		seg->ack = get32(body + 8);
		seg->flags = body[13];
		header = (u32)(body[12] >> 4) * 4;
	}
	if (total - 20 < header)
		return false;
	seg->data = body + header;
	seg->len = total - 20 - header;
	return true;
}
