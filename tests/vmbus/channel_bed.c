/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

void probe_send(struct probe *p)
{
	static u8 bytes[VMBUS_PACKET_MAX];
	struct iovec iov = { .iov_base = bytes, .iov_len = p->send_size };

	for (; p->to_send; p->to_send--, p->sent++)
		if (channel_send(p->ch, VMBUS_PACKET_INBAND, false, p->sent, &iov, 1))
			break;
	if (p->to_send && p->when_full) {
		p->when_full(p->when_full_ctx);
		p->when_full = NULL;
	}
}

static int probe_open(struct vmbus_channel *ch)
{
	struct probe *p = channel_device(ch)->data;

	if (!channel_sub_index(ch))
		p->ch = ch;
	p->opened++;
	if (p->subs_at_open && !channel_sub_index(ch))
		channel_offer_subs(ch, p->subs_at_open);
	if (p->early)
		fg_send(p->early, 1, "x", 1, false);
	if (p->open_result)
		probe_send(p);
	return p->open_result;
}

static void probe_ready(struct vmbus_channel *ch)
{
	struct probe *p = channel_device(ch)->data;
	struct vmbus_packet pkt;
	unsigned taken = 0;
	int got;

	p->ready++;
	probe_send(p);
	while ((!p->quota || taken < p->quota) && (got = channel_recv(ch, p->buf, &pkt))) {
		p->bad += got == -EBADMSG;
		p->too_long += got == -EMSGSIZE;
		if (got < 0)
			continue;
		taken++;
		p->packets++;
		p->last_ranges = pkt.range_count;
		p->last_size = pkt.payload_size;
		if (p->journal && p->journal->count < JOURNAL_MAX)
			p->journal->id[p->journal->count++] = pkt.transaction_id;
	}
}

static void probe_close(struct vmbus_channel *ch)
{
	struct probe *p = channel_device(ch)->data;

	p->closed++;
	p->last_closed = ch;
	if (!p->hold_close)
		channel_closed(ch);
}

static const struct vmbus_device_ops ops = { .name = "probe",
					     .type = { { 0x44 } },
					     .packet_max = 4096,
					     .open = probe_open,
					     .ready = probe_ready,
					     .close = probe_close };

void probe_init(struct probe *p, u8 instance)
{
	memset(p, 0, sizeof(*p));
	p->dev = (struct vmbus_device){ .ops = &ops, .instance = { { instance } }, .data = p };
	p->send_size = 100;
}

const struct fg_offer *bed_offer(struct channel_bed *f, int n)
{
	return fg_offer_instance(&f->g, &f->p[n].dev.instance);
}

int bed_setup_closed(void **state)
{
	struct channel_bed *f = calloc(1, sizeof(*f));
	const struct fg_config config = { .memory = MiB(256) };

	*state = f;
	assert_int_equal(fg_init(&f->g, &config), 0);
	for (u8 i = 0; i < 2; i++) {
		probe_init(&f->p[i], i);
		assert_int_equal(vmbus_offer(f->g.bus, &f->p[i].dev), 0);
	}
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	return 0;
}

int bed_setup(void **state)
{
	struct channel_bed *f;

	bed_setup_closed(state);
	f = *state;
	for (u32 i = 0; i < ARRAY_SIZE(f->pfn); i++)
		f->pfn[i] = f->g.next_page / GUEST_PAGE_SIZE + i;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	fg_pump(&f->g);
	return 0;
}

unsigned bed_recv_all(struct channel_bed *f)
{
	unsigned n = 0;

	while (fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt) == 1)
		n++;
	return n;
}

u32 bed_open_status(struct channel_bed *f, u32 relid, u32 gpadl, u32 offset, u32 vp)
{
	struct vmbus_msg_open_channel msg = {
		.header.msgtype = VMBUS_MSG_OPEN_CHANNEL,
		.child_relid = relid,
		.openid = 77,
		.ringbuffer_gpadlhandle = gpadl,
		.target_vp = vp,
		.downstream_ringbuffer_pageoffset = offset,
	};
	struct vmbus_msg_open_result result;

	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_true(fg_take(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) > 0);
	assert_int_equal(result.child_relid, relid);
	assert_int_equal(result.openid, 77);
	return result.status;
}
