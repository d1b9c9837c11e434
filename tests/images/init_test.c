/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests' init, as far as it is functions of bytes. The rest is proven by booting guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "images/init/command.h"
#include "images/init/modinfo.h"
#include "images/init/options.h"
#include "images/init/unpack.h"
#include "images/init/volume.h"

/* ---- Options */

static void options_default(void **state)
{
	char line[] = "BOOT_IMAGE=/vmlinuz console=ttyS0 quiet rdinit=/candela/init\n";
	struct options o;

	(void)state;
	options_parse(&o, line);
	assert_null(o.root);
	assert_null(o.root_type);
	assert_string_equal(o.root_flags, "");
	assert_string_equal(o.modules, "");
	assert_false(o.root_writable);
	assert_int_equal(o.root_wait_s, OPTIONS_ROOT_WAIT_S);
}

static void options_read(void **state)
{
	char line[] = "ro root=/dev/sda1 root=UUID=12-34 rootfstype=xfs,ext4 rw "
		      "rootflags=noatime,data=journal rootwait=5 modules_load=overlay,9p rootx=1";
	struct options o;

	(void)state;
	options_parse(&o, line);
	assert_string_equal(o.root, "UUID=12-34");
	assert_string_equal(o.root_type, "xfs,ext4");
	assert_string_equal(o.root_flags, "noatime,data=journal");
	assert_string_equal(o.modules, "overlay,9p");
	assert_true(o.root_writable);
	assert_int_equal(o.root_wait_s, 5);
}

static void options_quotes(void **state)
{
	char line[] = "a=\"root=no x\" \"root=LABEL=my disk\" rootflags=\"x y\" rootwait rw ro";
	struct options o;

	(void)state;
	options_parse(&o, line);
	assert_string_equal(o.root, "LABEL=my disk");
	assert_string_equal(o.root_flags, "x y");
	assert_int_equal(o.root_wait_s, UINT_MAX);
	assert_false(o.root_writable);
}

static void options_odd(void **state)
{
	char line[] = "root= rootwait=soon rootfstype= \"rw";
	char empty[] = "";
	struct options o;

	(void)state;
	options_parse(&o, line);
	assert_null(o.root);
	assert_null(o.root_type);
	assert_int_equal(o.root_wait_s, OPTIONS_ROOT_WAIT_S);
	assert_true(o.root_writable);
	options_parse(&o, empty);
	assert_null(o.root);
}

/* ---- Modules */

static const char modules_dep[] =
	"kernel/drivers/hv/hv_vmbus.ko.xz:\n"
	"kernel/drivers/scsi/hv_storvsc.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz\n"
	"no colon here ext4.ko\n"
	"kernel/fs/ext4.kox:\n"
	"kernel/crypto/crc32c-intel.ko:\n"
	"kernel/fs/ext4/ext4.ko.zst: kernel/fs/jbd2/jbd2.ko.zst";

static void assert_path(const char *name, const char *expected)
{
	size_t len = 0;
	const char *path = modinfo_path(modules_dep, name, &len);

	assert_non_null(path);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(path, expected, len);
}

static void module_path(void **state)
{
	size_t len;

	(void)state;
	assert_path("hv_vmbus", "kernel/drivers/hv/hv_vmbus.ko.xz");
	assert_path("hv-storvsc", "kernel/drivers/scsi/hv_storvsc.ko.xz");
	assert_path("crc32c_intel", "kernel/crypto/crc32c-intel.ko");
	assert_path("ext4", "kernel/fs/ext4/ext4.ko.zst");
	/* Only needed by others here, a part of a name, more than a name. */
	assert_null(modinfo_path(modules_dep, "scsi_mod", &len));
	assert_null(modinfo_path(modules_dep, "storvsc", &len));
	assert_null(modinfo_path(modules_dep, "hv_vmbus2", &len));
	assert_null(modinfo_path("", "ext4", &len));
}

static void module_depends(void **state)
{
	static const char image[] = "\177ELF\0license=GPL\0depends=jbd2,crc16,,mbcache\0name=x";
	static const char cut[] = { 0, 'd', 'e', 'p', 'e', 'n', 'd', 's', '=', 'x' };
	const char *list = modinfo_depends(image, sizeof(image));
	char name[MODINFO_NAME_MAX];

	(void)state;
	assert_true(modinfo_list_next(&list, name));
	assert_string_equal(name, "jbd2");
	assert_true(modinfo_list_next(&list, name));
	assert_string_equal(name, "crc16");
	assert_true(modinfo_list_next(&list, name));
	assert_string_equal(name, "mbcache");
	assert_false(modinfo_list_next(&list, name));
	assert_string_equal(modinfo_depends(image, 12), "");
	assert_string_equal(modinfo_depends(cut, sizeof(cut)), "");
	assert_string_equal(modinfo_depends("\0depends=", 10), "");
}

static void module_list_skips_long_names(void **state)
{
	char list[2 * MODINFO_NAME_MAX], name[MODINFO_NAME_MAX];
	const char *at = list;

	(void)state;
	memset(list, 'x', MODINFO_NAME_MAX);
	strcpy(list + MODINFO_NAME_MAX, ",ok");
	assert_true(modinfo_list_next(&at, name));
	assert_string_equal(name, "ok");
}

static void module_alias(void **state)
{
	const char *at = "# Aliases extracted from modules themselves.\n"
			 "alias fs-ext4 ext4\n"
			 "alias pci:v00008086d*sv*sd*bc*sc*i* e1000\n"
			 "alias crypto-crc32c crc32c_generic\n"
			 "alias broken\n"
			 "alias crypto-crc32c crc32c_intel";
	const char *pci = at;
	char module[MODINFO_NAME_MAX];

	(void)state;
	assert_true(modinfo_alias_next(&at, "crypto-crc32c", module));
	assert_string_equal(module, "crc32c_generic");
	assert_true(modinfo_alias_next(&at, "crypto-crc32c", module));
	assert_string_equal(module, "crc32c_intel");
	assert_false(modinfo_alias_next(&at, "crypto-crc32c", module));
	assert_true(modinfo_alias_next(&pci, "pci:v00008086d00001sv1sd2bc3sc4i5", module));
	assert_string_equal(module, "e1000");
}

/* ---- Compression */

/* Well compressible: the first guess of the unpacked size is too small. */
#define PLAIN_LEN (4 * 1024 * 1024)

static u8 *plain_make(void)
{
	u8 *plain = malloc(PLAIN_LEN);

	for (size_t i = 0; i < PLAIN_LEN; i++)
		plain[i] = (u8)(i / 1000);
	return plain;
}

static void assert_unpacks(const u8 *packed, size_t packed_len, const u8 *plain)
{
	void *out = NULL;
	size_t len = 0;

	assert_true(packed_len < PLAIN_LEN / 16);
	assert_int_equal(unpack(packed, packed_len, &out, &len), 0);
	assert_int_equal(len, PLAIN_LEN);
	assert_memory_equal(out, plain, PLAIN_LEN);
	free(out);
	/* The latter half is missing. */
	assert_true(unpack(packed, packed_len / 2, &out, &len) < 0);
}

static void unpack_xz(void **state)
{
	u8 *plain = plain_make(), *packed = malloc(PLAIN_LEN);
	size_t len = 0;

	(void)state;
	assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, plain, PLAIN_LEN,
						 packed, &len, PLAIN_LEN),
			 LZMA_OK);
	assert_unpacks(packed, len, plain);
	free(packed);
	free(plain);
}

static void unpack_zstd(void **state)
{
	u8 *plain = plain_make(), *packed = malloc(PLAIN_LEN);
	size_t len = ZSTD_compress(packed, PLAIN_LEN, plain, PLAIN_LEN, 3);

	(void)state;
	assert_false(ZSTD_isError(len));
	assert_unpacks(packed, len, plain);
	free(packed);
	free(plain);
}

static void unpack_gzip(void **state)
{
	u8 *plain = plain_make(), *packed = malloc(PLAIN_LEN);
	z_stream s = {
		.next_in = plain,
		.avail_in = PLAIN_LEN,
		.next_out = packed,
		.avail_out = PLAIN_LEN,
	};

	(void)state;
	assert_int_equal(deflateInit2(&s, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	assert_unpacks(packed, s.total_out, plain);
	deflateEnd(&s);
	free(packed);
	free(plain);
}

static void unpack_others(void **state)
{
	u8 damaged[64] = { 0xfd, '7', 'z', 'X', 'Z' };
	void *out;
	size_t len;

	(void)state;
	assert_int_equal(unpack("\177ELF", 4, &out, &len), -ENODATA);
	assert_int_equal(unpack("", 0, &out, &len), -ENODATA);
	assert_int_equal(unpack(damaged, sizeof(damaged), &out, &len), -EBADMSG);
}

/* ---- Volumes */

static const u8 uuid[16] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
			     0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00 };

static u8 head[VOLUME_HEAD];

static int head_clear(void **state)
{
	(void)state;
	memset(head, 0, sizeof(head));
	return 0;
}

static void assert_volume(const char *type, const char *label)
{
	struct volume v;

	assert_true(volume_identify(head, sizeof(head), &v));
	assert_string_equal(v.type, type);
	assert_string_equal(v.label, label);
	assert_string_equal(v.uuid, "11223344-5566-7788-99aa-bbccddeeff00");
}

static void volume_ext4(void **state)
{
	struct volume v;

	(void)state;
	memcpy(head + 0x438, "\x53\xef", 2);
	memcpy(head + 0x468, uuid, 16);
	memcpy(head + 0x478, "sixteen letters!x", 17);
	assert_volume("ext4", "sixteen letters!");
	assert_false(volume_identify(head, 0x43a, &v));
}

static void volume_xfs(void **state)
{
	(void)state;
	memcpy(head, "XFSB", 4);
	memcpy(head + 32, uuid, 16);
	memcpy(head + 108, "data", 4);
	assert_volume("xfs", "data");
}

static void volume_btrfs(void **state)
{
	(void)state;
	memcpy(head + 0x10040, "_BHRfS_M", 8);
	memcpy(head + 0x10020, uuid, 16);
	memcpy(head + 0x1012b, "pool", 4);
	assert_volume("btrfs", "pool");
}

static void volume_unknown(void **state)
{
	struct volume v;

	(void)state;
	assert_false(volume_identify(head, sizeof(head), &v));
	assert_false(volume_identify(head, 0, &v));
}

/* A GPT whose second entry is used; sector: 512 or 4096. */
static void gpt_make(size_t sector)
{
	u8 *gpt = head + sector;

	memcpy(gpt, "EFI PART", 8);
	gpt[72] = 2;
	gpt[80] = 128;
	gpt[84] = 128;
	memcpy(head + 2 * sector + 128 + 16, uuid, 16);
}

static void partition_gpt(void **state)
{
	const size_t sectors[] = { 512, 4096 };
	char text[VOLUME_UUID_TEXT];

	for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
		head_clear(state);
		gpt_make(sectors[i]);
		assert_true(volume_partition(head, sizeof(head), 2, text));
		assert_string_equal(text, "44332211-6655-8877-99aa-bbccddeeff00");
		assert_false(volume_partition(head, sizeof(head), 1, text));
		assert_false(volume_partition(head, sizeof(head), 0, text));
		assert_false(volume_partition(head, sizeof(head), 129, text));
		/* A table that lies elsewhere is not followed out of the buffer. */
		memset(head + sectors[i] + 72, 0xff, 16);
		assert_false(volume_partition(head, sizeof(head), 0xffffffff, text));
	}
}

static void partition_mbr(void **state)
{
	char text[VOLUME_UUID_TEXT];

	(void)state;
	memcpy(head + 440, "\xef\xbe\xad\xde", 4);
	assert_false(volume_partition(head, sizeof(head), 1, text));
	memcpy(head + 510, "\x55\xaa", 2);
	assert_true(volume_partition(head, sizeof(head), 1, text));
	assert_string_equal(text, "deadbeef-01");
	assert_false(volume_partition(head, 511, 1, text));
}

/* ---- The command */

static void command_line_splits(void **state)
{
	char text[] = "sh\0-c\0\0exit 7";
	char **argv = command_split(text, sizeof(text));

	(void)state;
	assert_non_null(argv);
	assert_string_equal(argv[0], "sh");
	assert_string_equal(argv[1], "-c");
	assert_string_equal(argv[2], "");
	assert_string_equal(argv[3], "exit 7");
	assert_null(argv[4]);
	free(argv);
	assert_null(command_split(text, 0));
	assert_null(command_split(text, sizeof(text) - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_default),
		cmocka_unit_test(options_read),
		cmocka_unit_test(options_quotes),
		cmocka_unit_test(options_odd),
		cmocka_unit_test(module_path),
		cmocka_unit_test(module_depends),
		cmocka_unit_test(module_list_skips_long_names),
		cmocka_unit_test(module_alias),
		cmocka_unit_test(unpack_xz),
		cmocka_unit_test(unpack_zstd),
		cmocka_unit_test(unpack_gzip),
		cmocka_unit_test(unpack_others),
		cmocka_unit_test_setup(volume_ext4, head_clear),
		cmocka_unit_test_setup(volume_xfs, head_clear),
		cmocka_unit_test_setup(volume_btrfs, head_clear),
		cmocka_unit_test_setup(volume_unknown, head_clear),
		cmocka_unit_test_setup(partition_gpt, head_clear),
		cmocka_unit_test_setup(partition_mbr, head_clear),
		cmocka_unit_test(command_line_splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
