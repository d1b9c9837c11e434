/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Build tool: compiles profiles to BPF. `compile A.profile B.profile ...` prints a C header with
 * two programs for each profile (a violation traps, or is logged), the names of its calls, and the
 * names of all system calls. An error is one line, "FILE:LINE: what is wrong"; nothing is printed
 * on stdout then.
 *
 * A profile is read line by line. Empty lines and lines that begin with # are skipped. All others
 * allow one call, and say why after #:
 *
 *	[refuse] CALL [argN OP VALUE [&& argN OP VALUE ...]]   # reason
 *	OP     ==  !=  <  <=  >  >=  or  & MASK ==
 *	VALUE  numbers and the constants below, joined by | without blanks
 *
 * arg0 is the call's first argument. A call may have several lines; any of them allows it. `refuse`
 * lets the call fail with EPERM, where the program can live with that. What comes first in a file
 * is found first by the filter: hot calls go on top.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define CALLS_MAX 128
#define ARGS_MAX 6
#define TOKENS_MAX 32
/* No architecture has had a call above it; the table of names ends with the last one known. */
#define NUMBERS_MAX 1024

/* clang-format off */
static const struct constant {
	const char *name;
	uint64_t value;
} constants[] = {
#define C(name) { #name, (uint64_t)(name) }
	C(KVM_RUN), C(KVM_GET_REGS), C(KVM_SET_REGS), C(KVM_GET_SREGS), C(KVM_SET_SREGS),
	C(KVM_GET_CPUID2), C(KVM_GET_MSRS), C(KVM_SET_MSRS), C(KVM_GET_FPU), C(KVM_SET_FPU),
	C(KVM_GET_LAPIC), C(KVM_SET_LAPIC), C(KVM_GET_TSC_KHZ), C(KVM_SET_TSC_KHZ),
	C(KVM_GET_CLOCK),
	C(KVM_SET_CLOCK), C(KVM_GET_MP_STATE), C(KVM_SET_MP_STATE), C(KVM_GET_VCPU_EVENTS),
	C(KVM_SET_VCPU_EVENTS), C(KVM_SET_CPUID2), C(KVM_ENABLE_CAP), C(KVM_CHECK_EXTENSION),
	C(KVM_SIGNAL_MSI), C(KVM_IRQ_LINE), C(KVM_INTERRUPT), C(KVM_NMI), C(KVM_KVMCLOCK_CTRL),
	C(KVM_IRQFD), C(KVM_IOEVENTFD), C(KVM_HYPERV_EVENTFD), C(KVM_SET_GSI_ROUTING),
	C(KVM_SET_USER_MEMORY_REGION), C(KVM_GET_DIRTY_LOG), C(KVM_TRANSLATE),
	C(FIONREAD), C(FIONBIO), C(SIOCATMARK), C(SIOCGIFINDEX), C(TIOCGWINSZ),
	C(TCGETS), C(TCSETS), C(TCSETSW), C(TCSETSF),
	C(PROT_READ), C(PROT_WRITE), C(PROT_EXEC), C(MAP_PRIVATE), C(MAP_SHARED), C(MAP_ANONYMOUS),
	C(MADV_DONTNEED), C(MADV_FREE),
	C(O_ACCMODE), C(O_RDONLY), C(O_WRONLY), C(O_RDWR), C(O_CREAT), C(O_TRUNC), C(O_TMPFILE),
	C(F_GETFD), C(F_SETFD), C(F_GETFL), C(F_SETFL), C(F_DUPFD_CLOEXEC),
	C(AF_INET), C(AF_INET6), C(AF_UNIX), C(SOCK_STREAM), C(SOCK_DGRAM), C(SOCK_CLOEXEC),
	C(SOCK_NONBLOCK), C(SOL_SOCKET), C(SO_ERROR), C(PR_SET_NAME), C(PR_GET_NAME),
	C(IORING_REGISTER_FILES_UPDATE), C(FALLOC_FL_KEEP_SIZE), C(FALLOC_FL_PUNCH_HOLE),
	C(FALLOC_FL_ZERO_RANGE),
#undef C
};
/* clang-format on */

static const struct comparison {
	const char *text;
	enum scmp_compare compare;
} comparisons[] = {
	{ "==", SCMP_CMP_EQ }, { "!=", SCMP_CMP_NE }, { "<", SCMP_CMP_LT },
	{ "<=", SCMP_CMP_LE }, { ">", SCMP_CMP_GT },  { ">=", SCMP_CMP_GE },
};

struct rule {
	int call;
	bool refuse;
	struct scmp_arg_cmp arg[ARGS_MAX];
	unsigned arg_count;
};

struct profile {
	const char *path;
	unsigned line;
	char role[32];
	scmp_filter_ctx trap, log;
	int call[CALLS_MAX]; /* in the order of the file, each once */
	bool whole[CALLS_MAX]; /* call[i] is settled whatever its arguments */
	unsigned call_count;
};

static int __attribute__((format(printf, 2, 3))) fail(const struct profile *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s:%u: ", p->path, p->line);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return -1;
}

/* ---- One line ------------------------------------------------------------------------------- */

static bool read_term(const char *text, uint64_t *value)
{
	char *end;

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (!strcmp(text, constants[i].name)) {
			*value = constants[i].value;
			return true;
		}
	}
	errno = 0;
	*value = strtoull(text, &end, 0);
	return isdigit((unsigned char)*text) && !*end && !errno;
}

/* Terms joined by |. */
static int read_value(const struct profile *p, char *text, uint64_t *value)
{
	*value = 0;
	do {
		char *bar = strchr(text, '|');
		uint64_t term;

		if (bar)
			*bar++ = '\0';
		if (!read_term(text, &term))
			return fail(p, "'%s' is no number and no constant known here", text);
		*value |= term;
		text = bar;
	} while (text);
	return 0;
}

/* Takes "argN OP VALUE" or "argN & MASK == VALUE" off the tokens; how many, or -1. */
static int read_condition(const struct profile *p, char **token, struct scmp_arg_cmp *arg)
{
	uint64_t mask, value;
	unsigned n;
	char rest;

	if (sscanf(token[0], "arg%u%c", &n, &rest) != 1 || n >= ARGS_MAX)
		return fail(p, "a condition begins with arg0 to arg5, not '%s'", token[0]);
	if (token[1] && !strcmp(token[1], "&")) {
		if (!token[2] || !token[3] || strcmp(token[3], "==") || !token[4])
			return fail(p, "a mask is written 'arg%u & MASK == VALUE'", n);
		if (read_value(p, token[2], &mask) || read_value(p, token[4], &value))
			return -1;
		*arg = (struct scmp_arg_cmp){ n, SCMP_CMP_MASKED_EQ, mask, value };
		return 5;
	}
	if (!token[1] || !token[2])
		return fail(p, "the condition on arg%u is not complete", n);
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
		if (strcmp(token[1], comparisons[i].text))
			continue;
		if (read_value(p, token[2], &value))
			return -1;
		*arg = (struct scmp_arg_cmp){ n, comparisons[i].compare, value, 0 };
		return 3;
	}
	return fail(p, "'%s' is no comparison: ==, !=, <, <=, >, >= or & MASK ==", token[1]);
}

static int read_rule(const struct profile *p, char **token, struct rule *r)
{
	r->refuse = token[1] && !strcmp(token[0], "refuse");
	token += r->refuse;
	r->call = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, token[0]);
	/* Negative numbers are libseccomp's own, for calls of other architectures. */
	if (r->call < 0)
		return fail(p, "there is no system call '%s'", token[0]);
	for (token++; *token;) {
		int taken;

		if (r->arg_count && strcmp(*token, "&&"))
			return fail(p, "conditions are joined by &&, not '%s'", *token);
		if (r->arg_count && !*++token)
			return fail(p, "a condition is missing after &&");
		if (r->arg_count == ARGS_MAX)
			return fail(p, "more than %d conditions", ARGS_MAX);
		taken = read_condition(p, token, &r->arg[r->arg_count++]);
		if (taken < 0)
			return -1;
		token += taken;
	}
	return 0;
}

static int add_rule(struct profile *p, const struct rule *r)
{
	uint32_t action = r->refuse ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW;
	unsigned i = 0;
	int err;

	while (i < p->call_count && p->call[i] != r->call)
		i++;
	if (i == CALLS_MAX)
		return fail(p, "more than %d calls", CALLS_MAX);
	if (i == p->call_count)
		p->call[p->call_count++] = r->call;
	if (p->whole[i])
		return fail(p, "a line above settles this call already");
	p->whole[i] = !r->arg_count;
	err = seccomp_rule_add_exact_array(p->trap, action, r->call, r->arg_count, r->arg);
	if (!err)
		err = seccomp_rule_add_exact_array(p->log, action, r->call, r->arg_count, r->arg);
	return err ? fail(p, "libseccomp refuses it: %s", strerror(-err)) : 0;
}

static int read_line(struct profile *p, char *line)
{
	char *token[TOKENS_MAX + 5] = { NULL }; /* readers look up to five ahead */
	char *reason = strchr(line, '#');
	struct rule r = { 0 };
	unsigned n = 0;

	if (reason)
		*reason++ = '\0';
	for (char *t = strtok(line, " \t\n"); t; t = strtok(NULL, " \t\n")) {
		if (n == TOKENS_MAX)
			return fail(p, "the line is too long");
		token[n++] = t;
	}
	if (!n)
		return 0;
	if (!reason || !reason[strspn(reason, " \t\n")])
		return fail(p, "a reason is missing: '%s ...  # why'", token[0]);
	return read_rule(p, token, &r) ? -1 : add_rule(p, &r);
}

/* ---- One profile ---------------------------------------------------------------------------- */

/* The role is the file's name: vcpu of seccomp/vcpu.profile. */
static int read_role(struct profile *p)
{
	const char *slash = strrchr(p->path, '/'), *name = slash ? slash + 1 : p->path;
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz");

	if (!len || len >= sizeof(p->role) || strcmp(name + len, ".profile")) {
		fprintf(stderr, "%s: a profile is named ROLE.profile, in small letters\n", p->path);
		return -1;
	}
	memcpy(p->role, name, len);
	return 0;
}

/* Earlier lines are compared first. */
static int set_order(struct profile *p)
{
	for (unsigned i = 0; i < p->call_count; i++) {
		uint8_t priority = (uint8_t)(255 - i);

		if (seccomp_syscall_priority(p->trap, p->call[i], priority) ||
		    seccomp_syscall_priority(p->log, p->call[i], priority))
			return fail(p, "libseccomp cannot order the calls");
	}
	return 0;
}

static scmp_filter_ctx create_filter(uint32_t action)
{
	scmp_filter_ctx ctx = seccomp_init(action);

	/* Calls by the 32-bit and x32 doors have no business here, in any mode. */
	if (ctx && seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) {
		seccomp_release(ctx);
		return NULL;
	}
	return ctx;
}

static int read_profile(struct profile *p, FILE *f)
{
	char line[512];
	int err = 0;

	p->trap = create_filter(SCMP_ACT_TRAP);
	p->log = create_filter(SCMP_ACT_LOG);
	if (!p->trap || !p->log)
		return fail(p, "libseccomp cannot create a filter");
	while (!err && fgets(line, sizeof(line), f)) {
		p->line++;
		err = strlen(line) == sizeof(line) - 1 ? fail(p, "the line is too long")
						       : read_line(p, line);
	}
	if (!err && ferror(f))
		err = fail(p, "%s", strerror(errno));
	if (!err && !p->call_count)
		err = fail(p, "the profile allows nothing");
	return err ? err : set_order(p);
}

static int open_profile(struct profile *p, const char *path)
{
	FILE *f;
	int err;

	*p = (struct profile){ .path = path };
	if (read_role(p))
		return -1;
	f = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	err = read_profile(p, f);
	fclose(f);
	return err;
}

/* ---- Output --------------------------------------------------------------------------------- */

static int print_program(const struct profile *p, scmp_filter_ctx ctx, const char *mode)
{
	struct sock_filter op;
	FILE *f = tmpfile();
	int err = f ? seccomp_export_bpf(ctx, fileno(f)) : -errno;

	if (err) {
		if (f)
			fclose(f);
		return fail(p, "libseccomp cannot compile it: %s", strerror(-err));
	}
	printf("static const struct sock_filter filter_%s_%s[] = {\n", p->role, mode);
	rewind(f);
	while (fread(&op, sizeof(op), 1, f) == 1)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", op.code, op.jt, op.jf, op.k);
	printf("};\n");
	fclose(f);
	return 0;
}

static const char *call_name(int number)
{
	return seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
}

static int print_profile(const struct profile *p)
{
	printf("\n/* %s.profile */\n", p->role);
	if (print_program(p, p->trap, "trap") || print_program(p, p->log, "log"))
		return -1;
	printf("static const char *const filter_%s_calls[] = {\n", p->role);
	for (unsigned i = 0; i < p->call_count; i++)
		printf("\t\"%s\",\n", call_name(p->call[i]));
	printf("\tNULL,\n};\n");
	return 0;
}

static void print_names(void)
{
	printf("\n/* System calls of x86-64 by number. */\n"
	       "static const char *const filter_call_names[] = {\n");
	for (int i = 0; i < NUMBERS_MAX; i++) {
		const char *name = call_name(i);

		if (name)
			printf("\t[%d] = \"%s\",\n", i, name);
	}
	printf("};\n");
}

/* Everything is read before anything is printed. */
static int compile(struct profile *profiles, char **paths, int count)
{
	for (int i = 0; i < count; i++)
		if (open_profile(&profiles[i], paths[i]))
			return 1;
	printf("/* Made by seccomp/compile.c; edit the profiles instead. */\n"
	       "#include <linux/filter.h>\n#include <stddef.h>\n");
	for (int i = 0; i < count; i++)
		if (print_profile(&profiles[i]))
			return 1;
	print_names();
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct profile *profiles = calloc((size_t)argc, sizeof(*profiles));
	int status = 2;

	if (profiles && argc > 1)
		status = compile(profiles, argv + 1, argc - 1);
	else
		fprintf(stderr, "usage: compile PROFILE...\n");
	free(profiles);
	return status;
}
