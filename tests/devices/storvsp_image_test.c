/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk that goes, or a medium that is changed, leaves its image to others. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"
#include "tests/unused_file.h"

#define LUN 1u /* the image's; the other one's is 0 */
#define DVD_BLOCK 2048u

static const struct disk_config kinds[] = {
	{ 0 },
	{ .cache = DISK_DIRECT },
	{ .cache = DISK_UNSAFE },
	{ .aio = DISK_AIO_THREADS },
	{ .ephemeral = true },
	{ .read_only = true },
	{ .iops = 100000 },
};

struct image {
	char path[64];
};

struct rig {
	struct bed *b;
	struct image image, other;
};

static void image_make(struct image *i)
{
	int fd;

	*i = (struct image){ .path = "/var/tmp/candela-image-XXXXXX" };
	fd = mkstemp(i->path);
	assert_int_equal(ftruncate(fd, BED_DISK_SIZE), 0);
	close(fd);
}

/* As disk_open() has them. NULL: not on this file system. */
static struct disk *image_open(const struct image *i, const struct disk_config *kind)
{
	struct disk_config config = *kind;
	struct disk *disk = NULL;
	char error[512];
	int err;

	config.path = i->path;
	config.loops = BED_LOOPS;
	err = disk_raw_open(&disk, &config, error, sizeof(error));
	if (err == -EINVAL && config.cache == DISK_DIRECT)
		return NULL;
	assert_int_equal(err, 0);
	if (config.ephemeral)
		assert_int_equal(disk_ephemeral_open(&disk, disk, error, sizeof(error)), 0);
	if (config.iops)
		assert_int_equal(disk_limit_open(&disk, disk, config.iops, 0, DISK_BURST_MS), 0);
	assert_int_equal(disk_meter_open(&disk, disk), 0);
	assert_false(file_unused(i->path));
	return disk;
}

static int setup(void **state)
{
	static struct rig r;

	r.b = bed_start(0);
	image_make(&r.image);
	image_make(&r.other);
	assert_int_equal(storvsp_attach(r.b->s, 0, image_open(&r.other, &kinds[0])), 0);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	bed_free(r->b);
	assert_true(file_unused_soon(r->other.path));
	assert_true(file_unused_soon(r->image.path));
	unlink(r->other.path);
	unlink(r->image.path);
	return 0;
}

/* ---- The guest ---- */

static int io_send(struct bed *b, struct fg_channel *ch, u64 id, u8 opcode, u8 lun, u32 bytes)
{
	struct vstor_packet p = bed_unit_ready(0, lun);
	u64 pfn = b->data / GUEST_PAGE_SIZE + (u64)(ch - b->ch);

	p.srb.cdb_length = 10;
	p.srb.cdb[0] = opcode;
	p.srb.data_transfer_length = bytes;
	if (opcode == SCSI_SYNCHRONIZE_CACHE_10)
		return fg_send(ch, id, &p, sizeof(p), true);
	scsi_put16(p.srb.cdb + 7, 1);
	return fg_send_pfns(ch, id, 0, bytes, &pfn, &p, sizeof(p));
}

/* The next answer on ch; what the host says of itself is passed over. */
static bool io_take(struct bed *b, struct fg_channel *ch, struct vstor_packet *p)
{
	struct fg_packet pkt;

	while (fg_recv(ch, b->buf, sizeof(b->buf), &pkt) == 1) {
		if (pkt.type != VMBUS_PACKET_COMPLETION)
			continue;
		memcpy(p, pkt.payload, sizeof(*p));
		return true;
	}
	return false;
}

/* Until it no longer ends with a unit attention. */
static void io_do(struct bed *b, struct fg_channel *ch, u8 opcode, u8 lun, u32 bytes)
{
	struct vstor_packet p;

	for (unsigned attentions = 0; attentions < 4; attentions++) {
		assert_int_equal(io_send(b, ch, 1, opcode, lun, bytes), 0);
		do
			fg_pump(&b->g);
		while (!io_take(b, ch, &p));
		if (p.srb.scsi_status == SCSI_GOOD)
			return;
		assert_int_equal(p.srb.sense_data[2] & 0xf, SCSI_UNIT_ATTENTION);
	}
	fail();
}

/* On all loops. */
static void use(struct bed *b, const struct disk_config *kind, u8 lun)
{
	for (unsigned i = 0; i <= BED_SUBS; i++) {
		io_do(b, &b->ch[i], SCSI_READ_10, lun, BED_BLOCK);
		if (kind->read_only)
			continue;
		io_do(b, &b->ch[i], SCSI_WRITE_10, lun, BED_BLOCK);
		io_do(b, &b->ch[i], SCSI_SYNCHRONIZE_CACHE_10, lun, 0);
	}
}

/* ---- One loop after the other ---- */

static void a_disk_goes(void **state)
{
	struct rig *r = *state;

	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct disk *disk = image_open(&r->image, &kinds[k]);

		if (!disk)
			continue;
		assert_int_equal(storvsp_attach(r->b->s, LUN, disk), 0);
		use(r->b, &kinds[k], LUN);
		assert_false(file_unused(r->image.path));
		assert_int_equal(storvsp_detach(r->b->s, LUN), 0);
		fg_pump(&r->b->g);
		assert_true(file_unused_soon(r->image.path));
		use(r->b, &kinds[0], 0);
	}
}

static void a_disk_goes_with_requests_under_way(void **state)
{
	struct rig *r = *state;
	struct bed *b = r->b;
	struct vstor_packet p;

	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct disk *disk = image_open(&r->image, &kinds[k]);

		if (!disk)
			continue;
		assert_int_equal(storvsp_attach(b->s, LUN, disk), 0);
		use(b, &kinds[k], LUN);
		for (unsigned i = 0; i <= BED_SUBS; i++)
			assert_int_equal(io_send(b, &b->ch[i], 1, SCSI_READ_10, LUN, BED_BLOCK), 0);
		for (unsigned i = 0; i < BED_LOOPS; i++)
			assert_int_equal(loop_turn(&b->g.io[i], 0), 0);
		assert_int_equal(storvsp_detach(b->s, LUN), 0);
		for (unsigned i = 0; i <= BED_SUBS; i++)
			do
				fg_pump(&b->g);
			while (!io_take(b, &b->ch[i], &p));
		fg_pump(&b->g);
		assert_true(file_unused_soon(r->image.path));
	}
}

static void a_medium_is_changed(void **state)
{
	static const struct disk_config dvd = { .read_only = true };
	struct rig *r = *state;
	struct bed *b = r->b;
	struct image second;

	image_make(&second);
	assert_int_equal(storvsp_attach_dvd(b->s, 2, image_open(&r->image, &dvd)), 0);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		io_do(b, &b->ch[i], SCSI_READ_10, 2, DVD_BLOCK);
	assert_int_equal(storvsp_change(b->s, 2, image_open(&second, &dvd)), 0);
	fg_pump(&b->g);
	assert_true(file_unused_soon(r->image.path));
	for (unsigned i = 0; i <= BED_SUBS; i++)
		io_do(b, &b->ch[i], SCSI_READ_10, 2, DVD_BLOCK);
	/* The guest takes it out, and the host away. */
	assert_int_equal(storvsp_eject(b->s, 2), 0);
	assert_false(file_unused(second.path));
	assert_int_equal(storvsp_change(b->s, 2, NULL), 0);
	fg_pump(&b->g);
	assert_true(file_unused_soon(second.path));
	unlink(second.path);
}

/* Grown, it is the same file still, and no other. */
static void a_disk_that_grew_goes(void **state)
{
	struct rig *r = *state;

	assert_int_equal(storvsp_attach(r->b->s, LUN, image_open(&r->image, &kinds[0])), 0);
	use(r->b, &kinds[0], LUN);
	assert_int_equal(truncate(r->image.path, 2 * BED_DISK_SIZE), 0);
	assert_int_equal(storvsp_resize(r->b->s, LUN, 2 * BED_DISK_SIZE), 0);
	use(r->b, &kinds[0], LUN);
	assert_int_equal(storvsp_detach(r->b->s, LUN), 0);
	fg_pump(&r->b->g);
	assert_true(file_unused_soon(r->image.path));
}

static void controller_gone(struct vmbus_device *dev)
{
	storvsp_fini(container_of(dev, struct storvsp, device));
}

static void the_controller_goes(void **state)
{
	struct rig *r = *state;
	struct vmbus_device *dev = storvsp_device(r->b->s);

	assert_int_equal(storvsp_attach(r->b->s, LUN, image_open(&r->image, &kinds[0])), 0);
	use(r->b, &kinds[0], LUN);
	assert_int_equal(fg_unload(&r->b->g), 0);
	assert_false(file_unused(r->image.path));
	r->b->s = NULL;
	dev->gone = controller_gone;
	vmbus_rescind(dev);
	fg_pump(&r->b->g);
	assert_true(file_unused_soon(r->image.path));
	assert_true(file_unused_soon(r->other.path));
}

/* ---- On threads ---- */

#define ROUNDS 14u
#define OUTSTANDING 32u

struct load {
	struct bed *b;
	unsigned out[1 + BED_SUBS]; /* requests each channel has under way */
	u64 answered;
	bool stop;
};

/* Keeps all channels busy with both disks, for so many answers more. */
static void load_go_on(struct load *l, u64 answers)
{
	static const u8 opcode[] = { SCSI_READ_10, SCSI_WRITE_10, SCSI_SYNCHRONIZE_CACHE_10 };
	struct vstor_packet p;

	for (u64 end = l->answered + answers; l->answered < end;) {
		for (unsigned i = 0; i <= BED_SUBS; i++) {
			while (!l->stop && l->out[i] < OUTSTANDING) {
				u8 code = opcode[l->out[i] % 16 ? l->out[i] % 2 : 2];

				if (io_send(l->b, &l->b->ch[i], 1, code, l->out[i] % 4 / 2,
					    code == SCSI_SYNCHRONIZE_CACHE_10 ? 0 : BED_BLOCK))
					break;
				l->out[i]++;
			}
			while (io_take(l->b, &l->b->ch[i], &p)) {
				l->out[i]--;
				l->answered++;
			}
		}
		fg_pump(&l->b->g);
	}
}

static void all_others_go_on(void **state)
{
	struct rig *r = *state;
	struct load l = { .b = r->b };

	assert_int_equal(fg_start_io(&r->b->g), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct disk *disk = image_open(&r->image, &kinds[round % ARRAY_SIZE(kinds)]);
		bool unused = false;

		if (!disk)
			continue;
		assert_int_equal(storvsp_attach(r->b->s, LUN, disk), 0);
		load_go_on(&l, 500);
		assert_int_equal(storvsp_detach(r->b->s, LUN), 0);
		for (unsigned tries = 0; !unused && tries < 10000; tries++) {
			load_go_on(&l, 20);
			unused = file_unused(r->image.path);
		}
		assert_true(unused || file_unused_soon(r->image.path));
	}
	l.stop = true;
	for (unsigned i = 0; i <= BED_SUBS; i++)
		while (l.out[i])
			load_go_on(&l, 1);
	fg_stop_io(&r->b->g);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_goes),         TEST(a_disk_goes_with_requests_under_way),
		TEST(a_medium_is_changed), TEST(a_disk_that_grew_goes),
		TEST(the_controller_goes), TEST(all_others_go_on),
	};

	return cmocka_run_group_tests_name("devices/storvsp_image", tests, NULL, NULL);
}
