/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote TLB flushes (TLFS: "Virtual MMU"), all four calls in every form: VP 0 changes a mapping
 * that the others use, flushes by hypercall, and from its return on they see the new page.
 */
#include "tests/bare/bare.h"

#define VPS 3
#define ALL_VPS 0x7
#define SLOT 20
#define ROUNDS 5
#define SELF_ONLY 0x1 /* of the processor masks */

static uint8_t pages[2][HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));
static struct {
	struct hv_flush head;
	uint64_t range[4];
} plain __attribute__((aligned(128)));
static struct {
	struct hv_flush_ex head;
	uint64_t rest[4]; /* banks, then ranges */
} ex __attribute__((aligned(128)));

static volatile uint32_t generation; /* of the mapping, before the flush is called */
static volatile uint32_t flushed; /* and after it returned */
static volatile bool over;
static volatile uint32_t stale[VPS], looks[VPS];

/* Looks at the page over and over; what was flushed before the look must be seen by it. */
static void look(uint64_t arg)
{
	volatile uint8_t *at = bare_window(SLOT);
	unsigned vp = bare_vp_index();

	(void)arg;
	while (!over) {
		uint32_t least = flushed;
		uint8_t seen = *at;

		/*
		 * Generation n maps page n % 2: an old one shows only where there was just one
		 * since.
		 */
		if (generation == least && seen != least % 2)
			stale[vp]++;
		looks[vp]++;
	}
}

static uint64_t varhead(uint64_t quadwords)
{
	return quadwords << HV_CONTROL_VARHEAD_SHIFT;
}

static uint64_t reps(uint64_t count)
{
	return count << HV_CONTROL_REP_COUNT_SHIFT;
}

static uint64_t range(void)
{
	return (uint64_t)bare_window(SLOT); /* bits 11:0: how many more pages */
}

static uint64_t flush_space(bool fast, uint64_t flags, uint64_t mask)
{
	const uint64_t input[14] = { 0, flags, mask };

	if (fast)
		return bare_hypercall_xmm(HV_CALL_FLUSH_SPACE | HV_CONTROL_FAST, input);
	plain.head = (struct hv_flush){ .flags = flags, .processor_mask = mask };
	return bare_hypercall(HV_CALL_FLUSH_SPACE, (uint64_t)&plain, 0);
}

static uint64_t flush_list(bool fast, uint64_t flags, uint64_t mask)
{
	const uint64_t input[14] = { 0, flags, mask, range(), range() };

	if (fast)
		return bare_hypercall_xmm(HV_CALL_FLUSH_LIST | HV_CONTROL_FAST | reps(2), input);
	plain.head = (struct hv_flush){ .flags = flags, .processor_mask = mask };
	plain.range[0] = plain.range[1] = range();
	return bare_hypercall(HV_CALL_FLUSH_LIST | reps(2), (uint64_t)&plain, 0);
}

static uint64_t flush_space_ex(bool fast, uint64_t format, uint64_t mask)
{
	const uint64_t sparse = format == HV_VP_SET_SPARSE_4K;
	const uint64_t input[14] = { 0, 0, format, sparse, mask };

	if (fast)
		return bare_hypercall_xmm(
			HV_CALL_FLUSH_SPACE_EX | HV_CONTROL_FAST | varhead(sparse), input);
	ex.head = (struct hv_flush_ex){ .set = { .format = format, .valid_banks = sparse } };
	ex.rest[0] = mask;
	return bare_hypercall(HV_CALL_FLUSH_SPACE_EX | varhead(sparse), (uint64_t)&ex, 0);
}

static uint64_t flush_list_ex(bool fast, uint64_t format, uint64_t mask)
{
	const uint64_t sparse = format == HV_VP_SET_SPARSE_4K;
	const uint64_t control = HV_CALL_FLUSH_LIST_EX | varhead(sparse) | reps(1);
	uint64_t input[14] = { 0, 0, format, sparse, mask };

	input[4 + sparse] = range();
	if (fast)
		return bare_hypercall_xmm(control | HV_CONTROL_FAST, input);
	ex.head = (struct hv_flush_ex){ .set = { .format = format, .valid_banks = sparse } };
	ex.rest[0] = mask;
	ex.rest[sparse] = range();
	return bare_hypercall(control, (uint64_t)&ex, 0);
}

static const struct row {
	uint64_t (*flush)(bool fast, uint64_t a, uint64_t mask);
	bool fast;
	uint64_t a, mask;
	uint64_t result;
} rows[] = {
	{ flush_space, false, HV_FLUSH_ALL_PROCESSORS, 0, 0 },
	{ flush_space, true, HV_FLUSH_ALL_PROCESSORS, 0, 0 },
	{ flush_space, false, 0, ALL_VPS, 0 },
	{ flush_space, true, 0, ALL_VPS, 0 },
	{ flush_list, false, HV_FLUSH_ALL_PROCESSORS, 0, 2ull << HV_RESULT_REPS_SHIFT },
	{ flush_list, true, HV_FLUSH_ALL_PROCESSORS, 0, 2ull << HV_RESULT_REPS_SHIFT },
	{ flush_list, false, 0, ALL_VPS, 2ull << HV_RESULT_REPS_SHIFT },
	{ flush_list, true, 0, ALL_VPS, 2ull << HV_RESULT_REPS_SHIFT },
	{ flush_space_ex, false, HV_VP_SET_SPARSE_4K, ALL_VPS, 0 },
	{ flush_space_ex, true, HV_VP_SET_SPARSE_4K, ALL_VPS, 0 },
	{ flush_space_ex, false, HV_VP_SET_ALL, 0, 0 },
	{ flush_space_ex, true, HV_VP_SET_ALL, 0, 0 },
	{ flush_list_ex, false, HV_VP_SET_SPARSE_4K, ALL_VPS, 1ull << HV_RESULT_REPS_SHIFT },
	{ flush_list_ex, true, HV_VP_SET_SPARSE_4K, ALL_VPS, 1ull << HV_RESULT_REPS_SHIFT },
	{ flush_list_ex, false, HV_VP_SET_ALL, 0, 1ull << HV_RESULT_REPS_SHIFT },
	{ flush_list_ex, true, HV_VP_SET_ALL, 0, 1ull << HV_RESULT_REPS_SHIFT },
};

static void remap(void)
{
	uint32_t next = generation + 1;

	generation = next;
	bare_map(SLOT, pages[next % 2], 0);
}

/* Every other VP looked at least once more. */
static void let_look(void)
{
	for (unsigned vp = 1; vp < VPS; vp++) {
		uint32_t seen = looks[vp];

		while (looks[vp] < seen + 2)
			bare_pause();
	}
}

static void check_row(const struct row *r)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		remap();
		CHECK_EQUAL(r->flush(r->fast, r->a, r->mask), r->result);
		flushed = generation;
		CHECK_EQUAL(*(volatile uint8_t *)bare_window(SLOT), generation % 2);
		let_look();
	}
	for (unsigned vp = 1; vp < VPS; vp++)
		CHECK_EQUAL(stale[vp], 0);
}

/* A mask of the caller alone flushes the caller. */
static void check_own(void)
{
	remap();
	CHECK_EQUAL(flush_space(false, 0, SELF_ONLY), 0);
	CHECK_EQUAL(*(volatile uint8_t *)bare_window(SLOT), generation % 2);
}

static void check_refused(void)
{
	const uint64_t input[14] = { 0, HV_FLUSH_ALL_PROCESSORS };

	CHECK_EQUAL(bare_hypercall_xmm(HV_CALL_FLUSH_SPACE | HV_CONTROL_FAST | reps(1), input),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK_EQUAL(bare_hypercall_xmm(HV_CALL_FLUSH_LIST | HV_CONTROL_FAST, input),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK_EQUAL(bare_hypercall_xmm(HV_CALL_FLUSH_SPACE | HV_CONTROL_FAST | varhead(1), input),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK_EQUAL(
		bare_hypercall_xmm(HV_CALL_FLUSH_SPACE_EX | HV_CONTROL_FAST | varhead(1), input),
		HV_STATUS_INVALID_HYPERCALL_INPUT);
}

/* differences: "flush list from a later rep" */
static void check_start(void)
{
	const uint64_t input[14] = { 0, HV_FLUSH_ALL_PROCESSORS, 0, range(), range() };
	uint64_t result = bare_hypercall_xmm(HV_CALL_FLUSH_LIST | HV_CONTROL_FAST | reps(2) |
						     1ull << HV_CONTROL_REP_START_SHIFT,
					     input);

	CHECK_EQUAL(result, bare_backend_is_kernel() ? HV_STATUS_INVALID_HYPERCALL_INPUT
						     : 2ull << HV_RESULT_REPS_SHIFT);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	pages[0][0] = 0;
	pages[1][0] = 1;
	bare_map(SLOT, pages[0], 0);
	bare_start_vps(VPS);
	for (unsigned vp = 1; vp < VPS; vp++)
		bare_on(vp, look, 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
	over = true;
	for (unsigned vp = 1; vp < VPS; vp++)
		bare_join(vp);
	check_own();
	check_refused();
	check_start();
	bare_pass();
}
