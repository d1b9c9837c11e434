/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `candela run`: what is accepted becomes, and how the rest is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/config.h"

#define ARGS_MAX 24

/* A command line in one string, its arguments parted by blanks. */
struct line {
	struct config c;
	char text[512];
	char *argv[ARGS_MAX];
	char error[1024];
	int result;
};

static void parse(struct line *l, const char *text)
{
	int argc = 0;

	snprintf(l->text, sizeof(l->text), "%s", text);
	for (char *s = strtok(l->text, " "); s && argc < ARGS_MAX; s = strtok(NULL, " "))
		l->argv[argc++] = s;
	l->error[0] = '\0';
	l->result = config_parse(&l->c, argc, l->argv, l->error, sizeof(l->error));
}

static void parse_good(struct line *l, const char *text)
{
	parse(l, text);
	if (l->result)
		fail_msg("%s: %s", text, l->error);
}

/* What must stand in the one line of the error. */
struct bad {
	const char *text, *words;
};

static void refuse(const struct bad *row)
{
	struct line l;

	parse(&l, row->text);
	if (l.result != -EINVAL || !strstr(l.error, row->words) || strchr(l.error, '\n'))
		fail_msg("`%s` gave %d, \"%s\", not \"%s\"", row->text, l.result, l.error,
			 row->words);
	config_fini(&l.c);
}

static void defaults(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "--kernel vmlinuz");
	assert_string_equal(l.c.kernel, "vmlinuz");
	assert_null(l.c.initrd);
	assert_string_equal(l.c.append, "");
	assert_int_equal(l.c.cpus, 1);
	assert_int_equal(l.c.memory, MiB(512));
	assert_int_equal(l.c.disk_count, 0);
	assert_int_equal(l.c.nic_count, 0);
	assert_int_equal(l.c.console, CONSOLE_STDIO);
	assert_int_equal(l.c.hyperv.choice, HYPERV_AUTO);
	assert_int_equal(l.c.sandbox, SANDBOX_ON);
	assert_int_equal(l.c.timeout_s, 0);
	assert_false(l.c.reboot_exits);
	assert_int_equal(l.c.io_threads, 1);
	assert_null(l.c.result);
	assert_int_equal(l.c.debug_exit_port, -1);
	assert_int_equal(l.c.synic_test_port, -1);
	assert_string_equal(l.c.name, "candela");
	assert_false(l.c.force);
	assert_int_equal(l.c.verbosity, 0);
	assert_null(l.c.command);
	config_fini(&l.c);
}

static void long_options(void **state)
{
	static const char *const lines[] = {
		"--kernel k --initrd i --append a=b --cpus 4 --memory 2G --console file:/c "
		"--hyperv user --sandbox log --timeout 9 --on-reboot exit",
		"--kernel=k --initrd=i --append=a=b --cpus=4 --memory=2G --console=file:/c "
		"--hyperv=user --sandbox=log --timeout=9 --on-reboot=exit",
		"-k k -i i -a a=b -c 4 -m 2G --console file:/c --hyperv user --sandbox log "
		"--timeout 9",
		"-kk -ii -aa=b -c4 -m2097152k --console=file:/c --hyperv=user --sandbox=log "
		"--timeout=9",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct line l;

		parse_good(&l, lines[i]);
		assert_string_equal(l.c.kernel, "k");
		assert_string_equal(l.c.initrd, "i");
		assert_string_equal(l.c.append, "a=b");
		assert_int_equal(l.c.cpus, 4);
		assert_int_equal(l.c.memory, GiB(2));
		assert_int_equal(l.c.console, CONSOLE_FILE);
		assert_string_equal(l.c.console_path, "/c");
		assert_int_equal(l.c.hyperv.choice, HYPERV_USER);
		assert_int_equal(l.c.sandbox, SANDBOX_LOG);
		assert_int_equal(l.c.timeout_s, 9);
		assert_int_equal(l.c.reboot_exits, i < 2);
		config_fini(&l.c);
	}
}

static void further_options(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-k k --io 3 --result r.json --debug-exit 0xf4 --name web --force -vv");
	assert_int_equal(l.c.io_threads, 3);
	assert_string_equal(l.c.result, "r.json");
	assert_int_equal(l.c.debug_exit_port, 0xf4);
	assert_string_equal(l.c.name, "web");
	assert_true(l.c.force);
	assert_int_equal(l.c.verbosity, 2);
	parse_good(&l, "-k k -v -v -v");
	assert_int_equal(l.c.verbosity, 2);
	parse_good(&l, "-k k -q");
	assert_int_equal(l.c.verbosity, -1);
	parse_good(&l, "-k one -k two --cpus 1 --cpus 2");
	assert_string_equal(l.c.kernel, "two");
	assert_int_equal(l.c.cpus, 2);
	parse_good(&l, "-k k --console unix:/s");
	assert_int_equal(l.c.console, CONSOLE_UNIX);
	parse_good(&l, "-k k --console pty --sandbox strict --hyperv kernel");
	assert_int_equal(l.c.console, CONSOLE_PTY);
	assert_int_equal(l.c.sandbox, SANDBOX_STRICT);
	assert_int_equal(l.c.hyperv.choice, HYPERV_KERNEL);
	parse_good(&l, "--append= -k k --debug-exit 244 --synic-test-port 0x3000");
	assert_string_equal(l.c.append, "");
	assert_int_equal(l.c.debug_exit_port, 244);
	assert_int_equal(l.c.synic_test_port, 0x3000);
}

static void features(void **state)
{
	struct hyperv_switches want = { 0 };
	struct line l;
	char error[8];

	(void)state;
	parse_good(&l, "-k k");
	assert_memory_equal(&l.c.hyperv.switches, &want, sizeof(want));
	assert_false(l.c.hyperv.nested);
	parse_good(&l, "-k k --nested --hyperv-features hv-stimer,crash=off "
		       "--hyperv-features=time --hyperv-features crash");
	assert_int_equal(hyperv_switches_parse(&want, "stimer,crash,time", error, 8), 0);
	assert_memory_equal(&l.c.hyperv.switches, &want, sizeof(want));
	assert_int_equal(l.c.hyperv.choice, HYPERV_AUTO);
	assert_true(l.c.hyperv.nested);
}

static void traces(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-k k");
	assert_null(l.c.trace);
	parse_good(&l, "-k k --trace vmbus_gpadl_*,vmbus_?nload");
	assert_string_equal(l.c.trace, "vmbus_gpadl_*,vmbus_?nload");
	assert_null(l.c.trace_file);
	parse_good(&l, "-k k --trace * --trace=vmbus_*,-vmbus_signal_event:a:b,c");
	assert_string_equal(l.c.trace, "vmbus_*,-vmbus_signal_event:a:b,c");
	assert_string_equal(l.c.trace_file, "a:b,c");
}

static void chaos(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-k k");
	assert_false(l.c.chaos.on);
	parse_good(&l, "-k k --chaos 18446744073709551615");
	assert_true(l.c.chaos.on);
	assert_true(l.c.chaos.seed == UINT64_MAX);
	assert_int_equal(l.c.chaos.rate, 50);
	assert_null(l.c.chaos.log);
	parse_good(&l, "-k k --chaos 0x10,0,log=a,b");
	assert_int_equal(l.c.chaos.seed, 16);
	assert_int_equal(l.c.chaos.rate, 0);
	assert_string_equal(l.c.chaos.log, "a,b");
	parse_good(&l, "-k k --chaos 1,log=1");
	assert_int_equal(l.c.chaos.rate, 50);
	assert_string_equal(l.c.chaos.log, "1");
	assert_null(l.c.chaos.replay);
	parse_good(&l, "-k k --chaos 1,1000,log=f --chaos replay=a,b");
	assert_true(l.c.chaos.on);
	assert_null(l.c.chaos.log);
	assert_string_equal(l.c.chaos.replay, "a,b");
}

static void help_ends_the_parse(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-h");
	assert_true(l.c.help);
	parse_good(&l, "--cpus 2 --help --nonsense");
	assert_true(l.c.help);
	parse_good(&l, "-k k -- sh --help");
	assert_false(l.c.help);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		u64 bytes;
	} rows[] = {
		{ "-k k -m 16M", MiB(16) },      { "-k k -m 64G", GiB(64) },
		{ "-k k -m 512m", MiB(512) },    { "-k k -m 1g", GiB(1) },
		{ "-k k -m 524288K", MiB(512) }, { "-k k -m 536870912", MiB(512) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct line l;

		parse_good(&l, rows[i].text);
		assert_int_equal(l.c.memory, rows[i].bytes);
	}
}

static void command(void **state)
{
	struct line l;

	(void)state;
	parse_good(&l, "-k k -- make -j 2 --kernel x");
	assert_int_equal(l.c.command_count, 5);
	assert_string_equal(l.c.command[0], "make");
	assert_string_equal(l.c.command[4], "x");
	assert_string_equal(l.c.kernel, "k");
	assert_int_equal(l.c.console, CONSOLE_NONE);
	assert_true(l.c.reboot_exits);
	parse_good(&l, "-k k --on-io-error stop --on-io-error=report");
	assert_false(l.c.io_error_stops);
	parse_good(&l, "-k k --on-io-error stop");
	assert_true(l.c.io_error_stops);
	parse_good(&l, "-k k --console file:c --on-reboot restart -- true");
	assert_int_equal(l.c.console, CONSOLE_FILE);
	assert_false(l.c.reboot_exits);
}

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
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(&bad[i]);
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

static void bad_options(void **state)
{
	static const struct bad rows[] = {
		{ "", "--kernel: a kernel is needed" },
		{ "--initrd i", "--kernel: a kernel is needed" },
		{ "--kernle k", "--kernle: no such option; did you mean --kernel?" },
		{ "--mem 1G", "did you mean --memory?" },
		{ "--consol=pty", "did you mean --console?" },
		{ "--timout 4", "did you mean --timeout?" },
		{ "--reboot exit", "--reboot: no such option; `candela help run`" },
		{ "--controll x", "--controll: no such option; `candela help run`" },
		{ "--x", "--x: no such option; `candela help run`" },
		{ "--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "no such" },
		{ "-z", "-z: no such option" },
		{ "-vz", "-z: no such option" },
		{ "-kernel k", "long options have two dashes: --kernel" },
		{ "-m=1G", "-m =1G: not a size" },
		{ "-k", "-k: a value is needed" },
		{ "--kernel", "--kernel: a value is needed" },
		{ "--kernel -- true", "--kernel: a value is needed" },
		{ "--kernel=", "--kernel : the name of a file" },
		{ "--force=1 -k k", "--force: takes no value" },
		{ "vmlinuz", "vmlinuz: not an option" },
		{ "-k k - x", "-: not an option" },
		{ "-k k --", "--: the command to run in the guest is missing" },
		{ "-k k --firmware f", "--firmware: not available in this version" },
		{ "-k k --dvd=x,ephemeral", "--dvd x,ephemeral: a DVD is never written" },
		{ "-k k --dvd=x,logical_block=4096", "a DVD is never written" },
		{ "-k k --dvd=x,bus=ide", "bus=ide has no DVD drives" },
		{ "-k k --control p", "--control: not available" },
		{ "-k k --sandbox-profile d", "--sandbox-profile: not available" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refuse(&rows[i]);
}

static void bad_values(void **state)
{
	static const struct bad rows[] = {
		{ "-k k -c 0", "-c 0: give a number of virtual CPUs from 1 to 64" },
		{ "-k k --cpus 65", "--cpus 65: give" },
		{ "-k k --cpus -1", "--cpus -1: give" },
		{ "-k k --cpus two", "--cpus two: give" },
		{ "-k k --cpus=", "--cpus : give" },
		{ "-k k --cpus 99999999999999999999", "from 1 to 64" },
		{ "-k k --io 17", "--io 17: give a number of I/O threads from 1 to 16" },
		{ "-k k -m 512", "-m 512: a guest has from 16M to 64G" },
		{ "-k k -m 65G", "-m 65G: a guest has" },
		{ "-k k -m 99999999999999999999G", "a guest has" },
		{ "-k k -m 17179869185G", "a guest has" },
		{ "-k k -m M", "not a size" },
		{ "-k k -m 1T", "not a size" },
		{ "-k k -m 1GB", "not a size" },
		{ "-k k -m +1G", "not a size" },
		{ "-k k -m 1.5G", "not a size" },
		{ "-k k -m 16385K", "not a whole number of 4K pages" },
		{ "-k k --console tty", "--console tty: give stdio, none, pty" },
		{ "-k k --console file:", "a path is needed" },
		{ "-k k --hyperv-features=",
		  "--hyperv-features: there is no feature ''; there are" },
		{ "-k k --hyperv-features time,stimr", "there is no feature 'stimr'; there are" },
		{ "-k k --hyperv-features stimr", "hypercall, post-messages, " },
		{ "-k k --hyperv-features stimr", ", tlbflush-direct" },
		{ "-k k --hyperv-features", "--hyperv-features: a value is needed" },
		{ "-k k --hyperv-features time=yes", "time is switched by time=on or time=off" },
		{ "-k k --nested=on", "--nested: takes no value" },
		{ "-k k --hyperv yes", "--hyperv yes: give auto, kernel or user" },
		{ "-k k --sandbox no", "--sandbox no: give on, off, log or strict" },
		{ "-k k --on-reboot stop", "--on-reboot stop: give restart or exit" },
		{ "-k k --timeout 1.5", "--timeout 1.5: give a whole number of seconds" },
		{ "-k k --timeout -1", "--timeout -1: give" },
		{ "-k k --debug-exit 0x10000", "--debug-exit 0x10000: give an I/O port" },
		{ "-k k --debug-exit 0x", "give an I/O port" },
		{ "-k k --debug-exit f4", "give an I/O port" },
		{ "-k k --synic-test-port 65536", "--synic-test-port 65536: give an I/O port" },
		{ "-k k --trace", "--trace: a value is needed" },
		{ "-k k --trace=", "--trace: no event ''; there are vmbus_recv_message vmbus_" },
		{ "-k k --trace vmbus_*,kvm_exit:f", "--trace: no event 'kvm_exit'; there are" },
		{ "-k k --trace kvm_*", " vmbus_channel_notify_guest" },
		{ "-k k --trace vmbus_*:", "the name of a file is needed after the colon" },
		{ "-k k --chaos=", "--chaos : give a seed" },
		{ "-k k --chaos seven", "--chaos seven: give a seed" },
		{ "-k k --chaos 18446744073709551616", "give a seed, a number of at most 64 bits" },
		{ "-k k --chaos 00000000000000000000000000000007", "give a seed" },
		{ "-k k --chaos 7,1001", "what follows the seed is a rate from 0 to 1000 or log=" },
		{ "-k k --chaos 7,", "what follows the seed is a rate" },
		{ "-k k --chaos 7,file=f", "what follows the seed is a rate" },
		{ "-k k --chaos 7,5,file=f", "what follows the rate is log=FILE" },
		{ "-k k --chaos 7,5,log=", "the name of a file is needed after the equals sign" },
		{ "-k k --chaos replay=", "the name of a file is needed after the equals sign" },
		{ "-k k --name=", "give a name" },
		{ "-k k --name a\tb", "--name a?b: a name has no control" },
		{ "-k k --console stdio -- true", "--console stdio: with -- COMMAND stdout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refuse(&rows[i]);
}

static void bad_devices(void **state)
{
	static const struct bad rows[] = {
		{ "-k k -d ,ro", "the name of an image file is needed" },
		{ "-k k --disk=", "the name of an image file is needed" },
		{ "-k k -d a,", "'' is none of ro" },
		{ "-k k -d a,b.img", "'b.img' is none of ro, ephemeral, format=, cache=" },
		{ "-k k -d a,b.img", "a comma in a file name is written twice (,,)" },
		{ "-k k --on-io-error ignore", "report or stop" },
		{ "-k k -d a,ro=on", "'ro=on' is none of" },
		{ "-k k -d a,ro,ephemeral", "exclude each other" },
		{ "-k k -d a,format=qed", "format=qed is none of auto, raw, qcow2, vhdx" },
		{ "-k k -d a,format=", "format= is none of auto" },
		{ "-k k -d a,cache=directsync", "is none of writeback, none, unsafe" },
		{ "-k k -d a,aio=native", "is none of auto, io_uring, threads" },
		{ "-k k -d a,logical_block=1024", "logical_block= is 512 or 4096" },
		{ "-k k -d a,lock=no", "lock= is on or off" },
		{ "-k k -d a,backing=yes", "backing= is on or off" },
		{ "-k k -d a,backing=on,format=raw", "a raw disk has no backing file" },
		{ "-k k -d a,iops=0", "iops= wants" },
		{ "-k k -d a,iops=1k", "iops= wants" },
		{ "-k k -d a,bps=100", "bps= wants bytes a second, 4K or more" },
		{ "-k k -d a,bps=fast", "bps= wants" },
		{ "-k k -d a,burst=500", "burst= wants an iops= or bps= beside it" },
		{ "-k k -d a,iops=1,burst=5", "burst= wants milliseconds, 10 to" },
		{ "-k k -d nbd://h/x,format=qcow2", "are for images on this host" },
		{ "-k k -d nbd://h/x,cache=none", "are for images on this host" },
		{ "-k k -d nbds://h/x,aio=threads", "are for images on this host" },
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
		{ "-k k -n user,mac=5", "mac= wants six" },
		{ "-k k -n user,mac=52:54:00:12:34", "mac= wants six" },
		{ "-k k -n user,mac=52:54:00:12:34:56:78", "mac= wants six" },
		{ "-k k -n user,mac=52-54-00-12-34-56", "mac= wants six" },
		{ "-k k -n user,mac=53:54:00:12:34:56", "an even first byte" },
		{ "-k k -n user,mac=00:00:00:00:00:00", "not all zero" },
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
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refuse(&rows[i]);
}

static void long_append(void **state)
{
	static char text[65536 + 1];
	char kernel[] = "-kk", append[] = "--append";
	char *argv[] = { kernel, append, text };
	struct config c;
	char error[256];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(config_parse(&c, 3, argv, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "--append: the kernel command line is longer than 65535 bytes");
}

/* However long the user's words are, the message stays in its buffer. */
static void error_is_cut(void **state)
{
	char word[600], error[64];
	char *argv[] = { word };
	struct config c;

	(void)state;
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(config_parse(&c, 1, argv, error, sizeof(error)), -EINVAL);
	assert_int_equal(strlen(error), sizeof(error) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(long_options),
		cmocka_unit_test(further_options),
		cmocka_unit_test(traces),
		cmocka_unit_test(chaos),
		cmocka_unit_test(features),
		cmocka_unit_test(help_ends_the_parse),
		cmocka_unit_test(sizes),
		cmocka_unit_test(command),
		cmocka_unit_test(disks),
		cmocka_unit_test(dvds),
		cmocka_unit_test(where_disks_are),
		cmocka_unit_test(how_disks_do_their_io),
		cmocka_unit_test(too_many_devices),
		cmocka_unit_test(nics),
		cmocka_unit_test(forwards),
		cmocka_unit_test(bad_options),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(bad_devices),
		cmocka_unit_test(long_append),
		cmocka_unit_test(error_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
