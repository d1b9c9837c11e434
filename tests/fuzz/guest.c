/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/guest.h"

#include <errno.h>
#include <time.h>

static u64 clock_ns;

/* What base/loop.c calls in these builds (fuzz.mk). */
int fuzz_clock_gettime(clockid_t id, struct timespec *ts);

int fuzz_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = (struct timespec){ .tv_sec = (time_t)(clock_ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(clock_ns % NSEC_PER_SEC) };
	return 0;
}

void guest_clock_advance(u64 ns)
{
	clock_ns += ns;
}

static void bus_begin(struct guest *f)
{
	struct fakeguest *g = &f->g;
	struct vmbus_config bus = { .mem = &g->mem,
				    .port = &g->port,
				    .control = &g->control,
				    .io = g->io_list,
				    .io_count = g->io_count,
				    .chaos = f->chaos.rate ? &f->chaos : NULL };

	FUZZ_CHECK(!vmbus_init(&g->bus, &bus));
}

/* All that fg_init() makes anew is made anew, but loops and RAM. */
static void guest_reset(struct fakeguest *g)
{
	memset(g->mem.region[0].host, 0, GUEST_RAM);
	memset((void *)g->interrupts, 0, sizeof(g->interrupts));
	for (unsigned i = 0; i < FG_BINDINGS; i++)
		g->binding[i].fd = -1;
	g->message_count = g->refuse_posts = g->posts_refused = 0;
	g->slot_held = g->synic_off = g->slot_free_owed = g->scatter = false;
	g->bind_error = 0;
	g->version = g->target_vp = g->features = g->features_got = g->open_connection_id = 0;
	g->interrupt_page = g->monitor_page[0] = g->monitor_page[1] = 0;
	g->open_event_flag = g->msg_vtl = 0;
	g->modify_unawaited = false;
	g->msg_conn_id = VMBUS_MESSAGE_CONNECTION_ID;
	g->msg_sint = VMBUS_SINT;
	g->offer_count = 0;
	g->next_gpadl = 1;
	g->next_page = 8 * GUEST_PAGE_SIZE;
}

struct guest *guest_begin(void)
{
	static struct guest *f;

	if (!f) {
		struct fg_config config = { .memory = GUEST_RAM, .io_count = 2, .vp_count = 4 };

		f = calloc(1, sizeof(*f));
		FUZZ_CHECK(f && !fg_init(&f->g, &config));
		vmbus_fini(f->g.bus);
	}
	clock_ns = NSEC_PER_SEC;
	memset(f->ch, 0, sizeof(f->ch));
	f->tampered = false;
	f->chaos = (struct chaos){ 0 };
	guest_reset(&f->g);
	bus_begin(f);
	return f;
}

/* Delays that guest_op_turn() sees the end of. */
void guest_chaos(struct guest *f, u64 seed, u32 rate)
{
	vmbus_fini(f->g.bus);
	f->chaos = (struct chaos){ .seed = seed, .rate = rate, .delay_max_us = 2000 };
	bus_begin(f);
}

void guest_chaos_end(struct guest *f)
{
	f->chaos.rate = 0;
	/* One delay may have followed another. */
	for (int i = 0; i < 4; i++) {
		guest_clock_advance(2 * NSEC_PER_MSEC);
		fg_pump(&f->g);
	}
}

void guest_end(struct guest *f)
{
	fg_pump(&f->g);
	vmbus_fini(f->g.bus);
	f->g.bus = NULL;
}

u64 guest_pfn(struct fuzz_input *in)
{
	u8 pfn = fuzz_u8(in);

	return pfn < 2 * GUEST_PAGES - 8 ? pfn % GUEST_PAGES : fuzz_value(in);
}

void guest_op_write(struct guest *f, struct fuzz_input *in)
{
	gpa_t gpa = fuzz_below(in, GUEST_PAGES) * GUEST_PAGE_SIZE + fuzz_u16(in) % GUEST_PAGE_SIZE;
	u32 len = fuzz_below(in, 64);
	u8 bytes[64];

	f->tampered = true;
	fuzz_bytes(in, bytes, len);
	gmem_write(&f->g.mem, gpa, bytes, len);
}

/* An index or size, mostly near what the ring has room for. */
static u32 ring_word(const struct fg_ring *r, struct fuzz_input *in)
{
	switch (fuzz_below(in, 4)) {
	case 0:
		return (u32)fuzz_value(in);
	case 1:
		return r->index + (u32)(s32)(int8_t)fuzz_u8(in) * RING_ALIGN;
	case 2:
		return r->size - RING_ALIGN * fuzz_u8(in);
	default:
		return RING_ALIGN * fuzz_u16(in) % r->size;
	}
}

void guest_op_tamper(struct guest *f, struct fg_channel *ch, struct fuzz_input *in)
{
	struct fg_ring *r = fuzz_below(in, 2) ? &ch->out : &ch->in;
	u8 bytes[32], kind = fuzz_u8(in);
	u32 len;

	if (!guest_has_rings(ch))
		return;
	f->tampered = true;
	switch (kind % 8) {
	case 0:
		r->header->write_index = ring_word(r, in);
		break;
	case 1:
		r->header->read_index = ring_word(r, in);
		break;
	case 2:
		r->header->interrupt_mask = (u32)fuzz_value(in);
		break;
	case 3:
		r->header->pending_send_sz = ring_word(r, in);
		break;
	case 4:
		r->header->feature_bits ^= 1;
		break;
	case 5:
		r->index = ring_word(r, in) % r->size;
		break;
	default:
		len = fuzz_below(in, sizeof(bytes));
		fuzz_bytes(in, bytes, len);
		fg_ring_poke(r, ring_word(r, in), bytes, len);
	}
}

void guest_op_packet(struct guest *f, struct fg_channel *ch, struct fuzz_input *in)
{
	static const u16 types[] = { VMBUS_PACKET_INBAND, VMBUS_PACKET_GPA_DIRECT,
				     VMBUS_PACKET_COMPLETION, VMBUS_PACKET_TRANSFER_PAGES };
	struct ring_descriptor d = { .type = types[fuzz_below(in, ARRAY_SIZE(types))],
				     .flags = fuzz_u8(in) & 1,
				     .trans_id = fuzz_value(in) };
	u32 head = fuzz_below(in, 12) * RING_ALIGN, size = fuzz_u8(in);
	u8 bytes[352];

	if (!guest_has_rings(ch))
		return;
	if (fuzz_rarely(in, 8)) {
		d.type = fuzz_u16(in);
		d.len8 = (u16)fuzz_value(in);
		d.offset8 = (u16)fuzz_value(in);
	}
	f->tampered = true;
	fuzz_bytes(in, bytes, head + size);
	fg_send_raw(ch, &d, bytes, head, bytes + head, size);
}

void guest_op_turn(struct guest *f, struct fuzz_input *in)
{
	u8 which = fuzz_u8(in) % 8;

	if (which == 7)
		guest_clock_advance(2 * NSEC_PER_MSEC);
	if (which < 3)
		loop_turn(which ? &f->g.io[which - 1] : &f->g.control, 0);
	else
		fg_pump(&f->g);
}

int guest_take(struct guest *f, struct fg_channel *ch, struct fg_packet *pkt)
{
	int got = guest_has_rings(ch) ? fg_recv(ch, f->packet, sizeof(f->packet), pkt) : 0;

	FUZZ_CHECK(f->tampered || got >= 0);
	return got == 1;
}
