/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of `candela run`: what is accepted becomes, and how the rest is refused. Devices
 * are config_device_test.c's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cli/config_bed.h"

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
		{ "-k k --control p", "--control: not available" },
		{ "-k k --sandbox-profile d", "--sandbox-profile: not available" },
	};

	(void)state;
	refuse_all(rows, ARRAY_SIZE(rows));
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
		{ "-k k --name=", "give a name" },
		{ "-k k --name a\tb", "--name a?b: a name has no control" },
		{ "-k k --console stdio -- true", "--console stdio: with -- COMMAND stdout" },
		{ "-k k --on-io-error ignore", "--on-io-error ignore: give report or stop" },
		{ "-k k --timeout 1.5", "--timeout 1.5: give a whole number of seconds" },
		{ "-k k --timeout -1", "--timeout -1: give" },
	};

	(void)state;
	refuse_all(rows, ARRAY_SIZE(rows));
}

static void bad_test_options(void **state)
{
	static const struct bad rows[] = {
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
	};

	(void)state;
	refuse_all(rows, ARRAY_SIZE(rows));
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
		cmocka_unit_test(bad_options),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(bad_test_options),
		cmocka_unit_test(long_append),
		cmocka_unit_test(error_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
