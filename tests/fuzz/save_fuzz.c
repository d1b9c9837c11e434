/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved bus that nobody saved: the input is a stream behind its header, which is made to fit. It
 * is refused, and leaves nothing behind; or it is taken, and then what is saved of it again can be
 * taken too and says the same, packets flow, and the guest can unload. On the bus are devices that
 * echo, and a storage controller with a disk and a DVD drive.
 */
#include "devices/storvsp.h"
#include "tests/fuzz/guest.h"
#include "tests/vmbus/save_bed.h"

#define STREAM_MAX KiB(64)

#define DISK_SIZE KiB(64)

static struct save_bed bed;
static struct storvsp *storage;
static struct uring uring;
static struct stream_out unused; /* what the controller's units say that nobody has used */
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

static struct uring *uring_of(void *ctx, struct loop *loop)
{
	(void)ctx;
	(void)loop;
	return &uring;
}

static void storage_new(void)
{
	FUZZ_CHECK(!storvsp_init(&storage, 0, uring_of, NULL));
	FUZZ_CHECK(!storvsp_attach(storage, 0, disk_mem_open(DISK_SIZE, 512)));
	FUZZ_CHECK(!storvsp_attach_dvd(storage, STORVSP_UNIT(1, 2), NULL));
	FUZZ_CHECK(!vmbus_offer(bed.g.bus, storvsp_device(storage)));
}

static void host_new(void)
{
	struct storvsp *old = storage;

	save_new_host(&bed);
	storvsp_fini(old);
	storage_new();
}

static void hosts_init(void)
{
	save_bed_init(&bed);
	FUZZ_CHECK(!uring_init(&uring, &bed.g.io[0], 8));
	storage_new();
	storvsp_save_state(storvsp_device(storage), &unused);
}

/* Saved, taken and saved: the same. */
static void expect_stable(void)
{
	struct stream_out once = { 0 }, twice = { 0 };

	save(&once);
	host_new();
	FUZZ_CHECK(!vmbus_restore(bed.g.bus, once.bytes, once.len));
	save(&twice);
	FUZZ_CHECK(once.len == twice.len && !memcmp(once.bytes, twice.bytes, once.len));
	stream_free(&once);
	stream_free(&twice);
}

static void expect_nothing(void)
{
	const struct vmbus *bus = bed.g.bus;
	struct stream_out units = { 0 };

	storvsp_save_state(storvsp_device(storage), &units);
	FUZZ_CHECK(units.len == unused.len && !memcmp(units.bytes, unused.bytes, units.len));
	stream_free(&units);
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
		hosts_init();
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
	host_new();
	return 0;
}
