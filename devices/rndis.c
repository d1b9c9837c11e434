/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet messages, [MS-RNDIS] 2.2.14. Of the per-packet information only the VLAN tag is used: no
 * offload is offered that would need another. Out-of-band data is ignored.
 */
#include "devices/rndis.h"

#include <errno.h>
#include <string.h>

#define BUF_MAX MiB(1)
/* Per-packet information a message may carry: far more than all known kinds together. */
#define INFO_MAX 1024u

#define ETHERTYPE_VLAN 0x8100u

int rndis_buf_grow(struct rndis_buf *buf, unsigned count)
{
	for (unsigned i = 0; i < count; i++, buf->count++) {
		size_t len = buf->iov[buf->count].iov_len;

		if (len > BUF_MAX - buf->size)
			return -EMSGSIZE;
		buf->size += (u32)len;
	}
	return 0;
}

static bool buf_contains(const struct rndis_buf *buf, u32 offset, u32 len)
{
	return offset <= buf->size && len <= buf->size - offset;
}

/* Finds the piece that holds offset, which becomes the offset inside it. */
static unsigned buf_seek(const struct rndis_buf *buf, size_t *offset)
{
	unsigned i = 0;

	while (i < buf->count && *offset >= buf->iov[i].iov_len)
		*offset -= buf->iov[i++].iov_len;
	return i;
}

int rndis_buf_copy(const struct rndis_buf *buf, u32 offset, void *dst, u32 len)
{
	size_t at = offset, left = len;
	u8 *out = dst;

	if (!buf_contains(buf, offset, len))
		return -EINVAL;
	for (unsigned i = buf_seek(buf, &at); left; i++, at = 0) {
		size_t n = MIN(buf->iov[i].iov_len - at, left);

		memcpy(out, (const u8 *)buf->iov[i].iov_base + at, n);
		out += n;
		left -= n;
	}
	return 0;
}

/* Appends [offset, offset + len), which lies inside buf, to the frame. */
static void frame_append(struct rndis_frame *frame, const struct rndis_buf *buf, u32 offset,
			 u32 len)
{
	size_t at = offset, left = len;

	for (unsigned i = buf_seek(buf, &at); left; i++, at = 0) {
		size_t n = MIN(buf->iov[i].iov_len - at, left);

		frame->iov[frame->count++] =
			(struct iovec){ .iov_base = (u8 *)buf->iov[i].iov_base + at, .iov_len = n };
		left -= n;
	}
	frame->len += len;
}

/*
 * Looks for a VLAN tag in the info_len bytes at info. 1: *tag is set; 0: none; -EINVAL: malformed.
 */
static int info_vlan(const struct rndis_buf *buf, u32 info, u32 info_len, u32 *tag)
{
	int found = 0;

	while (info_len >= sizeof(struct rndis_packet_info)) {
		struct rndis_packet_info pi;

		if (rndis_buf_copy(buf, info, &pi, sizeof(pi)) || pi.size < sizeof(pi) ||
		    pi.size > info_len)
			return -EINVAL;
		if (pi.type == RNDIS_INFO_VLAN) {
			if (pi.value_offset > pi.size || pi.size - pi.value_offset < sizeof(*tag) ||
			    rndis_buf_copy(buf, info + pi.value_offset, tag, sizeof(*tag)))
				return -EINVAL;
			found = 1;
		}
		info += pi.size;
		info_len -= pi.size;
	}
	return found;
}

/* Puts the frame's addresses and an 802.1Q tag into frame->head. */
static int frame_tag(struct rndis_frame *frame, const struct rndis_buf *buf, u32 data, u32 tag)
{
	u32 tci = (tag & 7) << 13 | (tag >> 3 & 1) << 12 | (tag >> 4 & 0xfff);

	if (rndis_buf_copy(buf, data, frame->head, 12))
		return -EINVAL;
	frame->head[12] = ETHERTYPE_VLAN >> 8;
	frame->head[13] = ETHERTYPE_VLAN & 0xff;
	frame->head[14] = (u8)(tci >> 8);
	frame->head[15] = (u8)tci;
	frame->iov[0] = (struct iovec){ .iov_base = frame->head, .iov_len = sizeof(frame->head) };
	frame->count = 1;
	frame->len = sizeof(frame->head);
	return 0;
}

/* body: where the message's body begins, body_len: what the message leaves for it. */
static int frame_build(struct rndis_frame *frame, const struct rndis_buf *buf, u32 body,
		       u32 body_len, const struct rndis_packet *p)
{
	u32 tag, taken = 0;
	int vlan = 0;

	if (p->data_offset > body_len || p->data_len > body_len - p->data_offset ||
	    p->data_len < RNDIS_ETHERNET_HEADER ||
	    p->data_len > RNDIS_FRAME_MAX - RNDIS_VLAN_HEADER)
		return -EINVAL;
	if (p->info_len) {
		if (p->info_offset > body_len || p->info_len > body_len - p->info_offset ||
		    p->info_len > INFO_MAX)
			return -EINVAL;
		vlan = info_vlan(buf, body + p->info_offset, p->info_len, &tag);
	}
	if (vlan > 0) {
		vlan = frame_tag(frame, buf, body + p->data_offset, tag);
		taken = 12;
	}
	if (vlan < 0)
		return -EINVAL;
	frame_append(frame, buf, body + p->data_offset + taken, p->data_len - taken);
	return 0;
}

int rndis_next_frame(struct rndis_buf *buf, struct rndis_frame *frame)
{
	u32 at = buf->used, left = buf->size - buf->used;
	struct rndis_header header;
	struct rndis_packet packet;

	frame->count = 0;
	frame->len = 0;
	if (!left)
		return 0;
	if (rndis_buf_copy(buf, at, &header, sizeof(header)) || header.type != RNDIS_PACKET ||
	    header.len > left || header.len < sizeof(header) + sizeof(packet) ||
	    rndis_buf_copy(buf, at + (u32)sizeof(header), &packet, sizeof(packet)))
		return -EINVAL;
	buf->used += header.len;
	if (frame_build(frame, buf, at + (u32)sizeof(header), header.len - (u32)sizeof(header),
			&packet))
		return -EINVAL;
	return 1;
}

void rndis_rx_header(struct rndis_rx_header *h, u32 len)
{
	*h = (struct rndis_rx_header){
		.header = { .type = RNDIS_PACKET, .len = RNDIS_RX_HEADER + len },
		.packet = { .data_offset = sizeof(struct rndis_packet), .data_len = len },
	};
}
