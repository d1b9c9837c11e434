/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of `candela run`: one table of options, one function a kind of value. Values
 * that are more than a word are read by files of their own: config_disk.c, config_place.c,
 * config_net.c, config_chaos.c.
 */
#include "cli/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_parse.h"
#include "vmbus/trace.h"
#include "vmm/layout.h"

#define NAME_MAX_BYTES 64
#define MIB (1ull << 20)
#define GIB (1ull << 30)

int config_fail(struct config_parse *p, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(p->error, p->error_size, "%s%s%s: ", p->option, p->value ? " " : "",
			 p->value ? p->value : "");

	if (n > 0 && (size_t)n < p->error_size) {
		va_start(ap, fmt);
		vsnprintf(p->error + n, p->error_size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	for (char *s = p->error; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	return -EINVAL;
}

static int set_path(struct config_parse *p, void *field)
{
	if (!*p->value)
		return config_fail(p, "the name of a file is needed");
	*(const char **)field = p->value;
	return 0;
}

static int set_append(struct config_parse *p, void *field)
{
	if (strlen(p->value) >= LAYOUT_CMDLINE_MAX) {
		p->value = NULL;
		return config_fail(p, "the kernel command line is longer than %u bytes",
				   LAYOUT_CMDLINE_MAX - 1);
	}
	*(const char **)field = p->value;
	return 0;
}

static int set_count(struct config_parse *p, unsigned *field, u64 max, const char *what)
{
	u64 n;

	if (!config_number(p->value, max, &n) || !n)
		return config_fail(p, "give a number of %s from 1 to %llu", what,
				   (unsigned long long)max);
	*field = (unsigned)n;
	return 0;
}

static int set_cpus(struct config_parse *p, void *field)
{
	return set_count(p, field, LAYOUT_CPUS_MAX, "virtual CPUs");
}

static int set_io_threads(struct config_parse *p, void *field)
{
	return set_count(p, field, CONFIG_IO_THREADS_MAX, "I/O threads");
}

static int set_memory(struct config_parse *p, void *field)
{
	u64 bytes;

	if (!config_size(p->value, &bytes))
		return config_fail(p, "not a size; write a number with K, M or G, such as 512M");
	if (bytes < LAYOUT_RAM_MIN || bytes > LAYOUT_RAM_MAX)
		return config_fail(p,
				   "a guest has from %lluM to %lluG of memory; "
				   "write a number with K, M or G, such as 512M",
				   LAYOUT_RAM_MIN / MIB, LAYOUT_RAM_MAX / GIB);
	if (bytes % GUEST_PAGE_SIZE)
		return config_fail(p, "not a whole number of 4K pages");
	*(u64 *)field = bytes;
	return 0;
}

static int set_console(struct config_parse *p, void *field)
{
	enum console_kind *kind = field;
	const char *path = NULL;

	p->console_given = true;
	if (!strcmp(p->value, "stdio"))
		*kind = CONSOLE_STDIO;
	else if (!strcmp(p->value, "none"))
		*kind = CONSOLE_NONE;
	else if (!strcmp(p->value, "pty"))
		*kind = CONSOLE_PTY;
	else if (!strncmp(p->value, "file:", 5)) {
		*kind = CONSOLE_FILE;
		path = p->value + 5;
	} else if (!strncmp(p->value, "unix:", 5)) {
		*kind = CONSOLE_UNIX;
		path = p->value + 5;
	} else
		return config_fail(p, "give stdio, none, pty, file:PATH or unix:PATH");
	if (path && !*path)
		return config_fail(p, "a path is needed after the colon");
	p->c->console_path = path;
	return 0;
}

/* Finds the value among words; its index, or -EINVAL with the words listed in the error. */
static int choose(struct config_parse *p, const char *const *words, const char *list)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(p->value, words[i]))
			return i;
	return config_fail(p, "give %s", list);
}

static int set_hyperv(struct config_parse *p, void *field)
{
	static const char *const words[] = { "auto", "kernel", "user", NULL };
	int i = choose(p, words, "auto, kernel or user");

	if (i < 0)
		return i;
	*(enum hyperv_choice *)field = (enum hyperv_choice)i; /* words are in the enum's order */
	return 0;
}

/* Adds up, as --disk does. */
static int set_hyperv_features(struct config_parse *p, void *field)
{
	const char *list = p->value;
	char why[900];

	if (!hyperv_switches_parse(field, list, why, sizeof(why)))
		return 0;
	p->value = NULL;
	return config_fail(p, "%s", why);
}

static int set_sandbox(struct config_parse *p, void *field)
{
	static const char *const words[] = { "on", "off", "log", "strict", NULL };
	int i = choose(p, words, "on, off, log or strict");

	if (i < 0)
		return i;
	*(enum sandbox_mode *)field = (enum sandbox_mode)i; /* words are in the enum's order */
	return 0;
}

static int set_on_reboot(struct config_parse *p, void *field)
{
	static const char *const words[] = { "restart", "exit", NULL };
	int i = choose(p, words, "restart or exit");

	if (i < 0)
		return i;
	p->reboot_given = true;
	*(bool *)field = i == 1;
	return 0;
}

static int set_on_io_error(struct config_parse *p, void *field)
{
	static const char *const words[] = { "report", "stop", NULL };
	int i = choose(p, words, "report or stop");

	if (i >= 0)
		*(bool *)field = i == 1;
	return MIN(i, 0);
}

static int set_timeout(struct config_parse *p, void *field)
{
	u64 n;

	if (!config_number(p->value, INT32_MAX, &n))
		return config_fail(p, "give a whole number of seconds, 0 for no limit");
	*(unsigned *)field = (unsigned)n;
	return 0;
}

static int set_trace(struct config_parse *p, void *field)
{
	const char *colon = strchr(p->value, ':');
	char why[1024];

	(void)field;
	if (colon && !colon[1])
		return config_fail(p, "the name of a file is needed after the colon");
	if (trace_check(vmbus_events, ARRAY_SIZE(vmbus_events), p->value, why, sizeof(why))) {
		p->value = NULL;
		return config_fail(p, "%s", why);
	}
	p->c->trace = p->value;
	p->c->trace_file = colon ? colon + 1 : NULL;
	return 0;
}

static int set_chaos(struct config_parse *p, void *field)
{
	(void)field;
	return config_chaos(p);
}

static int set_port(struct config_parse *p, void *field)
{
	u64 n;

	if (!config_number(p->value, 0xffff, &n))
		return config_fail(p, "give an I/O port from 0 to 0xffff, such as 0xf4");
	*(int *)field = (int)n;
	return 0;
}

static int set_name(struct config_parse *p, void *field)
{
	size_t len = strlen(p->value);

	if (!len || len > NAME_MAX_BYTES)
		return config_fail(p, "give a name of 1 to %d bytes", NAME_MAX_BYTES);
	for (const char *s = p->value; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return config_fail(p, "a name has no control characters");
	*(const char **)field = p->value;
	return 0;
}

static int set_true(struct config_parse *p, void *field)
{
	(void)p;
	*(bool *)field = true;
	return 0;
}

static int set_verbose(struct config_parse *p, void *field)
{
	int *verbosity = field;

	(void)p;
	*verbosity = MIN(MAX(*verbosity, 0) + 1, 2);
	return 0;
}

static int set_quiet(struct config_parse *p, void *field)
{
	(void)p;
	*(int *)field = -1;
	return 0;
}

static int set_disk(struct config_parse *p, void *field)
{
	(void)field;
	return config_disk(p);
}

static int set_dvd(struct config_parse *p, void *field)
{
	(void)field;
	return config_dvd(p);
}

static int set_net(struct config_parse *p, void *field)
{
	(void)field;
	return config_net(p);
}

static int refuse_later(struct config_parse *p, void *field)
{
	(void)field;
	p->value = NULL;
	return config_fail(p, "not available in this version; `candela help run` lists what is");
}

struct option {
	const char *name;
	char letter; /* 0: none */
	bool flag; /* takes no value */
	int (*set)(struct config_parse *p, void *field);
	size_t field;
};

#define FIELD(name) offsetof(struct config, name)

static const struct option options[] = {
	{ "kernel", 'k', false, set_path, FIELD(kernel) },
	{ "initrd", 'i', false, set_path, FIELD(initrd) },
	{ "append", 'a', false, set_append, FIELD(append) },
	{ "cpus", 'c', false, set_cpus, FIELD(cpus) },
	{ "memory", 'm', false, set_memory, FIELD(memory) },
	{ "disk", 'd', false, set_disk, 0 },
	{ "dvd", 0, false, set_dvd, 0 },
	{ "net", 'n', false, set_net, 0 },
	{ "console", 0, false, set_console, FIELD(console) },
	{ "hyperv", 0, false, set_hyperv, FIELD(hyperv.choice) },
	{ "hyperv-features", 0, false, set_hyperv_features, FIELD(hyperv.switches) },
	{ "nested", 0, true, set_true, FIELD(hyperv.nested) },
	{ "sandbox", 0, false, set_sandbox, FIELD(sandbox) },
	{ "timeout", 0, false, set_timeout, FIELD(timeout_s) },
	{ "on-reboot", 0, false, set_on_reboot, FIELD(reboot_exits) },
	{ "on-io-error", 0, false, set_on_io_error, FIELD(io_error_stops) },
	{ "io", 0, false, set_io_threads, FIELD(io_threads) },
	{ "result", 0, false, set_path, FIELD(result) },
	{ "trace", 0, false, set_trace, 0 },
	{ "chaos", 0, false, set_chaos, 0 },
	{ "debug-exit", 0, false, set_port, FIELD(debug_exit_port) },
	{ "synic-test-port", 0, false, set_port, FIELD(synic_test_port) },
	{ "name", 0, false, set_name, FIELD(name) },
	{ "force", 0, true, set_true, FIELD(force) },
	{ "verbose", 'v', true, set_verbose, FIELD(verbosity) },
	{ "quiet", 'q', true, set_quiet, FIELD(verbosity) },
	{ "help", 'h', true, set_true, FIELD(help) },
	{ "firmware", 0, false, refuse_later, 0 },
	{ "sandbox-profile", 0, false, refuse_later, 0 },
	{ "control", 0, false, refuse_later, 0 },
};

static const struct option *find_name(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == len && !memcmp(options[i].name, name, len))
			return &options[i];
	return NULL;
}

static const struct option *find_letter(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (letter && options[i].letter == letter)
			return &options[i];
	return NULL;
}

/* How many letters to insert, delete or change to make b of a (Levenshtein); both are short. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b)
{
	unsigned row[32];
	size_t b_len = strlen(b);

	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; i < a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < b_len; j++) {
			unsigned change = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = MIN(change, MIN(row[j], diagonal) + 1);
		}
	}
	return row[b_len];
}

/* The option the user may have meant, or NULL: one that starts like that, or the nearest. */
static const struct option *guess(const char *name, size_t len)
{
	const struct option *best = NULL;
	unsigned best_distance = 3;

	if (len < 2 || len > 30)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		unsigned distance = strncmp(options[i].name, name, len)
					    ? edit_distance(name, len, options[i].name)
					    : 0;

		if (options[i].set != refuse_later && distance < best_distance) {
			best = &options[i];
			best_distance = distance;
		}
	}
	return best;
}

static int fail_unknown(struct config_parse *p, const char *name, size_t len)
{
	const struct option *near = guess(name, len);

	if (near)
		return config_fail(p, "no such option; did you mean --%s?", near->name);
	return config_fail(p, "no such option; `candela help run` lists them");
}

/* Gives option the value at hand or the next argument. 0 or -errno. */
static int take(struct config_parse *p, const struct option *option, const char *value, int *argc,
		char ***argv)
{
	if (option->flag && value)
		return config_fail(p, "takes no value");
	if (!option->flag && !value) {
		if (option->set != refuse_later && (!*argc || !strcmp(**argv, "--")))
			return config_fail(p, "a value is needed after it; see `candela help run`");
		if (*argc) {
			value = *(*argv)++;
			(*argc)--;
		}
	}
	p->value = value;
	return option->set(p, (char *)p->c + option->field);
}

static int take_long(struct config_parse *p, const char *arg, int *argc, char ***argv)
{
	const char *name = arg + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option *option = find_name(name, len);
	char written[40];

	snprintf(written, sizeof(written), "%.*s", (int)MIN(len + 2, sizeof(written) - 1), arg);
	p->option = written;
	if (!option)
		return fail_unknown(p, name, len);
	return take(p, option, equals ? equals + 1 : NULL, argc, argv);
}

/* -m 512M, -m512M, -vv. */
static int take_short(struct config_parse *p, const char *arg, int *argc, char ***argv)
{
	const struct option *whole = find_name(arg + 1, strcspn(arg + 1, "="));

	p->option = arg;
	if (whole && arg[2])
		return config_fail(p, "long options have two dashes: --%s", whole->name);
	for (const char *s = arg + 1; *s; s++) {
		char written[3] = { '-', *s };
		const struct option *option = find_letter(*s);
		int err;

		p->option = written;
		p->value = NULL;
		if (!option)
			return config_fail(p, "no such option; `candela help run` lists them");
		if (!option->flag)
			return take(p, option, s[1] ? s + 1 : NULL, argc, argv);
		err = take(p, option, NULL, argc, argv);
		if (err)
			return err;
	}
	return 0;
}

static int take_command(struct config_parse *p, int argc, char **argv)
{
	p->option = "--";
	p->value = NULL;
	if (!argc || !**argv)
		return config_fail(p, "the command to run in the guest is missing after it");
	p->c->command = argv;
	p->c->command_count = (unsigned)argc;
	return 0;
}

/* Every argument up to `--`, and what follows it. */
static int take_all(struct config_parse *p, int argc, char **argv)
{
	while (argc && !p->c->help) {
		const char *arg = *argv++;
		int err;

		argc--;
		p->value = NULL;
		if (!strcmp(arg, "--"))
			return take_command(p, argc, argv);
		if (arg[0] != '-' || !arg[1]) {
			p->option = arg;
			return config_fail(p, "not an option; a kernel is given with --kernel, "
					      "a command for the guest after --");
		}
		err = arg[1] == '-' ? take_long(p, arg, &argc, &argv)
				    : take_short(p, arg, &argc, &argv);
		if (err)
			return err;
	}
	return 0;
}

/* What only shows once everything is read. */
static int check_whole(struct config_parse *p)
{
	struct config *c = p->c;

	p->value = NULL;
	p->option = "--kernel";
	if (!c->kernel)
		return config_fail(p, "a kernel is needed (a bzImage or vmlinux), such as "
				      "--kernel /boot/vmlinuz-...; see `candela help run`");
	p->option = "--net none";
	if (p->no_nic && c->nic_count)
		return config_fail(p, "contradicts the other --net; leave one out");
	if (!c->command)
		return 0;
	p->option = "--console stdio";
	if (p->console_given && c->console == CONSOLE_STDIO)
		return config_fail(p, "with -- COMMAND stdout is the command's; "
				      "use --console file:PATH or none");
	if (!p->console_given)
		c->console = CONSOLE_NONE;
	if (!p->reboot_given)
		c->reboot_exits = true;
	return 0;
}

int config_parse(struct config *c, int argc, char **argv, char *error, size_t error_size)
{
	struct config_parse p = { .c = c, .error = error, .error_size = error_size };
	int err;

	*c = (struct config){
		.append = "",
		.cpus = 1,
		.memory = MiB(512),
		.io_threads = 1,
		.debug_exit_port = -1,
		.synic_test_port = -1,
		.name = "candela",
	};
	err = take_all(&p, argc, argv);
	if (!err && !c->help)
		err = check_whole(&p) ?: config_nics(&p) ?: config_places(&p);
	return err;
}

void config_fini(struct config *c)
{
	for (unsigned i = 0; i < c->owned_count; i++)
		free(c->owned[i]);
	c->owned_count = 0;
}
