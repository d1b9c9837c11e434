/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the bare test guests on the real thing: /dev/kvm, vmm/ and hyperv/, each guest on both
 * Hyper-V back ends. A back end this host cannot give is skipped, and so said. A guest ends with a
 * verdict on a port, or with the end it is meant to have.
 */
#include "tests/bare/host.h"

#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/bare/bare_proto.h"
#include "tests/patience.h"

static void run_passing(const struct guest *guest, enum hyperv_choice choice)
{
	static struct host h;

	host_run_passing(&h, guest, choice);
	print_message("%s on %s: %u full slots waited for, %u signals left the kernel\n",
		      guest->name, hyperv_backend_name(h.hv), h.busy, h.signal_exits);
	/* Only those to a connection that nobody bound: a doorbell costs no exit. */
	if (!strcmp(guest->name, "synic") && choice == HYPERV_USER)
		assert_int_equal(h.signal_exits, BARE_DOORBELL_ROUNDS);
	host_fini(&h);
}

/*
 * A software KVM may not emulate every instruction in every mode: it gives up with an internal
 * error (KVM_INTERNAL_ERROR_EMULATION), which says nothing about us.
 */
static void run_where_emulated(const struct guest *guest, enum hyperv_choice choice)
{
	static struct host h;

	host_run(&h, guest, choice);
	if (atomic_load(&h.end) == VM_END_INTERNAL &&
	    h.end_value == (1ull << 32 | KVM_EXIT_INTERNAL_ERROR)) {
		print_message("SKIPPED on this host: its KVM cannot emulate what %s does\n",
			      guest->name);
		host_fini(&h);
		skip();
	}
	assert_int_equal(atomic_load(&h.verdict), 0);
	host_fini(&h);
}

static void run_crash(const struct guest *guest, enum hyperv_choice choice)
{
	static struct host h;
	const struct hyperv_crash *c;

	host_run(&h, guest, choice);
	assert_int_equal(atomic_load(&h.verdict), NO_VERDICT);
	assert_int_equal(atomic_load(&h.end), VM_END_PANIC);
	c = hyperv_crash_report(h.hv);
	assert_true(c->valid);
	assert_int_equal(c->param[0], 0x11);
	assert_string_equal(c->message, "bare guest: nothing left to do.");
	host_fini(&h);
}

static void run_reset(const struct guest *guest, enum hyperv_choice choice)
{
	static struct host h;

	host_run(&h, guest, choice);
	assert_int_equal(atomic_load(&h.verdict), NO_VERDICT);
	assert_int_equal(atomic_load(&h.end), VM_END_REBOOT);
	host_fini(&h);
}

/* Whoever starts us may have blocked the signal that stops a vCPU: the mask is inherited. */
static void a_blocked_signal_still_stops_a_vcpu(void **state)
{
	sigset_t mask, old;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, &old);
	alarm(PATIENCE_S);
	run_passing(&(struct guest){ .name = "ident" }, HYPERV_USER);
	alarm(0);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* What either back end can give, whether or not it is a good idea. */
#define EVERYTHING                                                                        \
	"stimer,stimer-direct,apic-msrs,vapic,tlbflush,ipi,ex-processor-masks,xmm-input," \
	"reenlightenment,guest-idle,reset,crash,runtime"
/* What a guest can do without. */
#define FEW                                                                                 \
	"stimer=off,stimer-direct=off,apic-msrs=off,vapic=off,reenlightenment=off,"         \
	"guest-idle=off,reset=off,crash=off,runtime=off,reference-tsc=off,frequencies=off," \
	"invariant-tsc=off"
#define NO_SYNIC                                                                               \
	"synic=off,stimer=off,stimer-direct=off,post-messages=off,signal-events=off,time=off," \
	"reference-tsc=off,vpindex=off"

/* A guest and what becomes of it; `as` tells several runs of one guest apart. */
static const struct row {
	const char *as;
	struct guest guest;
	void (*run)(const struct guest *guest, enum hyperv_choice choice);
} rows[] = {
	{ "runtime", { .name = "runtime", .vps = 4 }, run_passing },
	{ "ident", { .name = "ident" }, run_passing },
	{ "access", { .name = "access" }, run_passing },
	{ "access_to_all", { .name = "access", .features = EVERYTHING }, run_passing },
	{ "access_to_few", { .name = "access", .features = FEW }, run_passing },
	{ "access_without_synic", { .name = "access", .features = NO_SYNIC }, run_passing },
	{ "msrs", { .name = "msrs", .vps = 3, .features = EVERYTHING }, run_passing },
	{ "page", { .name = "page" }, run_passing },
	{ "abi", { .name = "abi" }, run_passing },
	{ "abi32", { .name = "abi32" }, run_passing },
	{ "vpregs", { .name = "vpregs", .vps = 2 }, run_passing },
	{ "cpl3", { .name = "cpl3" }, run_passing },
	{ "realmode", { .name = "realmode", .vps = 2 }, run_where_emulated },
	{ "clock", { .name = "clock" }, run_passing },
	{ "clockvps", { .name = "clockvps", .vps = 3 }, run_passing },
	{ "synic", { .name = "synic" }, run_passing },
	{ "message", { .name = "message", .vps = 2 }, run_passing },
	{ "event", { .name = "event", .vps = 3 }, run_passing },
	{ "autoeoi", { .name = "autoeoi", .vps = 2 }, run_passing },
	{ "stimer", { .name = "stimer", .vps = 2, .features = EVERYTHING }, run_passing },
	{ "overlay", { .name = "overlay" }, run_passing },
	{ "assist", { .name = "assist", .vps = 2, .features = EVERYTHING }, run_passing },
	{ "apicmsr", { .name = "apicmsr", .vps = 2, .features = EVERYTHING }, run_passing },
	{ "ipi", { .name = "ipi", .vps = 4, .features = EVERYTHING }, run_passing },
	{ "tlb", { .name = "tlb", .vps = 3, .features = EVERYTHING }, run_passing },
	{ "idle", { .name = "idle", .vps = 2, .features = EVERYTHING }, run_passing },
	{ "crash", { .name = "crash" }, run_crash },
	{ "reset", { .name = "reset" }, run_reset },
};

static void on_user(void **state)
{
	const struct row *row = *state;

	row->run(&row->guest, HYPERV_USER);
}

static void on_kernel(void **state)
{
	const struct row *row = *state;

	row->run(&row->guest, HYPERV_KERNEL);
}

/* An argument is a pattern (*, ?) of the tests to run. */
int main(int argc, char **argv)
{
	static struct CMUnitTest tests[2 * ARRAY_SIZE(rows) + 1];
	static char names[ARRAY_SIZE(rows)][2][64];
	size_t n = 0;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int kernel = 0; kernel < 2; kernel++) {
			char *name = names[i][kernel];

			strcpy(name, rows[i].as);
			strcat(name, kernel ? "_on_kernel" : "_on_user");
			tests[n++] = (struct CMUnitTest){ .name = name,
							  .test_func = kernel ? on_kernel : on_user,
							  .initial_state = (void *)&rows[i] };
		}
	}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_blocked_signal_still_stops_a_vcpu);
	return _cmocka_run_group_tests("bare", tests, n, NULL, NULL);
}
