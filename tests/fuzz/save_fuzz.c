/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved bus that nobody saved: the input is a stream behind its header, which is made to fit. It
 * is refused, and leaves nothing behind; or it is taken, and then what is saved of it again can be
 * taken too and says the same, packets flow, and the guest can unload.
 */
#include "tests/fuzz/guest.h"
#include "tests/vmbus/save_bed.h"

#define STREAM_MAX KiB(64)

static struct save_bed bed;
static u8 stream[VMBUS_STATE_HEADER + STREAM_MAX];

/* Puts the header before len bytes. */
static void seal(u32 len)
{
	struct stream_out s = { .bytes = stream, .len = VMBUS_STATE_HEADER + len };

	memcpy(stream, VMBUS_STATE_MAGIC, VMBUS_STATE_MAGIC_SIZE);
	stream_patch_u32(&s, VMBUS_STATE_MAGIC_SIZE, VMBUS_STATE_VERSION);
	stream_patch_u64(&s, VMBUS_STATE_CRC_FROM, len);
	stream_patch_u32(&s, VMBUS_STATE_CRC_AT,
			 stream_crc32(stream + VMBUS_STATE_CRC_FROM, s.len - VMBUS_STATE_CRC_FROM));
}

static void save(struct stream_out *out)
{
	bed.g.bus->frozen = true;
	FUZZ_CHECK(!vmbus_save(bed.g.bus, out, NULL));
	bed.g.bus->frozen = false;
}

/* Saved, taken and saved: the same. */
static void expect_stable(void)
{
	struct stream_out once = { 0 }, twice = { 0 };

	save(&once);
	save_new_host(&bed);
	FUZZ_CHECK(!vmbus_restore(bed.g.bus, once.bytes, once.len));
	save(&twice);
	FUZZ_CHECK(once.len == twice.len && !memcmp(once.bytes, twice.bytes, once.len));
	stream_free(&once);
	stream_free(&twice);
}

static void expect_nothing(void)
{
	const struct vmbus *bus = bed.g.bus;

	FUZZ_CHECK(bus->state == CONNECTION_NONE && !bus->gpadls && !bus->gpadl_words);
	for (unsigned i = 0; i < FG_BINDINGS; i++)
		FUZZ_CHECK(bed.g.binding[i].fd < 0);
}

/* Devices let go of what they hold, the guest of everything but reserved channels. */
static void carry_on(void)
{
	const struct vmbus_msg_header unload = { .msgtype = VMBUS_MSG_UNLOAD };

	fg_pump(&bed.g);
	bed.g.message_count = 0;
	for (int i = 0; i < DEVICES; i++)
		bed.e[i].held_count = 0;
	FUZZ_CHECK(!fg_post_raw(&bed.g, VMBUS_MESSAGE_CONNECTION_ID, &unload, sizeof(unload)));
	fg_pump(&bed.g);
	FUZZ_CHECK(bed.g.bus->state == CONNECTION_NONE);
	for (const struct gpadl *g = bed.g.bus->gpadls; g; g = g->next)
		FUZZ_CHECK(bed.g.bus->channel[g->relid - 1]->reserved);
	bed.g.message_count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;

	if (size > STREAM_MAX)
		return 0;
	if (!made)
		save_bed_init(&bed);
	made = true;
	gmem_zero(&bed.g.mem, 0, gmem_size(&bed.g.mem));
	memcpy(stream + VMBUS_STATE_HEADER, data, size);
	seal((u32)size);
	if (vmbus_restore(bed.g.bus, stream, VMBUS_STATE_HEADER + size)) {
		expect_nothing();
		return 0;
	}
	expect_stable();
	carry_on();
	save_new_host(&bed);
	return 0;
}
