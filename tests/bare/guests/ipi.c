/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HvCallSendSyntheticClusterIpi and -Ex (TLFS: "Virtual Interrupt Control"): who gets it, in every
 * form of input, and who does not; what is refused.
 */
#include "tests/bare/bare.h"

#define VPS 4
#define VECTOR 0x52

static struct {
	struct hv_send_ipi_ex head;
	uint64_t bank[4];
} ex __attribute__((aligned(128)));
static struct hv_send_ipi plain __attribute__((aligned(16)));

static uint32_t before[VPS];

static void note(void)
{
	for (unsigned vp = 0; vp < VPS; vp++)
		before[vp] = bare_count_on(vp, VECTOR);
}

/* Exactly the VPs in mask got one more, soon. */
static void check_got(uint64_t mask)
{
	for (unsigned vp = 0; vp < VPS; vp++) {
		while (mask >> vp & 1 && bare_count_on(vp, VECTOR) == before[vp])
			bare_pause();
	}
	bare_delay(2000);
	for (unsigned vp = 0; vp < VPS; vp++)
		CHECK_EQUAL(bare_count_on(vp, VECTOR), before[vp] + (mask >> vp & 1));
}

static uint64_t varhead(uint64_t quadwords)
{
	return quadwords << HV_CONTROL_VARHEAD_SHIFT;
}

static void check_plain(uint64_t mask)
{
	note();
	CHECK_EQUAL(bare_hypercall(HV_CALL_SEND_IPI | HV_CONTROL_FAST, VECTOR, mask),
		    HV_STATUS_SUCCESS);
	check_got(mask);
	note();
	plain = (struct hv_send_ipi){ .vector = VECTOR, .processor_mask = mask };
	CHECK_EQUAL(bare_hypercall(HV_CALL_SEND_IPI, (uint64_t)&plain, 0), HV_STATUS_SUCCESS);
	check_got(mask);
}

/* Banks in ascending order, one for each bit of the mask of banks, which has two at most. */
static void check_ex(uint64_t format, uint64_t banks, const uint64_t bank[2], uint64_t mask)
{
	const uint64_t count = (banks & 1) + (banks >> 1);
	uint64_t fast[14] = { VECTOR, format, banks, bank[0], bank[1] };

	note();
	ex.head = (struct hv_send_ipi_ex){ .vector = VECTOR,
					   .set = { .format = format, .valid_banks = banks } };
	ex.bank[0] = bank[0];
	ex.bank[1] = bank[1];
	CHECK_EQUAL(bare_hypercall(HV_CALL_SEND_IPI_EX | varhead(count), (uint64_t)&ex, 0),
		    HV_STATUS_SUCCESS);
	check_got(mask);
	note();
	CHECK_EQUAL(
		bare_hypercall_xmm(HV_CALL_SEND_IPI_EX | HV_CONTROL_FAST | varhead(count), fast),
		HV_STATUS_SUCCESS);
	check_got(mask);
}

static void check_refused(void)
{
	const uint64_t fast = HV_CALL_SEND_IPI | HV_CONTROL_FAST;

	note();
	CHECK(bare_hypercall(fast, HV_IPI_VECTOR_MIN - 1, 1) != HV_STATUS_SUCCESS);
	CHECK(bare_hypercall(fast, HV_IPI_VECTOR_MAX + 1, 1) != HV_STATUS_SUCCESS);
	CHECK(bare_hypercall(fast, 1ull << 63 | VECTOR, 1) != HV_STATUS_SUCCESS);
	CHECK_EQUAL(bare_hypercall(fast | varhead(1), VECTOR, 1),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK_EQUAL(bare_hypercall(fast | 1ull << 32, VECTOR, 1),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	ex.head = (struct hv_send_ipi_ex){ .vector = VECTOR, .set = { .valid_banks = 3 } };
	ex.bank[0] = 1;
	CHECK_EQUAL(bare_hypercall(HV_CALL_SEND_IPI_EX | varhead(1), (uint64_t)&ex, 0),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	check_got(0);
}

int main(void);
int main(void)
{
	static const uint64_t none[2] = { 0 };

	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_start_vps(VPS);
	for (uint64_t mask = 0; mask < 1 << VPS; mask++)
		check_plain(mask);
	check_ex(HV_VP_SET_SPARSE_4K, 1, (const uint64_t[2]){ 0x5 }, 0x5);
	check_ex(HV_VP_SET_SPARSE_4K, 1, (const uint64_t[2]){ 0xe }, 0xe);
	check_ex(HV_VP_SET_SPARSE_4K, 3, (const uint64_t[2]){ 0x2, 0 }, 0x2);
	check_ex(HV_VP_SET_SPARSE_4K, 2, (const uint64_t[2]){ 0 }, 0);
	check_ex(HV_VP_SET_SPARSE_4K, 0, none, 0);
	check_ex(HV_VP_SET_ALL, 0, none, 0xf);
	check_refused();
	bare_pass();
}
