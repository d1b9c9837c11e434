/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the bare test guests on the real thing: /dev/kvm, vmm/ and hyperv/, each guest on both
 * Hyper-V back ends. A back end this host cannot give is skipped, and so said. A guest ends with a
 * verdict on a port, or with the end it is meant to have.
 */
#include "tests/bare/host.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/bare/bare_proto.h"

#define STUCK_SECONDS 60

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
	alarm(STUCK_SECONDS);
	run_passing(&(struct guest){ .name = "ident" }, HYPERV_USER);
	alarm(0);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- The table ------------------------------------------------------------------------------------- */

/* A guest and what becomes of it; `as` tells several runs of one guest apart. */
static const struct row {
	const char *as;
	struct guest guest;
	void (*run)(const struct guest *guest, enum hyperv_choice choice);
} rows[] = {
	{ "runtime", { .name = "runtime", .vps = 4 }, run_passing },
	{ "ident", { .name = "ident" }, run_passing },
	{ "clock", { .name = "clock" }, run_passing },
	{ "synic", { .name = "synic" }, run_passing },
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
