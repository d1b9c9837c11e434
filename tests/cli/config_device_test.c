/* SPDX-License-Identifier: BSD-2-Clause */
/* --disk, --dvd and --net: what is accepted becomes, and how the rest is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cli/config_bed.h"

static void disks(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-k k -d a.img --disk b,ro --disk=c,ephemeral,format=raw -d d,,1.img,ro "
		       "-d ,,,ro -d e,format=auto");
	assert_int_equal(l.c.disk_count, 6);
	assert_string_equal(l.c.disk[0].path, "a.img");
	assert_false(l.c.disk[0].read_only || l.c.disk[0].ephemeral || l.c.disk[0].format);
	assert_string_equal(l.c.disk[1].path, "b");
	assert_true(l.c.disk[1].read_only);
	assert_string_equal(l.c.disk[2].path, "c");
	assert_true(l.c.disk[2].ephemeral && l.c.disk[2].format == DISK_RAW);
	assert_string_equal(l.c.disk[3].path, "d,1.img");
	assert_true(l.c.disk[3].read_only);
	assert_string_equal(l.c.disk[4].path, ",");
	assert_true(l.c.disk[4].read_only);
	assert_int_equal(l.c.disk[5].format, DISK_AUTO);
	config_fini(&l.c);
}

static void expect_place(const struct line *l, unsigned disk, bool ide, int controller, int target,
			 int lun)
{
	const struct config_place *place = &l->c.place[disk];

	assert_int_equal(place->ide, ide);
	assert_int_equal(place->controller, controller);
	assert_int_equal(place->target, target);
	assert_int_equal(place->lun, lun);
}

static void where_disks_are(void **state)
{
	static const struct bad bad[] = {
		{ "-k k -d a,lun=3 -d b,lun=3", "controller 0, target 0, LUN 3 is taken by b" },
		{ "-k k -d a,bus=ide -d b,bus=ide -d c,bus=ide -d d,bus=ide -d e,bus=ide",
		  "there is no room left on that bus" },
		{ "-k k -d a,controller=4", "0 to 3" },
		{ "-k k -d a,target=2", "0 to 1" },
		{ "-k k -d a,lun=64", "0 to 63" },
		{ "-k k -d a,lun=x", "0 to 63" },
		{ "-k k -d a,bus=ide,controller=2", "0 to 1" },
		{ "-k k -d a,bus=ide,lun=1", "no LUN but 0" },
		{ "-k k -d a,bus=fc", "scsi, ide" },
		{ "-k k -d a,queues=0", "1 to that of the vCPUs" },
		{ "-k k -d a,queues=x", "1 to that of the vCPUs" },
		{ "-k k -d a,queues=3 -c 2", "--disk a: queues=3 are more than the 2 vCPUs" },
		{ "-k k -c 2 --dvd b,queues=3", "--dvd b: queues=3 are more" },
		{ "-k k -c 2 -d a,bus=ide,queues=2", "one queue" },
	};
	struct line l;

	(void)state;
	parse_good(&l, "-k k -d a -d b,lun=0 -d c,controller=1 -d d,target=1 -d e,bus=ide "
		       "-d f,bus=ide,controller=0,target=0 -d g,controller=3,target=1,lun=63 -d h "
		       "-d i,bus=ide,target=1 -d j,bus=scsi,controller=1");
	expect_place(&l, 0, false, 0, 0, 1);
	expect_place(&l, 1, false, 0, 0, 0);
	expect_place(&l, 2, false, 1, 0, 0);
	expect_place(&l, 3, false, 0, 1, 0);
	expect_place(&l, 4, true, 0, 1, 0);
	expect_place(&l, 5, true, 0, 0, 0);
	expect_place(&l, 6, false, 3, 1, 63);
	expect_place(&l, 7, false, 0, 0, 2);
	expect_place(&l, 8, true, 1, 1, 0);
	expect_place(&l, 9, false, 1, 0, 1);
	config_fini(&l.c);
	parse_good(&l, "-k k -d a,queues=4 -d b -c 4");
	assert_int_equal(l.c.place[0].queues, 4);
	assert_int_equal(l.c.place[1].queues, 0);
	config_fini(&l.c);
	refuse_all(bad, ARRAY_SIZE(bad));
}

static void dvds(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-k k --dvd a.iso -d b --dvd=c,,1.iso,cache=none,controller=1");
	assert_int_equal(l.c.disk_count, 3);
	assert_string_equal(l.c.disk[0].path, "a.iso");
	assert_true(l.c.disk[0].dvd && l.c.disk[0].read_only);
	assert_int_equal(l.c.place[0].lun, 1);
	assert_false(l.c.disk[1].dvd || l.c.disk[1].read_only);
	assert_int_equal(l.c.place[1].lun, 0);
	assert_string_equal(l.c.disk[2].path, "c,1.iso");
	assert_true(l.c.disk[2].dvd && l.c.disk[2].cache == DISK_DIRECT);
	assert_int_equal(l.c.place[2].controller, 1);
	config_fini(&l.c);
}

static void how_disks_do_their_io(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l,
		   "-k k -d a,cache=none,aio=threads,logical_block=4096,lock=off "
		   "-d b.qcow2,format=qcow2,backing=on,cache=unsafe,aio=io_uring "
		   "-d c,iops=500,bps=100M,burst=2000,cache=writeback,lock=on,backing=off,aio=auto "
		   "-d nbd+unix:///x?socket=/a,,b,cache=unsafe,ro");
	assert_int_equal(l.c.disk[0].cache, DISK_DIRECT);
	assert_int_equal(l.c.disk[0].aio, DISK_AIO_THREADS);
	assert_int_equal(l.c.disk[0].logical_block, 4096);
	assert_true(l.c.disk[0].unlocked);
	assert_int_equal(l.c.disk[1].format, DISK_QCOW2);
	assert_true(l.c.disk[1].backing);
	assert_int_equal(l.c.disk[1].cache, DISK_UNSAFE);
	assert_int_equal(l.c.disk[1].aio, DISK_AIO_URING);
	assert_int_equal(l.c.disk[2].iops, 500);
	assert_int_equal(l.c.disk[2].bps, MiB(100));
	assert_int_equal(l.c.disk[2].burst_ms, 2000);
	assert_false(l.c.disk[2].unlocked || l.c.disk[2].backing || l.c.disk[2].aio);
	assert_string_equal(l.c.disk[3].path, "nbd+unix:///x?socket=/a,b");
	assert_int_equal(l.c.disk[3].cache, DISK_UNSAFE);
	config_fini(&l.c);
}

static void too_many_devices(void **state)
{
	char disk[] = "-dx", net[] = "-nuser", kernel[] = "-kk";
	char *argv[CONFIG_DISKS_MAX + 2] = { kernel };
	struct config c;
	char error[256];

	(void)state;
	for (int i = 1; i < CONFIG_DISKS_MAX + 2; i++)
		argv[i] = disk;
	assert_int_equal(config_parse(&c, CONFIG_DISKS_MAX + 1, argv, error, sizeof(error)), 0);
	config_fini(&c);
	assert_int_equal(config_parse(&c, CONFIG_DISKS_MAX + 2, argv, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "at most 64 disks"));
	config_fini(&c);
	for (int i = 1; i < CONFIG_NICS_MAX + 2; i++)
		argv[i] = net;
	assert_int_equal(config_parse(&c, CONFIG_NICS_MAX + 1, argv, error, sizeof(error)), 0);
	assert_int_equal(config_parse(&c, CONFIG_NICS_MAX + 2, argv, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "at most 8 NICs"));
}

static void nics(void **state)
{
	static const u8 mac[6] = { 0x52, 0x54, 0, 0x12, 0xaB, 0xcd };
	struct line l;

	(void)state;
	parse_good(&l, "-k k -n user,mac=52:54:00:12:aB:cd --net tap --net tap,name=tap0 -n fd=7");
	assert_int_equal(l.c.nic_count, 4);
	assert_int_equal(l.c.nic[0].kind, NIC_USER);
	assert_true(l.c.nic[0].mac_given);
	assert_memory_equal(l.c.nic[0].mac, mac, 6);
	assert_int_equal(l.c.nic[1].kind, NIC_TAP);
	assert_false(l.c.nic[1].mac_given);
	assert_string_equal(l.c.nic[1].tap_name, "");
	assert_string_equal(l.c.nic[2].tap_name, "tap0");
	assert_int_equal(l.c.nic[2].fd, -1);
	assert_int_equal(l.c.nic[3].kind, NIC_FD);
	assert_int_equal(l.c.nic[3].fd, 7);
	/* Its own default, one of a NIC that is not there, those of two the other way round. */
	parse_good(&l, "-k k -n user,mac=00:15:5d:ca:00:00 -n user,mac=00:15:5d:ca:00:02");
	parse_good(&l, "-k k -n user,mac=00:15:5d:ca:00:01 -n user,mac=00:15:5d:ca:00:00");
	parse_good(&l, "-k k -n none");
	assert_int_equal(l.c.nic_count, 0);
}

static void forwards(void **state)
{
	static const struct {
		const char *text;
		struct nic_hostfwd want;
	} rows[] = {
		{ "-k k -n user,hostfwd=2222-:22", { .host_port = 2222, .guest_port = 22 } },
		{ "-k k -n user,hostfwd=tcp::2222-:22", { .host_port = 2222, .guest_port = 22 } },
		{ "-k k -n user,hostfwd=::2222-:22", { .host_port = 2222, .guest_port = 22 } },
		{ "-k k -n user,hostfwd=udp::53-:5353",
		  { .udp = true, .host_port = 53, .guest_port = 5353 } },
		{ "-k k -n user,hostfwd=tcp:127.0.0.1:65535-10.0.2.15:1",
		  { .host_addr = 0x0100007f,
		    .host_port = 65535,
		    .guest_addr = 0x0f02000a,
		    .guest_port = 1 } },
	};
	struct line l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct nic_hostfwd *got = &l.c.nic[0].hostfwd[0], *want = &rows[i].want;

		parse_good(&l, rows[i].text);
		assert_int_equal(l.c.nic[0].hostfwd_count, 1);
		assert_int_equal(got->udp, want->udp);
		assert_int_equal(got->host_addr, want->host_addr);
		assert_int_equal(got->host_port, want->host_port);
		assert_int_equal(got->guest_addr, want->guest_addr);
		assert_int_equal(got->guest_port, want->guest_port);
	}
	parse_good(&l, "-k k -n user,hostfwd=1-:1,mac=02:00:00:00:00:01,hostfwd=udp::2-:2");
	assert_int_equal(l.c.nic[0].hostfwd_count, 2);
}

static void bad_disks(void **state)
{
	static const struct bad rows[] = {
		{ "-k k -d ,ro", "the name of an image file is needed" },
		{ "-k k --disk=", "the name of an image file is needed" },
		{ "-k k -d a,", "'' is none of ro" },
		{ "-k k -d a,b.img", "'b.img' is none of ro, ephemeral, format=, cache=" },
		{ "-k k -d a,b.img", "a comma in a file name is written twice (,,)" },
		{ "-k k -d a,ro=on", "ro takes no value" },
		{ "-k k -d a,format", "format needs a value: format=..." },
		{ "-k k -d a,lun", "lun needs a value: lun=..." },
		{ "-k k -d a,ro,ro", "ro is given twice" },
		{ "-k k -d a,iops=1,bps=4K,iops=2", "iops is given twice" },
		{ "-k k -d a,lun=1,lun=2", "lun is given twice" },
		{ "-k k -d a,ro,ephemeral", "exclude each other" },
		{ "-k k -d a,format=qed", "format=qed is none of auto, raw, qcow2, vhdx" },
		{ "-k k -d a,format=", "format= is none of auto" },
		{ "-k k -d a,cache=directsync", "is none of writeback, none, unsafe" },
		{ "-k k -d a,aio=native", "is none of auto, io_uring, threads" },
		{ "-k k -d a,logical_block=1024", "logical_block= is 512 or 4096" },
		{ "-k k -d a,lock=no", "lock=no is none of on, off" },
		{ "-k k -d a,backing=yes", "backing=yes is none of off, on" },
		{ "-k k -d a,backing=on,format=raw", "a raw disk has no backing file" },
		{ "-k k -d a,iops=0", "iops= wants" },
		{ "-k k -d a,iops=1k", "iops= wants" },
		{ "-k k -d a,bps=100", "bps= wants bytes a second, 4K to 931G" },
		{ "-k k -d a,bps=932G", "4K to 931G" },
		{ "-k k -d a,iops=1000000000001", "1 to 1000000000000" },
		{ "-k k -d a,bps=fast", "bps= wants" },
		{ "-k k -d a,burst=500", "burst= wants an iops= or bps= beside it" },
		{ "-k k -d a,iops=1,burst=5", "burst= wants milliseconds, 10 to" },
		{ "-k k -d nbd://h/x,format=qcow2", "are for images on this host" },
		{ "-k k -d nbd://h/x,cache=none", "are for images on this host" },
		{ "-k k -d nbds://h/x,aio=threads", "are for images on this host" },
		{ "-k k --dvd=x,ephemeral", "--dvd x,ephemeral: a DVD is never written" },
		{ "-k k --dvd=x,logical_block=4096", "a DVD is never written" },
		{ "-k k --dvd=x,bus=ide", "bus=ide has no DVD drives" },
	};

	(void)state;
	refuse_all(rows, ARRAY_SIZE(rows));
}

static void bad_nics(void **state)
{
	static const struct bad rows[] = {
		{ "-k k -n bridge", "-n bridge: give user, tap, fd=N or none" },
		{ "-k k -n none,mac=02:00:00:00:00:01", "give user, tap, fd=N or none" },
		{ "-k k -n none -n user", "--net none: contradicts" },
		{ "-k k -n fd=x", "fd= wants" },
		{ "-k k -n fd=2", "3 or more" },
		{ "-k k -n user,", "'' is not understood; this kind of network takes hostfwd" },
		{ "-k k -n user,name=x", "'name=x' is not understood" },
		{ "-k k -n tap,hostfwd=1-:1", "takes name=... and mac=..." },
		{ "-k k -n fd=3,name=x", "'name=x' is not understood" },
		{ "-k k -n tap,name=", "name= wants" },
		{ "-k k -n tap,name=a/b", "name= wants" },
		{ "-k k -n tap,name=sixteenletters16", "at most 15 letters" },
		{ "-k k -n user,mac=", "mac= wants six" },
		{ "-k k -n user,mac=02:00:00:00:00:01,hostfwd=1-:1,mac=02:00:00:00:00:02",
		  "mac is given twice" },
		{ "-k k -n user,mac=5", "mac= wants six" },
		{ "-k k -n user,mac=52:54:00:12:34", "mac= wants six" },
		{ "-k k -n user,mac=52:54:00:12:34:56:78", "mac= wants six" },
		{ "-k k -n user,mac=52-54-00-12-34-56", "mac= wants six" },
		{ "-k k -n user,mac=53:54:00:12:34:56", "an even first byte" },
		{ "-k k -n user,mac=00:00:00:00:00:00", "not all zero" },
		{ "-k k -n user -n user,mac=02:00:00:00:00:0a -n tap -n tap,mac=02:00:00:00:00:0A",
		  "--net: NICs 1 and 3 have the same mac=; give each its own" },
		/* What netvsp gives a NIC without mac= (nic_default_mac()) is an address, too. */
		{ "-k k -n user -n user,mac=00:15:5d:ca:00:00",
		  "--net: mac= of NIC 1 is the address that NIC 0 has by default; "
		  "give NIC 1 another, or NIC 0 a mac= of its own" },
		{ "-k k -n user,mac=00:15:5D:CA:00:01 -n user",
		  "--net: mac= of NIC 0 is the address that NIC 1 has by default; "
		  "give NIC 0 another, or NIC 1 a mac= of its own" },
		{ "-k k -n tap -n user,mac=00:15:5d:ca:00:03 -n tap -n fd=3",
		  "mac= of NIC 1 is the address that NIC 3 has" },
		{ "-k k -n user,hostfwd=", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=22-22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=0-:22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=22-:0", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=65536-:22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=sctp::22-:22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=tcp:22-:22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=tcp:host:22-:22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=tcp::22-1.2.3:22", "hostfwd= wants" },
		{ "-k k -n user,hostfwd=tcp::22-::22", "hostfwd= wants" },
	};

	(void)state;
	refuse_all(rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disks),
		cmocka_unit_test(where_disks_are),
		cmocka_unit_test(dvds),
		cmocka_unit_test(how_disks_do_their_io),
		cmocka_unit_test(too_many_devices),
		cmocka_unit_test(nics),
		cmocka_unit_test(forwards),
		cmocka_unit_test(bad_disks),
		cmocka_unit_test(bad_nics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
