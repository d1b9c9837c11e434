/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: any arguments, and whatever config_parse() makes of them within its promises.
 * An input is arguments in lines; one byte beyond ASCII stands for an option's name, so that the
 * parsers behind the names are soon reached. What was parsed of --hyperv-features is then weighed
 * against hosts of all kinds.
 */
#include "cli/config.h"
#include "hyperv/features.h"
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

/* An option, or the name of a feature. */
static const char *word(u8 c)
{
	static const struct feature_host none;
	static struct hyperv_feature feature[HYPERV_FEATURES_MAX];
	static unsigned features;

	if (!features)
		features = features_describe(&none, &none, feature, HYPERV_FEATURES_MAX);
	return c < 0xc0 ? words[c % ARRAY_SIZE(words)] : feature[c % features].name;
}

/* Expands into text, argv into it. */
static int arguments(struct fuzz_input *in, char *text, size_t room, char **argv)
{
	size_t used = 0;
	int argc = 0;

	argv[argc++] = text;
	while (in->left && used + 48 < room) {
		u8 c = fuzz_u8(in);

		if (c >= 0x80) {
			used += (size_t)sprintf(text + used, "%s", word(c));
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

static void features_weigh(const struct config *c, struct fuzz_input *in)
{
	struct cpuid_features offered, all = { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u };
	struct feature_host host = { .backend = 1 + fuzz_below(in, 2) };
	char error[512] = "";

	host.invariant_tsc = fuzz_u8(in) & 1;
	host.nested = fuzz_u8(in) & 1;
	if (fuzz_u8(in) & 1)
		host.limit = all;
	if (features_offer(&offered, &host, &c->hyperv.switches, error, sizeof(error)))
		FUZZ_CHECK(error[0]);
	else
		features_vmbus_lacks(&offered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The first bytes are the host, the rest the arguments. */
	struct fuzz_input host = { data, MIN(size, 4u) };
	struct fuzz_input in = { data + host.left, size - host.left };
	char text[2048], *argv[ARGS_MAX + 1] = { 0 }, error[512] = "";
	int argc = arguments(&in, text, sizeof(text), argv), err;
	struct config c;

	err = config_parse(&c, argc, argv, error, sizeof(error));
	FUZZ_CHECK(!err || err == -EINVAL);
	if (!err && !c.help) {
		check(&c);
		features_weigh(&c, &host);
	}
	if (err)
		FUZZ_CHECK(error[0] && strlen(error) < sizeof(error));
	config_fini(&c);
	return 0;
}
