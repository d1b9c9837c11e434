/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: any arguments, and whatever config_parse() makes of them within its promises.
 * An input is arguments in lines; one byte beyond ASCII stands for an option's name, so that the
 * parsers behind the names are soon reached.
 */
#include "cli/config.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#define ARGS_MAX 40

static const char *const words[] = {
	"--kernel",     "--initrd",
	"--append",     "--cpus",
	"--memory",     "--disk",
	"--net",        "--console",
	"--hyperv",     "--hyperv-features",
	"--sandbox",    "--timeout",
	"--reboot",     "--io-threads",
	"--result",     "--debug-exit",
	"--name",       "--force",
	"--nested",     "--quiet",
	"-v",           "--",
	"path=",        "format=raw",
	",ro",          ",ephemeral",
	"user",         "tap",
	"fd=",          "mac=",
	"hostfwd=tcp:", "127.0.0.1",
	"=on",          "=off",
	"--help",       "--synic-test-port",
};

/* Expands into text, argv into it. */
static int arguments(struct fuzz_input *in, char *text, size_t room, char **argv)
{
	size_t used = 0;
	int argc = 0;

	argv[argc++] = text;
	while (in->left && used + 32 < room) {
		u8 c = fuzz_u8(in);

		if (c >= 0x80) {
			used += (size_t)sprintf(text + used, "%s", words[c % ARRAY_SIZE(words)]);
			continue;
		}
		if (c == '\n')
			c = 0;
		text[used++] = (char)c;
		if (!c && argc < ARGS_MAX)
			argv[argc++] = text + used;
	}
	text[used] = 0;
	return argc;
}

static void check(const struct config *c)
{
	FUZZ_CHECK(c->cpus >= 1 && c->memory && c->append);
	FUZZ_CHECK(c->disk_count <= CONFIG_DISKS_MAX && c->nic_count <= CONFIG_NICS_MAX);
	FUZZ_CHECK(c->io_threads >= 1 && c->io_threads <= CONFIG_IO_THREADS_MAX);
	FUZZ_CHECK(c->debug_exit_port >= -1 && c->debug_exit_port <= 0xffff);
	for (unsigned i = 0; i < c->disk_count; i++)
		FUZZ_CHECK(c->disk[i].path && *c->disk[i].path);
	for (unsigned i = 0; i < c->nic_count; i++)
		FUZZ_CHECK(c->nic[i].hostfwd_count <= NIC_HOSTFWD_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char text[2048], *argv[ARGS_MAX + 1] = { 0 }, error[512] = "";
	int argc = arguments(&in, text, sizeof(text), argv), err;
	struct config c;

	err = config_parse(&c, argc, argv, error, sizeof(error));
	FUZZ_CHECK(!err || err == -EINVAL);
	if (!err && !c.help)
		check(&c);
	if (err)
		FUZZ_CHECK(error[0] && strlen(error) < sizeof(error));
	config_fini(&c);
	return 0;
}
