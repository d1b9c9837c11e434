/* SPDX-License-Identifier: BSD-2-Clause */
/* The line a crash report becomes, from what kernels leave in their log. */
#include "machine_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Shortened from what 6.1 and 6.12 leave. */
#define WARN_LOG                                      \
	"[    0.9] RIP: 0010:some_driver+0x10/0x20\n" \
	"[    0.9] Call Trace:\n"                     \
	"[    0.9] ---[ end trace 0000000000000000 ]---\n"
#define OOPS_LOG                                                  \
	"[    1.0] BUG: kernel NULL pointer dereference\n"        \
	"[    1.0] RIP: 0010:bad_driver+0x16/0x20\n"              \
	"[    1.0] RIP: 0033:0x7f0000001234\n"                    \
	"[    1.0] ---[ end trace 0000000000000000 ]---\n"        \
	"[    1.0] RIP: 0010:bad_driver+0x16/0x20\n"              \
	"[    1.0] Kernel panic - not syncing: Fatal exception\n" \
	"[    1.0] Kernel Offset: 0x1e000000 from 0xffffffff81000000\n"
#define PANIC_LOG                                                       \
	"[    1.0] Kernel panic - not syncing: sysrq triggered crash\n" \
	"[    1.0] Call Trace:\n"                                       \
	"[    1.0] RIP: 0033:0x7f0000001234\n"

static void expect(const struct hyperv_crash *c, const char *wanted)
{
	char text[512];

	machine_crash_line(c, 0xffffffff81234567, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static struct hyperv_crash log_of(const char *text)
{
	struct hyperv_crash c = { .valid = true, .vp_index = 3 };

	snprintf(c.message, sizeof(c.message), "%s", text);
	return c;
}

static void an_oops_names_its_own_rip(void **state)
{
	struct hyperv_crash c = log_of(WARN_LOG OOPS_LOG);

	(void)state;
	expect(&c, "the guest panicked: Kernel panic - not syncing: Fatal exception (VP 3, RIP "
		   "bad_driver+0x16/0x20)");
}

/* Neither the warning before it nor the program that asked for it is where the kernel was. */
static void a_panic_alone_has_the_vps_rip(void **state)
{
	struct hyperv_crash c = log_of(WARN_LOG PANIC_LOG);

	(void)state;
	expect(&c, "the guest panicked: Kernel panic - not syncing: sysrq triggered crash (VP 3, "
		   "RIP 0xffffffff81234567)");
}

static void linux_registers_have_the_rip_in_p2(void **state)
{
	struct hyperv_crash c = { .valid = true,
				  .param = { 1, 0x8100060c00000000, 0xffffffff81000010, 4, 5 } };

	(void)state;
	expect(&c,
	       "the guest crashed: P0 0x1 P1 0x8100060c00000000 P2 0xffffffff81000010 P3 0x4 P4 "
	       "0x5 (VP 0, RIP 0xffffffff81000010)");
}

static void others_registers_are_their_own_affair(void **state)
{
	struct hyperv_crash c = { .valid = true, .param = { 0x7e, 1, 2, 3, 4 } };

	(void)state;
	expect(&c, "the guest crashed: P0 0x7e P1 0x1 P2 0x2 P3 0x3 P4 0x4 (VP 0, RIP "
		   "0xffffffff81234567)");
}

/* A page full of one word, and no end of line: cut, not overrun. */
static void an_endless_line_is_cut(void **state)
{
	struct hyperv_crash c = log_of("Kernel panic");
	char text[64], line[512];

	(void)state;
	memset(c.message + strlen(c.message), 'A', sizeof(c.message) - 1 - strlen(c.message));
	machine_crash_line(&c, 0, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
	machine_crash_line(&c, 0x1234, line, sizeof(line));
	assert_non_null(strstr(line, "(VP 3, RIP 0x1234)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_oops_names_its_own_rip),
		cmocka_unit_test(a_panic_alone_has_the_vps_rip),
		cmocka_unit_test(linux_registers_have_the_rip_in_p2),
		cmocka_unit_test(others_registers_are_their_own_affair),
		cmocka_unit_test(an_endless_line_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
