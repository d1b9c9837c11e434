/* SPDX-License-Identifier: BSD-2-Clause */
/* Overlay pages: the bytes below come back, in whatever order they go. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define PAGE 0x5000
#define OTHER 0x9000
#define GUEST 0x5a

#define OVERLAYS 3

static struct overlay *overlay[OVERLAYS];
static u8 *page, *other;

static int setup(void **state)
{
	struct fake *f;

	fake_setup(state);
	f = *state;
	overlay[0] = &f->hv.hypercall_overlay;
	overlay[1] = &f->hv.vp[0].message_overlay;
	overlay[2] = &f->hv.vp[1].assist_overlay;
	page = gmem_range(&f->mem, PAGE, HV_PAGE_SIZE);
	other = gmem_range(&f->mem, OTHER, HV_PAGE_SIZE);
	memset(page, GUEST, HV_PAGE_SIZE);
	memset(other, GUEST + 1, HV_PAGE_SIZE);
	return 0;
}

/* Lays overlay i, with i + 1 all over it. */
static void lay(struct fake *f, unsigned i, gpa_t gpa)
{
	u8 *host = overlay_place(overlay[i], &f->mem, gpa);

	assert_non_null(host);
	assert_int_equal(host[0], 0);
	assert_int_equal(host[4095], 0);
	memset(host, (int)i + 1, HV_PAGE_SIZE);
}

static bool all(const u8 *p, int value)
{
	for (unsigned i = 0; i < HV_PAGE_SIZE; i++)
		if (p[i] != value)
			return false;
	return true;
}

static void one_comes_moves_and_goes(void **state)
{
	struct fake *f = *state;

	lay(f, 0, PAGE);
	assert_ptr_equal(overlay_place(overlay[0], &f->mem, PAGE), page);
	assert_true(all(page, 1)); /* nothing changed */
	lay(f, 0, OTHER);
	assert_true(all(page, GUEST));
	assert_true(all(other, 1));
	overlay_remove(overlay[0]);
	overlay_remove(overlay[0]);
	assert_true(all(other, GUEST + 1));
}

static void bad_places_change_nothing(void **state)
{
	const gpa_t bad[] = { FAKE_RAM, FAKE_RAM - 1, PAGE + 1, HV_MSR_PAGE_GPA, UINT64_MAX };
	struct fake *f = *state;

	lay(f, 0, PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(overlay_place(overlay[0], &f->mem, bad[i]));
	assert_true(all(page, 1));
	overlay_remove(overlay[0]);
	assert_true(all(page, GUEST));
}

/* Three on one page, taken away in every order. */
static void any_order_of_removal_restores(void **state)
{
	static const u8 order[][OVERLAYS] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		bool there[OVERLAYS] = { true, true, true };

		for (unsigned n = 0; n < OVERLAYS; n++)
			lay(f, n, PAGE);
		for (unsigned n = 0; n < OVERLAYS; n++) {
			int top = GUEST;

			overlay_remove(overlay[order[i][n]]);
			there[order[i][n]] = false;
			for (int left = 0; left < OVERLAYS; left++)
				top = there[left] ? left + 1 : top;
			assert_true(all(page, top));
		}
	}
}

static void one_moves_from_beneath_another(void **state)
{
	struct fake *f = *state;

	lay(f, 0, PAGE);
	lay(f, 1, PAGE);
	lay(f, 0, OTHER);
	assert_true(all(page, 2));
	lay(f, 2, OTHER);
	lay(f, 1, OTHER);
	assert_true(all(page, GUEST));
	overlay_remove(overlay[2]);
	overlay_remove(overlay[0]);
	assert_true(all(other, 2));
	overlay_remove(overlay[1]);
	assert_true(all(other, GUEST + 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_comes_moves_and_goes),
		TEST(bad_places_change_nothing),
		TEST(any_order_of_removal_restores),
		TEST(one_moves_from_beneath_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
